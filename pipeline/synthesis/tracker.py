"""What a tracker (MediaPipe Holistic) reports of a motion: 543 landmarks a frame that tremble and have gaps."""

import numpy as np

from pipeline.dataset.writers import FACE, LEFT_HAND, NUM_POINTS, POSE, RIGHT_HAND
from pipeline.synthesis import body, kinematics, motion
from pipeline.synthesis.motion import HandMotion
from pipeline.synthesis.signers import Signer

_CAMERA_DISTANCE = 75.0  # to the face, centimetres
_FINGERTIPS = [4, 8, 12, 16, 20]
_MEAN_HAND_LOSS = 3.5  # frames
# Coordinates are steps of this fraction of the image, finer than any tracker resolves: files compress to half.
_STEP = 1 / (1 << 14)


def record(
    hand_motion: HandMotion, signer: Signer, rng: np.random.Generator, other_motion: HandMotion | None = None
) -> np.ndarray:
    """The landmarks (T, 543, 3) float32, in the order of `writers.POINT_COLUMNS`; NaN where the tracker sees nothing.

    x and y are fractions of the image from its top left, z is in image widths and smaller nearer to the camera.

    Args:
      hand_motion: of the hand that the signer prefers.
      other_motion: of the other one, as long; without, it is idle, and seldom seen.
    """
    num_frames = len(hand_motion.angles)
    hand = _place_hand(hand_motion, signer, left=signer.left_handed)
    other_hand = None if other_motion is None else _place_hand(other_motion, signer, left=not signer.left_handed)
    face, pose = body.move_body(hand, signer, rng, other_hand)
    preferred, other = (LEFT_HAND, RIGHT_HAND) if signer.left_handed else (RIGHT_HAND, LEFT_HAND)

    landmarks = np.full((num_frames, NUM_POINTS, 3), np.nan, np.float32)
    seen, hand = _track_hand(hand, hand_motion.in_view, signer, rng)
    landmarks[seen, preferred] = _project_hand(hand[seen], signer)
    if other_motion is not None and other_hand is not None:
        seen, other_hand = _track_hand(other_hand, other_motion.in_view, signer, rng)
        landmarks[seen, other] = _project_hand(other_hand[seen], signer)
    elif rng.random() < 1 / 16:
        seen = np.flatnonzero(_bursts(np.full(num_frames, 0.01), 6, rng))
        landmarks[seen, other] = _project_hand(_idle_hand(len(seen), signer, rng), signer)
    seen = np.flatnonzero(~_bursts(np.full(num_frames, 0.002), 8, rng))
    landmarks[seen, FACE] = _project(_trembling(face[seen], 0.05, rng), signer)
    seen = np.flatnonzero(~_bursts(np.full(num_frames, 0.0005), 8, rng))
    landmarks[seen, POSE] = _project(_trembling(pose[seen], 0.2, rng), signer)
    landmarks /= _STEP
    np.rint(landmarks, out=landmarks)
    landmarks *= _STEP
    return landmarks


def _place_hand(hand_motion: HandMotion, signer: Signer, *, left: bool) -> np.ndarray:
    """The landmarks of a moving hand (T, 21, 3), in centimetres from the middle of the face."""
    hand = kinematics.forward(hand_motion.angles.astype(np.float32), signer.hand_bones, signer.hand_palm)
    hand += hand_motion.places.astype(np.float32)[:, None]
    if left:
        hand[..., 0] *= -1
    return hand


def _track_hand(
    hand_Tx21x3: np.ndarray, in_view_T: np.ndarray, signer: Signer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the frames in which the hand is found, and the hand with the tracker's error (T, 21, 3)."""
    loss_chance_T = signer.hand_loss / _MEAN_HAND_LOSS * _haste(hand_Tx21x3, in_view_T)
    lost_T = _bursts(loss_chance_T, _MEAN_HAND_LOSS, rng)
    trembling = _trembling(hand_Tx21x3, 0.1, rng)
    trembling[:, _FINGERTIPS] = _trembling(trembling[:, _FINGERTIPS], 0.1, rng)
    return np.flatnonzero(in_view_T & ~lost_T), trembling


def _haste(hand_Tx21x3: np.ndarray, in_view_T: np.ndarray) -> np.ndarray:
    """(T,): how readily the hand is lost, 1 on average while it is in view, 0.4 when it rests."""
    speed = np.linalg.norm(np.diff(hand_Tx21x3, axis=0, prepend=hand_Tx21x3[:1]), axis=2).mean(axis=1)
    mean_speed = float(speed[in_view_T].mean()) if in_view_T.any() else 0.0
    return 0.4 + 0.6 * speed / max(mean_speed, 1e-6)


def _idle_hand(num_frames: int, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """The hand that does not spell (T, 21, 3), at rest on its own side."""
    idle = kinematics.forward(motion.RELAXED[None], signer.hand_bones, signer.hand_palm)
    idle += (signer.wrist_place + 0.5 * motion.TO_REST).astype(np.float32)
    idle = _trembling(np.repeat(idle, num_frames, axis=0), 0.15, rng)
    if not signer.left_handed:
        idle[..., 0] *= -1
    return idle


def _bursts(chance_T: np.ndarray, mean_length: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) bool: bursts that start with the chance given in each frame."""
    starts = np.flatnonzero(rng.random(len(chance_T)) < chance_T)
    stops = np.minimum(starts + rng.geometric(1 / mean_length, len(starts)), len(chance_T))
    change = np.bincount(starts, minlength=len(chance_T) + 1) - np.bincount(stops, minlength=len(chance_T) + 1)
    return np.cumsum(change)[:-1] > 0


def _trembling(points_TxNx3: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """The points with the tracker's error: standard deviation `size`, double in depth, related from frame to frame."""
    num_frames, num_points, _ = points_TxNx3.shape
    white = rng.standard_normal((num_frames + 1, num_points, 3), np.float32)
    error = white[1:] * np.float32(0.8)
    error += white[:-1] * np.float32(0.6)
    error *= np.float32(size)
    error[..., 2] *= 2
    error += points_TxNx3
    return error


def _project(points_TxNx3: np.ndarray, signer: Signer) -> np.ndarray:
    """From centimetres to the image, as `record` gives it."""
    x, y, z = points_TxNx3[..., 0], points_TxNx3[..., 1], points_TxNx3[..., 2]
    width, height = signer.image_width, signer.image_width / signer.aspect_ratio
    nearer = _CAMERA_DISTANCE / (_CAMERA_DISTANCE - np.clip(z, -30, 50))
    image = np.empty_like(points_TxNx3)
    image[..., 0] = signer.face_in_image[0] + x * nearer / width
    image[..., 1] = signer.face_in_image[1] - y * nearer / height
    image[..., 2] = z / -width
    return image


def _project_hand(hand_Tx21x3: np.ndarray, signer: Signer) -> np.ndarray:
    """As `_project`; the depth of a hand is counted from its wrist."""
    image = _project(hand_Tx21x3, signer)
    image[..., 2] -= image[:, :1, 2].copy()
    return image
