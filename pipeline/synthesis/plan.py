"""Which clips a dataset holds, which of them are spoiled, and the landmarks of each: of phrases, and of signs."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from pipeline.synthesis import motion, phrases, random_streams, signing, tracker
from pipeline.synthesis.random_streams import Stream
from pipeline.synthesis.signers import Signer
from pipeline.synthesis.signing import SigningStyle
from pipeline.synthesis.signs import Sign

SPOILED_KINDS = ("accidental_tap", "truncated", "wrong_phrase")
SPOILED_SIGNS = ("accidental_tap", "truncated", "wrong_sign")

_FIRST_FILE_ID = 7_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One clip before it is made: what its metadata will say, and what is wrong with it."""

    index: int
    sequence_id: int
    signer: int  # index of the signer
    spoiled: str  # one of the kinds, or empty


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedClip(Planned):
    """One phrase."""

    file_id: int
    phrase: str  # in the metadata; what is spelled is `phrases.make_phrase(index, seed)`


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedSign(Planned):
    """One sign."""

    sign: int  # index of the one that is made
    label: int  # of the one in the metadata
    first_frame: int  # the number that the file gives to its first frame


def plan_clips(*, clips: int, signers: int, files: int, spoiled_share: float, seed: int) -> list[PlannedClip]:
    """All clips, in the order in which they are written. Only `file_id` depends on `files`."""
    rng = random_streams.generator(seed, Stream.PLAN)
    kinds = spoil(clips, spoiled_share, SPOILED_KINDS, rng)
    planned = []
    for index in range(clips):
        phrase = phrases.make_phrase(index, seed)
        if kinds.get(index) == "wrong_phrase":
            others = (phrases.make_phrase(int(other), seed) for other in rng.integers(0, clips, 50))
            phrase = next((other for other in others if other != phrase), phrase[::-1] + "x")[: phrases.MAX_LENGTH]
        planned.append(
            PlannedClip(
                index=index,
                sequence_id=_sequence_id(index),
                signer=index % signers,
                file_id=_FIRST_FILE_ID + index * files // clips,
                phrase=phrase,
                spoiled=kinds.get(index, ""),
            )
        )
    return planned


def make_landmarks(planned: PlannedClip, signer: Signer, seed: int) -> np.ndarray:
    """The recording of one clip, as `tracker.record` gives it."""
    rng = random_streams.generator(seed, Stream.MOTION, planned.index)
    if planned.spoiled == "accidental_tap":
        return tracker.record(motion.touch_by_accident(signer, rng), signer, rng)
    hand_motion = motion.spell(phrases.make_phrase(planned.index, seed), signer, rng)
    landmarks = tracker.record(hand_motion, signer, rng)
    if planned.spoiled == "truncated":
        spelled = hand_motion.last_frame - hand_motion.first_frame
        landmarks = landmarks[: max(1, hand_motion.first_frame + int(rng.uniform(0.05, 0.33) * spelled))]
    return landmarks


def plan_signs(*, clips: int, signers: int, signs: int, spoiled_share: float, seed: int) -> list[PlannedSign]:
    """All clips, in the order in which they are written. Signers and signs have as many clips as one another."""
    rng = random_streams.generator(seed, Stream.PLAN)
    kinds = spoil(clips, spoiled_share, SPOILED_SIGNS, rng)
    first_frames = rng.integers(0, 200, clips)
    planned = []
    for index in range(clips):
        # Counted side by side, signers and signs meet again after their least common multiple: one sign further then.
        sign = (index + index // math.lcm(signers, signs)) % signs
        wrong = int(rng.integers(1, signs)) if kinds.get(index) == "wrong_sign" else 0
        planned.append(
            PlannedSign(
                index=index,
                sequence_id=_sequence_id(index),
                signer=index % signers,
                sign=sign,
                label=(sign + wrong) % signs,
                first_frame=int(first_frames[index]),
                spoiled=kinds.get(index, ""),
            )
        )
    return planned


def make_sign_landmarks(
    planned: PlannedSign, signs: Sequence[Sign], signer: Signer, style: SigningStyle, seed: int
) -> np.ndarray:
    """The recording of one clip, as `tracker.record` gives it."""
    rng = random_streams.generator(seed, Stream.MOTION, planned.index)
    if planned.spoiled == "accidental_tap":
        return tracker.record(motion.touch_by_accident(signer, rng), signer, rng)
    preferred, other = signing.sign(signs[planned.sign], signer, style, rng)
    landmarks = tracker.record(preferred, signer, rng, other)
    if planned.spoiled == "truncated":
        appears = int(np.argmax(preferred.in_view))
        landmarks = landmarks[: appears + max(1, int(rng.uniform(0.3, 1) * (preferred.first_frame - appears)))]
    return landmarks


def spoil(clips: int, share: float, kinds: Sequence[str], rng: np.random.Generator) -> dict[int, str]:
    """The kind of each clip that is spoiled, by its index; of each kind as many."""
    indices = rng.permutation(clips)[: round(clips * share)]
    return {int(index): kinds[order % len(kinds)] for order, index in enumerate(indices)}


def _sequence_id(index: int) -> int:
    """An odd factor: every index gives another id, in no order."""
    return (index * 1_103_515_245 + 12_345) % (1 << 31)
