"""CSV tables with a header, read strictly: a row that is not what it seems must not swallow others."""

import csv
import io
from collections.abc import Iterator, Sequence

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath

LONGEST_FIELD = 10_000  # characters: far beyond any label


def read_rows(
    file: AnyPath, content: bytes, columns: Sequence[str], *, separator: str = ","
) -> Iterator[tuple[dict[str, str], str]]:
    """Yields each row by its columns, and where it is, for messages.

    Args:
      content: of the file.
      columns: that there must be; there may be others.

    Raises:
      UserError: it is not UTF-8; a column is missing or there twice; a row has another number of fields than the
        header, a quote that is not closed, a line break within a field, or one that is longer than any label.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text ({error}): save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            where, line = f"{file}, line {line}", reader.line_num + 1
            if not fields:
                continue
            if fault := _fault(fields, header):
                raise UserError(f"{where}: {fault}")
            if header:
                yield dict(zip(header, fields, strict=True)), where
            else:
                header = fields
                _check_header(file, header, columns)
    except csv.Error as error:
        raise UserError(f"{file}, line {line}: {error}: is a quote not closed?") from error
    if not header:
        _check_header(file, header, columns)


def read_header(file: AnyPath, content: bytes) -> list[str]:
    """The names of the columns; none of an empty file. Raises `UserError` where it is not UTF-8, or no CSV."""
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        return next(csv.reader(text, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: its header cannot be read ({error})") from error


def _fault(fields: list[str], header: list[str]) -> str | None:
    if any("\n" in each or "\r" in each for each in fields):
        return "there is a line break within a field: is a quote not closed?"
    if longest := max((each for each in fields if len(each) > LONGEST_FIELD), default=""):
        return f"a field of {len(longest):,} characters, expected at most {LONGEST_FIELD:,}: is a quote not closed?"
    if header and len(fields) != len(header):
        return f"expected {len(header)} fields, as in the header, found {len(fields)}: is the file whole?"
    return None


def _check_header(file: AnyPath, header: list[str], columns: Sequence[str]) -> None:
    expected = f"expected {', '.join(columns)}, separated by commas; found {', '.join(header)[:80] or 'nothing'}"
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{file} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: {expected}")
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise UserError(f"{file} has the column {twice[0]} more than once: {expected}")
