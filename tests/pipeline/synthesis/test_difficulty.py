"""The sample data are as hard as was fixed before anything was trained on them: see `pipeline.synthesis`.

In brackets: the real set's figures, which the bands allow for chance around. They are no target to train for.
"""

import numpy as np
import pytest

from pipeline.synthesis import tracker
from pipeline.synthesis.plan import make_landmarks, plan_clips
from pipeline.synthesis.signers import make_signers

HANDS = {False: tracker.RIGHT_HAND, True: tracker.LEFT_HAND}


@pytest.fixture(scope="module")
def population():
    """(phrase, left-handed or not, landmarks) of 300 clips, each by another signer."""
    signers = make_signers(300, seed=0)
    return [
        (planned.phrase, signer.left_handed, make_landmarks(planned, signer, seed=0))
        for planned in plan_clips(clips=300, signers=300, files=1, spoiled_share=0.12, seed=0)
        for signer in (signers[planned.signer],)
    ]


def _share_seen(population, points) -> float:
    """Share of all frames in which a group of points is seen; `points` maps left-handedness to the group."""
    seen = [~np.isnan(landmarks[:, points[left_handed], 0][:, 0]) for _, left_handed, landmarks in population]
    return np.concatenate(seen).mean()


def test_frames_a_clip(population):
    frames = [len(landmarks) for _, _, landmarks in population]
    assert 145 < np.mean(frames) < 180  # (160)
    assert 280 < np.quantile(frames, 0.95) < 340  # (309)
    assert 340 < np.quantile(frames, 0.99) < 470  # (401)


def test_frames_a_character(population):
    per_character = [len(landmarks) / len(phrase) for phrase, _, landmarks in population]
    assert 7.8 < np.median(per_character) < 10  # (8.9)
    assert 1.2 < np.quantile(per_character, 0.05) < 3.5  # (2.4)


def test_phrase_lengths(population):
    lengths = [len(phrase) for phrase, _, _ in population]
    assert 17 < np.mean(lengths) < 19  # (17.8)
    assert max(lengths) <= 31  # (31)


def test_what_is_seen(population):
    assert 0.36 < 1 - _share_seen(population, HANDS) < 0.45  # (66 of 160 frames)
    assert _share_seen(population, {left: HANDS[not left] for left in HANDS}) < 0.03  # (hardly ever)
    assert 0.95 < _share_seen(population, dict.fromkeys(HANDS, tracker.FACE)) < 1
