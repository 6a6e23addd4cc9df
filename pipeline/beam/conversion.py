"""The conversion of recordings that metadata lists: what is done for each shard, and the job over all of them."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from pipeline import tasks
from pipeline.beam import job
from pipeline.beam.runners import Runner
from pipeline.common.storage import AnyPath
from pipeline.dataset import metadata, wide
from pipeline.dataset.metadata import Entry, Metadata
from pipeline.dataset.sharding import Shard, ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.faults import NO_LANDMARKS, NO_METADATA, Fault
from pipeline.tasks.task import Task

# Many small files make shards of many: each shard costs a few requests of a bucket, and readers open each of its files.
MOST_SHARDS = 512


@dataclasses.dataclass(frozen=True)
class ConvertShard:
    """Makes one shard of `output` from files of `folder`: each of their clips is written or rejected, once.

    So is each that the metadata has in these files; left out without a word are those that have no split. Reads the
    metadata in `data` itself, so that what travels to a worker stays small; `metadata_sha256` says which.
    """

    made_from: ClassVar[str] = "parquet"
    title: ClassVar[str] = "converting"

    folder: AnyPath
    data: AnyPath
    output: AnyPath
    task: Task
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule

    def of_folder(self, table: Metadata) -> Metadata:
        """The metadata with the names that the files have in `folder`."""
        return table

    def read(self, path: AnyPath, rows: list[Entry]) -> Iterator[tuple[int, np.ndarray | Fault]]:
        """Yields each clip of a file by its id; `rows` are what the metadata has in it."""
        del rows
        return wide.read_clips(path, self.task)

    def __call__(self, shard: Shard) -> None:
        table, split_of = _metadata(self)
        with ShardWriter(self.output, shard, self.task) as writer:
            for path in shard.files:
                self.convert_file(path, table, split_of, writer)

    def convert_file(self, path: str, table: Metadata, split_of: Mapping[int, str], writer: ShardWriter) -> None:
        rows = table.by_path[path]
        expected = {entry.sequence_id for entry in rows}
        used = {entry.sequence_id: entry for entry in rows if entry.sequence_id in split_of}
        for sequence_id, found in self.read(self.folder / path, rows):
            if sequence_id not in expected:
                elsewhere = table.entries.get(sequence_id)
                detail = f"the metadata says {elsewhere.path}" if elsewhere else "the metadata has no row of it"
                writer.reject(sequence_id, Fault(NO_METADATA, detail), file=path)
            elif sequence_id in used:
                writer.take(split_of[sequence_id], used.pop(sequence_id), found)
        missing = Fault(NO_LANDMARKS, "the metadata names it, the file has no row of it")
        for sequence_id, entry in used.items():
            writer.take(split_of[sequence_id], entry, missing)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one dataset
def _metadata(make: ConvertShard) -> tuple[Metadata, dict[int, str]]:
    table = job.read_metadata(make.data, make.task, make.metadata_sha256)
    return make.of_folder(table), make.rule.assign(table.entries.values())


def convert(
    data: AnyPath,
    output: AnyPath,
    rule: SplitRule,
    *,
    num_shards: int | None,
    runner: Runner,
    task_name: str = tasks.DEFAULT,
    names: Iterable[str] = (),
    folder: AnyPath | None = None,
    kind: type[ConvertShard] = ConvertShard,
) -> None:
    """Makes the dataset `output` from `data`, unless it is complete.

    Args:
      num_shards: one per file where None, `MOST_SHARDS` at most.
      names: of the metadata files in `data`; the task's usual one where there are none.
      folder: with the files, if that is not `data`.
      kind: how they are read.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign` and `job.make_from_metadata`; there is no such task.
    """
    task_type = tasks.named(task_name)
    named = metadata.read(data, task_type.metadata, tuple(names))
    make = kind(folder or data, data, output, task_type.of_data(data), tuple(named.sha256.items()), rule)
    job.make_from_metadata(
        output,
        make.folder,
        make.task,
        make.of_folder(named),
        rule,
        make,
        split_of=rule.assign(named.entries.values()),  # by the names in the metadata
        made_from=kind.made_from,
        num_shards=num_shards or MOST_SHARDS,
        runner=runner,
        title=kind.title,
    )
