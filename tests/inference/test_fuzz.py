"""Whatever the landmarks, there is an answer of valid form: from the exported graph, and from the recognizer."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from inference.recognizer import MODEL, SERVING, Recognizer, as_inputs
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()
NUM_POINTS = len(TASK.points.names)
GROUPS = tuple(TASK.points.groups.values())
ODD = (np.nan, np.inf, -np.inf, 0, -0.0, 1e-45, 1e-38, 1e18, -1e19, 3e37, 3.4e38, -3.4e38)


def odd_landmarks(random: np.random.Generator) -> np.ndarray:
    """(T, P, 2) float32, 0 <= T < 64, mostly below the toy frame budget of 16 or just above: of any size, with gaps."""
    num_frames = random.choice([random.integers(4), random.integers(20), random.integers(64)])
    shape = (num_frames, NUM_POINTS, 2)
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
                landmarks[:, random.random(NUM_POINTS) < random.random()] = value
            case 3:
                landmarks[:, GROUPS[random.integers(len(GROUPS))], random.integers(2)] = value
            case 4:
                landmarks[:] = value
    with np.errstate(over="ignore"):
        return landmarks.astype(np.float32)


def check(directory, seeds):
    recognizer = Recognizer(directory)
    graph = Interpreter(model_path=str(directory / MODEL)).get_signature_runner(SERVING)
    ordinary = np.random.default_rng(0).random((12, NUM_POINTS, 2)).astype(np.float32)
    before = recognizer.outputs(ordinary)
    labels = set()
    for seed in seeds:
        landmarks = odd_landmarks(np.random.default_rng(seed))
        rows = graph(inputs=as_inputs(landmarks, TASK))["outputs"]
        assert rows.shape[1:] == (len(TASK.classes),), seed
        assert len(rows), seed
        np.testing.assert_array_equal(np.sort(rows)[:, -2:], np.tile([0, 1], (len(rows), 1)), str(seed))
        label = TASK.decode(rows.argmax(axis=1))
        assert np.isfinite(recognizer.outputs(landmarks)).all(), seed
        found = recognizer.recognize(landmarks)
        assert found.label == ("" if label == " " else label), seed
        assert 0 <= found.confidence <= 1, seed
        assert (found.confidence > 0) == bool(found.label), seed
        labels.add(label)
    np.testing.assert_array_equal(recognizer.outputs(ordinary), before)
    assert len(labels) > 10


def test_any_landmarks(toy_model):
    check(toy_model, range(400))


@pytest.mark.long
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_very_many_landmarks(trained, tmp_path, weights):
    from inference.tflite import conversion

    conversion.convert(trained, 16, tmp_path, weights=weights)
    check(tmp_path, range(10_000))
