"""A first description of a data folder, guessed from what lies there: to be looked at, and corrected."""

import collections
import csv
import dataclasses
import fnmatch
import io
import itertools
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from pipeline.common.errors import UserError
from pipeline.dataset import listing, parquet, tabular

_SEPARATORS = listing.SEPARATORS + " "
_WINDOW = 100  # frames, at most; half of what a class usually lasts where that is less
_ROWS = 2000  # of a table, that are looked at
_LABEL_WORDS = ("label", "class", "gesture", "activity", "exercise", "sign", "category", "target", "speaker", "word")
_GROUP_WORDS = ("subject", "person", "participant", "signer", "user", "patient", "group", "who", "writer")
_SPLIT_WORDS = ("part", "split", "set", "fold", "usage")
_TIME_WORDS = ("time", "timestamp", "step", "frame", "index", "t", "row")

_NOTHING = {"0", "-1", "null", "none", "unmarked", "background"}  # classes that often mean that there is none
_MANY = 8  # channels, from which on a pattern is shorter

_Found = dict[str, Any]  # keys of a description


@dataclasses.dataclass(frozen=True)
class _Table:
    """The beginning of a file.

    Attributes:
      names: of its columns.
      columns: texts, by these names.
    """

    path: pathlib.Path
    separator: str
    header: bool
    names: list[str]
    columns: dict[str, list[str]]

    def values(self, name: str) -> set[str]:
        return set(self.columns[name])

    def is_numeric(self, name: str) -> bool:
        return all(_is_number(value) for value in self.columns[name])


def describe(data: pathlib.Path) -> str:
    """The text of a description file.

    Raises:
      UserError: there is no table in the folder, or nothing that could be a label.
    """
    paths = [path for path in sorted(data.rglob("*")) if path.is_file() and path.suffix.lower() in tabular.ENDINGS]
    tables = {path: table for path in paths if (table := _read(path))}
    if not tables:
        raise UserError(f"{data} has no tables: expected files that end in {', '.join(tabular.ENDINGS)}")
    alike: dict[tuple[str, tuple[str, ...]], list[pathlib.Path]] = collections.defaultdict(list)
    for path, table in tables.items():
        alike[path.suffix, tuple(table.names)].append(path)
    many = max(alike.values(), key=len)
    texts = {path: table for path, table in tables.items() if path.suffix != parquet.ENDING}  # as labels are
    others = [table for path, table in texts.items() if path not in many]
    if len(many) > 1:
        return _of_files(data, tables[many[0]], many, others)
    by_size = sorted(tables, key=lambda path: path.stat().st_size)
    return _of_table(data, tables[by_size[-1]], [texts[path] for path in by_size[:-1] if path in texts])


