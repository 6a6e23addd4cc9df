"""Which videos there are, what each is called in the data folder, and what their labels say."""

import csv
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.common import errors, tables
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath, check_ends
from pipeline.tasks.fingerspelling import Fingerspelling

FOLDER = "train_landmarks"
METADATA = Fingerspelling.metadata
# Of the files of a folder; a file that is named itself may have any ending.
_ENDINGS = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv")
_COLUMNS = ("file", "phrase", "signer")


@dataclasses.dataclass(frozen=True)
class Video:
    """A video file. What is made of it is named after the file, wherever that lies."""

    path: pathlib.Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sequence_id(self) -> int:
        """Of 52 bits: no two of a million names share one but by a chance of 1 in 9,000; exact in JavaScript too."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8]) >> 12

    @property
    def parquet(self) -> str:
        """The file of its landmarks, relative to the data folder."""
        return f"{FOLDER}/{self.name}.parquet"


@dataclasses.dataclass(frozen=True)
class Film:
    """What is known of a video once it was looked through: the size of a picture as it is meant to be seen.

    Attributes:
      rate: frames a second, by their times.
    """

    frames: int
    rate: float
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Tracker:
    """What finds landmarks. Its functions are a module's own: other processes import them.

    Attributes:
      name: with its version and settings: all that decides what it finds.
      look: looks a video through; raises `UserError` where it cannot be read to its end.
      watch: yields the landmarks (543, 3) of each frame, NaN for parts that are not found; the second argument says
        whether the pictures are mirrored, to be turned round first.
    """

    name: str
    look: Callable[[pathlib.Path], Film]
    watch: Callable[[pathlib.Path, bool], Iterator[np.ndarray]]


def find(places: Sequence[AnyPath]) -> list[Video]:
    """The videos named, and those of the folders named.

    Raises:
      UserError: there is no such place; a folder holds none; two videos have one name; a name that no table can hold.
    """
    found: dict[int, Video] = {}
    for path in (path for place in places for path in _files_of(place)):
        video = Video(path)
        if not video.name.isprintable() or "\\" in video.name:
            raise UserError(f"{str(path)!r}: the name holds characters that a table of files cannot: rename it")
        other = found.setdefault(video.sequence_id, video).path
        if other.resolve() != path.resolve():
            raise UserError(f"{other} and {path} would get one name and id: rename one")
    return list(found.values())


def _files_of(place: AnyPath) -> list[pathlib.Path]:
    expected = f"expected a video, or a folder of files that end with {', '.join(_ENDINGS)}"
    if not isinstance(place, pathlib.Path):
        raise UserError(f"{place} is not on this machine: copy the videos here first")
    if place.is_dir():
        files = [each for each in sorted(place.iterdir()) if each.suffix.lower() in _ENDINGS and each.is_file()]
        if not files:
            raise UserError(f"{place} holds no videos: {expected}")
        return files
    if not place.is_file():
        what = "a pipe or a device" if place.exists() else errors.what_is_there(place)
        nearby = errors.suggest_path(place, lambda path: path.suffix.lower() in _ENDINGS)
        raise UserError(f"{place}: {what}; {expected}{nearby}")
    return [place]


def metadata_of(labels: AnyPath, videos: Sequence[Video]) -> str:
    """The `train.csv` of these videos, in their order, from a table with the columns file, phrase and signer.

    Raises:
      UserError: the table cannot be read; it names a video that is not among these, or one twice, or lacks one; a
        signer without a number; an empty phrase.
    """
    try:
        check_ends(labels)
        content = labels.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {labels}: {errors.reason(error)}") from error
    known = {video.name: video for video in videos}
    rows: dict[str, tuple[object, ...]] = {}
    for row, where in tables.read_rows(labels, content, _COLUMNS):
        name, phrase, signer = (row[column] for column in _COLUMNS)
        if name not in known:
            raise UserError(f"{where}: {name!r} is not among the videos{errors.nearest(name, list(known)[:5])}")
        if name in rows:
            raise UserError(f"{where}: {name} is labelled twice: delete one row")
        if not (signer.isascii() and signer.isdigit() and len(signer) < 19):
            raise UserError(f"{where}: signer {signer!r} is not a whole number: number the people, such as 1")
        if not phrase.strip():
            raise UserError(f"{where}: {name} has an empty phrase: fill it in")
        rows[name] = (known[name].parquet, known[name].sequence_id, int(signer), phrase)
    if missing := [name for name in known if name not in rows]:
        raise UserError(f"{labels} has no row for {missing[0]}: add one, or leave the video out")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([METADATA.path, METADATA.id, METADATA.signer, METADATA.label])
    writer.writerows(rows[name] for name in known)
    return text.getvalue()
