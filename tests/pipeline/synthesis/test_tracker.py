import numpy as np

from pipeline.synthesis import tracker

HANDS = {False: tracker.RIGHT_HAND, True: tracker.LEFT_HAND}


def _seen(landmarks: np.ndarray, points: slice) -> np.ndarray:
    return ~np.isnan(landmarks[:, points, 0][:, 0])


def test_recordings_are_plausible(recordings):
    for planned, signer, landmarks in recordings:
        assert landmarks.shape[1:] == (tracker.NUM_POINTS, 3)
        assert landmarks.dtype == np.float32
        assert not np.isinf(landmarks).any()
        hand = landmarks[:, HANDS[signer.left_handed]]
        # A hand is seen whole or not at all; its depth is counted from the wrist.
        missing = np.isnan(hand).reshape(len(hand), -1)
        assert (missing.all(axis=1) | ~missing.any(axis=1)).all()
        assert np.nanmax(np.abs(hand[:, 0, 2]), initial=0) == 0
        if planned.spoiled == "accidental_tap":
            assert len(landmarks) < 80
        elif planned.spoiled != "truncated":
            # The hand comes up and leaves.
            assert missing[[0, -1]].all()
            assert (~missing[:, 0]).sum() > 10


def test_left_handed_signers_use_the_left_hand(recordings):
    for left_handed in (False, True):
        mine = [landmarks for _, signer, landmarks in recordings if signer.left_handed == left_handed]
        hand = sum(_seen(landmarks, HANDS[left_handed]).sum() for landmarks in mine)
        assert hand > 20 * sum(_seen(landmarks, HANDS[not left_handed]).sum() for landmarks in mine)
        # Before the signer's own side: the right hand at the image's left.
        side = np.nanmean(np.concatenate([landmarks[:, HANDS[left_handed], 0].ravel() for landmarks in mine]))
        assert (side > 0.5) == left_handed
