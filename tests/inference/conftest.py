"""What the tests of inference share: an exported toy model, and the model that it must be."""

import math
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from inference import language
from inference.language import Language, NGrams
from inference.recognizer import ARGUMENTS
from pipeline.common import directories
from pipeline.tasks.fingerspelling import Fingerspelling


@pytest.fixture(scope="session")
def trained(toy_run):
    """The toy run's `training.network.model.Model`."""
    from inference.tflite import conversion
    from training.runs import Run

    return conversion.load(Run.open(toy_run))


@pytest.fixture
def copy(toy_model, tmp_path) -> pathlib.Path:
    """A copy of the toy model's directory, to be spoiled."""
    return pathlib.Path(shutil.copytree(toy_model, tmp_path / "copy"))


@pytest.fixture
def model_with_language(copy) -> pathlib.Path:
    """A copy of the toy model, with a language model that knows a single label."""
    task = Fingerspelling()
    known = Language(NGrams.of([task.encode("hello")] * 20, len(task.classes), 5), 1.0, 1.0)
    known.write(copy / language.FILE_NAME)
    digest = directories.sha256_of(copy / language.FILE_NAME)
    arguments = directories.read_json(copy / ARGUMENTS)
    directories.write_json(copy / ARGUMENTS, arguments | {"language_sha256": digest})
    manifest = directories.read_json(copy / directories.MANIFEST)
    manifest["files"] |= {name: directories.sha256_of(copy / name) for name in (ARGUMENTS, language.FILE_NAME)}
    directories.write_json(copy / directories.MANIFEST, manifest)
    return copy


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """`noise(num_frames, seed=...)`: landmarks (T, 100, 2) float32."""
    return lambda num_frames, seed=0: np.random.default_rng(seed).random((num_frames, 100, 2)).astype(np.float32)


@pytest.fixture(scope="session")
def failed(toy_run, toy_dataset) -> Callable[..., dict[str, str]]:
    """`failed(model, directory, ...)`: the checks of a file that fail, by name: what was found.

    `latency` and `size_mb` are limits, everything else is as of `inference.tflite.checks.Settings`.
    """
    from inference.latency import Limits
    from inference.tflite import checks
    from pipeline.dataset.dataset import Dataset
    from training.runs import Run

    def prove(model, directory, *, size_mb=40, latency=math.inf, weights="float32", max_frames=16, loss=0.01):
        settings = checks.Settings(weights, max_frames, Limits(size_mb, latency), 1, loss)
        verdicts, _ = checks.prove(model, directory, Dataset.open(toy_dataset), Run.open(toy_run), settings)
        return {each.check: each.found for each in verdicts if each.passed is False}

    return prove
