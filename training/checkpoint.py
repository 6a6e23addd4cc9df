"""Variables on disk: one `.npz` file of arrays by name, replaced atomically, never a pickle."""

import collections
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath

_NOTE = "note"  # the array that holds JSON data which goes with the variables


def save(path: AnyPath, variables: Iterable[keras.Variable], note: dict[str, Any] | None = None) -> None:
    """Writes the variables; on an error (a full disk, say) the file that was there stays whole.

    Args:
      note: JSON data that goes with them.
    """
    arrays: dict[str, Any] = {name: np.asarray(v) for name, v in _named(variables)}
    arrays[_NOTE] = np.array(json.dumps(note or {}))
    with storage.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())  # a preempted machine may stop right after


def load(path: AnyPath, variables: Iterable[keras.Variable]) -> dict[str, Any]:
    """Assigns the saved values, and returns the note. Raises `UserError` where the file cannot be used."""
    named = dict(_named(variables))
    advice = f"delete {path.parent} and train it again"
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # told apart here: numpy takes it for a pickle
                raise ValueError("it is cut short, or no .npz file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        note = json.loads(str(arrays.pop(_NOTE, "")))
        if not isinstance(note, dict):
            raise ValueError("its note is not a JSON object")
    except MemoryError:
        raise
    # Of a damaged file zipfile, zlib, numpy and Python's own tokenizer raise some ten kinds of errors.
    except Exception as error:
        raise errors.cannot_read(path, error, advice) from error
    expected = {name: tuple(v.shape) for name, v in named.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise UserError(
            f"{path} holds another model ({names[0]} is {found.get(names[0])} there and {expected.get(names[0])} here;"
            f" {len(names)} arrays differ), perhaps of another version of this program: {advice}"
        )
    for name, v in named.items():
        v.assign(arrays[name])
    return note


def _named(variables: Iterable[keras.Variable]) -> Iterator[tuple[str, keras.Variable]]:
    """Yields each variable with a name of its own, in which nothing depends on what else the process has made.

    Keras numbers seed generators and optimizers by how many there are. Those that then share a name are told apart by
    their order.
    """
    counts: collections.Counter[str] = collections.Counter()
    for v in variables:
        # A slash would make folders inside the archive.
        name = ".".join(part.rstrip("_0123456789") if part.startswith("seed_") else part for part in v.path.split("/"))
        owner, _, rest = name.partition(".")
        name = ".".join(filter(None, (owner.rstrip("_0123456789"), rest)))
        counts[name] += 1
        yield name if counts[name] == 1 else f"{name}.{counts[name]}", v
