"""A table of clips that are known to be spoiled. Nothing is decided by it: it is what decisions are held against."""

import re

from pipeline.common import errors, tables
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath

_ID, _KIND = "sequence_id", "kind"


def read_truth(file: AnyPath, *, kinds: bool = True) -> dict[int, str]:
    """Kind of spoiling by clip id. Raises `UserError` where that cannot be read.

    Args:
      kinds: whether the file must have a column of kinds; those that are missing are empty.
    """
    columns = (_ID, _KIND) if kinds else (_ID,)
    found: dict[int, str] = {}
    try:
        for row, where in tables.read_rows(file, file.read_bytes(), columns):
            if not re.fullmatch(r"-?[0-9]{1,19}", row[_ID]):
                raise UserError(f"{where}: {_ID} {row[_ID]!r} is not a whole number: correct that line")
            if found.setdefault(int(row[_ID]), row.get(_KIND, "")) != row.get(_KIND, ""):
                raise UserError(f"{where}: clip {row[_ID]} is listed twice: delete one")
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {file}: expected a CSV file with {' and '.join(columns)} ({errors.reason(error)})"
        ) from error
    return found
