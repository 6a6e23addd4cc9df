"""Every file that a directory may hold, damaged in every way, is refused by every command that reads it: by one line.

The line names the file, or its directory; nothing on disk is changed. COMMANDS says what each command reads; what it
does not read is damaged as well, and changes nothing of its answer.
"""

import json
import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.beam import job  # noqa: F401  # slow to import: not within a test
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import verify
from pipeline.dataset.dataset import Dataset
from pipeline.scores import analysis, score_table
from pipeline.tasks.fingerspelling import Fingerspelling
from tests.attacks.artefacts import (
    ANOTHER,
    CASES,
    COMMANDS,
    NONE,
    OPEN,
    READ_WHOLE,
    RUINED,
    SAME_SIZE,
    SEALED,
    damage_file,
    flipped,
    readers,
)


@pytest.fixture
def tried(attempt, monkeypatch, place, toy_settings) -> Callable:
    """`tried(name)` runs a command of COMMANDS; where it would begin something large it says "reached", and ends."""
    from inference import evaluate, recognize, submit
    from inference.recognizer import Prediction
    from scripts import run_pipeline

    class Mute:
        task, columns, frame, language = Fingerspelling(), ("x_face_0",), (1,), None

        def __init__(self, *_, **__):
            pass

        def recognize(self, _, *, greedy=False):
            return Prediction("", 0.0, 0.0)

        def answer(self, *_):
            return "a"

    def reached(*_, **__):
        raise UserError("reached")

    monkeypatch.setattr("inference.tflite.conversion.load", reached)
    monkeypatch.setattr("training.runs.Run.load_model", reached)
    monkeypatch.setattr(evaluate, "Recognizer", Mute)
    monkeypatch.setattr(submit, "Submission", Mute)
    monkeypatch.setattr(run_pipeline, "run_stages", reached)

    def run(name: str):
        module, *words = COMMANDS[name][0].replace("SETTINGS", " ".join(toy_settings)).split()
        with monkeypatch.context() as patched:
            if name == "train":
                from training import trainer

                patched.setattr(trainer, "Model", reached)
            if name in ("live", "page"):
                patched.setattr("ai_edge_litert.interpreter.Interpreter", reached)
            if name == "recognize files":
                patched.setattr(recognize, "Recognizer", Mute)
            found = attempt(module, words)
        shutil.rmtree(place / "o", ignore_errors=True)
        for folder in list(directories._claimed):
            directories._release(folder)
        return found

    return run


def is_named(path: str, found, *, nearby: bool) -> bool:
    """Whether what a command said, one line or the list of `--verify`, names the file, or what it is in.

    Args:
      nearby: whether another file of its directory will do.
    """
    line = found.error or found.output.partition("\n")[0]
    folder, _, name = path.rpartition("/")
    top = folder.partition("/")[0] or path
    alike = name if path in OPEN else path
    return "\n" not in found.error and bool(
        alike in line
        or re.match(rf"error: (cannot read |cannot write to )?{top} ", line)
        or (nearby and f"{top}/" in line)
    )


@pytest.mark.parametrize(("path", "damage"), CASES)
def test_a_damaged_file(tried, place, other, path, damage):
    names = readers(path)
    if path.startswith("dataset/shards") and damage in SAME_SIZE:
        names = READ_WHOLE[path.removeprefix("dataset/shards/").partition("-")[0]]
    damage_file(place, path, damage, other)
    for name in names:
        if name in NONE.get((path, damage), ()):
            continue
        found = tried(name)
        assert not [each for each in found.changed if not each.startswith("o/")], (name, found)
        if path in OPEN and damage not in RUINED and (not found.status or found.error == "error: reached"):
            continue
        assert found.status == 1, (name, found)
        assert is_named(path, found, nearby=damage == ANOTHER or path in OPEN), (name, found)


def command_and_answer(tried, name: str):
    found = tried(name)
    return found.status, found.error, re.sub(r"\d+\.\d+ m?s.*", "", found.output), sorted(found.changed)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_does_not_read(tried, place, name):
    """May be damaged: what COMMANDS says is all that it reads."""
    before = command_and_answer(tried, name)
    assert before[0] == 0 or before[1] == "error: reached" or name in ("recognize",), before
    files = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    unread = [path for path in files if name not in readers(path)]
    assert len(unread) > 10
    for path in unread:
        (place / path).unlink()
        (place / path).write_text("[")
    after = command_and_answer(tried, name)
    assert after == before, after[1]


def test_there_are_enough():
    assert len(CASES) >= 400
    read = {path for path, _ in CASES}
    assert all(readers(path) for path in read)


def read_whole(directory) -> None:
    """Reads all of a directory whose files are sealed, without a network; raises `UserError` for what is damaged."""
    from inference import budget, recognizer, window
    from training.runs import Run

    request = directory / directories.REQUEST
    if request.exists() and directories.read_json(request)["schema_version"] != directories.SCHEMA_VERSION:
        raise UserError("of another version: every command refuses it")
    match directory.name:
        case "dataset":
            if wrong := list(verify.problems(Dataset.open(directory))):
                raise UserError(wrong[0])
        case "run":
            Run.open(directory)
        case "scores" | "evaluation":
            score_table.open_table(directory, score_table.KIND, analysis.KIND)
        case "model":
            recognizer.read_manifest(directory)
            window.read(directory)
        case "export":
            recognizer.Recognizer(directory)
        case "budget":
            budget.read(directory, complete=True)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_mutants(place, toy_model, part):
    """Bits flipped, bytes exchanged, left out or put in: none is read as if it were what was written.

    A mutant of JSON that says the same, such as 1E5 for 1e5, is none.
    """
    random = np.random.default_rng(part)
    export = place / "export"  # the toy model with the language model that is there
    for name in ("inference_args.json", "model.tflite"):
        (export / name).unlink()
    shutil.copy(toy_model / "model.tflite", export)
    arguments = directories.read_json(toy_model / "inference_args.json")
    arguments["language_sha256"] = directories.sha256_of(export / "language.npz")
    directories.write_json(export / "inference_args.json", arguments)
    refused = 0
    paths = [path for path in SEALED if not path.startswith("data/")]
    for name in {path.partition("/")[0] for path in paths}:
        read_whole(place / name)  # all of it is in order
    while refused < 1000:
        path = place / paths[random.integers(len(paths))]
        content, kept = path.read_bytes(), place / "kept"
        first, last = sorted(random.integers(len(content), size=2))
        last = min(last, first + 1 + int(random.integers(40)))
        damaged = [
            lambda content=content: flipped(content, random),
            lambda content=content, first=first, last=last: (
                content[:first] + random.bytes(last - first) + content[last:]
            ),
            lambda content=content, first=first, last=last: content[:first] + content[last:],
            lambda content=content, first=first: content[:first] + random.bytes(3) + content[first:],
            lambda content=content, first=first: content[:first],
        ][random.integers(5)]()
        if damaged == content or (path.suffix == ".json" and says_the_same(damaged, content)):
            continue
        path.rename(kept)
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            read_whole(place / path.relative_to(place).parts[0])
        kept.replace(path)
        refused += 1


def says_the_same(one: bytes, other: bytes) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except (ValueError, RecursionError):
        return False
