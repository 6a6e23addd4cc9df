"""Landmark parquet to TFRecord datasets: conversion, statistics, scoring and filtering, without TensorFlow."""

import importlib.machinery
import os
import sys

# While `python -m` looks for a command, this stands for its name. A file or package of the current folder that would be
# run in a module's place is told before another module is imported: these three are loaded by now.
_STARTING = sys.argv[:1] == ["-m"]
if _STARTING and not sys.flags.safe_path:
    _installed = [each for each in sys.path if each.endswith("-packages")]
    for _name in os.listdir():  # noqa: PTH208  # pathlib may be such a module
        _module = _name.removesuffix(".py")
        if _module == _name and not os.path.isfile(f"{_name}/__init__.py"):  # noqa: PTH113
            continue
        if not _module.isidentifier() or _module in ("pipeline", "training", "inference", "scripts"):
            continue
        if _module in sys.stdlib_module_names or importlib.machinery.PathFinder.find_spec(_module, _installed):
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
