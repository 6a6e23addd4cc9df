"""What the reports of shards add up to: what a manifest tells of a dataset."""

import collections
import itertools
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline.common import directories
from pipeline.dataset import moments
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.records import Content
from pipeline.dataset.sharding import ShardReport
from pipeline.dataset.splits import SPLITS
from pipeline.tasks.task import Task

_PERCENTILES = (1, 5, 50, 95, 99)
_MOST_SOURCES = 20  # that are told: where the source is the clip's own name, there are as many as clips
# What is told of lengths.
SPREAD = ("mean", "min", *(f"p{percent}" for percent in _PERCENTILES), "max")


def fold_reports(reports: list[ShardReport], task: Task) -> dict[str, Any]:
    """What the manifest tells of the reports, which are in the order of the plan."""
    clips = [each for report in reports for each in report.clips]
    read = sum(report.read for report in reports)
    reasons: collections.Counter[str] = sum((report.reasons for report in reports), collections.Counter())
    if len({each.sequence_id for each in clips}) < len(clips):
        raise RuntimeError("a clip was written twice")
    if read != len(clips) + reasons.total():
        raise RuntimeError(f"{read} clips read, but {len(clips)} written and {reasons.total()} rejected")
    by_split = _by_split(clips)
    return {
        "splits": {split: summarize(group, task) for split, group in by_split.items()},
        "overlap": {
            f"{first}/{second}": _shared(by_split[first], by_split[second])
            for first, second in itertools.combinations(SPLITS, 2)
            if by_split[first] and by_split[second]
        },
        "content": _content(reports, task),
        "bytes_read": sum(report.bytes_read for report in reports),
        "bytes_written": sum(file.bytes for report in reports for file in report.files),
        "read": read,
        "written": len(clips),
        "rejected": dict(sorted(reasons.items())),
        "infinite_values": sum(report.infinite_values for report in reports),
        "shards": [report.summary() for report in reports],
    }


def fold_statistics(reports: list[ShardReport]) -> dict[str, list[float]]:
    """Mean, standard deviation and count of each feature; of floating-point sums the order of the reports decides."""
    total = moments.merge(report.moments for report in reports)
    return {
        "mean": total.feature_mean.tolist(),
        "std": total.feature_std.tolist(),
        "count": total.count.astype(int).tolist(),
    }


def rejected_lines(reports: list[ShardReport]) -> str:
    """A line of JSON for each clip that was rejected."""
    rejected = [each for report in reports for each in report.rejected]
    return "".join(json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in rejected)


def _content(reports: list[ShardReport], task: Task) -> str:
    """Identifies the records of each split, however they are divided into shards."""
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for file in (file for report in reports for file in report.files):
        parts[file.split].append(file.content)
    return directories.fingerprint([task.as_json(), *([split, str(Content(*each))] for split, each in parts.items())])


def _by_split(clips: Iterable[ClipInfo]) -> dict[str, list[ClipInfo]]:
    groups: dict[str, list[ClipInfo]] = {split: [] for split in SPLITS}
    for each in clips:
        groups[each.split].append(each)
    return groups


def summarize(group: list[ClipInfo], task: Task) -> dict[str, Any]:
    """Of a split: how many clips there are, whose, from which sources, and how long they are."""
    signers = collections.Counter(each.signer for each in group)
    sources = collections.Counter(each.source for each in group)
    return {
        "clips": len(group),
        "signers": sorted(signers),
        "clips_of_signer": {str(who): signers[who] for who in sorted(signers)},
        "clips_of_source": dict(sorted(sources.items())) if len(sources) <= _MOST_SOURCES else {},
        "frames": sum(each.num_frames for each in group),
        "frames_unseen": sum(each.frames_unseen for each in group),
        "frames_per_clip": spread([each.num_frames for each in group]),
        "units_per_clip": spread([task.units(each.label) for each in group]),
    }


def spread(values: list[int]) -> dict[str, float]:
    """Mean, extremes and percentiles; nothing of nothing."""
    if not values:
        return {}
    percentiles = [round(value, 1) for value in np.percentile(values, _PERCENTILES).tolist()]
    found = (round(float(np.mean(values)), 2), min(values), *percentiles, max(values))
    return dict(zip(SPREAD, found, strict=True))


def _shared(first: list[ClipInfo], second: list[ClipInfo]) -> dict[str, int]:
    """What two splits share: signers, clips, labels.

    Of the labels also how many clips of the second split have one that the first has: what a model may know by heart.
    """
    labels = {each.label for each in first}
    return {
        "signers": len({each.signer for each in first} & {each.signer for each in second}),
        "clips": len({each.sequence_id for each in first} & {each.sequence_id for each in second}),
        "labels": len(labels & {each.label for each in second}),
        "clips_with_shared_label": sum(each.label in labels for each in second),
    }
