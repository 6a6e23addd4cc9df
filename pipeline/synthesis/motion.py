"""How a hand moves: from a phrase, through key postures held and left, to angles in every frame.

Everything here is a right hand's; the tracker mirrors it where it is a left one.
"""

import dataclasses
import math

import numpy as np

from pipeline.synthesis import handshapes, kinematics
from pipeline.synthesis.signers import Signer
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX

RELAXED = handshapes.SIGNS[" "].postures[0]
# From where the hand spells to where it rests, out of view.
TO_REST = np.array((2.0, -38.0, 0.0))

_WANDER_PERIOD = 12  # frames between the turning points of slow random motion


@dataclasses.dataclass(frozen=True)
class HandMotion:
    """What a hand does, whether or not a tracker finds it."""

    angles: np.ndarray  # (T, A) degrees
    places: np.ndarray  # (T, 3) of the wrist, centimetres from the middle of the face
    in_view: np.ndarray  # (T,) bool
    first_frame: int  # of what is spelled or signed
    last_frame: int


def spell(phrase: str, signer: Signer, rng: np.random.Generator) -> HandMotion:
    """The hand comes up, spells `phrase`, and leaves."""
    postures_KxA, places_Kx3, durations_K = _key_postures(phrase, signer, rng)
    starts_K, ends_K = _schedule(postures_KxA, durations_K, rng)
    before, after = signer.coarticulation
    leaning_KxA = postures_KxA.copy()
    previous, own, following = postures_KxA[:-2], postures_KxA[1:-1], postures_KxA[2:]
    leaning_KxA[1:-1] += before * (previous - own) + after * (following - own)
    return animate(leaning_KxA, places_Kx3, starts_K, ends_K, signer.wrist_place, signer, rng)


def animate(
    postures_KxA: np.ndarray,
    places_Kx3: np.ndarray,
    starts_K: np.ndarray,
    ends_K: np.ndarray,
    offset: np.ndarray,
    signer: Signer,
    rng: np.random.Generator,
) -> HandMotion:
    """The hand goes from key posture to key posture as people do: not quite exactly, and never quite still.

    The first and the last key posture are the hand at rest.

    Args:
      starts_K, ends_K: when the hand reaches each key posture and when it leaves it, frames, not whole ones.
      offset: (3,) or (T, 3), `count_frames(ends_K)` frames: added to the places.
    """
    num_frames = count_frames(ends_K)
    time_T = np.arange(num_frames)
    # Each finger, the thumb, the orientation and the place lead or lag by about half a frame.
    leads = rng.normal(0, 0.5, 7)
    angle_leads_A = np.repeat(leads[:6], (4, 4, 4, 4, 4, 3))
    angles_TxA = _follow(postures_KxA, starts_K, ends_K, time_T[:, None] + angle_leads_A)
    places_Tx3 = _follow(places_Kx3, starts_K, ends_K, time_T[:, None] + leads[[6, 6, 6]])
    angles_TxA += wander(num_frames, kinematics.NUM_ANGLES, 2.0, rng)
    angles_TxA[:, kinematics.ORIENTATION] += signer.hand_tilt
    places_Tx3 += offset + wander(num_frames, 3, 0.8, rng)
    # In view for the upper half of the ways up and down.
    appears, disappears = (ends_K[0] + starts_K[1]) / 2, (ends_K[-2] + starts_K[-1]) / 2
    return HandMotion(
        angles=np.clip(_smooth(angles_TxA, signer.smoothing), kinematics.LIMITS[:, 0], kinematics.LIMITS[:, 1]),
        places=_smooth(places_Tx3, signer.smoothing),
        in_view=(appears < time_T) & (time_T < disappears),
        first_frame=int(starts_K[1]),
        last_frame=int(ends_K[-2]),
    )


def count_frames(ends_K: np.ndarray) -> int:
    """Of a motion whose key postures are left at these times."""
    return max(2, math.ceil(ends_K[-1]))


def touch_by_accident(signer: Signer, rng: np.random.Generator) -> HandMotion:
    """A few frames in which an idle hand may or may not be in view, and nothing is spelled."""
    num_frames = 2 + int(rng.geometric(1 / 8))
    posture = RELAXED + rng.normal(0, 7, kinematics.NUM_ANGLES)
    angles_TxA = posture + wander(num_frames, kinematics.NUM_ANGLES, 3.0, rng)
    places_Tx3 = signer.wrist_place + rng.uniform(0, 0.6) * TO_REST + wander(num_frames, 3, 3.0, rng)
    in_view_T = np.full(num_frames, rng.random() < 0.5)
    return HandMotion(angles_TxA, places_Tx3, in_view_T, first_frame=0, last_frame=num_frames)


