import json

import numpy as np
import pytest

from pipeline import tasks
from pipeline.common.errors import UserError
from pipeline.tasks.isolated_signs import SIGN_MAP, IsolatedSigns

TASK = IsolatedSigns(("bye", "hello", "tv"))


def test_classes_are_those_of_the_map(tmp_path):
    assert IsolatedSigns.of_data(tmp_path, ["tv", "bye", "tv"]).classes == ("bye", "tv")
    (tmp_path / SIGN_MAP).write_text(json.dumps({"tv": 1, "bye": 2, "hello": 0}))
    assert IsolatedSigns.of_data(tmp_path, ["tv"]).classes == ("hello", "tv", "bye")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "expected an object with the index of each sign"),
        ('{"a": "0"}', "expected an object with the index of each sign"),
        ('{"a": true}', "expected an object with the index of each sign"),
        ('{"a": 0, "b": 2}', "expected the indices 0 to 1, one for each of its signs"),
        ('{"a": 0, "b": 0}', "expected the indices 0 to 1, one for each of its signs"),
    ],
)
def test_maps_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / SIGN_MAP).write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        IsolatedSigns.of_data(tmp_path, [])
    assert SIGN_MAP in str(raised.value)


def test_labels():
    assert [TASK.decode(TASK.encode(sign)) for sign in TASK.signs] == list(TASK.signs)
    assert TASK.label_fault("hello") is None
    assert TASK.label_fault(" ").reason == "empty_label"
    assert TASK.label_fault("cat").reason == "unknown_class"
    assert TASK.score(["bye", "tv", "tv", "bye"], ["bye", "tv", "bye", "bye"]) == 0.75
    assert TASK.edits("bye", "tv") == [("bye", "tv")]
    assert TASK.prediction([0]) == "bye"  # no class stands for nothing


def test_it_travels_with_its_signs():
    assert tasks.from_json(json.loads(json.dumps(TASK.as_json())), "a") == TASK
    with pytest.raises(
        UserError, match="is of the task isolated-signs, b of the task isolated-signs or of other classes"
    ):
        tasks.check_same(TASK, "a", IsolatedSigns(("bye",)), "b")


def test_clips_that_cannot_show_a_sign():
    landmarks = np.full((5, *TASK.points.shape), np.nan, np.float32)
    landmarks[:2, TASK.points.wrists[0]] = 0.5
    assert not TASK.plausible(landmarks, "bye")
    landmarks[2, TASK.points.wrists[1]] = 0.5
    assert TASK.plausible(landmarks, "bye")
    assert TASK.seen(landmarks).tolist() == [True, True, True, False, False]
