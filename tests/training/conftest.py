"""What the tests of training share: landmarks with gaps, a tiny model, and JAX in a process of its own."""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pipeline.dataset.clips import Clip
from pipeline.tasks.body import POINTS
from pipeline.tasks.fingerspelling import Fingerspelling

FACE, RIGHT_HAND, LEFT_HAND = (POINTS.groups[name] for name in ("face", "right_hand", "left_hand"))


@pytest.fixture(scope="session")
def task() -> Fingerspelling:
    return Fingerspelling()


@pytest.fixture(scope="session")
def clip() -> Callable[..., np.ndarray]:
    """`clip(num_frames, *missing)`: (T, P, 2) noise in which what the index expressions `missing` say is NaN."""

    def make(num_frames: int, *missing) -> np.ndarray:
        random = np.random.default_rng(num_frames)
        landmarks = random.normal(0.4, 0.2, (num_frames, *POINTS.shape)).astype(np.float32)
        for where in missing:
            landmarks[where] = np.nan
        return landmarks

    return make


@pytest.fixture(scope="session")
def clips(clip) -> dict[str, np.ndarray]:
    """Landmarks of every kind that a dataset may hold, by name."""
    return {
        "clean": clip(12),
        "drop-outs": clip(14, np.s_[2:5, RIGHT_HAND], np.s_[7], np.s_[9:, LEFT_HAND], np.s_[3, 0, 1]),
        "no face": clip(6, np.s_[:, FACE]),
        "left hand": clip(8, np.s_[:, RIGHT_HAND], np.s_[3:5, LEFT_HAND]),
        "no hands": clip(7, np.s_[:, RIGHT_HAND], np.s_[:, LEFT_HAND]),
        "lip seen once": clip(8, np.s_[1:, POINTS.centre]),
        "starts and ends missing": clip(9, np.s_[:2], np.s_[-3:]),
        "one frame": clip(1),
        "two frames": clip(2),
        "three frames": clip(3),
        "all missing": clip(5, np.s_[:]),
        "all in one place": np.full((4, *POINTS.shape), 0.3, np.float32),
    }


@pytest.fixture(scope="session")
def make_corpus(task):
    """`make_corpus([(frames, label), ...])`: a corpus of noise; ids from 1000 on, three signers in turn."""
    from training.data.corpus import Corpus

    def noise(number: int, num_frames: int) -> np.ndarray:
        return np.random.default_rng(number).normal(0.5, 0.2, (num_frames, *POINTS.shape)).astype(np.float32)

    def make(lengths_and_labels) -> Corpus:
        made = (Clip(noise(i, n), label, 1000 + i, i % 3, "train") for i, (n, label) in enumerate(lengths_and_labels))
        return Corpus.of_clips(made, task)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus):
    """45 clips of 1 to 59 frames."""
    random = np.random.default_rng(0)
    return make_corpus([(int(random.integers(1, 60)), "hello world"[: random.integers(1, 12)]) for _ in range(45)])


@pytest.fixture(scope="session")
def pad() -> Callable[..., dict[str, np.ndarray]]:
    """`pad(clips, num_frames, content)`: a model's inputs, padded on the right with `content` to `num_frames` frames.

    Content: a number, or "noise".
    """

    def make(clips: list[np.ndarray], num_frames: int, content: float | str = 0.0) -> dict[str, np.ndarray]:
        shape = (len(clips), num_frames, *POINTS.shape)
        if content == "noise":
            landmarks = np.random.default_rng(num_frames).normal(3, 50, shape).astype(np.float32)
        else:
            landmarks = np.full(shape, content, np.float32)
        for row, each in zip(landmarks, clips, strict=True):
            row[: len(each)] = each
        return {"landmarks": landmarks, "num_frames": np.array([len(each) for each in clips], np.int32)}

    return make


@pytest.fixture(scope="session", params=["published", "conformer"])
def tiny_config(request):
    """Two blocks without dropout, and the shape of the hand."""
    from training import config as cfg
    from training.network.encoders import ENCODERS

    encoder = ENCODERS[request.param](width=8, blocks=2, heads=2, dropout=0.0, attention_dropout=0.0)
    return cfg.Config(features=cfg.Features(kind="with-hand"), encoder=encoder, head=cfg.Head(dropout=0.0))


