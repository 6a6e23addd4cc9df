"""What a task says: everything that differs from one kind of recordings and labels to another.

Shapes: T frames, P points, D dimensions of a point.
"""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.common.storage import AnyPath
from pipeline.tasks.faults import Fault


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """What a frame is.

    Attributes:
      names: of the P points, in the order that holds everywhere: in records, features, networks and exported files.
      axes: a letter for each of the D dimensions.
      groups: points that belong together and lie side by side, by name.
      mirror: (P,) the point that takes each one's place after a left-right flip; None where there is no such thing.
      centre: the point whose mean position features are relative to; None where positions are not relative.
      hands: names of the groups of the right and the left hand, whose first points are the wrists.
      rotations: three points each that are the axes of one sensor, which may be worn turned.
      pose_wrists: the points of the body that lie where the right and the left wrist are; None where there are none.
      edges: pairs of points that drawings join, such as the ends of a bone.
      aspect: height by width of the image that drawings assume, where points are fractions of one.
    """

    names: tuple[str, ...]
    axes: str
    groups: Mapping[str, slice] = dataclasses.field(default_factory=dict)
    mirror: np.ndarray | None = None
    centre: int | None = None
    hands: tuple[str, str] | None = None
    rotations: tuple[tuple[int, ...], ...] = ()
    pose_wrists: tuple[int, int] | None = None
    edges: tuple[tuple[int, int], ...] = ()
    aspect: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(P, D)."""
        return len(self.names), len(self.axes)

    @property
    def wrists(self) -> list[int]:
        """The right and the left one, where there are hands."""
        return [self.groups[hand].start for hand in self.hands or ()]

    def indices(self, *groups: str) -> np.ndarray:
        """Numbers of the points of these groups; of no group that this task does not have."""
        found = [np.arange(self.groups[name].start, self.groups[name].stop) for name in groups if name in self.groups]
        return np.concatenate([np.empty(0, np.intp), *found])


@dataclasses.dataclass(frozen=True)
class MetadataColumns:
    """Columns of the table that lists the clips; `file` is its usual name in a data folder."""

    file: str
    path: str
    id: str
    signer: str
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        return self.path, self.id, self.signer, self.label


@dataclasses.dataclass(frozen=True)
class WideParquet:
    """Parquet files with one row a frame: `pipeline.dataset.wide` reads them.

    Attributes:
      id: the column of clip ids.
      frame: the column of frame numbers, which a file may lack.
      values: a column for each coordinate, point by point: x and y of the first point, of the second, and so on.
    """

    id: str
    frame: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LongParquet:
    """Parquet files of a clip each, with a row for each point of a frame: `pipeline.dataset.long` reads them.

    Attributes:
      id: the column of clip ids, which recordings to be recognized may have.
      frame: the column of frame numbers.
      part, index: the columns that say which point a row is: the part that it belongs to, and its number in that.
      values: the columns of coordinates.
      parts: how many points each part has, in the order of a frame's rows.
    """

    id: str
    frame: str
    part: str
    index: str
    values: tuple[str, ...]
    parts: Mapping[str, int]

    @property
    def rows(self) -> list[str]:
        """The names of the points, part and number, in the order of a frame's rows."""
        return [f"{part}_{i}" for part, count in self.parts.items() for i in range(count)]


