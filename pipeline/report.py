"""Tells what a table of scores says: score and intervals, kinds of errors, by signer and length. Or compares two.

    python -m pipeline.report out/evaluation
    python -m pipeline.report out/scores --split train --json report.json
    python -m pipeline.report out/scores out/evaluation

Reads scores.csv of training.score or inference.evaluate. Of two, the second is compared with the first on the same
sequences: the difference of their scores, its interval, and the probability that the second is better. Intervals hold
95 % of 10,000 bootstrap replicates (of single signers and lengths: 1,000); "other signers" are those in which whole
signers are resampled.
"""

import csv
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import commands, directories, evaluation, score_table
from pipeline.commands import UserError
from pipeline.score_table import Row
from pipeline.splits import SPLITS, TEST
from pipeline.storage import Path

WIDTH = 110  # of the table where there is no terminal
_MOST = 8  # characters that are shown


def read_rows(scores: Path, split: str, left_out: set[int]) -> dict[int, Row]:
    """The rows of one split by their ids, without those left out.

    Args:
      scores: a complete directory of training.score or inference.evaluate, or a file that one of them wrote.

    Raises:
      UserError: it is neither, or nothing is left.
    """
    table = scores
    if scores.is_dir() or not scores.exists():
        kind = score_table.KIND
        if (scores / directories.MANIFEST).is_file():
            found = directories.read_json(scores / directories.MANIFEST).get("kind")
            kind = evaluation.KIND if found == evaluation.KIND else kind
        directories.read_manifest(scores, kind)
        table = scores / score_table.FILE_NAME
    rows = score_table.read(table)
    of_split = {i: row for i, row in rows.items() if row.split == split}
    if not of_split:
        there = ", ".join(name for name in SPLITS if any(row.split == name for row in rows.values()))
        raise UserError(f"{table} has no {split} sequences: name a split that it has with --split: {there or 'none'}")
    kept = {i: row for i, row in of_split.items() if i not in left_out}
    if not kept:
        raise UserError(f"{table}: all of its {len(of_split):,} {split} sequences are to be left out")
    return kept


def read_ids(file: Path) -> set[int]:
    """The column `sequence_id` of a CSV file."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return {int(row["sequence_id"]) for row in csv.DictReader(lines)}
    except (OSError, LookupError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"cannot read {file}: expected a CSV file with a column sequence_id ({commands.reason(error)})"
        ) from error


def show(report: Mapping[str, Any], out: Console, *, title: str) -> None:
    """Prints the main figures of `evaluation.report`."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_row("sequences, signers", f"{report['sequences']:,}, {report['signers']:,}")
    table.add_row("score", scored(report))
    if report["interval_by_signer"]:
        table.add_row("  other signers", _span(report["interval_by_signer"]))
    for name, figures in report["disjoint"].items():
        words = name.replace("_", " ")
        told = f"{scored(figures)}, {figures['sequences']:,} sequences" if figures else "no sequences"
        table.add_row(f"  {words}", told)
    rate, characters = report["character_error_rate"], report["characters"]
    table.add_row("character error rate", f"{rate:.4f} of {characters:,} characters")
    table.add_row("exact", f"{report['exact']:,} ({report['exact'] / report['sequences']:.1%})")
    table.add_row("edits", ", ".join(f"{count:,} {kind}" for kind, count in report["edits"].items()))
    for kind in evaluation.KINDS:
        table.add_row(f"most {kind}", Text(_most(report["confusions"], kind)))  # as it is: it may hold a bracket
    by_score = sorted(report["by_signer"].items(), key=lambda item: (item[1]["score"], item[0]))
    extremes = dict([by_score[0], by_score[-1]])
    table.add_row("signers, worst and best", _scores(extremes))
    table.add_row("by frames", _scores(report["by_frames"]))
    table.add_row("by characters", _scores(report["by_characters"]))
    out.print(table)


def show_comparison(found: Mapping[str, Any], out: Console, *, title: str, names: tuple[str, str]) -> None:
    """Prints what `evaluation.comparison` found of two tables."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_row("sequences, signers", f"{found['sequences']:,}, {found['signers']:,}")
    for which, name in zip(("first", "second"), names, strict=True):
        table.add_row(f"{which} score", Text(f"{found[which]:.4f} {name}"))
    table.add_row("difference", f"{found['difference']:+.4f} ({_span(found['interval'], sign='+')})")
    if found["interval_by_signer"]:
        table.add_row("  other signers", _span(found["interval_by_signer"], sign="+"))
    table.add_row("probability that the second is better", f"{found['probability_of_improvement']:.4f}")
    table.add_row("sequences read better / worse", f"{found['better']:,} / {found['worse']:,}")
    out.print(table)


def scored(figures: Mapping[str, Any]) -> str:
    """A score and its interval."""
    return f"{figures['score']:.4f} ({_span(figures['interval'])})"


def _span(interval: list[float], sign: str = "") -> str:
    return " to ".join(f"{value:{sign}.4f}" for value in interval)


def _scores(groups: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name}: {figures['score']:.3f}" for name, figures in groups.items())


def _most(confusions: list[dict[str, Any]], kind: str) -> str:
    """The most frequent edits of one kind."""
    of_kind = [each for each in confusions if evaluation.kind_of(each["target"], each["recognised"]) == kind]
    shown = [("→".join(filter(None, (each["target"], each["recognised"]))), each["count"]) for each in of_kind[:_MOST]]
    return ", ".join(f"{characters.replace(' ', '␣')}: {count:,}" for characters, count in shown) or "none"


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument("scores", type=commands.path, help="directory with scores.csv, or the file")
    parser.add_argument("second", type=commands.path, nargs="?", help="another, to be compared with the first")
    parser.add_argument("--split", choices=SPLITS, default=TEST, help="only sequences of this split")
    parser.add_argument(
        "--leave-out",
        type=commands.path,
        metavar="CSV",
        help="file with a column sequence_id: sequences to leave out, such as those known to be spoiled",
    )
    parser.add_argument("--json", type=commands.path, metavar="FILE", help="also write everything there, as JSON")
    args = parser.parse_args()
    left_out = read_ids(args.leave_out) if args.leave_out else set()
    tables = [read_rows(each, args.split, left_out) for each in (args.scores, args.second) if each]
    out = Console(width=None if sys.stdout.isatty() else WIDTH)
    which = f"{args.split} sequences, some left out" if left_out else f"{args.split} sequences"
    if args.second:
        found = evaluation.comparison(*tables)
        show_comparison(found, out, title=which, names=(str(args.scores), str(args.second)))
    else:
        found = evaluation.report(tables[0].values())
        show(found, out, title=which)
    if args.json:
        directories.write_json(args.json, found)


if __name__ == "__main__":
    commands.run(main)
