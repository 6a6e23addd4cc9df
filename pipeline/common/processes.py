"""Commands that run other commands, each in a process of its own."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from pipeline.common.errors import UserError

CALLED = "FINGERSPELLING_CALLED"  # in the environment of a command that another one runs
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
PATIENCE = 5.0  # seconds that a command has to end of itself once it is interrupted


def module(name: str, *words: str) -> list[str]:
    """The command `python -m name words`, by this Python."""
    safe_path = ["-P"] * sys.flags.safe_path  # nothing of the current folder is imported
    return [sys.executable, *safe_path, "-m", name, *words]


def call(command: list[str], *, stdout: int | None = None) -> int:
    """The status of a command. It ends with this process: what `errors.run` makes of signals reaches it too.

    On Linux it is asked to end also where this process is killed and cannot pass anything on.

    Args:
      stdout: the file descriptor that it prints to; this process's standard output if not given.
    """
    ends_too = ends_with(os.getpid()) if sys.platform == "linux" else None
    environment = os.environ | {CALLED: "1"}
    with subprocess.Popen(command, preexec_fn=ends_too, stdout=stdout, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # A terminal sends Ctrl-C to the command too: it may say so and end by itself.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(PATIENCE)
            process.send_signal(signal.SIGINT)  # it has not heard of it: this process alone was interrupted
            return process.wait()
        except SystemExit:  # SIGTERM or SIGHUP
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.kill()  # nothing, if it has ended
            raise


def ends_with(parent: int) -> Callable[[], None]:
    """What a new process calls so that SIGTERM is sent to it when its parent is gone."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it is gone already
            os._exit(1)

    return ask


def check_status(status: int) -> None:
    """Ends this process as the command of `status` ended, if not well; that command has said why.

    Raises:
      UserError: it was killed, and could say nothing.
    """
    if status < 0:
        raise UserError(
            f"the stage was killed by signal {-status} (no memory left?): run the same command again to continue"
        )
    if status:
        sys.exit(status)
