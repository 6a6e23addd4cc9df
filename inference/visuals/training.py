"""The section on training: what every run's history says, runs together, and the table of budgets."""

import math
from collections.abc import Sequence

from inference.measurements import Measurement
from inference.visuals import charts
from inference.visuals.charts import Chart
from inference.visuals.page import Block, Section, Table
from inference.visuals.sources import Sources

# Columns of a history, with what each says.
_SHOWN = {
    "loss": "loss on training clips",
    "validation_score": "score on validation clips",
    "learning_rate": "learning rate",
}


def section(sources: Sources) -> Section:
    """Of at least one run or budget."""
    blocks = []
    if sources.histories:
        items: list[str | Table | Chart] = [_ends(sources)]
        for column, words in _SHOWN.items():
            series = {
                name: ([row["epoch"] for row in rows], [row[column] for row in rows])
                for name, rows in sources.histories.items()
                if rows and column in rows[0]
            }
            if series:
                items.append(charts.lines(words.capitalize(), series, across="epoch", up=words.partition(" on ")[0]))
        blocks.append(Block("Over time", items))
    if sources.budget:
        blocks.append(Block("Frame budget and storage of weights", _budget(sources.budget)))
    return Section("training", "Training", blocks)


def _ends(sources: Sources) -> Table:
    rows = []
    for name, history in sources.histories.items():
        scores = [row.get("validation_score", math.nan) for row in history]
        best = max(range(len(history)), key=lambda i: scores[i]) if not all(map(math.isnan, scores)) else None
        seconds = sum(row.get("seconds", 0.0) for row in history)
        last = history[-1]["loss"] if history else math.nan
        told = (f"{scores[best]:.4f}", f"{history[best]['epoch']:.0f}") if best is not None else ("", "")
        rows.append([name, f"{len(history):,}", f"{last:.4f}", *told, f"{seconds / 60:,.1f}"])
    return Table(["run", "epochs", "last loss", "best validation score", "in epoch", "minutes"], rows)


def _budget(found: Sequence[Measurement]) -> list[str | Table | Chart]:
    statistics = list(found[0].latency_ms)
    rows = [
        [
            str(each.max_frames),
            each.weights,
            f"{each.score:.4f}",
            f"{each.too_few_frames:,}",
            *(f"{each.latency_ms[name]:.1f}" for name in statistics),
            f"{each.size_mb:.1f}",
        ]
        for each in found
    ]
    series = {
        weights: ([each.latency_ms["mean"] for each in of], [each.score for each in of])
        for weights in dict.fromkeys(each.weights for each in found)
        for of in [[each for each in found if each.weights == weights]]
    }
    return [
        charts.lines("Score by latency, a point for each frame budget", series, across="mean milliseconds", up="score"),
        Table(
            ["frames", "weights", "score on validation", "too few", *(f"ms, {name}" for name in statistics), "MB"], rows
        ),
    ]
