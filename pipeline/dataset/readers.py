"""Readers of clips: the one of a task is that of its layout."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from pipeline.common.storage import AnyPath
from pipeline.dataset import long, tabular, wide
from pipeline.tasks.faults import Fault
from pipeline.tasks.task import LongParquet, Tables, Task, WideParquet


class Reader(Protocol):
    """A module with these functions; `pipeline.dataset.wide`, `.long` and `.tabular` say more."""

    @staticmethod
    def read_clips(path: AnyPath, task: Task, ids: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Fault]]:
        """Yields each clip of a file once; `ids` are what the metadata has in it."""

    @staticmethod
    def read_runs(path: AnyPath, task: Task) -> Iterator[tuple[int | str, np.ndarray]]:
        """Yields what there is to recognize in a file, by name, with its landmarks (T, P, D)."""

    @staticmethod
    def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int | str, np.ndarray]]:
        """As `read_runs`, with what an exported file takes: these columns, or whole frames."""

    @staticmethod
    def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
        """Frames of each clip of a file, without decoding coordinates."""


_READERS: dict[type, Reader] = {WideParquet: wide, LongParquet: long, Tables: tabular}  # type: ignore[dict-item]


def reader(task: Task) -> Reader:
    return _READERS[type(task.layout)]
