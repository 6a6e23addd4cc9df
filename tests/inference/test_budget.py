import itertools
import shutil
import sys

import pytest

from inference import budget
from inference.budget import Measurement
from inference.latency import STATISTICS, Limits
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from training.data.holdout import Holdout
from training.runs import Run

MAX_FRAMES = 16


@pytest.fixture(scope="module")
def made(toy_run, toy_dataset, command, made_once):
    """A directory of measurements, and the words that made it but for --output."""
    words = ["--run", toy_run, "--dataset", toy_dataset, "--max-frames", f"{MAX_FRAMES},1", "--weights", "float32"]
    return made_once("toy-budget", lambda folder: command(budget, *words, "--output", folder)), words


def test_what_it_measures(made, toy_run, toy_dataset):
    """The score is that of the run's own validation; other rows are other exports."""
    directory, _ = made
    found = budget.read(directory, complete=True)
    assert [(each.max_frames, each.weights) for each in found] == [(MAX_FRAMES, "float32"), (1, "float32")]
    trained = Run.open(toy_run)
    assert found[0].score == pytest.approx(trained.manifest["best_score"])
    manifest = directories.read_manifest(directory, budget.KIND)
    assert manifest["validation_clips"] == trained.manifest["validation_clips"]
    assert found[0].size_mb == pytest.approx(found[1].size_mb, rel=0.01)
    assert all(set(each.latency_ms) == set(STATISTICS) for each in found)
    assert (directory / budget.PLOT).read_bytes().startswith(b"\x89PNG")
    # A label takes a frame for each character, and one more between two that are the same.
    dataset = Dataset.open(toy_dataset)
    clips = list(Holdout.of(dataset, trained.config.data).read_validation(dataset))
    needed = [len(each.label) + sum(a == b for a, b in itertools.pairwise(each.label)) for each in clips]
    for row in found:
        given = [min(each.num_frames, row.max_frames) for each in clips]
        assert row.too_few_frames == sum(frames < least for frames, least in zip(given, needed, strict=True))
    assert found[1].too_few_frames > 0


def test_another_choice_measures_nothing(made, command, capsys, monkeypatch):
    directory, words = made
    monkeypatch.setattr(budget, "measure", None)
    before = (directory / budget.MEASUREMENTS).read_bytes()
    words = [*words, "--output", directory]
    command(budget, *words, "--max-latency-ms", 10_000)
    out = capsys.readouterr().out
    assert "best within mean 10000 ms, 40 MB: --max-frames" in out
    assert "next: python -m inference.export --run" in out
    assert "--weights float32 --output MODEL" in out
    command(budget, *words, "--max-size-mb", "0.001")
    out = capsys.readouterr().out
    assert "none keeps to 0.001 MB; closest: --max-frames" in out
    assert "next: " not in out
    assert (directory / budget.MEASUREMENTS).read_bytes() == before


def test_it_goes_on_where_it_stopped(made, command, tmp_path, monkeypatch):
    """What is measured is not measured again."""
    directory, words = made
    words = [*words, "--output", tmp_path / "other"]
    done = budget.read(directory, complete=True)
    measured = []

    def measure(model, max_frames, weights, clips, corpus, **_):
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append((max_frames, weights))
        return done[len(measured) - 1]

    monkeypatch.setattr(budget, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        command(budget, *words)
    monkeypatch.setattr(budget, "measure", lambda *_, **__: done[1])
    command(budget, *words)
    assert budget.read(tmp_path / "other", complete=True) == done


def test_without_matplotlib(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    budget.draw(budget.read(made[0], complete=True), tmp_path / "budget.png")
    assert not (tmp_path / "budget.png").exists()
    assert "no budget.png: matplotlib is not installed" in capsys.readouterr().err


def measurement(score, milliseconds, megabytes):
    return Measurement(100, "float32", score, dict.fromkeys(STATISTICS, milliseconds), megabytes, 0)


def test_choosing():
    """The best score; of equal ones the fastest; only what keeps to both limits; otherwise what is nearest to them."""
    best, as_good, small, slow = (
        measurement(0.80, 20.0, 30.0),
        measurement(0.8001, 15.0, 30.0),
        measurement(0.70, 5.0, 4.0),
        measurement(0.85, 90.0, 60.0),
    )
    found = [best, as_good, small, slow]
    assert budget.choose(found, Limits(40)) == (as_good, True)
    assert budget.choose(found, Limits(100)) == (slow, True)
    assert budget.choose(found, Limits(40, max_latency_ms=15)) == (as_good, True)
    assert budget.choose(found, Limits(40, max_latency_ms=10)) == (small, True)
    assert budget.choose(found, Limits(40, max_latency_ms=4)) == (small, False)
    assert budget.choose([best, slow], Limits(40, max_latency_ms=10)) == (best, False)


def test_without_validation_clips(toy_run, toy_dataset, command, tmp_path, monkeypatch):
    monkeypatch.setattr(budget.Holdout, "read_validation", lambda *_: iter(()))
    with pytest.raises(
        UserError, match=r"has no clips that validate .*: convert with --validation-signers, and train again"
    ):
        command(budget, "--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "budget")


def test_at_most_so_many_clips(toy_run, toy_dataset, command, tmp_path, monkeypatch):
    """The first of those that validated the run."""
    trained, dataset = Run.open(toy_run), Dataset.open(toy_dataset)
    validation = [each.sequence_id for each in Holdout.of(dataset, trained.config.data).read_validation(dataset)]
    assert len(validation) > 3
    seen = []

    def measure(model, max_frames, weights, clips, corpus, **_):
        seen.append([each.sequence_id for each in clips])
        return measurement(0.5, 1.0, 1.0)

    monkeypatch.setattr(budget, "measure", measure)
    words = ["--run", toy_run, "--dataset", toy_dataset, "--output", tmp_path / "budget"]
    command(budget, *words, "--clips", 3, "--max-frames", 9, "--weights", "int8,float32")
    assert seen == [validation[:3]] * 2


DAMAGE = {
    "missing": None,
    "empty": "",
    "without measurements": '{"measurements": []}',
    "of nothing": "{}",
    "of another version": '{"measurements": [{"score": 1}]}',
    "no table": '{"measurements": 5}',
    "no JSON": "budget",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file(made, command, tmp_path, name):
    directory, words = made
    copy = shutil.copytree(directory, tmp_path / "copy")
    (copy / budget.MEASUREMENTS).unlink()
    if DAMAGE[name] is not None:
        (copy / budget.MEASUREMENTS).write_text(DAMAGE[name])
    with pytest.raises(UserError, match=r"budget\.json") as raised:
        command(budget, *words, "--output", copy)
    assert str(copy) in str(raised.value)
    assert "delete" in str(raised.value)
    assert "\n" not in str(raised.value)
