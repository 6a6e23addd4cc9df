import argparse
import errno
import io
import pathlib
import re
import subprocess
import sys

import pytest
from rich.console import Console

from pipeline import commands
from pipeline.commands import Parser, UserError

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def parser():
    parser = Parser("Makes things.\n\n    python -m things --size 3\n")
    parser.add_argument("--size", type=int, default=3, help="how large")
    parser.add_argument("--output", required=True, help="where to")
    return parser


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a", "--sise", "4"], "unrecognized arguments: --sise 4 (did you mean --size instead of --sise?)"),
        (["--output", "a", "--sizes=4"], "(did you mean --size instead of --sizes?)"),
        (["--output", "a", "--zzz"], "unrecognized arguments: --zzz;"),
        (["--output", "a", "--siz", "4"], "(did you mean --size instead of --siz?)"),
        (["--size", "4"], "required: --output;"),
        (["--ouput", "a"], "required: --output (did you mean --output instead of --ouput?)"),
        (["--output", "a", "b"], "unrecognized arguments: b (no option takes it: "),
        (["--output", "a", "--size", "big"], "argument --size: not a whole number: 'big'"),
        (["--output", "a", "--size", "-x"], "argument --size: expected one argument;"),
    ],
)
def test_a_mistake_in_the_options_is_one_line(parser, words, message, capsys):
    with pytest.raises(SystemExit) as raised:
        parser.parse_args(words)
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert error.endswith("--help\n")


def test_help_shows_the_docstring_as_it_is_and_the_defaults(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    assert "Makes things.\n\n    python -m things --size 3\n" in text
    assert "how large (default: 3)" in text


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("a.txt: no such file"), 1, "error: a.txt: no such file\n"),
        (UserError("one line\nand another"), 1, "error: one line and another\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/b"),
            1,
            "error: /a/b: Permission denied: get access to it, or name another place\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/.b.tmp", None, "/a/b"),
            1,
            "error: /a/b: No space left on device: make room there, then run the same command: it goes on\n",
        ),
        (OSError(errno.EIO, "Input/output error"), 1, "error: Input/output error\n"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            1,
            "error: not enough memory or disk space (Unable to allocate 9 GiB): make room, or ask for less, such as"
            " smaller batches\n",
        ),
        (
            ModuleNotFoundError("No module named 'keras.ops'", name="keras.ops"),
            1,
            f"error: keras is not installed in {sys.prefix}: pip install -e '.[train-cpu]' there\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted: nothing incomplete is marked complete; the same command goes on\n"),
    ],
)
def test_what_becomes_of_a_mistake(error, code, message, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as raised:
        commands.run(main)
    assert raised.value.code == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [LookupError("ours"), OSError("ours"), ModuleNotFoundError("ours", name="pipelin")])
def test_our_own_mistakes_keep_their_traceback(error):
    def main():
        raise error

    with pytest.raises(type(error), match="ours"):
        commands.run(main)
    commands.run(lambda: None)


def test_a_reader_who_has_seen_enough():
    """As in `command | head -1`."""
    code = "from pipeline import commands; commands.run(lambda: [print(i) for i in range(10**6)])"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("module", ["pipeline.convert", "training.train", "inference.recognize"])
def test_outside_the_environment_a_command_says_what_is_missing(module):
    """-S hides the installed packages."""
    command = [sys.executable, "-S", "-m", module]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert re.fullmatch(r"error: google_crc32c is not installed in .*: activate the environment .*\n", finished.stderr)


def test_places_nearby(tmp_path):
    for name in ("data/landmarks", "results"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/train.csv").touch()

    def nearby(name):
        return commands.nearby(tmp_path / name, lambda path: (path / "train.csv").is_file())

    for name in ("dta", "", "data/landmarks", "data/train.csv"):
        assert nearby(name) == f" (did you mean {tmp_path / 'data'}?)"
    for name in ("result", "results", "nowhere/data"):
        assert nearby(name) == ""


def test_progress_goes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(commands, "console", Console(file=io.StringIO(), width=120))
    with commands.progress("things") as bar:
        bar.advance(bar.add_task("making", total=4, note="fine"), 4)
    shown = commands.console.file.getvalue()
    assert "making" in shown
    assert re.search(r"4/4 things [\d,]+\.\d/s fine", shown)
    assert capsys.readouterr().out == ""


def test_paths_are_of_this_machine_or_in_a_bucket(monkeypatch):
    assert commands.path("a/b").parts == ("a", "b")
    monkeypatch.setenv("HOME", "/home/me")
    assert commands.path("~/a") == pathlib.Path("/home/me/a")
    with pytest.raises(argparse.ArgumentTypeError, match="the path is empty"):
        commands.path("")
    assert str(commands.path("gs://bucket/a")) == "gs://bucket/a"
    with pytest.raises(argparse.ArgumentTypeError, match="'s3://bucket/a' is neither a path on this machine nor gs://"):
        commands.path("s3://bucket/a")
