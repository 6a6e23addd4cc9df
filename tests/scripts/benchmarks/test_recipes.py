"""scripts.benchmarks.recipes: what a recipe may say, its intervals, and that a signer held out is never trained on."""

import argparse
import importlib
import json
import shutil

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from scripts.benchmarks import recipes as benchmark
from scripts.benchmarks import trials
from scripts.benchmarks.trials import Trial
from training.runs import Run

RECIPES = """
[today]
[wider]
"encoder.width" = 12
"encoder.halved_after" = "stem"
"""


def test_recipes_are_settings(tmp_path):
    file = tmp_path / "recipes.toml"
    file.write_text(RECIPES)
    assert benchmark.read_recipes(file, "small") == {
        "today": [],
        "wider": ["encoder.width=12", "encoder.halved_after=stem"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no recipe"),
        ("[a", "cannot read"),
        ("a = 1", "'a' is no recipe"),
        ('["a/b"]', "'a/b' is no recipe"),
        ("[a]\nseed = 2", r"\[a\] sets seed, which --minutes and --seeds decide"),
        ("[a]\n'optimizer.epochs' = 2", r"\[a\] sets optimizer.epochs"),
        ("[a]\n'encoder.widht' = 2", r"\[a\] --set encoder.widht=2: no setting"),
        ("[a]\n'encoder.width' = 7", r"\[a\] encoder.width is 7, expected an even multiple"),
    ],
)
def test_what_is_no_recipe(text, message, tmp_path):
    file = tmp_path / "recipes.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        benchmark.read_recipes(file, "small")
    assert str(file) in str(raised.value)


def result(errors_SxN):
    errors_SxN = np.array(errors_SxN)
    clips = errors_SxN.shape[1]
    return benchmark.Result("r", 1, 1.0, 1, 1.0, 1.0, np.full(clips, 10), errors_SxN)


def test_intervals_are_of_seeds_and_clips():
    of_seeds = result([[0] * 40, [2] * 40])  # all clips are alike: 1.0, 0.9 or 0.8 by the seeds that are drawn
    assert of_seeds.score == pytest.approx(0.9)
    assert benchmark.interval(of_seeds) == pytest.approx([0.8, 1.0])
    alike = result([[1] * 40, [1] * 40])
    assert benchmark.interval(alike) == pytest.approx([0.9, 0.9])
    of_clips = result([[0, 4] * 20] * 2)
    low, high = benchmark.interval(of_clips)
    assert 0.70 < low < 0.76 < 0.84 < high < 0.90  # 0.8, with a deviation of 0.032
    assert benchmark.interval(of_clips, of_clips) == [0, 0]
    low, high = benchmark.interval(alike, of_clips)
    assert low == pytest.approx(0.1 - 0.062, abs=0.01)
    assert high == pytest.approx(0.1 + 0.062, abs=0.01)


def test_epochs_fill_the_time(tmp_path, monkeypatch):
    """Of 100 seconds to start and 20 an epoch, five epochs fit into 200 seconds."""
    monkeypatch.setattr(Trial, "train", lambda *_, epochs, **__: 100 + 20 * epochs)
    trial = Trial("small", [], tmp_path)
    assert trial.epochs(200 / 60, tmp_path / "any") == 5
    assert trial.epochs(1.0, tmp_path / "any") == 1


@pytest.mark.long
def test_a_signer_held_out_is_never_trained_on(
    command, toy_data, toy_settings, toy_model, tmp_path, capsys, monkeypatch
):
    """With one epoch, toy models, and every command in this process; any model is exported."""

    def stage(name, *words, output):
        if name == "inference.export":
            shutil.copytree(toy_model, output)
        else:
            words += tuple(toy_settings[2:]) if output.name == "base" else ()
            command(importlib.import_module(name), *words, "--output", output)

    for each in (benchmark, trials):
        monkeypatch.setattr(each, "stage", stage)
    monkeypatch.setattr(Trial, "epochs", lambda *_: 1)
    changes = [change.split("=") for change in toy_settings[3::2] if not change.startswith("optimizer.epochs")]
    own = "".join(f'"{name}" = {value}\n' for name, value in changes)
    file, output = tmp_path / "recipes.toml", tmp_path / "out"
    file.write_text(f"[half]\n{own}'encoder.halved_after' = 'stem'\n")
    words = [file, "--data", toy_data, "--output", output, "--test-signers", 3, "--held-out", 1, "--seeds", 1]
    command(benchmark, *words)
    (half,) = json.loads((output / benchmark.REPORT).read_text())["recipes"]
    assert (half["name"], half["epochs"], half["better_by"]) == ("half", 1, 0)
    assert half["by_seed"] == [pytest.approx(half["score"])]
    run = Run.open(output / "runs/half-1-seed-0")
    assert (run.config.encoder.halved_after, run.config.seed, run.config.optimizer.epochs) == ("stem", 0, 1)
    dataset = Dataset.open(output / "without-1-3/dataset-filtered")
    assert run.dataset == dataset.fingerprint
    assert {clip.signer for clip in dataset.read("train")}.isdisjoint({1, 3})
    assert half["clips"] == sum(clip.signer == 1 for clip in dataset.read("test"))
    assert "signers held out of training in turn" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such recipe"):
        command(benchmark, *words, "--test", "hlf")


def test_test_signers_are_scored_last(tmp_path, monkeypatch):
    """Nothing of them is trained on; for --test nobody else is held out."""
    asked = []
    for each in (benchmark, trials):
        monkeypatch.setattr(each, "stage", lambda name, *words, output: asked.append([name, *words]))
    args = argparse.Namespace(
        output=tmp_path, data=tmp_path, task="isolated-signs", base="signs-small", folds=3, test_signers=(3, 7)
    )
    assert benchmark._filtered(args, 5) == tmp_path / "without-3-5-7/dataset-filtered"
    assert benchmark._filtered(args, None) == tmp_path / "without-3-7/dataset-filtered"
    assert [words[-1] for words in asked if words[0] == "pipeline.convert"] == ["3,5,7", "3,7"]
    trained = [words for words in asked if words[0] == "training.train"]
    assert [words[-1] for words in trained] == ["data.fold=1", "data.fold=2", "data.fold=3"] * 2
    scored = [words for words in asked if words[0] == "training.score"]
    assert [words.count("--run") for words in scored] == [3, 3]
