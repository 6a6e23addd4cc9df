"""The Beam transform that makes shards, and its launcher on this machine.

One chain, `Create(shards) | Reshuffle | Map`: the product of a shard is its files, so every runner gives the same.
"""

import contextlib
import dataclasses
import logging
import pathlib
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline import commands, directories, sharding, worker
from pipeline.commands import UserError
from pipeline.sharding import Shard

# Makes one shard in a directory, report last. Picklable, and holds plain data only.
MakeShard = Callable[[Shard], None]

_POLL_SECONDS = 0.5

_WORKER_THREAD = "run_worker"  # Beam's name for a thread that looks after a worker process


@dataclasses.dataclass
class MakeShards(beam.PTransform):
    """Shards -> shards made. A `UserError` in one becomes a file beside its report, and stops no other."""

    make_shard: MakeShard
    directory: pathlib.Path

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        return shards | beam.Reshuffle() | beam.Map(self._attempt)

    def _attempt(self, shard: Shard) -> None:
        try:
            self.make_shard(shard)
        except UserError as error:
            # Where nothing can be written, the message cannot either: the launcher sees that the report is missing.
            with contextlib.suppress(OSError):
                directories.write_json(_error_path(self.directory, shard), {"error": str(error)})


def make_shards(
    make_shard: MakeShard, shards: list[Shard], *, directory: pathlib.Path, workers: int, title: str
) -> None:
    """Makes the shards that are not done yet, on this machine, with `workers` processes; shows progress.

    Raises:
      UserError: one that a shard raised, or a shard was not made. The other shards are made all the same and stay.
    """
    sharding.prepare(directory)
    missing = [shard for shard in shards if sharding.finished_report(directory, shard) is None]
    for shard in missing:
        _error_path(directory, shard).unlink(missing_ok=True)
    if missing:
        transform = MakeShards(make_shard, directory)
        try:
            with _progress(directory, shards, title), _quiet():
                if min(workers, len(missing)) > 1:
                    _run_with_processes(transform, missing, min(workers, len(missing)))
                else:
                    _run_in_this_process(transform, missing)
        finally:
            sharding.remove_leftovers(directory)
    errors = [path for path in (_error_path(directory, shard) for shard in missing) if path.is_file()]
    if errors:
        message = directories.read_json(errors[0])["error"]
        for path in errors:
            path.unlink()
        more = f" (and {len(errors) - 1} more of {len(missing)} shards failed)" if len(errors) > 1 else ""
        raise UserError(f"{message}{more}; finished shards stay: the same command makes only the rest")
    failed = [shard for shard in missing if sharding.finished_report(directory, shard) is None]
    if failed:
        megabytes = shutil.disk_usage(directory).free >> 20
        raise UserError(
            f"{directory}: shard {failed[0]} was not finished, and why could not be written there, where {megabytes} MB"
            " are free: make room, or get access to it; the same command makes only the rest"
        )


def _run_in_this_process(transform: MakeShards, shards: list[Shard]) -> None:
    try:
        # Named explicitly: Beam's default runner may fetch another program from the network.
        _run(FnApiRunner(), PipelineOptions(), transform, shards)
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):  # Beam wraps it
                raise KeyboardInterrupt from None
            cause = cause.__context__
        raise


def _run_with_processes(transform: MakeShards, shards: list[Shard], workers: int) -> None:
    """In a thread, as Beam is slow to notice Ctrl-C, and waits for ever for a worker process that died.

    It tells of such a death in the exception that ends the thread which looks after that worker, and nowhere else.
    """
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            _run(FnApiRunner(environment), PipelineOptions(direct_num_workers=workers), transform, shards)
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)

    def thread_ended(arguments: threading.ExceptHookArgs) -> None:
        if arguments.thread is not None and arguments.thread.name == _WORKER_THREAD:
            outcomes.put(
                UserError(
                    f"a worker process died ({arguments.exc_value}), perhaps for want of memory: the same command makes"
                    " only the rest, with --workers 1 in the least memory"
                )
            )

    hook, threading.excepthook = threading.excepthook, thread_ended
    try:
        with tempfile.TemporaryDirectory(prefix="workers-") as alive:
            # Beam's own way to ask for processes takes no path with a space to Python.
            environment = SubprocessSDKEnvironment.from_command_string(worker.command(pathlib.Path(alive)))
            threading.Thread(target=run, daemon=True).start()
            outcome = outcomes.get()
        if outcome is not None:
            raise outcome
    finally:
        for thread in threading.enumerate():
            if thread.name == _WORKER_THREAD:
                thread.join()
    threading.excepthook = hook  # not after a failure: see `_quiet`


def _run(runner: FnApiRunner, options: PipelineOptions, transform: MakeShards, shards: list[Shard]) -> None:
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        _ = pipeline | beam.Create(shards) | transform


def _error_path(directory: pathlib.Path, shard: Shard) -> pathlib.Path:
    return shard.report_path(directory).with_suffix(".error")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam's remarks on its own workings are no use to someone who waits for data; its errors are exceptions too.

    After a failure it stays quiet: its threads complain as they end.
    """
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


@contextlib.contextmanager
def _progress(directory: pathlib.Path, shards: list[Shard], title: str) -> Iterator[None]:
    """Shows how many shards are done, from their reports: they are the only thing every runner's workers share."""
    finished = threading.Event()
    with commands.progress("shards") as display:
        task = display.add_task(title, total=len(shards), note="")

        def update() -> None:
            waiting = list(shards)
            written = rejected = 0
            while waiting:
                last_look = finished.wait(_POLL_SECONDS)
                for shard in list(waiting):
                    report = sharding.finished_report(directory, shard)
                    if report:
                        waiting.remove(shard)
                        written += report.written
                        rejected += len(report.rejected)
                note = f"{written:,} sequences, {rejected:,} rejected"
                display.update(task, completed=len(shards) - len(waiting), note=note)
                if last_look:
                    return

        thread = threading.Thread(target=update, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
