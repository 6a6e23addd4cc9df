"""What differs from one task's sample data to another's: a class for each, looked up by the task's name."""

import abc
import dataclasses
import functools
import json
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet, writers
from pipeline.dataset.writers import NUM_POINTS
from pipeline.synthesis import plan, sensors, signing
from pipeline.synthesis.plan import Planned, PlannedClip, PlannedSign
from pipeline.synthesis.sensors import PlannedRecording
from pipeline.synthesis.signers import Signer, make_signers
from pipeline.synthesis.signs import MOST_SIGNS, Sign, make_signs
from pipeline.tasks import fingerspelling, isolated_signs, recordings
from pipeline.tasks.task import Task

Clip = TypeVar("Clip", bound=Planned)

MOST_CLIPS = 1 << 31  # there are no more ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples(abc.ABC, Generic[Clip]):
    """The sample data of these arguments, which decide them to the byte.

    Attributes:
      task: whose layout they have.
      rows_per_frame: in files.
    """

    task: ClassVar[type[Task]]
    rows_per_frame: ClassVar[int]

    clips: int
    signers: int
    spoiled_share: float
    seed: int = 0

    def check(self) -> None:
        """Raises `UserError` where the arguments make no sense."""
        if not 1 <= self.clips <= MOST_CLIPS:
            raise UserError(f"{self.clips} clips: expected at least 1, and at most {MOST_CLIPS}")
        self._check_count(self.signers, "signers")
        if not 0 <= self.spoiled_share <= 1:
            raise UserError(f"a spoiled share of {self.spoiled_share:g}: expected between 0 and 1")
        if self.seed < 0:
            raise UserError(f"seed {self.seed}: expected at least 0")

    def _check_count(self, count: int, things: str, *, least: int = 1) -> None:
        if not least <= count <= self.clips:
            raise UserError(f"{count} {things} for {self.clips} clips: expected between {least} and {self.clips}")

    @functools.cached_property
    def people(self) -> list[Signer]:
        return make_signers(self.signers, self.seed)

    @abc.abstractmethod
    def plan(self) -> list[Clip]:
        """All clips; those of a file follow each other."""

    @abc.abstractmethod
    def file(self, clip: Clip) -> str:
        """The file that the clip belongs to, relative to the folder."""

    @abc.abstractmethod
    def record(self, clip: Clip) -> np.ndarray:
        """The recording of a clip: landmarks (T, 543, 3), say, NaN where the tracker sees nothing."""

    @abc.abstractmethod
    def write(self, path: AnyPath, recordings: Iterable[tuple[Clip, np.ndarray]]) -> None:
        """Writes one file."""

    def count_frames(self, path: AnyPath) -> int:
        """In one file."""
        with parquet.opened(path) as file:
            return file.metadata.num_rows // self.rows_per_frame

    @abc.abstractmethod
    def row(self, clip: Clip) -> dict[str, Any]:
        """Of the metadata, by column."""

    @property
    def table(self) -> str:
        """The name of the file with the metadata."""
        return self.task.metadata.file

    @abc.abstractmethod
    def companions(self) -> dict[str, str]:
        """What else is in the folder: texts by the names of their files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phrases(Samples[PlannedClip]):
    """Spelled phrases, in wide files of many clips."""

    task = fingerspelling.Fingerspelling
    rows_per_frame = 1

    clips: int = 1200
    signers: int = 12
    spoiled_share: float = 0.12
    files: int = 6

    def check(self) -> None:
        super().check()
        self._check_count(self.files, "files")

    def plan(self) -> list[PlannedClip]:
        return plan.plan_clips(**dataclasses.asdict(self))

    def file(self, clip: PlannedClip) -> str:
        return f"train_landmarks/{clip.file_id}.parquet"

    def record(self, clip: PlannedClip) -> np.ndarray:
        return plan.make_landmarks(clip, self.people[clip.signer], self.seed)

    def write(self, path: AnyPath, recordings: Iterable[tuple[PlannedClip, np.ndarray]]) -> None:
        writers.write_wide(path, ((clip.sequence_id, landmarks) for clip, landmarks in recordings))

    def row(self, clip: PlannedClip) -> dict[str, Any]:
        columns = self.task.metadata
        return {
            columns.path: self.file(clip),
            "file_id": clip.file_id,
            columns.id: clip.sequence_id,
            columns.signer: clip.signer,
            columns.label: clip.phrase,
        }

    def companions(self) -> dict[str, str]:
        return {fingerspelling.CHARACTER_MAP: json.dumps(fingerspelling.CHARACTER_TO_INDEX)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs(Samples[PlannedSign]):
    """Invented signs, in long files of a clip each."""

    task = isolated_signs.IsolatedSigns
    rows_per_frame = NUM_POINTS

    clips: int = 2000
    signers: int = 20
    spoiled_share: float = 0.05
    signs: int = 25

    def check(self) -> None:
        super().check()
        self._check_count(self.signs, "signs", least=2)
        if self.signs > MOST_SIGNS:
            raise UserError(f"{self.signs} signs: expected at most {MOST_SIGNS}")

    @functools.cached_property
    def lexicon(self) -> list[Sign]:
        return make_signs(self.signs, self.seed)

    @functools.cached_property
    def styles(self) -> list[signing.SigningStyle]:
        return [signing.make_style(number, self.seed) for number in range(self.signers)]

    def plan(self) -> list[PlannedSign]:
        return plan.plan_signs(**dataclasses.asdict(self))

    def file(self, clip: PlannedSign) -> str:
        return f"train_landmark_files/{clip.signer}/{clip.sequence_id}.parquet"

    def record(self, clip: PlannedSign) -> np.ndarray:
        who = clip.signer
        return plan.make_sign_landmarks(clip, self.lexicon, self.people[who], self.styles[who], self.seed)

    def write(self, path: AnyPath, recordings: Iterable[tuple[PlannedSign, np.ndarray]]) -> None:
        ((clip, landmarks),) = recordings
        writers.write_long(path, landmarks, first_frame=clip.first_frame)

    def row(self, clip: PlannedSign) -> dict[str, Any]:
        columns = self.task.metadata
        return {
            columns.path: self.file(clip),
            columns.signer: clip.signer,
            columns.id: clip.sequence_id,
            columns.label: self.lexicon[clip.label].name,
        }

    def companions(self) -> dict[str, str]:
        return {isolated_signs.SIGN_MAP: json.dumps({sign.name: index for index, sign in enumerate(self.lexicon)})}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensors(Samples[PlannedRecording]):
    """Recordings of a sensor on the wrist, in any of the layouts that a description file may tell of."""

    task = recordings.Recordings
    rows_per_frame = 1

    clips: int = 600
    signers: int = 12
    spoiled_share: float = 0.05
    movements: int = 8
    layout: str = "files"

    def check(self) -> None:
        super().check()
        self._check_count(self.movements, "movements", least=2)
        if self.layout not in sensors.LAYOUTS:
            raise UserError(f"layout {self.layout!r}: expected one of {', '.join(sensors.LAYOUTS)}")

    @property
    def labels(self) -> list[str]:
        return [f"movement-{number + 1}" for number in range(self.movements)]

    @property
    def table(self) -> str:
        return "labels.csv" if self.layout in ("files", "table") else ""

    def plan(self) -> list[PlannedRecording]:
        return sensors.plan_recordings(**dataclasses.asdict(self))

    def file(self, clip: PlannedRecording) -> str:
        return sensors.PLACES.get(self.layout, sensors.TABLE).format(index=clip.index, signer=clip.signer)

    def record(self, clip: PlannedRecording) -> np.ndarray:
        return sensors.make_recording(
            clip, self.seed, num_frames=sensors.FRAMES_OF_ROW if self.layout == "rows" else None
        )

    def write(self, path: AnyPath, recordings: Iterable[tuple[PlannedRecording, np.ndarray]]) -> None:
        sensors.write(path, self.layout, recordings, self.labels)

    def count_frames(self, path: AnyPath) -> int:
        with path.open(encoding="utf-8") as file:
            rows = sum(1 for _ in file) - 1
        return rows * sensors.FRAMES_OF_ROW if self.layout == "rows" else rows

    def row(self, clip: PlannedRecording) -> dict[str, Any]:
        return {"recording": sensors.name(clip.index), "person": clip.signer, "movement": self.labels[clip.label]}

    def companions(self) -> dict[str, str]:
        return {"description.toml": sensors.description(self.layout)}


SAMPLES: dict[str, type[Samples]] = {samples.task.name: samples for samples in (Phrases, Signs, Sensors)}


def options(task: str) -> list[str]:
    """The arguments of a task's sample data."""
    return [field.name for field in dataclasses.fields(SAMPLES[task])]
