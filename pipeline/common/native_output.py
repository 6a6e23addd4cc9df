"""What native libraries write to standard error when they start, and what of it people need not see."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# What TensorFlow, absl, LiteRT and MediaPipe say of themselves; warnings and errors of other kinds pass.
_REMARKS = "|".join(
    (
        r"^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR",
        r"^I[0-9]{4} ",  # absl's informational lines, such as that oneDNN is on
        r"^[WE][0-9]{4} .*(computation_placer|cuda_fft|cuda_dnn|cuda_blas|cuda_driver|cuda_platform)",
        r"^W[0-9]{4} .*(inference_feedback_manager|landmark_projection_calculator)",
        r"^INFO: (Created TensorFlow Lite|Initialized TensorFlow Lite)",
        r"^To enable the following instructions:",
    )
)


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Drops such lines while the block runs; everything else comes through, also if the process is aborted.

    Another process filters: what was written before an abort is not lost with this one.
    """
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    before = os.dup(2)
    try:
        # In a group of its own: Ctrl-C is not for it.
        grep = subprocess.Popen(
            ["grep", "--line-buffered", "-a", "-v", "-E", _REMARKS],
            stdin=subprocess.PIPE,
            stdout=before,
            process_group=0,
        )
    except OSError:  # there is no grep: the remarks are shown
        os.close(before)
        yield
        return
    assert grep.stdin is not None
    os.dup2(grep.stdin.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        grep.stdin.close()
        grep.wait()
        os.close(before)
