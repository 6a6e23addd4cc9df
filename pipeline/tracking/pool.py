"""Work on this machine's cores, an item a process at a time, that ends at once where it is interrupted or one fails."""

import concurrent.futures.process
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pipeline.common import native_output, processes
from pipeline.common.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_SECONDS = 0.2  # how often progress is looked at

_steps: Any = None  # in a worker: how many steps all of them took


def step() -> None:
    """Called by the work, for progress."""
    if _steps is not None:
        with _steps.get_lock():
            _steps.value += 1


def run(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, advance: Callable[[int], object]
) -> Iterator[Result]:
    """Yields the results as they come.

    Args:
      work: a module's own function, as other processes import it.
      advance: called with the number of steps taken so far, now and then.

    Raises:
      UserError: a process was killed.
      Exception: what `work` raised; then the other processes are stopped.
    """
    context = multiprocessing.get_context("spawn")
    steps = context.Value("q", 0)
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(items)), context, initializer=_begin, initargs=(steps, os.getpid())
    ) as pool:
        try:
            # Processes take over that Ctrl-C is ignored: this one has the say.
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                waiting = {pool.submit(_quietly, work, item) for item in items}
            finally:
                signal.signal(signal.SIGINT, handler)
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, _LOOK_SECONDS, concurrent.futures.FIRST_COMPLETED)
                advance(steps.value)
                for each in done:
                    yield each.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise UserError(
                    "a worker process was killed, perhaps for want of memory: the same command makes only the rest,"
                    " with --workers 1 in the least memory"
                ) from error
            raise


def _begin(steps: Any, parent: int) -> None:
    global _steps
    _steps = steps
    processes.ends_with(parent)()


def _quietly(work: Callable[[Item], Result], item: Item) -> Result:
    with native_output.without_remarks():
        return work(item)
