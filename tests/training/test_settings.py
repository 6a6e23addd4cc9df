import dataclasses
import math

import pytest

from pipeline.common.errors import UserError
from training import settings
from training.settings import Range, setting


@dataclasses.dataclass(frozen=True)
class Inner:
    share: float = setting(0.5, "a share", at_least=0, below=1)
    name: str = setting("one", "a name", choices=("one", "two"))


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    count: int = setting(3, "a count", at_least=1)
    limited: int = setting(3, "a small count", at_least=0, at_most=2**32 - 1)
    flag: bool = setting(False, "a flag")
    rate: float = setting(1.0, "a rate", above=0)


@pytest.mark.parametrize(
    ("limits", "fits", "does_not"),
    [
        ({}, [0, -5, 1e9, True, "a"], [math.nan, math.inf, -math.inf]),
        ({"at_least": 1}, [1, 1.0, 7], [0, 0.99, -1, math.nan, math.inf]),
        ({"above": 0}, [1e-9, 7], [0, 0.0, -1, math.nan, math.inf]),
        ({"at_least": 0, "at_most": 1}, [0, 1, 0.5], [-0.1, 1.1, math.nan]),
        ({"at_least": 0, "below": 1}, [0, 0.99], [1, 1.0, 2, math.nan]),
        ({"choices": ("a", "b")}, ["a", "b"], ["c", "", 1]),
    ],
)
def test_a_range(limits, fits, does_not):
    assert [value for value in fits if value not in Range(**limits)] == []
    assert [value for value in does_not if value in Range(**limits)] == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "any"),
        ({"at_least": 0, "below": 1}, "at least 0 and below 1"),
        ({"at_least": 0, "at_most": 2**32 - 1}, "at least 0 and at most 4294967295"),
        ({"above": 0.5}, "above 0.5"),
        ({"choices": ("a", "b")}, "a or b"),
    ],
)
def test_a_range_in_words(limits, words):
    assert str(Range(**limits)) == words


def test_settings_by_their_full_names():
    found = {name: (value, field.metadata["help"]) for name, value, field in settings.flat(Outer())}
    assert found == {
        "inner.share": (0.5, "a share"),
        "inner.name": ("one", "a name"),
        "count": (3, "a count"),
        "limited": (3, "a small count"),
        "flag": (False, "a flag"),
        "rate": (1.0, "a rate"),
    }
    assert [name for name, *_ in settings.flat(Inner(), "a.b.")] == ["a.b.share", "a.b.name"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": Inner(share=1.0)}, "inner.share is 1.0, expected at least 0 and below 1"),
        ({"inner": Inner(name="three")}, "inner.name is three, expected one or two"),
        ({"count": 0}, "count is 0, expected at least 1"),
        ({"count": 2**31}, "count is 2147483648, expected at most 2147483647"),
        ({"limited": 2**32}, "limited is 4294967296, expected at least 0 and at most 4294967295"),
        ({"rate": math.inf}, "rate is inf, expected above 0"),
    ],
)
def test_a_value_beyond_its_range(changes, message):
    with pytest.raises(UserError) as raised:
        settings.check(Outer(**changes))
    assert str(raised.value) == message


def test_the_largest_values():
    settings.check(Outer(count=2**31 - 1, limited=2**32 - 1, rate=1e300))


def test_described():
    assert "\n".join(settings.describe(Outer())).split("\n") == [
        "  inner.share = 0.5",
        "      a share (at least 0 and below 1)",
        "  inner.name = one",
        "      a name (one or two)",
        "  count = 3",
        "      a count (whole number, at least 1)",
        "  limited = 3",
        "      a small count (whole number, at least 0 and at most 4294967295)",
        "  flag = false",
        "      a flag (true or false)",
        "  rate = 1.0",
        "      a rate (above 0)",
    ]
