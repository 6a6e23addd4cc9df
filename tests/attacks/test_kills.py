"""Commands that are killed, stopped, or meet another: nothing is lost, nothing is left, the same bytes in the end."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row

ROOT = pathlib.Path(__file__).parents[2]
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}

# Reads what to run, and runs it in a process of its own, in a session of its own, which has everything imported already.
# That process counts what it does to files below two folders, and sends itself a signal with the deed of a number.
SERVER = """
import atexit, importlib, json, os, pathlib, signal, sys, tempfile
import inference.export, inference.evaluate, pipeline.beam.transform, training.predict, training.data.corpus
from pipeline.common import errors

DEEDS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
done = 0

def count(event, arguments):
    global done
    if event not in DEEDS or event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        return
    if str(arguments[0]).startswith((task["output"], task["temporary"])):
        done += 1
        if done == task["deed"]:
            os.kill(os.getpid(), task["signal"])

for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        os.environ["TMPDIR"], tempfile.tempdir = task["temporary"], None
        module, *sys.argv[1:] = task["words"]
        sys.addaudithook(count)
        status = 0
        try:
            errors.run(importlib.import_module(module).main)
        except SystemExit as end:
            status = end.code
        pathlib.Path(task["log"]).with_suffix(".count").write_text(str(done))
        sys.stdout.flush()
        atexit._run_exitfuncs()
        os._exit(status)
    print(child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def members(session: int) -> list[int]:
    """The processes of a session that are not over."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def assert_gone(session: int) -> None:
    """Processes that look after each other may need a moment to see it."""
    patience = time.monotonic() + 20
    while left := members(session):
        assert time.monotonic() < patience, [pathlib.Path(f"/proc/{each}/cmdline").read_text() for each in left]
        time.sleep(0.05)


class Runner:
    """Runs commands in the server, with `folder` for what is temporary.

    Attributes:
      deeds: how many the last command did that ended of itself.
    """

    def __init__(self, process: subprocess.Popen, folder: pathlib.Path):
        self._process = process
        self._temporary, self._log = folder / "temporary", folder / "log"
        self._temporary.mkdir()

    def run(self, words: list[str], *, deed: int = 0, number: int = 0) -> int:
        task = {"words": words, "output": words[-1], "temporary": str(self._temporary), "log": str(self._log)}
        self._process.stdin.write(json.dumps(task | {"deed": deed, "signal": number}) + "\n")
        self._process.stdin.flush()
        session, status = map(int, self._process.stdout.readline().split())
        assert_gone(session)
        if number != signal.SIGKILL or not deed or status == 0:
            assert not [each.name for each in self._temporary.rglob("*")], self.log
        return status

    @property
    def deeds(self) -> int:
        return int(self._log.with_suffix(".count").read_text())

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture(scope="module")
def server():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def runner(server, tmp_path) -> Runner:
    return Runner(server, tmp_path)


@pytest.fixture(scope="session")
def place(toy_data, toy_dataset, toy_run, command, made_once) -> pathlib.Path:
    """What the commands read. Shared: read it, do not change it."""

    def make_model(folder: pathlib.Path) -> None:
        from inference import export

        command(export, "--run", toy_run, "--dataset", toy_dataset, "--output", folder)

    def make(folder: pathlib.Path) -> None:
        for name, source in {"data": toy_data, "dataset": toy_dataset, "run": toy_run}.items():
            shutil.copytree(source, folder / name)
        shutil.copytree(made_once("toy-model", make_model), folder / "model")
        dataset, request = Dataset.open(toy_dataset), directories.Request(score_table.KIND, {})
        directories.prepare(folder / "scores", request)
        clips = [each for split in dataset.splits for each in dataset.clips(split)]
        rows = [Row.of(each, each.label[i % 3 :], dataset.task, Learnt.of([])) for i, each in enumerate(clips)]
        score_table.write(folder / "scores" / score_table.FILE_NAME, rows)
        own = {"task": dataset.task.as_json(), "dataset": dataset.fingerprint}
        directories.complete(folder / "scores", request, own, files=[score_table.FILE_NAME])

    return made_once("killed", make)


@pytest.fixture(scope="session")
def folds(toy_dataset, toy_settings, command, made_once) -> pathlib.Path:
    """A folder with the runs 1 and 2, each without a fold."""
    from training import train

    def make(folder: pathlib.Path) -> None:
        for fold in (1, 2):
            changes = [f"data.folds=2 data.fold={fold} optimizer.epochs=1 data.fold_by_clip=true".split()]
            words = [word for change in changes[0] for word in ("--set", change)]
            command(train, "--dataset", toy_dataset, "--output", folder / str(fold), *toy_settings, *words)

    return made_once("folds", make)


# What is killed, and what must be the same in the end.
COMMANDS = {
    "filter": (
        "pipeline.filter --dataset {place}/dataset --scores {place}/scores --workers 1",
        "shards/* dropped.jsonl",
    ),
    "convert": ("pipeline.convert --data {place}/data --test-signers 3 --workers 2", "shards/* rejected.jsonl"),
    "evaluate": ("inference.evaluate --model {place}/model --dataset {place}/dataset", "scores.csv"),
    "export": ("inference.export --run {place}/run --dataset {place}/dataset", "model.tflite inference_args.json"),
    "score": ("training.score --run {folds}/1 --run {folds}/2 --dataset {place}/dataset", "scores.csv"),
}


def contents(output: pathlib.Path, patterns: str) -> dict[str, str]:
    """The SHA-256 of what a complete directory holds."""
    directories.read_manifest(output)
    files = [file for pattern in patterns.split() for file in output.glob(pattern)]
    assert files
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def is_slow(name: str, how: str) -> bool:
    return (name, how) != ("filter", "TERM")


@pytest.mark.parametrize(
    ("name", "how"),
    [pytest.param(name, how, marks=[pytest.mark.long] * is_slow(name, how)) for name in COMMANDS for how in SIGNALS],
)
def test_killed(name, how, request, place, runner, tmp_path):
    """At several of its deeds, one after the other in one directory: the same command goes on."""
    text, patterns = COMMANDS[name]
    folds = request.getfixturevalue("folds") if "{folds}" in text else None
    words = [*text.format(place=place, folds=folds).split(), "--output"]
    whole, output = tmp_path / "whole", tmp_path / "o"
    assert runner.run([*words, str(whole)]) == 0, runner.log
    expected, deeds = contents(whole, patterns), runner.deeds
    reached = 0
    for deed in sorted({1, 2, deeds // 3, deeds // 2, 2 * deeds // 3, deeds - 1}):
        status = runner.run([*words, str(output)], deed=deed, number=SIGNALS[how])
        complete = (output / directories.MANIFEST).exists()
        assert status in {"KILL": (0, -9), "TERM": (143,), "HUP": (129,)}[how] + (0,) * complete, runner.log
        reached += status != 0
        assert not complete or contents(output, patterns) == expected
        if complete:
            shutil.rmtree(output)
    assert reached >= 4
    assert runner.run([*words, str(output)]) == 0, runner.log
    assert contents(output, patterns) == expected
    assert not [each for each in output.rglob("*") if each.name.endswith((".tmp", ".error"))]
