"""Commands that are killed, stopped, or meet another: nothing is lost, nothing is left, the same bytes in the end."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from isal import igzip

from inference import submit
from pipeline import convert, synthesize
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import records
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import Fingerspelling

ROOT = pathlib.Path(__file__).parents[2]
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}

# Reads what to run, and runs it in a process and session of its own, in which everything is imported already.
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
        self._temporary, self._log, self._killed = folder / "temporary", folder / "log", False
        self._temporary.mkdir()

    def run(self, words: list[str], *, deed: int = 0, number: int = 0) -> int:
        task = {"words": words, "output": words[-1], "temporary": str(self._temporary), "log": str(self._log)}
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
    """With several of its deeds, one after the other in one directory: the same command goes on."""
    text, patterns = COMMANDS[name]
    folds = request.getfixturevalue("folds") if "{folds}" in text else None
    words = [*text.format(place=place, folds=folds).split(), "--output"]
    whole, output = tmp_path / "whole", tmp_path / "o"
    assert runner.run([*words, str(whole)]) == 0, runner.log
    expected, deeds = contents(whole, patterns), runner.deeds
    reached = 0
    moments = {1, deeds // 2, deeds - 1} if name in ("export", "score") else {1, 2, deeds // 3, deeds // 2, deeds - 1}
    for deed in sorted(moments):
        status = runner.run([*words, str(output)], deed=deed, number=SIGNALS[how])
        complete = (output / directories.MANIFEST).exists()
        assert status in {"KILL": (0, -9), "TERM": (143,), "HUP": (129,)}[how] + (0,) * complete, runner.log
        reached += status != 0
        assert not complete or contents(output, patterns) == expected
        if complete:
            shutil.rmtree(output)
    assert reached >= len(moments) - 1
    assert runner.run([*words, str(output)]) == 0, runner.log
    assert contents(output, patterns) == expected
    assert not [each for each in output.rglob("*") if each.name.endswith((".tmp", ".error"))]


@pytest.fixture
def start(tmp_path):
    """`start(words)`: a process in a session of its own, with `tmp_path / "temporary"`; gone after the test."""
    started = []
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()

    def run(*words: object) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, "-m", *map(str, words)]
        started.append(subprocess.Popen(command, env=environment, start_new_session=True, **pipes))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


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
    for file, number in {
        "dataset/reports": 9,
        "dataset": 15,
        "base/request.json": 15,
        "base": 1,
        "base/logs": 9,
    }.items():
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
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is what nohup does
    try:
        process = start(*words, "--output", tmp_path / "o")
    finally:
        signal.signal(signal.SIGHUP, before)
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
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            words = ["-m", "pipeline.synthesize", "--output", output, "--clips", str(clips), "--signers=1", "--files=1"]
            subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=True)
            first.append({file: (file.stat().st_mtime_ns, file.read_bytes()) for file in output.glob("**/*.*")})
        return found if when == "_look" else original(directory, *more)

    monkeypatch.setattr(directories, when, act)
    second = ["--output", output, "--clips", 2, "--signers", 1, "--files", 1]
    if said is None:
        command(synthesize, *second)
    else:
        with pytest.raises(UserError, match=said):
            command(synthesize, *second)
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in output.glob("**/*.*")} == first[1]


def bomb(kind: str, clip: Clip) -> bytes:
    """A few MB of gzip that unpack to 3 GB, or to the longest record that there may be."""
    if kind == "zeros":
        part = bytes(16 << 20)
    elif kind == "no clips":
        part = records.frame(b"") * (1 << 20)
    else:
        size = records.LONGEST - 1000 if kind == "one record" else 16 << 20
        landmarks = np.zeros((size // clip.landmarks[0].nbytes, *clip.landmarks.shape[1:]), np.float32)
        part = records.frame(records.encode(dataclasses.replace(clip, landmarks=landmarks)))
    return igzip.compress(part, 1) * (1 if kind == "one record" else (3 << 30) // len(part))


# Runs a command, and writes how much memory it took into a file.
MEASURED = """
import importlib, pathlib, sys
from pipeline.common import errors
from pipeline.common.peak_memory import peak_memory
_, file, module, *sys.argv[1:] = sys.argv
try:
    errors.run(importlib.import_module(module).main)
finally:
    pathlib.Path(file).write_text(str(peak_memory()))
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["zeros", "no clips", "clips", "one record"])
@pytest.mark.parametrize(
    "reader", ["pipeline.inspect {} --verify", "inference.evaluate --dataset {} --model {model} --output {o}"]
)
def test_a_bomb(reader, kind, place, tmp_path):
    dataset = pathlib.Path(shutil.copytree(place / "dataset", tmp_path / "dataset"))
    manifest = directories.read_json(dataset / directories.MANIFEST)
    report = dataset / "reports/00000-of-00002.json"
    (file,) = (each for each in manifest["shards"][0]["files"] if each["split"] == "test")
    clip = next(Dataset.open(dataset).read("test"))
    path = dataset / "shards" / file["name"]
    path.write_bytes(bomb(kind, clip))
    assert path.stat().st_size < 32 << 20
    file |= {"bytes": path.stat().st_size, "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    directories.write_json(dataset / directories.MANIFEST, manifest)
    directories.write_json(report, directories.read_json(report) | {"files": manifest["shards"][0]["files"]})
    words = [word.format(dataset, model=place / "model", o=tmp_path / "o") for word in reader.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "peak"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if file["name"] in line]
    print(done.stdout[-1500:], done.stderr[-1500:], int((tmp_path / "peak").read_text()) >> 20)
    print(done.stdout[-300:], done.stderr[-600:])
    assert done.returncode == 1
    assert len(said) <= 3, done.stderr[-1000:]
    assert "Traceback" not in done.stderr
    assert int((tmp_path / "peak").read_text()) < 700 << 20


@pytest.mark.parametrize(
    "name", ["../evil", "/{}/evil", "a/../../evil", "..\\evil", "./../../../../../../../../tmp/evil"]
)
def test_an_archive_with_a_path_in_it(name, place, tmp_path, monkeypatch):
    """Nothing is written outside of the folder into which it is unpacked, which is gone afterwards."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    packed = tmp_path / submit.ZIP
    submit.pack(place / "model", packed)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(name.format(tmp_path), "evil")
    files = sorted((place / "data/train_landmarks").iterdir())
    before = set(tmp_path.rglob("*"))
    submit.check(packed, files, None, Fingerspelling(), most=1, test_clips=1)
    assert set(tmp_path.rglob("*")) == before
    assert not list(pathlib.Path("/tmp").glob("evil"))
