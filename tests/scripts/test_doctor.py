"""What scripts/doctor says, about machines and folders that are fine and that are not."""

import collections
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from pipeline.tasks.isolated_signs import IsolatedSigns
from scripts import doctor as machine
from scripts import doctor_data
from training import config

ROOT = pathlib.Path(__file__).parents[2]
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def roomy(monkeypatch):
    """The machine has room, and training takes a millisecond a frame."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 10**12))
    monkeypatch.setattr(doctor_data.devices, "_num_gpus", lambda: 0)
    monkeypatch.setattr(doctor_data, "seconds_per_frame", lambda sample, task, config: 1e-3)


@pytest.fixture
def doctor(monkeypatch, tmp_path, capsys):
    """`doctor(*words)`: exit status and lines of `scripts/doctor --output tmp_path/out words`."""

    def run(*words: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["doctor", "--output", str(tmp_path / "out"), *map(str, words)])
        status = 0
        try:
            machine.main()
        except SystemExit as end:
            status = int(end.code)
        return status, capsys.readouterr().out.splitlines()

    return run


def said(lines: list[str], level: str, subject: str) -> str:
    """Texts of the findings of this level about this."""
    return "\n".join(line[19:] for line in lines if line.split()[:2] == [level, subject])


def test_a_good_machine(doctor):
    status, lines = doctor()
    assert status == 0
    assert lines[-1] == "nothing stands in the way; next: scripts/demo"
    for subject in ("python", "packages", "memory", "disk", "accelerator"):
        assert said(lines, "ok", subject)


def test_a_good_folder_and_how_long_a_run_takes(doctor, kaggle_data):
    data = kaggle_data()
    status, lines = doctor("--data", data)
    assert status == 0
    assert said(lines, "ok", "data").startswith("12 clips of 4 signers, 57 frames, files: 3")
    # Three of four signers train, some 40 frames an epoch, 8 and 12 epochs, a millisecond each.
    assert "training 2 models takes about" in said(lines, "ok", "run")
    assert lines[-1].endswith(f"scripts/run_pipeline --data {data} --output {machine.sys.argv[2]}")


def test_the_base_models_of_all_folds_count():
    """Of isolated signs there are three, each trained on two thirds."""
    epochs = config.PRESETS["signs-small"].optimizer.epochs
    level, subject, text = doctor_data.time_run([], IsolatedSigns(("a", "b")), [40] * 6000)
    assert (level, subject) == ("ok", "run")
    seconds = 240_000 * 1e-3 * (3 * 2 / 3 * epochs + epochs)
    assert text.startswith(f"preset signs-small: training 4 models takes about {doctor_data.duration(seconds)}, by")


def test_landmarks_that_look_wrong(doctor, kaggle_data, example_recordings):
    recordings = [dataclasses.replace(each, landmarks=1000 * each.array()) for each in example_recordings]
    status, lines = doctor("--data", kaggle_data(recordings))
    assert status == 0
    assert said(lines, "warn", "data").startswith("the first 12 clips: coordinates are probably pixels")


def test_real_steps_are_timed(kaggle_data, monkeypatch, doctor):
    monkeypatch.undo()
    small = config.resolve("small", overrides=["encoder.width=8", "encoder.blocks=1", "encoder.heads=2"])
    monkeypatch.setattr(config, "PRESETS", dict.fromkeys(config.PRESETS, small))
    monkeypatch.setattr(doctor_data, "STEPS", 2)
    _, lines = doctor("--data", kaggle_data())
    assert "by 2 steps of each" in said(lines, "ok", "run")


def test_missing_packages(doctor, monkeypatch, kaggle_data):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("keras", "isal") else real(name))
    status, lines = doctor("--data", kaggle_data())
    assert status == 1
    assert "lacks isal, keras" in said(lines, "fail", "packages") and "scripts/demo" in said(lines, "fail", "packages")
    assert "install the packages first" in said(lines, "fail", "data")


def test_too_old_a_python(doctor, monkeypatch):
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 2))
    status, lines = doctor()
    assert status == 1
    assert "expected 3.11 to 3.13" in said(lines, "fail", "python")


@pytest.mark.parametrize("python", ["python3.8", "python3.9", "python3.10", "python3.13"])
def test_any_python_can_say_what_is_missing(python, tmp_path):
    if not (found := shutil.which(python)):
        pytest.skip(f"NOT TRIED: there is no {python}")
    done = subprocess.run(
        [found, "-m", "scripts.doctor"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    if "No module" in done.stderr or "pyenv" in done.stderr:
        pytest.skip(f"NOT TRIED: {python} does not run here")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert "python " in done.stdout


def test_too_little_memory(doctor, monkeypatch):
    monkeypatch.setattr(machine, "MEMORY", 10**15)
    status, lines = doctor()
    assert status == 1 and "end other programs" in said(lines, "fail", "memory")


def test_a_full_disk(doctor, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 10**6))
    status, lines = doctor()
    assert status == 0 and "choose another --output" in said(lines, "warn", "disk")


def test_output_that_cannot_be_written(doctor, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, lines = doctor()
    assert status == 1 and "change its permissions" in said(lines, "fail", "disk")


def test_accelerators_are_those_that_training_sees(doctor, monkeypatch):
    monkeypatch.setattr(doctor_data.devices, "_tpu_is_here", lambda: True)
    monkeypatch.setattr(doctor_data.devices, "_is_installed", lambda name: True)
    _, lines = doctor()
    assert said(lines, "ok", "accelerator") == "a TPU; training uses the TPU (jax)"


def damaged(data, what):
    file = data / "train_landmarks/1.parquet"
    if what == "missing":
        file.unlink()
    elif what == "cut short":
        file.write_bytes(file.read_bytes()[:-20])
    elif what == "a column less":
        pq.write_table(pq.read_table(file).drop_columns("x_pose_11"), file)
    return file


@pytest.mark.parametrize(
    ("what", "text"),
    [("missing", "unpack"), ("cut short", "Download it again"), ("a column less", "lacks the column x_pose_11")],
)
def test_files_that_cannot_be_used(doctor, kaggle_data, what, text):
    data = kaggle_data()
    file = damaged(data, what)
    status, lines = doctor("--data", data)
    assert status == 1
    assert text in said(lines, "fail", "data") and file.name in said(lines, "fail", "data")


def test_what_does_not_fit_the_metadata(doctor, kaggle_data):
    data = kaggle_data()
    with (data / "train.csv").open("a") as file:
        file.write("train_landmarks/1.parquet,1,999,1,abc\n")
    shutil.copy(data / "train_landmarks/1.parquet", data / "train_landmarks/other.parquet")
    status, lines = doctor("--data", data)
    assert status == 0
    assert "1 clips of the metadata have no rows, such as 999" in said(lines, "warn", "data")


@pytest.mark.parametrize(("words", "text"), [(("--data", "nowhere"), "nowhere"), (("--task", "spelling"), "no task")])
def test_mistakes(doctor, kaggle_data, words, text):
    data = () if "--data" in words else ("--data", kaggle_data())
    status, lines = doctor(*words, *data)
    assert status == 1 and text in said(lines, "fail", "data")


def test_urls_are_not_looked_at(doctor, capsys):
    status, _ = doctor("--data", "gs://bucket/data")
    assert status == 2
