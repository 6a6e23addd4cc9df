import contextlib
import errno
import itertools
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from pipeline.beam import conversion, runners, transform
from pipeline.beam.runners import Runner
from pipeline.common import directories, progress
from pipeline.common.errors import UserError
from pipeline.dataset import sharding
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.fingerspelling import Fingerspelling

REQUEST = directories.Request("dataset", {"files": {"a": 1, "b": 1, "c": 1}, "shards": [["a"], ["b"], ["c"]]})
SHARDS = sharding.shards_of(REQUEST)
RULE = SplitRule(test_signers=(3,))


class MakeEmpty:
    """Makes shards without clips; fails on those named."""

    def __init__(self, directory, error=UserError, bad=()):
        self.directory = directory
        self.error = error
        self.bad = bad

    def __call__(self, shard):
        if shard.index in self.bad:
            raise self.error(f"shard {shard.index} of {pathlib.Path('somewhere')} is bad")
        with ShardWriter(self.directory, shard, Fingerspelling()):
            pass


def make(make_shard, directory, workers=1):
    directories.prepare(directory, REQUEST)
    runner = Runner(workers=workers)
    return transform.make_shards(
        make_shard, REQUEST, sharding.shards_of(REQUEST), directory=directory, runner=runner, clips=0, title="testing"
    )


def test_as_many_workers_as_pay(tmp_path, monkeypatch):
    """Where nobody says how many: by what is still to be made."""
    asked, started = [], []
    monkeypatch.setattr(runners, "workers_that_pay", lambda *work: asked.append(work) or 1)
    run_with = runners.run
    monkeypatch.setattr(runners, "run", lambda runner, *rest: started.append(runner.workers) or run_with(runner, *rest))
    make(MakeEmpty(tmp_path), tmp_path, workers=None)
    assert asked == [(sum(shard.bytes for shard in SHARDS) / 1e6, sum(len(shard.files) for shard in SHARDS))]
    assert started == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_users_line(tmp_path, workers):
    with pytest.raises(UserError) as caught:
        make(MakeEmpty(tmp_path, bad=(1,)), tmp_path, workers)
    assert str(caught.value) == (
        "shard 1 of somewhere is bad; finished shards stay: run the same command again to make the rest"
    )
    assert [sharding.finished_report(tmp_path, shard) is None for shard in SHARDS] == [False, True, False]
    make(MakeEmpty(tmp_path, bad=(0, 2)), tmp_path)  # the finished ones are not made again
    assert all(sharding.finished_report(tmp_path, shard) for shard in SHARDS)
    assert {path.suffix for path in (tmp_path / "reports").iterdir()} == {".json"}


def test_several_errors(tmp_path):
    with pytest.raises(UserError, match=r"shard 0 .* \(and 1 more of 3 shards failed\); finished shards stay"):
        make(MakeEmpty(tmp_path, bad=(0, 2)), tmp_path)


def test_our_own_mistake_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make(MakeEmpty(tmp_path, error=ZeroDivisionError, bad=(0,)), tmp_path)


def run(data, output, runner=None):
    conversion.convert(data, output, RULE, num_shards=None, runner=runner or Runner())
    return Dataset.open(output)


