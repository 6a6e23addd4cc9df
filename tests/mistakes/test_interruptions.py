"""Ctrl-C, a worker that is killed, and two commands at once: real processes, as signals and locks are theirs."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.beam import transform
from pipeline.beam.runners import Runner
from pipeline.common import directories, errors
from pipeline.common.errors import UserError
from pipeline.dataset import sharding
from tests.spoiling import as_in_the_foreground

ROOT = pathlib.Path(__file__).parents[2]
REQUEST = directories.Request("dataset", {"files": {"a": 1, "b": 1}, "shards": [["a"], ["b"]]})


@pytest.fixture(autouse=True)
def hook_of_threads(monkeypatch):
    """Puts it back: an interrupted conversion silences Beam's threads, which end a little later, for good."""
    before = threading.enumerate()
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    patience = time.monotonic() + 2
    for thread in threading.enumerate():
        if thread not in before:
            thread.join(timeout=max(0, patience - time.monotonic()))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(place):
    """`start(code)` starts a Python process in a group of its own, as a terminal does; it is gone after the test."""
    started = []

    def run(code):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
        options = {"cwd": place, "env": environment, "start_new_session": True, "preexec_fn": as_in_the_foreground}
        started.append(subprocess.Popen(command, **options, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def assert_interrupted(status, error):
    """It says so in one line, progress apart."""
    (line,) = [line for line in error.splitlines() if " left " not in line]
    assert status == 130
    assert line.startswith("interrupted: ")


def wait_for(process, *files):
    """Until they exist: a process that ends or hangs before fails the test."""
    for _ in range(12_000):
        if all(file.exists() for file in files):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{files} did not appear within two minutes")


def test_ctrl_c_with_two_workers(start, place):
    process = start("""
import os, pathlib, time
import numpy as np
from pipeline.beam import transform
from pipeline.beam.runners import Runner
from pipeline.common import directories, errors
from pipeline.dataset import sharding
from pipeline.dataset.clips import Clip
from pipeline.tasks.fingerspelling import Fingerspelling

class Waits:
    def __call__(self, shard):
        with sharding.ShardWriter(pathlib.Path(), shard, Fingerspelling()) as writer:
            writer.write("train", Clip(np.zeros((1, 100, 2), np.float32), "a", shard.index, 1, "train"))
            pathlib.Path(f"../started {shard.index}").touch()
            time.sleep(600)

request = directories.Request("dataset", {"files": {"a": 1, "b": 1}, "shards": [["a"], ["b"]]})
output = pathlib.Path("o")

def make():
    directories.prepare(output, request)
    os.chdir(output)
    shards = sharding.shards_of(request)
    transform.make_shards(
        Waits(), request, shards, directory=pathlib.Path(), runner=Runner(workers=2), clips=2, title="testing"
    )

errors.run(make)
""")
    wait_for(process, place / "started 0", place / "started 1")
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert_interrupted(process.returncode, error)
    assert not [file for file in (place / "o/shards").iterdir() if not file.name.startswith(".")]


TRACK = """
import pathlib

from pipeline.common import errors
from pipeline.tracking import recordings, videos
from tests.pipeline.tracking import fake

if __name__ == "__main__":
    for name, does in {"a": None, "b": "waits", "c": "waits"}.items():
        fake.write(pathlib.Path(f"v/{name}.mp4"), does=does)
    found = videos.find([pathlib.Path("v")])
    errors.run(lambda: recordings.track(found, pathlib.Path("o"), fake.TRACKER, workers=2))
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)]
)
def test_tracking_is_stopped(start, place, number, status):
    """No process remains, and nothing half-written; what was finished stays."""
    process = start(TRACK)
    wait_for(process, place / "v/b.started", place / "v/c.started", place / "o/train_landmarks/a.mp4.parquet")
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, error = process.communicate(timeout=120)  # its workers hold the pipe open while they are there
    assert process.returncode == status
    if number == signal.SIGINT:
        assert_interrupted(process.returncode, error)
    assert [file.name for file in (place / "o/train_landmarks").iterdir()] == ["a.mp4.parquet"]


class Raises:
    """Makes no shard: ends as `error` says."""

    def __init__(self, error):
        self.error = error

    def __call__(self, shard):
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise self.error


def make(output, make_shard, *, workers):
    directories.prepare(output, REQUEST)
    runner, shards = Runner(workers=workers), sharding.shards_of(REQUEST)
    transform.make_shards(make_shard, REQUEST, shards, directory=output, runner=runner, clips=2, title="testing")


def test_ctrl_c_with_one_worker(place, capsys):
    """Beam makes other exceptions of it."""
    with pytest.raises(SystemExit) as ended:
        errors.run(lambda: make(place, Raises(KeyboardInterrupt()), workers=1))
    assert_interrupted(ended.value.code, capsys.readouterr().err)


def test_a_worker_that_is_killed(place):
    """As by a system without memory. Beam alone would wait for ever."""
    with pytest.raises(UserError, match=r"a worker process died \(.* code -9\), .*memory"):
        make(place, Raises(None), workers=2)


def test_ctrl_c_while_samples_are_made(start, place):
    process = start("""
import sys
from pipeline import synthesize
from pipeline.common import errors
sys.argv = ["synthesize", "--output", "o", "--files", "1"]
errors.run(synthesize.main)
""")
    wait_for(process, place / "o/train_landmarks")
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert_interrupted(process.returncode, error)
    assert {path.name for path in (place / "o").rglob("*")} == {"request.json", "train_landmarks"}


# A stage of scripts/run_pipeline, which works until it is interrupted.
STAGE = """
import pathlib, time
from pipeline.common import errors

def main():
    pathlib.Path("started").touch()
    time.sleep(600)

errors.run(main)
"""


@pytest.mark.parametrize(("interrupt", "patience"), [(os.killpg, 60), (os.kill, 0.3)])
def test_ctrl_c_within_a_stage(start, place, interrupt, patience):
    """The stage says so, alone; also where the signal reaches only the process that waits for it."""
    process = start(f"""
import sys
from pipeline.common import errors, processes
processes.PATIENCE = {patience}
errors.run(lambda: sys.exit(processes.call([sys.executable, "-c", {STAGE!r}])))
""")
    wait_for(process, place / "started")
    interrupt(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert_interrupted(process.returncode, error)


def test_two_commands_at_once(start, place):
    """The second is refused, until the first is gone."""
    process = start(f"""
import pathlib
from pipeline.common import directories
directories.prepare(pathlib.Path("o"), directories.Request("dataset", {REQUEST.settings!r}))
pathlib.Path("claimed").touch()
input()
""")
    wait_for(process, place / "claimed")
    before = (place / "o/request.json").stat().st_mtime_ns
    for request in (REQUEST, directories.Request("dataset", {"other": 1})):
        with pytest.raises(UserError, match=r"^another process is working on o: wait"):
            directories.prepare(pathlib.Path("o"), request)
    assert (place / "o/request.json").stat().st_mtime_ns == before
    process.kill()
    process.communicate()
    assert not directories.prepare(pathlib.Path("o"), REQUEST)
