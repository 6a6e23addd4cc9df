"""The most memory that this process has held, for the benchmarks and tests that start a process to measure it."""

import pathlib


def peak_memory() -> int:
    """Bytes. Not `ru_maxrss`: Linux counts into that what the process that started this one held. Linux alone."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10
