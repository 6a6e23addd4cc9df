import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from pipeline import scoring
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.storage import path
from training import devices, runs
from training.recognition import recognise
from training.runs import Run


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
        (["gpu", "jax"], {"gpus": 2}, r"2 GPUs are visible, and JAX.*CUDA_VISIBLE_DEVICES=0"),
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


def test_keras_imported_too_early_is_the_programs_mistake(monkeypatch):
    monkeypatch.setattr(devices, "environment", lambda *_, **__: {"KERAS_BACKEND": "jax"})
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(RuntimeError, match="keras was imported with tensorflow before jax was chosen"):
        devices.use("cpu")


def test_tensorflow_pads_to_the_longest_sequence():
    assert devices.pad_to(380) is None
    assert (devices.compiled(), devices.count()) == (False, 1)
    batch = {"num_frames": np.ones(3)}
    assert devices.spread(batch) is batch


def trained_under_jax(dataset, output, settings, environment, program=("-m", "training.train")):
    """A process that trains, on the devices of its environment."""
    words = [sys.executable, *program, "--dataset", dataset, "--output", output, *settings]
    words += ["--checkpoint-minutes", "0", "--set", "optimizer.ema=0.5"]
    return subprocess.Popen(list(map(str, words)), env=environment, text=True, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def jax_runs(toy_dataset, toy_settings, jax_environment):
    """Runs on one and on four devices, by their number, and what each said."""
    outputs = {n: toy_dataset.parent / f"jax{n}" for n in (1, 4)}
    processes = {
        n: trained_under_jax(toy_dataset, output, toy_settings, jax_environment(n)) for n, output in outputs.items()
    }
    said = {n: process.communicate()[1] for n, process in processes.items()}
    assert not any(process.returncode for process in processes.values()), said
    return outputs, said


def test_four_devices_train_as_one(jax_runs):
    outputs, said = jax_runs
    assert "JAX computes on 1 CPU device\n" in said[1]
    assert "JAX computes on 4 CPU devices\n" in said[4]
    one, four = (np.load(output / runs.CHECKPOINT) for output in outputs.values())
    assert one.files == four.files
    assert one["run"] == four["run"]
    for name in set(one.files) - {"run"}:
        np.testing.assert_allclose(four[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert any(np.abs(one[name]).max() > 1e-3 for name in one.files if name.endswith("momentum"))
    one, four = (runs.read_history(path(output) / runs.HISTORY) for output in outputs.values())
    assert [row["loss"] for row in four] == pytest.approx([row["loss"] for row in one], rel=1e-5)
    assert [row["validation_score"] for row in four] == [row["validation_score"] for row in one]


# Tells how far each checkpoint is, in epochs and steps; the process kills itself after the one that DIE_AFTER names.
TELLING = """
import os, signal, sys
import numpy as np
from pipeline import commands
from training import checkpoint, runs, train

def save_and_tell(path, *arguments, **options):
    save(path, *arguments, **options)
    if path.name == runs.CHECKPOINT:
        with np.load(path) as saved:
            done = [int(saved[name]) for name in saved.files if "s_done." in name]
        print("saved", done, file=sys.stderr, flush=True)
        if str(done) == os.environ.get("DIE_AFTER"):
            os.kill(os.getpid(), signal.SIGKILL)

save, checkpoint.save = checkpoint.save, save_and_tell
commands.run(train.main)
"""


def test_under_jax_too_a_continued_run_ends_as_an_uninterrupted_one(
    jax_runs, toy_dataset, toy_settings, jax_environment
):
    output = toy_dataset.parent / "jax-continued"
    for dies, status in (({"DIE_AFTER": "[0, 2]"}, -signal.SIGKILL), ({}, 0)):
        environment = jax_environment(1) | dies
        process = trained_under_jax(toy_dataset, output, toy_settings, environment, program=("-c", TELLING))
        said = process.communicate()[1]
        assert process.returncode == status, said
        # The second goes on from there: it takes the first steps of the first epoch no more.
        assert [line in said for line in ("saved [0, 1]", "saved [0, 2]", "saved [2, 0]")] == [dies != {}] * 2 + [
            not dies
        ]
    for name in (runs.CHECKPOINT, runs.BEST):
        with np.load(output / name) as found, np.load(jax_runs[0][1] / name) as expected:
            assert found.files == expected.files
            for array in expected.files:
                np.testing.assert_array_equal(found[array], expected[array], err_msg=array)


def test_tensorflow_recognises_with_weights_trained_under_jax(jax_runs, toy_dataset):
    """The same texts, by their score."""
    from training.trainer import _split

    run = Run.open(path(jax_runs[0][4]))
    _, validation, _ = _split(Dataset.open(path(toy_dataset)), run.config)
    assert len(validation) % 32  # the last batch is not full
    texts = recognise(run.load_model(), validation, max_frames=run.config.data.max_frames)
    score = scoring.pooled_score(zip(validation.texts, texts, strict=True))
    assert score == pytest.approx(run.manifest["best_score"])


def test_devices_share_a_batch_evenly(monkeypatch):
    monkeypatch.setattr(devices, "count", lambda: 4)
    devices.check_batch_size(8)
    with pytest.raises(UserError, match=r"optimizer.batch_size is 6, expected a multiple of the 4 devices"):
        devices.check_batch_size(6)
