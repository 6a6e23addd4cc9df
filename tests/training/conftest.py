"""What the tests of training share: landmarks with gaps, and a tiny model."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline import landmarks as lm


@pytest.fixture(scope="session")
def clip() -> Callable[..., np.ndarray]:
    """`clip(num_frames, *missing)`: (T, P, 2) noise in which what the index expressions `missing` say is NaN."""

    def make(num_frames: int, *missing) -> np.ndarray:
        random = np.random.default_rng(num_frames)
        landmarks = random.normal(0.4, 0.2, (num_frames, lm.NUM_POINTS, 2)).astype(np.float32)
        for where in missing:
            landmarks[where] = np.nan
        return landmarks

    return make


@pytest.fixture(scope="session")
def clips(clip) -> dict[str, np.ndarray]:
    """Landmarks of every kind that a data set may hold, by name."""
    return {
        "clean": clip(12),
        "drop-outs": clip(14, np.s_[2:5, lm.RIGHT_HAND], np.s_[7], np.s_[9:, lm.LEFT_HAND], np.s_[3, 0, 1]),
        "no face": clip(6, np.s_[:, lm.FACE]),
        "left hand": clip(8, np.s_[:, lm.RIGHT_HAND], np.s_[3:5, lm.LEFT_HAND]),
        "no hands": clip(7, np.s_[:, lm.RIGHT_HAND], np.s_[:, lm.LEFT_HAND]),
        "lip seen once": clip(8, np.s_[1:, lm.CENTRE_POINT]),
        "starts and ends missing": clip(9, np.s_[:2], np.s_[-3:]),
        "one frame": clip(1),
        "two frames": clip(2),
        "three frames": clip(3),
        "all missing": clip(5, np.s_[:]),
        "all in one place": np.full((4, lm.NUM_POINTS, 2), 0.3, np.float32),
    }


@pytest.fixture(scope="session")
def pad() -> Callable[..., dict[str, np.ndarray]]:
    """`pad(clips, num_frames, content)`: a model's inputs, padded on the right with `content` to `num_frames` frames.

    Content: a number, or "noise".
    """

    def make(clips: list[np.ndarray], num_frames: int, content: float | str = 0.0) -> dict[str, np.ndarray]:
        shape = (len(clips), num_frames, lm.NUM_POINTS, 2)
        if content == "noise":
            landmarks = np.random.default_rng(num_frames).normal(3, 50, shape).astype(np.float32)
        else:
            landmarks = np.full(shape, content, np.float32)
        for row, each in zip(landmarks, clips, strict=True):
            row[: len(each)] = each
        return {"landmarks": landmarks, "num_frames": np.array([len(each) for each in clips], np.int32)}

    return make


@pytest.fixture(scope="session")
def tiny_recogniser():
    """A `Recogniser` without dropout, two blocks, every weight and the feature statistics random."""
    from training import config as cfg
    from training.model import Recogniser

    random = np.random.default_rng(1)
    config = cfg.Network(
        hand_shape=True, width=8, blocks=2, heads=2, dropout=0.0, attention_dropout=0.0, late_dropout=0.0
    )
    model = Recogniser(config, random.normal(0, 0.1, 600), random.uniform(0.5, 2, 600))
    model.build()
    randomise(model.network)
    model.compile(jit_compile=False)
    return model


def randomise(network) -> None:
    """Gives every weight a random value; variances stay positive, the rate of late dropout 0."""
    random = np.random.default_rng(2)
    for v in network.weights:
        if v.name in ("gamma", "moving_variance"):
            v.assign(random.uniform(0.5, 1.5, v.shape))
        elif v.name != "rate":
            v.assign(random.normal(0, 0.3, v.shape))


@pytest.fixture(scope="session")
def toy_scores(toy_run, toy_dataset, command):
    """Directory of the toy run's scores of the toy data set. Shared: read it, do not change it."""
    from training import score

    output = toy_run.parent / "scores"
    command(score, "--run", toy_run, "--dataset", toy_dataset, "--output", output)
    return output
