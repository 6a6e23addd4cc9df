"""The dataset directory: what it holds, and how it is read.

dataset/
  request.json                            what was asked for: identifies the content, written first
  shards/train-00007-of-00068.tfrecord.gz records of one split in one shard
  reports/00007-of-00068.json             written after its shard's record files: the shard is done
  statistics.json                         mean, standard deviation and count of each feature, training split
  rejected.jsonl                          every clip that was read and not written, and why
  manifest.json                           written last: the directory is complete

Shapes: F features (see `pipeline.dataset.features`).
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from pipeline import tasks
from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import records
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.sharding import SHARDS, RecordFile, RecordName, ShardReport, report_path
from pipeline.dataset.splits import SPLITS
from pipeline.tasks.task import Task

KIND = directories.Kind("dataset", made_by="pipeline.convert")
STATISTICS = "statistics.json"
REJECTED = "rejected.jsonl"
DROPPED = "dropped.jsonl"  # in its place, of a filtered dataset


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A complete dataset directory.

    Attributes:
      task: what its clips and labels are.
      mean, std: (F,) float32, of the training split's features; std is never 0.
    """

    path: AnyPath
    manifest: dict[str, Any]
    task: Task
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def open(cls, path: AnyPath | str) -> Self:
        """Raises `UserError` for a directory that is not a dataset, unfinished, or of another task or version.

        And for one whose statistics or, by their sizes, record files are not those that the manifest describes.
        """
        path = storage.path(path)
        needed = ("task", "splits", "content", "shards")
        manifest = directories.read_manifest(path, KIND, needed=needed, files=[STATISTICS])
        task = tasks.from_json(manifest["task"], path / directories.MANIFEST)
        found = cls(path, manifest, task, *read_statistics(path))
        sizes = storage.file_sizes(path / SHARDS)
        try:
            files = [file for split in SPLITS for file in found.record_files(split)]
            places = [RecordName.parse(file.name).path(path) for file in files]
        except (LookupError, TypeError, ValueError) as error:
            said = f"{path / directories.MANIFEST} is damaged ({error})"
            raise UserError(f"{said}: delete {path} and make it again") from error
        for file, place in zip(files, places, strict=True):
            _check_size(place, sizes.get(file.name), file.bytes)
        return found

    @property
    def fingerprint(self) -> str:
        """Identifies task and records, however they are divided into shards, and whatever made them."""
        return self.manifest["content"]

    @property
    def splits(self) -> list[str]:
        """The splits that have clips."""
        return [split for split in SPLITS if self.count(split)]

    def count(self, split: str) -> int:
        """How many clips `split` has."""
        return self.manifest["splits"][split]["clips"]

    def signers(self, split: str) -> list[int]:
        """The signers of the clips in `split`."""
        return self.manifest["splits"][split]["signers"]

    def clips(self, split: str) -> list[ClipInfo]:
        """What there is to know of the clips of `split` without their landmarks, in the order of the plan."""
        return [each for report in self.reports for each in report.clips if each.split == split]

    @functools.cached_property
    def reports(self) -> list[ShardReport]:
        """The reports of all shards, in the order of the plan.

        Raises:
          UserError: one is missing or damaged.
        """
        reports = []
        for shard in self.manifest["shards"]:
            report = read_report(self, shard)
            if report is None or report.summary() != shard:
                raise UserError(f"{report_path(self.path, shard['shard'])} is missing or damaged: {records.MAKE_AGAIN}")
            reports.append(report)
        return reports

    def record_files(self, split: str) -> list[RecordFile]:
        """The record files of `split`, in the order of the plan."""
        files = (RecordFile(**file) for shard in self.manifest["shards"] for file in shard["files"])
        return [file for file in files if file.split == split]

    def read(self, split: str) -> Iterator[Clip]:
        """Yields the clips of `split` in the order of the plan, every checksum verified.

        Raises:
          UserError: a record file is missing, damaged or another than the manifest says. A file's own SHA-256 is known
            only when all of it was read: who stops before has the checksums of the records alone.
        """
        for file in self.record_files(split):
            yield from self.read_file(file, cached=True)

    def read_file(self, file: RecordFile, *, cached: bool = False) -> Iterator[Clip]:
        """Yields the clips of one record file. Raises as `read` does.

        Args:
          cached: whether to copy one that is in a bucket to this machine, for the next time: see `storage.cached`.
        """
        path = RecordName.parse(file.name).path(self.path)
        if cached:
            try:
                path = storage.cached(path, file.file_sha256)
            except OSError as error:
                raise UserError(f"cannot copy {path} to {storage.cache()}: {errors.reason(error)}") from error
        count = 0
        for clip in records.read_clips(path, self.task.points.shape, file_sha256=file.file_sha256):
            count += 1
            if count > file.clips:
                break
            yield clip
        if count != file.clips:
            found = f"more than {file.clips}" if count > file.clips else count
            raise UserError(f"{path} has {found} clips, the manifest says {file.clips}: {records.MAKE_AGAIN}")


def read_report(dataset: Dataset, shard: dict[str, Any]) -> ShardReport | None:
    """The report of a shard of the manifest; None where it is missing or damaged."""
    try:
        return ShardReport.from_json(directories.read_json(report_path(dataset.path, shard["shard"])))
    except (UserError, LookupError, TypeError, ValueError, AttributeError):
        return None


def read_statistics(directory: AnyPath) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (F,) float32 each, of a dataset or of a run."""
    figures = directories.read_json(directory / STATISTICS)
    return np.array(figures["mean"], np.float32), np.array(figures["std"], np.float32)


def _check_size(file: AnyPath, size: int | None, expected: int) -> None:
    if size != expected:
        cut = f"has {size} bytes, the manifest says {expected}: cut short, or another dataset's; {records.MAKE_AGAIN}"
        raise UserError(f"{file} is not there: {records.MAKE_AGAIN}" if size is None else f"{file} {cut}")
