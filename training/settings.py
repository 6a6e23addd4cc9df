"""Settings: fields of dataclasses that know their meaning, and what values can be trained with."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from pipeline.common.errors import UserError

_LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Range:
    """Values that a setting may have. NaN and infinity never fit."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    choices: tuple[str, ...] = ()

    def __contains__(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, (bool, str)):
            return True
        fits = self.at_least <= value <= self.at_most and self.above < value < self.below
        return fits and (isinstance(value, int) or math.isfinite(value))

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(self.choices)
        limits = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        return " and ".join(f"{words} {limit}" for words, limit in limits if math.isfinite(limit)) or "any"


def setting(default: Any, help: str, **limits: Any) -> Any:  # noqa: A002  # as argparse calls it
    """A field of a dataclass of settings. `limits` are those of `Range`."""
    return dataclasses.field(default=default, metadata={"help": help, "range": Range(**limits)})


def share(default: float, help: str) -> Any:  # noqa: A002
    return setting(default, help, at_least=0, at_most=1)


def probability(default: float, event: str) -> Any:
    return share(default, f"probability of {event}")


def flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any, dataclasses.Field]]:
    """Yields full name (such as optimizer.epochs), value and field of every setting of a dataclass and those in it."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from flat(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value, field


def check(section: Any) -> None:
    """Raises `UserError` for a value that cannot be trained with."""
    for name, value, field in flat(section):
        limits = field.metadata["range"]
        if value not in limits:
            raise UserError(f"{name} is {value}, expected {limits}")
        if type(value) is int and value > _LARGEST and math.isinf(limits.at_most):
            raise UserError(f"{name} is {value}, expected at most {_LARGEST}")


def describe(section: Any, prefix: str = "") -> Iterator[str]:
    """Yields the name, default, meaning, type and range of each setting."""
    for name, value, field in flat(section, prefix):
        limits = "true or false" if isinstance(value, bool) else str(field.metadata["range"])
        whole = "whole number, " if type(value) is int else ""
        shown = str(value).lower() if isinstance(value, bool) else value
        yield f"  {name} = {shown}\n      {field.metadata['help']} ({whole}{limits})"
