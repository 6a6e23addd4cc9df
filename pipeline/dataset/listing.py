"""The clips that a description file tells of: which there are, whose, and their labels, joined by name."""

import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.common import errors, tables
from pipeline.common.errors import UserError, nearest
from pipeline.common.storage import AnyPath
from pipeline.dataset import tabular
from pipeline.dataset.metadata import Entry, Metadata
from pipeline.dataset.splits import TEST
from pipeline.tasks.recordings import Recordings
from pipeline.tasks.task import Tables

# What is known of every clip, beside the columns of its table.
FILE, FOLDER, ROW = "file", "folder", "row"
LIST = "the list of clips"
MOST_CLASSES = 1000  # of a stream
SEPARATORS = ",\t;"  # of tables of labels
_WINDOWS = 4096  # judged at a time
_SHOWN = 3  # of what is left over


@dataclasses.dataclass(frozen=True, slots=True)
class _Clip:
    """Where a clip is, its name, and what is known of it by the names of columns."""

    path: str
    place: int
    name: str
    columns: dict[str, str]


def read(data: AnyPath, task: Recordings) -> tuple[Metadata, Recordings, list[str]]:
    """The clips of a data folder, the task with its classes and groups, and what was left over, in words.

    Raises:
      UserError: there is no file, or no clip with a label; a column is missing; a class has one clip alone; a group is
        on both sides of the condition for the test.
    """
    described = task.tables
    files = files_of(data, described)
    remarks: list[str] = []
    clips = _CLIPS[described.kind](data, described, files)
    if described.labels:
        clips = iter(_join(data, described, list(clips), remarks))
    tested = _condition(described.test, data) if described.test else None
    number_of = {path: number for number, path in enumerate(files)}
    entries: dict[int, Entry] = {}
    whose: list[str] = []
    blank: list[str] = []
    nobody: list[str] = []
    for clip in clips:
        label = _value(clip, described.label, data)
        if label in described.ignored:
            continue
        if not label.strip():
            blank.append(clip.name)
            continue
        who = _value(clip, described.group, data) if described.group else ""
        if described.group and not who.strip():
            nobody.append(clip.name)
        clip_id = described.clip_id(number_of[clip.path], clip.place)
        split = TEST if tested and tested(clip) else ""
        entries[clip_id] = Entry(clip.path, clip_id, clip_id, label, clip.name, split)
        whose.append(who)
    if blank:
        remarks.append(f"clips with an empty label, which are left out: {_some(blank)}")
    counts = collections.Counter(entry.label for entry in entries.values())
    _check(data, described, len(files), counts, blank)
    if nobody:
        raise UserError(
            f"{data}: clips without a {described.group}, who may be of anyone: {_some(nobody)}; leave them out"
        )
    groups: tuple[str, ...] = ()
    if described.group:
        _check_groups(data, described, zip(whose, entries.values(), strict=True))
        number_of_group, groups = _numbered(whose)
        for (clip_id, entry), who in zip(entries.items(), whose, strict=True):
            entries[clip_id] = dataclasses.replace(entry, signer=number_of_group[who])
    if groups:
        remarks.append(f"groups are numbered: {', '.join(f'{i} is {name}' for i, name in enumerate(groups))}")
    if tested and not any(entry.split for entry in entries.values()):
        raise UserError(f"{data}: no clip meets the condition {described.test!r} for the test: correct the description")
    content = hashlib.sha256()
    for entry in entries.values():
        content.update(json.dumps(dataclasses.astuple(entry)).encode())
    task = dataclasses.replace(task, labels=tuple(sorted(counts, key=_order)), groups=groups)
    return Metadata({LIST: content.hexdigest()}, entries), task, remarks


def _check(data: AnyPath, described: Tables, files: int, counts: Mapping[str, int], blank: Sequence[str]) -> None:
    """Raises `UserError` where there are too few clips to learn from: `counts` of each class."""
    if not counts and not blank:
        what = "no window is as long and as pure as described" if described.kind == "streams" else "no clip has a label"
        raise UserError(f"{data}: in {files} files {what}: correct the description")
    if rare := [label for label, count in counts.items() if count == 1]:
        raise UserError(f"{data}: the class {rare[0]!r} has one clip: record more of it, or ignore it (description)")
    if len(counts) < 2:
        raise UserError(f"{data}: all clips are of one class, {', '.join(counts) or 'none'}: expected two at least")


def _check_groups(data: AnyPath, described: Tables, entries: Iterable[tuple[str, Entry]]) -> None:
    """Raises `UserError` for a group on both sides of the condition for the test."""
    split_of: dict[str, str] = {}
    for who, entry in entries:
        if split_of.setdefault(who, entry.split) != entry.split:
            raise UserError(
                f"{data}: {described.group} {who} has clips that meet the condition {described.test!r} and others: a"
                " group is in one split; correct the description"
            )


