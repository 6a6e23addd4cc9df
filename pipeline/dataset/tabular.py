"""Tables of numbers, CSV or parquet, to clips, streaming: those that a description file tells of.

Shapes: R rows of a table, T frames, C channels. A clip's id is made of the file's place among all of them and its own
place in the file (see `Tables.clip_id`), so that a reader knows without the list of clips which clip is which.
"""

import collections
import contextlib
import csv
import io
import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet
from pipeline.dataset.takes import Take, name_of
from pipeline.tasks.faults import BAD_TABLE, NO_LANDMARKS, Fault
from pipeline.tasks.task import Layout, Points, Tables, Task

ENDINGS = (".csv", ".tsv", ".txt", parquet.ENDING)
_MISSING = ["", "NaN", "nan", "NA", "null", "NULL", "None"]
_BLOCK = 1 << 20  # bytes of CSV decoded at a time
_ROWS = 4096  # of parquet


def files_of(data: AnyPath, described: Tables) -> list[str]:
    """The files of a folder that the description's pattern means, the table of labels not among them, sorted.

    Raises:
      UserError: it is no pattern within the folder.
    """
    pattern = described.files
    try:
        if ".." in pathlib.PurePosixPath(pattern).parts:
            raise ValueError("it leaves DATA")
        files = sorted(path.relative_to(data).as_posix() for path in data.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError, IndexError) as error:
        raise UserError(f"files = {pattern!r}: {error}; expected a pattern such as recordings/*.csv") from error
    return [path for path in files if path != described.labels]


def read_clips(path: AnyPath, task: Task, ids: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Fault]]:
    """Yields each clip of a file, of those that are listed, with its values (T, C, 1) float32, NaN for missing.

    Raises:
      UserError: the file cannot be read, or is not as described. Where a file is a clip, that is the clip's fault.
    """
    tables = _tables(task)
    if tables.kind == "files":
        try:
            found = _whole(path, task.points, tables, exact=True)
        except UserError as error:
            found = Fault(BAD_TABLE, str(error))
        yield ids[0], found
        return
    id_at = {tables.place(each)[1]: each for each in sorted(ids)}
    if tables.kind == "streams":
        yield from ((id_at[first], frames) for first, frames in _windows(path, task.points, tables, iter(id_at)))
        return
    for place, (_, frames) in enumerate(_clips_of_table(path, task.points, tables)):
        if place in id_at:
            yield id_at[place], frames


def read_takes(path: AnyPath, points: Points, layout: Layout) -> Iterator[Take]:
    """Yields what there is to recognize in a file, with its values (T, C, 1) float32; labels are not needed.

    A window is named after its first frame and the one that follows its last or, where the rate is known, its time in
    seconds. Raises `UserError` as `read_clips`.
    """
    assert isinstance(layout, Tables)
    if layout.kind == "files":
        found = _whole(path, points, layout, exact=False)
        if isinstance(found, Fault):
            raise parquet.unusable(path, found)
        yield Take(name_of(path), found)
    elif layout.kind == "streams":
        for first, frames in _windows(path, points, layout, itertools.count(0, layout.stride)):
            last = first + layout.window
            rate = layout.rate
            yield Take(f"{first / rate:.2f}-{last / rate:.2f} s" if rate else f"{first}-{last}", frames)
    else:
        yield from (Take(name, frames) for name, frames in _clips_of_table(path, points, layout))


def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int | str, np.ndarray]]:
    """Yields each clip by name, with its values (T, C) as an exported file takes them."""
    del columns  # they are the channels
    return ((take.sequence_id, take.landmarks[:, :, 0]) for take in read_takes(path, task.points, task.layout))


def is_layout(names: Sequence[str], layout: Layout) -> bool:
    """Whether a file has the columns that are read."""
    assert isinstance(layout, Tables)
    return set(layout.values) <= set(names)


def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
    """Frames of each clip of a file."""
    found = read_clips(path, task, ids)
    return {each: 0 if isinstance(frames, Fault) else len(frames) for each, frames in found}


def last_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, float]:
    """None: rows of tables are not numbered."""
    del path, task, ids
    return {}


def header(path: AnyPath, tables: Tables) -> list[str]:
    """The names of the columns. Raises `UserError` where there are none, or one is there twice."""
    if path.suffix == parquet.ENDING:
        with parquet.opened(path) as file:
            names = list(file.schema_arrow.names)
    else:
        with _opened(path) as source, io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as text:
            try:
                names = next(csv.reader(text, delimiter=tables.separator, strict=True), [])
            except (csv.Error, UnicodeDecodeError) as error:
                raise UserError(f"{path}: it cannot be read ({error}): expected text in UTF-8") from error
        if not tables.header:
            names = [str(number) for number in range(len(names))]
    if not names:
        raise UserError(f"{path} is empty: expected a table")
    if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
        raise UserError(f"{path} has the column {twice[0]!r} more than once")
    return names


