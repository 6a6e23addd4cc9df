"""How an invented sign is made: from the sign and the signer to both hands in every frame.

Everything here is a right-handed signer's; the tracker mirrors it for left-handed ones.
"""

import dataclasses
import math

import numpy as np

from pipeline.synthesis import handshapes, kinematics, random_streams, signs
from pipeline.synthesis.motion import RELAXED, TO_REST, HandMotion, animate, count_frames
from pipeline.synthesis.random_streams import Stream
from pipeline.synthesis.signers import Signer
from pipeline.synthesis.signs import Sign
from pipeline.tasks.fingerspelling import CHARACTER_TO_INDEX

_CHARACTERS_PER_SIGN = 2.8  # a straight movement takes as long as to spell so many
_MOST_FRAMES_WITHOUT_HAND = 20  # before the sign, and as many after it
_STILL_SHAPE, _STILL_PLACE = "b", np.array((-6.0, -34.0, 16.0))  # of the other hand


@dataclasses.dataclass(frozen=True)
class SigningStyle:
    """What a signer does in an own way, beside what they do so when they spell."""

    places: dict[str, np.ndarray]  # (3,) away from each place, centimetres
    amplitude: float  # of movements; 1: average
    leaves_out_hand: float  # share of two-handed signs that are made with one hand


def make_style(number: int, seed: int) -> SigningStyle:
    """The style of the signer of this number."""
    rng = random_streams.generator(seed, Stream.SIGNING_STYLE, number)
    everywhere = rng.normal(0, 1.5, 3)
    return SigningStyle(
        places={place: everywhere + rng.normal(0, 1.5, 3) for place in signs.PLACES},
        amplitude=math.exp(rng.normal(0, 0.2)),
        leaves_out_hand=rng.uniform(0, 0.15),
    )


def sign(
    what: Sign, signer: Signer, style: SigningStyle, rng: np.random.Generator
) -> tuple[HandMotion, HandMotion | None]:
    """The hand that the signer prefers comes up, makes the sign and leaves; with it the other one, if it has a part."""
    starts_K, ends_K = _schedule(what, signer, rng)
    time_T = np.arange(count_frames(ends_K))
    done_T = np.interp(time_T, (ends_K[1], starts_K[2]), (0, 1))
    done_T = done_T * done_T * (3 - 2 * done_T)
    size = signs.MOVEMENT_SIZE * style.amplitude * math.exp(rng.normal(0, 0.15))
    moved_Tx3 = np.pad(size * signs.MOVEMENTS[what.movement].path(done_T), ((0, 0), (0, 1)))

    one_hand = what.hands == signs.ONE_HAND or rng.random() < style.leaves_out_hand
    place = signs.PLACES[what.place] + style.places[what.place] + rng.normal(0, 1.0, 3)
    if what.hands != signs.ONE_HAND:
        place[0] = min(place[0], signs.NEARER_THAN_TWO_HANDS)

    def hand(shapes: tuple[str, str], place: np.ndarray, moved_Tx3: np.ndarray) -> HandMotion:
        rest = signer.wrist_place + TO_REST
        postures_KxA = np.array([RELAXED, *(_posture(shape, signer, rng) for shape in shapes), RELAXED])
        places_Kx3 = np.array([rest, place, place, rest])
        return animate(postures_KxA, places_Kx3, starts_K, ends_K, moved_Tx3, signer, rng)

    preferred = hand(what.shapes, place, moved_Tx3)
    if one_hand:
        return preferred, None
    if what.hands == signs.MIRRORED:
        return preferred, hand(what.shapes, place + rng.normal(0, 1.0, 3), moved_Tx3)
    still_at = _STILL_PLACE + style.places["chest"] + rng.normal(0, 1.0, 3)
    return preferred, hand((_STILL_SHAPE, _STILL_SHAPE), still_at, np.zeros_like(moved_Tx3))


def _posture(shape: str, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """The joint angles (A,) of a handshape as the signer makes it this time."""
    style = signer.posture_style[CHARACTER_TO_INDEX[shape]]
    return handshapes.SIGNS[shape].postures[0] + style + rng.normal(0, 4, kinematics.NUM_ANGLES)


def _schedule(what: Sign, signer: Signer, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """When the hands reach and leave rest, the sign's beginning, its end, and rest again: (4,) frames each."""
    pace = signer.frames_per_character * math.exp(rng.normal(0, 0.2))
    without_hand = np.minimum(1 + rng.gamma(1.5, 3, 2), _MOST_FRAMES_WITHOUT_HAND)
    held = pace * rng.uniform(0.2, 0.6, 2)
    moving = signs.MOVEMENTS[what.movement].duration * math.exp(rng.normal(0, 0.15))
    moving *= _CHARACTERS_PER_SIGN * pace
    up, down = np.clip(pace, 4, 8) * rng.uniform(1, 1.6, 2)
    times = np.cumsum([0, without_hand[0], up, held[0], moving, held[1], down, without_hand[1]])
    return times[0::2], times[1::2]
