"""Shards: units of conversion that nothing outside them can change.

A plan divides the input files into shards. A shard becomes one record file per split and, written last, a report; a
shard whose report is there is done, and need not be made again.
"""

import collections
import contextlib
import dataclasses
import functools
import heapq
import re
import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pipeline import directories, records, storage
from pipeline.accounts import Written
from pipeline.commands import UserError
from pipeline.features import features
from pipeline.sequences import Sequence
from pipeline.splits import SPLITS, TRAIN
from pipeline.statistics import Moments
from pipeline.storage import GsPath, Path

SHARDS, REPORTS = "shards", "reports"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A unit of work: `files`, of so many `bytes`, are what it is made from; `fingerprint` says what it must become."""

    index: int
    total: int
    fingerprint: str
    files: tuple[str, ...]
    bytes: int

    def __str__(self) -> str:
        return f"{self.index:05d}-of-{self.total:05d}"

    def record_name(self, split: str) -> "RecordName":
        return RecordName(split, self.index, self.total)

    def report_path(self, directory: Path) -> Path:
        return directory / REPORTS / f"{self}.json"

    def progress_path(self, directory: Path) -> Path:
        return directory / REPORTS / f"{self}.progress"

    def error_path(self, directory: Path) -> Path:
        return directory / REPORTS / f"{self}.error"


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

    def path(self, directory: Path) -> Path:
        return directory / SHARDS / str(self)


def plan(sizes: Mapping[str, int], num_shards: int) -> list[list[str]]:
    """Divides whole files into shards of about the same number of bytes; depends on names and sizes alone.

    Files are sorted by name in a shard, and shards by their first file. There are never more shards than files.
    """
    num_shards = min(num_shards, len(sizes))
    shards: list[list[str]] = [[] for _ in range(num_shards)]
    # The lightest first; but an empty one before all: files without bytes must not leave one empty.
    heap = [(False, 0, index) for index in range(num_shards)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        _, load, index = heap[0]
        shards[index].append(name)
        heapq.heapreplace(heap, (True, load + sizes[name], index))
    return sorted(sorted(shard) for shard in shards)


def shards_of(request: directories.Request) -> list[Shard]:
    """The shards that a request plans: `files` are the bytes of each by name, `shards` the names of each shard's.

    A shard's fingerprint covers the whole request: any other setting makes another shard.
    """
    sizes, groups, whole = request.settings["files"], request.settings["shards"], request.fingerprint
    return [
        Shard(
            index,
            len(groups),
            directories.fingerprint([whole, index, files]),
            tuple(files),
            sum(sizes[file] for file in files),
        )
        for index, files in enumerate(groups)
    ]


@functools.lru_cache(maxsize=1)
def planned(directory: Path, fingerprint: str) -> list[Shard]:
    """The shards of the directory that is being made for the request with this fingerprint.

    Workers read the plan where it is: a job carries only numbers of shards, however many files there are.

    Raises:
      UserError: the directory is being made for another request.
    """
    request = directories.read_request(directory)
    if request.fingerprint != fingerprint:
        raise UserError(f"{directory} was claimed for something else meanwhile: choose another directory")
    return shards_of(request)


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
      bytes_read: of its input files.
      files: the record files, one a split that has sequences, in the order of `splits.SPLITS`.
      sequences: what was written, in the order it was met.
      rejected: JSON data of each sequence that was read and not written; each has `sequence_id` and `reason`.
      infinite_values: how many coordinates were infinite and became missing.
      moments: of the features of the training split.
    """

    shard: str
    fingerprint: str
    files: list[RecordFile]
    sequences: list[Written]
    bytes_read: int
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
        return self.summary() | {
            "sequences": [dataclasses.asdict(each) for each in self.sequences],
            "rejected": self.rejected,
            "moments": self.moments.as_json(),
        }

    def summary(self) -> dict[str, Any]:
        """What the manifest tells: the sequences counted, the rejected ones by reason, no moments."""
        return {
            "shard": self.shard,
            "fingerprint": self.fingerprint,
            "files": [dataclasses.asdict(file) for file in self.files],
            "bytes_read": self.bytes_read,
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
            sequences=[Written(**each) for each in data["sequences"]],
            bytes_read=data["bytes_read"],
            read=data["read"],
            rejected=data["rejected"],
            infinite_values=data["infinite_values"],
            moments=Moments.from_json(data["moments"]),
        )


