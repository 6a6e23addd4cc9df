import argparse
import io
import re

import pytest
from rich.console import Console

from pipeline import commands
from pipeline.commands import Parser, UserError


@pytest.fixture
def parser():
    parser = Parser("Makes things.\n\n    python -m things --size 3\n")
    parser.add_argument("--size", type=int, default=3, help="how large")
    parser.add_argument("--output", required=True, help="where to")
    return parser


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a", "--sise", "4"], "unrecognized arguments: --sise 4 (did you mean --size?)"),
        (["--output", "a", "--sizes=4"], "(did you mean --size?)"),
        (["--output", "a", "--zzz"], "unrecognized arguments: --zzz;"),
        (["--output", "a", "--siz", "4"], "(did you mean --size?)"),
        (["--size", "4"], "required: --output"),
        (["--output", "a", "--size", "big"], "argument --size: invalid int value: 'big'"),
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
        (PermissionError(13, "Permission denied", "/a/b"), 1, "error: /a/b: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
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


def test_our_own_mistakes_keep_their_traceback():
    def main():
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        commands.run(main)
    commands.run(lambda: None)


def test_progress_goes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(commands, "console", Console(file=io.StringIO(), width=120))
    with commands.progress("things") as bar:
        bar.advance(bar.add_task("making", total=4, note="fine"), 4)
    shown = commands.console.file.getvalue()
    assert "making" in shown
    assert re.search(r"4/4 things [\d,]+\.\d/s fine", shown)
    assert capsys.readouterr().out == ""


def test_paths_are_of_this_machine():
    assert commands.path("a/b").parts == ("a", "b")
    with pytest.raises(argparse.ArgumentTypeError, match="'gs://bucket/a' is a URL"):
        commands.path("gs://bucket/a")
