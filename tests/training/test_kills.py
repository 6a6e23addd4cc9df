"""Training that is killed, by SIGKILL at random moments: the same command goes on and ends as if nothing had been."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from training import runs
from training.runs import Run

ROOT = pathlib.Path(__file__).parents[2]
# Reads how to run a command, runs it in a process of its own, and says how it ended. That process has TensorFlow
# imported already. It kills itself where it has written so many bytes of checkpoints and best weights, or so many
# seconds after it began to write the first.
SERVER = """
import io, json, os, pathlib, signal, sys, threading
import training.data.augment, training.network.encoders.published, training.trainer
from pipeline.common import errors
from training import checkpoint, train

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Killing(io.FileIO):
    left = None

    def write(self, data):
        if len(data) > Killing.left:
            super().write(bytes(data)[:Killing.left])
            die()
        Killing.left -= len(data)
        return super().write(data)

def opened(path, mode="r", **options):
    if mode == "wb" and path.name.startswith((".checkpoint.npz.", ".best-")):
        return io.BufferedWriter(Killing(path, mode))
    return original_open(path, mode, **options)

def save(*arguments):
    timer.start() if not timer.ident else None
    original_save(*arguments)

original_open, original_save = pathlib.Path.open, checkpoint.save
if sys.argv[1] == "light":  # traced in a few seconds
    training.network.encoders.published.KERNELS = ()
    training.data.augment.augment = lambda landmarks, points, config, random: landmarks
for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        if "bytes" in task:
            Killing.left, pathlib.Path.open = task["bytes"], opened
        if "seconds" in task:
            timer = threading.Timer(task["seconds"], die)
            timer.daemon, checkpoint.save = True, save
        sys.argv = ["train", *task["words"]]
        errors.run(train.main)
        sys.stdout.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def server(weight, log):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER, weight], env=environment, **pipes) as process:

        def run(words, **kill):
            process.stdin.write(json.dumps({"words": [*map(str, words)], "log": str(log), **kill}) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def read(path):
    """Arrays; and the note, but for how long an epoch took."""
    with np.load(path) as saved:
        arrays = dict(saved)
    note = json.loads(str(arrays.pop("note")))
    for row in note.get("history", ()):
        del row["seconds"], row["steps_per_second"]
    return arrays, note


def assert_same(run, expected):
    """Also the hash of the best weights, which the checkpoint's note names."""
    assert {path.name for path in run.rglob("*")} == {path.name for path in expected.rglob("*")}
    for name in (Run.open(expected).manifest["weights"], runs.CHECKPOINT):
        (found, note), (wanted, wanted_note) = read(run / name), read(expected / name)
        assert found.keys() == wanted.keys()
        different = [key for key in wanted if not np.array_equal(found[key], wanted[key])]
        assert not different
        assert note == wanted_note
    assert len((run / runs.HISTORY).read_text().splitlines()) == 1 + len(note["history"])


@pytest.mark.parametrize(
    ("weight", "kills"), [("light", 5), pytest.param("real", 20, marks=[pytest.mark.long, pytest.mark.minutes])]
)
def test_killed_at_random_moments(weight, kills, toy_dataset, toy_settings, tmp_path):
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    more = ["--set", "optimizer.epochs=3", "--set", "optimizer.ema=0.5"]
    output, log = tmp_path / "run", tmp_path / "log"

    def words(output):
        return ["--dataset", toy_dataset, "--output", output, *toy_settings, *more, "--checkpoint-minutes", 0]

    moments = []
    with server(weight, log) as run:
        assert run(words(tmp_path / "uninterrupted")) == 0, log.read_text()
        size = (tmp_path / "uninterrupted" / runs.CHECKPOINT).stat().st_size
        while len(moments) < kills:
            # While a checkpoint is written, mostly the first or second of the process; or whenever it may be.
            kill = {"bytes": chance.randrange(2 * size)} if chance.random() < 0.5 else {"seconds": chance.random()}
            status = run(words(output), **kill)
            if status == 0:  # it was done before; once more from the beginning
                shutil.rmtree(output)
                continue
            assert status == -signal.SIGKILL, log.read_text()
            moments.append(kill)
        assert run(words(output)) == 0, log.read_text()
    print(f"seed {seed}: {moments}")  # shown if what follows fails
    assert_same(output, tmp_path / "uninterrupted")
