import dataclasses

import numpy as np
import pytest

from pipeline.synthesis import kinematics, plan, signing, signs, tracker
from pipeline.synthesis.samples import Signs
from pipeline.synthesis.signers import make_signers

SIGN = signs.Sign("sign", ("s", "5"), "chin", "out", signs.ONE_HAND)


@pytest.fixture(scope="module")
def recordings():
    samples = Signs(clips=240, signers=12, signs=25, spoiled_share=0.15)
    return samples, [(clip, samples.record(clip)) for clip in samples.plan()]


def _seen(landmarks):
    return [~np.isnan(landmarks[:, hand, 0][:, 0]) for hand in (tracker.LEFT_HAND, tracker.RIGHT_HAND)]


@pytest.mark.parametrize("hands", signs.HANDS)
def test_hands_come_up_sign_and_leave(hands):
    style = dataclasses.replace(signing.make_style(0, seed=0), leaves_out_hand=0.0)
    for number, signer in enumerate(make_signers(4, seed=0)):
        what = dataclasses.replace(SIGN, hands=hands)
        preferred, other = signing.sign(what, signer, style, np.random.default_rng(number))
        assert (other is None) == (hands == signs.ONE_HAND)
        for hand in filter(None, (preferred, other)):
            assert hand.angles.shape == (len(preferred.angles), kinematics.NUM_ANGLES)
            assert (hand.angles >= kinematics.LIMITS[:, 0]).all()
            assert (hand.angles <= kinematics.LIMITS[:, 1]).all()
            assert not hand.in_view[[0, -1]].any()
            assert hand.in_view[hand.first_frame + 1 : hand.last_frame].all()
            assert hand.places[[0, -1], 1].max() < hand.places[hand.first_frame, 1] - 10
        across = preferred.places[preferred.last_frame, 0] - preferred.places[preferred.first_frame + 1, 0]
        assert across < -5  # outwards
        if hands == signs.STILL:
            assert np.ptp(other.places[other.first_frame + 2 : other.last_frame - 1, 0]) < 5


def test_signers_have_styles_of_their_own():
    styles = [signing.make_style(number, seed=0) for number in range(10)]
    assert len({style.amplitude for style in styles}) == 10
    assert signing.make_style(3, seed=0).amplitude == styles[3].amplitude
    assert signing.make_style(3, seed=1).amplitude != styles[3].amplitude


def test_recordings_are_plausible(recordings):
    samples, clips = recordings
    frames, both, one, preferred, truncated = [], [], [], [], []
    for clip, landmarks in clips:
        assert landmarks.shape[1:] == (tracker.NUM_POINTS, 3)
        assert not np.isinf(landmarks).any()
        left, right = _seen(landmarks)
        if clip.spoiled == "accidental_tap":
            assert len(landmarks) < 80
        elif clip.spoiled == "truncated":
            assert (left | right).sum() < 10
            truncated.append(len(landmarks))
        else:
            frames.append(len(landmarks))
            assert (left | right).sum() >= 3
            (one if samples.lexicon[clip.sign].hands == signs.ONE_HAND else both).append((left & right).mean())
            preferred.append(left.sum() >= right.sum() if samples.people[clip.signer].left_handed else right.any())
    assert np.mean(preferred) > 0.95
    assert 1 < np.mean(truncated) < 20
    assert np.mean(both) > 10 * np.mean(one)
    assert np.quantile(frames, 0.05) >= 15
    assert np.quantile(frames, 0.95) <= 85


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.1, 24), (1, 240)])
def test_the_share_of_spoiled_clips(share, expected):
    planned = plan.plan_signs(clips=240, signers=12, signs=25, spoiled_share=share, seed=0)
    kinds = [each.spoiled for each in planned if each.spoiled]
    assert len(kinds) == expected
    assert {kinds.count(kind) for kind in plan.SPOILED_SIGNS} == {expected // 3}
    assert all((each.sign != each.label) == (each.spoiled == "wrong_sign") for each in planned)


@pytest.mark.parametrize(("clips", "signers", "signs"), [(2000, 20, 25), (400, 10, 8), (30, 3, 5)])
def test_signers_and_signs_have_as_many_clips(clips, signers, signs):
    planned = plan.plan_signs(clips=clips, signers=signers, signs=signs, spoiled_share=0.0, seed=0)
    pairs = np.zeros((signers, signs), int)
    for each in planned:
        pairs[each.signer, each.sign] += 1
    assert np.ptp(pairs) == 0
    assert len({each.sequence_id for each in planned}) == clips
    assert len({each.first_frame for each in planned}) > 15
