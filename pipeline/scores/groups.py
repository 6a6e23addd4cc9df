"""Groups of clips whose labels look wrong together: shifted by a wrong join, exchanged, or of other recordings.

From a table of scores alone: labels, predictions, and the places of clips in their files, which follow from their ids.
Scores should be out of fold, or of clips that were not trained on: a model agrees with wrong labels that it has learnt.

A unit is a clip or, where clips are windows of one recording, a run of neighbours with one label: such windows are
right or wrong together. U is the number of units, S that of a sequence of them.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.scores.score_table import Row
from pipeline.tasks.task import Task

SHIFTS = {"next": 1, "previous": -1}
_NEIGHBOUR = {"next": "after", "previous": "before"}
WRONG = "wrong"
FEWEST = 5  # units of a group
SIGNIFICANCE = 0.01  # how often data with right labels have a group, at most
_DRAWS = 10  # labels of other units that a prediction is compared with
_MARGIN = 0.1  # by which predictions may agree better with labels of their own that are wrong than with any
_CONFUSIONS = 3


@dataclasses.dataclass(frozen=True)
class _Unit:
    rows: Sequence[Row]
    file: int

    @property
    def label(self) -> str:
        return self.rows[0].label

    def agreement(self, label: str, task: Task) -> float:
        """Of its predictions with a label: the mean of their scores, each at least 0."""
        scores = (max(0.0, 1 - task.errors(label, row.prediction) / task.units(label)) for row in self.rows)
        return sum(scores) / len(self.rows)


def find(rows: Iterable[Row], task: Task) -> list[dict[str, Any]]:
    """The groups, the most certain first, as JSON data; none where labels look right.

    A group is a run of clips that follow each other in a file, or among those of a signer. Its labels look shifted
    where predictions agree with the label of the clip after, or before, instead of their own; and wrong where they
    agree with their own no better than with any. By chance such a run is at most so likely as the maximum of a random
    walk (F. Lundberg, 1903) whose steps are those of predictions beside labels of other clips, or of all clips.

    Returns:
      Of each group: `problem`, "next", "previous" or "wrong"; `signer` and `file` (its number), None where there are
      several; `first`, `last`: ids; `clips`, `of` how many of the signer or, of several, of the file; `own`, `shifted`,
      `elsewhere`: how well predictions agree with their own labels, with those that they look shifted to (None where
      they do not; only clips whose neighbour has another label count), and those of all other clips with their own
      (None where there are none); `confused`: the most frequent [label, prediction, clips] of the wrong ones.
    """
    units = _units(rows, task)
    signers_U = np.array([unit.rows[0].signer for unit in units])
    own_U = np.array([unit.agreement(unit.label, task) for unit in units])
    any_UxD = _of_any(units, task)
    by_chance = np.where(np.isnan(any_UxD), own_U[:, None], any_UxD).mean()
    free_U = np.ones(len(units), bool)  # of no group yet
    sequences = _sequences(units)
    tests = len((*SHIFTS, WRONG)) * sum(map(len, sequences))
    found: list[tuple[float, dict[str, Any]]] = []
    for problem in (*SHIFTS, WRONG):
        shifted_U = _of_neighbours(units, SHIFTS[problem], task) if problem in SHIFTS else None
        if shifted_U is None:
            gains_U = own_U.mean() / 2 - own_U
            rate = _rate(gains_U)
        else:
            # Agreement with neither label speaks against a shift, too.
            gains_U = np.nan_to_num(shifted_U - np.maximum(own_U, 0.5))  # 0: its neighbour says the same, or is none
            rate = _rate((any_UxD - np.maximum(own_U, 0.5)[:, None])[~np.isnan(any_UxD)])
        for sequence_S in sequences:
            gains_S = np.where(free_U[sequence_S], gains_U[sequence_S], -np.inf)
            while (run := _highest(gains_S)) is not None:
                members, total, least = sequence_S[run], gains_S[run].sum(), rate
                if problem == WRONG:  # difficult signers have more such runs
                    same_U = np.isin(signers_U, signers_U[members]) & free_U
                    same_U[members] = False
                    least = min(rate, _rate(gains_U[same_U])) if same_U.sum() >= FEWEST else rate
                if (chance := tests * np.exp(-least * total)) > SIGNIFICANCE:
                    break
                gains_S[run] = -np.inf
                group = _described(problem, members, units, own_U, shifted_U)
                limit = min(by_chance + _MARGIN, (group["elsewhere"] or 1.0) / 2)
                if np.count_nonzero(gains_U[members]) >= FEWEST and group["own"] <= limit:
                    found.append((float(chance), group))
                    free_U[members] = False
    return [group for _, group in sorted(found, key=lambda item: item[0])]


def words(group: Mapping[str, Any]) -> str:
    """A line about a group that was found."""
    whose = f"signer {group['signer']}" if group["signer"] is not None else "several signers"
    which = f"{group['clips']:,} of {group['of']:,} clips, {group['first']} to {group['last']}"
    own = f"{group['own']:.0%} are read as labeled"
    others = "" if group["elsewhere"] is None else f", of all others {group['elsewhere']:.0%}"
    if group["problem"] == WRONG:
        confused = ", ".join(f"{label}→{prediction}: {count:,}" for label, prediction, count in group["confused"])
        return f"{whose}, {which}: labels or recordings look wrong: {own}{others}; most {confused}"
    neighbour = f"{group['shifted']:.0%} as the clip {_NEIGHBOUR[group['problem']]} is"
    return f"{whose}, {which}: labels look shifted by one: {own}, {neighbour}{others}"


def _units(rows: Iterable[Row], task: Task) -> list[_Unit]:
    """In the order of files, and of places in them."""
    ordered = sorted(rows, key=lambda row: task.place(row.sequence_id))
    numbered = ((i, task.place(row.sequence_id)[0], row) for i, row in enumerate(ordered))

    def key(each: tuple[int, int, Row]) -> tuple[Any, ...]:
        i, file, row = each
        return (file, row.signer, row.label) if task.continuous else (i, file)

    runs = (list(run) for _, run in itertools.groupby(numbered, key))
    return [_Unit([row for *_, row in run], run[0][1]) for run in runs]


def _sequences(units: Sequence[_Unit]) -> list[np.ndarray]:
    """Positions of the units of each file, and of each signer where these are others."""
    found: dict[tuple[int, ...], None] = {}
    for key in (lambda unit: unit.file, lambda unit: unit.rows[0].signer):
        groups: dict[int, list[int]] = collections.defaultdict(list)
        for u, unit in enumerate(units):
            groups[key(unit)].append(u)
        found |= dict.fromkeys(map(tuple, groups.values()))
    return [np.array(each) for each in found]


def _of_neighbours(units: Sequence[_Unit], shift: int, task: Task) -> np.ndarray:
    """(U,) how well predictions agree with the label of a neighbour in the file; NaN where that is no other label."""
    found_U = np.full(len(units), np.nan)
    for u, unit in enumerate(units):
        if 0 <= u + shift < len(units) and (other := units[u + shift]).file == unit.file and other.label != unit.label:
            found_U[u] = unit.agreement(other.label, task)
    return found_U


def _of_any(units: Sequence[_Unit], task: Task) -> np.ndarray:
    """(U, draws) how well predictions agree with the labels of some others; NaN where that is no other label."""
    others_UxD = np.random.default_rng(0).integers(len(units), size=(len(units), _DRAWS))
    found_UxD = np.full(others_UxD.shape, np.nan)
    for u, unit in enumerate(units):
        for d, other in enumerate(others_UxD[u]):
            if units[other].label != unit.label:
                found_UxD[u, d] = unit.agreement(units[other].label, task)
    return found_UxD


def _rate(steps: np.ndarray) -> float:
    """The l > 0 with mean(exp(l step)) = 1: a walk of such steps ever climbs by s with probability exp(-l s) at most.

    0 where it climbs anyway. One step more of the highest kind is counted, as few data may have none.
    """
    steps = np.append(steps, max(0.5, steps.max(initial=0)))
    if steps.mean() >= 0:
        return 0.0
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(middle * steps).mean() < 1 else (low, middle)
    return low


def _highest(gains_S: np.ndarray) -> slice | None:
    """The run with the highest sum (J. Kadane); None where no gain is above 0."""
    best, run = 0.0, None
    total, first = 0.0, 0
    for at, gain in enumerate(gains_S.tolist()):
        if total <= 0:
            total, first = 0.0, at
        total += gain
        if total > best:
            best, run = total, slice(first, at + 1)
    return run


def _described(
    problem: str, members: np.ndarray, units: Sequence[_Unit], own_U: np.ndarray, shifted_U: np.ndarray | None
) -> dict[str, Any]:
    clips_U = np.array([len(unit.rows) for unit in units])
    inside_U = np.zeros(len(units), bool)
    inside_U[members] = True
    telling_U = inside_U if shifted_U is None else inside_U & ~np.isnan(shifted_U)

    def mean(values_U: np.ndarray, chosen_U: np.ndarray) -> float | None:
        return float(np.average(values_U[chosen_U], weights=clips_U[chosen_U])) if chosen_U.any() else None

    rows = [row for u in members for row in units[u].rows]
    whose, files = {row.signer for row in rows}, {units[u].file for u in members}
    rest = [unit for unit, inside in zip(units, inside_U, strict=True) if not inside]
    others = sum(row.signer in whose if len(whose) == 1 else unit.file in files for unit in rest for row in unit.rows)
    confused = collections.Counter((row.label, row.prediction) for row in rows if row.errors)
    return {
        "problem": problem,
        "signer": whose.pop() if len(whose) == 1 else None,
        "file": files.pop() if len(files) == 1 else None,
        "first": rows[0].sequence_id,
        "last": rows[-1].sequence_id,
        "clips": len(rows),
        "of": len(rows) + others,
        "own": mean(own_U, telling_U),
        "shifted": None if shifted_U is None else mean(shifted_U, telling_U),
        "elsewhere": mean(own_U, ~inside_U),
        "confused": [[*pair, count] for pair, count in confused.most_common(_CONFUSIONS)],
    }
