"""The Beam transform that makes shards, and the job around it.

One chain, `Create(numbers of shards) | Reshuffle | Map`: the product of a shard is its files, so every runner gives the
same.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from pipeline.beam import runners
from pipeline.beam.runners import Runner
from pipeline.common import directories, errors, progress
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath, GsPath
from pipeline.dataset import sharding
from pipeline.dataset.sharding import Shard, ShardReport

# Makes one shard in a directory, report last. A dataclass of plain data: little, as it is part of the job.
MakeShard = Callable[[Shard], None]


@dataclasses.dataclass
class MakeShards(beam.PTransform):
    """Numbers of shards -> shards made.

    An error of one, if it is no mistake of this program, becomes a file beside its report and stops no other.

    Attributes:
      request: the fingerprint of the request that `directory` is made for; it holds the plan.
    """

    make_shard: MakeShard
    directory: AnyPath
    request: str

    def expand(self, numbers: beam.PCollection) -> beam.PCollection:
        return numbers | beam.Reshuffle() | beam.Map(self._attempt)

    def _attempt(self, number: int) -> None:
        if not (self.directory / directories.REQUEST).is_file():
            return  # not to be seen from here, where it cannot be told: the launcher sees that the report is missing
        shard = sharding.planned(self.directory, self.request)[number]
        try:
            self.make_shard(shard)
        except Exception as error:
            message = errors.mistake(error)
            if message is None:
                raise
            # Where nothing can be written, the message cannot either: the launcher sees that the report is missing.
            with contextlib.suppress(OSError):
                directories.write_json(shard.error_path(self.directory), {"error": message})


def make_shards(
    make_shard: MakeShard,
    request: directories.Request,
    shards: list[Shard],
    *,
    directory: AnyPath,
    runner: Runner,
    clips: int,
    title: str,
    left_out: str = "rejected",
) -> list[ShardReport]:
    """Makes the shards of `directory` that are not done yet; shows progress.

    Args:
      request: what `directory` was prepared for; `shards` are its.
      clips: how many there are to read.
      left_out: the word for those that are not written.

    Returns:
      The reports of all shards, in the order of the plan.

    Raises:
      UserError: one that a shard raised, or a shard was not made. The other shards are made all the same and stay.
    """
    reports = sharding.prepare(directory, shards)
    missing = [shard for shard in shards if shard not in reports]
    if missing:
        # The largest first: what the last workers wait for is small.
        numbers = [shard.index for shard in sorted(missing, key=lambda shard: -shard.bytes)]
        if runner.workers is None:
            files = sum(len(shard.files) for shard in missing)
            workers = runners.workers_that_pay(sum(shard.bytes for shard in missing) / 1e6, files)
            runner = dataclasses.replace(runner, workers=workers)
        with _progress(directory, shards, reports, clips, title, left_out):
            if runner.name != runners.LOCAL:
                make_shard, directory = _absolute(make_shard), directory.absolute()
            runners.run(runner, MakeShards(make_shard, directory, request.fingerprint), numbers)
    failed = [shard for shard in missing if shard not in reports]
    if failed:
        raise UserError(_failure(directory, failed, len(missing)))
    return [reports[shard] for shard in shards]


def _absolute(make_shard: Any) -> Any:
    """With absolute paths: workers elsewhere have another current folder."""
    values = {field.name: getattr(make_shard, field.name) for field in dataclasses.fields(make_shard)}
    paths = {name: value.absolute() for name, value in values.items() if isinstance(value, pathlib.Path)}
    return dataclasses.replace(make_shard, **paths)


def _failure(directory: AnyPath, failed: list[Shard], asked: int) -> str:
    told = [path for path in (shard.error_path(directory) for shard in failed) if path.is_file()]
    more = f" (and {len(failed) - 1} more of {asked} shards failed)" if len(failed) > 1 else ""
    if told:
        message = directories.read_json(told[0])["error"]
        for path in told:
            path.unlink()
        return f"{message}{more}; finished shards stay: run the same command again to make the rest"
    free = "" if isinstance(directory, GsPath) else f", where {shutil.disk_usage(directory).free >> 20} MB are free"
    return (
        f"{directory}: shard {failed[0]} was not finished{more}, and why could not be written there{free}: make room,"
        " get access to it, or let all workers see it; run the same command again to make the rest"
    )


@contextlib.contextmanager
def _progress(
    directory: AnyPath, shards: list[Shard], reports: dict[Shard, ShardReport], clips: int, title: str, left_out: str
) -> Iterator[None]:
    """Shows how far the shards are: clips, megabytes of input a second, shards done, rejected so far, time left.

    `reports` are of the shards that are done; those of shards that are finished meanwhile are added.
    """
    ended = threading.Event()
    began = time.monotonic()
    already = sum(report.read for report in reports.values())
    already_bytes = sum(report.bytes_read for report in reports.values())
    with progress.progress("clips") as display:
        task = display.add_task(title, total=clips, completed=already, already=already, note="")

        def update() -> None:
            sharding.add_finished(directory, shards, reports)
            read = sum(report.read for report in reports.values())
            rejected = sum(len(report.rejected) for report in reports.values())
            new_bytes = sum(report.bytes_read for report in reports.values()) - already_bytes
            rate = new_bytes / 1e6 / (time.monotonic() - began)
            note = f"{rate:.1f} MB/s, {len(reports)} of {len(shards)} shards, {rejected:,} {left_out}"
            display.update(task, completed=min(read, clips), note=note)

        def watch() -> None:
            # In a bucket each look costs two requests.
            while not ended.wait(10.0 if isinstance(directory, GsPath) else 0.5):
                with contextlib.suppress(OSError):  # of a network: the next look will do
                    update()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        update()
