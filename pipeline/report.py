"""Tells what a table of scores says: score and intervals, kinds of errors, by signer and length. Or compares two.

    python -m pipeline.report out/evaluation
    python -m pipeline.report out/scores --split train --json report.json
    python -m pipeline.report out/scores out/evaluation

Reads scores.csv of training.score or inference.evaluate. Of two, the second is compared with the first on the same
clips: the difference of their scores, its interval, and the probability that the second is better. Intervals hold
95 % of 10,000 bootstrap replicates (of single signers and lengths: 1,000); "other signers" are those in which whole
signers are resampled. "Labels to look at" are groups of clips whose labels look shifted by one, or wrong together.
"""

from pipeline import tasks
from pipeline.common import arguments, directories, errors
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.splits import SPLITS, TEST
from pipeline.scores import analysis, display, score_table
from pipeline.scores.score_table import Row
from pipeline.scores.truth import read_truth
from pipeline.tasks.task import Task


def read_rows(scores: AnyPath, split: str, left_out: set[int]) -> tuple[Task, dict[int, Row]]:
    """The task and the rows of one split by their ids, without those left out.

    Args:
      scores: a complete directory of training.score or inference.evaluate, or its scores.csv.

    Raises:
      UserError: it is neither, or nothing is left.
    """
    directory = scores.parent if scores.name == score_table.FILE_NAME and scores.is_file() else scores
    manifest, rows = score_table.open_table(directory, score_table.KIND, analysis.KIND)
    table = directory / score_table.FILE_NAME
    of_split = {i: row for i, row in rows.items() if row.split == split}
    if not of_split:
        there = ", ".join(name for name in SPLITS if any(row.split == name for row in rows.values()))
        raise UserError(f"{table} has no {split} clips: name a split that it has with --split: {there or 'none'}")
    kept = {i: row for i, row in of_split.items() if i not in left_out}
    if not kept:
        raise UserError(f"{table}: all of its {len(of_split):,} {split} clips are to be left out")
    return tasks.from_json(manifest["task"], directory / directories.MANIFEST), kept


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("scores", type=arguments.path, help="directory made by training.score or inference.evaluate")
    parser.add_argument("second", type=arguments.path, nargs="?", help="another, to be compared with the first")
    parser.add_argument("--split", choices=SPLITS, default=TEST, help="only clips of this split")
    parser.add_argument(
        "--leave-out",
        type=arguments.path,
        metavar="CSV",
        help="file with a column sequence_id: clips to leave out, such as those known to be spoiled",
    )
    parser.add_argument("--json", type=arguments.path, metavar="FILE", help="also write everything there, as JSON")
    args = parser.parse_args()
    left_out = set(read_truth(args.leave_out, kinds=False)) if args.leave_out else set()
    (task, rows), *others = [read_rows(each, args.split, left_out) for each in (args.scores, args.second) if each]
    for other, _ in others:
        tasks.check_same(task, args.scores, other, args.second)
    out = display.screen()
    which = f"{args.split} clips, some left out" if left_out else f"{args.split} clips"
    if args.second:
        found = analysis.comparison(rows, others[0][1])
        display.show_comparison(found, out, title=which, names=(str(args.scores), str(args.second)))
    else:
        found = analysis.report(rows.values(), task)
        display.show(found, out, title=which)
    if args.json:
        directories.write_json(args.json, found)


if __name__ == "__main__":
    errors.run(main)
