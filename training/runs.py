"""The run directory: what a training leaves behind, and the way back to the trained model.

`manifest.json` (last, with the resolved configuration and the result), `statistics.json` (feature mean and standard
deviation), `best.npz` (weights with the best validation score), `checkpoint.npz` (variables of the last finished epoch,
the optimizer's included), `history.csv` (one line an epoch).
"""

import csv
import dataclasses
import pathlib
from typing import Any

import numpy as np

from pipeline import directories
from training import config as cfg

KIND = "run"
STATISTICS = "statistics.json"
BEST = "best.npz"
CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run."""

    directory: pathlib.Path
    manifest: dict[str, Any]
    config: cfg.Config

    @classmethod
    def open(cls, directory: pathlib.Path) -> "Run":
        """Raises `UserError` where it is no finished run of this version."""
        manifest = directories.read_manifest(directory, KIND)
        return cls(directory, manifest, cfg.from_dict(manifest["settings"]["config"]))

    @property
    def fingerprint(self) -> str:
        """Identifies the weights, whatever trained them."""
        return self.manifest["weights_sha256"]

    def load_model(self):
        """The `model.Recogniser` with the run's best weights."""
        from training import checkpoint, model

        statistics = directories.read_json(self.directory / STATISTICS)
        recogniser = model.Recogniser(
            self.config.network, np.array(statistics["mean"], np.float32), np.array(statistics["std"], np.float32)
        )
        recogniser.build()
        checkpoint.load(self.directory / BEST, recogniser.weights)
        return recogniser


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def write_history(path: pathlib.Path, history: list[dict[str, float]]) -> None:
    with directories.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
