"""A small forward-kinematic hand: joint angles to the 21 MediaPipe hand landmarks in three dimensions.

The palm's own frame is that of a right hand held up with its palm towards the camera: x points to the thumb's side, y
up along the fingers, z out of the palm, towards the camera. The wrist is the origin. Lengths are in centimetres, angles
in degrees. A left hand is a right hand with x negated.

A posture is a vector of `NUM_ANGLES` angles (the slices below):

- each finger (index, middle, ring, little): flexion of the knuckle (MCP), of the middle joint (PIP) and of the end
  joint (DIP), and its spread towards the thumb's side;
- the thumb: radial abduction (in the palm's plane, away from the index finger), palmar abduction (out of that plane),
  flexion of its two outer joints (MCP, IP);
- the palm's orientation: pitch (fingers tilt towards the camera), yaw (positive: a right palm turns from the camera
  over the signer's left to the signer), roll (in the image; positive: counter-clockwise as the camera sees it), applied
  as yaw, then pitch, then roll.

The landmarks are MediaPipe's: 0 the wrist, 1-4 the thumb from its base to its tip, then four for each finger. In shape
suffixes T is any number of postures.
"""

import numpy as np

FINGERS = ("index", "middle", "ring", "little")
FINGER_ANGLES = slice(0, 16)
SPREADS = slice(3, 16, 4)
THUMB = slice(16, 20)
ORIENTATION = slice(20, 23)
NUM_ANGLES = 23

# What a human hand can do, and what a spelling arm does.
_FINGER_LIMITS = ((-20, 95), (0, 115), (-5, 85), (-25, 25))
_THUMB_LIMITS = ((-25, 75), (-5, 75), (-10, 60), (-15, 80))
_ORIENTATION_LIMITS = ((-60, 175), (-60, 200), (-130, 90))
LIMITS = np.array([*(_FINGER_LIMITS * 4), *_THUMB_LIMITS, *_ORIENTATION_LIMITS], np.float32)

# The thumb's flexion axis is turned out of the palm's normal, so that the thumb bends towards the fingertips.
_THUMB_TWIST = np.deg2rad(50.0)

# An adult's hand. The palm is rigid: the places of the thumb's base and the knuckles.
PALM = np.array([(2.1, 2.1, 0.6), (2.5, 9.0, 0.0), (0.5, 9.4, 0.1), (-1.3, 8.8, 0.0), (-2.9, 7.8, -0.3)], np.float32)
# Metacarpal and two phalanges of the thumb; three phalanges of each finger.
BONES = np.array([(4.4, 3.3, 2.7), (4.4, 2.6, 2.1), (4.9, 3.0, 2.2), (4.5, 2.8, 2.2), (3.5, 2.0, 1.9)], np.float32)

_REACH_STEPS = 60  # no angle of `handshapes` changes after 45


def forward(angles_TxA: np.ndarray, bones: np.ndarray = BONES, palm: np.ndarray = PALM) -> np.ndarray:
    """Landmarks (T, 21, 3) in centimetres from the wrist, of postures (T, `NUM_ANGLES`) in degrees.

    Args:
      angles_TxA: postures; taken as they are, see `LIMITS`.
      bones: (5, 3), thumb first: lengths of the bones beyond the palm.
      palm: (5, 3), thumb first: where the thumb's base and the knuckles are.
    """
    points = np.zeros((len(angles_TxA), 21, 3), np.float32)
    points[:, 1] = palm[0]
    points[:, 5::4] = palm[1:]
    points[:, 2:5] = palm[0] + np.cumsum(_thumb_directions(angles_TxA) * bones[0][:, None], axis=1)
    for finger in range(4):
        directions = _finger_directions(angles_TxA[:, 4 * finger : 4 * finger + 4])
        first = 6 + 4 * finger
        points[:, first : first + 3] = palm[1 + finger] + np.cumsum(directions * bones[1 + finger][:, None], axis=1)
    return points @ rotation_matrices(angles_TxA[:, ORIENTATION]).transpose(0, 2, 1)


