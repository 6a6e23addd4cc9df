"""The submission notebook, run from top to bottom as Kaggle runs it."""

import json
import pathlib
import zipfile

import nbclient
import nbformat
import numpy as np
import pytest

from inference.recognizer import Recognizer
from inference.submit import Submission
from pipeline import convert, synthesize
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.isolated_signs import SIGN_MAP
from training import train

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOK = ROOT / "inference/notebooks/submission.ipynb"


@pytest.fixture
def run_notebook(tmp_path, toy_run, toy_dataset, toy_data, monkeypatch):
    """`run_notebook(**inputs)` runs it in `tmp_path`, and returns all that was printed."""

    def run(**inputs):
        paths = {"SOURCE": ROOT, "RUN": toy_run, "DATASET": toy_dataset, "DATA": toy_data, "OUTPUT": tmp_path}
        for name, value in {**paths, "WEIGHTS": "float32", "PYTHONPATH": ROOT, **inputs}.items():
            monkeypatch.setenv(name, str(value))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
        outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        return "".join(output.text for output in outputs)

    return run


def test_from_top_to_bottom(run_notebook, tmp_path, noise):
    said = run_notebook()
    assert "all checks passed" in said
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert sorted(archive.namelist()) == ["inference_args.json", "model.tflite"]
        archive.extractall(tmp_path / "unpacked")
    assert Recognizer(tmp_path / "unpacked").answer(noise(12)) == Recognizer(tmp_path / "model").answer(noise(12))
    assert "is already complete" in run_notebook()


def test_isolated_signs(run_notebook, command, tmp_path):
    """The competition's shapes: a clip of [frames, 543, 3] to the probabilities of 250 signs, two of which are made."""
    data, dataset, trained = (tmp_path / name for name in ("data", "dataset", "run"))
    synthesize.synthesize(data, task="isolated-signs", clips=12, signers=4, signs=2)
    (data / SIGN_MAP).write_text(json.dumps({f"sign_{i}": i for i in range(250)}))
    command(convert, "--data", data, "--output", dataset, "--test-signers", "0", "--workers", "1")
    small = ("encoder.width=8", "encoder.heads=2", "optimizer.epochs=1", "optimizer.warmup_epochs=0")
    settings = [word for change in (*small, "optimizer.batch_size=4") for word in ("--set", change)]
    command(train, "--dataset", dataset, "--output", trained, "--preset", "signs-small", *settings)
    assert "all checks passed" in run_notebook(RUN=trained, DATASET=dataset, DATA=data)
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    submission = Submission(tmp_path / "unpacked", Dataset.open(dataset).task)
    assert submission.frame == (543, 3)
    outputs = submission._runner(inputs=np.zeros((7, 543, 3), np.float32))["outputs"]
    assert outputs.shape == (250,)
    assert outputs.sum() == pytest.approx(1, abs=1e-4)


def test_what_fails_stops_it(run_notebook, tmp_path):
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"inference\.export failed") as raised:
        run_notebook(RUN=tmp_path / "gone")
    assert "gone: no such file or directory; expected a run" in str(raised.value)
    assert not (tmp_path / "submission.zip").exists()


def test_it_is_stored_without_results():
    """A diff of it shows what changed in it, and nothing depends on what ran before."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert sum(len(cell.source.splitlines()) for cell in code) < 50
    assert not any(line.startswith(("!", "%")) for cell in code for line in cell.source.splitlines())
