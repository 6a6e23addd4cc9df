import collections
import dataclasses

import numpy as np
import pytest

from pipeline import landmarks as lm
from pipeline import vocabulary
from pipeline.sequences import Sequence
from training import config as cfg
from training.augment import resample
from training.input_pipeline import Corpus, evaluation_batches, is_validation_phrase, plan_epoch, training_batches

NO_AUGMENTATION = cfg.Augment(
    resample_probability=0, mirror_probability=0, affine_probability=0, time_mask_probability=0
)


def make_corpus(lengths_and_labels):
    return Corpus.read(
        Sequence(
            np.random.default_rng(i).normal(0.5, 0.2, (num_frames, lm.NUM_POINTS, 2)).astype(np.float32),
            label,
            1000 + i,
            i % 3,
            "train",
        )
        for i, (num_frames, label) in enumerate(lengths_and_labels)
    )


@pytest.fixture(scope="module")
def corpus():
    random = np.random.default_rng(0)
    return make_corpus([(int(random.integers(1, 60)), "hello world"[: random.integers(1, 12)]) for _ in range(45)])


def make_config(*, batch_size=4, max_frames=40, seed=0, augment=cfg.Augment()):  # noqa: B008
    return cfg.Config(
        data=cfg.Data(max_frames=max_frames),
        augment=augment,
        optimizer=cfg.Optimizer(batch_size=batch_size),
        seed=seed,
    )


def same(a, b):
    return np.array_equal(a.positions, b.positions) and np.array_equal(a.num_frames, b.num_frames)


def test_corpus(corpus):
    i = 5
    landmarks = corpus.frames[corpus.starts[i] : corpus.starts[i + 1]]
    np.testing.assert_array_equal(
        landmarks, np.random.default_rng(i).normal(0.5, 0.2, (corpus.num_frames[i], 100, 2)).astype(np.float32)
    )
    np.testing.assert_array_equal(corpus.landmarks(i), landmarks)
    assert len(corpus) == 45
    assert corpus.sequence_ids[i] == 1005
    assert vocabulary.decode(corpus.labels[i, : corpus.label_lengths[i]]) == corpus.texts[i]
    assert (corpus.labels[i, corpus.label_lengths[i] :] == vocabulary.BLANK).all()
    assert corpus.passes_length_rule.tolist() == [
        2 * len(text) < frames for text, frames in zip(corpus.texts, corpus.num_frames, strict=True)
    ]


def test_a_corpus_of_nothing():
    assert len(Corpus.read([])) == 0


def test_the_plan_depends_on_seed_and_epoch_alone(corpus):
    chosen = np.arange(len(corpus))
    plans = {
        (seed, epoch): plan_epoch(corpus, chosen, make_config(seed=seed), epoch=epoch)
        for seed in range(2)
        for epoch in range(3)
    }
    np.random.seed(9)
    for (seed, epoch), each in plans.items():
        assert same(each, plan_epoch(corpus, chosen, make_config(seed=seed), epoch=epoch))
    keys = list(plans)
    for i, key in enumerate(keys):
        assert not any(same(plans[key], plans[other]) for other in keys[:i])


