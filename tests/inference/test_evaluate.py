import json

import pytest

from inference import evaluate
from inference.recognizer import ARGUMENTS, MODEL, Recognizer
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.scores import analysis, score_table
from pipeline.tasks.fingerspelling import COLUMNS


@pytest.fixture(scope="module")
def evaluation(toy_model, toy_dataset, command, made_once):
    words = ["--model", toy_model, "--dataset", toy_dataset]
    return made_once("toy-evaluation", lambda folder: command(evaluate, *words, "--output", folder))


def test_the_pooled_score_is_that_of_the_table(evaluation, toy_dataset, toy_model):
    rows = score_table.read(evaluation / score_table.FILE_NAME)
    dataset = Dataset.open(toy_dataset)
    recognizer = Recognizer(toy_model)
    clips = {each.sequence_id: each for each in dataset.read("test")}
    learnt = {each.label for each in dataset.read("train")}
    assert rows.keys() == clips.keys()
    for sequence_id, row in rows.items():
        each = clips[sequence_id]
        assert (row.split, row.signer, row.label, row.num_frames) == ("test", 3, each.label, each.num_frames)
        assert row.prediction == recognizer.answer(each.landmarks)
        assert row.errors == dataset.task.errors(each.label, row.prediction)
        assert (row.units, row.fold, row.known_signer) == (len(each.label), 0, False)
        assert row.known_label == (each.label in learnt)
    manifest = directories.read_manifest(evaluation, analysis.KIND)
    assert manifest["pooled_score"] == score_table.pooled_score(rows.values())
    assert manifest["exact"] == sum(row.exact for row in rows.values())
    assert manifest["clips"] == len(rows) == 12
    latency = manifest["latency_milliseconds"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    report = json.loads((evaluation / analysis.REPORT).read_text())
    assert (report["score"], report["latency_milliseconds"]) == (manifest["pooled_score"], latency)


def test_a_language_model_is_scored_beside_the_file(model_with_language, toy_dataset, command, monkeypatch, tmp_path):
    monkeypatch.setattr(directories, "check_file", lambda *_: None)  # the manifest of the copy does not know it
    command(evaluate, "--model", model_with_language, "--dataset", toy_dataset, "--output", tmp_path / "out")
    recognizer = Recognizer(model_with_language)
    clips = {each.sequence_id: each.landmarks for each in Dataset.open(toy_dataset).read("test")}
    alone = score_table.read(tmp_path / "out" / score_table.FILE_NAME)
    helped = score_table.read(tmp_path / "out" / evaluate.WITH_LANGUAGE)
    for i, landmarks in clips.items():
        assert alone[i].prediction == recognizer.answer(landmarks)
        assert helped[i].prediction == recognizer.recognize(landmarks).label
    report = json.loads((tmp_path / "out" / analysis.REPORT).read_text())
    assert report["language"]["first"] == report["score"] == score_table.pooled_score(alone.values())
    assert report["language"]["second"] == pytest.approx(score_table.pooled_score(helped.values()))
    assert report["language"]["second"] != report["score"]


def test_another_split(toy_model, toy_dataset, command, tmp_path, capsys):
    words = [evaluate, "--model", toy_model, "--dataset", toy_dataset]
    command(*words, "--split", "train", "--output", tmp_path / "train")
    assert "on 24 clips" in capsys.readouterr().out
    rows = score_table.read(tmp_path / "train" / score_table.FILE_NAME)
    assert all(row.known_signer and row.known_label for row in rows.values())


def test_a_second_call_finds_it_done(evaluation, toy_model, toy_dataset, command, capsys):
    before = {path: path.stat().st_mtime_ns for path in evaluation.iterdir()}
    command(evaluate, "--model", toy_model, "--dataset", toy_dataset, "--output", evaluation)
    assert capsys.readouterr().out == f"{evaluation} is already complete\n"
    assert {path: path.stat().st_mtime_ns for path in evaluation.iterdir()} == before


def swap_columns(directory):
    arguments = json.loads((directory / ARGUMENTS).read_text())
    arguments["selected_columns"] = [COLUMNS[1], COLUMNS[0], *COLUMNS[2:]]
    directories.write_json(directory / ARGUMENTS, arguments)


def cut(directory):
    (directory / MODEL).write_bytes((directory / MODEL).read_bytes()[:-1000])


@pytest.mark.parametrize(("damage", "file"), [(swap_columns, ARGUMENTS), (cut, MODEL)])
def test_a_damaged_model_is_refused(copy, toy_dataset, command, tmp_path, damage, file):
    damage(copy)
    with pytest.raises(UserError, match="cut short, changed or replaced") as raised:
        command(evaluate, "--model", copy, "--dataset", toy_dataset, "--output", tmp_path / "evaluation")
    assert str(raised.value).startswith(f"{copy / file} is not the file that manifest.json ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "evaluation").exists()


def test_a_model_of_another_task(copy, toy_dataset, command, tmp_path):
    manifest = json.loads((copy / "manifest.json").read_text())
    directories.write_json(copy / "manifest.json", manifest | {"task": manifest["task"] | {"classes": ["a", "b"]}})
    with pytest.raises(UserError, match="its task fingerspelling has other points, classes or columns"):
        command(evaluate, "--model", copy, "--dataset", toy_dataset, "--output", tmp_path / "evaluation")
