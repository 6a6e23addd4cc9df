import argparse
import pathlib
import subprocess
import sys

import pytest

from pipeline.common import arguments
from pipeline.common.arguments import Parser


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


def test_paths_are_of_this_machine_or_in_a_bucket(monkeypatch):
    assert arguments.path("a/b").parts == ("a", "b")
    monkeypatch.setenv("HOME", "/home/me")
    assert arguments.path("~/a") == pathlib.Path("/home/me/a")
    with pytest.raises(argparse.ArgumentTypeError, match="the path is empty"):
        arguments.path("")
    assert str(arguments.path("gs://bucket/a")) == "gs://bucket/a"
    with pytest.raises(argparse.ArgumentTypeError, match="'s3://bucket/a' is neither a path on this machine nor gs://"):
        arguments.path("s3://bucket/a")


def test_whole_numbers_of_at_least_one():
    assert arguments.positive("12") == 12
    for text in ("0", "-1", "1.5", "", "many", "²"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of at least 1"):
            arguments.positive(text)


def test_a_command_says_how_it_was_started():
    done = subprocess.run([sys.executable, "-m", "pipeline.report"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("python -m pipeline.report: ")
    assert done.stderr.endswith("; see python -m pipeline.report --help\n")
