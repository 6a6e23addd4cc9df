import dataclasses
import json
import sys

import numpy as np
import pytest

from pipeline import filter as filter_command
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.features import features
from pipeline.dataset.splits import SplitRule
from pipeline.scores import score_table
from pipeline.scores.score_table import Learnt, Row
from pipeline.scores.threshold import choose_threshold
from pipeline.tasks.body import POINTS

# Errors of ten units. Of the example's twelve clips 100, 104, 108 are signer 1's, 101, .. signer 2's, and so on.
ERRORS = {100: 10, 101: 15, 102: 9, 107: 9}
RULE = SplitRule(validation_signers=(2,), test_signers=(3,))


@pytest.fixture
def parent(kaggle_data, tmp_path):
    conversion.convert(kaggle_data(), tmp_path / "dataset", RULE, num_shards=None, runner=Runner())
    return Dataset.open(tmp_path / "dataset")


def score(parent, path, *, errors=ERRORS, left_out=(), more=(), of=None, **changes):
    path.mkdir()
    request = directories.Request(score_table.KIND, {})
    directories.prepare(path, request)
    rows = [
        Row.of(each, "?", parent.task, Learnt.of([]))
        for split in parent.splits
        for each in parent.clips(split)
        if each.sequence_id not in left_out
    ]
    rows = [dataclasses.replace(row, units=10, errors=errors.get(row.sequence_id, 1)) for row in rows]
    rows = [dataclasses.replace(row, **changes) for row in rows]
    score_table.write(path / score_table.FILE_NAME, [*rows, *more])
    content = {"task": {}, "dataset": of or parent.fingerprint}
    directories.complete(path, request, content, files=[score_table.FILE_NAME])
    return path


def run(parent, scores, output, threshold=0.2):
    filter_command.filter_dataset(parent.path, scores, output, threshold=threshold, runner=Runner())
    return Dataset.open(output)


def ids(found, split):
    return [each.sequence_id for each in found.read(split)]


def test_low_scores_are_left_out_but_of_the_test_split(parent, tmp_path):
    """And not those that score just the threshold."""
    found = run(parent, score(parent, tmp_path / "scores", errors=ERRORS | {111: 8}), tmp_path / "out")
    assert ids(found, "train") == [sequence_id for sequence_id in ids(parent, "train") if sequence_id not in (100, 107)]
    assert ids(found, "validation") == [105, 109]
    assert ids(found, "test") == ids(parent, "test")
    kept = (
        np.concatenate([features(each.landmarks, POINTS) for each in found.read("train")])
        .astype(np.float64)
        .reshape(-1, 600)
    )
    np.testing.assert_allclose(found.mean, np.nanmean(kept, axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, np.nanstd(kept, axis=0), rtol=1e-6)
    assert found.fingerprint != parent.fingerprint
    assert [found.signers(split) for split in found.splits] == [[1, 4], [2], [3]]
    manifest = found.manifest
    assert manifest["settings"]["threshold"] == 0.2
    assert manifest["settings"]["threshold_was"] == "given"
    assert manifest["parent"]["fingerprint"] == parent.fingerprint
    assert manifest["dropped"] == {"train": 2, "validation": 1, "test": 0}
    assert manifest["dropped_by_signer"] == {
        str(who): {"read": 3, "low_score": dropped} for who, dropped in ((1, 1), (2, 1), (3, 0), (4, 1))
    }
    assert manifest["rejected"] == {"low_score": 3}
    dropped = [json.loads(line) for line in (found.path / "dropped.jsonl").read_text().splitlines()]
    assert [each["sequence_id"] for each in dropped] == [100, 101, 107]
    assert dropped[0] == {
        "sequence_id": 100,
        "reason": "low_score",
        "split": "train",
        "signer": 1,
        "score": 0.0,
        "quality": 0.0,
        "label": "word a",
        "prediction": "?",
        "detail": "0",
    }


def test_the_command(parent, tmp_path, capsys, monkeypatch):
    scores = score(parent, tmp_path / "scores")
    arguments = ["filter", "--dataset", str(parent.path), "--scores", str(scores), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--workers", "1"])
    filter_command.main()
    assert "kept 4 of 6 train, 2 of 3 validation, 3 of 3 test" in capsys.readouterr().out
    filter_command.main()
    assert "already complete" in capsys.readouterr().out
    assert Dataset.open(tmp_path / "out").manifest["settings"]["threshold_was"] == "chosen from the training scores"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": "another"}, "holds the scores of another dataset"),
        ({"left_out": (104,)}, "has 11 scores, the dataset 12 clips"),
        ({"more": [Row(5, 1, "train", 1, True, "a", "a", 0, 1)]}, "has 13 scores, the dataset 12 clips"),
        (
            {"left_out": (104,), "more": [Row(5, 1, "train", 1, True, "a", "a", 0, 1)]},
            "has no score of clip 104: score the dataset again",
        ),
        ({"label": "else"}, "'else' in .*, in the dataset 'word"),
        ({"split": "train"}, "in train, by .*, in the dataset .* in (test|validation)"),
        ({"signer": 9}, "by signer 9, .*, in the dataset .*, by signer [1-4]"),
        ({"num_frames": 99}, ", 99 frames, in the dataset .*, [3-7] frames"),
        ({"errors": dict.fromkeys(range(100, 112), 10)}, "leaves nothing to train on: the best training score is 0$"),
    ],
)
def test_scores_that_do_not_fit(parent, tmp_path, changes, message):
    scores = score(parent, tmp_path / "scores", **changes)
    with pytest.raises(UserError, match=message):
        run(parent, scores, tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()


def test_the_threshold_lies_in_the_valley():
    random = np.random.default_rng(0)
    bad, good = random.normal(0.05, 0.08, 150), random.normal(0.85, 0.1, 850)
    threshold = choose_threshold([*bad, *good])
    assert 0.3 <= threshold <= 0.5
    assert choose_threshold([0.0] * 5 + [0.4] * 5) == pytest.approx(0.205, abs=0.01)


@pytest.mark.parametrize(
    ("scores", "expected"), [([0.9] * 10, 0.1), ([-3.0] * 4 + [0.12] * 6, 0.1), ([0.6] * 5 + [1.0] * 5, 0.5)]
)
def test_the_threshold_keeps_within_its_bounds(scores, expected):
    assert choose_threshold(scores) == expected


def test_probabilities_are_divided_by_their_logarithms():
    """A label that nothing speaks for is not one that little speaks for."""
    random = np.random.default_rng(0)
    wrong, doubtful, sure = random.uniform(1e-5, 0.01, 50), random.uniform(0.1, 0.5, 100), random.uniform(0.5, 1, 850)
    threshold = choose_threshold([*wrong, *doubtful, *sure], probabilities=True)
    assert 0.01 < threshold < 0.2
    assert choose_threshold([0.9] * 10, probabilities=True) < 0.9
    assert choose_threshold([0.0] * 6 + [0.9] * 4, probabilities=True) == 0


@pytest.mark.parametrize("scores", [[0.0] * 10, [-1.0] * 7 + [0.3] * 3, [0.0] * 6 + [0.5] * 4])
def test_a_base_model_that_reads_nothing_drops_half_at_most(scores):
    threshold = choose_threshold(scores)
    assert sum(score < threshold for score in scores) <= len(scores) / 2
