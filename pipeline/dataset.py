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
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Self

import isal
import numpy as np

from pipeline import accounts, commands, directories, records, statistics, storage, vocabulary
from pipeline import landmarks as lm
from pipeline.accounts import Written
from pipeline.commands import UserError
from pipeline.features import NUM_FEATURES
from pipeline.sequences import Sequence
from pipeline.sharding import REPORTS, SHARDS, RecordFile, RecordName, ShardReport
from pipeline.splits import SPLITS, TRAIN
from pipeline.storage import Path

KIND = "dataset"
TASK = "fingerspelling"
STATISTICS = "statistics.json"
REJECTED = "rejected.jsonl"


def finish(
    directory: Path,
    request: directories.Request,
    reports: list[ShardReport],
    *,
    content: Mapping[str, Any],
    rejected_name: str = REJECTED,
) -> dict[str, Any]:
    """Folds the reports, in the order of the plan, and marks the directory complete. Returns its manifest.

    Args:
      content: what else the manifest holds.
      rejected_name: the file that lists what was rejected.

    Raises:
      UserError: there is nothing to train on.
    """
    folds = folded(reports)
    if not folds["splits"][TRAIN]["sequences"]:
        found = "".join(f", {count} {reason}" for reason, count in folds["rejected"].items())
        raise UserError(
            f"no sequence to train on: {folds['read']} read, {folds['written']} written{found}; {directory} stays"
            " incomplete, its reports say why"
        )
    with directories.failures_named(directory):
        directories.write_json(directory / STATISTICS, folded_statistics(reports))
        with storage.replacing(directory / rejected_name) as temporary:
            temporary.write_text(rejected_lines(reports), encoding="utf-8")
        directories.complete(
            directory,
            request,
            {
                "task": TASK,
                "points": lm.POINT_NAMES,
                "vocabulary": vocabulary.CHARACTERS,
                "rejected_file": rejected_name,
                "statistics_sha256": directories.sha256_of(directory / STATISTICS),
                "command": shlex.join(sys.orig_argv),
                "versions": {"python": platform.python_version()}
                | {name: importlib.metadata.version(name) for name in ("numpy", "pyarrow", "isal")}
                | {"isa-l": isal.ISAL_VERSION},  # another one may compress to other bytes
            }
            | folds
            | dict(content),
        )
    return directories.read_manifest(directory, KIND)


def folded(reports: list[ShardReport]) -> dict[str, Any]:
    """What the manifest tells of the reports."""
    sequences = [each for report in reports for each in report.sequences]
    read = sum(report.read for report in reports)
    reasons: collections.Counter[str] = sum((report.reasons for report in reports), collections.Counter())
    if len({each.sequence_id for each in sequences}) < len(sequences):
        raise RuntimeError("a sequence was written twice")
    if read != len(sequences) + reasons.total():
        raise RuntimeError(f"{read} sequences read, but {len(sequences)} written and {reasons.total()} rejected")
    return {
        "splits": accounts.by_split(sequences),
        "overlap": accounts.overlap(sequences),
        "content": directories.fingerprint(
            [TASK, *([file.name, file.records_sha256] for report in reports for file in report.files)]
        ),
        "bytes_read": sum(report.bytes_read for report in reports),
        "bytes_written": sum(file.bytes for report in reports for file in report.files),
        "read": read,
        "written": len(sequences),
        "rejected": dict(sorted(reasons.items())),
        "infinite_values": sum(report.infinite_values for report in reports),
        "shards": [report.summary() for report in reports],
    }


def folded_statistics(reports: list[ShardReport]) -> dict[str, list[float]]:
    """Mean, standard deviation and count of each feature; of floating-point sums the order of the reports decides."""
    moments = statistics.merge(report.moments for report in reports)
    return {
        "mean": moments.feature_mean.tolist(),
        "std": moments.feature_std.tolist(),
        "count": moments.count.astype(int).tolist(),
    }