@dataclasses.dataclass(frozen=True)
class Tables:
    """Tables of numbers, CSV or parquet: `pipeline.dataset.tabular` reads them.

    Attributes:
      kind: what a clip is: "files", a file; "table", the rows with one value of a column; "rows", a row; "streams", a
        window of a file.
      files: the files of a data folder, a pattern such as recordings/*.csv.
      separator: between the fields of CSV.
      header: whether the first line names the columns; where not, they are called 0, 1, 2 and so on.
      columns: those that every file must have.
      values: those that are numbers, frame by frame.
      frames: of each clip, where a clip is a row.
      clip: the column that names clips, also in the table of labels.
      labels: the table of labels; where there is none, the label is a column of the files.
      label, group: columns.
      window, stride: frames of a window, and from one to the next.
      purity: the least share of a window's frames that must be of its class.
      ignored: classes that are left out.
      test: which clips are tested on, a condition such as part=test or row>=1200; none where it is empty.
      rate: frames a second, if known.
    """

    kind: str = "files"
    files: str = ""
    separator: str = ","
    header: bool = True
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    frames: int = 0
    clip: str = ""
    labels: str = ""
    label: str = ""
    group: str = ""
    window: int = 0
    stride: int = 0
    purity: float = 0.8
    ignored: tuple[str, ...] = ()
    test: str = ""
    rate: float = 0.0

    def clip_id(self, file: int, place: int) -> int:
        """Of the file with this number, from 0 on, and a place in it: the first row of a window, otherwise how many
        clips there are before. Where a file is a clip, its place among all, or in the table of labels, is the id.
        """
        return place if self.kind == "files" else file * _PLACES + place

    def place(self, clip_id: int) -> tuple[int, int]:
        """The number of the file, and the place in it, of which `clip_id` made an id; 0 where a file is a clip."""
        return (0, clip_id) if self.kind == "files" else divmod(clip_id, _PLACES)


_PLACES = 10**9  # of a file, at most
Layout = WideParquet | LongParquet | Tables


