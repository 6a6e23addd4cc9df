"""Mistakes people make with the options of `scripts/demo`: told before anything is installed or made."""

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts/demo"
USAGE = "usage: scripts/demo [--quick] [--output DIR]"

MISTAKES = {
    "--quik": "unknown option '--quik' (did you mean --quick?)",
    "--ouput out": "unknown option '--ouput' (did you mean --output?)",
    "-o out": "unknown option '-o' (did you mean --output?)",
    "--preset small": "unknown option '--preset'",
    "out/demo": "unknown option 'out/demo'",
    "--quick out": "unknown option 'out'",
    "--output": "--output needs a directory, found ''",
    "--output=": "--output needs a directory, found ''",
    "--output --quick": "--output needs a directory, found '--quick'",
    "--output gs://bucket/demo": "'gs://bucket/demo' is a URL; only directories on this machine are supported",
}


def run(*words):
    environment = os.environ | {"VIRTUAL_ENV": "/nowhere"}
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("words", MISTAKES)
def test_options(words):
    finished = run(*words.split())
    assert finished.stderr == f"scripts/demo: {MISTAKES[words]}; {USAGE}\n"
    assert (finished.returncode, finished.stdout) == (2, "")


def test_help():
    finished = run("--help")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{USAGE}\n", "")
