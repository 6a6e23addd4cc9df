import dataclasses
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.dataset.clips import ClipInfo
from pipeline.scores import analysis, score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()

TEXT = st.text("ab ", max_size=6)


def row(sequence_id, label="abcd", prediction="abcd", *, signer=1, num_frames=60, **known):
    clip = ClipInfo(sequence_id, "test", signer, "train", label, num_frames, 0, True)
    return dataclasses.replace(Row.of(clip, prediction, TASK, Learnt.of([])), **known)


def report(rows):
    return analysis.report(rows, TASK)


ROWS = st.lists(
    st.builds(
        row, st.integers(0, 99), TEXT.filter(bool), TEXT, signer=st.integers(1, 3), num_frames=st.integers(1, 500)
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each.sequence_id,
)


def table(rows):
    return {each.sequence_id: each for each in rows}


def plain_bootstrap(units, replicates):
    """As one would write it without numpy: draw as many units as there are, and add them up."""
    choose = random.Random(1).choices
    return [[sum(column) for column in zip(*choose(units, k=len(units)), strict=True)] for _ in range(replicates)]


@pytest.mark.parametrize("num_units", [3, 25, 200])
def test_replicates_are_distributed_as_plainly_resampled_ones(num_units):
    units = np.random.default_rng(num_units).integers(1, 6, (num_units, 2))
    ours, plain = analysis.bootstrap(units), np.array(plain_bootstrap(units.tolist(), 4000))
    assert ours.shape == (analysis.REPLICATES, 2)
    ratios = [each[:, 1] / each[:, 0] for each in (ours, plain)]
    spread = ratios[1].std()
    for quantile in (0.025, 0.25, 0.5, 0.75, 0.975):
        a, b = (np.quantile(each, quantile) for each in ratios)
        assert a == pytest.approx(b, abs=0.15 * spread)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(plain.T), rtol=0.2, atol=0.05 * num_units)


def test_of_clips_that_are_right_or_wrong_the_replicates_are_binomial():
    """One character each, 30 of 100 wrong: the wrong ones of a replicate are Binomial(100, 0.3)."""
    wrong = analysis.bootstrap(np.array([[1, int(i < 30)] for i in range(100)]))[:, 1]
    for count in (22, 30, 39):
        exact = sum(math.comb(100, k) * 0.3**k * 0.7 ** (100 - k) for k in range(count + 1))
        assert (wrong <= count).mean() == pytest.approx(exact, abs=0.02)


def test_equal_clips_leave_no_doubt():
    found = report(row(i, "abcd", "abc") for i in range(5))
    assert found["score"] == 0.75
    assert found["interval"] == [0.75, 0.75]
    assert found["error_rate"] == 0.25


def test_another_number_of_replicates_and_seed():
    units = np.array([[1, 0], [2, 1], [5, 3]])
    assert analysis.bootstrap(units, replicates=1500).shape == (1500, 2)
    np.testing.assert_array_equal(analysis.bootstrap(units, seed=3), analysis.bootstrap(units, seed=3))
    assert (analysis.bootstrap(units, seed=3) != analysis.bootstrap(units, seed=4)).any()


def test_a_report():
    rows = [
        row(1, "abc", "axc", signer=1, num_frames=50, known_label=True),
        row(2, "abc", "axc", signer=1, num_frames=51, known_signer=True),
        row(3, "abcdef", "abcde", signer=2, num_frames=401),
        row(4, "ab", "abb", signer=2, num_frames=120, known_signer=True, known_label=True),
        row(5, "a" * 26, "a" * 26, signer=3, num_frames=400),
    ]
    found = report(rows)
    assert (found["clips"], found["units"], found["exact"], found["signers"]) == (5, 40, 1, 3)
    assert found["score"] == score_table.pooled_score(rows) == 36 / 40
    assert found["edits"] == {"substitutions": 2, "deletions": 1, "insertions": 1}
    assert found["confusions"] == [
        {"label": "b", "prediction": "x", "count": 2},
        {"label": "", "prediction": "b", "count": 1},
        {"label": "f", "prediction": "", "count": 1},
    ]
    scores = {
        name: {key: (each["clips"], each["score"]) for key, each in found[name].items()}
        for name in ("by_signer", "by_frames", "by_units", "disjoint")
    }
    assert scores == {
        "by_signer": {"1": (2, 4 / 6), "2": (2, 6 / 8), "3": (1, 1)},
        "by_frames": {
            "1-50": (1, 2 / 3),
            "51-100": (1, 2 / 3),
            "101-150": (1, 1 / 2),
            "301-400": (1, 1),
            "401+": (1, 5 / 6),
        },
        "by_units": {"1-5": (3, 5 / 8), "6-10": (1, 5 / 6), "26+": (1, 1)},
        "disjoint": {"new_signers": (3, 33 / 35), "new_labels": (3, 33 / 35), "new_signers_and_labels": (2, 31 / 32)},
    }
    low, high = found["interval_by_signer"]
    assert 4 / 6 <= low < found["score"] < high <= 1


