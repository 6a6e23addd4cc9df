"""Who spells: people who differ in body, habits and framing."""

import dataclasses
import math

import numpy as np

from pipeline.synthesis import kinematics, random_streams
from pipeline.synthesis.random_streams import Stream
from pipeline.tasks.fingerspelling import CHARACTERS

_ASPECT_RATIOS = (9 / 16, 3 / 4, 9 / 19.5)  # phones held upright


@dataclasses.dataclass(frozen=True)
class Signer:
    """One person before one phone. Centimetres, degrees and frames; places are a right-handed signer's."""

    left_handed: bool
    hand_bones: np.ndarray  # (5, 3), as `kinematics.BONES`
    hand_palm: np.ndarray  # (5, 3), as `kinematics.PALM`
    body_scale: float  # 1: average
    hand_tilt: np.ndarray  # (3,): added to every orientation
    posture_style: np.ndarray  # (59, A): added to every posture of a character
    shakes_lookalikes: bool  # shakes the numbers that share a handshape with a letter
    slides_doubles: bool  # doubled characters slide; otherwise they bounce
    frames_per_character: float
    duration_spread: float  # of a character, as a standard deviation of its logarithm
    coarticulation: tuple[float, float]  # share by which a posture leans to the one before and to the one after
    smoothing: float  # standard deviation of the filter over all angles and places, frames
    wrist_place: np.ndarray  # (3,) while spelling, from the middle of the face
    drift_per_character: float  # away from the body
    hand_loss: float  # share of the frames in which the tracker loses the hand
    aspect_ratio: float  # width of the image by its height
    image_width: float  # centimetres at the body
    face_in_image: tuple[float, float]  # fractions of width and height, from the top left


def make_signers(count: int, seed: int) -> list[Signer]:
    """`count` signers. Every tenth is left-handed, the first of them drawn at random."""
    first_left_handed = random_streams.generator(seed, Stream.PLAN, 1).integers(min(10, count))
    return [_make_signer(number, seed, left_handed=number % 10 == first_left_handed) for number in range(count)]


def _make_signer(number: int, seed: int, *, left_handed: bool) -> Signer:
    rng = random_streams.generator(seed, Stream.SIGNER, number)
    size = rng.normal(1, 0.07)
    finger_proportions = rng.normal(1, 0.04, (5, 1))
    posture_style = rng.normal(0, 7, (len(CHARACTERS), kinematics.NUM_ANGLES))
    posture_style[:, kinematics.SPREADS] *= 0.4  # fingers have little room to spread differently
    aspect_ratio = float(rng.choice(_ASPECT_RATIOS, p=(0.55, 0.3, 0.15)))
    image_width = float(rng.uniform(50, 72))
    return Signer(
        left_handed=bool(left_handed),
        hand_bones=(kinematics.BONES * size * finger_proportions * rng.normal(1, 0.03, (5, 3))).astype(np.float32),
        hand_palm=(kinematics.PALM * size * rng.normal(1, 0.03, (5, 3))).astype(np.float32),
        body_scale=size * rng.normal(1, 0.04),
        hand_tilt=rng.normal((4, 0, 0), (7, 9, 7)),
        posture_style=posture_style,
        shakes_lookalikes=bool(rng.random() < 0.6),
        slides_doubles=bool(rng.random() < 0.6),
        frames_per_character=5.3 * math.exp(rng.normal(0, 0.28)),
        duration_spread=rng.uniform(0.25, 0.45),
        coarticulation=(rng.uniform(0.02, 0.08), rng.uniform(0.04, 0.12)),
        smoothing=rng.uniform(0.5, 1.0),
        # Near enough to the middle to stay in the image, most of the time.
        wrist_place=rng.normal((-0.17 * image_width, -25, 20), (2, 3, 4)),
        drift_per_character=rng.uniform(0, 0.25),
        hand_loss=min(0.5, 0.22 * math.exp(rng.normal(0, 0.4))),
        aspect_ratio=aspect_ratio,
        image_width=image_width,
        face_in_image=(float(rng.normal(0.5, 0.04)), float(rng.normal(0.37, 0.06))),
    )
