"""Folders for what is temporary: gone with the process that made them, or with the next one that looks."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

_PREFIX = "fingerspelling-"


@contextlib.contextmanager
def temporary_folder() -> Iterator[pathlib.Path]:
    """Yields a new folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as name:
        yield pathlib.Path(name)


def remove_leftovers() -> None:
    """Removes the folders of processes that were killed."""
    with contextlib.suppress(OSError):  # of a place that cannot be looked into
        for each in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            match = re.fullmatch(rf"{_PREFIX}(\d+)-.*", each.name)
            if match and not _is_running(int(match[1])):
                shutil.rmtree(each, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
