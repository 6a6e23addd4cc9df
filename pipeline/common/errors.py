"""One-line errors: a user's mistake is a `UserError`, which `run` prints as one line before it exits with status 1.

So is what the machine refuses (no space, no permission, no memory, a package that is not installed). Anything else is
our mistake and keeps its traceback.
"""

import contextlib
import difflib
import errno
import io
import itertools
import os
import pathlib
import re
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.common import storage

_NO_SPACE = "make room there, then run the same command again to continue"
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
    "bokeh": "report",
    "jinja2": "report",
    "matplotlib": "report",
    "Levenshtein": "inference",
    "google-cloud-storage": "cloud",
}


class UserError(Exception):
    """A mistake the user can correct. The message is one line: what, where, what was expected, what to do."""


def run(main: Callable[[], None]) -> None:
    """Runs a command's `main`; a mistake becomes one line and status 1, Ctrl-C one line and status 130.

    SIGTERM and SIGHUP end it as well, with the status that shells give, once what is temporary is removed; but under
    `nohup` SIGHUP does not. Where nobody reads the output any more (`| head`), the command ends without a word.
    """
    _make_output_safe()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        _run(main)
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # Python flushes it once more at its end, and would complain of what was said already
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(main: Callable[[], None]) -> None:
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted: nothing incomplete is marked complete; run the same command again to continue")
        sys.exit(130)
    except Exception as error:
        if _asked_to_end:
            sys.exit(128 + _asked_to_end[0])
        message = mistake(error)
        if message is None:
            raise
        _say(f"error: {' '.join(message.splitlines())}")
        sys.exit(1)


def _make_output_safe() -> None:
    """After this, what is printed never fails: not where it is closed, nor for what the terminal cannot write.

    Of standard output, which holds results, it is told where it cannot be written. What cannot be said on standard
    error, such as progress on a full disk, is no reason to give up the work.
    """
    for descriptor in range(3):  # the next file that is opened would become what libraries write to
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before Python began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if type(sys.stderr) is io.TextIOWrapper:  # not a test's
        raw = _Forgiving(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, "backslashreplace", write_through=True)


class _Forgiving(io.FileIO):
    """A file to which writing never fails."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)


_asked_to_end: list[int] = []  # by which signals


def _end(number: int, frame: object) -> None:
    _asked_to_end.append(number)  # libraries make other exceptions of the one raised here, as Beam does
    for each in (signal.SIGTERM, signal.SIGHUP):  # that one comes after the other must not stop the tidying
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def mistake(error: Exception) -> str | None:
    """The one line of an error that is not a mistake of this program."""
    if isinstance(error, UserError):
        return str(error)
    if means_no_memory(error):
        said = str(error).partition("\n")[0] or "none is left"
        return f"not enough memory or disk space ({said}): make room, or ask for less, such as smaller batches"
    if isinstance(error, OSError) and error.errno is not None:
        file = error.filename2 or error.filename  # the second is where it was to be moved
        return f"{file}: {reason(error)}" if file else reason(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        return extra and f"{package} is not installed in {sys.prefix}: pip install -e '.[{extra}]' there"
    return None


# As libraries word it in errors of other kinds: C++, Arrow, the system, Python's threads, the loader of libraries.
# XNNPACK, LiteRT's kernels, gives no reason; it ran each model at its export, so memory is what it lacks now.
_NO_MEMORY = (
    r"bad_alloc|malloc of size|[Cc]annot allocate memory|can't start new thread|failed to map segment"
    r"|failed to create XNNPACK runtime"
)


def means_no_memory(error: Exception) -> bool:
    """Whether the machine has none left: what was read may be as good as ever."""
    # TensorFlow's, by name: this package knows no TensorFlow.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return not isinstance(error, UserError) and re.search(_NO_MEMORY, str(error)) is not None


def reason(error: Exception) -> str:
    """What the system or a library says, in one line; and what to do where that is the same everywhere."""
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"\[errno (\d+)\]", said)):  # as Arrow words it
        number = int(found[1])
    return f"{said}: {_ADVICE[number]}" if number in _ADVICE else said


def cannot_read(path: storage.AnyPath, error: Exception, advice: str) -> UserError:
    """For a file of a directory that this program wrote: `advice` holds where the file is gone or damaged.

    Whatever else keeps one from reading it, no permission or no network, leaves it as good as it was.
    """
    if means_no_memory(error):
        return UserError(f"{path}: {mistake(error)}")
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return UserError(f"cannot read {path}: {reason(error)}")
    return UserError(f"cannot read {path} ({reason(error)}): {advice}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or else all of them, for the end of a message."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else f": expected {' or '.join(known)}"


def suggest_path(wrong: storage.AnyPath, fits: Callable[[pathlib.Path], bool]) -> str:
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


def what_is_there(wrong: storage.AnyPath) -> str:
    """In words, what stands where a directory was expected."""
    if isinstance(wrong, pathlib.Path) and wrong.is_symlink() and not wrong.exists():
        return f"a link to {wrong.readlink()}, which is not there"
    return "a file, not a directory" if wrong.exists() else "no such file or directory"
