"""The face and body that go with the hands: MediaPipe's 468 face points and 33 body points.

Centimetres from the middle of the face; the signer's left is at x > 0.
"""

import math

import numpy as np

from pipeline.synthesis import kinematics
from pipeline.synthesis.motion import wander
from pipeline.synthesis.signers import Signer

_NUM_FACE_POINTS = 468

_OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_OUTER_LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375)
_INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_INNER_LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_NOSE = {1: (0.0, -0.5, 3.0), 2: (0.0, -1.6, 2.0), 98: (-1.2, -1.4, 1.2), 327: (1.2, -1.4, 1.2)}


def _face_at_rest() -> tuple[np.ndarray, np.ndarray]:
    """Points (468, 3), and how far each follows the jaw (468,): 0 to 1."""
    points, jaw = np.zeros((_NUM_FACE_POINTS, 3), np.float32), np.zeros(_NUM_FACE_POINTS, np.float32)
    # A spiral fills an ellipse evenly with the points whose order means nothing here.
    turn = np.arange(_NUM_FACE_POINTS) * math.pi * (3 - math.sqrt(5))
    radius = np.sqrt((np.arange(_NUM_FACE_POINTS) + 0.5) / _NUM_FACE_POINTS)
    points[:, 0], points[:, 1] = 6.8 * radius * np.cos(turn), 9.0 * radius * np.sin(turn) - 0.5
    for indices, half_width, height in (
        (_OUTER_UPPER_LIP, 2.6, 0.8),
        (_OUTER_LOWER_LIP, 2.1, -1.1),
        (_INNER_UPPER_LIP, 2.2, 0.15),
        (_INNER_LOWER_LIP, 1.8, -0.2),
    ):
        lip = list(indices)
        across = np.linspace(-1, 1, len(lip))
        points[lip, 0] = half_width * across
        points[lip, 1] = -4.6 + height * (1 - 0.9 * across**2)
        if height < 0:
            jaw[lip] = 1 - 0.8 * across**2
    points[:, 2] = 5 * np.sqrt(np.maximum(0, 1 - (points[:, 0] / 7.5) ** 2 - (points[:, 1] / 11) ** 2)) - 3.5
    for index, place in _NOSE.items():
        points[index] = place
    return points, jaw


_FACE, _JAW = _face_at_rest()

# The order is MediaPipe's: nose, eyes, ears and mouth; then from the shoulders to the feet, left before right.
_HEAD = (
    *((0, -0.5, 3), (1.6, 3, 1), (3, 3, 1), (4.4, 3, 0), (-1.6, 3, 1), (-3, 3, 1), (-4.4, 3, 0)),
    *((7.2, 1, -6), (-7.2, 1, -6), (2.4, -4.7, 1.5), (-2.4, -4.7, 1.5)),
)
_LEFT_SIDE = (
    *((18, -23, -5), (22, -50, -4), (20, -72, 8), (19, -79, 10), (17, -79, 11), (16, -77, 10)),
    *((11, -76, -5), (12, -118, 5), (12, -160, 0), (12, -166, -4), (13, -168, 10)),
)
_BODY = np.array([*_HEAD, *((side * x, y, z) for x, y, z in _LEFT_SIDE for side in (1, -1))], np.float32)
_HEAD_POINTS = slice(0, len(_HEAD))
# Shoulder, elbow, wrist, little finger, index finger and thumb of each arm.
_LEFT_ARM, _RIGHT_ARM = range(11, 22, 2), range(12, 23, 2)
_ARM_POINTS_ON_HAND = [0, 17, 5, 2]  # the last four of an arm, as hand landmarks
_UPPER_ARM = 27.0


def move_body(
    hand_Tx21x3: np.ndarray, signer: Signer, rng: np.random.Generator, other_hand_Tx21x3: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Face (T, 468, 3) and body (T, 33, 3) of the owner of these hands. Head and trunk sway; the arms follow.

    Args:
      hand_Tx21x3: the hand that the signer prefers.
      other_hand_Tx21x3: the other one; its arm hangs down without.
    """
    num_frames = len(hand_Tx21x3)
    scale = np.float32(signer.body_scale)
    turned_Tx3x3 = kinematics.rotation_matrices(rng.normal(0, 4, 3) + wander(num_frames, 3, 4.0, rng))
    sway_Tx1x3 = wander(num_frames, 3, 0.7, rng).astype(np.float32)[:, None]
    mouth_opening_Tx1 = np.maximum(0, wander(num_frames, 1, 0.8, rng)).astype(np.float32)

    head_Nx3 = np.concatenate([_FACE, _BODY[_HEAD_POINTS]]) * scale
    head_TxNx3 = head_Nx3 @ turned_Tx3x3.transpose(0, 2, 1)
    face_Tx468x3 = head_TxNx3[:, :_NUM_FACE_POINTS]
    face_Tx468x3[..., 1] -= mouth_opening_Tx1 * _JAW
    face_Tx468x3 += sway_Tx1x3

    body_Tx33x3 = np.tile(_BODY * scale, (num_frames, 1, 1))
    body_Tx33x3[:, _HEAD_POINTS] = head_TxNx3[:, _NUM_FACE_POINTS:]
    # The head sways most.
    body_Tx33x3 += 0.6 * sway_Tx1x3
    body_Tx33x3[:, _HEAD_POINTS] += 0.4 * sway_Tx1x3

    _move_arm(body_Tx33x3, hand_Tx21x3, signer, left=signer.left_handed)
    if other_hand_Tx21x3 is not None:
        _move_arm(body_Tx33x3, other_hand_Tx21x3, signer, left=not signer.left_handed)
    return face_Tx468x3, body_Tx33x3


def _move_arm(body_Tx33x3: np.ndarray, hand_Tx21x3: np.ndarray, signer: Signer, *, left: bool) -> None:
    """Puts the wrist and elbow of `body_Tx33x3` where the hand needs them."""
    shoulder, elbow, *on_hand = _LEFT_ARM if left else _RIGHT_ARM
    shoulder_Tx3, wrist_Tx3 = body_Tx33x3[:, shoulder], hand_Tx21x3[:, 0]
    reach_Tx1 = np.linalg.norm(wrist_Tx3 - shoulder_Tx3, axis=1, keepdims=True)
    # Upper arm and forearm are equally long: the nearer the wrist, the further out the elbow. Never quite straight.
    bend_Tx1 = np.sqrt(np.maximum(9, (_UPPER_ARM * signer.body_scale) ** 2 - (reach_Tx1 / 2) ** 2))
    elbow_direction = np.array((0.35 if left else -0.35, -0.9, -0.25), np.float32)
    body_Tx33x3[:, elbow] = 0.5 * (shoulder_Tx3 + wrist_Tx3) + bend_Tx1 * elbow_direction
    body_Tx33x3[:, on_hand] = hand_Tx21x3[:, _ARM_POINTS_ON_HAND]
