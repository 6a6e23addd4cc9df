"""What shard reports and manifests tell of the sequences of a data set."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from pipeline.sequences import Sequence, frames_without_hands
from pipeline.splits import SPLITS

_PERCENTILES = (1, 5, 50, 95, 99)
# What is told of lengths.
SPREAD = ("mean", "min", *(f"p{percent}" for percent in _PERCENTILES), "max")


@dataclasses.dataclass(frozen=True)
class Written:
    """A sequence that was written; `frames_without_hands` are those in which neither hand is seen."""

    sequence_id: int
    split: str
    participant_id: int
    source: str
    label: str
    num_frames: int
    frames_without_hands: int

    @classmethod
    def of(cls, sequence: Sequence, split: str) -> Self:
        return cls(
            sequence.sequence_id,
            split,
            sequence.participant_id,
            sequence.source,
            sequence.label,
            sequence.num_frames,
            frames_without_hands(sequence.landmarks),
        )


def by_split(written: Iterable[Written]) -> dict[str, dict[str, Any]]:
    """Of each split: how many sequences there are, whose, from which sources, and how long they are."""
    return {split: _summary(group) for split, group in _grouped(written).items()}


def _grouped(written: Iterable[Written]) -> dict[str, list[Written]]:
    """What is in each split."""
    groups: dict[str, list[Written]] = {split: [] for split in SPLITS}
    for each in written:
        groups[each.split].append(each)
    return groups


def _summary(group: list[Written]) -> dict[str, Any]:
    signers = collections.Counter(each.participant_id for each in group)
    num_frames = sum(each.num_frames for each in group)
    return {
        "sequences": len(group),
        "participants": sorted(signers),
        "sequences_of_participant": {str(who): signers[who] for who in sorted(signers)},
        "sequences_of_source": dict(sorted(collections.Counter(each.source for each in group).items())),
        "frames": num_frames,
        "frames_without_hands": sum(each.frames_without_hands for each in group),
        "frames_per_sequence": _spread([each.num_frames for each in group]),
        "characters_per_sequence": _spread([len(each.label) for each in group]),
    }


def _spread(values: list[int]) -> dict[str, float]:
    """Mean, extremes and percentiles; nothing of nothing."""
    if not values:
        return {}
    percentiles = [round(value, 1) for value in np.percentile(values, _PERCENTILES).tolist()]
    found = (round(float(np.mean(values)), 2), min(values), *percentiles, max(values))
    return dict(zip(SPREAD, found, strict=True))


def overlap(written: Iterable[Written]) -> dict[str, dict[str, int]]:
    """What two splits share, by their names with a slash: signers, sequences and phrases.

    Of the phrases also how many sequences of the second split have one that the first has: what a model may know by
    heart.
    """
    groups = _grouped(written)
    return {
        f"{first}/{second}": _shared(groups[first], groups[second])
        for first, second in itertools.combinations(SPLITS, 2)
        if groups[first] and groups[second]
    }


def _shared(first: list[Written], second: list[Written]) -> dict[str, int]:
    phrases = {each.label for each in first}
    return {
        "participants": len({each.participant_id for each in first} & {each.participant_id for each in second}),
        "sequences": len({each.sequence_id for each in first} & {each.sequence_id for each in second}),
        "phrases": len(phrases & {each.label for each in second}),
        "sequences_with_shared_phrase": sum(each.label in phrases for each in second),
    }
