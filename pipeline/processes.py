"""Commands that run other commands, each in a process of its own."""

import contextlib
import signal
import subprocess
import sys

from pipeline.commands import UserError

PATIENCE = 5.0  # seconds that a command has to end of itself once it is interrupted


def call(command: list[str]) -> int:
    """The status of a command. On Ctrl-C, which a terminal sends to the command too, waits for it to say so and end."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(PATIENCE)
            process.send_signal(signal.SIGINT)  # it has not heard of it: this process alone was interrupted
            return process.wait()


def check_status(status: int) -> None:
    """Ends this process as the command of `status` ended, if not well; that command has said why.

    Raises:
      UserError: it was killed, and could say nothing.
    """
    if status < 0:
        raise UserError(f"the stage was killed by signal {-status} (no memory left?): the same command continues it")
    if status:
        sys.exit(status)