@dataclasses.dataclass(frozen=True, eq=False)
class ExportContract:
    """What an exported file takes and gives, and what it may need.

    Attributes:
      frame: the shape of a frame of the input.
      columns: what the numbers of a frame are called, in order, where they are columns: `selected_columns` of
        inference_args.json.
      index: (P, D) where each coordinate of each point stands in a frame of the input, flattened.
      filler: of an answer with a row for each class that is recognized, the class of its only row where none is. None
        where the answer is one vector of all classes. No label may be this class alone.
      max_mb: the largest file, in millions of bytes.
      max_hours, test_clips: for recognizing so many clips on one CPU.
    """

    frame: tuple[int, ...]
    columns: tuple[str, ...]
    index: np.ndarray
    filler: int | None
    max_mb: float
    max_hours: float
    test_clips: int

    def answer_shape(self, num_classes: int) -> tuple[int, ...]:
        """Of what an exported file gives; -1 is any number."""
        return (num_classes,) if self.filler is None else (-1, num_classes)


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """One kind of recordings and labels. A subclass is one file, listed in `pipeline.tasks.TASKS`.

    Subclasses are frozen dataclasses of plain data, their parameters (the classes found in the data, say). numpy only:
    Beam's workers import it. Its JSON stands in every manifest, from which later commands read it.

    Attributes:
      name: of `--task`, and in manifests.
      metadata: the columns of the table that lists the clips.
      head: the network's last part, of `training.network.heads.HEADS`.
      holdout: what is set aside to choose weights by where the data have no validation split: "labels" or "signers".
      other_layouts: in which recordings to be recognized may come as well.
      folds: into how many the training clips are divided, each to be scored by a base model that has not seen it; 1:
        one model scores what it has learnt.
      presets: those of `scripts.run_pipeline`, the default first: which of `training.config` its base and its final
        model take.
      unit: what `units` counts, in the plural.
      visible: what `seen` looks for, in words.
      plausible_rule: what `plausible` asks, in words.
      frames_a_unit: the line of that rule: of `rule_frames`, how many for each unit of the label; 0 where it has none.
    """

    name: ClassVar[str]
    metadata: ClassVar[MetadataColumns]
    head: ClassVar[str]
    holdout: ClassVar[str]
    other_layouts: ClassVar[tuple[Layout, ...]] = ()
    folds: ClassVar[int] = 1
    presets: ClassVar[dict[str, tuple[str, str]]] = {
        "fast": ("fast", "fast-final"),
        "small": ("small", "small-final"),
        "published": ("base", "final"),
    }
    unit: ClassVar[str]
    visible: ClassVar[str]
    plausible_rule: ClassVar[str]
    frames_a_unit: ClassVar[int] = 0

    @classmethod
    def default_presets(cls) -> tuple[str, str]:
        """Of `training.config`, for the base and the final model."""
        return next(iter(cls.presets.values()))

    @property
    @abc.abstractmethod
    def points(self) -> Points:
        """What a frame is."""

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """How files of clips are laid out."""

    @property
    @abc.abstractmethod
    def contract(self) -> ExportContract:
        """Of the exported file."""

    @classmethod
    @abc.abstractmethod
    def of_data(cls, data: AnyPath, labels: Iterable[str]) -> "Task":
        """The task of a data folder, from what it says of its classes, and from the labels of its clips.

        Raises `UserError` where that cannot be used.
        """

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """What the network tells apart, by index. A blank is no class."""

    @abc.abstractmethod
    def label_fault(self, label: str) -> Fault | None:
        """What is wrong with a label, if anything."""

    @abc.abstractmethod
    def encode(self, label: str) -> list[int]:
        """Indices of classes. Raises `KeyError` for a label with a fault."""

    @abc.abstractmethod
    def decode(self, indices: Iterable[int]) -> str:
        """The label of these classes."""

    def prediction(self, classes: Sequence[int]) -> str:
        """The label of the classes that a network recognized: none of a lone filler, which stands for no answer."""
        return "" if list(classes) == [self.contract.filler] else self.decode(classes)

    @abc.abstractmethod
    def edits(self, label: str, prediction: str) -> list[tuple[str, str]]:
        """A shortest list of changes from label to prediction.

        ("a", "b") is a substitution, ("a", "") a deletion, ("", "b") an insertion.
        """

    def alignment(self, label: str, prediction: str) -> list[tuple[str, str]]:
        """What of the label became what of the prediction, in order: `edits` and, between them, what is the same."""
        return [(label, prediction)]

    @abc.abstractmethod
    def errors(self, label: str, prediction: str) -> int:
        """How many edits there are. The score of clips is 1 - errors / units, both summed over them."""

    @abc.abstractmethod
    def units(self, label: str) -> int:
        """What errors are counted against, at least 1."""

    def score(self, labels: Sequence[str], predictions: Sequence[str]) -> float:
        """1 - errors / units of clips together, of which there must be some: the competition's metric."""
        errors = sum(self.errors(label, prediction) for label, prediction in zip(labels, predictions, strict=True))
        units = sum(map(self.units, labels))
        return (units - errors) / units

    @abc.abstractmethod
    def seen(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        """(T,) bool: the frames in which there is something to recognize."""

    @property
    def clips_overlap(self) -> bool:
        """Whether clips may share frames: then only whole files or signers may be kept apart."""
        return False

    @property
    def continuous(self) -> bool:
        """Whether clips that follow each other in a file are parts of one recording, and so are much alike."""
        return False

    def place(self, clip_id: int) -> tuple[int, int]:
        """The number of the file that a clip is in, and where in it, as far as its id says so."""
        return 0, clip_id

    @property
    def rate(self) -> float:
        """Frames a second; 0 where it is not known."""
        return 0.0

    def rule_frames(self, landmarks_TxPxD: np.ndarray) -> int:
        """The frames that `plausible` counts."""
        return int(np.count_nonzero(self.seen(landmarks_TxPxD)))

    @abc.abstractmethod
    def plausible(self, landmarks_TxPxD: np.ndarray, label: str) -> bool:
        """Whether the clip can hold its label: the base model is not trained on the others."""

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """The task of these parameters, as JSON has them. Raises `TypeError` or `ValueError` for others."""
        return cls(**{name: as_tuple(value) for name, value in parameters.items()})

    def as_json(self) -> dict[str, Any]:
        """What makes the same task again, and tells it from others: name, parameters, points, classes, contract."""
        places = {"frame": list(self.contract.frame), "index": self.contract.index.tolist()}
        return {
            "name": self.name,
            "parameters": dataclasses.asdict(self),
            "points": list(self.points.names),
            "axes": self.points.axes,
            "classes": list(self.classes),
            "contract": places | {"columns": list(self.contract.columns), "filler": self.contract.filler},
        }


def as_tuple(value: Any) -> Any:
    """What JSON gives as a list was a tuple: tasks are hashable."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value
