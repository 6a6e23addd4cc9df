"""What every command shares: options, one-line errors, and progress.

A user's mistake is a `UserError`: `run` prints it as one line and exits with status 1. So does what the machine refuses
(no space, no permission, no memory, a package that is not installed). Anything else is our mistake and keeps its
traceback.
"""

import argparse
import difflib
import errno
import itertools
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline import storage

# Progress and remarks go to standard error, so that standard output holds only results. In a log file there is no width
# to fit into: wide enough for every progress line.
console = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else 120)


Item = TypeVar("Item")

_NO_SPACE = "make room there, then run the same command: it goes on"
_NO_ACCESS = "get access to it, or name another place"
_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_ACCESS,
    errno.EPERM: _NO_ACCESS,
    errno.EROFS: _NO_ACCESS,
    errno.ENOTDIR: "a part of this path is a file, name another place",
}
# The extra of setup.py that brings a package which only some commands need.
_EXTRAS = {
    "apache_beam": "beam",
    "distributed": "beam",
    "keras": "train-cpu",
    "tensorflow": "train-cpu",
    "ai_edge_litert": "inference",
    "Levenshtein": "inference",
    "google-cloud-storage": "cloud",
}


class UserError(Exception):
    """A mistake the user can mend. The message is one line: what, where, what was expected, what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring and which names the nearest option for a misspelt one."""

    def __init__(self, docstring: str | None):
        super().__init__(
            description=docstring, formatter_class=_HelpFormatter, allow_abbrev=False, prog=_program_name()
        )

    def parse_known_args(self, args=None, namespace=None):
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        message = message.replace("invalid int value: ", "not a whole number: ")
        message = message.replace("invalid float value: ", "not a number, such as 0.1: ")
        unrecognized = message.removeprefix("unrecognized arguments: ")
        if unrecognized != message and not unrecognized.startswith("-"):
            message += " (no option takes it: write a list as 3,17, and quotes around a path with spaces)"
        known = [option[2:] for action in self._actions for option in action.option_strings if option.startswith("--")]
        # Also where another option is missed: it may be the one that is misspelt.
        for name in [word.partition("=")[0] for word in self._words if word.startswith("-")]:
            nearest = difflib.get_close_matches(name.lstrip("-"), known, n=1)
            if nearest and name != f"--{nearest[0]}":
                message += f" (did you mean --{nearest[0]} instead of {name}?)"
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Shows the docstring as it is written, and the defaults of options that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, (), []) else super()._get_help_string(action)


def _program_name() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    script = pathlib.Path(sys.argv[0])
    return f"python -m {spec.name}" if spec else f"{script.parent.name}/{script.stem}".lstrip("/")


def run(main: Callable[[], None]) -> None:
    """Runs a command's `main`; a mistake becomes one line and status 1, Ctrl-C one line and status 130.

    Where nobody reads the output any more (`| head`), the command ends without a word.
    """
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: nothing incomplete is marked complete; the same command goes on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = mistake(error)
        if message is None:
            raise
        print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)
        sys.exit(1)


def mistake(error: Exception) -> str | None:
    """The one line of an error that is not a mistake of this program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        file = error.filename2 or error.filename  # the second is where it was to be moved
        return f"{file}: {reason(error)}" if file else reason(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        return extra and f"{package} is not installed in {sys.prefix}: pip install -e '.[{extra}]' there"
    # TensorFlow's, by name: this package knows no TensorFlow.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        said = str(error).partition("\n")[0]
        return f"not enough memory or disk space ({said}): make room, or ask for less, such as smaller batches"
    return None


def reason(error: Exception) -> str:
    """What the system or a library says, in one line; and what to do where that is the same everywhere."""
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"\[errno (\d+)\]", said)):  # as Arrow words it
        number = int(found[1])
    return f"{said}: {_ADVICE[number]}" if number in _ADVICE else said


def cannot_read(path: storage.Path, error: Exception, advice: str) -> UserError:
    """For a file of a directory that this program wrote: `advice` holds where the file is gone or damaged.

    Whatever else keeps one from reading it, no permission or no network, leaves it as good as it was.
    """
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return UserError(f"cannot read {path}: {reason(error)}")
    return UserError(f"cannot read {path} ({reason(error)}): {advice}")


def nearby(wrong: storage.Path, fits: Callable[[pathlib.Path], bool]) -> str:
    """A remark with the place near `wrong` that fits, or nothing.

    Looked at are what has a name like it if there is no `wrong`, otherwise the two folders around it and what is in it.
    In a bucket nothing is looked at: each look would be a request.
    """
    if not isinstance(wrong, pathlib.Path):
        return ""
    try:
        if wrong.exists():
            inside = sorted(wrong.iterdir()) if wrong.is_dir() else []
            candidates = [*itertools.islice(wrong.parents, 2), *inside]
        else:
            names = sorted(each.name for each in wrong.parent.iterdir())
            candidates = [wrong.with_name(name) for name in difflib.get_close_matches(wrong.name, names)]
        found = next((each for each in candidates if fits(each)), None)
    except OSError:
        found = None
    return f" (did you mean {found}?)" if found else ""


def what_is_there(wrong: storage.Path) -> str:
    """In words, what stands where a directory was expected."""
    if isinstance(wrong, pathlib.Path) and wrong.is_symlink() and not wrong.exists():
        return f"a link to {wrong.readlink()}, which is not there"
    return "a file, not a directory" if wrong.exists() else "no such file or directory"


def path(text: str) -> storage.Path:
    """A path on this machine, in which `~` is one's home, or a gs:// URL; for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty (a variable that is not set?)")
    try:
        found = storage.path(text)
        return found.expanduser() if isinstance(found, pathlib.Path) else found
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


class _Rate(ProgressColumn):
    """How many a second: of late, and once all is done on average."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields.get("already", 0)  # what was done before it began says nothing
        average = done / task.elapsed if task.elapsed else 0.0
        return Text(f"{average if task.finished else task.speed or average:,.1f}/s")


def progress(unit: str = "") -> Progress:
    """A progress display with counts, rate, elapsed time and time left; one final line where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        _Rate(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[Item], title: str, unit: str, *, total: int) -> Iterator[Item]:
    """Yields the `total` items and shows how far they are."""
    with progress(unit) as bar:
        task = bar.add_task(title, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)
