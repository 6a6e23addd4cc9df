import builtins
import json

import pytest

from inference import budget
from inference.budget import Measurement
from inference.latency import STATISTICS, Limits
from pipeline import directories
from pipeline.dataset import Dataset
from training.runs import Run

MAX_FRAMES = 16


@pytest.fixture(scope="module")
def made(toy_run, toy_dataset, command):
    """A directory of measurements, and the words that made it."""
    words = ["--run", toy_run, "--dataset", toy_dataset, "--output", toy_run.parent / "budget"]
    words += ["--max-frames", f"{MAX_FRAMES},6", "--quantize", "none"]
    command(budget, *words)
    return words[5], words


def test_what_it_measures(made, toy_run, toy_dataset):
    """The score is that of the run's own validation; other rows are other exports."""
    directory, _ = made
    found = budget.read(directory)
    assert [(each.max_frames, each.quantize) for each in found] == [
        (MAX_FRAMES, "none"),
        (6, "none"),
    ]
    trained = Run.open(toy_run)
    assert found[0].score == pytest.approx(trained.manifest["best_score"])
    manifest = directories.read_manifest(directory, budget.KIND)
    assert manifest["validation_sequences"] == trained.manifest["validation_sequences"]
    assert found[0].size_mb == pytest.approx(found[1].size_mb, rel=0.01)
    assert all(set(each.latency_ms) == set(STATISTICS) for each in found)
    assert (directory / budget.PLOT).read_bytes().startswith(b"\x89PNG")


def test_another_choice_measures_nothing(made, command, capsys, monkeypatch):
    directory, words = made
    monkeypatch.setattr(budget, "measure", None)
    before = (directory / budget.MEASUREMENTS).read_bytes()
    command(budget, *words, "--max-latency-ms", 10_000)
    out = capsys.readouterr().out
    assert "best within mean 10000 ms, 40 MB: --max-frames" in out
    assert "next: python -m inference.export --run" in out
    command(budget, *words, "--max-size-mb", "0.001")
    out = capsys.readouterr().out
    assert "none keeps to 0.001 MB; closest: --max-frames" in out
    assert "next: " not in out
    assert (directory / budget.MEASUREMENTS).read_bytes() == before


def test_it_goes_on_where_it_stopped(made, command, tmp_path, monkeypatch):
    """What is measured is not measured again."""
    directory, words = made
    words = [*words[:5], tmp_path / "other", *words[6:]]
    done = budget.read(directory)
    measured = []

    def measure(model, max_frames, quantize, sequences, **_):
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append((max_frames, quantize))
        return done[len(measured) - 1]

    monkeypatch.setattr(budget, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        command(budget, *words)
    monkeypatch.setattr(budget, "measure", lambda *_, **__: done[1])
    command(budget, *words)
    assert budget.read(tmp_path / "other") == done


def test_without_matplotlib(made, tmp_path, monkeypatch, capsys):
    original = builtins.__import__

    def without(name, *more):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name=name)
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert not budget.draw(budget.read(made[0]), tmp_path / "budget.png")
    assert not (tmp_path / "budget.png").exists()


def measurement(score, milliseconds, megabytes):
    return Measurement(100, "none", score, dict.fromkeys(STATISTICS, milliseconds), megabytes)


def test_choosing():
    """The best score; of equal ones the fastest; only what keeps to both limits; otherwise what is nearest to them."""
    best, as_good, small, slow = (
        measurement(0.80, 20.0, 30.0),
        measurement(0.8001, 15.0, 30.0),
        measurement(0.70, 5.0, 4.0),
        measurement(0.85, 90.0, 60.0),
    )
    found = [best, as_good, small, slow]
    assert budget.choose(found, Limits()) == (as_good, True)
    assert budget.choose(found, Limits(max_size_mb=100)) == (slow, True)
    assert budget.choose(found, Limits(max_latency_ms=15)) == (as_good, True)
    assert budget.choose(found, Limits(max_latency_ms=10)) == (small, True)
    assert budget.choose(found, Limits(max_latency_ms=4)) == (small, False)
    assert budget.choose([best, slow], Limits(max_latency_ms=10)) == (best, False)


def test_a_validation_split(toy_dataset):
    """Where there is one, it is that; otherwise phrases, each wholly in or out."""
    dataset = Dataset.open(toy_dataset)
    chosen = list(budget.validation_sequences(dataset, 0.3))
    labels = {each.label for each in chosen}
    assert chosen and len(chosen) < dataset.count("train")
    assert len(chosen) == sum(each.label in labels for each in dataset.read("train"))
    assert list(budget.validation_sequences(dataset, 0.0)) == []


def test_a_damaged_file(tmp_path):
    (tmp_path / budget.MEASUREMENTS).write_text(json.dumps({"measurements": [{"score": 1}]}))
    with pytest.raises(directories.UserError, match=r"budget\.json is damaged"):
        budget.read(tmp_path)
