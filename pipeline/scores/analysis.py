"""What score tables tell beyond one number: intervals, differences between models, kinds of errors. No framework.

U is the number of things that are resampled (clips, or signers), R that of replicates, C that of columns.
"""

import collections
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.scores import groups
from pipeline.scores.score_table import Row
from pipeline.tasks.task import Task

KIND = directories.Kind("evaluation", made_by="inference.evaluate")
REPORT = "report.json"
REPLICATES = 10_000
TOP = 5  # the best classes, among which a label is looked for
GROUP_REPLICATES = 1_000  # of each signer and each length, of which there are many
CONFIDENCE = 0.95
SEED = 0
KINDS = ("substitutions", "deletions", "insertions")
# The last length of each group of clips, but for the longest.
FRAME_EDGES = (50, 100, 150, 200, 300, 400)
UNIT_EDGES = (5, 10, 15, 20, 25)
# What is told of clips unlike those that the model was trained on.
DISJOINT: dict[str, Callable[[Row], bool]] = {
    "new_signers": lambda row: not row.known_signer,
    "new_labels": lambda row: not row.known_label,
    "new_signers_and_labels": lambda row: not (row.known_signer or row.known_label),
}
_BATCH = 1000  # replicates that are drawn at once


def bootstrap(totals_UxC: np.ndarray, *, replicates: int = REPLICATES, seed: int = SEED) -> np.ndarray:
    """(R, C) column sums of resampled rows: each replicate draws U of the U rows, with replacement.

    The nonparametric bootstrap (B. Efron, 1979); M. Bisani and H. Ney, ICASSP 2004, for error rates of recognizers.
    Rows with equal totals are drawn together, by their multinomial count: the same distribution, at a cost that hardly
    grows with U.
    """
    _, first, inverse = np.unique(totals_UxC, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(inverse.ravel(), minlength=len(first))
    # In the order of first appearance, not of value: the draws are the same when two columns are exchanged.
    order = np.argsort(first)
    random, values_KxC, shares_K = np.random.default_rng(seed), totals_UxC[first[order]], counts[order] / counts.sum()
    sizes = (min(_BATCH, replicates - done) for done in range(0, replicates, _BATCH))
    return np.concatenate([random.multinomial(counts.sum(), shares_K, size) @ values_KxC for size in sizes])


def interval(values_R: np.ndarray) -> list[float]:
    """The percentile interval of replicates: what lies in the middle `CONFIDENCE` of them."""
    return np.quantile(values_R, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)).tolist()


def report(rows: Iterable[Row], task: Task) -> dict[str, Any]:
    """Everything about the scored clips of one table, as JSON data; the order of the rows does not matter.

    Raises:
      ValueError: there are none.
    """
    ordered = sorted(rows, key=lambda row: row.sequence_id)
    if not ordered:
        raise ValueError("no clips to report on")
    edits = collections.Counter(edit for row in ordered for edit in task.edits(row.label, row.prediction))
    kinds = dict.fromkeys(KINDS, 0)
    for edit, count in edits.items():
        kinds[kind_of(*edit)] += count

    def figures_by(key: Callable[[Row], Hashable]) -> dict[Any, dict[str, Any]]:
        rows_of: dict[Any, list[Row]] = collections.defaultdict(list)
        for row in ordered:
            rows_of[key(row)].append(row)
        return {name: score_of(group, GROUP_REPLICATES) for name, group in sorted(rows_of.items())}

    total = score_of(ordered)
    by_label = figures_by(lambda row: row.label) if all(row.rank for row in ordered) else {}

    def figures_of(belongs: Callable[[Row], bool]) -> dict[str, Any] | None:
        group = [row for row in ordered if belongs(row)]
        if len(group) == len(ordered):
            return total
        return score_of(group) if group else None

    return {
        **total,
        "signers": len({row.signer for row in ordered}),
        "unit": task.unit,
        "interval_by_signer": _interval_by_signer(ordered),
        "edits": kinds,
        "disjoint": {name: figures_of(belongs) for name, belongs in DISJOINT.items()},
        "by_signer": {str(who): figures for who, figures in figures_by(lambda row: row.signer).items()},
        "by_frames": _named(figures_by(lambda row: _bin(row.num_frames, FRAME_EDGES)), FRAME_EDGES),
        **(_of_classes(ordered, by_label) if by_label else {}),
        "by_units": _named(figures_by(lambda row: _bin(row.units, UNIT_EDGES)), UNIT_EDGES),
        "confusions": [
            {"label": label, "prediction": prediction, "count": count}
            for (label, prediction), count in sorted(edits.items(), key=lambda item: (-item[1], item[0]))
        ],
        "groups": groups.find(ordered, task),
        "bootstrap": {
            "replicates": REPLICATES,
            "replicates_of_groups": GROUP_REPLICATES,
            "confidence": CONFIDENCE,
            "seed": SEED,
        },
    }


