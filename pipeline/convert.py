"""Converts recordings into a data set of TFRecord shards.

    python -m pipeline.convert --data data/fingerspelling --test-signers 3 --output out/dataset
    python -m pipeline.convert --data gs://BUCKET/fingerspelling --output gs://BUCKET/dataset --runner dataflow \\
        --project PROJECT --region europe-west4 --temp-location gs://BUCKET/temp --max-num-workers 17

For the task fingerspelling, DATA holds train.csv (path, sequence_id, participant_id, phrase) and the parquet files it
names: one row a video frame, columns sequence_id (or an index of pandas) and
{x,y}_{face,left_hand,pose,right_hand}_{i}; a column frame, where there is one, must rise within a clip. The task is
written into the data set: later commands read it from there. An interrupted conversion continues when the same command
is run again.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

from pipeline import tasks
from pipeline.beam import job, runners
from pipeline.beam.runners import Runner
from pipeline.common import arguments, errors
from pipeline.common.storage import AnyPath
from pipeline.dataset import metadata, split_options, wide
from pipeline.dataset.metadata import Metadata
from pipeline.dataset.sharding import Shard, ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.faults import NO_LANDMARKS, NO_METADATA, Fault
from pipeline.tasks.task import Task

# Many small files make shards of many: each shard costs a few requests of a bucket, and readers open each of its files.
MOST_SHARDS = 512


@dataclasses.dataclass(frozen=True)
class ConvertShard:
    """Makes one shard of `output` from files of `data`: see `convert_file`.

    Reads the metadata itself, so that what travels to a worker stays small; `metadata_sha256` says which.
    """

    data: AnyPath
    output: AnyPath
    task: Task
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule

    def __call__(self, shard: Shard) -> None:
        table, split_of = _read(self.data, self.task, self.metadata_sha256, self.rule)
        with ShardWriter(self.output, shard, self.task) as writer:
            for path in shard.files:
                convert_file(self.data, path, table, split_of, writer, self.task)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one data set
def _read(
    data: AnyPath, task: Task, sha256: tuple[tuple[str, str], ...], rule: SplitRule
) -> tuple[Metadata, dict[int, str]]:
    table = job.read_metadata(data, task, sha256)
    return table, rule.assign(table.entries.values())


def convert_file(
    data: AnyPath, path: str, table: Metadata, split_of: Mapping[int, str], writer: ShardWriter, task: Task
) -> None:
    """Streams `data/path`: each of its clips and of those the metadata has in it is written or rejected, once.

    Left out without a word are clips of the metadata that have no split.

    Raises:
      UserError: the file cannot be read.
    """
    expected = {entry.sequence_id: entry for entry in table.by_path[path]}
    used = {sequence_id: entry for sequence_id, entry in expected.items() if sequence_id in split_of}
    for sequence_id, found in wide.read_clips(data / path, task):
        if sequence_id not in expected:
            elsewhere = table.entries.get(sequence_id)
            detail = f"the metadata says {elsewhere.path}" if elsewhere else "the metadata has no row of it"
            writer.reject(sequence_id, Fault(NO_METADATA, detail), file=path)
        elif sequence_id in used:
            writer.take(split_of[sequence_id], used.pop(sequence_id), found)
    missing = Fault(NO_LANDMARKS, "the metadata names it, the file has no row of it")
    for sequence_id, entry in used.items():
        writer.take(split_of[sequence_id], entry, missing)


def convert(
    data: AnyPath,
    output: AnyPath,
    rule: SplitRule,
    *,
    num_shards: int | None,
    runner: Runner,
    task_name: str = tasks.DEFAULT,
    names: Iterable[str] = (),
) -> None:
    """Makes the dataset `output` from `data`, unless it is complete.

    Args:
      num_shards: one per file where None, `MOST_SHARDS` at most.
      names: of the metadata files in `data`; the task's usual one where there are none.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign` and `job.make_from_metadata`; there is no such task.
    """
    task_type = tasks.named(task_name)
    table = metadata.read(data, task_type.metadata, tuple(names))
    task = task_type.of_data(data)
    job.make_from_metadata(
        output,
        data,
        task,
        table,
        rule,
        ConvertShard(data, output, task, tuple(table.sha256.items()), rule),
        split_of=rule.assign(table.entries.values()),
        made_from="parquet",
        num_shards=num_shards or MOST_SHARDS,
        runner=runner,
        title="converting",
    )


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--data", type=arguments.path, required=True, help="folder with the metadata and its files")
    parser.add_argument("--output", type=arguments.path, required=True, help="new directory, or an unfinished one")
    parser.add_argument("--task", default=tasks.DEFAULT, metavar="NAME", help=f"one of {', '.join(tasks.TASKS)}")
    split_options.add_options(parser)
    parser.add_argument(
        "--shards",
        type=arguments.positive,
        help=f"number of shards: more for more workers; one per file, {MOST_SHARDS} at most, if not given",
    )
    runners.add_options(parser)
    args = parser.parse_args()
    convert(
        args.data,
        args.output,
        split_options.rule(args),
        num_shards=args.shards,
        runner=runners.from_arguments(args, places=[args.data, args.output]),
        task_name=args.task,
        names=args.metadata or (),
    )


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import convert as module

    errors.run(module.main)
