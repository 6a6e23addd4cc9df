import collections
import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.errors import UserError
from pipeline.dataset import splits
from pipeline.dataset.metadata import Entry
from pipeline.dataset.splits import SplitRule

ENTRIES = st.lists(
    st.builds(
        Entry,
        path=st.sampled_from(["a/1.parquet", "a/2.parquet", "b/3.parquet", "b/4.parquet", "5.parquet"]),
        sequence_id=st.integers(-(2**40), 2**40),
        signer=st.integers(0, 12),
        label=st.just("x"),
        source=st.just("train"),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda entry: entry.sequence_id,
)
KEYS = {"signer": lambda entry: entry.signer, "file": lambda entry: entry.path, "clip": lambda entry: entry.sequence_id}


def assign(rule, signers):
    """The split of each signer, where each has two clips in a file of his own."""
    ids = {2 * index + i: who for index, who in enumerate(signers) for i in (0, 1)}
    assigned = rule.assign(Entry(f"{who}.parquet", i, who, "x", "train") for i, who in ids.items())
    assert all(assigned[i] == assigned[i ^ 1] for i in assigned)
    return {ids[i]: split for i, split in assigned.items()}


@given(st.sets(st.integers(), min_size=3), st.floats(0, 0.4), st.floats(0, 0.4))
def test_shares(signers, validation_share, test_share):
    rule = SplitRule(validation_share=validation_share, test_share=test_share)
    size = {"test": math.ceil(test_share * len(signers) - 1e-9)}
    size["validation"] = math.ceil(validation_share * len(signers) - 1e-9)
    if sum(size.values()) >= len(signers):
        with pytest.raises(UserError, match="no signer is left"):
            assign(rule, signers)
        return
    assigned = assign(rule, signers)
    assert assigned.keys() == signers
    for split, expected in size.items():
        assert list(assigned.values()).count(split) == expected
    assert assigned == assign(rule, sorted(signers, reverse=True))


def test_the_hash_is_stable():
    """Whoever reads this: another answer here means that everybody's splits change."""
    assigned = assign(SplitRule(validation_share=0.1, test_share=0.2), range(10))
    assert [who for who, split in assigned.items() if split == "test"] == [0, 8]
    assert [who for who, split in assigned.items() if split == "validation"] == [9]
    entries = [Entry(f"train_landmarks/{i}.parquet", i, 1, "x", "train") for i in range(10)]
    by_file = SplitRule(by="file", test_share=0.2).assign(entries)
    assert [i for i, split in by_file.items() if split == "test"] == [2, 3]
    by_clip = SplitRule(by="clip", test_share=0.2).assign(entries)
    assert [i for i, split in by_clip.items() if split == "test"] == [0, 8]


def test_lists_take_the_place_of_shares():
    rule = SplitRule(validation_signers=(5,), test_signers=(3, 1), validation_share=0.5, test_share=0.5)
    assert assign(rule, [1, 3, 5, 7, 9]) == {1: "test", 3: "test", 5: "validation", 7: "train", 9: "train"}
    files = SplitRule(validation_files=("5.parquet",), test_files=("1.parquet",), test_signers=(3,))
    assert assign(files, [1, 3, 5, 7, 9]) == {1: "test", 3: "test", 5: "validation", 7: "train", 9: "train"}


def test_a_listed_signer_is_in_no_share():
    assigned = assign(SplitRule(test_signers=(1, 2), validation_share=0.5), range(6))
    assert (assigned[1], assigned[2]) == ("test", "test")
    assert list(assigned.values()).count("validation") == 3


@settings(max_examples=60, deadline=None)
@given(ENTRIES, st.sampled_from(list(KEYS)), st.sampled_from([0.0, 0.1, 0.5]), st.integers(2, 4))
def test_each_unit_is_whole_and_in_one_fold(entries, by, test_share, folds):
    key = KEYS[by]
    units = {key(entry) for entry in entries}
    remaining = len(units) - math.ceil(test_share * len(units) - 1e-9)
    validated = collections.Counter()
    tests = []
    for fold in range(1, folds + 1):
        rule = SplitRule(by=by, test_share=test_share, folds=folds, fold=fold)
        if remaining < folds:
            with pytest.raises(UserError, match=f"{folds} folds of {remaining} "):
                rule.assign(entries)
            continue
        assigned = rule.assign(entries)
        assert list(assigned) == [entry.sequence_id for entry in entries]
        assert assigned == rule.assign(entries[::-1])
        splits = {unit: {assigned[each.sequence_id] for each in entries if key(each) == unit} for unit in units}
        assert all(len(found) == 1 for found in splits.values())
        validated.update(unit for unit, found in splits.items() if found == {"validation"})
        tests.append({unit for unit, found in splits.items() if found == {"test"}})
    if remaining >= folds:
        assert set(validated.values()) == {1} and len(validated) >= folds
        assert all(each == tests[0] for each in tests)
        assert validated == dict.fromkeys(units - tests[0], 1)


@settings(max_examples=40, deadline=None)
@given(ENTRIES, st.sampled_from(list(KEYS)), st.integers(1, 50))
def test_a_limit_takes_the_first_and_moves_none(entries, by, limit):
    whole = SplitRule(by=by, test_share=0.0)
    limited = SplitRule(by=by, test_share=0.0, limit=limit)
    assert list(limited.assign(entries).items()) == list(whole.assign(entries).items())[:limit]


def test_as_many_folds_as_signers_are_left():
    assert sorted(assign(SplitRule(folds=2, fold=1), [1, 2, 3]).values()) == ["test", "train", "validation"]


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_leaves_something_to_train_on(limit):
    """Two clips of signer 1 come first."""
    rule = SplitRule(test_signers=(1,), limit=limit)
    with pytest.raises(UserError, match=r"no signer is left to train on: of 1, .* --test-share, or raise --limit"):
        assign(rule, [1, 2])
    entries = [Entry("1.parquet", i, 1 + i // limit, "x", "train") for i in range(4)]
    with pytest.raises(UserError, match="or raise --limit"):
        rule.assign(entries)
    assert list(dataclasses.replace(rule, limit=limit + 1).assign(entries).values()) == ["test"] * limit + ["train"]


def test_a_subset_of_signers_is_all_there_is():
    assigned = assign(SplitRule(signers=(2, 4), test_share=0.5), range(2, 5))
    assert sorted(assigned.values()) == ["test", "train"]
    assert assigned.keys() == {2, 4}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (SplitRule(test_signers=(8,)), "no signer 8 in the data, which has 1, 2, 3"),
        (SplitRule(signers=(8,)), "no signer 8 in the data, which has 1, 2, 3"),
        (SplitRule(signers=(1, 2), test_signers=(3,)), "no signer 3 in the data, which has 1, 2"),
        (SplitRule(test_files=("8.parquet",)), r"no file 8\.parquet in the data, which has 1\.parquet, 2\.parquet"),
        (SplitRule(test_signers=(2, 2)), "signer 2 is listed twice"),
        (SplitRule(test_signers=(2,), validation_signers=(2,)), "signer 2 is listed twice"),
        (SplitRule(test_files=("2.parquet",) * 2), r"file 2\.parquet is listed twice"),
        (
            SplitRule(validation_signers=(2,), test_files=("2.parquet",)),
            r"signer 2 is listed for validation, 2\.parquet for test, and both hold clip",
        ),
        (SplitRule(test_signers=(1, 2, 3)), "no signer is left to train on"),
        (SplitRule(by="file", test_share=0.9), "no file is left to train on"),
        (SplitRule(test_share=0.9), "no signer is left to train on"),
        (SplitRule(test_share=1.0), "test share is 1.0"),
        (SplitRule(validation_share=-0.1), "validation share is -0.1"),
        (SplitRule(validation_share=math.nan), "validation share is nan"),
        (SplitRule(by="phrase"), "split by signer, file, clip, not by 'phrase'"),
        (SplitRule(fold=1), "fold 1 without a number of folds"),
        (SplitRule(folds=3), "3 folds, but not which of them validates"),
        (SplitRule(folds=3, fold=4), "fold 4 of 3"),
        (SplitRule(folds=1, fold=1), "fold 1 of 1"),
        (SplitRule(folds=3, fold=1), "3 folds of 2 signers: each needs one at least; lower --folds, set fewer aside"),
        (SplitRule(folds=2, fold=2, test_signers=(1, 3)), "2 folds of 1 signer: each needs one at least"),
        (SplitRule(folds=4, fold=1, test_share=0, by="file"), "4 folds of 3 files: each needs one at least"),
        (SplitRule(folds=2, fold=1, validation_share=0.1), "the fold is what validates"),
        (SplitRule(folds=2, fold=1, validation_files=("1.parquet",)), "the fold is what validates"),
    ],
)
def test_bad_rules(rule, message):
    with pytest.raises(UserError, match=message):
        assign(rule, [1, 2, 3])


def test_json():
    rule = SplitRule(test_signers=(3, 1))
    found = json.loads(json.dumps(rule.as_json()))
    assert found["test_signers"] == [1, 3]
    assert (found["test_share"], found["by"], found["limit"]) == (0.1, "signer", None)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(1, 6))
def test_folds_are_of_equal_size_and_in_no_order_of_the_units(units, folds):
    found = splits.divide(units, folds)
    assert found.keys() == set(units)
    sizes = [list(found.values()).count(fold) for fold in range(1, folds + 1)]
    assert sum(sizes) == len(found)
    assert max(sizes) - min(sizes) <= 1
    assert splits.divide([*reversed(units), *units], folds) == found


def test_folds_stay_as_they_are():
    """Another division would score old models' clips by models that have seen them."""
    assert splits.divide(range(8), 3) == {0: 1, 6: 2, 4: 3, 3: 1, 2: 2, 7: 3, 5: 1, 1: 2}