def files_of(data: AnyPath, described: Tables) -> list[str]:
    """The files of a data folder that the description means, sorted. Raises `UserError` where there is none."""
    if not data.is_dir():
        raise UserError(f"{data}: {errors.what_is_there(data)}; expected a data folder")
    files = tabular.files_of(data, described)
    if not files:
        raise UserError(f"{data} has no files {described.files}: correct the pattern in the description")
    return files


def _of_files(data: AnyPath, described: Tables, files: Sequence[str]) -> Iterator[_Clip]:
    for number, path in enumerate(files):
        yield _Clip(path, number, pathlib.PurePosixPath(path).stem, {})


def _of_table(data: AnyPath, described: Tables, files: Sequence[str]) -> Iterator[_Clip]:
    """Of a table, long or wide, without its values."""
    own = (
        [] if described.labels else [described.label, described.group, described.test and _test_column(described.test)]
    )
    names = list(dict.fromkeys(name for name in [described.clip, *own] if name and name not in (FILE, FOLDER, ROW)))
    seen: dict[str, str] = {}
    own_columns = [name for name in names if name != described.clip]
    first: dict[str, str] = {}
    for path in files:
        place, last, row = -1, None, 0
        for rows, texts in tabular.batches(data / path, described, names, numbers=False):
            for index in range(len(rows)):
                name = texts[described.clip][index] if described.clip else str(row)
                row += 1
                known = {each: texts[each][index] for each in names}
                if described.kind == "table" and name == last:
                    if changed := [each for each in own_columns if known[each] != first[each]]:
                        raise UserError(f"{data / path}, row {row}: {changed[0]} changes within the clip {name}")
                    continue
                last, place, first = name, place + 1, known
                if name in seen and described.clip:
                    raise UserError(
                        f"{data / path}, row {row}: the clip {name} was there before, in {seen[name]}: its rows must be"
                        " side by side, and names differ"
                    )
                seen[name] = path
                yield _Clip(path, place, name, known)


def _of_streams(data: AnyPath, described: Tables, files: Sequence[str]) -> Iterator[_Clip]:
    """Windows with the class of most of their rows, where they are pure enough and it is not ignored."""
    for path in files:
        code_of: dict[str, int] = {}
        parts = [np.empty(0, np.int16)]
        for _, texts in tabular.batches(data / path, described, [described.label], numbers=False):
            codes = [code_of.setdefault(each, len(code_of)) for each in texts[described.label]]
            if len(code_of) > MOST_CLASSES:
                several = f"{described.label} has more than {MOST_CLASSES:,} values"
                raise UserError(f"{data / path}: {several}: is it a column of classes?")
            parts.append(np.array(codes, np.int16))
        codes_T = np.concatenate(parts)
        del parts
        names = sorted(code_of)
        sorted_codes = np.array([code_of[name] for name in names], np.int16)
        columns = [{described.label: name} for name in names]  # windows of a class share one: there may be a million
        firsts = np.arange(0, len(codes_T) - described.window + 1, described.stride)
        for start in range(0, len(firsts), _WINDOWS):
            some = firsts[start : start + _WINDOWS]
            rows = codes_T[some[0] : some[-1] + described.window]
            sums = np.zeros((len(rows) + 1, len(names)), np.int32)
            np.cumsum(rows[:, None] == sorted_codes, axis=0, out=sums[1:])
            counts = sums[some - some[0] + described.window] - sums[some - some[0]]
            best = counts.argmax(axis=1)
            pure = counts[np.arange(len(some)), best] >= described.purity * described.window
            for first, code in zip(some[pure].tolist(), best[pure].tolist(), strict=True):
                place = f"{pathlib.PurePosixPath(path).stem}:{first}"
                yield _Clip(path, first, place, columns[code])


_CLIPS: dict[str, Callable[[AnyPath, Tables, Sequence[str]], Iterator[_Clip]]] = {
    "files": _of_files,
    "table": _of_table,
    "rows": _of_table,
    "streams": _of_streams,
}
KINDS = tuple(_CLIPS)


