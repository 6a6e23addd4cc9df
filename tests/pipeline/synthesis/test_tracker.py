import numpy as np

from pipeline.synthesis import tracker

HANDS = {False: tracker.RIGHT_HAND, True: tracker.LEFT_HAND}


def _seen(landmarks: np.ndarray, points: slice) -> np.ndarray:
    return ~np.isnan(landmarks[:, points, 0][:, 0])


def test_column_names():
    assert len(tracker.POINT_COLUMNS) == 3 * tracker.NUM_POINTS
    for name, points in (("face", tracker.FACE), ("left_hand", tracker.LEFT_HAND), ("right_hand", tracker.RIGHT_HAND)):
        assert tracker.POINT_COLUMNS[points.start] == f"x_{name}_0"
        assert tracker.POINT_COLUMNS[tracker.NUM_POINTS + points.stop - 1].startswith(f"y_{name}_")


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


def test_statistics_are_near_those_of_the_real_set(recordings):
    """In brackets: the real set's. The bands allow for 200 sequences of 12 signers; they are no target to train for."""
    frames = np.array([len(landmarks) for _, _, landmarks in recordings])
    assert 145 < frames.mean() < 175  # (160)
    assert 255 < np.quantile(frames, 0.95) < 345  # (309)
    per_character = [len(landmarks) / len(planned.phrase) for planned, _, landmarks in recordings]
    assert 7.5 < np.median(per_character) < 10.5  # (8.9)
    assert 1.0 < np.quantile(per_character, 0.05) < 4  # (2.4)
    seen = sum(_seen(landmarks, HANDS[signer.left_handed]).sum() for _, signer, landmarks in recordings)
    assert 0.35 < 1 - seen / frames.sum() < 0.45  # (0.4)
    other = sum(_seen(landmarks, HANDS[not signer.left_handed]).sum() for _, signer, landmarks in recordings)
    assert other / frames.sum() < 0.03
    face = sum(_seen(landmarks, tracker.FACE).sum() for _, _, landmarks in recordings)
    assert 0.95 < face / frames.sum() < 1
