import json
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from training import devices, runs
from training.data.corpus import Corpus
from training.data.holdout import Holdout
from training.predict import predict
from training.runs import Run


def test_of_tensorflow_s_warnings_that_of_retracing_is_not_shown(caplog):
    devices.use("cpu")
    logger = logging.getLogger("tensorflow")
    logger.propagate, before = True, logger.propagate
    try:
        logger.warning("5 out of the last %d calls triggered tf.function retracing", 5)
        logger.warning("something else")
    finally:
        logger.propagate = before
    assert [record.getMessage() for record in caplog.records] == ["something else"]


@pytest.fixture
def environment(monkeypatch):
    """`environment(device, *installed, gpus, tpu, **variables)`: what is set for it on such a machine."""

    def decide(device, *installed, gpus=0, tpu=False, **variables):
        for name in ("KERAS_BACKEND", "CUDA_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return devices.environment(device, gpus=gpus, tpu=tpu, installed=installed.__contains__)

    return decide


CUDA = "jax_cuda12_plugin"


def test_tensorflow_computes_on_the_cpu_and_on_one_gpu_jax_on_everything_else(environment):
    def backend(*words, **options):
        return environment(*words, **options)["KERAS_BACKEND"]

    for device in ("auto", "cpu"):
        assert environment(device) == {
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",
            "JAX_PLATFORMS": "cpu",
        }
    for device in ("auto", "gpu"):
        assert environment(device, gpus=1) == {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "0"}
        assert environment(device, "jax", CUDA, gpus=4) == {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cuda,cpu"}
        assert environment(device, gpus=1, CUDA_VISIBLE_DEVICES="3")["CUDA_VISIBLE_DEVICES"] == "3"
    for device in ("auto", "tpu"):
        expected = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "tpu,cpu"}
        assert environment(device, "jax", "libtpu", tpu=True, gpus=1) == expected
    assert backend("cpu", "jax", "libtpu", tpu=True, gpus=4) == "tensorflow"
    assert backend("auto", tpu=True) == "tensorflow"  # without what a TPU needs
    assert backend("cpu", "jax", KERAS_BACKEND="jax") == "jax"
    assert backend("gpu", "jax", CUDA, gpus=1, KERAS_BACKEND="jax") == "jax"


def test_one_of_several_gpus_where_jax_is_not_installed_for_them(environment, capsys):
    expected = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "2"}
    assert environment("auto", "jax", gpus=4, CUDA_VISIBLE_DEVICES="2,3,4,5") == expected
    assert "one of 4 GPUs is used; all are with the extra train-gpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["gpu"], {}, "no NVIDIA GPU is visible"),
        (["gpu", "jax"], {"gpus": 2}, r"2 GPUs are visible, on which JAX.*CUDA_VISIBLE_DEVICES=0"),
        (["tpu", "jax"], {"tpu": True}, r"pip install -e '.\[train-tpu\]'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(environment, words, options, message):
    with pytest.raises(UserError, match=message) as error:
        environment(*words, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("torch", "KERAS_BACKEND is 'torch', expected tensorflow or jax"),
        ("jax", "JAX is not installed: pip install jax"),
    ],
)
def test_a_backend_that_is_not_there(environment, backend, message):
    with pytest.raises(UserError, match=message):
        environment("cpu", KERAS_BACKEND=backend)
    assert environment("gpu", "jax", CUDA, gpus=4, KERAS_BACKEND=backend)["KERAS_BACKEND"] == "jax"


@pytest.mark.parametrize(("visible", "count"), [(None, 3), ("0,2", 2), ("-1", 0), ("", 0)])
def test_the_gpus_that_the_driver_finds(monkeypatch, tmp_path, visible, count):
    driver = tmp_path / "nvidia-smi"
    driver.write_text('#!/bin/sh\nfor i in 0 1 2; do echo "GPU $i: NVIDIA L4 (UUID: GPU-$i)"; done\n')
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices._num_gpus() == count


@pytest.mark.parametrize(
    ("gpus", "tpu", "installed", "words"),
    [
        (0, False, [], "none; training uses the CPU (tensorflow)"),
        (1, False, [], "NVIDIA GPUs: 1; training uses one GPU (tensorflow)"),
        (4, False, [CUDA], "NVIDIA GPUs: 4; training uses all GPUs (jax)"),
        (0, True, ["jax", "libtpu"], "a TPU; training uses the TPU (jax)"),
    ],
)
def test_what_there_is_in_words(monkeypatch, gpus, tpu, installed, words):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_num_gpus", lambda: gpus)
    monkeypatch.setattr(devices, "_tpu_is_here", lambda: tpu)
    monkeypatch.setattr(devices, "_is_installed", installed.__contains__)
    assert devices.describe() == words


def test_keras_imported_too_early_is_the_programs_mistake(monkeypatch):
    monkeypatch.setattr(devices, "environment", lambda *_, **__: {"KERAS_BACKEND": "jax"})
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(RuntimeError, match="keras was imported with tensorflow before jax was chosen"):
        devices.use("cpu")


def test_tensorflow_pads_to_the_longest_clip():
    assert devices.pad_to(380) is None
    assert (devices.compiled(), devices.count()) == (False, 1)
    batch = {"num_frames": np.ones(3)}
    assert devices.share(batch) is batch


