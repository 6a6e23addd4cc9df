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

from pipeline.beam import job, runners
from pipeline.beam.runners import Runner
from pipeline.common import arguments, errors
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import metadata, records, split_options
from pipeline.dataset.metadata import Entry, Metadata
from pipeline.dataset.sharding import Shard, ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.faults import NO_LANDMARKS, Fault
from pipeline.tasks.fingerspelling import Fingerspelling

_EXPECTED = "expected a directory of <file_id>.tfrecord files"

TASK = Fingerspelling()
# Of each published column (x, or y), in their order, which of our points it holds.
PUBLISHED_POINTS = np.concatenate(
    [TASK.points.indices(group) for group in ("right_hand", "left_hand", "face", "left_pose", "right_pose")]
)


@dataclasses.dataclass(frozen=True)
class ImportShard:
    """Makes one shard of `output` from files of `records`; reads the metadata in `data` itself."""

    records: AnyPath
    data: AnyPath
    output: AnyPath
    metadata_sha256: tuple[tuple[str, str], ...]
    rule: SplitRule

    def __call__(self, shard: Shard) -> None:
        table, split_of = _read(self.data, self.metadata_sha256, self.rule)
        with ShardWriter(self.output, shard, TASK) as writer:
            for name in shard.files:
                rows = table.by_path[name]
                for entry, found in zip(rows, read_file(self.records / name, rows), strict=True):
                    if entry.sequence_id in split_of:
                        writer.take(split_of[entry.sequence_id], entry, found)


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one data set
def _read(data: AnyPath, sha256: tuple[tuple[str, str], ...], rule: SplitRule) -> tuple[Metadata, dict[int, str]]:
    table = job.read_metadata(data, TASK, sha256)
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


def read_file(path: AnyPath, rows: list[Entry]) -> Iterator[np.ndarray | Fault]:
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
            frames, phrase = lists["frames"].reshape(-1, 2, TASK.points.shape[0]), lists["phrase"].tolist()
        except ValueError as error:
            raise UserError(f"{where} is not a record of the published solution: {error}") from error
        if count > len(rows):
            break
        entry = rows[count - 1]
        if _text(phrase) != entry.label:
            raise UserError(
                f"{where} has the phrase {_text(phrase)!r}, row {count} of that file in the metadata (clip"
                f" {entry.sequence_id}) has {entry.label!r}: take the metadata that the records were made with"
            )
        landmarks_TxPx2 = np.empty((len(frames), *TASK.points.shape), np.float32)
        landmarks_TxPx2[:, PUBLISHED_POINTS] = frames.transpose(0, 2, 1)
        yield landmarks_TxPx2 if len(frames) else Fault(NO_LANDMARKS, "its record has no frames")
    if count != len(rows):
        more = "more than" if count > len(rows) else f"{count}, not"
        raise UserError(f"{path} has {more} the {len(rows)} records of its rows in the metadata: it is of other data")


def _read_records(path: AnyPath) -> Iterator[bytes]:
    """What to do about a damaged file is not what it is in a data set of this program."""
    try:
        yield from records.read_records(path)
    except UserError as error:
        raise UserError(str(error).replace(records.MAKE_AGAIN, "half-downloaded? Download it again")) from error


def _text(phrase: list[float]) -> str:
    characters: dict[float, str] = dict(enumerate(TASK.classes))
    return "".join(characters.get(index, "\ufffd") for index in phrase)


def import_tfrecords(
    records_folder: AnyPath, data: AnyPath, output: AnyPath, rule: SplitRule, *, runner: Runner, names: tuple[str, ...]
) -> None:
    """Makes the dataset `output`, unless it is complete.

    Raises:
      UserError: of `metadata.read`, `SplitRule.assign` and `job.make_from_metadata`; record files do not fit.
    """
    if not records_folder.is_dir():
        nearby = errors.suggest_path(records_folder, lambda path: any(path.glob("*.tfrecord")))
        raise UserError(f"{records_folder}: {errors.what_is_there(records_folder)}; {_EXPECTED}{nearby}")
    named = metadata.read(data, TASK.metadata, names)
    TASK.of_data(data)
    table = by_record_file(named)
    job.make_from_metadata(
        output,
        records_folder,
        TASK,
        table,
        rule,
        ImportShard(records_folder, data, output, tuple(table.sha256.items()), rule),
        split_of=rule.assign(named.entries.values()),  # by the names in the metadata
        made_from="tfrecords",
        num_shards=len(table.by_path),
        runner=runner,
        title="importing",
    )


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--records", type=arguments.path, required=True, help="directory of <file_id>.tfrecord files")
    parser.add_argument("--data", type=arguments.path, required=True, help="directory with train.csv")
    parser.add_argument("--output", type=arguments.path, required=True, help="new directory, or an unfinished one")
    split_options.add_options(parser)
    runners.add_options(parser)
    args = parser.parse_args()
    import_tfrecords(
        args.records,
        args.data,
        args.output,
        split_options.rule(args),
        runner=runners.from_arguments(args, places=(args.records, args.data, args.output)),
        names=tuple(args.metadata or ()),
    )


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import import_tfrecords as module

    errors.run(module.main)