def batches(
    path: AnyPath, tables: Tables, texts: Sequence[str] = (), *, numbers: bool = True, exact: bool = True
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields the values (R, K) float32 of some rows after the other, and the texts (R,) of other columns.

    Args:
      numbers: whether the values are wanted; there are none otherwise (R, 0).
      exact: whether it must have the columns of the description, and no other.

    Raises:
      UserError: the file cannot be read, has other columns than expected, or text in a column of numbers.
    """
    names = header(path, tables)
    wanted = [*(tables.values if numbers else ()), *texts]
    there, expected = set(names), set(tables.columns)
    if missing := [name for name in [*wanted, *(tables.columns if exact else ())] if name not in there]:
        raise UserError(f"{path} lacks the column {missing[0]!r}: it has {', '.join(names)[:80]}")
    if exact and (extra := [name for name in names if name not in expected]):
        raise UserError(f"{path} has the column {extra[0]!r}, which the first of the files has not")
    of_parquet = path.suffix == parquet.ENDING
    for batch in (_parquet if of_parquet else _csv)(path, tables, names, wanted):
        found = {name: _texts(path, name, batch.column(name)) for name in texts}
        values = [_numbers(path, name, batch.column(name)) for name in (tables.values if numbers else ())]
        yield np.stack(values, axis=1) if values else np.empty((batch.num_rows, 0), np.float32), found


def _texts(path: AnyPath, name: str, column: pa.Array) -> np.ndarray:
    try:
        values = column.cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise UserError(f"{path}: column {name} is of the type {column.type}: expected texts or numbers") from error
    if any(value is None or "\n" in value or "\r" in value for value in values):
        raise UserError(f"{path}: column {name} has a row without a value, or with a line break in it")
    return np.asarray(values, object)


def _numbers(path: AnyPath, name: str, column: pa.Array) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise UserError(f"{path}: column {name} is of the type {kind}: expected numbers")
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float32)


def _csv(path: AnyPath, tables: Tables, names: list[str], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    values = set(tables.values)
    kinds = {name: pa.float64() if name in values else pa.string() for name in wanted}
    try:
        with _opened(path) as source:
            reader = pyarrow.csv.open_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False,  # other cores have files of their own
                    block_size=_BLOCK,
                    column_names=names,
                    skip_rows=int(tables.header),
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=tables.separator, ignore_empty_lines=len(names) > 1),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=kinds, include_columns=wanted, null_values=_MISSING, strings_can_be_null=False
                ),
            )
            yield from (batch for batch in reader if batch.num_rows)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        said = re.sub(r"In CSV column #(\d+): ", lambda found: f"column {names[int(found[1])]}: ", str(error))
        raise UserError(f"{path}: {said.removeprefix('CSV parse error: ')}: correct that row") from error


def _parquet(path: AnyPath, tables: Tables, names: list[str], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    del tables, names
    with parquet.opened(path) as file:
        yield from file.iter_batches(_ROWS, columns=wanted, use_threads=False)


@contextlib.contextmanager
def _opened(path: AnyPath) -> Iterator[Any]:
    try:
        storage.check_ends(path)
        with path.open("rb") as source:
            yield source
    except OSError as error:
        raise UserError(f"cannot read {path}: {errors.reason(error)}") from error


def _tables(task: Task) -> Tables:
    assert isinstance(task.layout, Tables)
    return task.layout


def _frames(points: Points, rows_RxK: np.ndarray) -> np.ndarray:
    """(T, C, 1)."""
    return rows_RxK.reshape(-1, *points.shape)


def _whole(path: AnyPath, points: Points, tables: Tables, *, exact: bool) -> np.ndarray | Fault:
    """(T, C, 1) of a file that is a clip."""
    rows = [rows for rows, _ in batches(path, tables, exact=exact)]
    return _frames(points, np.concatenate(rows)) if rows else Fault(NO_LANDMARKS, "its file has no rows")


def _clips_of_table(path: AnyPath, points: Points, tables: Tables) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each clip of a table by its name, with its values (T, C, 1)."""
    if tables.kind == "rows":
        row = 0
        for rows_RxK, texts in batches(path, tables, [tables.clip] if tables.clip else [], exact=False):
            for place, values_K in enumerate(rows_RxK):
                yield texts[tables.clip][place] if tables.clip else str(row), _frames(points, values_K)
                row += 1
        return
    pending: list[np.ndarray] = []
    name = ""
    for rows_RxK, texts in batches(path, tables, [tables.clip], exact=False):
        names = texts[tables.clip]
        starts = np.flatnonzero(names[1:] != names[:-1]) + 1
        for first, rows in zip(np.r_[0, starts].tolist(), np.split(rows_RxK, starts), strict=True):
            if pending and names[first] != name:
                yield name, _frames(points, np.concatenate(pending))
                pending = []
            pending.append(rows)
            name = names[first]
    if pending:
        yield name, _frames(points, np.concatenate(pending))


def _windows(path: AnyPath, points: Points, tables: Tables, firsts: Iterator[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the windows that begin at these rows, which rise, with their values (T, C, 1); ends with the file."""
    kept, before = np.empty((0, len(tables.values)), np.float32), 0  # rows at hand, and how many came before them
    first = next(firsts, None)
    for rows_RxK, _ in batches(path, tables, exact=False):
        kept = np.concatenate([kept, rows_RxK])
        while first is not None and first + tables.window <= before + len(kept):
            yield first, _frames(points, kept[first - before : first - before + tables.window])
            first = next(firsts, None)
        if first is None:
            return
        unneeded = min(max(first - before, 0), len(kept))
        kept, before = kept[unneeded:], before + unneeded