def _of_classes(rows: list[Row], by_label: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is told of a task with one class a clip; balanced: the mean of the classes' accuracies."""
    return {
        "top5": sum(row.rank <= TOP for row in rows) / len(rows),
        "balanced": sum(figures["score"] for figures in by_label.values()) / len(by_label),
        "by_label": by_label,
    }


def comparison(first: Mapping[int, Row], second: Mapping[int, Row]) -> dict[str, Any]:
    """How the second table's scores differ from the first's, on the same clips, as JSON data.

    Raises:
      UserError: they are not the same.
    """
    check_comparable(first, second)
    ids = sorted(first)
    totals_Ux3 = np.array([[first[i].units, first[i].errors, second[i].errors] for i in ids], np.int64)
    signers = [first[i].signer for i in ids]
    found = difference(totals_Ux3)
    by_signer = _summed(totals_Ux3, signers)
    fewer = np.sign(totals_Ux3[:, 1] - totals_Ux3[:, 2])
    return {
        "clips": len(ids),
        "signers": len(by_signer),
        **found,
        "interval_by_signer": difference(by_signer)["interval"] if len(by_signer) > 1 else None,
        "better": int((fewer > 0).sum()),
        "worse": int((fewer < 0).sum()),
        "bootstrap": {"replicates": REPLICATES, "confidence": CONFIDENCE, "seed": SEED},
    }


def check_comparable(first: Mapping[int, Row], second: Mapping[int, Row]) -> None:
    """Raises `UserError` where two tables are not of the same clips."""
    alone = [min(one.keys() - other.keys(), default=None) for one, other in ((first, second), (second, first))]
    for where, sequence_id in zip(("first", "second"), alone, strict=True):
        if sequence_id is not None:
            raise UserError(
                f"the tables are of other clips ({len(first):,} and {len(second):,}): {sequence_id} is in the"
                f" {where} alone; score the same split of the same data with both models"
            )
    for i, row in first.items():
        of_first, of_second = ((each.signer, each.num_frames, each.label) for each in (row, second[i]))
        if of_first != of_second:
            shown = "signer {}, {} frames, {!r}"
            raise UserError(
                f"the tables are of other data: clip {i} is {shown.format(*of_first)} in the first,"
                f" {shown.format(*of_second)} in the second; score the same data with both models"
            )


def score_of(rows: list[Row], replicates: int = REPLICATES) -> dict[str, Any]:
    totals_Ux2 = np.array([(row.units, row.errors) for row in rows])
    units, errors = totals_Ux2.sum(axis=0).tolist()
    return {
        "clips": len(rows),
        "units": units,
        "exact": sum(row.exact for row in rows),
        "score": (units - errors) / units,
        "interval": _score_interval(totals_Ux2, replicates),
        "error_rate": errors / units,
    }


def _interval_by_signer(rows: list[Row]) -> list[float] | None:
    """Of the score, where other signers might have been recorded: whole signers are resampled. Not of a single one."""
    totals_Ux2 = np.array([(row.units, row.errors) for row in rows])
    of_signers = _summed(totals_Ux2, [row.signer for row in rows])
    return _score_interval(of_signers) if len(of_signers) > 1 else None


def _score_interval(totals_Ux2: np.ndarray, replicates: int = REPLICATES) -> list[float]:
    """Of (U, 2) units and errors."""
    sums_Rx2 = bootstrap(totals_Ux2, replicates=replicates)
    return interval(1 - sums_Rx2[:, 1] / sums_Rx2[:, 0])


def difference(totals_Ux3: np.ndarray) -> dict[str, Any]:
    """How a second score differs from a first: (U, 3) units, errors of the first, errors of the second.

    A replicate without a difference counts as half an improvement.
    """
    units, first, second = totals_Ux3.sum(axis=0)
    sums_Rx3 = bootstrap(totals_Ux3)
    change_R = sums_Rx3[:, 1] - sums_Rx3[:, 2]
    return {
        "first": float((units - first) / units),
        "second": float((units - second) / units),
        "difference": float((first - second) / units),
        "interval": interval(change_R / sums_Rx3[:, 0]),
        "probability_of_improvement": float(((change_R > 0) + 0.5 * (change_R == 0)).mean()),
    }


def _summed(totals_UxC: np.ndarray, signers: list[int]) -> np.ndarray:
    """One row a signer."""
    names, of = np.unique(signers, return_inverse=True)
    sums = np.zeros((len(names), totals_UxC.shape[1]), np.int64)
    np.add.at(sums, of, totals_UxC)
    return sums


def kind_of(label: str, prediction: str) -> str:
    """Which of `KINDS` an edit of `Task.edits` is."""
    return "insertions" if not label else "substitutions" if prediction else "deletions"


def _bin(length: int, edges: tuple[int, ...]) -> int:
    return int(np.searchsorted(edges, length))


def _named(figures: dict[int, Any], edges: tuple[int, ...]) -> dict[str, Any]:
    """By the lengths of a group in words, such as 51-100."""
    names = [f"{low + 1}-{high}" for low, high in zip((0, *edges), edges, strict=False)] + [f"{edges[-1] + 1}+"]
    return {names[at]: each for at, each in figures.items()}
