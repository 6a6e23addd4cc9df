"""Variables on disk: one `.npz` file of arrays by name, replaced atomically, never a pickle."""

import os
import pathlib
import zipfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from pipeline import commands, storage
from pipeline.commands import UserError
from pipeline.storage import Path

_RUN = "run"  # the array that holds the run's fingerprint


def save(path: Path, variables: Iterable[keras.Variable], *, run: str = "") -> None:
    """Writes the variables; on an error (a full disk, say) the file that was there stays whole.

    Args:
      run: what identifies the run that they are of, if that matters.
    """
    with storage.replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {_name(index, v): np.asarray(v) for index, v in enumerate(variables)}
        np.savez(file, **arrays | ({_RUN: np.array(run)} if run else {}))
        file.flush()
        if isinstance(temporary, pathlib.Path):
            os.fsync(file.fileno())  # a preempted machine may stop right after


def load(path: Path, variables: Iterable[keras.Variable], *, run: str = "") -> None:
    """Assigns the saved values. Raises `UserError` where the file is unreadable, or of another model or run."""
    variables = list(variables)
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # told apart here: numpy takes it for a pickle
                raise ValueError("it is cut short, or no .npz file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise commands.cannot_read(path, error, f"delete {path.parent} and train it again") from error
    saved_by = str(arrays.pop(_RUN, ""))
    expected = {_name(index, v): tuple(v.shape) for index, v in enumerate(variables)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise UserError(
            f"{path} holds another model ({names[0]} is {found.get(names[0])} there and {expected.get(names[0])} here;"
            f" {len(names)} arrays differ), perhaps of another version of this program: delete {path.parent} and train"
            " it again"
        )
    if saved_by != run:
        raise UserError(
            f"{path} is of a run with other settings or another data set: put this run's own back, or delete"
            f" {path.parent} and train it again"
        )
    for index, v in enumerate(variables):
        v.assign(arrays[_name(index, v)])


def _name(index: int, variable: keras.Variable) -> str:
    # Keras numbers seed generators and optimizers by how many the process has made: no part of what they are. The index
    # makes the name unique and keeps the order; a slash would make folders inside the archive.
    owner, _, rest = variable.path.partition("/")
    return f"{index:04d}.{owner.rstrip('_0123456789')}.{rest.replace('/', '.')}"
