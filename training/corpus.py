"""Sequences whose frames can be reached at random, held once: in memory, or in a file.

Shapes: P = 100 points, L label characters.
"""

import dataclasses
import hashlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Self

import numpy as np

from pipeline import commands, storage, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.sequences import Sequence, passes_length_rule
from pipeline.splits import TRAIN, VALIDATION
from training import config as cfg

_FRAME_BYTES = lm.NUM_POINTS * 2 * 4


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Sequences, their frames one after the other.

    Attributes:
      frames: (all frames, P, 2) float32, NaN for missing; read-only.
      starts, num_frames: (N,) int64; sequence i has the frames starts[i] : starts[i] + num_frames[i].
      labels: (N, L) int32, padded with the blank.
      label_lengths: (N,) int32.
      texts, sequence_ids, participant_ids: one for each sequence.
      passes_length_rule: (N,) bool.
    """

    frames: np.ndarray
    starts: np.ndarray
    num_frames: np.ndarray
    labels: np.ndarray
    label_lengths: np.ndarray
    texts: list[str]
    sequence_ids: np.ndarray
    participant_ids: np.ndarray
    passes_length_rule: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def landmarks(self, position: int) -> np.ndarray:
        """(T, P, 2) landmarks of a sequence, not copied."""
        start = self.starts[position]
        return self.frames[start : start + self.num_frames[position]]

    def select(self, chosen: np.ndarray) -> Self:
        """The sequences that `chosen` says, (N,) bool or positions; they share the frames with this corpus."""
        positions = np.arange(len(self))[chosen]
        arrays = ("starts", "num_frames", "labels", "label_lengths", "sequence_ids", "participant_ids")
        return dataclasses.replace(
            self,
            texts=[self.texts[i] for i in positions],
            passes_length_rule=self.passes_length_rule[positions],
            **{name: getattr(self, name)[positions] for name in arrays},
        )

    @classmethod
    def of(cls, dataset: Dataset, split: str) -> Self:
        """A split of a data set, in a temporary file if its landmarks take more than `config.LANDMARKS_IN_MEMORY`.

        The file is in `storage.cache()`, has no name, and is gone when the process ends, however it ends.

        Raises:
          UserError: the file cannot be written, or the data set cannot be read.
        """
        size = dataset.manifest["splits"][split]["frames"] * _FRAME_BYTES
        if size <= cfg.LANDMARKS_IN_MEMORY:
            return cls.read(dataset.read(split))
        folder = storage.cache()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                return cls.read(dataset.read(split), file=file)
        except OSError as error:
            raise UserError(
                f"cannot keep the landmarks of {dataset.path} ({size / 1e9:.1f} GB) in {folder}:"
                f" {commands.reason(error)}; for another place set XDG_CACHE_HOME"
            ) from error

    @classmethod
    def read(cls, sequences: Iterable[Sequence], *, file: IO[bytes] | None = None) -> Self:
        """Reads sequences one after the other, their frames into memory or into an empty `file`."""
        memory = io.BytesIO()  # grows without being copied
        num_frames, texts, sequence_ids, participant_ids, passes = [], [], [], [], []
        for s in sequences:
            (file or memory).write(np.ascontiguousarray(s.landmarks, np.float32).data)
            num_frames.append(s.num_frames)
            texts.append(s.label)
            sequence_ids.append(s.sequence_id)
            participant_ids.append(s.participant_id)
            passes.append(passes_length_rule(s.landmarks, s.label))
        if file and texts:
            file.flush()
            values: np.ndarray = np.memmap(file, np.float32, "r")
        else:
            values = np.frombuffer(memory.getbuffer().toreadonly(), np.float32)
        label_lengths = np.array([len(text) for text in texts], np.int32)
        labels = np.full((len(texts), max(1, label_lengths.max(initial=0))), vocabulary.BLANK, np.int32)
        for row, text in zip(labels, texts, strict=True):
            row[: len(text)] = vocabulary.encode(text)
        ends = np.cumsum(num_frames, dtype=np.int64)
        return cls(
            frames=values.reshape(-1, lm.NUM_POINTS, 2),
            starts=ends - num_frames,
            num_frames=np.array(num_frames, np.int64),
            labels=labels,
            label_lengths=label_lengths,
            texts=texts,
            sequence_ids=np.array(sequence_ids, np.int64),
            participant_ids=np.array(participant_ids, np.int64),
            passes_length_rule=np.array(passes, bool),
        )


def validation_sequences(dataset: Dataset, phrase_share: float) -> Iterator[Sequence]:
    """Those that a training without folds validates on: the split, or that share of the training phrases."""
    if dataset.count(VALIDATION):
        yield from dataset.read(VALIDATION)
    else:
        yield from (each for each in dataset.read(TRAIN) if is_validation_phrase(each.label, phrase_share))


def is_validation_phrase(phrase: str, share: float) -> bool:
    """Whether a phrase belongs to the share set aside for validation: a stable hash of the phrase decides."""
    digest = hashlib.sha256(b"validation phrase\0" + phrase.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
