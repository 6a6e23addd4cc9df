"""Landmark parquet to TFRecord datasets: conversion, statistics, scoring and filtering, without TensorFlow."""

import os
import sys

# While `python -m` looks for a command, this stands for its name.
_STARTING = sys.argv[:1] == ["-m"]
if _STARTING and not sys.flags.safe_path:
    # Nothing that lies in the current folder, such as a numpy.py, is to be run in a module's place: not here, nor in
    # the processes that a command starts. What is imported so far is loaded before any module of a folder can be.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    os.environ["PYTHONSAFEPATH"] = "1"
    if sys.path[0] not in sys.path[1:]:  # not where it is installed: another Python has other packages
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")]))

import importlib.util  # noqa: E402

# Outside the environment it was installed into, no command could say in one line what is missing: all import these,
# each package before what is in it.
if _STARTING:
    for _name in ("google", "google.protobuf", "google_crc32c", "isal", "numpy", "pyarrow", "rich"):
        if importlib.util.find_spec(_name) is None:
            sys.exit(
                f"error: {_name} is not installed in {sys.prefix}: activate the environment that the scripts made"
                " (. .venv/bin/activate), or pip install -e ."
            )
