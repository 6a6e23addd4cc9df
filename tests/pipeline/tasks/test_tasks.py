import copy
import dataclasses
import json

import pytest

from pipeline import tasks
from pipeline.common.errors import UserError
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()


def test_every_task_is_found_by_its_name():
    assert tasks.DEFAULT in tasks.TASKS
    for name, kind in tasks.TASKS.items():
        assert tasks.named(name) is kind
        assert kind.name == name


def test_a_name_that_does_not_exist():
    with pytest.raises(UserError, match=r"^there is no task 'fingerspeling' \(did you mean fingerspelling\?\)$"):
        tasks.named("fingerspeling")
    with pytest.raises(UserError, match=f"^there is no task 'zzz': expected {' or '.join(tasks.TASKS)}$"):
        tasks.named("zzz")


def test_a_task_is_what_its_json_tells():
    found = tasks.from_json(json.loads(json.dumps(TASK.as_json())), "manifest.json")
    assert found == TASK
    assert type(found) is Fingerspelling


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "fingerspelling",
        {},
        {"name": "fingerspelling"},
        TASK.as_json() | {"name": ["fingerspelling"]},
        TASK.as_json() | {"parameters": None},
        TASK.as_json() | {"parameters": {"size": 3}},
    ],
)
def test_a_damaged_task(data):
    with pytest.raises(UserError, match=r"^a/manifest\.json: its task is damaged \(.*\): delete its directory"):
        tasks.from_json(data, "a/manifest.json")


def test_a_task_that_does_not_exist():
    data = TASK.as_json() | {"name": "fingerspeling"}
    message = r"^a/manifest\.json: there is no task 'fingerspeling' \(did you mean fingerspelling\?\)$"
    with pytest.raises(UserError, match=message):
        tasks.from_json(data, "a/manifest.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["classes"].reverse(),
        lambda data: data["classes"].append("é"),
        lambda data: data["points"].reverse(),
        lambda data: data["points"].pop(),
        lambda data: data.update(axes="xyz"),
        lambda data: data.pop("classes"),
        lambda data: data.update(more=1),
    ],
)
def test_other_classes_or_points(change):
    data = copy.deepcopy(TASK.as_json())
    change(data)
    message = r"^a/manifest\.json: its task fingerspelling has other points, classes or columns than"
    with pytest.raises(UserError, match=message):
        tasks.from_json(data, "a/manifest.json")


@dataclasses.dataclass(frozen=True)
class Signs(Fingerspelling):
    """A task with a parameter, which is data."""

    name = "signs"
    signs: tuple[str, ...] = ()

    @property
    def classes(self):
        return self.signs


def test_parameters_survive_json(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "signs", Signs)
    task = Signs(("yes", "no"))
    data = json.loads(json.dumps(task.as_json()))
    assert (data["parameters"], data["classes"]) == ({"signs": ["yes", "no"]}, ["yes", "no"])
    found = tasks.from_json(data, "manifest.json")
    assert (found, hash(found)) == (task, hash(task))
    with pytest.raises(UserError, match="its task signs has other points, classes or columns"):
        tasks.from_json(data | {"classes": ["no", "yes"]}, "manifest.json")
