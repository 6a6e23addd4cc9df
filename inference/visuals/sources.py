"""What a report is made from: directories of any kind, each known by its manifest, and folders of recordings."""

import csv
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from inference import measurements, recognizer
from inference.measurements import Measurement
from pipeline import tasks
from pipeline.common import directories, errors, progress
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import dataset, folder, readers
from pipeline.dataset.clips import Clip, ClipInfo, examine
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.metadata import Metadata
from pipeline.scores import analysis, score_table
from pipeline.scores.score_table import Row
from pipeline.tasks.faults import NO_LANDMARKS, Fault
from pipeline.tasks.task import Task
from training import runs

_NO_SPLIT = "not divided"  # what the clips of a folder are, that nobody has converted


@dataclasses.dataclass(frozen=True)
class Folder:
    """Recordings as they were given.

    Attributes:
      files: those that are read, of all that the metadata names.
      rejected: JSON data of each clip that was read and could not be used; filled by `read`.
    """

    path: AnyPath
    table: Metadata
    task: Task
    files: list[str]
    rejected: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @classmethod
    def open(cls, path: AnyPath, task: str | None, most: int) -> "Folder":
        """With so many files, evenly spread, that they hold at most about `most` clips.

        Raises:
          UserError: it is none, or the task needs a description.
        """
        table, found = folder.listed(path, task)
        files = sorted(table.by_path)
        wanted = max(1, min(len(files), round(most * len(files) / len(table.entries))))
        chosen = [files[i * len(files) // wanted] for i in range(wanted)]
        return cls(path, table, found, chosen)

    @property
    def num_listed(self) -> int:
        """Clips of the files that are read."""
        return sum(len(self.table.by_path[file]) for file in self.files)

    def read(self, only: set[int] | None = None) -> Iterator[tuple[ClipInfo, Clip]]:
        """Yields the clips that can be used, and judges the others as a conversion does.

        Args:
          only: ids of some; all where None.
        """
        self.rejected.clear()
        for file in self.files:
            entries = {entry.sequence_id: entry for entry in self.table.by_path[file]}
            if only is not None and not only & entries.keys():
                continue
            for sequence_id, found in readers.reader(self.task).read_clips(self.path / file, self.task, list(entries)):
                if (entry := entries.pop(sequence_id, None)) is None:
                    continue  # the metadata has no row of it
                examined = examine(entry, found, self.task)
                if isinstance(examined, Fault):
                    self._reject(sequence_id, examined)
                elif only is None or sequence_id in only:
                    clip = examined[0]
                    yield ClipInfo.of(clip, _NO_SPLIT, self.task), clip
            for sequence_id in entries:
                self._reject(sequence_id, Fault(NO_LANDMARKS, "the metadata names it, the file has no row of it"))

    def last_frames(self) -> list[float]:
        """The largest frame number of each clip, where frames are numbered."""
        reader = readers.reader(self.task)
        ids = {file: [entry.sequence_id for entry in self.table.by_path[file]] for file in self.files}
        return [n for file in self.files for n in reader.last_frames(self.path / file, self.task, ids[file]).values()]

    def _reject(self, sequence_id: int, fault: Fault) -> None:
        self.rejected.append({"sequence_id": sequence_id, "reason": fault.reason, "detail": fault.detail})


@dataclasses.dataclass(frozen=True)
class Scored:
    """A table of scores.

    Attributes:
      rows: by clip id.
      is_evaluation: of an exported model, and not of training.score.
    """

    path: AnyPath
    manifest: dict[str, Any]
    task: Task
    rows: dict[int, Row]
    is_evaluation: bool

    def of_split(self, split: str) -> dict[int, Row]:
        return {i: row for i, row in self.rows.items() if row.split == split}


@dataclasses.dataclass(frozen=True)
class Sources:
    """All that there is.

    Attributes:
      histories: lines of `history.csv`, by run.
      model: directory of an exported model.
      truth: kind of spoiling by clip id.
    """

    task: Task
    folder: Folder | None = None
    datasets: list[Dataset] = dataclasses.field(default_factory=list)
    scored: list[Scored] = dataclasses.field(default_factory=list)
    histories: dict[str, list[dict[str, float]]] = dataclasses.field(default_factory=dict)
    budget: list[Measurement] = dataclasses.field(default_factory=list)
    model: AnyPath | None = None
    truth: dict[int, str] = dataclasses.field(default_factory=dict)

    @property
    def dataset(self) -> Dataset | None:
        """The first that is not filtered, if there is one."""
        return next((each for each in self.datasets if "parent" not in each.manifest), next(iter(self.datasets), None))

    @property
    def filtered(self) -> Dataset | None:
        return next((each for each in self.datasets if "parent" in each.manifest), None)

    def read(self, only: set[int] | None = None) -> Iterator[tuple[ClipInfo, Clip]]:
        """Yields the clips of the dataset, or of the folder where there is none; of files that hold none, nothing.

        Args:
          only: ids of some; all where None.
        """
        if self.dataset is None:
            yield from self.folder.read(only) if self.folder else ()
            return
        for report in self.dataset.reports:
            infos = {info.sequence_id: info for info in report.clips}
            for file in report.files:
                wanted = {i for i, info in infos.items() if info.split == file.split and (only is None or i in only)}
                if not wanted:
                    continue
                for clip in self.dataset.read_file(file, cached=True):
                    if clip.sequence_id in wanted:
                        yield infos[clip.sequence_id], clip
                        wanted.discard(clip.sequence_id)
                    if not wanted:
                        break

    @property
    def num_clips(self) -> int:
        """How many `read` yields, at most."""
        if self.dataset is not None:
            return self.dataset.manifest["written"]
        return self.folder.num_listed if self.folder else 0


def open_all(paths: Iterable[AnyPath], *, task: str | None, truth: dict[int, str], most: int) -> Sources:
    """Opens directories by their kinds; a folder of such directories stands for all of them.

    Args:
      task: of folders of recordings: its name, or a description file; found where None.
      most: clips of a folder of recordings that are read.

    Raises:
      UserError: one is nothing that a report shows, or damaged; two of a kind of which one is shown; they are of
        different tasks.
    """
    folders: list[Folder] = []
    datasets: list[Dataset] = []
    scored: list[Scored] = []
    histories: dict[str, list[dict[str, float]]] = {}
    models: list[AnyPath] = []
    budgets: list[AnyPath] = []
    of: list[tuple[AnyPath, Task]] = []
    for path in (each for given in paths for each in _expanded(given)):
        kind = directories.read_manifest(path)["kind"] if (path / directories.MANIFEST).exists() else None
        if kind == dataset.KIND:
            datasets.append(Dataset.open(path))
            of.append((path, datasets[-1].task))
        elif kind in (score_table.KIND, analysis.KIND):
            manifest, rows = score_table.open_table(path, score_table.KIND, analysis.KIND)
            its = tasks.from_json(manifest["task"], path / directories.MANIFEST)
            scored.append(Scored(path, manifest, its, rows, kind == analysis.KIND))
            of.append((path, its))
        elif kind == runs.KIND:
            histories[path.name if path.name not in histories else str(path)] = read_history(path)
            manifest = directories.read_manifest(path, runs.KIND)
            of.append((path, tasks.from_json(manifest["settings"].get("task"), path / directories.MANIFEST)))
        elif kind == measurements.KIND:
            budgets.append(path)
        elif kind == recognizer.KIND:
            models.append(path)
            of.append((path, recognizer.task_and_language(path)[0]))
        else:  # what nobody made, or another command: sample data, tracked videos
            folders.append(Folder.open(path, task, most))
            of.append((path, folders[-1].task))
    for several, what in ((folders, "data folders"), (models, "models"), (budgets, "budgets")):
        if len(several) > 1:
            raise UserError(f"{len(several)} {what}: a report shows one, name one of them")
    made, filtered = ([each for each in datasets if ("parent" in each.manifest) is child] for child in (False, True))
    for alike in (made, filtered):
        if len(alike) > 1:
            raise UserError(f"{alike[0].path} and {alike[1].path}: a report shows one dataset, and one filtered of it")
    if not of:
        raise UserError("a budget alone does not say of which task it is: name its run or its dataset too")
    for path, its in of[1:]:
        tasks.check_same(of[0][1], of[0][0], its, path)
    return Sources(
        of[0][1],
        folders[0] if folders else None,
        datasets,
        sorted(scored, key=lambda table: table.is_evaluation),
        histories,
        measurements.read(budgets[0], complete=True) if budgets else [],
        models[0] if models else None,
        truth,
    )


def _expanded(path: AnyPath) -> Sequence[AnyPath]:
    """The directory itself, or where it only holds directories with manifests, those of kinds that are shown."""
    if not path.is_dir():
        raise UserError(f"{path}: {errors.what_is_there(path)}; expected what a command of this program made, or data")
    own = (path / directories.MANIFEST).is_file()
    if own and directories.read_manifest(path)["kind"] in _SHOWN:
        return [path]
    inside = [path / name for name in sorted(each.name for each in path.iterdir())]
    made = [each for each in inside if (each / directories.MANIFEST).is_file()]
    found = [each for each in made if directories.read_manifest(each)["kind"] in _SHOWN]
    return found or [path]


_SHOWN = (dataset.KIND, score_table.KIND, analysis.KIND, runs.KIND, measurements.KIND, recognizer.KIND)


def read_history(directory: AnyPath) -> list[dict[str, float]]:
    """The lines of a run's history. Raises `UserError` where it is not there, or no table of numbers."""
    file = directory / runs.HISTORY
    try:
        lines = csv.DictReader(file.read_text(encoding="utf-8").splitlines(), strict=True)
        return [{name: float(value) for name, value in line.items()} for line in lines]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise errors.cannot_read(file, error, f"delete {directory} and train it again") from error


def tracked(found: Iterator[Any], title: str, total: int) -> Iterator[Any]:
    """The same, with a bar of progress."""
    return progress.track(itertools.islice(found, total), title, "clips", total=total)
