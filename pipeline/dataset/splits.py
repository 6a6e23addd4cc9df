"""Which clips are used, and which of them train, validate and test."""

import collections
import dataclasses
import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.common.errors import UserError
from pipeline.dataset.metadata import Entry

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
_KEY: dict[str, Callable[[Entry], int | str]] = {
    "signer": lambda entry: entry.signer,
    "file": lambda entry: entry.path,
    "clip": lambda entry: entry.sequence_id,
}
UNITS = tuple(_KEY)  # what can be kept whole
_SALT = "fingerspelling split"


def _field(default: Any, help: str) -> Any:  # noqa: A002  # as argparse calls it
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """Lists of signers or files or, for a split without a list, a share taken by a stable hash.

    A list takes the place of its split's share; shares are of all units, rounded up. What is in neither other split
    trains. With a limit, clips are in the splits they would be in without one. The fields are options: `split_options`.
    """

    validation_signers: tuple[int, ...] = _field((), "signers to validate on, e.g. 1,2")
    test_signers: tuple[int, ...] = _field((), "signers to test on, e.g. 3,4")
    validation_files: tuple[str, ...] = _field((), "files to validate on, as in the metadata")
    test_files: tuple[str, ...] = _field((), "files to test on, as in the metadata")
    validation_share: float = _field(0.0, "share of the signers (see --split-by) to validate on, if none are listed")
    test_share: float = _field(0.1, "share of the signers (see --split-by) to test on, if none are listed")
    by: str = _field("signer", "what shares and folds are of, and keep whole; by file or clip, signers are in several")
    folds: int = _field(0, "divide what is not in test into so many folds by a stable hash")
    fold: int = _field(0, "the fold to validate on, from 1 on; the others train")
    signers: tuple[int, ...] = _field((), "use these signers' clips alone, for a trial")
    limit: int | None = _field(None, "use only the first N clips of the metadata, for a trial")

    def assign(self, entries: Iterable[Entry]) -> dict[int, str]:
        """The split of each clip that is used, by its id, in the order of the entries.

        Raises:
          UserError: a listed signer or file does not exist or is listed twice; a share outside [0, 1); a fold that is
            none, or more folds than there is to divide; nothing is left to train on.
        """
        self._check()
        entries = list(entries)
        used = self._used(entries)
        everything = _distinct(used, self.by)
        split_of = self._listed(used)
        # By the hash: the order does not depend on how many there are, and is no order of time or place.
        remaining = sorted(
            _distinct([entry for entry in used if entry.sequence_id not in split_of], self.by), key=_stable_order
        )
        told = TEST in split_of.values()  # by a list, or by the data
        tested = 0 if told or self.test_signers or self.test_files else size_of(self.test_share, everything)
        chosen = dict.fromkeys(remaining[:tested], TEST)
        remaining = remaining[tested:]
        if self.folds > len(remaining):
            units = self.by if len(remaining) == 1 else f"{self.by}s"
            raise UserError(
                f"{self.folds} folds of {len(remaining)} {units}: each needs one at least; lower --folds, set fewer"
                " aside to test on, or split by something smaller (--split-by)"
            )
        if self.folds:
            validating = [unit for unit, fold in divide(remaining, self.folds).items() if fold == self.fold]
        elif self.validation_signers or self.validation_files:
            validating = []
        else:
            validating = remaining[: size_of(self.validation_share, everything)]
        chosen |= dict.fromkeys(validating, VALIDATION)
        key = _KEY[self.by]
        assigned = {
            entry.sequence_id: split_of.get(entry.sequence_id) or chosen.get(key(entry), TRAIN)
            for entry in used[: self.limit]
        }
        if TRAIN not in assigned.values():
            raise UserError(
                f"no {self.by} is left to train on: of {len(_distinct(used[: self.limit], self.by))}, all are in"
                " validation or test; list fewer, or lower --validation-share or --test-share"
                + (", or raise --limit" if self.limit else "")
            )
        return assigned

    def as_json(self) -> dict[str, Any]:
        return {
            name: sorted(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def _check(self) -> None:
        for split, share in ((TEST, self.test_share), (VALIDATION, self.validation_share)):
            if not 0 <= share < 1:
                raise UserError(f"the {split} share is {share}, expected at least 0 and less than 1")
        if self.by not in UNITS:
            raise UserError(f"the data are split by {', '.join(UNITS)}, not by {self.by!r}")
        if not self.folds:
            if self.fold:
                raise UserError(f"fold {self.fold} without a number of folds: give both")
            return
        if not self.fold:
            raise UserError(f"{self.folds} folds, but not which of them validates: give --fold as well")
        if self.folds < 2 or not 1 <= self.fold <= self.folds:
            raise UserError(f"fold {self.fold} of {self.folds}: expected 2 folds at least, and one of them, from 1 on")
        if self.validation_signers or self.validation_files or self.validation_share:
            raise UserError("the fold is what validates: give no list or share of validation as well")

    def _used(self, entries: list[Entry]) -> list[Entry]:
        _check_lists("signer", {"used": self.signers}, _distinct(entries, "signer"))
        return [entry for entry in entries if not self.signers or entry.signer in self.signers]

    def _listed(self, used: list[Entry]) -> dict[int, str]:
        """The split of the clips that are listed, or of which the data themselves say it."""
        split_of = {entry.sequence_id: entry.split for entry in used if entry.split}
        for unit, lists in (
            ("signer", {VALIDATION: self.validation_signers, TEST: self.test_signers}),
            ("file", {VALIDATION: self.validation_files, TEST: self.test_files}),
        ):
            _check_lists(unit, lists, _distinct(used, unit))
            listed = {each: split for split, units in lists.items() for each in units}
            for entry in used:
                split = listed.get(_KEY[unit](entry))
                if split and split_of.setdefault(entry.sequence_id, split) != split:
                    raise UserError(
                        f"signer {entry.signer} is listed for {split_of[entry.sequence_id]}, {entry.path} for"
                        f" {split}, and both hold clip {entry.sequence_id}: list one of them"
                    )
        return split_of


def divide(units: Iterable[int | str], folds: int) -> dict[int | str, int]:
    """The fold, of 1 to `folds`, of each unit: by the stable hash, no fold larger than another by more than one."""
    return {unit: i % folds + 1 for i, unit in enumerate(sorted(set(units), key=_stable_order))}


def _distinct(entries: Iterable[Entry], unit: str) -> list[int | str]:
    return list(dict.fromkeys(map(_KEY[unit], entries)))


def size_of(share: float, units: Sequence) -> int:
    """How many units a share is of them, rounded up."""
    return math.ceil(share * len(units) - 1e-9)  # 0.07 * 100 is a little more than 7 in floating point


def _check_lists(unit: str, lists: Mapping[str, Iterable[Hashable]], known: Sequence) -> None:
    counts = collections.Counter(each for listed in lists.values() for each in listed)
    unknown = [each for each in counts if each not in known]
    if unknown:
        raise UserError(f"no {unit} {unknown[0]} in the data, which has {_some(known)}")
    twice = [each for each, count in counts.items() if count > 1]
    if twice:
        raise UserError(f"{unit} {twice[0]} is listed twice: a {unit} is in one split, once")


def _stable_order(unit: int | str) -> tuple[str, int | str]:
    return hashlib.sha256(f"{_SALT} {unit}".encode()).hexdigest(), unit


def _some(units: Sequence) -> str:
    text = ", ".join(map(str, sorted(units)[:12]))
    return f"{text}, ..." if len(units) > 12 else text
