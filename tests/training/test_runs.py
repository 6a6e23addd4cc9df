import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import STATISTICS, Dataset
from training import config as cfg
from training import runs
from training.runs import Run

HISTORY = [
    {"epoch": 1, "loss": 0.1 + 0.2, "validation_score": 0.25, "seconds": 1.5},
    {"epoch": 2, "loss": 1e-30, "validation_score": 0.5, "seconds": 2.0},
]


def test_history(tmp_path):
    """A table that exactly tells what it is given, with the line ends of this system's tools."""
    for _ in range(2):
        runs.write_history(tmp_path, HISTORY)
        content = (tmp_path / runs.HISTORY).read_bytes()
        assert content.startswith(b"epoch,loss,validation_score,seconds\n1,0.30000000000000004,0.25,1.5\n")
        assert b"\r" not in content
        with (tmp_path / runs.HISTORY).open(newline="") as file:
            read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        assert read == HISTORY


def points(folder):
    return [
        (event.step, value.tag, value.simple_value)
        for file in sorted(folder.iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]


def test_the_log_for_tensorboard(tmp_path):
    """An epoch that is run again replaces its points."""
    runs.write_history(tmp_path, [HISTORY[0] | {"loss": 9.0}])
    runs.write_history(tmp_path, HISTORY)
    expected = [(row["epoch"], name, row[name]) for row in HISTORY for name in ("loss", "validation_score", "seconds")]
    found = points(tmp_path / runs.LOGS)
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    np.testing.assert_allclose([each[2] for each in found], [each[2] for each in expected], rtol=1e-6)
    assert len(list((tmp_path / runs.LOGS).iterdir())) == 1


def test_the_way_back_to_the_trained_model(toy_run, toy_dataset):
    run, dataset = Run.open(toy_run), Dataset.open(toy_dataset)
    assert (run.task.as_json(), run.dataset) == (dataset.task.as_json(), dataset.fingerprint)
    assert (run.config.encoder.width, run.config.optimizer.epochs) == (12, 2)
    model = run.load_model()
    np.testing.assert_array_equal(model.features.mean, dataset.mean)
    np.testing.assert_array_equal(model.features.std, dataset.std)
    with np.load(toy_run / run.manifest["weights"]) as saved:
        for v in model.weights:
            np.testing.assert_array_equal(v, saved[v.path.replace("/", ".")])
        assert len(saved.files) == len(model.weights) + 1  # the note


@pytest.fixture
def run(toy_run, tmp_path):
    shutil.copytree(toy_run, tmp_path / "run")
    return tmp_path / "run"


def test_other_files_than_it_ended_with_are_refused(run):
    for name in (Run.open(run).manifest["weights"], STATISTICS):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(whole + b" ")
        with pytest.raises(UserError, match=rf"{name} is not the file that manifest\.json"):
            Run.open(run)
        (run / name).write_bytes(whole)
    Run.open(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": {"name": "publishd"}}, r"json: there is no encoder 'publishd' \(did you mean published\?\)"),
        ({"head": {"late": 1}}, r"manifest\.json is damaged \(.*late.*\): delete .* and train it again"),
        ({"seed": None}, r"manifest\.json is damaged \('seed'\)"),
    ],
)
def test_a_manifest_with_no_configuration(run, change, message):
    manifest = json.loads((run / "manifest.json").read_text())
    config = manifest["settings"]["config"] | change
    manifest["settings"]["config"] = {name: value for name, value in config.items() if value is not None}
    directories.write_json(run / "manifest.json", manifest)
    with pytest.raises(UserError, match=message) as raised:
        Run.open(run)
    assert "\n" not in str(raised.value)


def test_a_data_set_of_another_task(toy_run, toy_dataset):
    class Other(type(Run.open(toy_run).task)):
        name = "other"

    run, dataset = Run.open(toy_run), Dataset.open(toy_dataset)
    run.check_task(dataset)
    with pytest.raises(UserError, match=r"is of the task fingerspelling, .* of the task other"):
        run.check_task(dataclasses.replace(dataset, task=Other()))


def test_what_decides_a_run(toy_dataset):
    """Its settings, and the dataset."""
    dataset = Dataset.open(toy_dataset)
    request = runs.request(cfg.Config(), dataset)
    assert request.fingerprint == runs.request(cfg.Config(), dataset).fingerprint
    others = [runs.request(cfg.Config(seed=1), dataset)]
    for other in ({"content": "0"}, {"files": {"statistics.json": "0"}}):
        manifest = dataset.manifest | other
        others.append(runs.request(cfg.Config(), dataclasses.replace(dataset, manifest=manifest)))
    assert len({request.fingerprint, *(each.fingerprint for each in others)}) == 4