def _join(data: AnyPath, described: Tables, clips: list[_Clip], remarks: list[str]) -> list[_Clip]:
    """The clips that the table of labels names, with its columns; what is left over goes into the remarks."""
    path = data / described.labels
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {errors.reason(error)}") from error
    wanted = [
        described.clip,
        *(name for name in (described.label, described.group) if name not in (FILE, FOLDER, ROW, "")),
    ]
    rows: dict[str, dict[str, str]] = {}
    for values, where in tables.read_rows(
        path, content, list(dict.fromkeys(wanted)), separator=_separator(content, described.clip)
    ):
        name = values[described.clip]
        if name in rows:
            raise UserError(f"{where}: {name} has a label before: delete one")
        rows[name] = values
    place_of = {name: place for place, name in enumerate(rows)}
    found: list[_Clip] = []
    used: dict[str, _Clip] = {}
    without: list[str] = []
    for clip in clips:
        pure = pathlib.PurePosixPath(clip.path)
        names = [clip.name, pure.name, clip.path] if described.kind == "files" else [clip.name]
        fitting = [name for name in names if name in rows]
        if not fitting:
            without.append(clip.path if described.kind == "files" else clip.name)
        elif fitting[0] in used:
            raise UserError(
                f"{path}: {fitting[0]} is the name of {used[fitting[0]].path} and of {clip.path}: name files with their"
                " folder"
            )
        else:
            used[fitting[0]] = clip
            # Files are numbered as their labels are: labels that slipped by a line are then found by their neighbours.
            place = place_of[fitting[0]] if described.kind == "files" else clip.place
            found.append(dataclasses.replace(clip, place=place, columns=clip.columns | rows[fitting[0]]))
    over = [name for name in rows if name not in used]
    if not found:
        raise UserError(
            f"{path}: no {described.clip} is the name of a clip: there it is {_some(over)}, of the clips"
            f" {_some(without)}; correct the description"
        )
    if without:
        remarks.append(
            f"warning: {len(without):,} of {len(clips):,} clips have no label in {described.labels}: {_some(without)};"
            " left out"
        )
    if over:
        remarks.append(
            f"warning: {described.labels} names {len(over):,} that {'is' if len(over) == 1 else 'are'} not in"
            f" {described.files}: {_some(over)}; left out"
        )
    return found


def _separator(content: bytes, column: str) -> str:
    """Of a table of labels: the one by which its header has the column."""
    names = content.partition(b"\n")[0].decode("utf-8-sig", "replace").strip()
    return next((each for each in SEPARATORS if column in [name.strip('"') for name in names.split(each)]), ",")


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@functools.lru_cache  # one text for all clips of a file, of which there may be a million
def _named(path: str) -> dict[str, str]:
    pure = pathlib.PurePosixPath(path)
    return {FILE: pure.stem, FOLDER: pure.parent.name}


_PLACES: dict[str, Callable[[_Clip], str]] = {
    FILE: lambda clip: _named(clip.path)[FILE],
    FOLDER: lambda clip: _named(clip.path)[FOLDER],
    ROW: lambda clip: str(clip.place),
}


def _value(clip: _Clip, column: str, data: AnyPath) -> str:
    if (place := _PLACES.get(column)) is not None:
        return place(clip)
    try:
        return clip.columns[column]
    except KeyError:
        known = [*filter(None, clip.columns), *_PLACES]
        raise UserError(
            f"{data}: no column {column!r} of labels{nearest(column, known)}: correct the description"
        ) from None


def _numbered(values: Iterable[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """A number for each: the one that it is or ends with; otherwise, by their order, and then with their names."""
    names = sorted(set(values), key=_order)
    ends = [re.search(r"[0-9]{1,9}$", name) for name in names]
    numbers = [int(end[0]) for end in ends if end]
    if len(set(numbers)) == len(names):
        return dict(zip(names, numbers, strict=True)), ()
    return {name: number for number, name in enumerate(names)}, tuple(names)


def _order(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key of an order in which 9 comes before 10."""
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", text) if part]
    return parts, text


_CONDITION = re.compile(r"\s*(?P<column>.+?)\s*(?P<operator>>=|=)\s*(?P<values>.+?)\s*")


def _test_column(condition: str) -> str:
    found = _CONDITION.fullmatch(condition)
    return found["column"] if found else ""


def _condition(condition: str, data: AnyPath) -> Callable[[_Clip], bool]:
    """Whether a clip is to be tested on: by `column=value,value` or `column>=number`."""
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise UserError(f"test = {condition!r}: expected a condition such as 'part=test' or 'row>=1200'")
    if found["operator"] == "=":
        values = {each.strip() for each in found["values"].split(",")}
        return lambda clip: _value(clip, found["column"], data) in values
    try:
        least = float(found["values"])
    except ValueError as error:
        raise UserError(f"test = {condition!r}: expected a number after >=") from error

    def reaches(clip: _Clip) -> bool:
        value = _value(clip, found["column"], data)
        try:
            return float(value) >= least
        except ValueError:
            raise UserError(f"test = {condition!r}: {found['column']} of {clip.name} is {value!r}, no number") from None

    return reaches
