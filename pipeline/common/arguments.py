"""Command lines: a parser that suggests the nearest option, and types for `argparse`."""

import argparse
import difflib
import math
import pathlib
import re
import shlex
import sys
from collections.abc import Callable
from typing import NoReturn

from pipeline.common import storage

_LARGEST = 2**31 - 1
_MOST_THREADS = 1024


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring and which names the nearest option for a misspelt one."""

    def __init__(self, docstring: str | None, *, epilog: str | None = None):
        super().__init__(
            description=docstring,
            epilog=epilog and epilog.replace("%", "%%"),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            prog=_program_name(),
        )

    def parse_known_args(self, args=None, namespace=None):
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        message = message.replace("invalid int value: ", "not a whole number: ")
        message = message.replace("invalid float value: ", "not a number, such as 0.1: ")
        unrecognized = message.removeprefix("unrecognized arguments: ")
        if unrecognized != message and not unrecognized.startswith("-"):
            message += " (no option takes it: write a list like 3,17, and quotes around a path with spaces)"
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
    name = spec.name if spec else pathlib.Path(sys.argv[0]).stem
    script = re.fullmatch(r"scripts\.(\w+)", name)  # started by the shell script of this name
    return f"scripts/{script[1]}" if script else f"python -m {name}"


def path(text: str) -> storage.AnyPath:
    """A path on this machine, in which `~` is one's home, or a gs:// URL; for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty (a variable that is not set?)")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: there is no NUL in a path")
    try:
        found = storage.path(text)
        # Of ./~ no more than the ~ is left by now.
        return found.expanduser() if isinstance(found, pathlib.Path) and text.startswith("~") else found
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def command(*words: object) -> str:
    """The line that a shell takes for these words and paths, whatever is in them."""
    return shlex.join(as_word(each) if isinstance(each, pathlib.PurePath) else str(each) for each in words)


def as_word(path: pathlib.PurePath) -> str:
    """The word of a command line that `path` takes for this path, also where it begins like an option or a home."""
    text = str(path)
    return f"./{text}" if text.startswith(("-", "~")) else text


def number(fits: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """For argparse: a finite number that fits; `what` it is, for messages."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


above_zero = number(lambda value: value > 0, "a number above 0")


def positive(text: str, most: int = _LARGEST) -> int:
    """A whole number of at least 1, for argparse; of 32 bits, as native libraries take no more."""
    digits = text.lstrip("0")
    if not text.isdecimal() or not digits:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    if len(digits) > len(str(most)) or int(digits) > most:
        shown = text if len(text) <= 20 else f"{text[:17]}..."
        raise argparse.ArgumentTypeError(f"{shown!r} is not a whole number of at most {most}")
    return int(text)


def threads(text: str) -> int:
    """Threads for one clip, for argparse: LiteRT crashes where the system has no more of them."""
    return positive(text, _MOST_THREADS)