def content(directory):
    """The bytes of every file that does not depend on when and how it was made."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != directories.MANIFEST)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def expected(kaggle_data, tmp_path):
    """The content of an undisturbed conversion of `tmp_path/data`."""
    return content(run(kaggle_data(), tmp_path / "expected").path)


@pytest.fixture
def refused(monkeypatch):
    """`refused(part, number)`: within the block, nothing can be written to files with such a name."""

    @contextlib.contextmanager
    def refuse(part, number):
        def open_(path, mode="r", *args, **kwargs):
            if "w" in mode and part in path.name:
                if number == errno.ENOSPC:
                    path = pathlib.Path("/dev/full")  # the kernel finds no space there
                else:
                    raise OSError(number, os.strerror(number), str(path))
            return original(path, mode, *args, **kwargs)

        original = pathlib.Path.open
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "open", open_)
            yield

    return refuse


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            "train-00001",
            r"^cannot write \S*/shards/train-00001-of-00003\.tfrecord\.gz: {reason}.*; finished shards stay",
        ),
        ("00001-of-00003.json", r"cannot write to \S*: {reason}.*; finished shards stay"),
        (
            "00001",
            r"shard 00001-of-00003 was not finished, and why could not be written there, where \d+ MB are free: ",
        ),
    ],
)
def test_nothing_can_be_written(tmp_path, expected, refused, number, part, message):
    data, output = tmp_path / "data", tmp_path / "out"
    with refused(part, number), pytest.raises(UserError, match=message.format(reason=os.strerror(number))) as caught:
        run(data, output)
    assert "\n" not in str(caught.value)
    left = content(output)
    assert all(left[name] == expected[name] for name in left if not name.endswith(".error"))
    assert "reports/00001-of-00003.json" not in left
    assert {"reports/00000-of-00003.json", "reports/00002-of-00003.json"} <= left.keys()
    run(data, output)
    assert content(output) == expected


def test_the_manifest_cannot_be_written(tmp_path, expected, refused):
    data, output = tmp_path / "data", tmp_path / "out"
    with refused("manifest", errno.ENOSPC), pytest.raises(UserError, match=f"cannot write to {output}: No space left"):
        run(data, output)
    assert content(output) == expected
    run(data, output)


def test_a_file_that_vanishes(tmp_path, expected, monkeypatch):
    data, output = tmp_path / "data", tmp_path / "out"
    file, aside = data / "train_landmarks/2.parquet", tmp_path / "aside"
    launch = runners.run

    def meanwhile(*job):
        file.rename(aside)
        launch(*job)

    with (
        monkeypatch.context() as patch,
        pytest.raises(UserError, match=rf"{file}.*No such file.*; finished shards stay"),
    ):
        patch.setattr(runners, "run", meanwhile)
        run(data, output)
    aside.rename(file)
    run(data, output)
    assert content(output) == expected


def the_command(data, output, *words):
    return [
        *(sys.executable, "-m", "pipeline.convert", "--data", data, "--output", output, "--test-signers", "3"),
        *words,
    ]


def test_two_at_once(tmp_path, expected, monkeypatch):
    data, output = tmp_path / "data", tmp_path / "out"
    launch = runners.run
    finished = []

    def meanwhile(*job):
        finished.append(subprocess.run(the_command(data, output), capture_output=True, text=True, check=False))
        launch(*job)

    monkeypatch.setattr(runners, "run", meanwhile)
    run(data, output)
    assert content(output) == expected
    (second,) = finished
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"error: another process is working on {output}: wait for it, or stop it and run the same command again\n"
    )


@pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.long)])
def test_killed_at_random_moments(kaggle_data, recording, tmp_path, kills):
    """What a killed command leaves, the same command takes up: no more than a shard a worker is made again."""
    recordings = [recording(i, f"word {i}", i % 4 + 1, f"train_landmarks/{i // 4}.parquet", 80) for i in range(32)]
    data = kaggle_data(recordings)
    expected = content(run(data, tmp_path / "expected").path)
    chance = random.Random(kills)
    outputs = (tmp_path / f"out{i}" for i in itertools.count())
    output = next(outputs)
    for _ in range(kills):
        done = finished_shards(output)
        with (tmp_path / "log").open("wb") as log:
            command = the_command(data, output, "--workers", "2")
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wanted = len(done) + chance.randrange(3)
        while len(finished_shards(output)) < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3) if wanted > len(done) else chance.uniform(0, 5))
        if process.poll() is None and chance.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
            time.sleep(0.5)  # its workers end now
        process.wait()
        assert_left_alone(done, output)
        begun = {path.name.lstrip(".").partition("-")[2][:5] for path in (output / "shards").glob("*")}
        assert len(begun - {name[:5] for name in finished_shards(output)}) <= 2
        if (output / directories.MANIFEST).is_file():
            assert content(output) == expected
            output = next(outputs)
    done = finished_shards(output)
    run(data, output, Runner(workers=1))
    assert_left_alone(done, output)
    assert content(output) == expected
    assert Dataset.open(output).fingerprint == Dataset.open(tmp_path / "expected").fingerprint


def finished_shards(output):
    """When each report was written, by its name."""
    return {path.name: path.stat().st_mtime_ns for path in (output / "reports").glob("[0-9]*.json")}


def assert_left_alone(done, output):
    assert done.items() <= finished_shards(output).items()


def test_what_the_display_says_at_the_end(kaggle_data, recording, example_recordings, tmp_path):
    data = kaggle_data([*example_recordings, recording(7, "É", 4)])
    with progress.console.capture() as captured:
        found = run(data, tmp_path / "out")
    said = captured.get()
    assert "13/13 clips" in said
    assert "3 of 3 shards, 1 rejected" in said
    assert "MB/s" in said
    manifest = found.manifest
    assert manifest["bytes_read"] == sum(path.stat().st_size for path in data.rglob("*.parquet"))
    assert manifest["bytes_written"] == sum(path.stat().st_size for path in (tmp_path / "out/shards").iterdir())
    assert (manifest["read"], manifest["written"]) == (13, 12)
