"""Whatever the landmarks, there is an answer of valid form: from the exported graph, and from the recogniser."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from inference.recognizer import Recognizer, columns, without_filler
from pipeline import landmarks as lm
from pipeline import vocabulary

GROUPS = (lm.FACE, lm.RIGHT_HAND, lm.LEFT_HAND, lm.RIGHT_POSE, lm.LEFT_POSE)
ODD = (np.nan, np.inf, -np.inf, 0, -0.0, 1e-45, 1e-38, 1e18, -1e19, 3e37, 3.4e38, -3.4e38)


def odd_landmarks(random: np.random.Generator) -> np.ndarray:
    """(T, P, 2) float32, 0 <= T < 64, mostly below the toy frame budget of 16 or just above: of any size, with gaps."""
    num_frames = random.choice([random.integers(4), random.integers(20), random.integers(64)])
    shape = (num_frames, lm.NUM_POINTS, 2)
    if random.random() < 0.1:
        # Any 32 bits that make a number, or none.
        return random.integers(0, 1 << 32, shape, dtype=np.uint32).view(np.float32)
    landmarks = [random.random(shape), random.normal(0, 1, shape), np.full(shape, random.normal())][random.integers(3)]
    if random.random() < 0.5:
        landmarks *= 10 ** random.uniform(-45, 39)
    if random.random() < 0.5:
        landmarks += 10 ** random.uniform(-10, 39)
    for value in random.choice(ODD, random.integers(4)):
        match random.integers(5):
            case 0:
                landmarks[random.random(shape) < random.random()] = value
            case 1:
                landmarks[random.random(num_frames) < random.random()] = value
            case 2:
                landmarks[:, random.random(lm.NUM_POINTS) < random.random()] = value
            case 3:
                landmarks[:, GROUPS[random.integers(len(GROUPS))], random.integers(2)] = value
            case 4:
                landmarks[:] = value
    with np.errstate(over="ignore"):
        return landmarks.astype(np.float32)


def check(directory, seeds):
    recognizer = Recognizer(directory)
    graph = Interpreter(model_path=str(directory / "model.tflite")).get_signature_runner("serving_default")
    ordinary = np.random.default_rng(0).random((12, lm.NUM_POINTS, 2)).astype(np.float32)
    before = recognizer.frame_logits(ordinary)
    texts = set()
    for seed in seeds:
        landmarks = odd_landmarks(np.random.default_rng(seed))
        rows = graph(inputs=columns(landmarks))["outputs"]
        assert rows.shape[1:] == (vocabulary.NUM_CHARACTERS,), seed
        assert len(rows), seed
        np.testing.assert_array_equal(np.sort(rows)[:, -2:], np.tile([0, 1], (len(rows), 1)), str(seed))
        text = vocabulary.decode(rows.argmax(axis=1))
        assert np.isfinite(recognizer.frame_logits(landmarks)).all(), seed
        recognised = recognizer.recognize(landmarks)
        assert recognised.text == without_filler(text), seed
        assert 0 <= recognised.confidence <= 1, seed
        assert (recognised.confidence > 0) == bool(recognised.text), seed
        texts.add(text)
    np.testing.assert_array_equal(recognizer.frame_logits(ordinary), before)
    assert len(texts) > 10


def test_any_landmarks(toy_model):
    check(toy_model, range(400))


@pytest.mark.long
@pytest.mark.parametrize("quantize", ["none", "float16", "int8"])
def test_very_many_landmarks(toy_run, tmp_path, quantize):
    from inference import export
    from training.runs import Run

    export.convert(Run.open(toy_run).load_model(), 16, tmp_path, quantize=quantize)
    check(tmp_path, range(10_000))
