"""What scripts.benchmarks.filter makes of scores and the truth."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.scores import score_table
from pipeline.scores.score_table import Row
from scripts.benchmarks import filter as benchmark


def row(i, score, split="train"):
    return Row(i, 1, split, 9, True, "abc", "?", errors=round(200 * (1 - score)), units=200)


def rows(scores):
    return {i: row(i, score) for i, score in enumerate(scores)}


def test_what_is_caught_at_a_loss():
    """100 good at 0.00, 0.01 ... 0.99, of which one at most may be lost; two spoiled between the first two."""
    scores = [*(i / 100 for i in range(100)), 0.005, 0.005, 0.5, 0.995]
    truth = {100: "tap", 101: "tap", 102: "wrong", 103: "wrong"}
    found = benchmark.measure(rows(scores) | {200: row(200, -5.0, "test")}, truth)
    assert (found["good"], found["spoiled"]) == (100, {"tap": 2, "wrong": 2})
    at = found["at_loss"]["0.01"]
    assert (at["threshold"], at["lost"], at["caught"]) == (0.01, 0.01, 0.5)
    assert at["caught_of"] == {"tap": 1.0, "wrong": 0.0}
    assert (found["at_loss"]["0.005"]["lost"], found["at_loss"]["0.005"]["caught"]) == (0, 0)
    assert found["at_loss"]["0.05"]["lost"] == 0.05


def test_probabilities_go_before_right_and_wrong():
    """A label that was recognized, but hardly, is worse than one that was nearly recognized."""
    table = {i: dataclasses.replace(row(i, 1.0), probability=value) for i, value in enumerate((0.3, 0.9, 0.8))}
    table[3] = dataclasses.replace(row(3, 0.0), probability=0.4)
    assert benchmark.measure(table, {0: "tap"})["order"] == 1.0


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.booleans()), min_size=2, max_size=12))
def test_the_order(scored):
    good, spoiled = ([score for score, bad in scored if bad == wanted] for wanted in (False, True))
    truth = {i: "tap" for i, (_, bad) in enumerate(scored) if bad}
    if not good or not spoiled:
        with pytest.raises(UserError, match="none is spoiled, or all are"):
            benchmark.measure(rows(score for score, _ in scored), truth)
        return
    found = benchmark.measure(rows(score for score, _ in scored), truth)
    expected = np.mean([(b < g) + 0.5 * (b == g) for b in spoiled for g in good])
    assert found["order"] == pytest.approx(expected)
    for loss, at in found["at_loss"].items():
        assert at["lost"] <= float(loss)


def test_two_tables(command, tmp_path, capsys):
    (tmp_path / "truth.csv").write_text("sequence_id,kind\n0,tap\n")
    for name, scores in (("in-sample", [0.9, 0.8, 0.7]), ("out-of-fold", [0.1, 0.8, 0.7])):
        request = directories.Request(score_table.KIND, {})
        directories.prepare(tmp_path / name, request)
        score_table.write(tmp_path / name / score_table.FILE_NAME, rows(scores).values())
        directories.complete(tmp_path / name, request, {"task": {}}, files=[score_table.FILE_NAME])
    command(benchmark, "--truth", tmp_path / "truth.csv", tmp_path / "in-sample", tmp_path / "out-of-fold")
    (caught,) = [line for line in capsys.readouterr().out.splitlines() if "caught, at most 1.0% lost" in line]
    assert "0.0%, 0.0% lost (score 0.700)" in caught
    assert "100.0%, 0.0% lost (score 0.700)" in caught
