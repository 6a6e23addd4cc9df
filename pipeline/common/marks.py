"""Marks of input files: what tells files of one size apart, without reading all of them."""

import errno
import hashlib
import os
from collections.abc import Iterable
from typing import IO

from pipeline.common import errors
from pipeline.common.directories import fingerprint
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath, GsPath, check_ends

_MARKED_BYTES = 64 << 10  # 64 KiB
_LONGEST_FOOTER = 64 << 20  # 64 MiB
_SAMPLES, _SAMPLE_BYTES = 16, 4 << 10  # 4 KiB each


def mark_of(data: AnyPath, names: Iterable[str]) -> str:
    """What tells these files from others of the same sizes: see `file_marks`."""
    by_folder: dict[str, list[str]] = {}
    for path in names:
        folder, _, name = path.rpartition("/")
        by_folder.setdefault(folder, []).append(name)
    try:
        marks = [file_marks(data / folder, members) for folder, members in sorted(by_folder.items())]
    except OSError as error:
        raise UserError(f"cannot read {error.filename or data}: {errors.reason(error)}") from error
    return fingerprint(marks)


def file_marks(folder: AnyPath, names: Iterable[str]) -> dict[str, str]:
    """What tells files of one size apart: a SHA-256 of some of their bytes, or the CRC-32C that a bucket keeps.

    The bytes are the end of a file, of a parquet file all of its footer, where every column leaves traces, and samples
    of the rest. Raises `OSError`.
    """
    if isinstance(folder, GsPath):
        marks = folder.file_marks()
        if gone := [name for name in names if name not in marks]:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / gone[0]))
        return {name: marks[name] for name in names}
    found = {}
    for name in names:
        check_ends(folder / name)
        with (folder / name).open("rb") as file:
            found[name] = _mark(file)
    return found


def _mark(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    last = file.read()
    footer = int.from_bytes(last[:4], "little") + 8 if last[4:] == b"PAR1" else 0
    end = min(size, max(_MARKED_BYTES, min(footer, _LONGEST_FOOTER)))
    step = max(1, (size - end) // _SAMPLES)
    digest = hashlib.sha256()
    for start in range(0, size - end, step):
        file.seek(start)
        digest.update(file.read(min(_SAMPLE_BYTES, size - end - start)))
    file.seek(size - end)
    digest.update(file.read())
    return digest.hexdigest()
