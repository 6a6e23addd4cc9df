"""Readers of clips: the one of a task is that of its layout."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import long, parquet, tabular, wide
from pipeline.dataset.takes import Take
from pipeline.tasks.faults import Fault
from pipeline.tasks.task import Layout, LongParquet, Points, Tables, Task, WideParquet


class Reader(Protocol):
    """A module with these functions; `pipeline.dataset.wide`, `.long` and `.tabular` say more."""

    @staticmethod
    def read_clips(path: AnyPath, task: Task, ids: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Fault]]:
        """Yields each clip of a file once; `ids` are what the metadata has in it."""

    @staticmethod
    def read_takes(path: AnyPath, points: Points, layout: Layout) -> Iterator[Take]:
        """Yields what there is to recognize in a file, one recording at a time."""

    @staticmethod
    def is_layout(names: Sequence[str], layout: Layout) -> bool:
        """Whether a file with these columns is laid out like this, and not otherwise."""

    @staticmethod
    def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int | str, np.ndarray]]:
        """Yields each clip by name, with what an exported file takes (T, K): these columns, or whole frames."""

    @staticmethod
    def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
        """Frames of each clip of a file; of parquet without decoding coordinates."""

    @staticmethod
    def last_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, float]:
        """The largest frame number of each clip of a file, where frames are numbered."""


_READERS: dict[type, Reader] = {WideParquet: wide, LongParquet: long, Tables: tabular}  # type: ignore[dict-item]


def reader(task: Task) -> Reader:
    return _READERS[type(task.layout)]


def read_takes(path: AnyPath, task: Task) -> Iterator[Take]:
    """Yields what there is to recognize in a file, whichever of the layouts that the task reads it has.

    Raises:
      UserError: it cannot be read, or has none of them.
    """
    layout = task.layout
    if task.other_layouts:
        with parquet.opened(path) as file:
            names = file.schema_arrow.names
        fitting = [each for each in task.other_layouts if _READERS[type(each)].is_layout(names, each)]
        layout = fitting[0] if fitting else layout
    yield from _READERS[type(layout)].read_takes(path, task.points, layout)


def files_of(source: AnyPath, task: Task) -> list[AnyPath]:
    """The file, or those of the folder that may hold clips of the task.

    Of a task from a description, those that its pattern means; where it means none, all tables but that of labels.

    Raises:
      UserError: there is none.
    """
    layout = task.layout
    if not isinstance(layout, Tables):
        return parquet.files_of(source)
    if source.is_dir() and (found := tabular.files_of(source, layout)):
        return [source / name for name in found]
    labels = layout.labels.rpartition("/")[2]
    files = [each for each in parquet.files_of(source, tabular.ENDINGS) if each == source or each.name != labels]
    if not files:
        raise UserError(f"{source} holds {labels} alone: expected files {layout.files}, or a folder of such files")
    return files
