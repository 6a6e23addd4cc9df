"""The section on errors: what the scores of clips say, where the filter divides them, and which labels look wrong.

Figures are those of `pipeline.scores.analysis`, as pipeline.report and inference.evaluate print them.
"""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from inference.visuals import charts
from inference.visuals.charts import Chart
from inference.visuals.data import people
from inference.visuals.page import Aligned, Block, ClipId, Section, Table, visible
from inference.visuals.sources import Scored, Sources
from pipeline.dataset.splits import TEST, TRAIN
from pipeline.scores import analysis, display, groups, score_table, threshold
from pipeline.scores.score_table import Row

_WORST = 20
_NEAR = 5  # clips on each side of the threshold
_MOST = 25  # bars, rows and columns of a chart
_GOOD = "good"


def section(sources: Sources) -> Section:
    """Of at least one table of scores."""
    blocks = []
    for table in sources.scored:
        splits = {row.split for row in table.rows.values()}
        blocks += _of_table(table, TEST if TEST in splits else min(splits), sources)
        if not table.is_evaluation:
            blocks.append(_filtered(table, sources))
    blocks += [_paired(first, second, sources) for first, second in pairs(sources)]
    return Section("errors", "Errors", blocks)


def pairs(sources: Sources) -> list[tuple[Scored, Scored]]:
    """Tables that are compared, of the same test clips: scores with evaluations, or else each with the next."""
    bases, finals = ([each for each in sources.scored if each.is_evaluation == flag] for flag in (False, True))
    both = [(a, b) for a in bases for b in finals] or list(itertools.pairwise(sources.scored))
    return [(a, b) for a, b in both if a.of_split(TEST) and a.of_split(TEST).keys() == b.of_split(TEST).keys()]


def name_of(table: Scored, sources: Sources) -> str:
    names = [each.path.name for each in sources.scored]
    return table.path.name if names.count(table.path.name) == 1 else str(table.path)


def limit(table: Scored, sources: Sources) -> tuple[float, str] | None:
    """The filter's threshold and whence it is; None where it went by another table, or there are no training clips."""
    if sources.filtered is not None:
        settings = sources.filtered.manifest["settings"]
        if settings["scores_sha256"] != table.manifest["files"][score_table.FILE_NAME]:
            return None  # it went by another table
        return settings["threshold"], f"of {sources.filtered.path}"
    training = list(table.of_split(TRAIN).values())
    return (threshold.threshold_for(training), "as pipeline.filter would choose it") if training else None


def _of_table(table: Scored, split: str, sources: Sources) -> list[Block]:
    rows, task = table.of_split(split), sources.task
    found = analysis.report(rows.values(), task)
    name = f"{name_of(table, sources)}, {split} clips"
    figures: list[list[Any]] = [
        [f"clips, {people(task)}s", f"{found['clips']:,}, {found['signers']:,}"],
        ["score", display.scored(found)],
        *(
            [key.replace("_", " "), f"{display.scored(each)}, {each['clips']:,} clips"]
            for key, each in found["disjoint"].items()
            if each
        ),
        ["exact", f"{found['exact']:,} ({found['exact'] / found['clips']:.1%})"],
    ]
    if "top5" in found:
        figures += [["among the best five", f"{found['top5']:.4f}"], ["balanced accuracy", f"{found['balanced']:.4f}"]]
    else:
        # Not of clips with one class: the exact ones say the same.
        figures.append(["error rate", f"{found['error_rate']:.4f} of {found['units']:,} {found['unit']}"])
        figures.append(["edits", ", ".join(f"{count:,} {kind}" for kind, count in found["edits"].items())])
    by: list[str | Table | Chart] = [
        charts.intervals(f"By {people(task)}, the worst first", _worst(found["by_signer"]), across="score"),
        charts.intervals("By frames", found["by_frames"], across="score"),
    ]
    if "by_label" in found:
        by.append(charts.intervals(f"By class, the worst {_MOST} first", _worst(found["by_label"]), across="accuracy"))
    else:
        by.append(charts.intervals(f"By {task.unit} of the label", found["by_units"], across="score"))
    by.append("Points are scores, lines 95 % bootstrap intervals.")
    return [
        Block(f"Score: {name}", [Table(["", ""], figures), _scores(rows, sources)]),
        Block(f"Confused: {name}", _confused(found["confusions"])),
        Block(f"By {people(task)}, length and label: {name}", by),
        Block(f"Worst clips: {name}", [_worst_clips(rows, sources)]),
        Block(f"Labels to look at: {name}", _groups(found["groups"])),
    ]


