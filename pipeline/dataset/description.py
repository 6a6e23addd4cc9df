"""Description files: TOML that says what recordings are, where they lie, and how they are laid out.

kind = "files"                    # a file is a clip; "table": rows of a clip; "rows": a row; "streams": windows
files = "recordings/*.csv"        # or parquet
channels = ["a*", "w*"]           # columns: names, patterns, or numbers from 0 on where there is no header
labels = "labels.csv"             # a table of labels, joined by name
clip = "recording"                # its column of names
label = "exercise"
group = "subject"                 # never split over training and test
"""

import dataclasses
import fnmatch
import tomllib
from collections.abc import Callable
from typing import Any

from pipeline.common import errors
from pipeline.common.errors import UserError, nearest
from pipeline.common.storage import AnyPath
from pipeline.dataset import listing, tabular
from pipeline.tasks.recordings import Recordings
from pipeline.tasks.task import Tables

ENDING = ".toml"


@dataclasses.dataclass(frozen=True)
class _Key:
    """What a key of a description may be, in words and as a check."""

    expected: str
    fits: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value < 10**9


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int or _is_text(each) for each in value)


def _is_lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_list, value))


_TEXT = _Key("a text", _is_text)
KEYS: dict[str, _Key] = {
    "kind": _Key(f"one of {', '.join(listing.KINDS)}", lambda value: value in listing.KINDS),
    "files": _TEXT,
    "separator": _Key("one character", lambda value: _is_text(value) and len(value) == 1),
    "header": _Key("true or false", lambda value: isinstance(value, bool)),
    "channels": _Key("a list of columns", _is_list),
    "frames": _Key("a whole number, two at least", lambda value: _is_count(value) and value > 1),
    "clip": _TEXT,
    "labels": _TEXT,
    "label": _TEXT,
    "group": _TEXT,
    "test": _TEXT,
    "window": _Key("a whole number of frames", _is_count),
    "stride": _Key("a whole number of frames", _is_count),
    "purity": _Key("a share above 0 and at most 1", lambda value: type(value) in (int, float) and 0 < value <= 1),
    "ignore": _Key("a list of classes", _is_list),
    "rotate": _Key(
        "a list of lists of three channels",
        lambda value: _is_lists(value) and all(len(axes) == len(set(map(str, axes))) == 3 for axes in value),
    ),
    "rate": _Key("frames a second", lambda value: type(value) in (int, float) and 0 < value < 1e9),
}
# What each kind needs beside kind, files, channels and label.
_NEEDED = {"files": (), "table": ("clip",), "rows": ("frames",), "streams": ("window",)}
# What no other kind has.
_OWN = {"frames": "rows", "window": "streams", "stride": "streams", "purity": "streams", "rate": "streams"}


def read(file: AnyPath, data: AnyPath) -> Recordings:
    """The task that a description file makes of a data folder, but for the classes, which `listing.read` finds.

    Raises:
      UserError: it cannot be read; an unknown key (the nearest is suggested), one that is missing, or a wrong value; a
        channel that is not there.
    """
    try:
        found = tomllib.loads(file.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {errors.reason(error)}") from error
    for name, value in found.items():
        if name not in KEYS:
            raise UserError(f"{file}: no key {name!r}{nearest(name, KEYS)}")
        if not KEYS[name].fits(value):
            raise UserError(f"{file}: {name} is {str(value)[:60]!r}, expected {KEYS[name].expected}")
    kind = found.get("kind", "")
    needed = ("kind", "files", "channels", "label", *_NEEDED.get(kind, ()), *(["clip"] if "labels" in found else []))
    if missing := [name for name in needed if name not in found]:
        raise UserError(f"{file} lacks {missing[0]}: expected {KEYS[missing[0]].expected}")
    if foreign := [name for name, of in _OWN.items() if name in found and of != kind]:
        raise UserError(f"{file}: {foreign[0]} is of the kind {_OWN[foreign[0]]!r}, this is {kind!r}")
    if kind == "streams":
        if "labels" in found or found.get("group", listing.FILE) not in (listing.FILE, listing.FOLDER):
            own = f"its group is {listing.FILE} or {listing.FOLDER}"
            raise UserError(f"{file}: a stream has a class on each row, and {own}")
        found = {"group": listing.FILE, "stride": found["window"]} | found
    return _task(file, data, found)


def _task(file: AnyPath, data: AnyPath, found: dict[str, Any]) -> Recordings:
    """Of keys that are as expected."""
    own = {name: value for name, value in found.items() if name not in ("channels", "rotate", "ignore")}
    tables = Tables(**own, ignored=tuple(map(str, found.get("ignore", []))))
    first = data / listing.files_of(data, tables)[0]
    columns = tabular.header(first, tables)
    values = channels = _expanded(file, found["channels"], columns, first)
    if tables.kind == "rows":
        if len(values) % tables.frames:
            raise UserError(f"{file}: {len(values)} columns are no {tables.frames} frames of equal length")
        channels = [str(number) for number in range(len(values) // tables.frames)]
    rotations = tuple(tuple(map(str, axes)) for axes in found.get("rotate", []))
    if wrong := [name for axes in rotations for name in axes if name not in channels]:
        raise UserError(f"{file}: rotate has {wrong[0]!r}, which is no channel{nearest(wrong[0], channels)}")
    return Recordings(
        tables=dataclasses.replace(tables, columns=tuple(columns), values=tuple(values)),
        channels=tuple(channels),
        rotations=rotations,
    )


def _expanded(file: AnyPath, channels: list[str | int], columns: list[str], first: AnyPath) -> list[str]:
    """The columns that names and patterns mean, in the order of the list and of the file."""
    found: list[str] = []
    for channel in map(str, channels):
        fitting = [name for name in columns if name == channel] or fnmatch.filter(columns, channel)
        if not fitting:
            raise UserError(f"{file}: channels: {first} has no column {channel!r}{nearest(channel, columns)}")
        found += [name for name in fitting if name not in found]
    return found
