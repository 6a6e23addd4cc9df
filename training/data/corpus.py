"""Clips whose frames can be reached at random, held once: in memory, or in a file.

Shapes: P points, D dimensions of a point, L entries of a label.
"""

import dataclasses
import io
import tempfile
from collections.abc import Iterable, Mapping
from typing import IO, Self

import numpy as np

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.task import Task

# A split with more is kept in a file, of which the system holds in memory what there is room for.
LANDMARKS_IN_MEMORY = 2 << 30  # 2 GiB


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Clips, their frames one after the other.

    Attributes:
      frames: (all frames, P, D) float32, NaN for missing; read-only.
      starts, num_frames: (N,) int64; clip i has the frames starts[i] : starts[i] + num_frames[i].
      label_ids: (N, L) int32 indices of classes, padded with the number of classes.
      label_lengths: (N,) int32.
      clips: what there is to know of each.
      signers: (N,) int64.
    """

    frames: np.ndarray
    starts: np.ndarray
    num_frames: np.ndarray
    label_ids: np.ndarray
    label_lengths: np.ndarray
    clips: list[ClipInfo]
    signers: np.ndarray

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def sequence_ids(self) -> list[int]:
        return [each.sequence_id for each in self.clips]

    def landmarks(self, position: int) -> np.ndarray:
        """(T, P, D) landmarks of a clip, not copied."""
        start = self.starts[position]
        return self.frames[start : start + self.num_frames[position]]

    def select(self, chosen: np.ndarray) -> Self:
        """The clips that `chosen` says, (N,) bool or positions; they share the frames with this corpus."""
        positions = np.arange(len(self))[chosen]
        arrays = ("starts", "num_frames", "label_ids", "label_lengths", "signers")
        return dataclasses.replace(
            self, clips=[self.clips[i] for i in positions], **{name: getattr(self, name)[positions] for name in arrays}
        )

    @classmethod
    def of(cls, dataset: Dataset, split: str) -> Self:
        """A split of a dataset, in a temporary file if its landmarks take more than `LANDMARKS_IN_MEMORY`.

        The file is in `storage.cache()`, has no name, and is gone when the process ends, however it ends.

        Raises:
          UserError: the file cannot be written, or the dataset cannot be read.
        """
        size = dataset.manifest["splits"][split]["frames"] * 4 * int(np.prod(dataset.task.points.shape))
        clips, known = dataset.read(split), {each.sequence_id: each for each in dataset.clips(split)}
        if size <= LANDMARKS_IN_MEMORY:
            return cls.read(clips, known, dataset.task)
        folder = storage.cache()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                return cls.read(clips, known, dataset.task, file=file)
        except OSError as error:
            raise UserError(
                f"cannot keep the landmarks of {dataset.path} ({size / 1e9:.1f} GB) in {folder}:"
                f" {errors.reason(error)}; for another place set XDG_CACHE_HOME"
            ) from error

    @classmethod
    def read(
        cls, clips: Iterable[Clip], known: Mapping[int, ClipInfo], task: Task, *, file: IO[bytes] | None = None
    ) -> Self:
        """Reads clips one after the other, their frames into memory or into an empty `file`.

        Args:
          known: what there is to know of each clip, by its id.
        """
        memory = io.BytesIO()  # grows without being copied
        infos, ids = [], []
        for clip in clips:
            (file or memory).write(np.ascontiguousarray(clip.landmarks, np.float32).data)
            infos.append(known[clip.sequence_id])
            ids.append(task.encode(clip.label))
        if file and infos:
            file.flush()
            values: np.ndarray = np.memmap(file, np.float32, "r")
        else:
            values = np.frombuffer(memory.getbuffer().toreadonly(), np.float32)
        label_lengths = np.array([len(each) for each in ids], np.int32)
        label_ids = np.full((len(ids), max(1, label_lengths.max(initial=0))), len(task.classes), np.int32)
        for row, each in zip(label_ids, ids, strict=True):
            row[: len(each)] = each
        num_frames = np.array([each.num_frames for each in infos], np.int64)
        return cls(
            frames=values.reshape(-1, *task.points.shape),
            starts=np.cumsum(num_frames) - num_frames,
            num_frames=num_frames,
            label_ids=label_ids,
            label_lengths=label_lengths,
            clips=infos,
            signers=np.array([each.signer for each in infos], np.int64),
        )

    @classmethod
    def of_clips(cls, clips: Iterable[Clip], task: Task) -> Self:
        """Clips of no dataset."""
        clips = list(clips)
        return cls.read(clips, {each.sequence_id: ClipInfo.of(each, "", task) for each in clips}, task)
