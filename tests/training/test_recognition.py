import numpy as np
import pytest

from pipeline import scoring
from pipeline.sequences import Sequence
from training.input_pipeline import Corpus
from training.recognition import frame_logits, recognise


@pytest.fixture(scope="module")
def corpus(clip):
    return Corpus.read(Sequence(clip(n), "ab", n, 1, "train") for n in (5, 9, 1, 7, 9, 30))


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # of one frame
def test_every_sequence_in_the_order_of_the_corpus(tiny_recogniser, corpus, clip, pad):
    found = dict(frame_logits(tiny_recogniser, corpus, max_frames=12, batch_size=4))
    assert sorted(found) == list(range(len(corpus)))
    for position, num_frames in enumerate([5, 9, 1, 7, 9, 12]):
        assert found[position].shape == (num_frames, 60)
    for position in (0, 2, 3):
        alone = tiny_recogniser(pad([clip(corpus.num_frames[position])], corpus.num_frames[position]))[0]
        np.testing.assert_allclose(found[position], alone, atol=1e-4)

    calls = []
    texts = recognise(tiny_recogniser, corpus, max_frames=12, done=lambda: calls.append(1))
    assert len(calls) == len(corpus)
    expected = [scoring.greedy_decode(found[position].argmax(axis=-1)) for position in range(len(corpus))]
    assert texts == expected
    assert len(set(texts)) > 1


def test_a_batch_for_xla_is_full_and_of_one_shape(tiny_recogniser, corpus, monkeypatch):
    """With a last batch of two, filled up: the same logits, none dropped, none more."""
    expected = dict(frame_logits(tiny_recogniser, corpus, max_frames=12, batch_size=4))
    monkeypatch.setattr("training.devices.compiled", lambda: True)
    shapes = []
    predict = tiny_recogniser.predict_on_batch
    monkeypatch.setattr(
        tiny_recogniser, "predict_on_batch", lambda x: shapes.append(x["landmarks"].shape) or predict(x), raising=False
    )
    found = dict(frame_logits(tiny_recogniser, corpus, max_frames=12, batch_size=4))
    assert shapes == [(4, 12, 100, 2)] * 2
    assert found.keys() == expected.keys()
    for position, logits in expected.items():
        np.testing.assert_allclose(found[position], logits, atol=1e-4)
