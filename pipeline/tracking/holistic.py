"""MediaPipe Holistic and OpenCV: all that needs them, and nothing else."""

import contextlib
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator

# What they would print, this program says. OpenCV reads this once, when it is imported.
os.environ |= {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
import cv2
import mediapipe
import numpy as np
from mediapipe.python.solutions import holistic

from pipeline.common import storage
from pipeline.common.errors import UserError
from pipeline.common.temporary import temporary_folder
from pipeline.dataset.writers import FACE, LEFT_HAND, NUM_POINTS, POSE, RIGHT_HAND
from pipeline.tracking.videos import Film, Tracker

_COMPLEXITY = 1  # of the competition's; the models of others are not in the package
# How files of pictures in motion begin: MP4 and its kin, AVI, Matroska and WebM, FLV, Ogg, MPEG, Windows Media.
_CONTAINERS = rb"....(ftyp|moov|mdat|free|skip|wide|G)|RIFF|\x1a\x45\xdf\xa3|FLV|OggS|\0\0\1[\xb3\xba]|G|0&\xb2\x75"


def look(path: pathlib.Path) -> Film:
    """Decodes a video to its end. Raises `UserError` where that cannot be done, or comes too early."""
    with _opened(path) as capture:
        frames, first, last = 0, 0.0, 0.0
        height = width = 0
        while capture.grab():
            last = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not frames:
                first = last
                height, width = capture.retrieve()[1].shape[:2]
            frames += 1
        nominal = capture.get(cv2.CAP_PROP_FPS) or 30.0
        seconds = capture.get(cv2.CAP_PROP_FRAME_COUNT) / nominal  # negative where the file does not say
    if not frames:
        raise UserError(f"{path} holds no frames: record it again")
    # Sound may last a little longer than the pictures.
    if last - first + 2 / nominal < 0.9 * seconds:
        raise UserError(
            f"{path} was cut short: {last - first:.1f} of its {seconds:.1f} seconds are there: copy it again"
        )
    rate = (frames - 1) / (last - first) if last > first else nominal
    return Film(frames, round(rate, 3), width, height)


def watch(path: pathlib.Path, mirrored: bool) -> Iterator[np.ndarray]:
    """As `Tracker.watch`; x and y are fractions of the picture, z is in widths of it, nearer points have less."""
    with contextlib.ExitStack() as stack:
        with _one_thread():
            capture = stack.enter_context(_opened(path))
            tracker = stack.enter_context(holistic.Holistic(model_complexity=_COMPLEXITY))
        while True:
            there, picture = capture.read()
            if not there:
                return
            if mirrored:
                picture = cv2.flip(picture, 1)
            found = tracker.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            landmarks = np.full((NUM_POINTS, 3), np.nan, np.float32)
            for points, part in (
                (FACE, found.face_landmarks),
                (LEFT_HAND, found.left_hand_landmarks),
                (POSE, found.pose_landmarks),
                (RIGHT_HAND, found.right_hand_landmarks),
            ):
                if part is not None:
                    landmarks[points] = [(point.x, point.y, point.z) for point in part.landmark]
            yield landmarks


TRACKER = Tracker(
    f"MediaPipe Holistic {mediapipe.__version__}, complexity {_COMPLEXITY}, OpenCV {cv2.__version__}", look, watch
)


def record(camera: int, seconds: float, path: pathlib.Path) -> None:
    """Makes a video of what a camera sees, at the rate at which its pictures came.

    Raises:
      UserError: there is no such camera, or it gives no pictures.
      OSError: it cannot be written.
    """
    capture = cv2.VideoCapture(camera)
    pictures = []
    try:
        there, picture = capture.read()  # the first takes longest
        if not there:
            others = ", ".join(sorted(each.name for each in pathlib.Path("/dev").glob("video*")))
            raise UserError(
                f"camera {camera} gives no pictures: it is not there, another program uses it, or you may not; cameras"
                f" here: {others or 'none'}"
            )
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            there, picture = capture.read()
            if not there:
                raise UserError(f"camera {camera} gives no pictures any more: is it unplugged?")
            pictures.append(picture)
        passed = time.monotonic() - started
    finally:
        capture.release()
    height, width = picture.shape[:2]
    with temporary_folder() as folder, storage.replacing(path) as temporary:
        written = folder / "camera.avi"  # by its name OpenCV knows the format
        codec = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(os.fspath(written), codec, len(pictures) / passed, (width, height))
        for picture in pictures:
            writer.write(picture)
        writer.release()
        if not written.is_file() or look(written).frames != len(pictures):  # OpenCV does not say why
            raise UserError(f"cannot write to {folder}: is there room?")
        shutil.copyfile(written, temporary)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[cv2.VideoCapture]:
    """A video, whose pictures are turned as the file says."""
    try:
        with path.open("rb") as file:
            beginning = file.read(16)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not re.match(_CONTAINERS, beginning, re.DOTALL):
        raise UserError(f"{path} is no video: {'it does not begin like one' if beginning else 'it is empty'}")
    # Absolute: what FFmpeg takes for a URL begins otherwise.
    capture = cv2.VideoCapture(os.fspath(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise UserError(
                f"{path} cannot be read as a video: it was cut short, or OpenCV lacks its codec: copy it again, or make"
                " it an .mp4 with H.264"
            )
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """MediaPipe and FFmpeg start within the block as on a machine of one core: other cores have videos of their own.

    They make a thread for each core that the process may run on. Afterwards it may run on all of them again.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208
            with contextlib.suppress(ProcessLookupError):  # one that has ended
                os.sched_setaffinity(int(thread), cores)
