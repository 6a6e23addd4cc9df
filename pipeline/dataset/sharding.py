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
import sys
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pipeline.common import directories, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import records
from pipeline.dataset.clips import Clip, ClipInfo, examine
from pipeline.dataset.features import features, num_features
from pipeline.dataset.metadata import Entry
from pipeline.dataset.moments import Moments
from pipeline.dataset.splits import SPLITS, TRAIN
from pipeline.dataset.symptoms import Symptoms
from pipeline.tasks.faults import Fault
from pipeline.tasks.task import Task

SHARDS, REPORTS = "shards", "reports"
_CLIP_COLUMNS = [field.name for field in dataclasses.fields(ClipInfo)]


@dataclasses.dataclass(frozen=True)
class Shard:
    """A unit of work: `files`, of so many `bytes`, are what it is made from; `fingerprint` says what it must become.

    `inputs` tells the files from others of the same sizes; empty where the fingerprint does.
    """

    index: int
    total: int
    fingerprint: str
    files: tuple[str, ...]
    bytes: int
    inputs: str = ""

    def __str__(self) -> str:
        return f"{self.index:05d}-of-{self.total:05d}"

    def record_name(self, split: str) -> "RecordName":
        return RecordName(split, self.index, self.total)

    def report_path(self, directory: AnyPath) -> AnyPath:
        return report_path(directory, str(self))

    def error_path(self, directory: AnyPath) -> AnyPath:
        return directory / REPORTS / f"{self}.error"


def report_path(directory: AnyPath, shard: str) -> AnyPath:
    """Where the report of the shard of this name is."""
    return directory / REPORTS / f"{shard}.json"


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
            raise ValueError(f"{name!r} is not the name of a record file")
        return cls(match[1], int(match[2]), int(match[3]))

    def path(self, directory: AnyPath) -> AnyPath:
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
def planned(directory: AnyPath, fingerprint: str) -> list[Shard]:
    """The shards of the directory that is being made for the request with this fingerprint.

    Workers read the plan where it is: a job carries only numbers of shards, however many files there are.

    Raises:
      UserError: the directory is being made for another request.
    """
    asked = directories.read_json(directory / directories.REQUEST)
    request = directories.Request(asked["kind"], asked["settings"])
    if request.fingerprint != fingerprint:
        raise UserError(f"{directory} was claimed for something else meanwhile: choose another directory")
    return shards_of(request)


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record file of a shard: how many clips and bytes, and the identities of `records.RecordWriter`."""

    name: str
    split: str
    clips: int
    bytes: int
    content: str
    file_sha256: str


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What became of a shard: read = written + rejected.

    Attributes:
      fingerprint, inputs: of the shard.
      bytes_read: of its input files.
      files: the record files, one a split that has clips, in the order of `splits.SPLITS`.
      clips: what was written, in the order it was met.
      rejected: JSON data of each clip that was read and not written; each has `sequence_id` and `reason`.
      infinite_values: how many coordinates were infinite and became missing.
      moments: of the features of the training split.
      symptoms: of the clips written; not in reports of earlier versions.
    """

    shard: str
    fingerprint: str
    inputs: str
    files: list[RecordFile]
    clips: list[ClipInfo]
    bytes_read: int
    read: int
    rejected: list[dict[str, Any]]
    infinite_values: int
    moments: Moments
    symptoms: Symptoms = dataclasses.field(default_factory=Symptoms)

    @property
    def written(self) -> int:
        return sum(file.clips for file in self.files)

    @property
    def reasons(self) -> collections.Counter[str]:
        return collections.Counter(each["reason"] for each in self.rejected)

    def as_json(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        files = [dataclasses.asdict(each) for each in self.files]
        # By columns: of a long stream there are hundreds of thousands, and an object each takes three times the memory.
        clips = {name: [getattr(each, name) for each in self.clips] for name in _CLIP_COLUMNS}
        own = {"symptoms": dataclasses.asdict(self.symptoms), "moments": self.moments.as_json()}
        return values | {"files": files, "clips": clips} | own

    def summary(self) -> dict[str, Any]:
        """What the manifest tells: the clips counted, the rejected ones by reason, no moments and symptoms."""
        told = dataclasses.replace(self, clips=[]).as_json()
        values = {key: value for key, value in told.items() if key not in ("clips", "moments", "symptoms")}
        return values | {"written": self.written, "rejected": dict(self.reasons)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        files = [RecordFile(**file) for file in data["files"]]
        # Equal texts, such as labels, are one in memory, however many clips have them.
        columns = (
            [sys.intern(value) if isinstance(value, str) else value for value in data["clips"][name]]
            for name in _CLIP_COLUMNS
        )
        clips = [ClipInfo(*values) for values in zip(*columns, strict=True)]
        own = {"symptoms": Symptoms(**data.get("symptoms", {})), "moments": Moments.from_json(data["moments"])}
        return cls(**data | {"files": files, "clips": clips} | own)


class ShardWriter:
    """Writes one shard: record files, and when the `with` block ends without an exception, the report.

    Every clip that the caller meets is either written or rejected, once.
    """

    def __init__(self, directory: AnyPath, shard: Shard, task: Task):
        self._directory = directory
        self._shard = shard
        self._task = task
        self._writers: dict[str, records.RecordWriter] = {}
        self._files = contextlib.ExitStack()
        self._written: list[ClipInfo] = []
        self._rejected: list[dict[str, Any]] = []
        self._symptoms = Symptoms()
        self._moments = Moments.none(num_features(task.points))

    def __enter__(self) -> Self:
        return self

    def write(self, split: str, clip: Clip, *, symptoms: Symptoms | None = None) -> None:
        """`symptoms` of the clip are only counted here."""
        if split not in self._writers:
            path = self._shard.record_name(split).path(self._directory)
            self._writers[split] = self._files.enter_context(records.RecordWriter(path))
        self._writers[split].write(records.encode(clip))
        self._written.append(ClipInfo.of(clip, split, self._task))
        self._symptoms += symptoms or Symptoms()
        if split == TRAIN:
            self._moments = self._moments.merge(Moments.of(features(clip.landmarks, self._task.points)))

    def take(self, split: str, entry: Entry, found: np.ndarray | Fault) -> None:
        """Writes the clip of a row of the metadata, or rejects it: `clips.examine` decides."""
        examined = examine(entry, found, self._task)
        if isinstance(examined, Fault):
            self.reject(entry.sequence_id, examined, file=entry.path)
        else:
            clip, symptoms = examined
            self.write(split, clip, symptoms=symptoms)

    def reject(self, sequence_id: int, fault: Fault, **where: Any) -> None:
        """`where` is JSON data that tells where the clip was met."""
        rejected = {"sequence_id": sequence_id, "reason": fault.reason, "detail": fault.detail, **where}
        self._rejected.append(rejected)

    def __exit__(self, *exception) -> None:
        self._files.__exit__(*exception)
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
                str(writer.content),
                writer.file_sha256,
            )
            for split, writer in sorted(self._writers.items(), key=lambda item: SPLITS.index(item[0]))
        ]
        return ShardReport(
            shard=str(self._shard),
            fingerprint=self._shard.fingerprint,
            inputs=self._shard.inputs,
            files=files,
            clips=self._written,
            bytes_read=self._shard.bytes,
            read=sum(file.clips for file in files) + len(self._rejected),
            rejected=self._rejected,
            infinite_values=self._symptoms.infinite_values,
            moments=self._moments,
            symptoms=self._symptoms,
        )


