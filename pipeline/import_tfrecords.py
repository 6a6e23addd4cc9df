"""Makes a dataset of the TFRecords that the published solution was trained on, without the landmark parquet.

    python -m pipeline.import_tfrecords --records data/tfds --data data/fingerspelling --output out/dataset

RECORDS holds a GZIP file <file_id>.tfrecord for each parquet file that DATA/train.csv names as <file_id>.parquet. A
record has the float lists `frames` (T x 2 x 100: x, then y, of the published columns) and `phrase` (indices of the
characters), and no id: the records of a file are the rows of the metadata in their order. That is believed only where
every phrase is the same; of rows with the same phrase, the order alone tells which is which.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from pipeline.beam import runners
from pipeline.beam.conversion import ConvertShard, convert
from pipeline.common import arguments, errors
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import records, split_options
from pipeline.dataset.metadata import Entry, Metadata
from pipeline.tasks.faults import NO_LANDMARKS, Fault
from pipeline.tasks.fingerspelling import Fingerspelling

_EXPECTED = "expected a directory of <file_id>.tfrecord files"

TASK = Fingerspelling()
# Of each published column (x, or y), in their order, which of our points it holds.
PUBLISHED_POINTS = np.concatenate(
    [TASK.points.indices(group) for group in ("right_hand", "left_hand", "face", "left_pose", "right_pose")]
)


class ImportShard(ConvertShard):
    """Makes one shard from record files of `folder`."""

    made_from = "tfrecords"
    title = "importing"

    def of_folder(self, table: Metadata) -> Metadata:
        return by_record_file(table)

    def read(self, path: AnyPath, rows: list[Entry]) -> Iterator[tuple[int, np.ndarray | Fault]]:
        return zip((row.sequence_id for row in rows), read_file(path, rows), strict=True)


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
            frames, phrase = lists["frames"].reshape(-1, 2, len(PUBLISHED_POINTS)), lists["phrase"].tolist()
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
    """What to do about a damaged file is not what it is in a dataset of this program."""
    try:
        yield from records.read_records(path)
    except UserError as error:
        raise UserError(str(error).replace(records.MAKE_AGAIN, "half-downloaded? Download it again")) from error


def _text(phrase: list[float]) -> str:
    characters: dict[float, str] = dict(enumerate(TASK.classes))
    return "".join(characters.get(index, "\ufffd") for index in phrase)


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--records", type=arguments.path, required=True, help="directory of <file_id>.tfrecord files")
    parser.add_argument("--data", type=arguments.path, required=True, help="directory with train.csv")
    parser.add_argument("--output", type=arguments.path, required=True, help="new directory, or an unfinished one")
    split_options.add_options(parser)
    runners.add_options(parser)
    args = parser.parse_args()
    if not args.records.is_dir():
        nearby = errors.suggest_path(args.records, lambda path: any(path.glob("*.tfrecord")))
        raise UserError(f"{args.records}: {errors.what_is_there(args.records)}; {_EXPECTED}{nearby}")
    convert(
        args.data,
        args.output,
        split_options.rule(args),
        num_shards=None,
        runner=runners.from_arguments(args, places=(args.records, args.data, args.output)),
        task_name=TASK.name,
        names=args.metadata or (),
        folder=args.records,
        kind=ImportShard,
    )


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import import_tfrecords as module

    errors.run(module.main)
