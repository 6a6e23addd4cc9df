"""What attacks share: the good inputs of `tests.spoiling`, and others of the same kinds."""

import dataclasses
import pathlib

import pytest

from inference import budget
from inference.budget import Measurement
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.splits import SplitRule
from tests.spoiling import answer, attempt, fill, making, place, spoil

__all__ = ["answer", "attempt", "place", "spoil"]


@pytest.fixture(scope="session")
def good(toy_data, toy_dataset, toy_settings, tmp_path_factory) -> pathlib.Path:
    """A folder with a complete directory of every kind, and a user's files."""
    return _filled(tmp_path_factory.mktemp("good"), toy_data, toy_dataset, toy_settings, 0)


@pytest.fixture(scope="session")
def other(toy_data, toy_settings, tmp_path_factory, made_once) -> pathlib.Path:
    """As `good`, of a dataset that is divided otherwise, and of another model."""
    rule, runner = SplitRule(test_signers=(1,)), Runner()
    dataset = made_once(
        "another-dataset", lambda folder: conversion.convert(toy_data, folder, rule, num_shards=None, runner=runner)
    )
    return _filled(tmp_path_factory.mktemp("other"), toy_data, dataset, toy_settings, 1)


def _filled(folder: pathlib.Path, data: pathlib.Path, converted: pathlib.Path, settings: list[str], number: int):
    fill(folder, data, converted, settings, number)
    asked = {"max_frames": [16], "weights": ["float32"], "clips": budget.CLIPS, "threads": 1}
    run = directories.read_json(folder / "run" / directories.MANIFEST)
    asked |= {"run": run["files"][run["weights"]], "dataset": Dataset.open(converted).fingerprint}
    latency = {"mean": 1.0, "p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": 1.0}
    measured = Measurement(16, "float32", number / 2, latency, 1.0, 0)
    with making(folder / "budget", directories.Request(budget.KIND, asked), [budget.MEASUREMENTS]) as made:
        directories.write_json(made / budget.MEASUREMENTS, {"measurements": [dataclasses.asdict(measured)]})
        (made / budget.PLOT).write_bytes(b"\x89PNG")
    directories.write_json(folder / "model" / "export_report.json", {"verdicts": []})
    (folder / "truth.csv").write_text("sequence_id,kind\n100,tap\n101,tap\n")
    (folder / "settings.toml").write_text(f"seed = {number}\n[optimizer]\nbatch_size = 4\n")
    return folder
