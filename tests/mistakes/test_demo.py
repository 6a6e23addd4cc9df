"""Mistakes people make with the options of `scripts/demo`: told before anything is installed or made."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/demo"
USAGE = "usage: scripts/demo [--task fingerspelling|isolated-signs] [--quick] [--output DIR]"

MISTAKES = {
    "--quik": "'--quik' (did you mean --quick?)",
    "-o out": "'-o' (did you mean --output?)",
    "--quick out": "unknown option 'out'",
    "--output=": "--output needs a directory, found ''",
    "--output --quick": "--output needs a directory, found '--quick'",
    "--output gs://bucket/demo": "'gs://bucket/demo' is a URL; only directories on this machine",
}


def run(*words):
    environment = os.environ | {"VIRTUAL_ENV": "/nowhere"}
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("words", MISTAKES)
def test_options(words):
    finished = run(*words.split())
    (line,) = finished.stderr.splitlines()
    assert line.startswith("scripts/demo: ") and MISTAKES[words] in line and line.endswith(USAGE)
    assert (finished.returncode, finished.stdout) == (2, "")


def test_help():
    finished = run("--help")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{USAGE}\n", "")
