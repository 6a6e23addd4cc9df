"""What a worker process of Beam on this machine runs: see `pipeline.beam.runners`."""

import os
import pathlib
import runpy
import shlex
import signal
import sys
import threading
import time

_POLL_SECONDS = 0.2


def command(alive: pathlib.Path) -> str:
    """The shell command that starts a worker of this process, which ends when this process does or `alive` is gone."""
    root = str(pathlib.Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from pipeline.beam import worker;"
    code += f" worker.main({os.getpid()}, {str(alive)!r})"
    return f"exec {shlex.join([sys.executable, '-c', code])}"


def main(launcher: int, alive: str) -> None:
    # A terminal sends Ctrl-C to every process: what comes of it is the launcher's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(launcher, alive), daemon=True).start()
    runpy.run_module("apache_beam.runners.worker.sdk_worker_main", run_name="__main__")


def _end_with(launcher: int, alive: str) -> None:
    while os.getppid() == launcher and pathlib.Path(alive).is_dir():
        time.sleep(_POLL_SECONDS)
    os._exit(1)
