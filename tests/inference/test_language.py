"""The n-gram model, and the search for the likeliest label, against their definitions."""

import collections
import itertools

import numpy as np
import pytest

from inference import beam, language
from inference.language import Heard, NGrams

LABELS = [[0, 1, 0], [0, 1, 2], [1], [], [2, 2]]


def by_definition(labels, num_classes, order, label):
    """Witten and Bell, with a dictionary."""
    end = num_classes
    followers = collections.defaultdict(list)
    for each in labels:
        padded = [end] * (order - 1) + each + [end]
        for at in range(order - 1, len(padded)):
            for length in range(order):
                followers[tuple(padded[at - length : at])].append(padded[at])
    shares = [1 / (num_classes + 1)] * (num_classes + 1)
    padded = [end] * (order - 1) + label
    for length in range(order):
        found = followers.get(tuple(padded[len(padded) - length :]))
        if not found:
            break
        new = len(set(found)) / (len(found) + len(set(found)))
        shares = [new * share + (1 - new) * found.count(c) / len(found) for c, share in enumerate(shares)]
    return shares


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("label", [[], [0], [0, 1], [2, 0, 1], [1, 1, 1, 1, 1]])
def test_probabilities_are_those_of_the_definition(order, label):
    found = np.exp(NGrams.of(LABELS, 3, order).log_probabilities(label))
    np.testing.assert_allclose(found, by_definition(LABELS, 3, order, label), rtol=1e-12)
    assert found.sum() == pytest.approx(1)


def test_a_label_is_as_likely_as_its_classes_one_after_the_other():
    model = NGrams.of(LABELS, 3, 3)
    parts = [by_definition(LABELS, 3, 3, before)[c] for before, c in (([], 0), ([0], 1), ([0, 1], 3))]
    assert np.exp(model.log_probability([0, 1])) == pytest.approx(np.prod(parts))


def test_no_labels_make_all_alike():
    np.testing.assert_allclose(np.exp(NGrams.of([], 3, 2).log_probabilities([0])), 0.25)


def test_classes_beyond_64_bits():
    with pytest.raises(ValueError, match="n-grams of 11 of 61 classes"):
        NGrams.of([], 60, 11)


def of_every_path(outputs, blank):
    """The probability of each label: all paths of frames, merged as CTC does."""
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=-1, keepdims=True)
    found = collections.defaultdict(float)
    for path in itertools.product(range(blank + 1), repeat=len(outputs)):
        merged = [c for c, _ in itertools.groupby(path)]
        found[tuple(c for c in merged if c != blank)] += np.prod([shares[t, c] for t, c in enumerate(path)])
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_likeliest_label_is_found(seed):
    """A beam that is wide enough finds what adding up all paths finds."""
    outputs = np.random.default_rng(seed).normal(0, 1.5, (5, 4))
    shares = of_every_path(outputs, 3)
    model = NGrams.of(LABELS, 3, 3)
    best = max(shares, key=shares.get)
    found, log = beam.decode(outputs, model, weight=0.0, bonus=0.0, width=1000)
    assert (tuple(found), np.exp(log)) == (best, pytest.approx(shares[best]))

    value = {
        label: np.log(share) + 0.7 * model.log_probability(label) + 0.4 * len(label) for label, share in shares.items()
    }
    best = max(value, key=value.get)
    found, log = beam.decode(outputs, model, weight=0.7, bonus=0.4, width=1000)
    assert (tuple(found), np.exp(log)) == (best, pytest.approx(shares[best]))


def test_a_language_model_decides_between_what_looks_alike():
    outputs = np.log(np.array([[0.5, 0.4, 0.1], [0.05, 0.05, 0.9], [0.5, 0.4, 0.1]]))  # 0, blank, 0; or with 1s
    model = NGrams.of([[1, 0]] * 20, 2, 3)
    assert beam.decode(outputs, model, weight=0.0, bonus=0.0)[0] == [0, 0]
    assert beam.decode(outputs, model, weight=1.0, bonus=0.0)[0] == [1, 0]


def test_no_frames_spell_nothing():
    assert beam.decode(np.empty((0, 4)), NGrams.of(LABELS, 3, 3), weight=0.5, bonus=1.0) == ([], 0.0)


def test_the_weight_is_that_of_the_fewest_errors():
    """Of what looks alike, the labels decide; where the network is sure and right, no weight is better than none."""
    alike = np.log(np.array([[0.5, 0.4, 0.1], [0.05, 0.05, 0.9], [0.5, 0.4, 0.1]]))
    sure = np.log(np.array([[0.998, 0.001, 0.001], [0.001, 0.001, 0.998], [0.998, 0.001, 0.001]]))
    count = lambda label, found: sum(a != b for a, b in itertools.zip_longest(label, found))  # noqa: E731
    found, figures = language.learn(
        [[1, 0]] * 20, 2, [Heard(alike, [0, 0], [1, 0]), Heard(sure, [0, 0], [0, 0])] * 10, count
    )
    assert (found.weight, figures) == (0.25, {"none": 10, "0.25": 0, "0.5": 0, "0.75": 0})
    taken = -(found.grams.log_probability([1, 0]) + found.grams.log_probability([0, 0])) / 6
    assert found.bonus == pytest.approx(0.25 * taken)
    helped, right = Heard(alike, [0, 0], [1, 0]), Heard(sure, [0, 0], [0, 0])
    few, chance = [helped] * 19, [helped] * 2 + [right] * 98
    for heard in (few, chance, [right] * 20):
        assert language.learn([[1, 0]] * 20, 2, heard, count)[0] is None
    assert language.learn([[1, 0]] * 20, 2, [], count)[0] is None


def test_it_is_written_and_read(tmp_path):
    made = language.Language(NGrams.of(LABELS, 3, 4), 0.5, 0.7)
    made.write(tmp_path / "language.npz")
    with (tmp_path / "language.npz").open("rb") as file:
        read = language.read(file)
    assert (read.weight, read.bonus, read.grams.num_classes, read.grams.order) == (0.5, 0.7, 3, 4)
    for label in ([], [0, 1], [2, 2, 2]):
        assert read.grams.log_probability(label) == made.grams.log_probability(label)
