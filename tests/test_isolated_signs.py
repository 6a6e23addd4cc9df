"""Isolated signs through the whole path, in the layout of the competition."""

import json
import pathlib
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference import evaluate, export, recognize, submit
from inference.recognizer import Recognizer
from pipeline import convert, report, synthesize
from pipeline import filter as filter_command
from pipeline.common import directories
from pipeline.dataset.dataset import REJECTED, Dataset
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
    words = ("--run", made["run"], "--dataset", dataset.path, "--weights", "float16", "--fixed-frames", 64)
    command(export, *words, "--output", made["model"])
    proved = directories.read_json(made["model"] / export.REPORT)["verdicts"]
    assert [each["passed"] for each in proved if each["check"] == "outputs of fixed.tflite"] == [True]
    command(evaluate, "--model", made["model"], "--dataset", dataset.path, "--output", made["evaluation"])
    found = directories.read_json(made["evaluation"] / "report.json")
    assert found["top5"] == 1.0
    assert found["balanced"] == np.mean([each["score"] for each in found["by_label"].values()])
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


def spoiled(path, change):
    """Writes the table of a parquet file anew, changed."""
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def replaced(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(at).type))


SPOILED = {
    "not_whole_frames": lambda table: table.slice(1),
    "wrong_points": lambda table: replaced(table, "landmark_index", 7, 600),
    "no_landmarks": lambda table: table.slice(0, 0),
}


def test_what_is_rejected(data, tmp_path, command):
    """Each clip that cannot be used is told with its reason; the others are written, rows in any order as if sorted."""
    shutil.copytree(data, tmp_path / "data")
    table = tmp_path / "data/train.csv"
    header, *rows = table.read_text().splitlines()
    files = [tmp_path / "data" / row.partition(",")[0] for row in rows]
    for path, change in zip(files, SPOILED.values(), strict=False):
        spoiled(path, change)
    spoiled(files[3], lambda table: table.take(np.random.default_rng(0).permutation(len(table))))
    rows[4] = rows[4].rpartition(",")[0] + ",unheard"
    rows[5] = rows[5].rpartition(",")[0] + ", "
    table.write_text("\n".join([header, *rows, ""]))
    for name, folder in (("whole", data), ("spoiled", tmp_path / "data")):
        command(convert, "--data", folder, "--output", tmp_path / name, "--test-share", "0.2", "--workers", "1")
    found = Dataset.open(tmp_path / "spoiled")
    reasons = [*SPOILED, "unknown_class", "empty_label"]
    assert found.manifest["rejected"] == dict.fromkeys(sorted(reasons), 1)
    assert found.manifest["read"] == found.manifest["written"] + len(reasons) == 36
    told = {row["sequence_id"]: row["reason"] for row in map(json.loads, (found.path / REJECTED).open())}
    ids = [int(path.stem) for path in files]
    assert told == dict(zip([*ids[:3], *ids[4:6]], reasons, strict=True))
    clips = [
        {clip.sequence_id: clip.landmarks for split in dataset.splits for clip in dataset.read(split)}
        for dataset in (Dataset.open(tmp_path / "whole"), found)
    ]
    np.testing.assert_array_equal(clips[1][ids[3]], clips[0][ids[3]])


def test_presets_are_for_the_head_of_the_task():
    assert set(IsolatedSigns.presets) <= run_pipeline.PRESETS.keys()
    assert IsolatedSigns.default_presets() == ("signs-small", "signs-small")


NAMED_IN = re.compile(r"pipeline/(tasks|synthesis)/.*|pipeline/synthesize\.py|training/config\.py")


def test_no_other_module_names_it():
    """But the task itself, its sample data and the presets."""
    root = pathlib.Path(__file__).parents[1]
    modules = [file for package in ("pipeline", "training", "inference") for file in (root / package).rglob("*.py")]
    naming = {
        file.relative_to(root).as_posix()
        for file in modules
        if re.search(r"isolated|\bsigns\b", file.read_text(encoding="utf-8"), re.IGNORECASE)
    }
    assert {name for name in naming if not NAMED_IN.fullmatch(name)} == set()
    assert len(naming) > 2