def rejected_lines(reports: list[ShardReport]) -> str:
    """A line of JSON for each sequence that was rejected."""
    rejected = [each for report in reports for each in report.rejected]
    return "".join(json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in rejected)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A complete dataset directory.

    Attributes:
      mean, std: (600,) float32, of the training split's features; std is never 0.
    """

    path: Path
    manifest: dict[str, Any]
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Raises `UserError` for a directory that is no dataset, unfinished, or of other points, labels or version.

        And for one whose statistics or, by their sizes, record files are not those that the manifest tells of.
        """
        path = storage.path(path)
        manifest = directories.read_manifest(path, KIND, needed=("task", "splits", "content", "shards"))
        for key, wanted, words in (
            ("task", TASK, "task"),
            ("points", list(lm.POINT_NAMES), "list of points"),
            ("vocabulary", vocabulary.CHARACTERS, "vocabulary"),
        ):
            if manifest.get(key) != wanted:
                raise UserError(f"{path} was made for another {words} than this program's: convert the data again")
        found = cls(path, manifest, *read_statistics(path / STATISTICS))
        if "statistics_sha256" in manifest:
            directories.check_file(path / STATISTICS, manifest["statistics_sha256"])
        sizes = storage.file_sizes(path / SHARDS)
        try:
            files = [file for split in SPLITS for file in found.record_files(split)]
            places = [RecordName.parse(file.name).path(path) for file in files]
        except (LookupError, TypeError, ValueError) as error:
            said = f"{path / directories.MANIFEST} is damaged, or of another version of this program ({error})"
            raise UserError(f"{said}: make the data set again") from error
        for file, place in zip(files, places, strict=True):
            _check_size(place, sizes.get(file.name), file.bytes)
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
        """The signers of the sequences in `split`."""
        return self.manifest["splits"][split]["participants"]

    @property
    def signers_apart(self) -> bool:
        """Whether the rule that made the splits lets each signer be in one split only, as far as it is known here."""
        rule = self.manifest["settings"].get("split", {})
        return rule.get("by") == "participant" and not (rule.get("validation_files") or rule.get("test_files"))

    def written(self, split: str) -> list[Written]:
        """What the sequences of `split` are, without their landmarks, in the order of the plan.

        Raises:
          UserError: the report of a shard is missing or damaged.
        """
        found = []
        for shard in self.manifest["shards"]:
            path = self.path / REPORTS / f"{shard['shard']}.json"
            try:
                report = ShardReport.from_json(directories.read_json(path))
                whole = report.summary() == shard
            except (UserError, LookupError, TypeError, ValueError):
                whole = False
            if not whole:
                raise UserError(f"{path} is missing, damaged or of an earlier version: {records.MAKE_AGAIN}")
            found += [each for each in report.sequences if each.split == split]
        return found

    def record_files(self, split: str) -> list[RecordFile]:
        """The record files of `split`, in the order of the plan."""
        files = (RecordFile(**file) for shard in self.manifest["shards"] for file in shard["files"])
        return [file for file in files if file.split == split]

    def read(self, split: str) -> Iterator[Sequence]:
        """Yields the sequences of `split` in the order of the plan, every checksum verified.

        Raises:
          UserError: a record file is missing, damaged or another than the manifest says. A file's own SHA-256 is known
            only when all of it was read: who stops before has the checksums of the records alone.
        """
        for file in self.record_files(split):
            yield from self.read_file(file, cached=True)

    def read_file(self, file: RecordFile, *, cached: bool = False) -> Iterator[Sequence]:
        """Yields the sequences of one record file. Raises as `read` does.

        Args:
          cached: whether to copy one that is in a bucket to this machine, for the next time: see `storage.cached`.
        """
        path = RecordName.parse(file.name).path(self.path)
        if cached:
            try:
                path = storage.cached(path, file.file_sha256)
            except OSError as error:
                raise UserError(f"cannot copy {path} to {storage.cache()}: {commands.reason(error)}") from error
        count = 0
        for sequence in records.read_sequences(path, file_sha256=file.file_sha256):
            count += 1
            yield sequence
        if count != file.sequences:
            raise UserError(f"{path} has {count} sequences, the manifest says {file.sequences}: {records.MAKE_AGAIN}")


def read_statistics(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (600,) float32 each, or a `UserError` that names the file."""
    figures = directories.read_json(path)
    return _statistic(path, figures, "mean"), _statistic(path, figures, "std")


def _statistic(path: Path, figures: dict[str, Any], name: str) -> np.ndarray:
    try:
        values = np.array(figures[name], np.float32)
    except (LookupError, TypeError, ValueError):
        values = np.empty(0, np.float32)
    if values.shape != (NUM_FEATURES,) or not np.isfinite(values).all():
        raise UserError(
            f"{path}: expected {NUM_FEATURES} finite numbers in {name!r}: delete {path.parent} and make it again"
        )
    return values


def _check_size(file: Path, size: int | None, expected: int) -> None:
    if size is None:
        raise UserError(f"{file} is not there: {records.MAKE_AGAIN}")
    if size != expected:
        raise UserError(
            f"{file} has {size} bytes, the manifest says {expected}: cut short, or another data set's;"
            f" {records.MAKE_AGAIN}"
        )
