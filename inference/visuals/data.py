"""The section on the data: how much there is, whose, how long, what is missing, and which clips deserve a look.

Shapes: T frames, P points, D dimensions of a point, G parts.
"""

import collections
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from inference.visuals import charts
from inference.visuals.charts import Chart
from inference.visuals.page import Block, ClipId, Section, Table, visible
from inference.visuals.sources import Sources
from pipeline.common import directories
from pipeline.dataset import summary
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.splits import SPLITS
from pipeline.tasks.task import Points, Task

_MOST = 20  # bars of the most, and of the least frequent
_MOST_PARTS = 40  # of points that belong to no group
_LOOKS = 5  # clips of each kind that deserve a look


@dataclasses.dataclass(frozen=True)
class Look:
    """What the landmarks of a clip show.

    Attributes:
      rule_frames: see `Task`.
      seen: (G,) values of each part that are there, and of how many: `values`.
      low, high, total: (G, D) smallest, largest and sum of those; infinite and 0 where there are none.
      outside: the share of what is seen that lies outside the image; 0 where points are not in one.
    """

    info: ClipInfo
    rule_frames: int
    seen: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total: np.ndarray
    outside: float

    @property
    def missing(self) -> float:
        """The share of its frames in which nothing is to be recognized."""
        return self.info.frames_unseen / self.info.num_frames


def parts(points: Points) -> dict[str, slice]:
    """The parts of a frame that are told apart: its groups, or else its points, or all of them where they are many."""
    if points.groups:
        return {name.replace("_", " "): group for name, group in points.groups.items()}
    if len(points.names) <= _MOST_PARTS:
        return {name: slice(i, i + 1) for i, name in enumerate(points.names)}
    return {"all channels": slice(0, len(points.names))}


def people(task: Task) -> str:
    """What the numbers of signers stand for."""
    return "group" if task.points.centre is None else "signer"


def look(info: ClipInfo, clip: Clip, task: Task) -> Look:
    groups = list(parts(task.points).values())
    there = ~np.isnan(clip.landmarks).any(axis=2)
    low = np.full((len(groups), len(task.points.axes)), np.inf)
    high, total, seen = -low, np.zeros_like(low), np.zeros(len(groups), int)
    values = np.array([there[:, group].size for group in groups])
    outside = 0
    for g, group in enumerate(groups):
        found_NxD = clip.landmarks[:, group][there[:, group]]
        seen[g] = len(found_NxD)
        if len(found_NxD):
            low[g], high[g] = found_NxD.min(axis=0), found_NxD.max(axis=0)
            total[g] = found_NxD.sum(axis=0, dtype=np.float64)
            outside += int(((found_NxD < 0) | (found_NxD > 1)).any(axis=1).sum())
    share = outside / max(1, int(seen.sum())) if task.points.centre is not None else 0.0
    return Look(info, task.rule_frames(clip.landmarks), seen, values, low, high, total, share)


def odd_clips(looks: Sequence[Look], task: Task) -> dict[str, list[Look]]:
    """Those that deserve a look, by what is odd about them, the oddest first."""
    kinds: dict[str, tuple[Callable[[Look], float], Callable[[Look], bool]]] = {
        "shortest": (lambda each: each.info.num_frames, lambda each: True),
        "longest": (lambda each: -each.info.num_frames, lambda each: True),
        f"most without {task.visible}": (lambda each: -each.missing, lambda each: each.missing > 0),
        "out of the image": (lambda each: -each.outside, lambda each: each.outside > 0),
        "breaks the rule": (
            lambda each: each.rule_frames / task.units(each.info.label),
            lambda each: not each.info.plausible,
        ),
    }
    return {
        name: sorted(filter(fits, looks), key=lambda each: (order(each), each.info.sequence_id))[:_LOOKS]
        for name, (order, fits) in kinds.items()
    }


def section(sources: Sources, looks: Sequence[Look]) -> Section:
    """Everything of clips that were read, at least one."""
    task = sources.task
    by_split: dict[str, list[Look]] = {}
    for each in looks:
        by_split.setdefault(each.info.split, []).append(each)
    by_split = {name: by_split[name] for name in sorted(by_split, key=lambda name: (*SPLITS, name).index(name))}
    blocks = [
        Block("What there is", _overview(sources, by_split)),
        Block(f"{people(task).capitalize()}s", [_signers(by_split, task)]),
        Block("Labels", _labels(by_split, task)),
        Block("Lengths", _lengths(sources, by_split)),
        Block("What is missing", _missing(looks, task)),
        Block("Coordinates" if task.points.centre is not None else "Values", [_ranges(looks, task)]),
        Block("Clips that deserve a look", [_odd(looks, task)]),
    ]
    return Section("data", "Data", blocks)


