import numpy as np

from pipeline.synthesis import body
from pipeline.synthesis.signers import make_signers

LEFT_WRIST, RIGHT_WRIST = 15, 16


def test_the_arm_ends_at_the_spelling_hand_and_the_head_stays_on_the_body():
    hand = np.random.default_rng(0).normal((0, -25, 20), 3, (30, 21, 3)).astype(np.float32)
    for signer in make_signers(10, seed=0):
        face, pose = body.move_body(hand, signer, np.random.default_rng(1))
        assert face.shape == (30, 468, 3)
        assert pose.shape == (30, 33, 3)
        own, other = (LEFT_WRIST, RIGHT_WRIST) if signer.left_handed else (RIGHT_WRIST, LEFT_WRIST)
        np.testing.assert_array_equal(pose[:, own], hand[:, 0])
        assert np.linalg.norm(pose[:, other] - hand[:, 0], axis=1).min() > 20
        # Both noses are the same one.
        assert np.linalg.norm(pose[:, 0] - face[:, 1], axis=1).max() < 2
        # The lower lip follows the jaw: the mouth opens at times and never the other way round.
        gap = (face[:, 13] - face[:, 14])[:, 1]
        assert gap.max() > gap.min() > 0


def test_both_arms_end_at_their_hands():
    hands = np.random.default_rng(0).normal((0, -25, 20), 3, (2, 30, 21, 3)).astype(np.float32)
    for signer in make_signers(10, seed=0):
        _, pose = body.move_body(hands[0], signer, np.random.default_rng(1), hands[1])
        own, other = (LEFT_WRIST, RIGHT_WRIST) if signer.left_handed else (RIGHT_WRIST, LEFT_WRIST)
        np.testing.assert_array_equal(pose[:, own], hands[0, :, 0])
        np.testing.assert_array_equal(pose[:, other], hands[1, :, 0])
