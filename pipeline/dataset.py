"""The dataset directory: what it holds, how it is finished, how it is read.

dataset/
  request.json                            what was asked for: identifies the content, written first
  shards/train-00007-of-00068.tfrecord.gz records of one split in one shard
  reports/00007-of-00068.json             written after its shard's record files: the shard is done
  statistics.json                         mean, standard deviation and count of each feature, training split
  rejected.jsonl                          every sequence that was read and not written, and why
  manifest.json                           written last: the directory is complete
"""

import collections
import dataclasses
import importlib.metadata
import json
import pathlib
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from pipeline import commands, directories, records, statistics, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.features import NUM_FEATURES
from pipeline.sequences import Sequence
from pipeline.sharding import RecordFile, RecordName, ShardReport
from pipeline.splits import SPLITS, TRAIN

KIND = "dataset"
TASK = "fingerspelling"
STATISTICS = "statistics.json"
REJECTED = "rejected.jsonl"


def finish(
    directory: pathlib.Path,
    request: directories.Request,
    reports: list[ShardReport],
    *,
    participants: Mapping[int, str],
    content: Mapping[str, Any],
    rejected_name: str = REJECTED,
) -> dict[str, Any]:
    """Folds the reports, in the order of the plan, and marks the directory complete. Returns its manifest.

    Args:
      participants: the split of each signer.
      content: what else the manifest holds.
      rejected_name: the file that lists what was rejected.

    Raises:
      UserError: there is nothing to train on.
    """
    counts = dict.fromkeys(SPLITS, 0)
    for report in reports:
        for record_file in report.files:
            counts[record_file.split] += record_file.sequences
    written = sum(counts.values())
    read = sum(report.read for report in reports)
    reasons: collections.Counter[str] = sum((report.reasons for report in reports), collections.Counter())
    if read != written + reasons.total():
        raise RuntimeError(f"{read} sequences read, but {written} written and {reasons.total()} rejected")
    if not counts[TRAIN]:
        found = "".join(f", {count} {reason}" for reason, count in sorted(reasons.items()))
        raise UserError(
            f"no sequence to train on: {read} read, {written} written{found}; {directory} stays incomplete, its reports"
            " say why"
        )

    moments = statistics.merge(report.moments for report in reports)
    with directories.failures_named(directory):
        directories.write_json(
            directory / STATISTICS,
            {
                "mean": moments.feature_mean.tolist(),
                "std": moments.feature_std.tolist(),
                "count": moments.count.astype(int).tolist(),
            },
        )
        with (
            directories.replacing(directory / rejected_name) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            for report in reports:
                for rejected in report.rejected:
                    file.write(json.dumps(rejected, ensure_ascii=False, sort_keys=True) + "\n")
        directories.complete(
            directory,
            request,
            {
                "task": TASK,
                "points": lm.POINT_NAMES,
                "vocabulary": vocabulary.CHARACTERS,
                "splits": {
                    split: {
                        "sequences": counts[split],
                        "participants": sorted(who for who, where in participants.items() if where == split),
                    }
                    for split in SPLITS
                },
                "content": directories.fingerprint(
                    [TASK, *([file.name, file.records_sha256] for report in reports for file in report.files)]
                ),
                "read": read,
                "written": written,
                "rejected": dict(sorted(reasons.items())),
                "infinite_values": sum(report.infinite_values for report in reports),
                "shards": [report.summary() for report in reports],
                "command": shlex.join(sys.orig_argv),
                "versions": {"python": platform.python_version()}
                | {name: importlib.metadata.version(name) for name in ("numpy", "pyarrow", "isal")},
            }
            | dict(content),
        )
    return directories.read_manifest(directory, KIND)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A complete dataset directory.

    Attributes:
      mean, std: (600,) float32, of the training split's features; std is never 0.
    """

    path: pathlib.Path
    manifest: dict[str, Any]
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def open(cls, path: pathlib.Path | str) -> Self:
        """Raises `UserError` for a directory that is no dataset, unfinished, or of other points, labels or version.

        And for one whose record files are not those that the manifest tells of, by their sizes.
        """
        path = pathlib.Path(path)
        manifest = directories.read_manifest(path, KIND, needed=("task", "splits", "content", "shards"))
        for key, wanted, words in (
            ("task", TASK, "task"),
            ("points", list(lm.POINT_NAMES), "list of points"),
            ("vocabulary", vocabulary.CHARACTERS, "vocabulary"),
        ):
            if manifest.get(key) != wanted:
                raise UserError(f"{path} was made for another {words} than this program's: convert the data again")
        found = cls(path, manifest, *read_statistics(path / STATISTICS))
        for split in SPLITS:
            for file in found.record_files(split):
                _check_size(RecordName.parse(file.name).path(path), file.bytes)
        return found

    @property
    def fingerprint(self) -> str:
        """Identifies the records, whatever made them."""
        return self.manifest["content"]

    @property
    def splits(self) -> list[str]:
        """The splits that have sequences."""
        return [split for split in SPLITS if self.count(split)]

    def count(self, split: str) -> int:
        """How many sequences `split` has."""
        return self.manifest["splits"][split]["sequences"]

    def participants(self, split: str) -> list[int]:
        """The signers that belong to `split`."""
        return self.manifest["splits"][split]["participants"]

    def record_files(self, split: str) -> list[RecordFile]:
        """The record files of `split`, in the order of the plan."""
        files = (RecordFile(**file) for shard in self.manifest["shards"] for file in shard["files"])
        return [file for file in files if file.split == split]

    def read(self, split: str) -> Iterator[Sequence]:
        """Yields the sequences of `split` in the order of the plan, every checksum verified.

        Raises:
          UserError: a record file is missing or damaged, or holds another number of sequences than the manifest says.
        """
        for file in self.record_files(split):
            yield from self.read_file(file)

    def read_file(self, file: RecordFile) -> Iterator[Sequence]:
        """Yields the sequences of one record file. Raises as `read` does."""
        path = RecordName.parse(file.name).path(self.path)
        count = 0
        for sequence in records.read_sequences(path):
            count += 1
            yield sequence
        if count != file.sequences:
            raise UserError(f"{path} has {count} sequences, the manifest says {file.sequences}: {records.MAKE_AGAIN}")


def read_statistics(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (600,) float32 each, or a `UserError` that names the file."""
    figures = directories.read_json(path)
    return _statistic(path, figures, "mean"), _statistic(path, figures, "std")


def _statistic(path: pathlib.Path, figures: dict[str, Any], name: str) -> np.ndarray:
    try:
        values = np.array(figures[name], np.float32)
    except (LookupError, TypeError, ValueError):
        values = np.empty(0, np.float32)
    if values.shape != (NUM_FEATURES,) or not np.isfinite(values).all():
        raise UserError(
            f"{path}: expected {NUM_FEATURES} finite numbers in {name!r}: delete {path.parent} and make it again"
        )
    return values


def _check_size(file: pathlib.Path, expected: int) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {file} ({commands.reason(error)}): {records.MAKE_AGAIN}") from error
    if size != expected:
        raise UserError(
            f"{file} has {size} bytes, the manifest says {expected}: cut short, or another data set's;"
            f" {records.MAKE_AGAIN}"
        )