def _worst(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return dict(sorted(figures.items(), key=lambda item: (item[1]["score"], item[0]))[:_MOST])


def _scores(rows: Mapping[int, Row], sources: Sources) -> Chart:
    known = all(row.probability is not None for row in rows.values())
    what = "probability of the label" if known else "score"
    parted = _by_truth(rows, sources.truth, lambda row: max(0.0, row.quality))
    return charts.histogram(f"Clips by {what}", parted, across=what, span=(0.0, 1.0))


def _by_truth(rows: Mapping[int, Row], truth: Mapping[int, str], value: Any) -> dict[str, list[float]]:
    parted: dict[str, list[float]] = collections.defaultdict(list)
    for i, row in rows.items():
        parted[truth.get(i, _GOOD) if truth else "clips"].append(value(row))
    return dict(sorted(parted.items(), key=lambda item: (item[0] != _GOOD, item[0])))


def _filtered(table: Scored, sources: Sources) -> Block:
    """What falls on each side of the threshold; of clips that the filter judges."""
    judged = {i: row for i, row in table.rows.items() if row.split != TEST}
    at = limit(table, sources)
    title = f"The filter: {name_of(table, sources)}"
    if at is None or not judged:
        return Block(title, ["It judged no clips of this table."])
    value, whence = at
    known = all(row.probability is not None for row in judged.values())
    what = "probability of the label" if known else "score"
    parted = _by_truth(judged, sources.truth, lambda row: max(0.0, row.quality))
    title_of_chart, says = f"Clips that the filter judges, by {what}", f"threshold {value:g}"
    chart = charts.histogram(title_of_chart, parted, across=what, line=value, says=says, span=(0.0, 1.0))
    counts: dict[str, list[int]] = {}
    for i, row in judged.items():
        kinds = (f"split {row.split}", *((f"planted: {sources.truth.get(i, _GOOD)}",) if sources.truth else ()))
        for kind in kinds:
            side = counts.setdefault(kind, [0, 0])
            side[row.quality < value] += 1
    table_rows = [
        [kind, f"{kept:,}", f"{dropped:,}", f"{dropped / (kept + dropped):.1%}"]
        for kind, (kept, dropped) in sorted(counts.items())
    ]
    order = sorted(judged.values(), key=lambda row: (row.quality, row.sequence_id))
    first_kept = sum(row.quality < value for row in order)
    near = order[max(0, first_kept - _NEAR) : first_kept + _NEAR]
    items: list[str | Table | Chart] = [
        f"Threshold {value:g}, {whence}. Clips below it are dropped.",
        chart,
        Table(["", "kept", "dropped", "share dropped"], table_rows),
    ]
    if near:
        items.append(_clips(near, sources, "Clips nearest to the threshold, on both sides"))
    return Block(title, items)


def _confused(confusions: Sequence[Mapping[str, Any]]) -> list[str | Table | Chart]:
    """Of characters or classes; nothing stands for what was left out or added."""
    if not confusions:
        return ["Nothing was."]
    nothing = "(nothing)"
    counts = {(visible(e["label"]) or nothing, visible(e["prediction"]) or nothing): e["count"] for e in confusions}
    weight: collections.Counter[str] = collections.Counter()
    for (label, prediction), count in counts.items():
        weight[label] += count
        weight[prediction] += count
    weight.pop(nothing, None)
    often = sorted(name for name, _ in weight.most_common(_MOST))
    both = [*often, nothing] if any(nothing in pair for pair in counts) else often
    rows = [[label, prediction, f"{count:,}"] for (label, prediction), count in list(counts.items())[:_MOST]]
    return [
        charts.heat(f"Label and prediction, the {len(often)} most confused", counts, rows=both, columns=both),
        Table(["label", "prediction", "times"], rows, f"The {len(rows)} most frequent of {len(counts):,} kinds"),
    ]


def worst(rows: Mapping[int, Row]) -> list[Row]:
    """The worst first; of equally bad ones those with more errors."""
    return sorted(rows.values(), key=lambda row: (row.quality, -row.errors, row.sequence_id))


def _worst_clips(rows: Mapping[int, Row], sources: Sources) -> Table:
    return _clips(worst(rows)[:_WORST], sources, f"The worst of {len(rows):,}")


def _clips(rows: Sequence[Row], sources: Sources, caption: str) -> Table:
    task = sources.task
    known = all(row.probability is not None for row in rows)
    lines = [
        [
            ClipId(row.sequence_id),
            str(row.signer),
            f"{row.num_frames:,}",
            f"{row.quality:.3f}",
            Aligned(task.alignment(row.label, row.prediction)),
            *([sources.truth.get(row.sequence_id, "")] if sources.truth else []),
        ]
        for row in rows
    ]
    planted = ["planted"] if sources.truth else []
    score = "probability of the label" if known else "score"
    return Table(["clip", people(task), "frames", score, "label and, below, prediction", *planted], lines, caption)


def _groups(found: Sequence[Mapping[str, Any]]) -> list[str | Table | Chart]:
    if not found:
        return ["No group of clips stands out: no labels look shifted, exchanged or wrong together."]
    rows = [[groups.words(group), ClipId(group["first"]), ClipId(group["last"])] for group in found]
    return [Table(["what looks wrong", "from", "to"], rows)]


def most_changed(first: Mapping[int, Row], second: Mapping[int, Row]) -> list[int]:
    """Ids of clips, those whose scores differ most first."""
    return sorted(first, key=lambda i: (-abs(first[i].quality - second[i].quality), i))


def _paired(first: Scored, second: Scored, sources: Sources) -> Block:
    """How two tables of the same test clips compare."""
    a, b = first.of_split(TEST), second.of_split(TEST)
    found = analysis.comparison(a, b)
    names = name_of(first, sources), name_of(second, sources)
    figures = [
        ["clips, signers", f"{found['clips']:,}, {found['signers']:,}"],
        [f"score: {names[0]}", f"{found['first']:.4f}"],
        [f"score: {names[1]}", f"{found['second']:.4f}"],
        ["difference", f"{found['difference']:+.4f} ({display.span(found['interval'], sign='+')})"],
        [f"{names[1]} is better", f"with probability {found['probability_of_improvement']:.4f}"],
        ["clips read better / worse", f"{found['better']:,} / {found['worse']:,}"],
    ]
    ids = sorted(a)
    x, y = ([rows[i].quality for i in ids] for rows in (a, b))
    said = [f"{i}: {a[i].label}" for i in ids]
    chart = charts.points("Each clip, by both", x, y, said, across=names[0], up=names[1])
    changed = [
        [ClipId(i), a[i].label, a[i].prediction, b[i].prediction, f"{a[i].quality:.3f}", f"{b[i].quality:.3f}"]
        for i in most_changed(a, b)[: _WORST // 2]
    ]
    columns = ["clip", "label", *names, *(f"score, {name}" for name in names)]
    return Block(
        f"{names[0]} against {names[1]}, test clips",
        [Table(["", ""], figures), chart, Table(columns, changed, "The most changed")],
    )
