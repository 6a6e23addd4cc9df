"""Progress on standard error: counts, rate, time passed and left. Standard output holds only results."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline.common import processes

# In a log file there is no width to fit into: wide enough for every progress line.
_WIDTH = None if sys.stderr and sys.stderr.isatty() else 120
console = Console(stderr=True, highlight=False, soft_wrap=True, width=_WIDTH)


Item = TypeVar("Item")


class _Rate(ProgressColumn):
    """How many a second: of late, and once all is done on average."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields.get("already", 0)  # what was done before it began says nothing
        average = done / task.elapsed if task.elapsed else 0.0
        return Text(f"{average if task.finished else task.speed or average:,.1f}/s")


def next_step(line: str) -> None:
    """Says on standard output what to do next: to a person, not where another command runs this one."""
    if processes.CALLED not in os.environ:
        print(f"next: {line}")


def note(line: str) -> None:
    """Says what a user should know, on a line of standard error."""
    console.print(line, markup=False)


def progress(unit: str = "") -> Progress:
    """A progress display with counts, rate, elapsed time and time left; one final line where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        _Rate(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[Item], title: str, unit: str, *, total: int) -> Iterator[Item]:
    """Yields the `total` items and shows how far they are."""
    with progress(unit) as bar:
        task = bar.add_task(title, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)