def _overview(sources: Sources, by_split: Mapping[str, Sequence[Look]]) -> list[str | Table | Chart]:
    """The figures of a manifest, from where `pipeline.inspect` takes them too; of a folder by the same function."""
    task, found = sources.task, sources.dataset
    if found is not None:
        figures = {split: found.manifest["splits"][split] for split in found.splits}
        rejected, read = found.manifest["rejected"], found.manifest["read"]
        file = str(found.manifest["rejected_file"])
        directories.check_file(found.path / file, found.manifest["files"].get(file))
        examples = _lines(found.path / file)
    else:
        assert sources.folder is not None
        figures = {split: summary.summarize([each.info for each in group], task) for split, group in by_split.items()}
        examples, read = sources.folder.rejected, sum(map(len, by_split.values())) + len(sources.folder.rejected)
        rejected = dict(sorted(collections.Counter(each["reason"] for each in examples).items()))
    rows = [
        ["clips", *(f"{each['clips']:,}" for each in figures.values())],
        [f"{people(task)}s", *(f"{len(each['signers']):,}" for each in figures.values())],
        ["frames", *(f"{each['frames']:,}" for each in figures.values())],
        [f"without {task.visible}", *(_share(each["frames_unseen"], each["frames"]) for each in figures.values())],
    ]
    if task.rate:
        rows.insert(3, ["minutes", *(f"{each['frames'] / task.rate / 60:,.1f}" for each in figures.values())])
    counted = {"frames": "frames"} | ({"units": task.unit} if task.contract.filler is not None else {})
    spreads = [
        [f"{what}, {split}", *(f"{each[f'{key}_per_clip'].get(name, '')}" for name in summary.SPREAD)]
        for key, what in counted.items()
        for split, each in figures.items()
    ]
    items: list[str | Table | Chart] = [Table(["", *figures], rows), Table(["of a clip", *summary.SPREAD], spreads)]
    if not task.rate:
        items.append("The data do not say how many frames a second there are: lengths are in frames.")
    items.append(f"{read:,} clips read, {read - sum(rejected.values()):,} used, {sum(rejected.values()):,} rejected.")
    if rejected:
        first = {each["reason"]: each for each in reversed(examples)}
        told = ((reason, n, first[reason]) for reason, n in rejected.items())
        table = [[reason, f"{n:,}", f"{each['sequence_id']}", f"{each.get('detail', '')}"] for reason, n, each in told]
        items.append(Table(["rejected because of", "clips", "such as", "why"], table))
    if found is not None:
        items += [f"Looks wrong: {complaint}." for complaint in found.manifest.get("complaints", ())]
        shared = [
            [pair, *(f"{each[name]:,}" for name in ("signers", "clips", "labels", "clips_with_shared_label"))]
            for pair, each in found.manifest["overlap"].items()
        ]
        if shared:
            items.append(
                Table(["splits share", "signers", "clips", "labels", "clips of the second with those"], shared)
            )
    elif sources.folder and sources.folder.num_listed < len(sources.folder.table.entries):
        all_of_it = len(sources.folder.table.entries)
        files = f"{len(sources.folder.files):,} files, evenly spread"
        items.append(f"Read were {files}: {read:,} of {all_of_it:,} clips (--clips).")
    return items


def _share(some: int, of: int) -> str:
    return f"{some / max(1, of):.1%}"


def _lines(file: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _signers(by_split: Mapping[str, Sequence[Look]], task: Task) -> Chart:
    counts = {split: collections.Counter(each.info.signer for each in group) for split, group in by_split.items()}
    total = sum(counts.values(), collections.Counter())
    order = [who for who, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))][: 3 * _MOST]
    shown = f", the {len(order)} with most clips of {len(total)}" if len(order) < len(total) else ""
    groups = {split: [of[who] for who in order] for split, of in counts.items()}
    title = f"Clips by {people(task)} and split{shown}"
    return charts.stacked(title, list(map(str, order)), groups, across=people(task))


