"""Converts landmark parquet files in the Kaggle layout into a dataset of TFRecord shards.

    python -m pipeline.convert --data data/fingerspelling --test-participants 3 --output out/dataset
    python -m pipeline.convert --data gs://BUCKET/fingerspelling --output gs://BUCKET/dataset --runner dataflow \\
        --project PROJECT --region europe-west4 --temp-location gs://BUCKET/temp --max-num-workers 17

DATA holds train.csv (path, sequence_id, participant_id, phrase) and the parquet files it names: one row a video frame,
columns sequence_id (or an index of pandas) and {x,y}_{face,left_hand,pose,right_hand}_{i}; a column frame, where there
is one, must rise within a sequence. An interrupted conversion goes on where it stopped when the same command is run
again.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping

from pipeline import commands, conversion, metadata, parquet, runners
from pipeline.conversion import NO_LANDMARKS, NO_METADATA
from pipeline.metadata import Metadata
from pipeline.parquet import Fault
from pipeline.runners import Runner
from pipeline.sharding import Shard, ShardWriter
from pipeline.splits import SplitRule
from pipeline.storage import Path

# Many small files make shards of many: each shard costs a few requests of a bucket, and readers open each of its files.
MOST_SHARDS = 512


@dataclasses.dataclass(frozen=True)
class ConvertShard:
    """Makes one shard of `output` from parquet files of `data`: see `convert_file`.

    Reads the metadata itself, so that what travels to a worker stays small; `metadata_sha256` says which.
    """

    data: Path
    output: Path
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule

    def __call__(self, shard: Shard) -> None:
        table, split_of = _read(self.data, self.metadata_sha256, self.rule)
        with ShardWriter(self.output, shard) as writer:
            for path in shard.files:
                convert_file(self.data, path, table, split_of, writer)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one data set
def _read(data: Path, sha256: tuple[tuple[str, str], ...], rule: SplitRule) -> tuple[Metadata, dict[int, str]]:
    table = conversion.read_metadata(data, sha256)
    return table, rule.assign(table.entries.values())


def convert_file(data: Path, path: str, table: Metadata, split_of: Mapping[int, str], writer: ShardWriter) -> None:
    """Streams `data/path`: each of its sequences and of those the metadata has in it is written or rejected, once.

    Left out without a word are sequences of the metadata that have no split.

    Raises:
      UserError: the file cannot be read.
    """
    expected = {entry.sequence_id: entry for entry in table.by_path[path]}
    used = {sequence_id: entry for sequence_id, entry in expected.items() if sequence_id in split_of}
    for sequence_id, found in parquet.read_sequences(data / path):
        if sequence_id not in expected:
            elsewhere = table.entries.get(sequence_id)
            detail = f"the metadata says {elsewhere.path}" if elsewhere else "the metadata has no row of it"
            writer.reject(sequence_id, NO_METADATA, file=path, detail=detail)
        elif sequence_id in used:
            conversion.take(used.pop(sequence_id), found, split_of[sequence_id], writer)
    for sequence_id, entry in used.items():
        missing = Fault(NO_LANDMARKS, "the metadata names it, the file has no row of it")
        conversion.take(entry, missing, split_of[sequence_id], writer)


def convert(
    data: Path,
    output: Path,
    rule: SplitRule,
    *,
    num_shards: int | None,
    runner: Runner,
    names: Iterable[str] = (metadata.FILE_NAME,),
) -> None:
    """Makes the dataset `output` from `data`; finds a complete one done.

    Args:
      num_shards: one per parquet file where None, `MOST_SHARDS` at most.
      names: of the metadata files in `data`.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign`, `conversion.build`; parquet files are missing.
    """
    table = metadata.read(data, tuple(names))
    split_of = rule.assign(table.entries.values())
    sizes = conversion.input_sizes(data, table, {table.entries[sequence_id].path for sequence_id in split_of})
    conversion.build(
        output,
        conversion.request("parquet", table, sizes, num_shards=num_shards or MOST_SHARDS, rule=rule),
        ConvertShard(data, output, tuple(table.sha256.items()), rule),
        used=split_of,
        runner=runner,
        title="converting",
    )


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument(
        "--data", type=commands.path, required=True, help="directory with train.csv and its parquet files"
    )
    parser.add_argument(
        "--output", type=commands.path, required=True, help="directory for the dataset: new, or unfinished"
    )
    conversion.add_options(parser)
    parser.add_argument(
        "--shards",
        type=commands.positive,
        help=f"number of shards: more for more workers; one per file, {MOST_SHARDS} at most, if not given",
    )
    runners.add_options(parser)
    args = parser.parse_args()
    convert(
        args.data,
        args.output,
        conversion.rule(args),
        num_shards=args.shards,
        runner=runners.chosen(args, places=[args.data, args.output]),
        names=args.metadata or (metadata.FILE_NAME,),
    )


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import convert as module

    commands.run(module.main)
