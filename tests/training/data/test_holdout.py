"""Who trains, who validates, and which fold is left out."""

import copy
import dataclasses
import pathlib

import numpy as np
import pytest

from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common.errors import UserError
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule
from training import config as cfg
from training.data.holdout import Holdout, divide, fold_of


@pytest.fixture(scope="module")
def dataset(toy_dataset):
    return Dataset.open(toy_dataset)


def left_out(dataset, data):
    fold = fold_of(dataset, data)
    return {sequence_id for sequence_id in fold if data.folds and fold[sequence_id] == data.fold}


def test_without_folds_nothing_is_left_out(dataset):
    ids = {each.sequence_id for each in dataset.clips("train")}
    assert fold_of(dataset, cfg.Data()) == dict.fromkeys(ids, 0)
    holdout = Holdout.of(dataset, cfg.Data(validation_share=0.3))
    assert holdout.training | holdout.validation == ids


@pytest.mark.parametrize(("by_clip", "folds"), [(False, 2), (True, 2), (True, 5), (True, 24)])
def test_every_training_clip_is_left_out_once(dataset, by_clip, folds):
    ids = [each.sequence_id for each in dataset.clips("train")]
    each_left_out = [
        left_out(dataset, cfg.Data(folds=folds, fold=fold, fold_by_clip=by_clip)) for fold in range(1, folds + 1)
    ]
    assert sorted(sequence_id for each in each_left_out for sequence_id in each) == sorted(ids)
    assert max(map(len, each_left_out)) - min(map(len, each_left_out)) <= 1
    signers = [{each.signer for each in dataset.clips("train") if each.sequence_id in ids} for ids in each_left_out]
    if not by_clip:
        assert sorted(map(sorted, signers)) == [[1], [2]]


@pytest.mark.parametrize(
    ("by_clip", "folds", "message"),
    [(False, 3, "3 folds, but 2 training signers .*divide by clip"), (True, 25, "25 folds, but 24 training clips")],
)
def test_more_folds_than_there_is_to_divide(dataset, by_clip, folds, message):
    with pytest.raises(UserError, match=message) as raised:
        Holdout.of(dataset, cfg.Data(folds=folds, fold=1, fold_by_clip=by_clip))
    assert str(raised.value).startswith(f"{dataset.path}: ")


@pytest.mark.parametrize("by_clip", [False, True])
def test_the_fold_of_clips_of_no_data_set(dataset, by_clip):
    data = cfg.Data(folds=2, fold=1, fold_by_clip=by_clip)
    signers = {each.sequence_id: each.signer for each in dataset.clips("train")}
    assert divide(signers, data, dataset.task, where=dataset.path) == fold_of(dataset, data)


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_fold_that_is_left_out_neither_trains_nor_validates(dataset, fold):
    data = cfg.Data(validation_share=0.3, folds=3, fold=fold, fold_by_clip=True)
    holdout = Holdout.of(dataset, data)
    absent = left_out(dataset, data)
    assert len(absent) == 8
    assert not absent & (holdout.training | holdout.validation)
    assert absent | holdout.training | holdout.validation == {each.sequence_id for each in dataset.clips("train")}


def test_a_share_of_the_labels_validates(dataset):
    holdout = Holdout.of(dataset, cfg.Data(validation_share=0.3))
    labels = {each.sequence_id: each.label for each in dataset.clips("train")}
    training, validation = ({labels[i] for i in ids} for ids in (holdout.training, holdout.validation))
    assert training
    assert validation
    assert not training & validation
    assert (holdout.validation_split, holdout.words) == ("train", "other labels of the training signers")
    read = [each.sequence_id for each in holdout.read_validation(dataset)]
    assert sorted(read) == sorted(holdout.validation)


def test_a_share_of_the_signers_validates_where_the_task_says_so(dataset):
    class BySigner(type(dataset.task)):
        holdout = "signers"

    by_signer = dataclasses.replace(dataset, task=BySigner())
    signers = {each.sequence_id: each.signer for each in dataset.clips("train")}
    seen = set()
    for share in np.linspace(0, 1, 30):
        holdout = Holdout.of(by_signer, cfg.Data(validation_share=share))
        training, validation = ({signers[i] for i in ids} for ids in (holdout.training, holdout.validation))
        assert not training & validation
        assert training | validation == {1, 2}
        assert holdout.words == ("other signers, held out from training" if share else "none")
        seen.add(len(validation))
    assert seen == {0, 1, 2}


@pytest.fixture(scope="module")
def with_validation(toy_data, tmp_path_factory):
    """A signer in each split."""
    folder = tmp_path_factory.mktemp("validation") / "dataset"
    rule = SplitRule(validation_signers=(2,), test_signers=(3,))
    conversion.convert(toy_data, folder, rule, num_shards=1, runner=Runner())
    return Dataset.open(folder)


def test_a_validation_split_is_used_as_it_is(with_validation):
    holdout = Holdout.of(with_validation, cfg.Data(validation_share=0.3))
    ids = [{each.sequence_id for each in with_validation.clips(split)} for split in ("train", "validation")]
    assert [holdout.training, holdout.validation] == ids
    assert (holdout.validation_split, holdout.words) == ("validation", "other signers")


@pytest.mark.parametrize(
    ("signers", "words"),
    [
        ({"test": [2, 3]}, "other signers, test signers among them"),
        ({"train": [1, 2]}, "other clips, of training signers too"),
    ],
)
def test_who_validates_is_said(with_validation, signers, words):
    manifest = copy.deepcopy(with_validation.manifest)
    for split, who in signers.items():
        manifest["splits"][split]["signers"] = who
    assert Holdout.of(dataclasses.replace(with_validation, manifest=manifest), cfg.Data()).words == words


class WithLabels:
    """Of a dataset what `Holdout` asks for: training clips with these labels."""

    def __init__(self, labels, task):
        self.task, self.path = task, pathlib.Path("dataset")
        self._clips = [ClipInfo(i, "train", 1, "train", label, 9, 0, True) for i, label in enumerate(labels)]

    def clips(self, split):
        return self._clips

    def count(self, split):
        return 0

    def held_out(self, share):
        validation = Holdout.of(self, cfg.Data(validation_share=share)).validation
        return {self._clips[i].label for i in validation}


def test_how_large_the_share_is(task):
    labels = WithLabels([f"phrase {i}" for i in range(2000)], task)
    assert 0.03 < len(labels.held_out(0.05)) / 2000 < 0.07
    # A larger share only adds to a smaller one.
    assert labels.held_out(0.05) < labels.held_out(0.2)
    assert len(labels.held_out(0)) == 0
    assert len(labels.held_out(1)) == 2000


def test_the_share_is_the_same_in_every_version(task):
    assert WithLabels("abcdefghijklmnopqrstuvwxyz", task).held_out(0.25) == set("fjuxyz")