def _of_files(data: pathlib.Path, first: _Table, many: list[pathlib.Path], others: Sequence[_Table]) -> str:
    """Many files with the same columns: each a clip, or a stream."""
    parents = {path.parent.relative_to(data) for path in many}
    folder = next(iter(parents)) if len(parents) == 1 else pathlib.PurePath(*["*"] * len(min(parents).parts))
    common = {"files": (folder / f"*{many[0].suffix}").as_posix(), **_format(first)}
    found: _Found
    stems = {path.stem for path in many} | {path.name for path in many}
    for table in others:
        for clip in table.names:
            if len(table.values(clip) & stems) > len(many) / 2:
                label = _likely(table, _LABEL_WORDS, [clip])
                found = {"kind": "files", **common, "channels": _channels(first, [])}
                found |= {"labels": table.path.relative_to(data).as_posix(), "clip": clip, "label": label}
                return _text(data, first, found | _whose(table, [clip, label]))
    texts = [name for name in first.names if not first.is_numeric(name)]  # a class on each row
    label = _named(first, _LABEL_WORDS) or next(iter(texts), "")
    if label:
        runs = sorted(len(list(run)) for _, run in itertools.groupby(first.columns[label]))
        window = min(_WINDOW, max(2, runs[len(runs) // 2] // 2))
        found = {"kind": "streams", **common, "channels": _channels(first, [label])}
        found |= {"label": label, "window": window, "stride": window // 2}
        if ignored := sorted(first.values(label) & _NOTHING):
            found["ignore"] = ignored
        return _text(data, first, found | {"group": listing.FILE})
    if len(parents) > 1:  # a folder of each class
        found = {"kind": "files", **common, "channels": _channels(first, [])}
        return _text(data, first, found | {"label": listing.FOLDER})
    raise UserError(f"{data}: found {len(many)} files such as {many[0].name}, and no table or column with their labels")


def _of_table(data: pathlib.Path, table: _Table, others: Sequence[_Table]) -> str:
    """One table of all clips, long or wide."""
    found: _Found = {"kind": "table", "files": table.path.relative_to(data).as_posix(), **_format(table)}
    for labels in others:
        for clip in (name for name in labels.names if name in table.names):
            label = _likely(labels, _LABEL_WORDS, [clip])
            found |= {"channels": _channels(table, [clip]), "clip": clip, "label": label}
            found["labels"] = labels.path.relative_to(data).as_posix()
            return _text(data, table, found | _whose(labels, [clip, label]))
    label = _likely(table, _LABEL_WORDS, [])
    clips = [name for name in table.names if name != label and not _is_group(name) and _names_clips(table, name, label)]
    if clips:
        found |= {"channels": _channels(table, [clips[0], label]), "clip": clips[0], "label": label}
        return _text(data, table, found | _whose(table, [clips[0], label]))
    channels = _channels(table, [label])
    root = math.isqrt(len(channels))
    found |= {"kind": "rows", "channels": channels, "label": label}
    if root > 1 and root * root == len(channels):
        found["frames"] = root
    return _text(data, table, found | _whose(table, [label, *channels]))


def _read(path: pathlib.Path) -> _Table | None:
    """The beginning of a file; None where it is no table."""
    if path.suffix == parquet.ENDING:
        with parquet.opened(path) as file:
            batch = next(file.iter_batches(_ROWS), None)
            names = list(file.schema_arrow.names)
        columns = {name: [str(value) for value in batch.column(name).to_pylist()] if batch else [] for name in names}
        return _Table(path, ",", True, names, columns)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            beginning = "".join(itertools.islice(file, _ROWS))
        separator = max(_SEPARATORS, key=beginning.partition("\n")[0].count)
        rows = list(csv.reader(io.StringIO(beginning), delimiter=separator, strict=True))
    except (OSError, ValueError, csv.Error):
        return None
    rows = [row for row in rows if row]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    header = not all(_is_number(value) for value in rows[0])
    names = rows[0] if header else [str(number) for number in range(len(rows[0]))]
    rows = rows[header:]
    return _Table(path, separator, header, names, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
        return True
    except ValueError:
        return False


def _names_clips(table: _Table, name: str, label: str) -> bool:
    """Whether equal values lie side by side, several of each and of one label, as ids of clips in a long table do."""
    values = table.columns[name]
    runs = sum(1 for _ in itertools.groupby(values))
    of_label = set(zip(values, table.columns[label], strict=True))
    return 1 < runs == len(set(values)) == len(of_label) <= len(values) / 2


def _is_group(name: str) -> bool:
    return any(word in name.lower() for word in _GROUP_WORDS)


def _named(table: _Table, words: Sequence[str]) -> str:
    return next((name for word in words for name in table.names if word in name.lower()), "")


def _likely(table: _Table, words: Sequence[str], others: Sequence[str]) -> str:
    """The column with the labels: by its name or, of those with few different values, the last."""
    names = [name for name in table.names if name not in others]
    named = next((name for word in words for name in names if word in name.lower()), "")
    few = [name for name in names if 1 < len(table.values(name)) <= len(table.columns[name]) / 2]
    texts = [name for name in few if not table.is_numeric(name)]
    if found := named or (texts or few or [""])[-1]:
        return found
    raise UserError(f"{table.path}: no column looks like a label: write a description by hand")


def _whose(table: _Table, others: Sequence[str]) -> dict[str, str]:
    """The columns with the group, and with the data's own division."""
    names = [name for name in table.names if name not in others]
    found = {}
    if group := next((name for name in names if _is_group(name)), ""):
        found["group"] = group
    for name in names:
        if name.lower() in _SPLIT_WORDS and "test" in table.values(name):
            found["test"] = f"{name}=test"
    return found


def _channels(table: _Table, others: Sequence[str]) -> list[str]:
    names = [name for name in table.names if name not in others and table.is_numeric(name)]
    return [name for name in names if name.lower() not in _TIME_WORDS and not _is_group(name)] or names


def _format(table: _Table) -> _Found:
    found: _Found = {} if table.separator == "," else {"separator": table.separator}
    return found if table.header else found | {"header": False}


_COMMENTS = {
    "kind": "a clip is a file (files), the rows of a clip (table), a row (rows) or a window (streams)",
    "files": "in DATA",
    "channels": "columns, or patterns such as acc_*; take out what is no measurement",
    "frames": "of a clip: its columns are so many frames of equal length",
    "label": "what is to be recognized",
    "group": "who: never split over training and test",
    "window": "frames; the class of a window is that of most of its rows",
    "ignore": "classes that are left out",
    "rotate": "the axes of a sensor that may be worn turned: training turns them; delete if all wore it alike",
    "test": "which clips are tested on",
}


def _text(data: pathlib.Path, table: _Table, found: _Found) -> str:
    lines = [f"# Guessed from {data.name}: look at each line, and correct it. All keys: pipeline/README.md."]
    if found["kind"] == "rows" and "frames" not in found:
        lines.append("# Add frames = ...: of how many frames of equal length the columns of a row are.")
    if "group" not in found:
        lines.append("# No column says who was recorded. If one does, add group = ...: or the test's people train too.")
    if rotate := _triples(found["channels"]):
        found = found | {"rotate": rotate}
    for name, value in (found | {"channels": _shortened(found["channels"], table.names)}).items():
        comment = f"  # {_COMMENTS[name]}" if name in _COMMENTS else ""
        lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}{comment}")
    return "\n".join(lines) + "\n"


def _triples(channels: list[str]) -> list[list[str]]:
    """Channels that differ in nothing but an x, a y and a z at an end, and are more than these letters alone."""
    found = []
    for name in channels:
        for axes in ([name[:-1] + axis for axis in "xyz"], [axis + name[1:] for axis in "xyz"]):
            if len(name) > 1 and name == axes[0] and set(axes) <= set(channels):
                found.append(axes)
    return found


def _shortened(channels: list[str], names: list[str]) -> list[str]:
    """A pattern in the place of many channels, where it means just these."""
    pattern = channels[0].rstrip("0123456789") + "*" if channels else ""
    return [pattern] if len(channels) > _MANY and fnmatch.filter(names, pattern) == channels else channels
