"""Which signer trains, validates and tests: a signer is in one split only."""

import collections
import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Any

from pipeline.commands import UserError

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
_SALT = "fingerspelling split"


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """Explicit lists of signers or, for a split without a list, a share of all signers taken by a stable hash.

    A list takes the place of its split's share. Whoever is in neither other split trains.
    """

    validation_participants: tuple[int, ...] = ()
    test_participants: tuple[int, ...] = ()
    validation_share: float = 0.0
    test_share: float = 0.1

    def assign(self, participants: Iterable[int]) -> dict[int, str]:
        """The split of each participant.

        Raises:
          UserError: a listed participant does not exist or is listed twice; a share outside [0, 1); nobody is left to
            train on.
        """
        everyone = sorted(set(participants))
        listed = self._listed(everyone)
        remaining = sorted(everyone, key=_stable_order)
        remaining = [participant for participant in remaining if participant not in listed]
        assigned = dict(listed)
        for split, explicit, share in (
            (TEST, self.test_participants, self.test_share),
            (VALIDATION, self.validation_participants, self.validation_share),
        ):
            if not 0 <= share < 1:
                raise UserError(f"the {split} share is {share}, expected at least 0 and less than 1")
            # The small amount: 0.07 * 100 is a little more than 7 in floating point.
            size = 0 if explicit else math.ceil(share * len(everyone) - 1e-9)
            assigned |= dict.fromkeys(remaining[:size], split)
            remaining = remaining[size:]
        if not remaining:
            raise UserError(
                f"no signer is left to train on: of {len(everyone)}, all are in validation or test; "
                "list fewer, or lower --validation-share or --test-share"
            )
        return {participant: assigned.get(participant, TRAIN) for participant in everyone}

    def as_json(self) -> dict[str, Any]:
        return {
            "validation_participants": sorted(self.validation_participants),
            "test_participants": sorted(self.test_participants),
            "validation_share": self.validation_share,
            "test_share": self.test_share,
        }

    def _listed(self, everyone: list[int]) -> dict[int, str]:
        counts = collections.Counter((*self.validation_participants, *self.test_participants))
        unknown = sorted(counts.keys() - set(everyone))
        if unknown:
            raise UserError(f"no participant {unknown[0]} in the data, which has {_some(everyone)}")
        twice = sorted(participant for participant, count in counts.items() if count > 1)
        if twice:
            raise UserError(f"participant {twice[0]} is listed twice: a signer is in one split, once")
        return dict.fromkeys(self.validation_participants, VALIDATION) | dict.fromkeys(self.test_participants, TEST)


def _stable_order(participant: int) -> tuple[str, int]:
    return hashlib.sha256(f"{_SALT} {participant}".encode()).hexdigest(), participant


def _some(participants: list[int]) -> str:
    text = ", ".join(map(str, participants[:12]))
    return f"{text}, ..." if len(participants) > 12 else text
