import dataclasses
import json

import numpy as np
import pytest

from inference import evaluate, export
from inference.recognizer import ARGUMENTS, KIND, MODEL, Recognizer
from inference.tflite import checks, conversion
from inference.window import FIXED, Window
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.scores import analysis
from training import train
from training.data.corpus import Corpus
from training.data.holdout import Holdout
from training.predict import predict
from training.runs import Run

MAX_FRAMES = 16


def test_where_none_validate_no_language_model_is_chosen(toy_run, toy_dataset, tmp_path, monkeypatch, capsys):
    dataset, trained = Dataset.open(toy_dataset), Run.open(toy_run)
    everyone_trains = dataclasses.replace(Holdout.of(dataset, trained.config.data), validation=frozenset())
    monkeypatch.setattr(Holdout, "of", lambda *_: everyone_trains)
    assert export.learn_language(tmp_path, dataset, trained) is None
    assert "no clips validate: no language model" in capsys.readouterr().err


def test_what_an_export_is(toy_model, toy_run, toy_dataset):
    files = {"request.json", "manifest.json", "export_report.json", MODEL, ARGUMENTS, FIXED}
    assert {path.name for path in toy_model.iterdir()} == files
    manifest = directories.read_manifest(toy_model, KIND)
    assert manifest["bytes"] == (toy_model / MODEL).stat().st_size
    files = (MODEL, ARGUMENTS, FIXED, export.REPORT)
    assert manifest["files"] == {name: directories.sha256_of(toy_model / name) for name in files}
    assert manifest["task"] == Run.open(toy_run).task.as_json()
    cases = checks.edge_cases(Run.open(toy_run).task, MAX_FRAMES)
    assert (manifest["clips"], manifest["edge_cases"]) == (36, len(cases))
    assert manifest["largest_difference"] <= 1e-4
    assert (manifest["max_frames"], manifest["trimming"]) == (MAX_FRAMES, None)
    assert manifest["score"]["difference"] == 0
    assert manifest["score"]["first"] == pytest.approx(Run.open(toy_run).manifest["best_score"])
    report = json.loads((toy_model / export.REPORT).read_text())
    assert report["latency_milliseconds"] == manifest["latency_milliseconds"]
    assert [each["check"] for each in report["verdicts"]] == [
        "holds its weights",
        "size",
        "operators",
        "signatures",
        "shapes of serving_default",
        "first subgraph",
        "operators of fixed.tflite",
        "shapes of fixed.tflite",
        "outputs",
        "outputs of edge cases",
        "outputs of fixed.tflite",
        "answer is what the outputs say",
        "predictions of the trained model",
        "score",
        "latency",
    ]
    assert all(each["passed"] in (True, None) for each in report["verdicts"])


def test_a_second_call_finds_it_done(toy_model, toy_run, toy_dataset, command, capsys):
    before = {path: path.stat().st_mtime_ns for path in toy_model.iterdir()}
    command(export, "--run", toy_run, "--dataset", toy_dataset, "--output", toy_model, "--fixed-frames", 24)
    assert capsys.readouterr().out == f"{toy_model} is already complete\n"
    assert {path: path.stat().st_mtime_ns for path in toy_model.iterdir()} == before


def test_fewer_frames_than_trained_with(toy_run, toy_dataset, command, tmp_path, capsys, noise):
    words = ["--run", toy_run, "--dataset", toy_dataset, "--max-frames", 3, "--max-latency-ms", 10_000]
    command(export, *words, "--output", tmp_path / "model")
    said = capsys.readouterr().out
    assert "score of 3 frames" in said
    assert "frames for labels" in said and "4 of 8 clips with fewer frames" in said
    assert Recognizer(tmp_path / "model").outputs(noise(12)).shape == (3, 60)
    manifest = directories.read_manifest(tmp_path / "model", KIND)
    low, high = manifest["trimming"]["interval"]
    assert low <= manifest["trimming"]["difference"] <= high


@pytest.mark.parametrize("words", [[], ["--weights", "int8"]])
def test_what_fails_its_check_is_not_put_in_place(
    toy_run, toy_dataset, toy_model, command, tmp_path, monkeypatch, words
):
    """And the next call, of a program that exports well, makes it good."""

    def convert(model, max_frames, directory, *, weights):
        for name in (MODEL, ARGUMENTS):
            (directory / name).write_bytes((toy_model / name).read_bytes())

    original = checks.prove

    def refuse(*arguments):
        verdicts, figures = original(*arguments)
        return [*verdicts, checks.Verdict("luck", "none", "some", False)], figures

    monkeypatch.setattr(conversion, "convert", convert)
    words = [export, "--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "model", *words]
    said = (
        r"no model put in place, as 1 of 13 checks failed: luck \(none; expected some\); see export_report.json there"
    )
    with monkeypatch.context() as patched, pytest.raises(UserError, match=said):
        patched.setattr(checks, "prove", refuse)
        command(*words)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"request.json", "export_report.json"}
    assert not json.loads((tmp_path / "model/export_report.json").read_text())["verdicts"][-1]["passed"]
    command(*words)
    assert (tmp_path / "model" / MODEL).read_bytes() == (toy_model / MODEL).read_bytes()


def test_what_a_killed_call_left_is_removed(toy_run, toy_dataset, command, tmp_path, monkeypatch):
    def killed(*_, **__):
        (tmp_path / "model" / MODEL).write_bytes(b"half")
        raise KeyboardInterrupt

    words = [export, "--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "model"]
    for _ in range(2):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(conversion, "convert", killed)
            command(*words)

    def look(*_, **__):
        assert [path.name for path in (tmp_path / "model").iterdir()] == ["request.json"]
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "convert", look)
    with pytest.raises(KeyboardInterrupt):
        command(*words)


def test_a_conformer_at_half_the_frame_rate(toy_dataset, toy_settings, command, tmp_path, noise):
    """Trained, exported with all checks passed, and evaluated: nothing but the encoder's settings knows of it."""
    run, model, evaluation = (tmp_path / name for name in ("run", "model", "evaluation"))
    encoder = ["--set", "encoder.name=conformer", "--set", "encoder.halved_after=stem"]
    words = [*encoder, *toy_settings, "--set", "optimizer.epochs=1"]
    command(train, "--dataset", toy_dataset, "--output", run, *words)
    words = ["--weights", "int8", "--fixed-frames", 20]
    command(export, "--run", run, "--dataset", toy_dataset, "--output", model, *words)
    dataset = Dataset.open(toy_dataset)
    clips = list(dataset.read("test"))
    expected = predict(Run.open(run).load_model(), Corpus.of_clips(clips, dataset.task), max_frames=MAX_FRAMES)
    recognizer = Recognizer(model)
    for num_frames in (0, 1, 2, 7, 7, 8, 15, 16, 17, 40):
        assert len(recognizer.outputs(noise(num_frames))) == (min(max(num_frames, 1), MAX_FRAMES) + 1) // 2
    window = Window(model)
    for num_frames in (0, 1, 2, 7, 15, 16, 17, 20):
        found = window.outputs(noise(num_frames))
        np.testing.assert_allclose(found, recognizer.outputs(noise(num_frames)), atol=1e-4)
    assert [recognizer.answer(each.landmarks) for each in clips] == expected
    assert len(set(expected)) > 1
    command(evaluate, "--model", model, "--dataset", toy_dataset, "--output", evaluation)
    assert directories.read_manifest(evaluation, analysis.KIND)["clips"] == 12
