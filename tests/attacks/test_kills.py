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

from pipeline import convert, synthesize
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from tests.spoiling import as_in_the_foreground

ROOT = pathlib.Path(__file__).parents[2]
# TensorFlow imports code that it has written to the temporary folder, and Python would leave its bytecode there.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}

HEAVY = ("export", "score")  # they import TensorFlow

# Reads what to run, and runs it in a process and session of its own, in which everything is imported already.
# That process counts what it does to files below two folders, and sends itself a signal with the deed of a number.
SERVER = """
import atexit, importlib, json, os, pathlib, signal, sys, tempfile
import inference.evaluate, pipeline.beam.transform
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
    for module in task["modules"]:
        importlib.import_module(module)
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
        self._temporary, self._log, self._killed = folder / "temporary", folder / "log", False
        self._temporary.mkdir()

    def run(self, words: list[str], *, deed: int = 0, number: int = 0) -> int:
        modules = ["inference.export", "training.predict"] if words[0].endswith(HEAVY) else []
        task = {"words": words, "modules": modules, "output": words[-1]}
        task |= {"temporary": str(self._temporary), "log": str(self._log)}
        self._process.stdin.write(json.dumps(task | {"deed": deed, "signal": number}) + "\n")
        self._process.stdin.flush()
        session, status = map(int, self._process.stdout.readline().split())
        self._killed |= status == -signal.SIGKILL
        assert_gone(session)
        if status != -signal.SIGKILL:
            left = [each.name for each in self._temporary.iterdir()]
            # TensorFlow removes these as it ends, as nobody does where it was killed.
            assert not [name for name in left if not (self._killed and name.startswith("__autograph"))], self.log
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
    command, options = [sys.executable, "-c", SERVER], {"env": ENVIRONMENT, "preexec_fn": as_in_the_foreground}
    with subprocess.Popen(command, **options, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def runner(server, tmp_path) -> Runner:
    return Runner(server, tmp_path)


@pytest.fixture(scope="session")
def place(toy_data, toy_dataset, toy_run, toy_model, made_once) -> pathlib.Path:
    """What the commands read. Shared: read it, do not change it."""

    def make(folder: pathlib.Path) -> None:
        for name, source in {"data": toy_data, "dataset": toy_dataset, "run": toy_run, "model": toy_model}.items():
            shutil.copytree(source, folder / name)
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
            changes = (f"data.fold={fold}", "data.folds=2", "optimizer.epochs=1", "data.fold_by_clip=true")
            words = [word for change in changes for word in ("--set", change)]
            command(train, "--dataset", toy_dataset, "--output", folder / str(fold), *toy_settings, *words)

    return made_once("folds", make)


# What is killed, and what must be the same in the end.
COMMANDS = {
    "filter": ("pipeline.filter --dataset {place}/dataset --scores {place}/scores", "shards/* dropped.jsonl"),
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


QUICK = ("filter", "TERM")
CASES = [(name, how) for name in COMMANDS for how in SIGNALS if (name, how) != QUICK]


@pytest.mark.parametrize(("name", "how"), [QUICK, *(pytest.param(*each, marks=pytest.mark.long) for each in CASES)])
def test_killed(name, how, request, place, runner, tmp_path):
    """With several of its deeds, one after the other in one directory: the same command goes on."""
    text, patterns = COMMANDS[name]
    folds = request.getfixturevalue("folds") if "{folds}" in text else None
    words = [*text.format(place=place, folds=folds).split(), *["--workers=1"] * (name == "filter"), "--output"]
    whole, output = tmp_path / "whole", tmp_path / "o"
    assert runner.run([*words, str(whole)]) == 0, runner.log
    expected, deeds = contents(whole, patterns), runner.deeds
    reached = 0
    moments = {1, 2, deeds // 3, deeds // 2, deeds - 1}
    if name in HEAVY:
        moments = {1, deeds // 2, deeds - 1} if how == "KILL" else {deeds // 2}
    for deed in sorted(moments):
        status = runner.run([*words, str(output)], deed=deed, number=SIGNALS[how])
        complete = (output / directories.MANIFEST).exists()
        assert status in {"KILL": (0, -9), "TERM": (143,), "HUP": (129,)}[how] + (0,) * complete, runner.log
        reached += status != 0
        assert not complete or contents(output, patterns) == expected
        if complete:
            shutil.rmtree(output)
    assert reached >= max(1, len(moments) - 1)
    assert runner.run([*words, str(output)]) == 0, runner.log
    assert contents(output, patterns) == expected
    assert not [each for each in output.rglob("*") if each.name.endswith((".tmp", ".error"))]


@pytest.fixture
def start(tmp_path):
    """`start(words)`: a process in a session of its own, with `tmp_path / "temporary"`; gone after the test.

    With `nohup` it ignores SIGHUP, as if that command had started it.
    """
    started = []
    environment = ENVIRONMENT | {"TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()

    def run(*words: object, nohup: bool = False) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, "-m", *map(str, words)]
        options = {"env": environment, "start_new_session": True}
        options["preexec_fn"] = ignore_hang_ups if nohup else as_in_the_foreground
        started.append(subprocess.Popen(command, **options, **pipes))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ignore_hang_ups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def wait_for(process: subprocess.Popen, there) -> None:
    """Until something is `there`: a process that ends or hangs before fails the test."""
    patience = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.long
def test_the_whole_path_is_killed(start, toy_settings, place, tmp_path):
    """Each time in another stage, which ends too: none works on unseen. Then all of it, as if nothing had been."""
    changes = [*toy_settings[2:], "--set", "optimizer.epochs=1", "--set", "data.plausible_only=false"]
    words = ["scripts.run_pipeline", "--data", place / "data", "--test-signers", "3", *changes, "--output"]
    output = tmp_path / "o"
    moments = {"dataset/reports": 9, "base": 15, "base/request.json": 1, "base/logs": 9}
    for file, number in moments.items():
        process = start(*words, output)
        wait_for(process, lambda: (output / file).exists() and len(members(process.pid)) > 1)  # noqa: B023
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
        assert_gone(process.pid)
        assert not (output / directories.MANIFEST).exists()
        if number != signal.SIGKILL:
            assert not list((tmp_path / "temporary").glob("fingerspelling-*"))
    process = start(*words, output)
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert not list((tmp_path / "temporary").glob("fingerspelling-*"))
    assert contents(output / "dataset", "shards/*") == contents(place / "dataset", "shards/*")
    assert len(list(output.rglob(directories.MANIFEST))) == 8


def test_nohup(start, place, tmp_path):
    """Whoever says that a command is to outlive the terminal is obeyed, by its workers too."""
    words = COMMANDS["convert"][0].format(place=place).split()
    process = start(*words, "--output", tmp_path / "o", nohup=True)
    wait_for(process, lambda: len(members(process.pid)) > 1)
    os.killpg(process.pid, signal.SIGHUP)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    expected = {file.name for file in (place / "dataset/shards").iterdir()}
    assert contents(tmp_path / "o", "shards/*").keys() == expected


@pytest.mark.long
def test_a_worker_that_is_stopped(start, command, tmp_path):
    """It is waited for, and takes up where it was."""
    data, output = tmp_path / "data", tmp_path / "o"
    command(synthesize, "--output", data, "--clips", 60, "--signers", 4, "--files", 4)
    words = ["--data", data, "--test-signers", "3", "--output"]
    process = start("pipeline.convert", *words, output, "--workers", "2")
    wait_for(process, lambda: list(output.glob("shards/.*.tmp")))
    worker = max(members(process.pid))
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)
    os.kill(worker, signal.SIGCONT)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    command(convert, *words, tmp_path / "whole", "--workers", 1)
    assert contents(output, "shards/* rejected.jsonl") == contents(tmp_path / "whole", "shards/* rejected.jsonl")


def state(output: pathlib.Path) -> dict[pathlib.Path, tuple[int, bytes]]:
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in output.glob("**/*.*")}


@pytest.mark.parametrize(("clips", "said"), [(2, None), (3, "other settings .settings.clips: 3 there, 2 asked for")])
@pytest.mark.parametrize("when", ["_claim", "_look"])
def test_two_commands_at_once(when, clips, said, command, tmp_path, monkeypatch):
    """The second looks before the first has begun, and works once it is done: what is there stays."""
    output = tmp_path / "o"
    original, first = getattr(directories, when), []

    def act(directory: pathlib.Path, *more):
        found = original(directory, *more) if when == "_look" else None
        if not first:
            first.append(directory)
            words = ["-m", "pipeline.synthesize", "--output", output, f"--clips={clips}", "--signers=1", "--files=1"]
            subprocess.run([sys.executable, *words], env=ENVIRONMENT, capture_output=True, check=True)
            first.append(state(output))
        return found if when == "_look" else original(directory, *more)

    monkeypatch.setattr(directories, when, act)
    second = ["--output", output, "--clips", 2, "--signers", 1, "--files", 1]
    if said is None:
        command(synthesize, *second)
    else:
        with pytest.raises(UserError, match=said):
            command(synthesize, *second)
    assert state(output) == first[1]
