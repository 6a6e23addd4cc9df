"""Stands in for MediaPipe and OpenCV: a video is a JSON file that says what is in it, and what goes wrong with it.

`frames`, and optionally `rate`; `fault`: why it cannot be read; `shows`: "nobody"; `does`: what happens after the first
frame, in the process that tracks.
"""

import errno
import json
import os
import pathlib
import signal
import time

import numpy as np
import pyarrow.parquet as pq

from pipeline.common.errors import UserError
from pipeline.dataset.writers import FACE, LEFT_HAND, NUM_POINTS, POSE
from pipeline.tracking.videos import Film, Tracker


def write(path: pathlib.Path, frames: int = 5, **more) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"frames": frames, **more}))
    return path


def look(path: pathlib.Path) -> Film:
    said = json.loads(path.read_text())
    if "fault" in said:
        raise UserError(f"{path} {said['fault']}")
    return Film(said["frames"], said.get("rate", 30.0), 640, 480)


def watch(path: pathlib.Path, mirrored: bool):
    """The left hand is never seen, the right one not in every other frame; the face is missing in the first."""
    said = json.loads(path.read_text())
    random = np.random.default_rng(said["frames"])
    for frame in range(said["frames"]):
        landmarks = random.random((NUM_POINTS, 3), np.float32)
        landmarks[LEFT_HAND] = np.nan
        if frame % 2:
            landmarks[POSE.stop :] = np.nan
        if not frame:
            landmarks[FACE] = np.nan
        if mirrored:
            landmarks[:, 0] = 1 - landmarks[:, 0]
        if said.get("shows") == "nobody":
            landmarks[:] = np.nan
        yield landmarks
        does(said.get("does"), path)


def does(what: str | None, path: pathlib.Path) -> None:
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "waits":
        path.with_suffix(".started").touch()
        time.sleep(600)
    elif what == "fills the disk":

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        pq.ParquetWriter.write_table = full


TRACKER = Tracker("fake", look, watch)