def trained_under_jax(dataset, output, settings, environment, program=("-m", "training.train")):
    """A process that trains, on the devices of its environment."""
    words = [sys.executable, *program, "--dataset", dataset, "--output", output, *settings]
    words += ["--checkpoint-minutes", "0", "--set", "optimizer.ema=0.5"]
    return subprocess.Popen(list(map(str, words)), env=environment, text=True, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def jax_runs(toy_dataset, toy_settings, jax_environment, made_once):
    """Runs on one and on four devices, by their number, and what each said."""

    def make(folder):
        folder.mkdir()
        processes = {
            n: trained_under_jax(toy_dataset, folder / str(n), toy_settings, jax_environment(n)) for n in (1, 4)
        }
        said = {n: process.communicate()[1] for n, process in processes.items()}
        assert not any(process.returncode for process in processes.values()), said
        for n, text in said.items():
            (folder / f"{n}.txt").write_text(text)

    folder = made_once("jax-runs", make)
    return {n: folder / str(n) for n in (1, 4)}, {n: (folder / f"{n}.txt").read_text() for n in (1, 4)}


def read(path):
    """Arrays, and the note."""
    with np.load(path) as saved:
        arrays = dict(saved)
    return arrays, json.loads(str(arrays.pop("note")))


def test_four_devices_train_as_one(jax_runs):
    outputs, said = jax_runs
    assert "JAX computes on 1 CPU device\n" in said[1]
    assert "JAX computes on 4 CPU devices\n" in said[4]
    (one, told), (four, told_of_four) = (read(output / runs.CHECKPOINT) for output in outputs.values())
    assert one.keys() == four.keys()
    assert told["run"] == told_of_four["run"]
    for name, array in one.items():
        np.testing.assert_allclose(four[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert any(np.abs(array).max() > 1e-3 for name, array in one.items() if name.endswith("momentum"))
    histories = [told["history"], told_of_four["history"]]
    losses, scores = ([[row[name] for row in rows] for rows in histories] for name in ("loss", "validation_score"))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert scores[1] == scores[0]
    assert [Run.open(output).manifest["devices"] for output in outputs.values()] == [1, 4]


# Tells how far each checkpoint is, in epochs and steps; the process kills itself after the one that DIE_AFTER names.
TELLING = """
import os, signal, sys
import numpy as np
from pipeline.common import errors
from training import checkpoint, runs, train

def save_and_tell(path, *arguments):
    save(path, *arguments)
    if path.name == runs.CHECKPOINT:
        with np.load(path) as saved:
            done = [int(saved[name]) for name in saved.files if name.endswith("s_done")]
        print("saved", done, file=sys.stderr, flush=True)
        if str(done) == os.environ.get("DIE_AFTER"):
            os.kill(os.getpid(), signal.SIGKILL)

save, checkpoint.save = checkpoint.save, save_and_tell
errors.run(train.main)
"""


def test_under_jax_too_a_continued_run_ends_as_an_uninterrupted_one(
    jax_runs, toy_dataset, toy_settings, jax_environment, tmp_path
):
    output = tmp_path / "run"
    for dies, status in (({"DIE_AFTER": "[0, 2]"}, -signal.SIGKILL), ({}, 0)):
        environment = jax_environment(1) | dies
        process = trained_under_jax(toy_dataset, output, toy_settings, environment, program=("-c", TELLING))
        said = process.communicate()[1]
        assert process.returncode == status, said
        # The second goes on from there: it takes the first steps of the first epoch no more.
        assert [line in said for line in ("saved [0, 1]", "saved [0, 2]", "saved [2, 0]")] == [dies != {}] * 2 + [
            not dies
        ]
    expected_run = jax_runs[0][1]
    for name in (runs.CHECKPOINT, Run.open(expected_run).manifest["weights"]):
        (found, _), (expected, _) = read(output / name), read(expected_run / name)
        assert found.keys() == expected.keys()
        for array in expected:
            np.testing.assert_array_equal(found[array], expected[array], err_msg=array)


def test_tensorflow_predicts_with_weights_trained_under_jax(jax_runs, toy_dataset):
    """The same labels, by their score."""
    run, dataset = Run.open(jax_runs[0][4]), Dataset.open(toy_dataset)
    holdout = Holdout.of(dataset, run.config.data)
    known = {each.sequence_id: each for each in dataset.clips(holdout.validation_split)}
    validation = Corpus.read(holdout.read_validation(dataset), known, dataset.task)
    assert len(validation) % 32  # the last batch is not full
    predictions = predict(run.load_model(), validation, max_frames=run.config.data.max_frames)
    labels = [each.label for each in validation.clips]
    errors = sum(map(dataset.task.errors, labels, predictions))
    assert 1 - errors / sum(map(len, labels)) == pytest.approx(run.manifest["best_score"])


def test_devices_share_a_batch_evenly(monkeypatch):
    monkeypatch.setattr(devices, "count", lambda: 4)
    devices.check_batch_size(8)
    with pytest.raises(UserError, match=r"optimizer.batch_size is 6, expected a multiple of the 4 devices"):
        devices.check_batch_size(6)
