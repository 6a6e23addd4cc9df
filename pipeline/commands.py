"""What every command shares: options, one-line errors, and progress.

A user's mistake is a `UserError`: `run` prints it as one line and exits with status 1. Anything else is our mistake and
keeps its traceback.
"""

import argparse
import difflib
import errno
import pathlib
import sys
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# Progress and remarks go to standard error, so that standard output holds only results. In a log file there is no width
# to fit into: wide enough for every progress line.
console = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else 120)


_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


class UserError(Exception):
    """A mistake the user can mend. The message is one line: what, where, what was expected, what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring and which names the nearest option for a misspelt one."""

    def __init__(self, docstring: str | None):
        super().__init__(
            description=docstring, formatter_class=_HelpFormatter, allow_abbrev=False, prog=_program_name()
        )

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        if message.startswith("unrecognized arguments: "):
            for word in message.removeprefix("unrecognized arguments: ").split():
                nearest = difflib.get_close_matches(word.partition("=")[0], known, n=1)
                if nearest:
                    message += f" (did you mean {nearest[0]}?)"
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Shows the docstring as it is written, and the defaults of options that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, (), []) else super()._get_help_string(action)


def _program_name() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec else pathlib.Path(sys.argv[0]).name


def run(main: Callable[[], None]) -> None:
    """Runs a command's `main`; a `UserError` becomes one line and status 1, Ctrl-C one line and status 130.

    So does what the file system refuses: no permission, no space, read-only.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: nothing incomplete is marked complete; the same command goes on", file=sys.stderr)
        sys.exit(130)


def path(text: str) -> pathlib.Path:
    """A path on this machine, for argparse."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is a URL; only paths on this machine are supported so far")
    return pathlib.Path(text)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def progress(unit: str = "") -> Progress:
    """A progress display with counts, elapsed time and time left; a single final line where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