class ShardWriter:
    """Writes one shard: record files, and when the `with` block ends without an exception, the report.

    Every sequence that the caller meets is either written or rejected, once.
    """

    def __init__(self, directory: Path, shard: Shard):
        self._directory = directory
        self._shard = shard
        self._writers: dict[str, records.RecordWriter] = {}
        self._files = contextlib.ExitStack()
        self._written: list[Written] = []
        self._rejected: list[dict[str, Any]] = []
        self._infinite_values = 0
        self._moments = Moments.none()
        self._told = time.monotonic()

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
            path = self._shard.record_name(split).path(self._directory)
            self._writers[split] = self._files.enter_context(records.RecordWriter(path))
        self._writers[split].write(records.encode(sequence))
        self._written.append(Written.of(sequence, split))
        if split == TRAIN:
            self._moments = self._moments.merge(Moments.of(features(sequence.landmarks)))
        self._tell()

    def reject(self, sequence_id: int, reason: str, **detail: Any) -> None:
        self._rejected.append({"sequence_id": sequence_id, "reason": reason, **detail})
        self._tell()

    def _tell(self) -> None:
        """Lets the launcher know, now and then, how far the shard is: files are what all workers share."""
        if time.monotonic() - self._told < patience(self._directory):
            return
        read = sum(writer.count for writer in self._writers.values()) + len(self._rejected)
        with contextlib.suppress(OSError):  # for want of it nothing goes wrong
            path = self._shard.progress_path(self._directory)
            directories.write_json(path, {"read": read, "rejected": len(self._rejected)})
        self._told = time.monotonic()

    def __exit__(self, *exception) -> None:
        self._files.__exit__(*exception)
        with contextlib.suppress(OSError):
            self._shard.progress_path(self._directory).unlink(missing_ok=True)
        if exception[0] is None:
            with directories.failures_named(self._directory):
                directories.write_json(self._shard.report_path(self._directory), self._report().as_json())

    def _report(self) -> ShardReport:
        files = [
            RecordFile(
                str(self._shard.record_name(split)),
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
            sequences=self._written,
            bytes_read=self._shard.bytes,
            read=sum(file.sequences for file in files) + len(self._rejected),
            rejected=self._rejected,
            infinite_values=self._infinite_values,
            moments=self._moments,
        )


def finished_report(directory: Path, shard: Shard, sizes: Mapping[str, int] | None = None) -> ShardReport | None:
    """The report of a shard that is done: same fingerprint, every record file there with its size. Otherwise None.

    Args:
      sizes: bytes of each record file that is there; looked up where None.
    """
    try:
        report = ShardReport.from_json(directories.read_json(shard.report_path(directory)))
    except (UserError, LookupError, TypeError, ValueError):
        return None
    if sizes is None:
        sizes = storage.file_sizes(directory / SHARDS)
    complete = report.fingerprint == shard.fingerprint and all(
        sizes.get(file.name) == file.bytes for file in report.files
    )
    return report if complete else None


def prepare(directory: Path, shards: list[Shard]) -> dict[Shard, ShardReport]:
    """Makes the folders that shards are written to, and clears them of what was left unfinished.

    Returns:
      The reports of the shards that are done.
    """
    with directories.failures_named(directory):
        for folder in (directory / SHARDS, directory / REPORTS):
            folder.mkdir(exist_ok=True)
        reports: dict[Shard, ShardReport] = {}
        look(directory, shards, reports)
        done = {shard.report_path(directory).name for shard in reports}
        for name in storage.file_sizes(directory / REPORTS):
            if name not in done:
                (directory / REPORTS / name).unlink(missing_ok=True)
        for folder in (directory, directory / SHARDS):
            storage.remove_leftovers(folder)
    return reports


@dataclasses.dataclass
class UnderWay:
    """What was read so far, and of that rejected, in shards that are not done."""

    read: int = 0
    rejected: int = 0


def look(directory: Path, shards: list[Shard], reports: dict[Shard, ShardReport]) -> UnderWay:
    """Adds to `reports` those of shards that are done by now; returns how far the others are."""
    # Two questions, however many shards there are. First the reports: their record files are there already.
    names = storage.file_sizes(directory / REPORTS)
    sizes = storage.file_sizes(directory / SHARDS)
    under_way = UnderWay()
    for shard in shards:
        if shard in reports:
            continue
        if shard.report_path(directory).name in names and (report := finished_report(directory, shard, sizes)):
            reports[shard] = report
        elif shard.progress_path(directory).name in names:
            with contextlib.suppress(UserError, LookupError):  # it may be gone by now
                told = directories.read_json(shard.progress_path(directory))
                under_way.read += told["read"]
                under_way.rejected += told["rejected"]
    return under_way


def patience(directory: Path) -> float:
    """Seconds from one look at the progress to the next, and from one word of a shard to the next: a bucket's cost."""
    return 10.0 if isinstance(directory, GsPath) else 0.5
