"""Mean and spread of the features, as moments that merge: per shard, then over shards."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

# A feature that varies less than this is taken as constant: dividing by its spread would only blow up rounding.
_MIN_STD = 1e-6


@dataclasses.dataclass(frozen=True)
class Moments:
    """Per feature, (F,) float64 each: the number of values seen, their mean, their squared deviations' sum."""

    count: np.ndarray
    mean: np.ndarray
    m2: np.ndarray

    @classmethod
    def none(cls, num_features: int) -> Self:
        return cls(np.zeros(num_features), np.zeros(num_features), np.zeros(num_features))

    @classmethod
    def of(cls, features: np.ndarray) -> Self:
        """The moments of features (T, F), or of any shape (T, ...), over the frames; NaN counts for nothing."""
        missing = features != features
        count = len(features) - missing.sum(axis=0, dtype=np.uint32).astype(np.float64)
        known = features.astype(np.float64)
        np.copyto(known, 0.0, where=missing)
        mean = known.sum(axis=0) / np.maximum(count, 1)
        # Features are of the order of 1: nothing is lost in the difference of float64 sums.
        squares = np.einsum("t...,t...->...", known, known)
        m2 = np.maximum(squares - count * np.square(mean), 0.0)
        return cls(*(values.ravel() for values in (count, mean, m2)))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of values together (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        weight = other.count / np.maximum(count, 1)
        step = other.mean - self.mean
        return Moments(count, self.mean + step * weight, self.m2 + other.m2 + np.square(step) * self.count * weight)

    @property
    def feature_mean(self) -> np.ndarray:
        """(F,) float32, 0 where nothing was seen."""
        return self.mean.astype(np.float32)

    @property
    def feature_std(self) -> np.ndarray:
        """(F,) float32 population deviation, 1 where nothing was seen or nothing varies."""
        std = np.sqrt(self.m2 / np.maximum(self.count, 1))
        return np.where(std > _MIN_STD, std, 1.0).astype(np.float32)

    def as_json(self) -> dict[str, list[float]]:
        """Exact: a float's shortest decimal form reads back as the same float."""
        return {"count": self.count.tolist(), "mean": self.mean.tolist(), "m2": self.m2.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(*(np.array(data[name], np.float64) for name in ("count", "mean", "m2")))


def merge(moments: Iterable[Moments]) -> Moments:
    """All together, in the order given: floating-point sums depend on it. There must be some."""
    return functools.reduce(Moments.merge, moments)
