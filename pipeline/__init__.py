"""Landmark parquet to TFRecord datasets: conversion, statistics, scoring and filtering, without TensorFlow."""

import os
import sys

# While `python -m` looks for a command, this stands for its name. A file of the current folder that would be run in a
# module's place is told before another module is imported.
_STARTING = sys.argv[:1] == ["-m"]
if _STARTING and not sys.flags.safe_path:
    for _name in os.listdir():  # noqa: PTH208  # pathlib may be such a module
        _module = _name.removesuffix(".py")
        if _name != _module and _module in sys.stdlib_module_names | {"isal", "keras", "numpy", "pyarrow", "rich"}:
            sys.exit(f"error: {_name} in this folder would be run as Python's {_module}: rename it, or start elsewhere")

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