def _labels(by_split: Mapping[str, Sequence[Look]], task: Task) -> list[str | Table | Chart]:
    if task.contract.filler is None:
        counts = collections.Counter(each.info.label for group in by_split.values() for each in group)
        counts.update(dict.fromkeys(task.classes, 0))
        order = sorted(counts, key=lambda label: (-counts[label], label))
        title = f"Clips of each of the {len(order):,} {task.unit}"
        if len(order) <= 2 * _MOST:
            return [charts.bars(title, {label: counts[label] for label in order}, across="clips")]
        ends = (("most", order[:_MOST]), ("least", order[-_MOST:]))
        return [
            charts.bars(f"{title}: the {word} frequent", {label: counts[label] for label in chosen}, across="clips")
            for word, chosen in ends
        ]
    lengths = {split: [task.units(each.info.label) for each in group] for split, group in by_split.items()}
    used = collections.Counter(c for group in by_split.values() for each in group for c in each.info.label)
    often = dict(sorted(((visible(c), n) for c, n in used.items()), key=lambda item: (-item[1], item[0])))
    title = f"How often each of the {task.unit} occurs"
    frequent = charts.stacked(title, list(often), {"times": list(often.values())}, across="")
    return [charts.histogram("Length of labels", lengths, across=task.unit), frequent]


def _lengths(sources: Sources, by_split: Mapping[str, Sequence[Look]]) -> list[str | Table | Chart]:
    task = sources.task

    def of_clips(value: Callable[[Look], float]) -> dict[str, list[float]]:
        return {split: [value(each) for each in group] for split, group in by_split.items()}

    items: list[str | Table | Chart] = [
        charts.histogram("Frames", of_clips(lambda each: each.info.num_frames), across="frames"),
        charts.histogram(
            f"Frames without {task.visible}", of_clips(lambda each: each.info.frames_unseen), across="frames"
        ),
    ]
    if sources.folder and (numbers := sources.folder.last_frames()):
        items.append(charts.histogram("Largest frame number", {"all": numbers}, across="frame number"))
        spread = summary.spread([int(number) for number in numbers])
        items.append(Table(["largest frame number", *spread], [["of each clip", *map(str, spread.values())]]))
    if task.frames_a_unit:
        ratios = of_clips(lambda each: each.rule_frames / task.units(each.info.label))
        title = f"Frames that the rule counts, {f'by {task.unit}' if task.contract.filler is not None else 'a clip'}"
        failing = sum(not each.info.plausible for group in by_split.values() for each in group)
        items += [
            charts.histogram(title, ratios, across="frames", line=task.frames_a_unit, says="the rule's line"),
            f"{failing:,} clips break the rule for training a base model: {task.plausible_rule}.",
        ]
    return items


def _missing(looks: Sequence[Look], task: Task) -> list[str | Table | Chart]:
    seen = np.sum([each.seen for each in looks], axis=0)
    values = np.sum([each.values for each in looks], axis=0)
    never = np.sum([each.seen == 0 for each in looks], axis=0)
    names = list(parts(task.points))
    shares = {name: 1 - float(s) / max(1, int(v)) for name, s, v in zip(names, seen, values, strict=True)}
    rows = [[name, f"{shares[name]:.1%}", f"{n:,}"] for name, n in zip(names, never.tolist(), strict=True)]
    return [
        charts.bars("Share of values that are missing", shares, across="missing", percent=True),
        Table(["part", "missing", "clips without any"], rows),
    ]


def _ranges(looks: Sequence[Look], task: Task) -> Table:
    low = np.min([each.low for each in looks], axis=0)
    high = np.max([each.high for each in looks], axis=0)
    total = np.sum([each.total for each in looks], axis=0)
    seen = np.sum([each.seen for each in looks], axis=0)
    rows = []
    for g, name in enumerate(parts(task.points)):
        for d, axis in enumerate(task.points.axes):
            there = [low[g, d], total[g, d] / max(1, seen[g]), high[g, d]]
            shown = [f"{value:,.4g}" for value in there] if seen[g] else ["", "", ""]
            rows.append([name if d == 0 else "", axis, *shown] if len(task.points.axes) > 1 else [name, *shown])
    axis_column = ["axis"] if len(task.points.axes) > 1 else []
    return Table(["part", *axis_column, "smallest", "mean", "largest"], rows)


def _odd(looks: Sequence[Look], task: Task) -> Table:
    rows = [
        [
            kind if n == 0 else "",
            ClipId(each.info.sequence_id),
            each.info.label,
            str(each.info.signer),
            f"{each.info.num_frames:,}",
            f"{each.missing:.0%}",
            f"{each.outside:.1%}" if task.points.centre is not None else "",
        ]
        for kind, found in odd_clips(looks, task).items()
        for n, each in enumerate(found)
    ]
    outside = "outside the image" if task.points.centre is not None else ""
    return Table(["", "clip", "label", people(task), "frames", f"without {task.visible}", outside], rows)
