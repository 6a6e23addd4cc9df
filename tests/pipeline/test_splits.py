import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import UserError
from pipeline.splits import SplitRule


@given(st.sets(st.integers(), min_size=3), st.floats(0, 0.4), st.floats(0, 0.4))
def test_shares(participants, validation_share, test_share):
    rule = SplitRule(validation_share=validation_share, test_share=test_share)
    size = {"test": math.ceil(test_share * len(participants) - 1e-9)}
    size["validation"] = math.ceil(validation_share * len(participants) - 1e-9)
    if sum(size.values()) >= len(participants):
        with pytest.raises(UserError, match="no signer is left"):
            rule.assign(participants)
        return
    assigned = rule.assign(participants)
    assert assigned.keys() == participants
    for split, expected in size.items():
        assert list(assigned.values()).count(split) == expected
    assert assigned == rule.assign(sorted(participants, reverse=True))


def test_the_hash_is_stable():
    """Whoever reads this: another answer here means that everybody's splits change."""
    assigned = SplitRule(validation_share=0.1, test_share=0.2).assign(range(10))
    assert [who for who, split in assigned.items() if split == "test"] == [0, 8]
    assert [who for who, split in assigned.items() if split == "validation"] == [9]


def test_lists_take_the_place_of_shares():
    rule = SplitRule(validation_participants=(5,), test_participants=(3, 1), validation_share=0.5, test_share=0.5)
    assert rule.assign([1, 3, 5, 7, 9]) == {1: "test", 3: "test", 5: "validation", 7: "train", 9: "train"}


def test_a_listed_signer_is_in_no_share():
    assigned = SplitRule(test_participants=(1, 2), validation_share=0.5).assign(range(6))
    assert (assigned[1], assigned[2]) == ("test", "test")
    assert list(assigned.values()).count("validation") == 3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (SplitRule(test_participants=(8,)), "no participant 8 in the data, which has 1, 2, 3"),
        (SplitRule(test_participants=(2, 2)), "participant 2 is listed twice"),
        (SplitRule(test_participants=(2,), validation_participants=(2,)), "participant 2 is listed twice"),
        (SplitRule(test_participants=(1, 2, 3)), "no signer is left to train on"),
        (SplitRule(test_share=0.9), "no signer is left to train on"),
        (SplitRule(test_share=1.0), "test share is 1.0"),
        (SplitRule(validation_share=-0.1), "validation share is -0.1"),
        (SplitRule(validation_share=math.nan), "validation share is nan"),
    ],
)
def test_bad_rules(rule, message):
    with pytest.raises(UserError, match=message):
        rule.assign([1, 2, 3])


def test_json():
    rule = SplitRule(test_participants=(3, 1))
    assert json.loads(json.dumps(rule.as_json())) == {
        "validation_participants": [],
        "test_participants": [1, 3],
        "validation_share": 0.0,
        "test_share": 0.1,
    }
