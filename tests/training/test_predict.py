import numpy as np
import pytest

from pipeline.dataset.clips import Clip
from training.data.corpus import Corpus
from training.predict import clip_outputs, predict, prediction, recognize


@pytest.fixture(scope="module")
def corpus(clip, task):
    return Corpus.of_clips([Clip(clip(n), "ab", i, 1, "train") for i, n in enumerate((5, 9, 1, 7, 9, 30))], task)


@pytest.mark.filterwarnings("ignore:You are using a softmax")  # of one frame
def test_every_clip_in_the_order_of_the_corpus(tiny_model, corpus, clip, pad):
    found = dict(clip_outputs(tiny_model, corpus, max_frames=12, batch_size=4))
    assert sorted(found) == list(range(len(corpus)))
    for position, num_frames in enumerate([5, 9, 1, 7, 9, 12]):
        assert found[position].shape == (num_frames, 60)
    for position in (0, 2, 3):
        alone = tiny_model(pad([clip(corpus.num_frames[position])], corpus.num_frames[position]))[0]
        np.testing.assert_allclose(found[position], alone, atol=1e-4)

    calls = []
    found_all = recognize(tiny_model, corpus, max_frames=12, done=lambda: calls.append(1))
    predictions = predict(tiny_model, corpus, max_frames=12)
    assert found_all == [(label, None) for label in predictions]
    assert len(calls) == len(corpus)
    assert predictions == [prediction(tiny_model, found[position]) for position in range(len(corpus))]
    assert len(set(predictions)) > 1


def test_the_label_that_outputs_say(tiny_model, task):
    outputs = np.zeros((7, 60), np.float32)
    outputs[np.arange(7), [*task.encode("aab"), 59, *task.encode("b !")]] = 1
    assert prediction(tiny_model, outputs) == "abb !"


def test_a_batch_for_xla_is_full_and_of_one_shape(tiny_model, corpus, monkeypatch):
    """With a last batch of two, filled up: the same outputs, none dropped, none more."""
    expected = dict(clip_outputs(tiny_model, corpus, max_frames=12, batch_size=4))
    monkeypatch.setattr("training.devices.compiled", lambda: True)
    shapes = []
    original = tiny_model.predict_on_batch
    monkeypatch.setattr(
        tiny_model, "predict_on_batch", lambda x: shapes.append(x["landmarks"].shape) or original(x), raising=False
    )
    found = dict(clip_outputs(tiny_model, corpus, max_frames=12, batch_size=4))
    assert shapes == [(4, 12, 100, 2)] * 2
    assert found.keys() == expected.keys()
    for position, outputs in expected.items():
        np.testing.assert_allclose(found[position], outputs, atol=1e-4)
