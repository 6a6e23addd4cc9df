"""A table of clips that are known to be spoiled. Nothing is decided by it: it is what decisions are held against."""

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
    try:
        found = {int(row[_ID]): row.get(_KIND, "") for row, _ in tables.read_rows(file, file.read_bytes(), columns)}
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {file}: expected a CSV file with {' and '.join(columns)} ({errors.reason(error)})"
        ) from error
    return found
