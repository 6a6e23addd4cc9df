import numpy as np
import pytest

from pipeline.synthesis import kinematics, motion
from pipeline.synthesis.signers import make_signers


@pytest.mark.parametrize("phrase", ["hello 2", "aa--", " "])
def test_the_hand_comes_up_spells_and_leaves(phrase):
    for number, signer in enumerate(make_signers(4, seed=0)):
        hand = motion.spell(phrase, signer, np.random.default_rng(number))
        num_frames = len(hand.angles)
        assert hand.angles.shape == (num_frames, kinematics.NUM_ANGLES)
        assert hand.places.shape == (num_frames, 3)
        assert (hand.angles >= kinematics.LIMITS[:, 0]).all()
        assert (hand.angles <= kinematics.LIMITS[:, 1]).all()
        assert 0 < hand.first_frame <= hand.last_frame < num_frames
        assert not hand.in_view[[0, -1]].any()
        assert hand.in_view[hand.first_frame : hand.last_frame + 1].all()
        assert (np.diff(hand.in_view.astype(int)) == 1).sum() == 1
        # Out of view the hand is lower by the length of a forearm.
        assert hand.places[hand.first_frame, 1] - hand.places[[0, -1], 1].max() > 25


def test_a_character_is_held_near_its_posture():
    (signer,) = make_signers(1, seed=0)
    hand = motion.spell("b", signer, np.random.default_rng(0))
    middle = hand.angles[(hand.first_frame + hand.last_frame) // 2]
    wanted = motion.handshapes.SIGNS["b"].postures[0]
    assert np.abs(middle - wanted)[kinematics.FINGER_ANGLES].mean() < 15


def test_a_touch_by_accident_is_short():
    (signer,) = make_signers(1, seed=0)
    touches = [motion.touch_by_accident(signer, np.random.default_rng(seed)) for seed in range(50)]
    assert max(len(touch.angles) for touch in touches) < 80
    assert 10 < sum(touch.in_view.all() for touch in touches) < 40


def test_wandering_is_slow():
    path = motion.wander(500, 3, 2.0, np.random.default_rng(0))
    assert path.shape == (500, 3)
    assert 1 < path.std() < 3
    assert np.abs(np.diff(path, axis=0)).max() < 2
