"""Variables on disk: one `.npz` file of arrays by name, replaced atomically, never a pickle."""

import zipfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from pipeline import commands, storage
from pipeline.commands import UserError
from pipeline.storage import Path


def save(path: Path, variables: Iterable[keras.Variable]) -> None:
    """Writes the variables; on an error (a full disk, say) the file that was there stays whole."""
    with storage.replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {_name(index, v): np.asarray(v) for index, v in enumerate(variables)}
        np.savez(file, **arrays)


def load(path: Path, variables: Iterable[keras.Variable]) -> None:
    """Assigns the saved values. Raises `UserError` where the file is unreadable or is of another model."""
    variables = list(variables)
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # told apart here: numpy takes it for a pickle
                raise ValueError("it is cut short, or no .npz file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise commands.cannot_read(path, error, f"delete {path.parent} and train it again") from error
    expected = {_name(index, v): tuple(v.shape) for index, v in enumerate(variables)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise UserError(
            f"{path} holds another model ({names[0]} is {found.get(names[0])} there and {expected.get(names[0])} here;"
            f" {len(names)} arrays differ), perhaps of another version of this program: delete {path.parent} and train"
            " it again"
        )
    for index, v in enumerate(variables):
        v.assign(arrays[_name(index, v)])


def _name(index: int, variable: keras.Variable) -> str:
    # Keras numbers seed generators and optimizers by how many the process has made: no part of what they are. The index
    # makes the name unique and keeps the order; a slash would make folders inside the archive.
    owner, _, rest = variable.path.partition("/")
    return f"{index:04d}.{owner.rstrip('_0123456789')}.{rest.replace('/', '.')}"
