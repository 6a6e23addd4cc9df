"""scripts.benchmarks.filter_gain: which labels are exchanged, and that every way is trained and tested on its own."""

import importlib
import json

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.metadata import Entry
from scripts.benchmarks import filter_gain as benchmark
from scripts.benchmarks import trials
from scripts.benchmarks.trials import Trial
from training.runs import Run


def test_labels_are_exchanged_among_training_signers():
    entries = [Entry("a.parquet", i, i % 5, f"label {i % 50}", "train") for i in range(500)]
    others = benchmark.exchanged(entries, 0.2, [4])
    by_id = {each.sequence_id: each for each in entries}
    assert 70 < len(others) <= 80  # of 400; some may get what they had
    assert all(by_id[i].signer != 4 and by_id[i].label != label for i, label in others.items())
    assert others == benchmark.exchanged(entries, 0.2, [4]) != benchmark.exchanged(entries, 0.1, [4])


def test_other_metadata_beside_links(tmp_path):
    data = tmp_path / "data"
    (data / "train_landmarks").mkdir(parents=True)
    (data / "train.csv").write_text("as it is")
    place = benchmark.linked(data, tmp_path / "out/data", {"train.csv"})
    assert place == benchmark.linked(data, tmp_path / "out/data", {"train.csv"})  # of a call that was interrupted
    assert [each.name for each in place.iterdir()] == ["train_landmarks"]
    assert (place / "train_landmarks").resolve() == data / "train_landmarks"


@pytest.mark.parametrize("shares", ["0", "1", "0.1,x", ""])
def test_shares_that_are_none(shares, toy_data, command, tmp_path):
    with pytest.raises(SystemExit):
        command(benchmark, "--data", toy_data, "--output", tmp_path, "--test-signers", 3, "--shares", shares)


def test_who_is_nobody(toy_data, command, tmp_path):
    with pytest.raises(UserError, match=r"--test-signers 99: .* has no clip of that signer"):
        command(benchmark, "--data", toy_data, "--output", tmp_path, "--test-signers", 99)
    truth = tmp_path / "truth.csv"
    truth.write_text("sequence_id,kind\n123456789,tap\n")
    with pytest.raises(UserError, match="it belongs to other data"):
        command(benchmark, "--data", toy_data, "--output", tmp_path, "--test-signers", 3, "--truth", truth)
    with pytest.raises(UserError, match=r"--shares 0\.01: of so few training clips no labels can be exchanged"):
        command(benchmark, "--data", toy_data, "--output", tmp_path, "--test-signers", 3, "--shares", "0.2,0.01")
    with pytest.raises(UserError, match="name a folder on this machine"):
        command(benchmark, "--data", toy_data, "--output", "gs://bucket/out", "--test-signers", 3)


@pytest.mark.long
def test_every_way(command, toy_data, toy_settings, tmp_path, capsys, monkeypatch):
    """With few epochs, toy models, and every command in this process."""

    def stage(name, *words, output):
        if name == "training.train" and output.name == "base":
            words += tuple(toy_settings[2:])
        if name == "pipeline.filter":
            words += ("--threshold", "-100")  # a model of one epoch reads nothing
        command(importlib.import_module(name), *words, "--output", output)

    for each in (benchmark, trials):
        monkeypatch.setattr(each, "stage", stage)
    monkeypatch.setattr(Trial, "epochs", lambda *_: 4)
    changes = [change for change in toy_settings[3::2] if not change.startswith("optimizer.epochs")]
    monkeypatch.setattr(benchmark, "Trial", lambda preset, _, dataset: Trial(preset, changes, dataset))
    before = (toy_data / "train.csv").read_bytes()
    words = ["--data", toy_data, "--output", tmp_path, "--test-signers", 3, "--seeds", 2, "--shares", "0.3"]
    command(benchmark, *words)
    found = json.loads((tmp_path / benchmark.REPORT).read_text())["results"]
    assert [each["way"] for each in found] == list(benchmark.WAYS)
    assert all(each["share"] == 0.3 and len(each["by_seed"]) == 2 for each in found)
    assert (found[0]["better_by"], found[0]["found"], found[0]["lost"]) == (0, 0, 0)
    exchanged, good = (Dataset.open(tmp_path / "30-percent" / name) for name in ("exchanged", "good"))
    labels = [{clip.sequence_id: clip.label for clip in each.read("train")} for each in (exchanged, good)]
    assert found[0]["exchanged"] == len(labels[0]) - len(labels[1]) > 3
    tested = [{clip.sequence_id: clip.label for clip in each.read("test")} for each in (exchanged, good)]
    assert tested[0] == tested[1] and found[0]["clips"] == len(tested[0])
    clips = [len(each) for each in (labels[0], labels[0], labels[1])]  # the threshold drops none
    assert [each["epochs"] for each in found] == [round(4 * clips[0] / count) for count in clips]
    assert found[2]["epochs"] > 4
    runs = [Run.open(tmp_path / f"30-percent/runs/{way.replace(' ', '-')}-seed-1") for way in benchmark.WAYS]
    filtered = Dataset.open(tmp_path / "30-percent/dataset-filtered")
    assert [run.dataset for run in runs] == [each.fingerprint for each in (exchanged, filtered, good)]
    assert np.isfinite([each["score"] for each in found]).all()
    assert (toy_data / "train.csv").read_bytes() == before
    assert "Does the filter help?" in capsys.readouterr().out
