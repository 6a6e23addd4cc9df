"""How long recognition takes, one clip at a time, and what it may take."""

import argparse
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.common.arguments import Parser, above_zero, threads
from pipeline.tasks.task import Task

PERCENTILES = (50, 90, 95, 99)
STATISTICS = ("mean", *(f"p{q}" for q in PERCENTILES))
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a model may need: milliseconds a clip (`statistic` of many clips) and millions of bytes."""

    max_size_mb: float
    max_latency_ms: float = math.inf
    statistic: str = "mean"

    @classmethod
    def of(cls, arguments: argparse.Namespace, task: Task) -> "Limits":
        """The size that the task allows, where no other is given."""
        latency = arguments.max_latency_ms or math.inf
        return cls(arguments.max_size_mb or task.contract.max_mb, latency, arguments.latency)

    def excess(self, latency_ms: dict[str, float], size_mb: float) -> float:
        """What is needed of what is allowed, of time or size, whichever is more: at most 1 where both are kept."""
        return max(latency_ms[self.statistic] / self.max_latency_ms, size_mb / self.max_size_mb)

    def __str__(self) -> str:
        time_limit = "" if math.isinf(self.max_latency_ms) else f"{self.statistic} {self.max_latency_ms:g} ms, "
        return f"{time_limit}{self.max_size_mb:g} MB"


def add_options(parser: Parser) -> None:
    """The options of limits, and the threads that latency is measured with."""
    parser.add_argument("--threads", type=threads, default=1, help="threads for one clip where time is measured")
    parser.add_argument("--max-latency-ms", type=above_zero, metavar="MS", help="most milliseconds for a clip")
    said = "what must keep to --max-latency-ms: the mean, or a percentile, over the dataset's lengths"
    parser.add_argument("--latency", choices=STATISTICS, default="mean", help=said)
    said = "most megabytes (10**6 bytes) of the file; if not given, what the task's competition allows"
    parser.add_argument("--max-size-mb", type=above_zero, metavar="MB", help=said)


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Positions of at most `count` of the lengths, evenly from the shortest to the longest, in a mixed order.

    Mixed, for a model that meets the lengths in order would seldom have to make room for a longer clip.
    """
    order = np.argsort(lengths, kind="stable")
    kept = min(count, len(order))
    chosen = order[((np.arange(kept) + 0.5) * len(order) / max(kept, 1)).astype(int)]
    return np.random.default_rng(0).permutation(chosen).tolist()


def milliseconds(call: Callable[[np.ndarray], object], clips: Sequence[np.ndarray], rounds: int = ROUNDS) -> np.ndarray:
    """Milliseconds for each clip, the fewest of some rounds through all: what else the machine does only slows."""
    found = np.empty((rounds, len(clips)))
    for round_number, (position, clip) in itertools.product(range(rounds), enumerate(clips)):
        started = time.perf_counter()
        call(clip)
        found[round_number, position] = (time.perf_counter() - started) * 1000
    return found.min(axis=0)


def summary(milliseconds: Sequence[float] | np.ndarray) -> dict[str, float]:
    """The `STATISTICS` of timings, by name."""
    return {
        "mean": round(float(np.mean(milliseconds)), 2),
        **{f"p{q}": round(float(np.percentile(milliseconds, q)), 2) for q in PERCENTILES},
    }
