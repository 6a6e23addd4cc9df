import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from scripts.benchmarks import published_input, training
from scripts.benchmarks.training import TASK
from training import config as cfg
from training.data.corpus import Corpus
from training.data.input_pipeline import evaluation_batches
from training.network.encoders import Published
from training.network.features import Features

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of_clips(training.make_clips(4), TASK)


def test_its_clips(corpus):
    """Wide recordings brought into the order of the points: hands beside a face that is always seen."""
    assert len(corpus) == 4
    assert 50 < corpus.num_frames.mean() < 400
    face = corpus.frames[:, TASK.points.groups["face"]]
    hands = corpus.frames[:, TASK.points.indices("right_hand", "left_hand")]
    assert np.isnan(face).mean() < 0.1
    assert 0.3 < np.isnan(hands).mean() < 1
    # Lips are close together, beside the distance to the pose's hips.
    seen = ~np.isnan(face).any(axis=(1, 2))
    assert face[seen, :, 1].std(axis=1).mean() < 0.2 * np.nanstd(corpus.frames[seen, :, 1], axis=1).mean()


def test_the_published_way_computes_the_published_features(corpus, monkeypatch):
    """But for what it augments: so what is compared does the same work."""
    monkeypatch.setattr(published_input, "augment", lambda x: x)
    mean, std = np.full(600, 0.1, np.float32), np.full(600, 2.0, np.float32)
    longest = int(corpus.num_frames.max())
    batches = published_input.batches(corpus, mean, std, max_frames=longest, batch_size=4, features=True)
    ((found, labels),) = batches.as_numpy_iterator()
    assert found.shape == (4, longest, 600)
    layer = Features(TASK.points, mean, std, kind="published")
    ((inputs, targets),) = evaluation_batches(corpus, max_frames=longest, batch_size=4)[0].as_numpy_iterator()
    mask = np.arange(longest) < inputs["num_frames"][:, None]
    expected = np.array(layer(inputs["landmarks"], mask=mask))
    for row, label in zip(found, labels, strict=True):
        (same,) = np.flatnonzero((targets["labels"] == label).all(axis=1))
        num_frames = inputs["num_frames"][same]
        np.testing.assert_allclose(row[:num_frames], expected[same, :num_frames], atol=1e-3)
        assert not row[num_frames:].any()


def test_each_published_augmentation_changes_a_clip(corpus):
    clip = corpus.landmarks(0)
    tf.random.set_seed(0)  # now and then a mask lies where nothing is
    for change in ("resample", "flip", "affine", "time_mask", "spatial_mask"):
        changed = getattr(published_input, change)(clip).numpy()
        assert changed.shape[1:] == clip.shape[1:]
        assert not np.array_equal(changed, clip, equal_nan=True)


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.long
def test_the_whole_benchmark(tmp_path):
    done = run("-m", "scripts.benchmarks.training", "--output", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    costs = [*(cost for table in ("input_ms", "ctc_ms", "step_ms") for cost in report[table].values())]
    assert len(costs) == 9
    assert all(min(cost["clock"], cost["cpu"]) > 0 for cost in [*costs, report["features_ms"]])
    assert 0 <= report["waiting_share"] < 1
    for table in ("input_ms", "ctc_ms", "step_ms"):
        assert all(name in done.stdout for name in report[table])


@pytest.mark.long
def test_the_model_alone_needs_no_tensorflow(tmp_path):
    pytest.importorskip("jax")
    blocked = (
        "import runpy, sys; sys.modules['tensorflow'] = None;"
        " runpy.run_module('scripts.benchmarks.training', run_name='__main__')"
    )
    done = run("-c", blocked, "--output", tmp_path, "--quick", "--model-only", "--peak-tflops", "2")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["examples a second"] > 0
    assert report["share of the half-precision peak"] == pytest.approx(report["TFLOP/s"] / 2)


def test_operations_of_a_step():
    """Twice each weight of a matrix or convolution and frame, attention's products, and three times that."""
    config = cfg.Config(encoder=Published(width=8, blocks=2, heads=2))
    flops = training.training_flops(training.make_model(config, jit_compile=False), 10)
    width, blocks, inner, features, classes = 8, 2, 16, 600, 60
    convolutions = sum(2 * width * inner + inner * kernel + 5 for kernel in (11, 7, 3))
    transformer = 4 * width * width + 2 * width * inner
    weights = features * width + blocks * (convolutions + transformer) + width * inner + inner * classes
    attention = blocks * 2 * 10 * width
    assert flops == 3 * 2 * 10 * (weights + attention)
