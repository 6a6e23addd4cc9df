import collections
import dataclasses
import gc
import weakref

import numpy as np
import pytest

from pipeline.tasks.body import POINTS
from training import config as cfg
from training.data.augment import resample
from training.data.input_pipeline import evaluation_batches, passes, plan_epoch, training_batches

NO_AUGMENTATION = dataclasses.replace(
    cfg.Augment(),
    **{field.name: 0.0 for field in dataclasses.fields(cfg.Augment) if field.name.endswith("_probability")},
)


def make_config(*, batch_size=4, max_frames=40, seed=0, augment=cfg.Augment()):  # noqa: B008
    return cfg.Config(
        data=cfg.Data(max_frames=max_frames), augment=augment, optimizer=cfg.Optimizer(batch_size=batch_size), seed=seed
    )


def plan_of(corpus, chosen, config, epoch, frames_of_a_character=2):
    """A plan that leaves a label so many frames for each character."""
    return plan_epoch(corpus, chosen, config, lambda lengths: frames_of_a_character * lengths, epoch=epoch)


def same(a, b):
    return all(map(np.array_equal, dataclasses.astuple(a), dataclasses.astuple(b)))


def test_the_plan_depends_on_seed_and_epoch_alone(corpus):
    chosen = np.arange(len(corpus))
    plans = {
        (seed, epoch): plan_of(corpus, chosen, make_config(seed=seed), epoch) for seed in range(2) for epoch in range(3)
    }
    np.random.seed(9)
    for (seed, epoch), each in plans.items():
        assert same(each, plan_of(corpus, chosen, make_config(seed=seed), epoch))
    keys = list(plans)
    for i, key in enumerate(keys):
        assert not any(same(plans[key], plans[other]) for other in keys[:i])


def test_nothing_of_an_epoch_is_kept(corpus):
    """TensorFlow keeps the functions that it calls in Python: they must hold nothing but the corpus that grows."""
    config = make_config()
    plan = plan_of(corpus, np.arange(len(corpus)), config, 0)
    kept = [weakref.ref(plan), weakref.ref(plan.positions)]
    for _ in training_batches(corpus, POINTS, config, plan, epoch=0):
        pass
    del plan
    batches, order = evaluation_batches(corpus, max_frames=40, batch_size=4)
    kept.append(weakref.ref(order))
    for _ in batches:
        pass
    del batches, order
    gc.collect()
    assert [each() for each in kept] == [None] * 3


