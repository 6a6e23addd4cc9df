"""Landmark parquet to TFRecord datasets: conversion, statistics, scoring and filtering, without TensorFlow."""

import importlib.util
import sys

# While `python -m` looks for a command, this stands for its name. Outside the environment it was installed into, no
# command could say in one line what is missing: all import these, each package before what is in it.
if sys.argv[:1] == ["-m"]:
    for _name in ("google", "google.protobuf", "google_crc32c", "isal", "numpy", "pyarrow", "rich"):
        if importlib.util.find_spec(_name) is None:
            sys.exit(
                f"error: {_name} is not installed in {sys.prefix}: activate the environment that the scripts made"
                " (. .venv/bin/activate), or pip install -e ."
            )
