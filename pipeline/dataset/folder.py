"""A data folder as it was given: which clips it lists, and of which task they are."""

from collections.abc import Iterable

from pipeline import tasks
from pipeline.common import progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import description, listing, metadata
from pipeline.dataset.metadata import Metadata
from pipeline.tasks.task import Task


def listed(data: AnyPath, task_name: str | None, names: Iterable[str] = ()) -> tuple[Metadata, Task]:
    """The clips of a data folder, and their task: of this name, of a description file, or found.

    Raises:
      UserError: of `task_of`, `metadata.read`, `description.read` and `listing.read`; names beside a description.
    """
    if task_name is not None and task_name.endswith(description.ENDING):
        if names := tuple(names):
            raise UserError(
                f"--metadata {','.join(names)}: {task_name} says where labels are (its key labels); leave it out"
            )
        table, task, remarks = listing.read(data, description.read(storage.path(task_name), data))
        for remark in remarks:
            progress.note(remark)
        return table, task
    task_type = task_of(data, task_name, names)
    if not task_type.metadata.file:
        task_type.of_data(data, ())  # says what it needs
    table = metadata.read(data, task_type.metadata, tuple(names))
    return table, task_type.of_data(data, (entry.label for entry in table.entries.values()))


def task_of(data: AnyPath, name: str | None, names: Iterable[str] = ()) -> type[Task]:
    """The task of this name; without one, that whose columns the first metadata file has, which is said.

    Raises:
      UserError: there is no such task.
    """
    if name is not None:
        return tasks.named(name)
    fitting = [
        task
        for task in tasks.TASKS.values()
        if task.metadata.file
        and set(task.metadata.names) <= set(metadata.header(data, next(iter(names), task.metadata.file)))
    ]
    if len(fitting) != 1 or fitting[0].name == tasks.DEFAULT:
        return tasks.named(tasks.DEFAULT)
    progress.console.print(f"task {fitting[0].name}, by the columns of the metadata")
    return fitting[0]