def test_nothing_unlike_what_was_learnt():
    found = report([row(1, known_signer=True, known_label=True)])
    assert set(found["disjoint"].values()) == {None}
    assert found["interval_by_signer"] is None


def test_nothing_to_report_on():
    with pytest.raises(ValueError, match="no clips"):
        report([])


@settings(max_examples=15, deadline=None)
@given(ROWS)
def test_every_way_to_divide_adds_up(rows):
    found = report(rows)
    for name in ("by_signer", "by_frames", "by_units"):
        for figure in ("clips", "units", "exact"):
            assert sum(each[figure] for each in found[name].values()) == found[figure]
    errors = sum(each.errors for each in rows)
    assert sum(found["edits"].values()) == sum(each["count"] for each in found["confusions"]) == errors
    low, high = found["interval"]
    worst, best = (choose(each.score for each in rows) for choose in (min, max))
    assert worst - 1e-9 <= low <= high <= best + 1e-9
    assert report(reversed(rows)) == found


@settings(max_examples=15, deadline=None)
@given(ROWS, st.data())
def test_a_comparison_the_other_way_round(rows, data):
    others = [
        row(each.sequence_id, each.label, data.draw(TEXT), signer=each.signer, num_frames=each.num_frames)
        for each in rows
    ]
    there, back = (analysis.comparison(*pair) for pair in ((table(rows), table(others)), (table(others), table(rows))))
    assert (there["first"], there["second"]) == (back["second"], back["first"])
    assert there["difference"] == -back["difference"] == pytest.approx(there["second"] - there["first"])
    assert there["interval"] == pytest.approx([-each for each in reversed(back["interval"])])
    assert there["probability_of_improvement"] == pytest.approx(1 - back["probability_of_improvement"])
    assert (there["better"], there["worse"]) == (back["worse"], back["better"])
    assert there["first"] == score_table.pooled_score(rows)


def test_some_comparisons():
    worse, better = table(row(i, "abcd", "abc") for i in range(9)), table(row(i, "abcd", "abcd") for i in range(9))
    found = analysis.comparison(worse, better)
    assert (found["difference"], found["interval"]) == (0.25, [0.25, 0.25])
    assert (found["probability_of_improvement"], found["better"], found["worse"]) == (1.0, 9, 0)
    same = analysis.comparison(worse, worse)
    assert (same["difference"], same["interval"], same["probability_of_improvement"]) == (0, [0, 0], 0.5)


def test_differences_are_paired():
    """One model is always a character better, on clips that differ much: the difference is certain."""
    first = table(row(i, "abcdefgh", "abcdefgh"[: i % 8]) for i in range(40))
    second = table(row(i, "abcdefgh", "abcdefgh"[: i % 8 + 1]) for i in range(40))
    low, high = report(first.values())["interval"]
    assert high - low > 0.1
    assert analysis.comparison(first, second)["interval"] == [0.125, 0.125]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ([row(1)], r"other clips \(2 and 1\): 2 is in the first alone"),
        ([row(1), row(2), row(3)], r"other clips \(2 and 3\): 3 is in the second alone"),
        ([row(1), row(2, "abc")], "clip 2 is signer 1, 60 frames, 'abcd' in the first, signer 1, 60 frames, 'abc'"),
        ([row(1, signer=7), row(2)], "clip 1 is signer 1, .* signer 7"),
        ([row(1, num_frames=61), row(2)], "clip 1 is .* 60 frames, .* 61 frames"),
    ],
)
def test_tables_that_cannot_be_compared(second, message):
    with pytest.raises(UserError, match=message) as raised:
        analysis.comparison(table([row(1), row(2)]), table(second))
    assert "\n" not in str(raised.value)
