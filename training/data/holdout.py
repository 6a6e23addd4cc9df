"""What a model is not trained on: the fold it is to score, and the clips that its weights are chosen by."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import splits
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import TEST, TRAIN, VALIDATION
from pipeline.tasks.task import Task
from training import config as cfg


def fold_of(dataset: Dataset, data: cfg.Data) -> dict[int, int]:
    """The fold, of 1 to `data.folds`, of each training clip, by its id; 0 of all where there are no folds.

    Raises:
      UserError: there are more folds than signers, or clips, to divide.
    """
    signer_of = {each.sequence_id: each.signer for each in dataset.clips(TRAIN)}
    return divide(signer_of, data, dataset.task, where=dataset.path)


def divide(signer_of: Mapping[int, int], data: cfg.Data, task: Task, *, where: AnyPath) -> dict[int, int]:
    """As `fold_of`, of the clips whose signers are given; `where` they are, for messages."""
    if not data.folds:
        return dict.fromkeys(signer_of, 0)
    if data.fold_by_clip and task.clips_overlap:
        raise UserError(f"{where}: folds by clip, but windows share frames: divide by signer")
    unit_of = {sequence_id: sequence_id if data.fold_by_clip else who for sequence_id, who in signer_of.items()}
    fold_of_unit = splits.divide(unit_of.values(), data.folds)
    if len(fold_of_unit) < data.folds:
        things = "clips" if data.fold_by_clip else "signers"
        advice = "" if data.fold_by_clip or task.clips_overlap else ", or divide by clip"
        raise UserError(
            f"{where}: {data.folds} folds, but {len(fold_of_unit)} training {things} to divide: lower the number of"
            f" folds{advice}"
        )
    return {sequence_id: fold_of_unit[unit] for sequence_id, unit in unit_of.items()}


@dataclasses.dataclass(frozen=True)
class Holdout:
    """Who trains and who validates: the one place that decides it.

    Attributes:
      training: ids of the clips of the training split that are trained on.
      validation_split: the split that the validation clips are in.
      validation: their ids.
      words: what validates, for people.
    """

    training: frozenset[int]
    validation_split: str
    validation: frozenset[int]
    words: str

    @classmethod
    def of(cls, dataset: Dataset, data: cfg.Data) -> "Holdout":
        """The validation split validates; where there is none, a share of what is trained on, which is then held out.

        A fold that is left out neither trains nor validates.
        """
        fold = fold_of(dataset, data)
        clips = [each for each in dataset.clips(TRAIN) if not data.folds or fold[each.sequence_id] != data.fold]
        if dataset.count(VALIDATION):
            who, learnt, tested = (set(dataset.signers(split)) for split in (VALIDATION, TRAIN, TEST))
            words = "other clips, of training signers too" if who & learnt else "other signers"
            words += ", test signers among them" if who & tested else ""
            return cls(_ids(clips), VALIDATION, _ids(dataset.clips(VALIDATION)), words)
        if dataset.task.holdout == "labels":
            words = "other labels of the training signers"
            held_out = [each for each in clips if _rank(each.label) < data.validation_share]
        else:
            words = "other signers, held out from training"
            signers = sorted({each.signer for each in clips}, key=_rank)
            aside = set(signers[: splits.size_of(data.validation_share, signers)])
            held_out = [each for each in clips if each.signer in aside]
        validation = _ids(held_out)
        return cls(_ids(clips) - validation, TRAIN, validation, words if validation else "none")

    def read_validation(self, dataset: Dataset) -> Iterator[Clip]:
        return (each for each in dataset.read(self.validation_split) if each.sequence_id in self.validation)


def _ids(clips: list[ClipInfo]) -> frozenset[int]:
    return frozenset(each.sequence_id for each in clips)


def _rank(unit: str | int) -> float:
    """A number from 0 to 1 for a label or a signer, by a stable hash."""
    digest = hashlib.sha256(b"validation phrase\0" + str(unit).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
