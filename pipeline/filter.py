"""Leaves out of a dataset the clips that a recognizer reads badly: accidental taps and wrong phrases.

    python -m pipeline.filter --dataset out/dataset --scores out/scores --output out/dataset-filtered

Training and validation clips that score below the threshold are dropped and listed in dropped.jsonl; of a task with one
class a clip, those whose label is less probable than that. The test split is copied whole. The result is a dataset
like any other, with its own statistics.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.beam import job, runners
from pipeline.beam.runners import Runner
from pipeline.common import arguments, directories, errors, progress
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import dataset
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import Shard, ShardReport, ShardWriter
from pipeline.dataset.splits import SPLITS, TEST, TRAIN
from pipeline.scores import score_table
from pipeline.scores.score_table import Row
from pipeline.scores.threshold import threshold_for
from pipeline.tasks.faults import LOW_SCORE, Fault


@dataclasses.dataclass(frozen=True)
class FilterShard:
    """Makes one shard of `output` from the record files of the same shard of `parent`.

    A worker reads parent and scores itself; `fingerprint` and `scores_sha256` say which.
    """

    parent: AnyPath
    scores: AnyPath
    output: AnyPath
    threshold: float
    fingerprint: str
    scores_sha256: str

    def __call__(self, shard: Shard) -> None:
        """Raises `UserError` for a clip without a score, or one scored as something else."""
        parent, rows = _read(self.parent, self.scores, self.fingerprint, self.scores_sha256)
        with ShardWriter(self.output, shard, parent.task) as writer:
            for split in SPLITS:
                for file in parent.record_files(split):
                    if file.name not in shard.files:
                        continue
                    for clip in parent.read_file(file):
                        row = _row(rows, self.scores, clip, split)
                        if split == TEST or row.quality >= self.threshold:
                            writer.write(split, clip)
                        else:
                            writer.reject(row.sequence_id, Fault(LOW_SCORE, f"{row.quality:.4g}"), **_why(row))


@functools.lru_cache(maxsize=1)  # a worker makes many shards of one dataset
def _read(parent: AnyPath, scores: AnyPath, fingerprint: str, scores_sha256: str) -> tuple[Dataset, dict[int, Row]]:
    source = Dataset.open(parent)
    if source.fingerprint != fingerprint or directories.sha256_of(scores) != scores_sha256:
        raise UserError(f"{parent} or {scores} changed while it was filtered, or a worker sees others: start again")
    return source, score_table.read(scores)


def _row(rows: dict[int, Row], table: AnyPath, clip: Clip, split: str) -> Row:
    row = rows.get(clip.sequence_id)
    if row is None:
        raise UserError(f"{table} has no score of clip {clip.sequence_id}: score the dataset again")
    scored = (row.label, row.split, row.signer, row.num_frames)
    known = (clip.label, split, clip.signer, clip.num_frames)
    if scored != known:
        shown = "{!r} in {}, by signer {}, {} frames"
        raise UserError(
            f"{table}: clip {row.sequence_id} is {shown.format(*scored)}, in the dataset {shown.format(*known)}:"
            " score the dataset again"
        )
    return row


def _why(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("split", "signer", "score", "quality", "label", "prediction")}


def filter_dataset(
    parent: AnyPath, scores: AnyPath, output: AnyPath, *, threshold: float | None, runner: Runner
) -> None:
    """Makes the dataset `output`, unless it is complete.

    Args:
      threshold: chosen from the training split's scores where None.

    Raises:
      UserError: `parent` or `scores` is no such directory; the scores are of another dataset, incomplete, or of unknown
        clips; nothing is left to train on.
    """
    source = Dataset.open(parent)
    manifest, rows = score_table.open_table(scores)
    if manifest.get("dataset") != source.fingerprint:
        raise UserError(f"{scores} holds the scores of another dataset than {parent}: score this one (training.score)")
    table = scores / score_table.FILE_NAME
    scores_sha256 = manifest["files"][score_table.FILE_NAME]
    _check_rows(rows, table, source)
    origin = "given" if threshold is not None else "chosen from the training scores"
    training = [row for row in rows.values() if row.split == TRAIN]
    if threshold is None:
        threshold = threshold_for(training)
    training_scores = [row.quality for row in training]
    if max(training_scores) < threshold:
        best = f"{max(training_scores):.4g}"
        raise UserError(f"--threshold {threshold:g} leaves nothing to train on: the best training score is {best}")
    shards = source.manifest["shards"]
    request = directories.Request(
        dataset.KIND,
        {
            "from": "filter",
            "task": source.task.as_json(),
            "split": source.manifest["settings"]["split"],
            "parent": source.fingerprint,
            "scores_sha256": scores_sha256,
            "threshold": threshold,
            "threshold_was": origin,
            "files": {file["name"]: file["bytes"] for shard in shards for file in shard["files"]},
            "shards": [[file["name"] for file in shard["files"]] for shard in shards],
        },
    )
    parent_json = {"parent": {"path": str(parent), "fingerprint": source.fingerprint}}
    made = job.make_dataset(
        output,
        request,
        FilterShard(parent, table, output, threshold, source.fingerprint, scores_sha256),
        source.task,
        clips=len(rows),
        title="filtering",
        runner=runner,
        rejected_name=dataset.DROPPED,
        content=lambda reports: parent_json | _accounts(reports, rows),
    )
    if made:
        kept = ", ".join(f"{made['splits'][split]['clips']:,} of {source.count(split):,} {split}" for split in SPLITS)
        print(f"{output}: kept {kept}; threshold {threshold} ({origin})")
        _, final = source.task.default_presets()
        progress.next_step(
            f"python -m training.train {arguments.command('--dataset', output)} --output RUN --preset {final}"
        )


def _accounts(reports: Iterable[ShardReport], rows: Mapping[int, Row]) -> dict[str, Any]:
    """How many were dropped of each split, and of each signer how many there were, and were dropped."""
    dropped = [each for report in reports for each in report.rejected]
    read = collections.Counter(row.signer for row in rows.values())
    dropped_of = collections.Counter(each["signer"] for each in dropped)
    return {
        "dropped": {split: sum(each["split"] == split for each in dropped) for split in SPLITS},
        "dropped_by_signer": {str(who): {"read": read[who], LOW_SCORE: dropped_of[who]} for who in sorted(read)},
    }


def _check_rows(rows: dict[int, Row], table: AnyPath, source: Dataset) -> None:
    """With this, and a score of every clip, which the shards check, no score is left over."""
    total = sum(source.count(split) for split in SPLITS)
    if len(rows) != total:
        raise UserError(f"{table} has {len(rows)} scores, the dataset {total} clips: score the dataset again")


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--dataset", type=arguments.path, required=True, help="dataset to filter")
    parser.add_argument("--scores", type=arguments.path, required=True, help="scores of that dataset (training.score)")
    parser.add_argument("--output", type=arguments.path, required=True, help="new directory, or an unfinished one")
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default="auto",
        metavar="auto|SCORE",
        help="drop what scores below this; auto: from the distribution of the training scores",
    )
    runners.add_options(parser)
    args = parser.parse_args()
    runner = runners.from_arguments(args, places=(args.dataset, args.scores, args.output))
    filter_dataset(args.dataset, args.scores, args.output, threshold=args.threshold, runner=runner)


def _threshold(text: str) -> float | None:
    return None if text == "auto" else arguments.number(math.isfinite, "auto, or a number such as 0.4")(text)


if __name__ == "__main__":
    # By its own name: what is defined in `__main__` is not found there by the workers.
    from pipeline import filter as module

    errors.run(module.main)
