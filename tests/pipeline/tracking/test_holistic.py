"""The tracker itself, in the environment that `scripts/track` makes for it, which takes the package registry."""

import hashlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.mistakes.test_interruptions import as_in_the_foreground, assert_interrupted

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).parents[3]
# Beside a checkout, for whoever has them: two videos of a person signing, with one hand.
VIDEOS = pathlib.Path(os.environ.get("FINGERSPELLING_SHARED", ROOT.parent / "shared")) / "data/videos"
PICTURE = "skimage/data/astronaut.png"  # a person, from the front; no hand is seen

# Makes videos of 8 frames, "long.avi" of 90: "astronaut.mp4" and "astronaut.avi" have other codecs; "noise", "none".
MAKE = """
import sys

import cv2
import numpy as np

picture = cv2.imread(sys.argv[1])
wide = np.zeros((512, 768, 3), np.uint8)
wide[:, 64:576] = picture  # not in the middle
noise = np.random.default_rng(0).integers(0, 255, wide.shape, np.uint8)
for name, codec, frames in (
    ("astronaut.mp4", "mp4v", [wide] * 8),
    ("astronaut.avi", "MJPG", [wide] * 8),
    ("long.avi", "MJPG", [wide] * 90),
    ("noise.avi", "MJPG", [noise] * 8),
    ("none.avi", "MJPG", []),
):
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*codec), 25, (768, 512))
    assert writer.isOpened(), name
    for frame in frames:
        writer.write(frame)
    writer.release()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*words, place, status=0):
    """Runs `pipeline.track` as anybody would; returns what it says."""
    command = [sys.executable, "-P", "-m", "pipeline.track", *map(str, words)]
    done = subprocess.run(command, cwd=place, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


def in_environment(code, *words, place):
    python = ROOT / ".venv-track/bin/python"
    return subprocess.run([python, "-c", code, *words], cwd=place, env=ENVIRONMENT, check=True, text=True, stdout=-1)


@pytest.fixture(scope="session")
def made(made_once):
    """A folder with the videos; skipped where MediaPipe or the picture cannot be installed."""

    def make(folder):
        folder.mkdir()
        installed = subprocess.run([ROOT / "scripts/track", "--help"], capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"MediaPipe cannot be installed here: {installed.stderr}")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        command = [*pip, "--target", folder / "package", "scikit-image==0.25.2"]
        picture = subprocess.run(command, capture_output=True, text=True, check=False)
        if picture.returncode:
            pytest.skip(f"no picture of a person: {picture.stderr}")
        in_environment(MAKE, folder / "package" / PICTURE, place=folder)

    return made_once("tracked-videos", make)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def columns(folder, video, *names):
    """(K, T) values; NaN for missing."""
    table = pq.read_table(folder / f"train_landmarks/{video}.parquet", columns=list(names))
    return np.array([table[name].to_numpy() for name in names])


def test_finds_face_and_pose_of_a_person(made, tmp_path):
    said = run(made / "astronaut.mp4", made / "astronaut.avi", made / "noise.avi", "--output", "o", place=tmp_path)
    found = {each["file"]: each for each in manifest(tmp_path / "o")["videos"]}
    for name in ("astronaut.mp4", "astronaut.avi"):
        each = found[name]
        assert (each["frames"], each["rate"], each["width"], each["height"]) == (8, 25.0, 768, 512)
        assert each["seen"]["face"] == each["seen"]["pose"] == 1
        # Her face is left of the middle and high up; her nose is both in the face and in the pose.
        face = columns(tmp_path / "o", name, "x_face_1", "y_face_1")
        pose = columns(tmp_path / "o", name, "x_pose_0", "y_pose_0")
        assert np.all(np.abs(face - [[0.37], [0.25]]) < 0.06)
        assert np.all(np.abs(face - pose) < 0.03)
        # The left is hers: right in the picture.
        left, right = columns(tmp_path / "o", name, "x_pose_11", "x_pose_12")
        assert np.all(left > right)
    assert not any(found["noise.avi"]["seen"].values())
    remarks = [line for line in said.stderr.splitlines() if " left " not in line]
    assert remarks == ["noise.avi: there is no person in it, or none that was found"]


def test_the_same_bytes_again(made, tmp_path):
    sums = set()
    for workers in (1, 2):
        output = tmp_path / str(workers)
        run(made / "astronaut.mp4", made / "noise.avi", "--output", output, "--workers", workers, place=tmp_path)
        file = output / "train_landmarks/astronaut.mp4.parquet"
        sums.add(hashlib.sha256(file.read_bytes()).hexdigest())
    assert len(sums) == 1


def test_mirrored(made, tmp_path):
    run(made / "astronaut.mp4", "--output", "o", place=tmp_path)
    run(made / "astronaut.mp4", "--mirrored", "--output", "m", place=tmp_path)
    (nose,), (turned,) = (columns(tmp_path / name, "astronaut.mp4", "x_pose_0") for name in "om")
    np.testing.assert_allclose(turned, 1 - nose, atol=0.02)
    left, right = columns(tmp_path / "m", "astronaut.mp4", "x_pose_11", "x_pose_12")
    assert np.all(left > right)


def test_a_phone_held_upright(made, tmp_path):
    """Its pictures lie on their side, and the file says how they are to be turned."""
    content = (made / "astronaut.mp4").read_bytes()
    matrix = content.index(b"tkhd") + 44
    fixed = 1 << 16
    turned = struct.pack(">9i", 0, fixed, 0, -fixed, 0, 0, 512 * fixed, 0, 1 << 30)
    (tmp_path / "upright.mp4").write_bytes(content[:matrix] + turned + content[matrix + 36 :])
    run("upright.mp4", "--output", "o", place=tmp_path)
    (found,) = manifest(tmp_path / "o")["videos"]
    assert (found["width"], found["height"]) == (512, 768)


def cut(made, place, name, share):
    content = (made / name).read_bytes()
    (place / f"cut-{name}").write_bytes(content[: int(len(content) * share)])
    return f"cut-{name}"


BAD = {
    "text": (lambda made, place: place / "text.mp4", "text.mp4 is no video: it does not begin like one"),
    "nothing": (lambda made, place: place / "empty.mp4", "empty.mp4 is no video: it is empty"),
    "no frames": (lambda made, place: made / "none.avi", "none.avi holds no frames"),
    "cut": (lambda made, place: cut(made, place, "astronaut.mp4", 0.6), "cut-astronaut.mp4 cannot be read as a video"),
    "cut AVI": (lambda made, place: cut(made, place, "astronaut.avi", 0.6), "cut-astronaut.avi was cut short: 0."),
    "codec": (lambda made, place: place / "codec.avi", "codec.avi cannot be read as a video: .*OpenCV lacks its codec"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read(made, tmp_path, name):
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 1000)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "codec.avi").write_bytes((made / "astronaut.avi").read_bytes().replace(b"MJPG", b"none"))
    video, said = BAD[name]
    done = run(made / "astronaut.avi", video(made, tmp_path), "--output", "o", place=tmp_path, status=1)
    (line,) = [line for line in done.stderr.splitlines() if " left " not in line]
    assert re.search(rf"^error: .*{said}", line)
    assert [file.name for file in (tmp_path / "o").rglob("*")] == ["request.json"]


def test_a_camera_that_is_not_there(made, tmp_path):
    done = run("--camera", 99, "--output", "o", place=tmp_path, status=1)
    assert "error: camera 99 gives no pictures: it is not there, another program uses it" in done.stderr
    assert not list(tmp_path.iterdir())


def test_records_a_camera(made, tmp_path):
    """OpenCV reads a video as it reads a camera; this one ends early, as one that is unplugged."""
    code = """
