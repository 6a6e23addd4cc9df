"""How much of planted corruption scores find, at the same loss of good clips: compares ways of scoring.

    python -m scripts.benchmarks.filter --truth out/demo/data/planted_corruption.csv out/in-sample out/out-of-fold
    python -m scripts.benchmarks.filter --truth TRUTH --json out/filter.json SCORES SCORES ...

Each of SCORES is a directory of training.score, all of the same dataset; TRUTH is a CSV file (sequence_id, kind) of
the spoiled clips. Judged are those that a filter judges, all but the test split, and by what it judges: the probability
of the label where that is known, or the score. "caught, at most 1 % lost" is the share of spoiled clips below the
highest threshold that at most 1 % of the good ones are below; "order" the probability that a spoiled clip scores lower
than a good one; "chosen" the threshold that pipeline.filter takes.
"""

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.common import directories, errors
from pipeline.common.arguments import Parser, path
from pipeline.common.errors import UserError
from pipeline.dataset.splits import TEST, TRAIN
from pipeline.scores import analysis, display, score_table
from pipeline.scores.score_table import Row
from pipeline.scores.threshold import threshold_for
from pipeline.scores.truth import read_truth
from scripts.run_pipeline import GOOD

LOSSES = (0.005, 0.01, 0.02, 0.05)  # shares of the good clips


def measure(rows: dict[int, Row], truth: dict[int, str]) -> dict[str, Any]:
    """What one table of scores finds.

    Raises:
      UserError: it has no good, or no spoiled, clips to judge.
    """
    judged = {i: row for i, row in rows.items() if row.split != TEST}
    kinds = sorted({truth[i] for i in judged if i in truth})
    scores = {
        kind: np.sort([row.quality for i, row in judged.items() if truth.get(i, GOOD) == kind])
        for kind in [GOOD, *kinds]
    }
    if not kinds or not len(scores[GOOD]):
        raise UserError("of the clips to judge, none is spoiled, or all are: the truth belongs to other data")
    good, spoiled = scores[GOOD], np.concatenate([scores[kind] for kind in kinds])

    def at(threshold: float) -> dict[str, Any]:
        return {
            "threshold": threshold,
            "lost": float((good < threshold).mean()),
            "caught": float((spoiled < threshold).mean()),
            "caught_of": {kind: float((scores[kind] < threshold).mean()) for kind in kinds},
        }

    below, not_above = (np.searchsorted(good, spoiled, side=side) for side in ("left", "right"))
    return {
        "good": len(good),
        "spoiled": {kind: len(scores[kind]) for kind in kinds},
        # Of a pair with equal scores, half. As the area below the receiver operating characteristic.
        "order": float(1 - (below + not_above).mean() / (2 * len(good))),
        "at_loss": {str(loss): at(float(good[int(loss * len(good))])) for loss in LOSSES},
        "chosen": at(threshold_for([row for row in judged.values() if row.split == TRAIN])),
    }


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("scores", type=path, nargs="+", help="directories of training.score")
    parser.add_argument("--truth", type=path, required=True, help="CSV (sequence_id, kind) of spoiled clips")
    parser.add_argument("--json", type=path, metavar="FILE", help="also write everything there, as JSON")
    arguments = parser.parse_args()
    truth = read_truth(arguments.truth)
    tables = [score_table.open_table(scores)[1] for scores in arguments.scores]
    for other in tables[1:]:
        analysis.check_comparable(tables[0], other)
    found = {str(name): measure(rows, truth) for name, rows in zip(arguments.scores, tables, strict=True)}
    show(found, display.screen())
    if arguments.json:
        directories.write_json(arguments.json, found)


def show(found: dict[str, dict[str, Any]], out: Console) -> None:
    table = Table("", *found)
    each = list(found.values())
    table.add_row("good, spoiled", *(f"{one['good']:,}, {sum(one['spoiled'].values()):,}" for one in each))
    table.add_row("order", *(f"{one['order']:.4f}" for one in each))
    for loss in map(str, LOSSES):
        table.add_row(f"caught, at most {float(loss):.1%} lost", *(_caught(one["at_loss"][loss]) for one in each))
    table.add_row("chosen", *(_caught(one["chosen"]) for one in each))
    for kind in each[0]["spoiled"]:
        table.add_row(f"  {kind}", *(f"{one['chosen']['caught_of'][kind]:.1%}" for one in each))
    out.print(table)


def _caught(figures: dict[str, Any]) -> str:
    return f"{figures['caught']:.1%}, {figures['lost']:.1%} lost (score {figures['threshold']:.3f})"


if __name__ == "__main__":
    errors.run(main)
