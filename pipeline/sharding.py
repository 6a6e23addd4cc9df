"""Shards: units of conversion that nothing outside them can change.

A plan divides the input files into shards. A shard becomes one record file per split and, written last, a report; a
shard whose report is there is done, and need not be made again.
"""

import collections
import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pipeline import directories, records
from pipeline.commands import UserError
from pipeline.features import features
from pipeline.sequences import Sequence
from pipeline.splits import SPLITS, TRAIN
from pipeline.statistics import Moments

_FOLDERS = ("shards", "reports")


@dataclasses.dataclass(frozen=True)
class Shard:
    """A unit of work: `files` are what it is made from, `fingerprint` says what it must become."""

    index: int
    total: int
    fingerprint: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.index:05d}-of-{self.total:05d}"

    def record_name(self, split: str) -> str:
        return str(RecordName(split, self.index, self.total))

    def report_path(self, directory: pathlib.Path) -> pathlib.Path:
        return directory / "reports" / f"{self}.json"


@dataclasses.dataclass(frozen=True)
class RecordName:
    """The name of a record file, such as `train-00007-of-00068.tfrecord.gz`."""

    split: str
    index: int
    total: int

    def __str__(self) -> str:
        return f"{self.split}-{self.index:05d}-of-{self.total:05d}.tfrecord.gz"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Raises `ValueError` for any other name."""
        match = re.fullmatch(rf"({'|'.join(SPLITS)})-(\d{{5}})-of-(\d{{5}})\.tfrecord\.gz", name)
        if not match or not int(match[2]) < int(match[3]):
            raise ValueError(f"{name!r} is no name of a record file")
        return cls(match[1], int(match[2]), int(match[3]))

    def path(self, directory: pathlib.Path) -> pathlib.Path:
        return directory / "shards" / str(self)


def plan(sizes: Mapping[str, int], num_shards: int) -> list[list[str]]:
    """Divides whole files into shards of about the same number of bytes; depends on names and sizes alone.

    Files are sorted by name in a shard, and shards by their first file. There are never more shards than files.
    """
    num_shards = min(num_shards, len(sizes))
    shards: list[list[str]] = [[] for _ in range(num_shards)]
    loads = [0] * num_shards
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        # An empty shard first: files without bytes must not leave one empty.
        lightest = min(range(num_shards), key=lambda i: (bool(shards[i]), loads[i], i))
        shards[lightest].append(name)
        loads[lightest] += sizes[name]
    return sorted(sorted(shard) for shard in shards)


def shards_of(request: directories.Request, groups: list[list[str]]) -> list[Shard]:
    """The shards of a plan. A shard's fingerprint covers the whole request: any other setting makes another shard."""
    return [
        Shard(index, len(groups), directories.fingerprint([request.fingerprint, index, files]), tuple(files))
        for index, files in enumerate(groups)
    ]


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record file of a shard: how many sequences and bytes, and the hashes of `records.RecordWriter`."""

    name: str
    split: str
    sequences: int
    bytes: int
    records_sha256: str
    file_sha256: str


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What became of a shard: read = written + rejected.

    Attributes:
      fingerprint: of the shard.
      files: the record files, one a split that has sequences, in the order of `splits.SPLITS`.
      rejected: JSON data of each sequence that was read and not written; each has `sequence_id` and `reason`.
      infinite_values: how many coordinates were infinite and became missing.
      moments: of the features of the training split.
    """

    shard: str
    fingerprint: str
    files: list[RecordFile]
    read: int
    rejected: list[dict[str, Any]]
    infinite_values: int
    moments: Moments

    @property
    def written(self) -> int:
        return sum(file.sequences for file in self.files)

    @property
    def reasons(self) -> collections.Counter[str]:
        return collections.Counter(each["reason"] for each in self.rejected)

    def as_json(self) -> dict[str, Any]:
        return self.summary() | {"rejected": self.rejected, "moments": self.moments.as_json()}

    def summary(self) -> dict[str, Any]:
        """What the manifest tells: the rejected ones counted by reason, no moments."""
        return {
            "shard": self.shard,
            "fingerprint": self.fingerprint,
            "files": [dataclasses.asdict(file) for file in self.files],
            "read": self.read,
            "written": self.written,
            "rejected": dict(self.reasons),
            "infinite_values": self.infinite_values,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(
            shard=data["shard"],
            fingerprint=data["fingerprint"],
            files=[RecordFile(**file) for file in data["files"]],
            read=data["read"],
            rejected=data["rejected"],
            infinite_values=data["infinite_values"],
            moments=Moments.from_json(data["moments"]),
        )


class ShardWriter:
    """Writes one shard: record files, and when the `with` block ends without an exception, the report.

    Every sequence that the caller meets is either written or rejected, once.
    """

    def __init__(self, directory: pathlib.Path, shard: Shard):
        self._directory = directory
        self._shard = shard
        self._writers: dict[str, records.RecordWriter] = {}
        self._files = contextlib.ExitStack()
        self._rejected: list[dict[str, Any]] = []
        self._infinite_values = 0
        self._moments = Moments.none()

    def __enter__(self) -> Self:
        return self

    def write(self, split: str, sequence: Sequence) -> None:
        """Infinite coordinates become missing and are counted."""
        infinite = np.isinf(sequence.landmarks)
        if infinite.any():
            self._infinite_values += int(np.count_nonzero(infinite))
            landmarks = np.where(infinite, np.float32(np.nan), sequence.landmarks)
            sequence = dataclasses.replace(sequence, landmarks=landmarks)
        if split not in self._writers:
            path = RecordName(split, self._shard.index, self._shard.total).path(self._directory)
            self._writers[split] = self._files.enter_context(records.RecordWriter(path))
        self._writers[split].write(records.encode(sequence))
        if split == TRAIN:
            self._moments = self._moments.merge(Moments.of(features(sequence.landmarks)))

    def reject(self, sequence_id: int, reason: str, **detail: Any) -> None:
        self._rejected.append({"sequence_id": sequence_id, "reason": reason, **detail})

    def __exit__(self, *exception) -> None:
        self._files.__exit__(*exception)
        if exception[0] is None:
            with directories.failures_named(self._directory):
                directories.write_json(self._shard.report_path(self._directory), self._report().as_json())

    def _report(self) -> ShardReport:
        files = [
            RecordFile(
                self._shard.record_name(split),
                split,
                writer.count,
                writer.size,
                writer.records_sha256,
                writer.file_sha256,
            )
            for split, writer in sorted(self._writers.items(), key=lambda item: SPLITS.index(item[0]))
        ]
        return ShardReport(
            shard=str(self._shard),
            fingerprint=self._shard.fingerprint,
            files=files,
            read=sum(file.sequences for file in files) + len(self._rejected),
            rejected=self._rejected,
            infinite_values=self._infinite_values,
            moments=self._moments,
        )


def finished_report(directory: pathlib.Path, shard: Shard) -> ShardReport | None:
    """The report of a shard that is done: same fingerprint, every record file there with its size. Otherwise None."""
    try:
        report = ShardReport.from_json(directories.read_json(shard.report_path(directory)))
        sizes = [(directory / "shards" / file.name).stat().st_size for file in report.files]
    except (UserError, OSError, LookupError, TypeError, ValueError):
        return None
    complete = report.fingerprint == shard.fingerprint and sizes == [file.bytes for file in report.files]
    return report if complete else None


def prepare(directory: pathlib.Path) -> None:
    """Makes the folders that shards are written to, and clears them of what a killed process was writing."""
    with directories.failures_named(directory):
        for name in _FOLDERS:
            (directory / name).mkdir(exist_ok=True)
    remove_leftovers(directory)


def remove_leftovers(directory: pathlib.Path) -> None:
    """Removes half-written files; whoever calls it must be the only one who writes."""
    for name in _FOLDERS:
        for leftover in (directory / name).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def read_reports(directory: pathlib.Path, shards: list[Shard]) -> list[ShardReport]:
    """The reports of all shards, in the order of the plan. Raises `UserError` for a shard that is not done."""
    reports = []
    for shard in shards:
        report = finished_report(directory, shard)
        if report is None:
            raise UserError(f"{directory}: shard {shard} was not finished: run the same command again")
        reports.append(report)
    return reports