@pytest.fixture(scope="session")
def randomize() -> Callable[..., None]:
    """`randomize(weights)`: variances stay positive, the rate of late dropout 0."""

    def assign(weights) -> None:
        random = np.random.default_rng(1)
        for v in weights:
            if v.name in ("gamma", "moving_variance"):
                v.assign(random.uniform(0.5, 1.5, v.shape))
            elif v.name != "rate":
                v.assign(random.normal(0, 0.3, v.shape))

    return assign


@pytest.fixture(scope="session")
def tiny_model(tiny_config, task, randomize):
    """A `Model` of that size, every weight and the feature statistics random."""
    from training.network.model import Model

    random = np.random.default_rng(1)
    model = Model(tiny_config, task, random.normal(0, 0.1, 600), random.uniform(0.5, 2, 600))
    model.build()
    randomize(model.weights)
    model.compile(jit_compile=False)
    return model


@pytest.fixture
def halving_encoder() -> Iterator[type]:
    """Settings of an encoder that gives half as many frames as it gets, rounded up; `ENCODERS` names it meanwhile."""
    import keras
    from keras import ops

    from training.network.encoders import ENCODERS, EncoderSettings
    from training.network.layers import MaskedLayer
    from training.settings import setting

    class Layer(MaskedLayer):
        def __init__(self, width: int, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.dense = keras.layers.Dense(width, activation="tanh", name="dense")

        def build(self, features_shape):
            self.dense.build((*features_shape[:-1], 2 * features_shape[-1]))

        def call(self, features, mask, training=False):
            features = ops.where(mask[:, :, None], features, 0.0)
            even = ops.shape(features)[1] % 2
            features, mask = ops.pad(features, ((0, 0), (0, even), (0, 0))), ops.pad(mask, ((0, 0), (0, even)))
            return self.dense(ops.concatenate([features[:, ::2], features[:, 1::2]], axis=-1)), mask[:, ::2]

    @dataclasses.dataclass(frozen=True)
    class Halving(EncoderSettings):
        name = "halving"

        width: int = setting(6, "channels", at_least=1)

        def make(self):
            return Layer(self.width, name="encoder")

        def frames(self, num_frames):
            return (num_frames + 1) // 2

    ENCODERS[Halving.name] = Halving
    yield Halving
    del ENCODERS[Halving.name]


ROOT = pathlib.Path(__file__).parents[2]
# Compiling would take several times as long as all else: only what the programs compute is looked at.
_QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@pytest.fixture(scope="session")
def jax_environment() -> Callable[[int], dict[str, str]]:
    """`jax_environment(n)`: environment of a process in which Keras computes with JAX on n virtual CPU devices."""
    flags = "--xla_force_host_platform_device_count={} " + _QUICK
    shared = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return lambda n: {**os.environ, **shared, "XLA_FLAGS": flags.format(n)}


@pytest.fixture(scope="session")
def under_jax(tmp_path_factory, jax_environment) -> Callable[..., dict[str, np.ndarray]]:
    """`under_jax(script, **given)`: arrays that a fresh interpreter, which cannot import TensorFlow, has made.

    The script finds the given arrays in the dictionary `given`, and puts what it makes into the dictionary `found`.
    """

    def run(script: str, **given: np.ndarray) -> dict[str, np.ndarray]:
        folder = tmp_path_factory.mktemp("jax")
        np.savez(folder / "given.npz", **given)
        words = f"""
import sys
sys.modules["tensorflow"] = None  # importing it fails
import numpy as np
given, found = dict(np.load({str(folder / "given.npz")!r})), {{}}
{script}
np.savez({str(folder / "found.npz")!r}, **found)
assert sys.modules["tensorflow"] is None
"""
        done = subprocess.run(
            [sys.executable, "-c", words], env=jax_environment(1), capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stderr
        return dict(np.load(folder / "found.npz"))

    return run


@pytest.fixture(scope="session")
def toy_scores(toy_run, toy_dataset, command, made_once) -> pathlib.Path:
    """Directory of the toy run's scores of the toy dataset. Shared: read it, do not change it."""
    from training import score

    return made_once(
        "toy-scores", lambda folder: command(score, "--run", toy_run, "--dataset", toy_dataset, "--output", folder)
    )
