"""Isolated signs through the whole path, in the layout of the competition."""

import json

import pytest

from inference import evaluate, export, recognize, submit
from inference.recognizer import Recognizer
from pipeline import convert, report, synthesize
from pipeline import filter as filter_command
from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from pipeline.scores import score_table
from pipeline.tasks.isolated_signs import IsolatedSigns
from scripts import run_pipeline
from training import score, train

SMALL = ["optimizer.epochs=1", "optimizer.warmup_epochs=0", "optimizer.batch_size=8"]
ENCODERS = {
    "published": ["encoder.width=8", "encoder.heads=2"],
    "recurrent": ["encoder.name=recurrent", "encoder.layers=1", "encoder.width=8"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signs") / "data"
    synthesize.synthesize(folder, task="isolated-signs", clips=36, signers=6, signs=3)
    return folder


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_whole_path(data, tmp_path, command, capsys, encoder):
    made = {
        name: tmp_path / name for name in ("dataset", "run", "scores", "filtered", "model", "evaluation", "submission")
    }
    command(convert, "--data", data, "--output", made["dataset"], "--test-share", "0.2", "--workers", "1")
    dataset = Dataset.open(made["dataset"])
    assert dataset.task == IsolatedSigns(("sign_0", "sign_1", "sign_2"))
    assert (dataset.manifest["read"], dataset.manifest["rejected"]) == (36, {})
    settings = [word for change in (*ENCODERS[encoder], *SMALL) for word in ("--set", change)]
    command(train, "--dataset", dataset.path, "--output", made["run"], "--preset", "signs-small", *settings)
    command(score, "--run", made["run"], "--dataset", dataset.path, "--output", made["scores"])
    _, rows = score_table.open_table(made["scores"])
    assert len(rows) == 36
    assert all(0 < row.probability < 1 and 1 <= row.rank <= 3 and row.units == 1 for row in rows.values())
    inputs = ("--dataset", dataset.path, "--scores", made["scores"])
    command(filter_command, *inputs, "--output", made["filtered"], "--workers", "1")
    threshold = Dataset.open(made["filtered"]).manifest["settings"]["threshold"]
    kept = sum(row.probability >= threshold for row in rows.values() if row.split == "train")
    assert Dataset.open(made["filtered"]).count("train") == kept
    command(export, "--run", made["run"], "--dataset", dataset.path, "--output", made["model"], "--weights", "float16")
    command(evaluate, "--model", made["model"], "--dataset", dataset.path, "--output", made["evaluation"])
    found = directories.read_json(made["evaluation"] / "report.json")
    assert found["top5"] == 1.0
    assert found["by_label"].keys() <= set(dataset.task.signs)
    capsys.readouterr()
    command(report, made["evaluation"])
    assert "never recognized" in capsys.readouterr().out
    file = next((data / "train_landmark_files").rglob("*.parquet"))
    command(recognize, file, "--model", made["model"], "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["sequence_id"] == int(file.stem)
    assert said["best"][0]["label"] == said["prediction"]
    assert sum(each["probability"] for each in said["best"]) == pytest.approx(1, abs=1e-3)
    command(submit, "--model", made["model"], "--data", data, "--output", made["submission"])
    assert directories.read_manifest(made["submission"])["clips"] == 36
    assert len(Recognizer(made["model"]).recognize(next(dataset.read("test")).landmarks).probabilities) == 3


def test_presets_are_for_the_head_of_the_task():
    assert run_pipeline.preset_for(IsolatedSigns) == "signs-small"
    assert run_pipeline.HEADS.keys() == run_pipeline.PRESETS.keys()