def wander(num_frames: int, channels: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Slow random motion (T, C), of standard deviation `size` at its turning points."""
    turning_points_KxC = rng.normal(0, size, (num_frames // _WANDER_PERIOD + 2, channels))
    return _interpolate(turning_points_KxC, np.arange(num_frames)[:, None] / _WANDER_PERIOD)


def _key_postures(phrase: str, signer: Signer, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Postures (K, A) from rest to rest, places (K, 3) from where the signer spells, durations (K,) with the way there.

    The durations of the two rests are zero.
    """
    postures, places, durations = [RELAXED], [TO_REST], [0.0]
    hand_scale = signer.hand_palm[2, 1] / kinematics.PALM[2, 1]
    frames_per_character = signer.frames_per_character * math.exp(rng.normal(0, 0.33))
    for position, character in enumerate(phrase):
        sign = handshapes.SIGNS[character]
        if signer.shakes_lookalikes and character in handshapes.SHAKEN_NUMBERS:
            sign = handshapes.SHAKEN_NUMBERS[character]
        style = signer.posture_style[CHARACTER_TO_INDEX[character]]
        own_postures = sign.postures + (style + rng.normal(0, 4, kinematics.NUM_ANGLES))
        place = np.array((-signer.drift_per_character * position, 0.0, 0.0))
        if character == " ":
            place[0] -= 3
        duration = frames_per_character * sign.duration * math.exp(rng.normal(0, signer.duration_spread))
        duration *= 1.3 if position == 0 else 1.5 if position == len(phrase) - 1 else 1
        if position and character == phrase[position - 1]:
            if signer.slides_doubles:
                place[0] -= rng.normal(4, 0.8)
            else:
                # The bounce: the hand goes back and comes again.
                postures.append(own_postures[0])
                places.append(place + rng.normal((0, 2, -2.5), 0.5))
                durations.append(0.5 * duration)
        num_keys = len(sign.postures)
        postures += list(own_postures)
        places += list(sign.places * hand_scale + place)
        durations += [duration / num_keys] * num_keys
    postures.append(RELAXED)
    places.append(places[-1] + TO_REST)
    durations.append(0.0)
    return np.array(postures), np.array(places), np.array(durations)


def _schedule(
    postures_KxA: np.ndarray, durations_K: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """When the hand reaches each key posture and when it leaves it, (K,) frames each, not whole ones."""
    # Far postures take more of a character's time to go to.
    distance = np.abs(np.diff(postures_KxA, axis=0)).mean(axis=1)
    travel_share = np.clip(0.3 + 0.3 * distance / max(distance.mean(), 1e-6), 0.33, 0.67)
    travel = travel_share * durations_K[1:]
    travel[[0, -1]] = rng.uniform(4, 9, 2)  # the whole arm goes up and down
    held = durations_K * (1 - np.append(0, travel_share))
    held[[0, -1]] = rng.gamma(1.5, 14, 2)  # the frames without a hand, before and after
    ends = np.cumsum(held + np.append(0, travel))
    return ends - held, ends


def _follow(keys_KxC: np.ndarray, starts_K: np.ndarray, ends_K: np.ndarray, time_TxC: np.ndarray) -> np.ndarray:
    """Channels (T, C) that rest at each key from its start to its end, and go smoothly to the next in between."""
    times = np.stack([starts_K, ends_K], axis=1).ravel()
    return _interpolate(keys_KxC, np.interp(time_TxC, times, np.repeat(np.arange(len(starts_K)), 2)))


def _interpolate(keys_KxC: np.ndarray, phase_TxC: np.ndarray) -> np.ndarray:
    """Channels (T, C) at fractional positions between keys, without speed at a key. `phase_TxC` may be (T, 1)."""
    key = np.minimum(phase_TxC.astype(int), len(keys_KxC) - 2)
    part = phase_TxC - key
    part = part * part * (3 - 2 * part)
    channel = np.arange(keys_KxC.shape[1])
    return (1 - part) * keys_KxC[key, channel] + part * keys_KxC[key + 1, channel]


def _smooth(signal_TxC: np.ndarray, deviation: float) -> np.ndarray:
    """`signal_TxC` through a Gaussian filter of 7 frames."""
    weights = np.exp(-0.5 * (np.arange(-3, 4) / deviation) ** 2)
    padded = np.pad(signal_TxC, ((3, 3), (0, 0)), mode="edge")
    return sum(weight * padded[i : i + len(signal_TxC)] for i, weight in enumerate(weights / weights.sum()))