def rotation_matrices(orientation_Tx3: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) of pitch, yaw and roll in degrees."""
    (px, yx, rx), (py, yy, ry) = np.cos(np.deg2rad(orientation_Tx3.T)), np.sin(np.deg2rad(orientation_Tx3.T))
    zero, one = np.zeros_like(px), np.ones_like(px)
    pitch = np.array([[one, zero, zero], [zero, px, -py], [zero, py, px]])
    yaw = np.array([[yx, zero, yy], [zero, one, zero], [-yy, zero, yx]])
    roll = np.array([[rx, -ry, zero], [ry, rx, zero], [zero, zero, one]])
    return np.einsum("ijt,jkt,klt->til", roll, pitch, yaw).astype(np.float32)


def _finger_directions(angles_Tx4: np.ndarray) -> np.ndarray:
    """Unit vectors (T, 3, 3) along a finger's three phalanges."""
    flexion_Tx3 = np.deg2rad(np.cumsum(angles_Tx4[:, :3], axis=1))
    spread_Tx1 = np.deg2rad(angles_Tx4[:, 3:])
    return np.stack(
        [np.sin(spread_Tx1) * np.cos(flexion_Tx3), np.cos(spread_Tx1) * np.cos(flexion_Tx3), np.sin(flexion_Tx3)],
        axis=-1,
    )


def _thumb_directions(angles_TxA: np.ndarray) -> np.ndarray:
    """Unit vectors (T, 3, 3) along the thumb's metacarpal and two phalanges."""
    radial, palmar, knuckle, end = np.deg2rad(angles_TxA[:, THUMB].T)
    along = np.stack([np.sin(radial) * np.cos(palmar), np.cos(radial) * np.cos(palmar), np.sin(palmar)], axis=-1)
    # The side the thumb bends away from: x turned by the twist about the metacarpal, then by both abductions.
    x, lifted, z = np.cos(_THUMB_TWIST), np.sin(_THUMB_TWIST) * np.sin(palmar), -np.sin(_THUMB_TWIST) * np.cos(palmar)
    outer = np.stack(
        [x * np.cos(radial) + lifted * np.sin(radial), lifted * np.cos(radial) - x * np.sin(radial), z], axis=-1
    )
    flexion_Tx3 = np.stack([np.zeros_like(knuckle), knuckle, knuckle + end], axis=-1)[..., None]
    return np.cos(flexion_Tx3) * along[:, None] - np.sin(flexion_Tx3) * outer[:, None]


def reach(angles_TxA: np.ndarray, targets_Tx3: np.ndarray) -> np.ndarray:
    """The postures with the thumbs changed so that their tips come as near as they can to `targets_Tx3`.

    Targets are in the palm's frame of the average hand: the orientation plays no part. Damped least squares within
    `LIMITS`, started from and held weakly to the thumbs given, which choose among the thumbs that reach.
    """
    palm_frame = np.array(angles_TxA, np.float64)
    palm_frame[:, ORIENTATION] = 0
    preferred = palm_frame[:, THUMB].copy()

    def miss(thumb_Tx4: np.ndarray) -> np.ndarray:
        palm_frame[:, THUMB] = thumb_Tx4
        tips = PALM[0] + (_thumb_directions(palm_frame) * BONES[0][:, None]).sum(axis=1)
        return np.concatenate([tips - targets_Tx3, 0.01 * (thumb_Tx4 - preferred)], axis=1)

    thumb = preferred.copy()
    for _ in range(_REACH_STEPS):
        error = miss(thumb)
        jacobian = np.stack([miss(thumb + step) - error for step in np.eye(4)], axis=-1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian + 1e-4 * np.eye(4)
        step = np.linalg.solve(normal, jacobian.transpose(0, 2, 1) @ error[..., None])[..., 0]
        thumb = np.clip(thumb - np.clip(step, -15, 15), LIMITS[THUMB, 0], LIMITS[THUMB, 1])
    reached = np.array(angles_TxA, np.float32)
    reached[:, THUMB] = thumb
    return reached
