"""What the tests of mistakes share: good inputs of every kind, ways to spoil them, and the one line of the answer.

Each file here is a command, with two tables: OPTIONS (words and what is said of them) and MISTAKES (name: what is
spoiled, words, what is said). Paths are relative to a folder with copies of the good directories that NEEDS names. In
what is said, "..." stands for anything, mostly the words of a library.
"""

import errno
import json
import os
import pathlib
import re
import shutil
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline import commands, directories, score_table
from pipeline import landmarks as lm
from pipeline.dataset import Dataset
from pipeline.score_table import Row

ROOT = pathlib.Path(__file__).parents[2]
PROGRESS = re.compile(r".* left (-:--:--|\d+:\d\d:\d\d)")


@pytest.fixture(scope="session")
def good(toy_data, toy_dataset, toy_settings, tmp_path_factory) -> pathlib.Path:
    """A folder with a complete directory of every kind, as commands look at them before they load anything large.

    The weights of `run` and the network of `model` are none.
    """
    folder = tmp_path_factory.mktemp("good")
    shutil.copytree(toy_data, folder / "data")
    shutil.copytree(toy_dataset, folder / "dataset")
    dataset = Dataset.open(toy_dataset)
    _make_run(folder / "run", dataset, toy_settings)
    _make_scores(folder / "scores", dataset)
    _make_model(folder / "model")
    for kind in ("evaluation", "sample set"):
        _complete(folder / kind.split()[0], kind, {})
    return folder


def _complete(directory: pathlib.Path, kind: str, settings: dict[str, Any], **content: Any) -> None:
    request = directories.Request(kind, settings)
    directories.prepare(directory, request)
    directories.complete(directory, request, content)


def _make_run(directory: pathlib.Path, dataset: Dataset, toy_settings: list[str]) -> None:
    from training import config, runs

    resolved = config.dataclasses.asdict(config.resolve("small", overrides=toy_settings[3::2]))
    settings = {"config": resolved, "dataset": dataset.fingerprint}
    directories.prepare(directory, directories.Request(runs.KIND, settings))
    np.savez(directory / runs.BEST, weights=np.zeros(3))
    shutil.copy(dataset.path / "statistics.json", directory / runs.STATISTICS)
    files = {"weights_sha256": runs.BEST, "statistics_sha256": runs.STATISTICS}
    sums = {name: directories.sha256_of(directory / file) for name, file in files.items()}
    _complete(directory, runs.KIND, settings, **sums)


def _make_scores(directory: pathlib.Path, dataset: Dataset) -> None:
    directories.prepare(directory, directories.Request(score_table.KIND, {}))
    score_table.write(
        directory / score_table.FILE_NAME,
        (
            Row(each.sequence_id, each.participant_id, split, each.num_frames, True, each.label, "?", 0.9)
            for split in dataset.splits
            for each in dataset.read(split)
        ),
    )
    _complete(directory, score_table.KIND, {}, dataset=dataset.fingerprint)


def _make_model(directory: pathlib.Path) -> None:
    from inference import recognizer

    directories.prepare(directory, directories.Request(recognizer.MODEL_KIND, {}))
    (directory / recognizer.MODEL).write_bytes(b"\x1c\0\0\0TFL3" * 1000)
    directories.write_json(directory / recognizer.ARGUMENTS, {"selected_columns": list(lm.COLUMNS)})
    sha256 = directories.sha256_of(directory / recognizer.MODEL)
    _complete(directory, recognizer.MODEL_KIND, {}, model_sha256=sha256)


@pytest.fixture
def place(good, tmp_path, monkeypatch, request) -> pathlib.Path:
    """The current folder: the good directories that the test's module NEEDS, with links to the files of all tests."""
    for name in request.module.NEEDS:
        shutil.copytree(good / name, tmp_path / name, copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spoil(place, monkeypatch) -> Callable[..., None]:
    """`spoil(what, path, ...)` does to a path below `place` what the method of `Spoiler` says."""
    return lambda what, path, *more: getattr(Spoiler(monkeypatch), what)(place / path, *more)


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

    def says(self, path: pathlib.Path, changes: dict[str, Any]) -> None:
        """A JSON file has other values; None removes."""
        data = json.loads(path.read_text()) | changes
        self.holds(path, json.dumps({name: value for name, value in data.items() if value is not None}))

    def replaced(self, path: pathlib.Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        self.holds(path, text.replace(old, new))

    def links_nowhere(self, path: pathlib.Path) -> None:
        path.symlink_to("gone")

    def is_copy_of(self, path: pathlib.Path, other: str) -> None:
        self.holds(path, (path.parent / other).read_bytes())

    def fold(self, path: pathlib.Path, fold: int, folds: int) -> None:
        """A run, a copy of `run` if need be, that left out a fold."""
        if not path.exists():
            shutil.copytree(path.parent / "run", path, copy_function=os.link)
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


@pytest.fixture
def answer(place, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """`answer(module, words)`: status and error output of a command, progress apart; checks that nothing is lost.

    What was there stays as it is (but in the output `o`), nothing is marked complete, and no temporary file remains.
    """

    def run(module: types.ModuleType, words: str | list[str]) -> tuple[int, str]:
        before = _contents(place)
        monkeypatch.setattr(commands, "_program_name", lambda: f"python -m {module.__name__}")
        monkeypatch.setattr(sys, "argv", [module.__name__, *(words.split() if isinstance(words, str) else words)])
        with pytest.raises(SystemExit) as ended:
            commands.run(module.main)
        after = _contents(place)
        assert {name: after.get(name) for name in before if not name.startswith("o/")} == {
            name: state for name, state in before.items() if not name.startswith("o/")
        }
        new = after.keys() - before.keys()
        assert not [name for name in new if name.endswith(("manifest.json", ".tmp", ".error"))]
        lines = [line for line in capsys.readouterr().err.splitlines() if not PROGRESS.fullmatch(line)]
        return ended.value.code, "\n".join(lines)

    return run


def _contents(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    states = [path.lstat() for path in files]
    return {
        path.relative_to(folder).as_posix(): (state.st_size, state.st_mtime_ns)
        for path, state in zip(files, states, strict=True)
    }


@pytest.fixture
def mistake(answer, spoil) -> Callable[..., None]:
    """`mistake(module, spoiled, words, said)`: the command ends with status 1 and exactly the line `error: said`."""

    def check(module: types.ModuleType, spoiled: tuple | list[tuple] | None, words: str | list[str], said: str) -> None:
        for each in spoiled if isinstance(spoiled, list) else [spoiled] if spoiled else []:
            spoil(*each)
        status, line = answer(module, words)
        assert_said(line, f"error: {said}")
        assert status == 1

    return check


@pytest.fixture
def wrong_options(answer) -> Callable[..., None]:
    """`wrong_options(module, words, said)`: the command ends with status 2 and one line that also names the help."""

    def check(module: types.ModuleType, words: str | list[str], said: str) -> None:
        status, line = answer(module, words)
        program = f"python -m {module.__name__}"
        assert_said(line, f"{program}: {said}; see {program} --help")
        assert status == 2

    return check


def assert_said(line: str, expected: str) -> None:
    """Where `expected` has "...", `line` may have anything but a line break."""
    pattern = ".*".join(map(re.escape, expected.split("...")))
    assert re.fullmatch(pattern, line), f"\nsaid:     {line}\nexpected: {expected}"
