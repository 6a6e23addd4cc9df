"""Makes a dataset of the TFRecords that the published solution was trained on, without the landmark parquet.

    python -m pipeline.import_tfrecords --records data/tfds --data data/fingerspelling --output out/dataset

RECORDS holds a GZIP file <file_id>.tfrecord for each parquet file that DATA/train.csv names as <file_id>.parquet. A
record has the float lists `frames` (T x 2 x 100: x, then y, of the published columns) and `phrase` (indices of the
characters), and no id: the records of a file are the rows of the metadata in their order. That is believed only where
every phrase is the same; of rows with the same phrase, the order alone tells which is which.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator

import numpy as np

from pipeline import commands, conversion, metadata, records, runners, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.metadata import Entry, Metadata
from pipeline.parquet import Fault
from pipeline.runners import Runner
from pipeline.sharding import Shard, ShardWriter
from pipeline.splits import SplitRule
from pipeline.storage import Path

_EXPECTED = "expected a directory of <file_id>.tfrecord files"

# Of each published column (x, or y), in their order, which of our points it holds.
PUBLISHED_POINTS = np.r_[lm.RIGHT_HAND, lm.LEFT_HAND, lm.FACE, lm.LEFT_POSE, lm.RIGHT_POSE]


@dataclasses.dataclass(frozen=True)
class ImportShard:
    """Makes one shard of `output` from files of `records`; reads the metadata in `data` itself."""

    records: Path
    data: Path
    output: Path
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule

    def __call__(self, shard: Shard) -> None:
        table, split_of = _read(self.data, self.metadata_sha256, self.rule)
        with ShardWriter(self.output, shard) as writer:
            for name in shard.files:
                rows = table.by_path[name]
                for entry, found in zip(rows, read_file(self.records / name, rows), strict=True):
                    if entry.sequence_id in split_of:
                        conversion.take(entry, found, split_of[entry.sequence_id], writer)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one data set
def _read(data: Path, sha256: tuple[tuple[str, str], ...], rule: SplitRule) -> tuple[Metadata, dict[int, str]]:
    table = conversion.read_metadata(data, sha256)
    return by_record_file(table), rule.assign(table.entries.values())


def by_record_file(table: Metadata) -> Metadata:
    """The metadata with the names of record files in place of those of parquet files.

    Raises:
      UserError: two parquet files would have one record file.
    """
    names = {path: f"{pathlib.PurePosixPath(path).stem}.tfrecord" for path in table.paths}
    path_of: dict[str, str] = {}
    for path, name in names.items():
        if path_of.setdefault(name, path) != path:
            raise UserError(
                f"{', '.join(table.sha256)}: {path_of[name]} and {path} would both be {name}: take metadata that names"
                " one of them"
            )
    renamed = {
        sequence_id: dataclasses.replace(entry, path=names[entry.path]) for sequence_id, entry in table.entries.items()
    }
    return Metadata(table.sha256, renamed)


def read_file(path: Path, rows: list[Entry]) -> Iterator[np.ndarray | Fault]:
    """Yields the landmarks of each of the `rows`, or what is wrong with them.

    Raises:
      UserError: the file is damaged, or is not of these rows: it has other phrases, or another number of them.
    """
    count = 0
    for count, record in enumerate(_read_records(path), 1):
        where = f"{path}, record {count}"
        try:
            lists = records.float_lists(record)
            if missing := {"frames", "phrase"} - lists.keys():
                raise ValueError(f"no float list {', '.join(sorted(missing))}")
            frames, phrase = lists["frames"].reshape(-1, 2, lm.NUM_POINTS), lists["phrase"].tolist()
        except ValueError as error:
            raise UserError(f"{where} is none of the published solution: {error}") from error
        if count > len(rows):
            break
        entry = rows[count - 1]
        expected = [vocabulary.CHARACTER_TO_INDEX.get(character) for character in entry.label]
        if phrase != expected:
            raise UserError(
                f"{where} has the phrase {_text(phrase)!r}, row {count} of that file in the metadata (sequence"
                f" {entry.sequence_id}) has {entry.label!r}: take the metadata that the records were made with"
            )
        landmarks_TxPx2 = np.empty((len(frames), lm.NUM_POINTS, 2), np.float32)
        landmarks_TxPx2[:, PUBLISHED_POINTS] = frames.transpose(0, 2, 1)
        yield landmarks_TxPx2 if len(frames) else Fault(conversion.NO_LANDMARKS, "its record has no frames")
    if count != len(rows):
        more = "more than" if count > len(rows) else f"{count}, not"
        raise UserError(f"{path} has {more} the {len(rows)} records of its rows in the metadata: it is of other data")


def _read_records(path: Path) -> Iterator[bytes]:
    """What to do about a damaged file is not what it is in a data set of this program."""
    try:
        yield from records.read_records(path)
    except UserError as error:
        raise UserError(str(error).replace(records.MAKE_AGAIN, "half-downloaded? Download it again")) from error


def _text(phrase: list[float]) -> str:
    characters: dict[float, str] = dict(enumerate(vocabulary.CHARACTERS))
    return "".join(characters.get(index, "?") for index in phrase)


def import_tfrecords(
    records_folder: Path, data: Path, output: Path, rule: SplitRule, *, runner: Runner, names: tuple[str, ...]
) -> None:
    """Makes the dataset `output`; finds a complete one done.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign`, `conversion.build`; record files are missing or do not fit.
    """
    if not records_folder.is_dir():
        nearby = commands.nearby(records_folder, lambda path: any(path.glob("*.tfrecord")))
        raise UserError(f"{records_folder}: {commands.what_is_there(records_folder)}; {_EXPECTED}{nearby}")
    named = metadata.read(data, names)
    split_of = rule.assign(named.entries.values())
    table = by_record_file(named)
    used = {table.entries[sequence_id].path for sequence_id in split_of}
    sizes = conversion.input_sizes(records_folder, table, used)
    request = conversion.request("tfrecords", table, sizes, num_shards=len(sizes), rule=rule)
    make = ImportShard(records_folder, data, output, tuple(table.sha256.items()), rule)
    conversion.build(output, request, make, used=split_of, runner=runner, title="importing")


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument("--records", type=commands.path, required=True, help="directory of <file_id>.tfrecord files")
    parser.add_argument("--data", type=commands.path, required=True, help="directory with train.csv")
    parser.add_argument(
        "--output", type=commands.path, required=True, help="directory for the dataset: new, or unfinished"
    )
    conversion.add_options(parser)
    runners.add_options(parser)
    args = parser.parse_args()
    import_tfrecords(
        args.records,
        args.data,
        args.output,
        conversion.rule(args),
        runner=runners.chosen(args, places=(args.records, args.data, args.output)),
        names=tuple(args.metadata or (metadata.FILE_NAME,)),
    )


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import import_tfrecords as module

    commands.run(module.main)