import pathlib, sys
from pipeline.tracking import holistic
holistic.record(sys.argv[1], float(sys.argv[2]), pathlib.Path("camera.avi"))
print(holistic.look(pathlib.Path("camera.avi")).frames)
"""
    done = in_environment(code, made / "astronaut.mp4", "0.001", place=tmp_path)
    assert int(done.stdout) >= 1
    with pytest.raises(subprocess.CalledProcessError):
        in_environment(code, made / "astronaut.mp4", "5", place=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["camera.avi"]


def test_ctrl_c(made, tmp_path):
    command = [sys.executable, "-P", "-m", "pipeline.track", made / "long.avi", "--output", "o"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, **pipes, start_new_session=True, preexec_fn=as_in_the_foreground
    ) as process:
        while not (tmp_path / "o/train_landmarks").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate()
    assert_interrupted(process.returncode, error)
    assert not list((tmp_path / "o/train_landmarks").iterdir())


def test_people_who_sign(made, tmp_path):
    """Face and pose are found in every frame, and the hand that signs in most."""
    if not VIDEOS.is_dir():
        pytest.skip(f"NOT CHECKED on videos of people: there is no {VIDEOS}")
    run(VIDEOS, "--output", "o", place=tmp_path)
    for each in manifest(tmp_path / "o")["videos"]:
        assert each["seen"]["face"] == each["seen"]["pose"] == 1
        assert max(each["seen"]["left_hand"], each["seen"]["right_hand"]) >= 0.6
