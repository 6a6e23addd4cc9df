"""Tasks: what differs from one kind of recordings and labels to another, one file a task.

To add one, write a file beside `fingerspelling.py` and list its class in `TASKS`.
"""

import inspect
import json
from typing import Any

from pipeline.common.errors import UserError, nearest
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns
from pipeline.tasks.recordings import Recordings
from pipeline.tasks.task import Task

TASKS: dict[str, type[Task]] = {task.name: task for task in (Fingerspelling, IsolatedSigns, Recordings)}
DEFAULT = Fingerspelling.name


def named(name: str) -> type[Task]:
    """Raises `UserError` for a task that does not exist, with the nearest name."""
    if name not in TASKS:
        raise UserError(f"there is no task {name!r}{nearest(name, TASKS)}")
    return TASKS[name]


def describe() -> str:
    """Every task in words, for the help of commands."""
    texts = {name: (inspect.getdoc(task) or "").partition("\n\nAttributes:")[0] for name, task in TASKS.items()}
    return "\n\n".join(f"task {name}: {text}" for name, text in texts.items())


def check_same(first: Task, where: object, second: Task, other: object) -> None:
    """Raises `UserError` where what is at two places is of different tasks, or of other classes."""
    if first.as_json() != second.as_json():
        raise UserError(
            f"{where} is of the task {first.name}, {other} of the task {second.name} or of other classes: both must be"
            " of the same task"
        )


def from_json(data: Any, where: object) -> Task:
    """The task that a manifest or an exported model describes.

    Args:
      where: the file, for messages.

    Raises:
      UserError: it is damaged, or of another version of this program.
    """
    try:
        task = named(data["name"]).of_parameters(dict(data["parameters"]))
        same = json.loads(json.dumps(task.as_json())) == data
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{where}: its task is damaged ({error}): delete its directory and make it again") from error
    if not same:
        raise UserError(
            f"{where}: its task {task.name} has other points, classes or columns than this program's: delete its"
            " directory and make it again"
        )
    return task
