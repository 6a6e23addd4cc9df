import pytest

from pipeline.commands import UserError
from pipeline.dataset import Dataset
from training import config as cfg
from training.folds import fold_of, held_out
from training.trainer import Trainer


@pytest.fixture(scope="module")
def dataset(toy_dataset):
    return Dataset.open(toy_dataset)


def test_without_folds_nothing_is_left_out(dataset):
    assert set(fold_of(dataset, cfg.Data()).values()) == {0}
    assert held_out(dataset, cfg.Data()) == set()


@pytest.mark.parametrize(("by_sequence", "folds"), [(False, 2), (True, 2), (True, 5), (True, 24)])
def test_every_training_sequence_is_left_out_once(dataset, by_sequence, folds):
    ids = [each.sequence_id for each in dataset.written("train")]
    settings = [cfg.Data(folds=folds, fold=fold, fold_by_sequence=by_sequence) for fold in range(1, folds + 1)]
    left_out = [held_out(dataset, each) for each in settings]
    assert sorted(sequence_id for each in left_out for sequence_id in each) == sorted(ids)
    assert max(map(len, left_out)) - min(map(len, left_out)) <= 1
    signers = [
        {each.participant_id for each in dataset.written("train") if each.sequence_id in ids} for ids in left_out
    ]
    if not by_sequence:
        assert sorted(map(sorted, signers)) == [[1], [2]]


@pytest.mark.parametrize(
    ("by_sequence", "folds", "message"),
    [(False, 3, "3 folds, but 2 training signers .*divide by sequence"), (True, 25, "25 folds, but 24 training seq")],
)
def test_more_folds_than_there_is_to_divide(dataset, by_sequence, folds, message):
    with pytest.raises(UserError, match=message):
        held_out(dataset, cfg.Data(folds=folds, fold=1, fold_by_sequence=by_sequence))


def test_what_is_left_out_neither_trains_nor_validates(dataset, toy_settings, tmp_path):
    overrides = [*toy_settings[3::2], "data.folds=3", "data.fold=2", "data.fold_by_sequence=true"]
    config = cfg.resolve("small", overrides=overrides)
    trainer = Trainer(dataset, config, tmp_path)
    seen = {*trainer.training.sequence_ids.tolist(), *trainer.validation.sequence_ids.tolist()}
    left_out = held_out(dataset, config.data)
    assert left_out
    assert not seen & left_out
    assert seen | left_out == {each.sequence_id for each in dataset.written("train")}