@pytest.mark.parametrize("batch_size", [1, 4, 7, 45])
def test_every_batch_is_full_and_no_sequence_comes_twice(corpus, batch_size):
    chosen = np.arange(0, len(corpus), 2) if batch_size < 45 else np.arange(45)
    counts = collections.Counter()
    for epoch in range(30):
        plan = plan_epoch(corpus, chosen, make_config(batch_size=batch_size), epoch=epoch)
        assert plan.positions.shape == plan.num_frames.shape == (len(chosen) // batch_size, batch_size)
        assert len(set(plan.positions.ravel())) == plan.positions.size
        counts.update(plan.positions.ravel().tolist())
    # What the remainder holds changes, so that in the end all are seen.
    assert counts.keys() == set(chosen.tolist())


@pytest.mark.parametrize("max_frames", [6, 40, 1000])
def test_lengths_keep_to_the_budget_and_to_two_frames_a_character(corpus, max_frames):
    config = make_config(max_frames=max_frames, augment=cfg.Augment(resample_probability=0.9))
    factors = []
    for epoch in range(10):
        plan = plan_epoch(corpus, np.arange(len(corpus)), config, epoch=epoch)
        frames, characters = corpus.num_frames[plan.positions], corpus.label_lengths[plan.positions]
        assert (plan.num_frames >= 1).all()
        assert (plan.num_frames <= max_frames).all()
        assert (plan.num_frames >= np.minimum(np.minimum(frames, max_frames), 2 * characters)).all()
        assert (plan.num_frames <= np.rint(1.5 * frames)).all()
        factors.append(plan.num_frames / frames)
    if max_frames == 1000:
        assert np.ptp(factors) > 0.5


def test_no_resampling_with_probability_0(corpus):
    config = make_config(max_frames=1000, augment=NO_AUGMENTATION)
    plan = plan_epoch(corpus, np.arange(len(corpus)), config, epoch=0)
    np.testing.assert_array_equal(plan.num_frames, corpus.num_frames[plan.positions])


def test_neighbours_in_length_share_a_batch(corpus):
    plan = plan_epoch(corpus, np.arange(len(corpus)), make_config(batch_size=5), epoch=0)
    within = np.ptp(plan.num_frames, axis=1).mean()
    assert within < 0.3 * np.ptp(plan.num_frames)


def as_arrays(batches):
    return [
        ({name: value.numpy() for name, value in x.items()}, {name: value.numpy() for name, value in y.items()})
        for x, y in batches
    ]


def test_training_batches_follow_the_plan(corpus):
    config = make_config(augment=dataclasses.replace(NO_AUGMENTATION, resample_probability=1))
    plan = plan_epoch(corpus, np.arange(len(corpus)), config, epoch=1)
    batches = as_arrays(training_batches(corpus, config, plan, epoch=1))
    assert len(batches) == len(plan.positions)
    for (inputs, targets), positions, num_frames in zip(batches, plan.positions, plan.num_frames, strict=True):
        np.testing.assert_array_equal(inputs["num_frames"], num_frames)
        assert inputs["landmarks"].shape == (4, num_frames.max(), lm.NUM_POINTS, 2)
        for row, position, length in zip(inputs["landmarks"], positions, num_frames, strict=True):
            own = corpus.frames[corpus.starts[position] : corpus.starts[position + 1]]
            np.testing.assert_allclose(row[:length], resample(own, length), atol=1e-6)
            assert not row[length:].any()
        np.testing.assert_array_equal(targets["labels"], corpus.labels[positions])
        np.testing.assert_array_equal(targets["label_lengths"], corpus.label_lengths[positions])


def test_training_batches_can_be_made_again(corpus):
    config = make_config(batch_size=8)
    plan = plan_epoch(corpus, np.arange(len(corpus)), config, epoch=2)

    def landmarks(epoch, seed=0):
        chosen = dataclasses.replace(config, seed=seed)
        return [x["landmarks"] for x, _ in as_arrays(training_batches(corpus, chosen, plan, epoch=epoch))]

    first = landmarks(2)
    for a, b in zip(first, landmarks(2), strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (landmarks(3), landmarks(2, seed=1)):
        assert not any(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("batch_size", [1, 8, 45, 100])
def test_evaluation_reaches_every_sequence_once(corpus, batch_size):
    batches, order = evaluation_batches(corpus, max_frames=30, batch_size=batch_size)
    assert sorted(order.tolist()) == list(range(len(corpus)))
    rows = [
        (landmarks, num_frames, labels)
        for x, y in as_arrays(batches)
        for landmarks, num_frames, labels in zip(x["landmarks"], x["num_frames"], y["labels"], strict=True)
    ]
    assert len(rows) == len(corpus)
    lengths = []
    for position, (landmarks, num_frames, labels) in zip(order, rows, strict=True):
        own = corpus.frames[corpus.starts[position] : corpus.starts[position + 1]]
        assert num_frames == min(30, len(own))
        expected = own if len(own) <= 30 else resample(own, 30).numpy()
        np.testing.assert_allclose(landmarks[:num_frames], expected, atol=1e-6)
        assert not landmarks[num_frames:].any()
        np.testing.assert_array_equal(labels, corpus.labels[position])
        lengths.append(num_frames)
    assert lengths == sorted(lengths, reverse=True)


def test_validation_phrases():
    phrases = [f"phrase {i}" for i in range(2000)]
    share = [is_validation_phrase(phrase, 0.05) for phrase in phrases]
    assert 0.03 < np.mean(share) < 0.07
    # A larger share only adds to a smaller one.
    assert all(is_validation_phrase(phrase, 0.2) for phrase, chosen in zip(phrases, share, strict=True) if chosen)
    assert not any(is_validation_phrase(phrase, 0) for phrase in phrases)
    assert all(is_validation_phrase(phrase, 1) for phrase in phrases)


def test_validation_phrases_are_the_same_in_every_version():
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert "".join(letter for letter in letters if is_validation_phrase(letter, 0.25)) == "fjuxyz"
