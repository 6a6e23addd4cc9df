"""Scores on a terminal or in a text file."""

import sys
from collections.abc import Mapping
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.scores import analysis, groups

_WIDTH = 110  # of tables where there is no terminal to fit into
_MOST = 8  # edits that are shown


def screen(file: IO[str] | None = None) -> Console:
    """Where tables are printed: standard output, or a file."""
    return Console(file=file, width=None if file is None and sys.stdout.isatty() else _WIDTH)


def show(report: Mapping[str, Any], out: Console, *, title: str) -> None:
    """Prints the main figures of `analysis.report`."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_row("clips, signers", f"{report['clips']:,}, {report['signers']:,}")
    table.add_row("score", scored(report))
    if report["interval_by_signer"]:
        table.add_row("  other signers", span(report["interval_by_signer"]))
    for name, figures in report["disjoint"].items():
        words = name.replace("_", " ")
        told = f"{scored(figures)}, {figures['clips']:,} clips" if figures else "no clips"
        table.add_row(f"  {words}", told)
    table.add_row("exact", f"{report['exact']:,} ({report['exact'] / report['clips']:.1%})")
    if by_label := report.get("by_label"):
        table.add_row("among the best five", f"{report['top5']:.4f}")
        table.add_row("balanced accuracy", f"{report['balanced']:.4f}")
        worst = sorted(by_label, key=lambda label: (by_label[label]["score"], label))[:_MOST]
        table.add_row("worst labels", Text(", ".join(f"{label}: {by_label[label]['score']:.3f}" for label in worst)))
        never = [label for label in by_label if not by_label[label]["score"]]
        table.add_row("never recognized", Text(", ".join(never) or "none"))
        table.add_row("most confused", Text(_most(report["confusions"], analysis.KINDS[0])))
    else:
        # Not of clips with one class: the exact ones say the same.
        table.add_row("error rate", f"{report['error_rate']:.4f} of {report['units']:,} {report['unit']}")
        table.add_row("edits", ", ".join(f"{count:,} {kind}" for kind, count in report["edits"].items()))
        for kind in analysis.KINDS:
            table.add_row(f"most {kind}", Text(_most(report["confusions"], kind)))  # as it is: it may hold a bracket
    by_score = sorted(report["by_signer"].items(), key=lambda item: (item[1]["score"], item[0]))
    extremes = dict([by_score[0], by_score[-1]])
    table.add_row("signers, worst and best", _scores(extremes))
    table.add_row("by frames", _scores(report["by_frames"]))
    if not by_label:
        table.add_row(f"by {report['unit']}", _scores(report["by_units"]))
    found = [Text(groups.words(group)) for group in report["groups"]]
    table.add_row("labels to look at", Text("\n").join(found[:_MOST]) if found else "no group of clips stands out")
    out.print(table)


def show_comparison(found: Mapping[str, Any], out: Console, *, title: str, names: tuple[str, str]) -> None:
    """Prints what `analysis.comparison` found of two tables."""
    table = Table(title=Text(title), show_header=False, title_justify="left")
    table.add_row("clips, signers", f"{found['clips']:,}, {found['signers']:,}")
    for which, name in zip(("first", "second"), names, strict=True):
        table.add_row(f"{which} score", Text(f"{found[which]:.4f} {name}"))
    table.add_row("difference", f"{found['difference']:+.4f} ({span(found['interval'], sign='+')})")
    if found["interval_by_signer"]:
        table.add_row("  other signers", span(found["interval_by_signer"], sign="+"))
    table.add_row("probability that the second is better", f"{found['probability_of_improvement']:.4f}")
    table.add_row("clips read better / worse", f"{found['better']:,} / {found['worse']:,}")
    out.print(table)


def scored(figures: Mapping[str, Any]) -> str:
    """A score and its interval."""
    return f"{figures['score']:.4f} ({span(figures['interval'])})"


def span(interval: list[float], sign: str = "") -> str:
    return " to ".join(f"{value:{sign}.4f}" for value in interval)


def _scores(groups: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name}: {figures['score']:.3f}" for name, figures in groups.items())


def _most(confusions: list[dict[str, Any]], kind: str) -> str:
    """The most frequent edits of one kind."""
    of_kind = [each for each in confusions if analysis.kind_of(each["label"], each["prediction"]) == kind]
    shown = [("→".join(filter(None, (each["label"], each["prediction"]))), each["count"]) for each in of_kind[:_MOST]]
    return ", ".join(f"{characters.replace(' ', '␣')}: {count:,}" for characters, count in shown) or "none"
