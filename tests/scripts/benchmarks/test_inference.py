"""scripts.benchmarks.inference: the lengths it times, and that it measures every way."""

import dataclasses
import json

import numpy as np
import pytest

from pipeline.common.errors import UserError
from scripts.benchmarks import inference as benchmark
from training import config as cfg


def test_lengths_are_those_of_the_real_set():
    """Of https://www.kaggle.com/competitions/asl-fingerspelling: mean 160, 95 % at most 309, the longest 807."""
    lengths = benchmark.real_lengths(100)
    assert len(lengths) == 100
    assert lengths.min() >= 1
    assert lengths.max() == 807
    assert lengths.mean() == pytest.approx(160, abs=2)
    assert np.percentile(lengths, 95) == pytest.approx(309, rel=0.05)


def test_a_run_needs_its_data_set(command, toy_run, tmp_path):
    with pytest.raises(UserError, match="--run and --dataset belong together"):
        command(benchmark, "--output", tmp_path, "--run", toy_run)


@pytest.mark.long
def test_every_way_is_measured(command, monkeypatch, toy_run, toy_dataset, tmp_path, capsys):
    for preset in ("final", "small-final", "fast-final"):
        tiny = dataclasses.replace(cfg.PRESETS[preset].encoder, width=8, blocks=1, heads=2)
        monkeypatch.setitem(benchmark.PRESETS, preset, dataclasses.replace(cfg.PRESETS[preset], encoder=tiny))
    command(benchmark, "--output", tmp_path, "--clips", 3, "--rounds", 1, "--run", toy_run, "--dataset", toy_dataset)
    report = json.loads((tmp_path / "report.json").read_text())
    for figures in report["threads"].values():
        ours = {f"final, {weights}" for weights in ("float32", "float16", "int8")}
        assert figures.keys() == {"published", *ours, "small-final, int8", "fast-final, int8"}
        for each in figures.values():
            assert 0 < each["p50"] <= each["p99"]
            assert each["size_mb"] > 0 and each["load_ms"] > 0 and each["memory_mb"] > 0
    assert report["score"]["float32"]["difference"] == 0
    said = capsys.readouterr().out
    assert "fast-final, int8" in said and "published" in said
