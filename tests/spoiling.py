"""Good inputs of every kind, ways to spoil them, and what a command answers: what tests of mistakes and attacks share.

A test takes the fixtures by importing them into its conftest.
"""

import contextlib
import dataclasses
import errno
import fcntl
import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from inference import language, recognizer
from inference.window import FIXED
from pipeline.common import arguments, directories, errors
from pipeline.dataset import metadata, records
from pipeline.dataset.dataset import STATISTICS, Dataset
from pipeline.scores import analysis, score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import Fingerspelling

PROGRESS = re.compile(r".* left (-:--:--|\d+:\d\d:\d\d)")
TASK = Fingerspelling()


@pytest.fixture(scope="session")
def good(toy_data, toy_dataset, toy_settings, tmp_path_factory) -> pathlib.Path:
    """A folder with a complete directory of every kind: see `fill`."""
    folder = tmp_path_factory.mktemp("good")
    fill(folder, toy_data, toy_dataset, toy_settings)
    return folder


def fill(folder: pathlib.Path, data: pathlib.Path, converted: pathlib.Path, settings: list[str], weight: int = 0):
    """Makes a complete directory of every kind, as commands look at them before they load anything large.

    The weights of `run` are three times `weight`, the network of `model` is none, every clip is recognized in `scores`,
    and the records of `tfds` do not move. `export` is what recognition needs of a model.
    """
    from training import config, runs

    shutil.copytree(data, folder / "data")
    shutil.copytree(converted, folder / "dataset")
    dataset, weights = Dataset.open(converted), runs.best_name(1)
    request = runs.request(config.resolve("small", overrides=settings[3::2]), dataset)
    with making(folder / "run", request, [weights, STATISTICS, runs.HISTORY], weights=weights) as run:
        np.savez(run / weights, weights=np.full(3, float(weight)), note="{}")
        shutil.copy(dataset.path / STATISTICS, run)
        (run / runs.HISTORY).write_text("epoch,loss\n1,0.5\n")
    own, files = {"task": TASK.as_json(), "dataset": dataset.fingerprint}, [score_table.FILE_NAME]
    with making(folder / "scores", directories.Request(score_table.KIND, {}), files, **own) as scores:
        clips = [each for split in dataset.splits for each in dataset.clips(split)]
        rows = [Row.of(each, each.label, TASK, Learnt.of([])) for each in clips]
        score_table.write(scores / score_table.FILE_NAME, rows)
    files = [recognizer.MODEL, recognizer.ARGUMENTS, FIXED, language.FILE_NAME]
    with making(folder / "model", directories.Request(recognizer.KIND, {}), files, task=TASK.as_json()) as model:
        (model / recognizer.MODEL).write_bytes(b"\x1c\0\0\0TFL3" * (1000 + weight))
        columns = {"selected_columns": list(TASK.contract.columns), "task": TASK.as_json()}
        columns["model_sha256"] = directories.sha256_of(model / recognizer.MODEL)
        shutil.copy(model / recognizer.MODEL, model / FIXED)
        columns["fixed_sha256"] = columns["model_sha256"]
        grams = language.NGrams.of([[weight]], len(TASK.classes), 2)
        language.Language(grams, 0.5, 1.0).write(model / language.FILE_NAME)
        columns["language_sha256"] = directories.sha256_of(model / language.FILE_NAME)
        directories.write_json(model / recognizer.ARGUMENTS, columns)
        shutil.copytree(model, folder / "export", ignore=shutil.ignore_patterns(directories.REQUEST))
    files = [score_table.FILE_NAME, analysis.REPORT]
    with making(folder / "evaluation", directories.Request(analysis.KIND, {}), files, **own) as evaluation:
        score_table.write(evaluation / score_table.FILE_NAME, rows)
        directories.write_json(evaluation / analysis.REPORT, {"score": 1.0})
    (folder / "tfds").mkdir()
    for path, entries in metadata.read(data, TASK.metadata).by_path.items():
        _write_published(folder / f"tfds/{pathlib.Path(path).stem}.tfrecord", [each.label for each in entries])


@contextlib.contextmanager
def making(directory: pathlib.Path, request: directories.Request, files: Sequence[str] = (), **content: Any):
    """Yields the directory, which is complete at the end; its manifest has `content` and the SHA-256 of `files`."""
    directories.prepare(directory, request)
    yield directory
    directories.complete(directory, request, content, files=files)


def _write_published(path: pathlib.Path, phrases: list[str]) -> None:
    """A file of records as the published solution has them."""

    with records.RecordWriter(path) as writer:
        for phrase in phrases:
            example = records.Example()
            for name, values in {"frames": [0.5] * 600, "phrase": TASK.encode(phrase)}.items():
                example.features.feature[name].float_list.value.extend(values)
            writer.write(example.SerializeToString())