def finished_report(directory: AnyPath, shard: Shard, sizes: Mapping[str, int] | None = None) -> ShardReport | None:
    """The report of a shard that is done: same fingerprint and inputs, every record file there with its size. Or None.

    Args:
      sizes: bytes of each record file that is there; looked up where None.
    """
    try:
        report = ShardReport.from_json(directories.read_json(shard.report_path(directory)))
    except (UserError, LookupError, TypeError, ValueError, AttributeError):
        return None
    if sizes is None:
        sizes = storage.file_sizes(directory / SHARDS)
    same = (report.fingerprint, report.inputs) == (shard.fingerprint, shard.inputs)
    complete = same and all(sizes.get(file.name) == file.bytes for file in report.files)
    return report if complete else None


def prepare(directory: AnyPath, shards: list[Shard]) -> dict[Shard, ShardReport]:
    """Makes the folders that shards are written to, and clears them of what was left unfinished.

    Returns:
      The reports of the shards that are done.
    """
    with directories.failures_named(directory):
        for folder in (directory / SHARDS, directory / REPORTS):
            folder.mkdir(exist_ok=True)
        reports: dict[Shard, ShardReport] = {}
        add_finished(directory, shards, reports)
        done = {shard.report_path(directory).name for shard in reports}
        for name in storage.file_sizes(directory / REPORTS):
            if name not in done:
                (directory / REPORTS / name).unlink(missing_ok=True)
        storage.remove_leftovers(directory / SHARDS)
    return reports


def add_finished(directory: AnyPath, shards: list[Shard], reports: dict[Shard, ShardReport]) -> None:
    """Adds to `reports` those of the shards that are done by now."""
    # Two questions, however many shards there are. First the reports: their record files are there already.
    names = storage.file_sizes(directory / REPORTS)
    sizes = storage.file_sizes(directory / SHARDS)
    for shard in shards:
        if shard in reports or shard.report_path(directory).name not in names:
            continue
        if report := finished_report(directory, shard, sizes):
            reports[shard] = report
