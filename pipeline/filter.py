"""Leaves out of a dataset the sequences that a recogniser reads badly: accidental taps and wrong phrases.

    python -m pipeline.filter --dataset out/dataset --scores out/scores --output out/dataset-filtered

Training and validation sequences that score below the threshold are dropped and listed in dropped.jsonl; the test
split is copied whole. The result is a dataset like any other, with its own statistics.
"""

import argparse
import collections
import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipeline import commands, dataset, directories, runners, score_table
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.runners import Runner
from pipeline.score_table import Row
from pipeline.sequences import Sequence
from pipeline.sharding import Shard, ShardReport, ShardWriter
from pipeline.splits import SPLITS, TEST, TRAIN
from pipeline.storage import Path

DROPPED = "dropped.jsonl"
LOW_SCORE = "low_score"

_BINS = 100
# Beyond these no valley is believed: below, hardly anything is dropped; above, good sequences are.
_LOWEST, _HIGHEST = 0.1, 0.5


def choose_threshold(scores: Iterable[float]) -> float:
    """The score that best divides the bad sequences from the good: Otsu's threshold, between 0.1 and 0.5.

    But never so high that it would drop more than half: then the base model, not the data, is at fault.
    The scores, cut off at 0 and 1, are counted in bins of 0.01. The threshold is the bin edge that makes the variance
    between the two sides greatest (N. Otsu, 1979); of equally good edges, which enclose an empty valley, the middle. It
    is chosen from the scores alone: nothing here knows which sequences are bad. There must be scores.
    """
    known = np.fromiter(scores, np.float64)
    counts, edges = np.histogram(np.clip(known, 0, 1), _BINS, (0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    difference = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    between = below * above * np.square(difference)
    best = np.flatnonzero(np.isclose(between, between.max(), rtol=1e-9, atol=0))
    threshold = float(edges[1:-1][best].mean()) if between.max() > 0 else 0.0
    threshold = round(min(max(threshold, _LOWEST), _HIGHEST), 3)
    return min(threshold, math.floor(np.median(known) * 1000) / 1000)


@dataclasses.dataclass(frozen=True)
class FilterShard:
    """Makes one shard of `output` from the record files of the same shard of `parent`.

    A worker reads parent and scores itself; `fingerprint` and `scores_sha256` say which.
    """

    parent: Path
    scores: Path
    output: Path
    threshold: float
    fingerprint: str
    scores_sha256: str

    def __call__(self, shard: Shard) -> None:
        """Raises `UserError` for a sequence without a score, or one scored as something else."""
        parent, rows = _read(self.parent, self.scores, self.fingerprint, self.scores_sha256)
        with ShardWriter(self.output, shard) as writer:
            for split in SPLITS:
                for file in parent.record_files(split):
                    if file.name not in shard.files:
                        continue
                    for sequence in parent.read_file(file):
                        row = _row(rows, self.scores, sequence, split)
                        if split == TEST or row.score >= self.threshold:
                            writer.write(split, sequence)
                        else:
                            writer.reject(row.sequence_id, LOW_SCORE, **_why(row))


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one data set
def _read(parent: Path, scores: Path, fingerprint: str, scores_sha256: str) -> tuple[Dataset, dict[int, Row]]:
    source = Dataset.open(parent)
    if source.fingerprint != fingerprint or directories.sha256_of(scores) != scores_sha256:
        raise UserError(f"{parent} or {scores} changed while it was filtered, or a worker sees others: start again")
    return source, score_table.read(scores)


def _row(rows: dict[int, Row], table: Path, sequence: Sequence, split: str) -> Row:
    row = rows.get(sequence.sequence_id)
    if row is None:
        raise UserError(f"{table} has no score of sequence {sequence.sequence_id}: score the dataset again")
    scored = (row.target, row.split, row.participant_id, row.num_frames)
    known = (sequence.label, split, sequence.participant_id, sequence.num_frames)
    if scored != known:
        told = "{!r} in {}, by signer {}, {} frames"
        raise UserError(
            f"{table}: sequence {row.sequence_id} is {told.format(*scored)}, in the dataset {told.format(*known)}:"
            " score the dataset again"
        )
    return row


def _why(row: Row) -> dict:
    names = ("split", "participant_id", "score", "target", "recognised")
    return {name: getattr(row, name) for name in names}


def filter_dataset(parent: Path, scores: Path, output: Path, *, threshold: float | None, runner: Runner) -> None:
    """Makes the dataset `output`; finds a complete one done.

    Args:
      threshold: chosen from the training split's scores where None.

    Raises:
      UserError: `parent` or `scores` is no such directory; the scores are of another dataset, incomplete, or of unknown
        sequences; nothing is left to train on.
    """
    source = Dataset.open(parent)
    if directories.read_manifest(scores, score_table.KIND).get("dataset") != source.fingerprint:
        raise UserError(f"{scores} holds the scores of another dataset than {parent}: score this one (training.score)")
    table = scores / score_table.FILE_NAME
    rows = score_table.read(table)
    scores_sha256 = directories.sha256_of(table)
    _check_rows(rows, table, source)
    chosen = "given" if threshold is not None else "chosen from the training scores"
    if threshold is None:
        threshold = choose_threshold(row.score for row in rows.values() if row.split == TRAIN)
    best = max(row.score for row in rows.values() if row.split == TRAIN)
    if best < threshold:
        raise UserError(f"--threshold {threshold:g} leaves nothing to train on: the best training score is {best:.4g}")
    request = directories.Request(
        dataset.KIND,
        {
            "from": "filter",
            "task": dataset.TASK,
            "split": source.manifest["settings"].get("split", {}),
            "parent": source.fingerprint,
            "scores_sha256": scores_sha256,
            "threshold": threshold,
            "threshold_was": chosen,
            "files": {file["name"]: file["bytes"] for shard in source.manifest["shards"] for file in shard["files"]},
            "shards": [[file["name"] for file in shard["files"]] for shard in source.manifest["shards"]],
        },
    )
    if directories.prepare(output, request):
        print(f"{output} is already complete")
        return
    from pipeline import transforms  # Apache Beam takes seconds to import: only when there is work to do

    reports = transforms.make_shards(
        FilterShard(parent, table, output, threshold, source.fingerprint, scores_sha256),
        request,
        directory=output,
        runner=runner,
        sequences=len(rows),
        title="filtering",
    )
    content = {"parent": {"path": str(parent), "fingerprint": source.fingerprint}} | _accounts(reports, rows)
    dataset.finish(output, request, reports, content=content, rejected_name=DROPPED)
    print(_summary(output, threshold, chosen, source))


def _accounts(reports: Iterable[ShardReport], rows: Mapping[int, Row]) -> dict[str, Any]:
    """How many were dropped of each split, and of each signer how many there were, and were dropped for each reason."""
    dropped = [each for report in reports for each in report.rejected]
    read = collections.Counter(row.participant_id for row in rows.values())
    reasons = collections.Counter((each["participant_id"], each["reason"]) for each in dropped)
    return {
        "dropped": {split: sum(each["split"] == split for each in dropped) for split in SPLITS},
        "dropped_by_participant": {
            str(who): {"read": read[who], LOW_SCORE: reasons[who, LOW_SCORE]} for who in sorted(read)
        },
    }


def _check_rows(rows: dict[int, Row], table: Path, source: Dataset) -> None:
    """With this, and a score of every sequence, which the shards check, no score is left over."""
    total = sum(source.count(split) for split in SPLITS)
    if len(rows) != total:
        raise UserError(f"{table} has {len(rows)} scores, the dataset {total} sequences: score the dataset again")


def _summary(output: Path, threshold: float, chosen: str, source: Dataset) -> str:
    result = Dataset.open(output)
    kept = ", ".join(f"{result.count(split):,} of {source.count(split):,} {split}" for split in SPLITS)
    return (
        f"{output}: kept {kept}; threshold {threshold} ({chosen})\n"
        f"next: python -m training.train --dataset {output} --output RUN --preset final"
    )


def main() -> None:
    parser = commands.Parser(__doc__)
    parser.add_argument("--dataset", type=commands.path, required=True, help="dataset to filter")
    parser.add_argument("--scores", type=commands.path, required=True, help="scores of that dataset (training.score)")
    parser.add_argument(
        "--output", type=commands.path, required=True, help="directory for the result: new, or unfinished"
    )
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default="auto",
        metavar="auto|SCORE",
        help="drop what scores below this; auto: from the distribution of the training scores",
    )
    runners.add_options(parser)
    args = parser.parse_args()
    runner = runners.chosen(args, places=(args.dataset, args.scores, args.output))
    filter_dataset(args.dataset, args.scores, args.output, threshold=args.threshold, runner=runner)


def _threshold(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number")
    return value


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import filter as module

    commands.run(module.main)
