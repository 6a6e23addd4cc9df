"""Folds of the training sequences: each is left out by one model, which scores it as nothing that it has seen."""

from collections.abc import Mapping

from pipeline import splits
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.splits import TRAIN
from pipeline.storage import Path
from training import config as cfg


def fold_of(dataset: Dataset, data: cfg.Data) -> dict[int, int]:
    """The fold, of 1 to `data.folds`, of each training sequence, by its id; 0 of all where there are no folds.

    Raises:
      UserError: there are more folds than signers, or sequences, to divide.
    """
    return divide({each.sequence_id: each.participant_id for each in dataset.written(TRAIN)}, data, where=dataset.path)


def divide(signer_of: Mapping[int, int], data: cfg.Data, *, where: Path) -> dict[int, int]:
    """As `fold_of`, of the sequences whose signers are given; `where` they are, for messages."""
    if not data.folds:
        return dict.fromkeys(signer_of, 0)
    unit_of = {sequence_id: sequence_id if data.fold_by_sequence else who for sequence_id, who in signer_of.items()}
    fold_of_unit = splits.divide(unit_of.values(), data.folds)
    if len(fold_of_unit) < data.folds:
        things = "sequences" if data.fold_by_sequence else "signers"
        advice = "" if data.fold_by_sequence else ", or divide by sequence"
        raise UserError(
            f"{where}: {data.folds} folds, but {len(fold_of_unit)} training {things} to divide: lower the number of"
            f" folds{advice}"
        )
    return {sequence_id: fold_of_unit[unit] for sequence_id, unit in unit_of.items()}


def held_out(dataset: Dataset, data: cfg.Data) -> set[int]:
    """Ids of the training sequences that a model with these settings must not see; none where there are no folds."""
    if not data.folds:
        return set()
    return {sequence_id for sequence_id, fold in fold_of(dataset, data).items() if fold == data.fold}
