"""What differs from one task's sample data to another's: a class for each, looked up by the task's name."""

import abc
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import writers
from pipeline.dataset.writers import NUM_POINTS
from pipeline.synthesis import plan, signing
from pipeline.synthesis.plan import Planned, PlannedClip, PlannedSign
from pipeline.synthesis.signers import Signer, make_signers
from pipeline.synthesis.signs import MOST_SIGNS, Sign, make_signs
from pipeline.tasks import fingerspelling, isolated_signs
from pipeline.tasks.task import Task

Clip = TypeVar("Clip", bound=Planned)

MOST_CLIPS = 1 << 31  # there are no more ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples(abc.ABC, Generic[Clip]):
    """The sample data of these arguments, which decide them to the byte.

    Attributes:
      task: whose layout they have.
      rows_per_frame: in parquet files.
      class_map: name of the JSON file with the index of each class.
    """

    task: ClassVar[type[Task]]
    rows_per_frame: ClassVar[int]
    class_map: ClassVar[str]

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
        """The parquet file that the clip belongs to, relative to the folder."""

    @abc.abstractmethod
    def record(self, clip: Clip) -> np.ndarray:
        """The landmarks (T, 543, 3) of a clip, NaN where the tracker sees nothing."""

    @abc.abstractmethod
    def write(self, path: AnyPath, recordings: Iterable[tuple[Clip, np.ndarray]]) -> None:
        """Writes one parquet file."""

    @abc.abstractmethod
    def row(self, clip: Clip) -> dict[str, Any]:
        """Of the metadata, by column."""

    @abc.abstractmethod
    def classes(self) -> dict[str, int]:
        """The index of each class."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phrases(Samples[PlannedClip]):
    """Spelled phrases, in wide files of many clips."""

    task = fingerspelling.Fingerspelling
    rows_per_frame = 1
    class_map = fingerspelling.CHARACTER_MAP

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

    def classes(self) -> dict[str, int]:
        return dict(fingerspelling.CHARACTER_TO_INDEX)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs(Samples[PlannedSign]):
    """Invented signs, in long files of a clip each."""

    task = isolated_signs.IsolatedSigns
    rows_per_frame = NUM_POINTS
    class_map = isolated_signs.SIGN_MAP

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

    def classes(self) -> dict[str, int]:
        return {sign.name: index for index, sign in enumerate(self.lexicon)}


SAMPLES: dict[str, type[Samples]] = {samples.task.name: samples for samples in (Phrases, Signs)}


def options(task: str) -> list[str]:
    """The arguments of a task's sample data."""
    return [field.name for field in dataclasses.fields(SAMPLES[task])]