@pytest.fixture
def place(good, tmp_path, monkeypatch) -> pathlib.Path:
    """The current folder: the good directories, with links to the files of all tests."""
    shutil.copytree(good, tmp_path, copy_function=os.link, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spoil(place, monkeypatch) -> Callable[..., None]:
    """`spoil(what, path, ...)` does to a path below `place` what the method of `Spoiler` says."""
    return lambda what, path, *more: getattr(Spoiler(monkeypatch), what)(place / path, *more)


def as_in_the_foreground() -> None:
    """Of a child process: these tests may run in the background, or under nohup, and ignore Ctrl-C or hang-ups."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Spoiler:
    """Never writes to a file that is there, which all tests share, but puts another in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self._monkeypatch = monkeypatch

    def removed(self, path: pathlib.Path) -> None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def cut(self, path: pathlib.Path) -> None:
        """As a download or a copy that stopped half-way."""
        self.holds(path, path.read_bytes()[: path.stat().st_size // 2])

    def holds(self, path: pathlib.Path, content: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def written(self, path: pathlib.Path, kind: str, version: int) -> None:
        """As a request of this kind, of this version."""
        path.parent.mkdir(exist_ok=True)
        directories.write_json(path, {"kind": kind, "schema_version": version, "settings": {}})

    def sealed(self, path: pathlib.Path) -> None:
        """Its manifest describes the files as they are now."""
        files = json.loads((path / "manifest.json").read_text())["files"]
        self.says(path / "manifest.json", {"files": {name: directories.sha256_of(path / name) for name in files}})

    def says(self, path: pathlib.Path, changes: dict[str, Any]) -> None:
        """A JSON file has other values; None removes."""
        data = json.loads(path.read_text()) | changes
        path.unlink(missing_ok=True)
        directories.write_json(path, {name: value for name, value in data.items() if value is not None})

    def replaced(self, path: pathlib.Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        self.holds(path, text.replace(old, new))
        if path.suffix == ".json":  # as if it had been written so
            directories.write_json(path, json.loads(path.read_text()))

    def task(self, path: pathlib.Path, name: str) -> None:
        """A JSON file tells of another task."""
        self.replaced(path, f'"name": "{TASK.name}"', f'"name": "{name}"')

    def in_use(self, path: pathlib.Path) -> None:
        """By another process, as far as one can tell; until this one ends."""
        path.mkdir(exist_ok=True)
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)

    def links_nowhere(self, path: pathlib.Path) -> None:
        path.symlink_to("gone")

    def is_copy_of(self, path: pathlib.Path, other: str) -> None:
        """Of another file or directory beside it."""
        source = path.parent / other
        if source.is_dir():
            shutil.copytree(source, path, copy_function=os.link)
        else:
            self.holds(path, source.read_bytes())

    def fold(self, path: pathlib.Path, fold: int, folds: int) -> None:
        """A run left out a fold."""
        settings = json.loads((path / "manifest.json").read_text())["settings"]
        settings["config"]["data"] |= {"fold": fold, "folds": folds}
        self.says(path / "manifest.json", {"settings": settings})

    def edited(self, path: pathlib.Path, edit: Callable[[pathlib.Path], None]) -> None:
        self.holds(path, path.read_bytes())
        edit(path)

    def cannot_be_written(self, path: pathlib.Path, number: int = errno.ENOSPC) -> None:
        """As on a full disk, or where one has no permission: tests may run as someone who has every permission."""
        original = pathlib.Path.replace

        def replace(source, target):
            if pathlib.Path(target).absolute() == path:
                raise OSError(number, os.strerror(number), str(source), None, str(target))
            return original(source, target)

        self._monkeypatch.setattr(pathlib.Path, "replace", replace)

    def cannot_be_read(self, path: pathlib.Path) -> None:
        original = pathlib.Path.open

        def opened(file, *arguments, **more):
            if file.absolute() == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
            return original(file, *arguments, **more)

        self._monkeypatch.setattr(pathlib.Path, "open", opened)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command said, progress apart, its status, and the files that it made or changed."""

    status: int
    output: str
    error: str
    changed: dict[str, tuple[int, int]]


@pytest.fixture
def attempt(place, monkeypatch, capsys) -> Callable[..., Answer]:
    """`attempt(command, words)` runs a command in this process; what is a mistake of the program's is raised."""

    def run(command: str, words: str | list[str]) -> Answer:
        main = importlib.import_module(command).main
        before = _contents(place)
        monkeypatch.setattr(arguments, "_program_name", lambda: f"python -m {command}")
        monkeypatch.setattr(sys, "argv", [command, *(words.split() if isinstance(words, str) else words)])
        status = 0
        try:
            errors.run(main)
        except SystemExit as ended:
            status = ended.code
        changed = dict(before.items() ^ _contents(place).items())
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if not PROGRESS.fullmatch(line)]
        return Answer(status, said.out, "\n".join(lines), changed)

    return run


@pytest.fixture
def answer(attempt) -> Callable[..., tuple[int, str]]:
    """`answer(command, words)`: status and error output of a command that ends early; checks that nothing is lost.

    What was there stays as it is, and nothing is added but, if the command `begins`, in the output `o`; nothing is
    marked complete, and no temporary file remains.
    """

    def run(command: str, words: str | list[str], *, begins: bool = True) -> tuple[int, str]:
        found = attempt(command, words)
        assert not [name for name in found.changed if not (begins and name.startswith("o/"))]
        assert not [name for name in found.changed if name.endswith(("manifest.json", ".tmp", ".error"))]
        return found.status, found.error

    return run


def _contents(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    states = [path.lstat() for path in files]
    return {
        path.relative_to(folder).as_posix(): (state.st_size, state.st_mtime_ns)
        for path, state in zip(files, states, strict=True)
    }