@pytest.mark.parametrize("batch_size", [1, 4, 7, 45])
def test_every_batch_is_full_and_no_clip_comes_twice(corpus, batch_size):
    chosen = np.arange(0, len(corpus), 2) if batch_size < 45 else np.arange(45)
    counts = collections.Counter()
    for epoch in range(30):
        plan = plan_of(corpus, chosen, make_config(batch_size=batch_size), epoch)
        assert plan.positions.shape == plan.num_frames.shape == (len(chosen) // batch_size, batch_size)
        assert len(set(plan.positions.ravel())) == plan.positions.size
        counts.update(plan.positions.ravel().tolist())
    # What the remainder holds changes, so that in the end all are seen.
    assert counts.keys() == set(chosen.tolist())


@pytest.mark.parametrize("frames_of_a_character", [2, 4])
@pytest.mark.parametrize("max_frames", [6, 40, 1000])
def test_lengths_keep_to_the_budget_and_to_what_the_label_needs(corpus, max_frames, frames_of_a_character):
    config = make_config(max_frames=max_frames, augment=cfg.Augment(resample_probability=0.9))
    factors = []
    for epoch in range(10):
        plan = plan_of(corpus, np.arange(len(corpus)), config, epoch, frames_of_a_character)
        frames, characters = corpus.num_frames[plan.positions], corpus.label_lengths[plan.positions]
        assert (plan.num_frames >= 1).all()
        assert (plan.num_frames <= max_frames).all()
        assert (plan.num_frames >= np.minimum(np.minimum(frames, max_frames), frames_of_a_character * characters)).all()
        assert (plan.num_frames <= np.rint(1.5 * frames)).all()
        factors.append(plan.num_frames / frames)
    if max_frames == 1000:
        assert np.ptp(factors) > 0.5


def test_no_resampling_with_probability_0(corpus):
    config = make_config(max_frames=1000, augment=NO_AUGMENTATION)
    plan = plan_of(corpus, np.arange(len(corpus)), config, 0)
    np.testing.assert_array_equal(plan.num_frames, corpus.num_frames[plan.positions])


def test_neighbours_in_length_share_a_batch(corpus):
    plan = plan_of(corpus, np.arange(len(corpus)), make_config(batch_size=5), 0)
    within = np.ptp(plan.num_frames, axis=1).mean()
    assert within < 0.3 * np.ptp(plan.num_frames)


JOINING = dataclasses.replace(NO_AUGMENTATION, join_probability=1.0)


def joined_plan(corpus, epoch=0, chosen=None, **changes):
    config = make_config(augment=dataclasses.replace(JOINING, **changes), max_frames=60)
    return config, plan_of(corpus, np.arange(len(corpus)) if chosen is None else chosen, config, epoch)


def test_joined_are_two_of_one_signer_that_fit(corpus):
    chosen = np.arange(1, len(corpus), 2)
    pairs = set()
    for epoch in range(20):
        _, plan = joined_plan(corpus, epoch, chosen)
        joined = plan.partners >= 0
        first, second = plan.positions[joined], plan.partners[joined]
        assert set(second) <= set(chosen)
        assert (first != second).all()
        np.testing.assert_array_equal(corpus.signers[first], corpus.signers[second])
        np.testing.assert_array_equal(plan.num_frames[joined], corpus.num_frames[first] + corpus.num_frames[second])
        assert (plan.num_frames <= 60).all()
        assert (corpus.label_lengths[first] + corpus.label_lengths[second] <= corpus.label_ids.shape[1]).all()
        pairs |= set(zip(first, second, strict=True))
    assert len({a for a, _ in pairs}) > 10
    assert len(pairs) > 15


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_how_many_are_joined(make_corpus, probability):
    corpus = make_corpus([(3, "ab"), (4, "abcdef")] * 300).select(np.arange(0, 600, 2))
    _, plan = joined_plan(corpus, join_probability=probability)
    assert (plan.partners >= 0).mean() == pytest.approx(probability, abs=0.08 * (probability > 0))


def test_a_signer_with_one_clip_is_never_joined(make_corpus):
    corpus = make_corpus([(3, "a")] * 3 + [(9, "a long label")])
    corpus = dataclasses.replace(corpus, signers=np.arange(4))
    for epoch in range(5):
        assert (joined_plan(corpus, epoch)[1].partners < 0).all()


def test_joined_batches(corpus, task):
    config, plan = joined_plan(corpus, resample_probability=0.5)
    joined = 0
    for step, (inputs, targets) in enumerate(as_arrays(training_batches(corpus, POINTS, config, plan, epoch=0))):
        for row, (position, partner) in enumerate(zip(plan.positions[step], plan.partners[step], strict=True)):
            parts = [position] if partner < 0 else [position, partner]
            whole = np.concatenate([corpus.landmarks(i) for i in parts])
            length = plan.num_frames[step, row]
            np.testing.assert_array_equal(inputs["landmarks"][row, :length], resample(whole, length))
            label = targets["labels"][row, : targets["label_lengths"][row]]
            assert task.decode(label) == "".join(corpus.clips[i].label for i in parts)
            assert (targets["labels"][row, len(label) :] == 59).all()
            joined += len(parts) - 1
    assert joined > 5


def test_training_batches_from_a_step_on(corpus):
    """As they are in the middle of an epoch."""
    config, plan = joined_plan(corpus, resample_probability=0.5, time_mask_probability=0.5, affine_probability=0.5)
    whole = as_arrays(training_batches(corpus, POINTS, config, plan, epoch=3))
    for first_step in range(1, len(whole) + 1):
        rest = training_batches(corpus, POINTS, config, plan, epoch=3, first_step=first_step)
        assert rest.cardinality() == len(whole) - first_step
        for (x, y), (x_rest, y_rest) in zip(whole[first_step:], as_arrays(rest), strict=True):
            for name in x:
                np.testing.assert_array_equal(x[name], x_rest[name])
            for name in y:
                np.testing.assert_array_equal(y[name], y_rest[name])


def test_batches_of_one_shape(corpus):
    config = make_config()
    plan = plan_of(corpus, np.arange(len(corpus)), config, 0)
    usual = (
        training_batches(corpus, POINTS, config, plan, epoch=0),
        evaluation_batches(corpus, max_frames=40, batch_size=4)[0],
    )
    padded = (
        training_batches(corpus, POINTS, config, plan, epoch=0, pad_to=41),
        evaluation_batches(corpus, max_frames=40, batch_size=4, pad_to=41)[0],
    )
    for batches, same_batches in zip(usual, padded, strict=True):
        for (x, y), (x_padded, y_padded) in zip(as_arrays(batches), as_arrays(same_batches), strict=True):
            frames = x["landmarks"].shape[1]
            assert x_padded["landmarks"].shape[1] == 41
            np.testing.assert_array_equal(x_padded["landmarks"][:, :frames], x["landmarks"])
            assert not x_padded["landmarks"][:, frames:].any()
            np.testing.assert_array_equal(x_padded["num_frames"], x["num_frames"])
            np.testing.assert_array_equal(y_padded["labels"], y["labels"])


def as_arrays(batches):
    return [
        ({name: value.numpy() for name, value in x.items()}, {name: value.numpy() for name, value in y.items()})
        for x, y in batches
    ]


def test_training_batches_follow_the_plan(corpus):
    config = make_config(augment=dataclasses.replace(NO_AUGMENTATION, resample_probability=1))
    plan = plan_of(corpus, np.arange(len(corpus)), config, 1)
    batches = as_arrays(training_batches(corpus, POINTS, config, plan, epoch=1))
    assert len(batches) == len(plan.positions)
    for (inputs, targets), positions, num_frames in zip(batches, plan.positions, plan.num_frames, strict=True):
        np.testing.assert_array_equal(inputs["num_frames"], num_frames)
        assert inputs["landmarks"].shape == (4, num_frames.max(), *POINTS.shape)
        for row, position, length in zip(inputs["landmarks"], positions, num_frames, strict=True):
            own = corpus.landmarks(position)
            np.testing.assert_allclose(row[:length], resample(own, length), atol=1e-6)
            assert not row[length:].any()
        np.testing.assert_array_equal(targets["labels"], corpus.label_ids[positions])
        np.testing.assert_array_equal(targets["label_lengths"], corpus.label_lengths[positions])


def test_training_batches_can_be_made_again(corpus):
    config = make_config(batch_size=8)
    plan = plan_of(corpus, np.arange(len(corpus)), config, 2)

    def landmarks(epoch, seed=0):
        chosen = dataclasses.replace(config, seed=seed)
        return [x["landmarks"] for x, _ in as_arrays(training_batches(corpus, POINTS, chosen, plan, epoch=epoch))]

    first = landmarks(2)
    for a, b in zip(first, landmarks(2), strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (landmarks(3), landmarks(2, seed=1)):
        assert not any(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("batch_size", [1, 8, 45, 100])
def test_evaluation_reaches_every_clip_once(corpus, batch_size):
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
        own = corpus.landmarks(position)
        assert num_frames == min(30, len(own))
        expected = own if len(own) <= 30 else resample(own, 30)
        np.testing.assert_allclose(landmarks[:num_frames], expected, atol=1e-6)
        assert not landmarks[num_frames:].any()
        np.testing.assert_array_equal(labels, corpus.label_ids[position])
        lengths.append(num_frames)
    assert lengths == sorted(lengths, reverse=True)


def test_autotuning_is_off(corpus):
    """With it, an epoch may wait at its end, for seconds, until the thread that tunes wakes."""
    config = make_config()
    plan = plan_of(corpus, np.arange(len(corpus)), config, 0)
    training = training_batches(corpus, POINTS, config, plan, epoch=0)
    evaluation, _ = evaluation_batches(corpus, max_frames=40, batch_size=4)
    assert [batches.options().autotune.enabled for batches in (training, evaluation)] == [False, False]


def test_few_clips_are_gone_over_more_often(corpus):
    """As often as the run's steps take; each pass holds every clip once."""
    chosen = np.arange(6)
    optimizer = cfg.Optimizer(epochs=5, batch_size=4, fewest_steps=20)
    assert passes(6, optimizer) == 3  # of 1.5 steps each, in 5 epochs
    assert passes(10_000, optimizer) == 1
    config = dataclasses.replace(make_config(augment=NO_AUGMENTATION), optimizer=optimizer)
    plan = plan_of(corpus, chosen, config, 0)
    assert plan.positions.shape == (4, 4)
    assert collections.Counter(plan.positions.ravel().tolist()).total() == 16
    assert max(collections.Counter(plan.positions.ravel().tolist()).values()) == 3
    once = plan_of(corpus, chosen, make_config(augment=NO_AUGMENTATION), 0)
    assert once.positions.shape == (1, 4)
