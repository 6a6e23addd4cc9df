"""The Beam transform that makes shards, and its launcher on this machine.

One chain, `Create(shards) | Reshuffle | Map`: the product of a shard is its files, so every runner gives the same.
"""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import commands, directories, sharding
from pipeline.commands import UserError
from pipeline.sharding import Shard

# Makes one shard in a directory, report last. Picklable, and holds plain data only.
MakeShard = Callable[[Shard], None]

_POLL_SECONDS = 0.5


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
            directories.write_json(_error_path(self.directory, shard), {"error": str(error)})


def make_shards(
    make_shard: MakeShard, shards: list[Shard], *, directory: pathlib.Path, workers: int, title: str
) -> None:
    """Makes the shards that are not done yet, on this machine, with `workers` processes; shows progress.

    Raises:
      UserError: one that a shard raised. The other shards are made all the same and stay.
    """
    sharding.prepare(directory)
    missing = [shard for shard in shards if sharding.finished_report(directory, shard) is None]
    for shard in missing:
        _error_path(directory, shard).unlink(missing_ok=True)
    if missing:
        with _progress(directory, shards, title), _quiet():
            _run(MakeShards(make_shard, directory), missing, min(workers, len(missing)))
    errors = [path for path in (_error_path(directory, shard) for shard in missing) if path.is_file()]
    if errors:
        message = directories.read_json(errors[0])["error"]
        for path in errors:
            path.unlink()
        more = f" ({len(errors) - 1} more shards failed)" if len(errors) > 1 else ""
        raise UserError(f"{message}{more}; finished shards stay: the same command makes only the rest")


def _run(transform: MakeShards, shards: list[Shard], workers: int) -> None:
    # Named explicitly: Beam's default runner may fetch another program from the network.
    options = PipelineOptions(
        direct_num_workers=workers,
        direct_running_mode="multi_processing" if workers > 1 else "in_memory",
    )
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        _ = pipeline | beam.Create(shards) | transform


def _error_path(directory: pathlib.Path, shard: Shard) -> pathlib.Path:
    return shard.report_path(directory).with_suffix(".error")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam's remarks on its own workings are no use to someone who waits for data; its errors are."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
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
