"""Whether this machine, the packages and a data folder are ready for the whole path: in seconds, before anything long.

    scripts/doctor
    scripts/doctor --data data/asl-fingerspelling --output out/run

One line a finding: `ok`, `warn` (it works, but read this) or `fail` (it does not; the line says what to do), which
makes the exit status 1. With --data also whether the folder is complete, and about what a run on it needs. Nothing is
installed or changed.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterator

import doctor_machine as machine
from doctor_machine import FAIL, Finding

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=local, help="folder with train.csv and its parquet files, to be checked")
    parser.add_argument(
        "--output", type=local, default=pathlib.Path("out"), help="where a run is to write (default: out)"
    )
    arguments = parser.parse_args()
    failed = 0
    for finding in examine(arguments.data, arguments.output):
        print(f"{finding.level:<5} {finding.subject:<12} {finding.text}", flush=True)
        failed += finding.level == FAIL
    if failed:
        print(f"\n{failed} to mend first: see what begins with {FAIL}")
        sys.exit(1)
    run = f"scripts/run_pipeline --data {arguments.data} --output {arguments.output}"
    print(f"\nnothing stands in the way; next: {run if arguments.data else 'scripts/demo'}")


def local(text: str) -> pathlib.Path:
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is a URL; only folders on this machine are looked at")
    return pathlib.Path(text)


def examine(data: pathlib.Path | None, output: pathlib.Path) -> Iterator[Finding]:
    """All findings, each as soon as it is known."""
    setup = machine.read_setup(ROOT / "setup.py")
    packages = [machine.check_python(setup["python_requires"]), *machine.check_packages(setup)]
    yield from packages
    ready = all(finding.level != FAIL for finding in packages)
    yield machine.check_cores()
    yield machine.check_memory()
    yield machine.check_disk(output, machine.DEMO_DISK if ready else machine.DEMO_DISK + machine.PACKAGES_DISK)
    accelerator, gpu = machine.check_accelerator()
    yield accelerator
    if data is not None and not ready:
        yield Finding(FAIL, "data", f"{data} was not looked at: install the packages first")
    elif data is not None:
        import doctor_data  # only now: it needs the packages

        yield from doctor_data.examine(data, output, gpu=gpu)


if __name__ == "__main__":
    main()
