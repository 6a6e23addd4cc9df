"""Whether this machine, the packages and a data folder are ready for the whole path, before anything long.

    scripts/doctor
    scripts/doctor --data data/asl-fingerspelling --output out/run

One line a finding: `ok`, `warn` (it works, but read this) or `fail` (it does not; the line says what to do), which
makes the exit status 1. With --data also whether every file can be read, and, from some real steps of training on this
machine, about what a run takes. Nothing is installed or changed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Iterator

OK, WARN, FAIL = "ok", "warn", "fail"
GB = 10**9
MEMORY, DISK = 1.5 * GB, 5 * GB  # the demo's largest process holds 1.2 GB; packages take 4 GB, the demo 1
Finding = tuple  # of level, subject, and in words what was found, what was expected, what to do


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=local, help="folder with the metadata and its files, to be checked")
    parser.add_argument("--task", help="what is recorded, as of pipeline.convert")
    parser.add_argument("--output", type=local, default=pathlib.Path("out"), help="where a run is to write")
    arguments = parser.parse_args()
    failed = 0
    for level, subject, text in examine(arguments):
        say(f"{level:<5} {subject:<12} {text}")
        failed += level == FAIL
    if failed:
        say(f"\n{failed} to fix first: see what begins with {FAIL}")
        sys.exit(1)
    run = shlex.join(["scripts/run_pipeline", "--data", str(arguments.data), "--output", str(arguments.output)])
    run += f" --task {shlex.quote(arguments.task)}" if arguments.task else ""
    say(f"\nnothing stands in the way; next: {run if arguments.data else 'scripts/demo'}")


def say(text: str) -> None:
    """Prints a line; ends where it cannot be written. What the terminal cannot show is escaped."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # nobody reads on, as with `| head`
            os.write(2, f"error: cannot write what was found: {error.strerror}\n".encode())
        os._exit(1)


def local(text: str) -> pathlib.Path:
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is a URL; only folders on this machine are looked at")
    return pathlib.Path(text)


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """All findings, each as soon as it is known."""
    packages = [check_python(), check_packages()]
    yield from packages
    yield check_memory()
    yield check_disk(arguments.output)
    if any(level == FAIL for level, *_ in packages):
        if arguments.data is not None:
            yield FAIL, "data", f"{arguments.data} was not looked at: install the packages first"
        return
    from scripts import doctor_data  # only now: it needs the packages

    yield doctor_data.check_accelerator()
    if arguments.data is not None:
        yield from doctor_data.examine(arguments.data, arguments.task)


def check_python() -> Finding:
    found = f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})"
    if (3, 11) <= sys.version_info < (3, 14):
        return OK, "python", found
    return FAIL, "python", f"{found}, expected 3.11 to 3.13: install one, and set PYTHON=python3.11"


def check_packages() -> Finding:
    """Whether those of the base, Beam, training and inference are there; `pip check` tells of their versions."""
    base = ("numpy", "pyarrow", "rich", "isal", "google_crc32c")
    extras = ("apache_beam", "keras", "Levenshtein", "ai_edge_litert")
    missing = [name for name in (*base, *extras) if not importlib.util.find_spec(name)]
    if not missing:
        return OK, "packages", f"installed in {sys.prefix}"
    own = "in an environment of your own, pip install -c scripts/constraints.txt -e '.[beam,train-cpu,inference]'"
    text = f"{sys.prefix} lacks {', '.join(missing)}: scripts/demo installs what is missing into .venv; {own}"
    return FAIL, "packages", text


def check_memory() -> Finding:
    words = pathlib.Path("/proc/meminfo").read_text().split()
    available = int(words[words.index("MemAvailable:") + 1]) << 10
    if available < MEMORY:
        return FAIL, "memory", f"{available / GB:.1f} GB available, the demo takes {MEMORY / GB} GB: end other programs"
    return OK, "memory", f"{available / GB:.1f} GB available"


def check_disk(output: pathlib.Path) -> Finding:
    place = next(place for place in (output.absolute(), *output.absolute().parents) if place.exists())
    if not os.access(place, os.W_OK):
        return FAIL, "disk", f"cannot write to {place}: choose another --output, or change its permissions"
    free = shutil.disk_usage(place).free
    text = f"{free / GB:.1f} GB free at {output}"
    if free < DISK:
        return WARN, "disk", f"{text}; packages and demo take {DISK / GB:.0f}: choose another --output"
    return OK, "disk", text


if __name__ == "__main__":
    main()
