import argparse

import numpy as np
import pytest

from inference import latency
from inference.latency import Limits
from pipeline.common.arguments import Parser, above_zero
from pipeline.tasks.fingerspelling import Fingerspelling


def test_summary():
    found = latency.summary(range(101))
    assert found == {"mean": 50, "p50": 50, "p90": 90, "p95": 95, "p99": 99}
    assert tuple(found) == latency.STATISTICS


def test_spread():
    """Evenly from short to long, each once, not in order."""
    lengths = np.random.default_rng(0).permutation(1000).tolist()
    chosen = latency.spread(lengths, 100)
    found = [lengths[i] for i in chosen]
    assert sorted(found) == list(range(5, 1000, 10))
    assert found != sorted(found)
    assert latency.spread(lengths, 100) == chosen
    assert sorted(latency.spread([3, 1, 2], 10)) == [0, 1, 2]
    assert latency.spread([], 10) == []


def test_milliseconds(monkeypatch):
    """Of each clip the fastest of the rounds; a round meets every clip."""
    clock = [0.0]
    took = iter([0.003, 0.010, 0.002, 0.030])

    def call(clip):
        seen.append(clip)
        clock[0] += next(took)

    seen = []
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    np.testing.assert_allclose(latency.milliseconds(call, ["a", "b"], rounds=2), [2, 10])
    assert seen == ["a", "b", "a", "b"]


def test_limits():
    times = {"mean": 10.0, "p95": 30.0}
    assert Limits(40, 20).excess(times, 20) == 0.5
    assert Limits(10, 20).excess(times, 20) == 2
    assert Limits(40, 20, "p95").excess(times, 20) == 1.5
    assert Limits(40).excess(times, 40) == 1
    assert (str(Limits(40)), str(Limits(17, 20, "p95"))) == ("40 MB", "p95 20 ms, 17 MB")


def options(*words):
    parser = Parser("A command.")
    latency.add_options(parser)
    return parser.parse_args(words)


def test_options():
    """The size that the task allows, where no other is given."""
    task = Fingerspelling()
    assert Limits.of(options(), task) == Limits(40.0)
    given = options("--max-size-mb", "17", "--max-latency-ms", "20", "--latency", "p95", "--threads", "2")
    assert Limits.of(given, task) == Limits(17, 20, "p95")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "ten", ""])
def test_numbers_above_zero(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number above 0"):
        above_zero(text)
    assert above_zero("2.5") == 2.5
