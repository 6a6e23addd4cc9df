"""Which clips a dataset holds, which of them are spoiled, and the landmarks of each."""

import dataclasses

import numpy as np

from pipeline.synthesis import motion, phrases, random_streams, tracker
from pipeline.synthesis.random_streams import Stream
from pipeline.synthesis.signers import Signer

SPOILED_KINDS = ("accidental_tap", "truncated", "wrong_phrase")

_FIRST_FILE_ID = 7_000_000


@dataclasses.dataclass(frozen=True)
class PlannedClip:
    """One clip before it is made: what its metadata will say, and what is wrong with it."""

    index: int
    sequence_id: int
    signer: int  # index of the signer
    file_id: int
    phrase: str  # in the metadata; what is spelled is `phrases.make_phrase(index, seed)`
    spoiled: str  # one of `SPOILED_KINDS`, or empty


def plan_clips(*, clips: int, signers: int, files: int, spoiled_share: float, seed: int) -> list[PlannedClip]:
    """All clips, in the order in which they are written. Only `file_id` depends on `files`."""
    rng = random_streams.generator(seed, Stream.PLAN)
    spoiled_indices = rng.permutation(clips)[: round(clips * spoiled_share)]
    kinds = {int(index): SPOILED_KINDS[order % 3] for order, index in enumerate(spoiled_indices)}
    planned = []
    for index in range(clips):
        phrase = phrases.make_phrase(index, seed)
        if kinds.get(index) == "wrong_phrase":
            others = (phrases.make_phrase(int(other), seed) for other in rng.integers(0, clips, 50))
            phrase = next((other for other in others if other != phrase), phrase[::-1] + "x")[: phrases.MAX_LENGTH]
        planned.append(
            PlannedClip(
                index=index,
                # An odd factor: every index gives another id, in no order.
                sequence_id=(index * 1_103_515_245 + 12_345) % (1 << 31),
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
