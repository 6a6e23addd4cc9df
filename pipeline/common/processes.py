"""Commands that run other commands, each in a process of its own."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from pipeline.common.errors import UserError

PATIENCE = 5.0  # seconds that a command has to end of itself once it is interrupted


def call(command: list[str]) -> int:
    """The status of a command. It ends with this process: Ctrl-C, SIGTERM and SIGHUP reach it too."""
    with subprocess.Popen(command) as process, _passed_on(process):
        try:
            return process.wait()
        except KeyboardInterrupt:
            # A terminal sends Ctrl-C to the command too: it may say so and end by itself.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(PATIENCE)
            process.send_signal(signal.SIGINT)  # it has not heard of it: this process alone was interrupted
            return process.wait()


@contextlib.contextmanager
def _passed_on(process: subprocess.Popen) -> Iterator[None]:
    """While the block runs, what asks this process to end asks `process` first, and then ends this one as well."""

    def end(number: int, frame: object) -> None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()  # nothing, if it has ended
        process.wait()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
