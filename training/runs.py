"""The run directory: what a training leaves behind, and the way back to the trained model.

`manifest.json` (last, with the resolved configuration and the result), `statistics.json` (feature mean and standard
deviation), `best.npz` (weights with the best validation score, averaged if the run averages), `checkpoint.npz`
(all that training changes, as of the last save), `history.csv` (one line an epoch), `logs/` (the same for TensorBoard).
"""

import csv
import dataclasses
from typing import Any

import numpy as np

from pipeline import directories, storage
from pipeline.commands import UserError
from pipeline.dataset import Dataset, read_statistics
from pipeline.storage import Path
from training import config as cfg

KIND = "run"
STATISTICS = "statistics.json"
BEST = "best.npz"
CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"
LOGS = "logs"


def request(config: cfg.Config, dataset: Dataset) -> directories.Request:
    """What decides a run's content."""
    return directories.Request(KIND, {"config": dataclasses.asdict(config), "dataset": dataset.fingerprint})


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      mean, std: (600,) float32, of the features it was trained on.
    """

    directory: Path
    manifest: dict[str, Any]
    config: cfg.Config
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def open(cls, directory: Path) -> "Run":
        """Raises `UserError` where it is no finished run of this version, or its files are not those it ended with."""
        manifest = directories.read_manifest(directory, KIND, needed=["weights_sha256", "statistics_sha256"])
        try:
            config = cfg.from_dict(manifest["settings"]["config"])
        except (LookupError, TypeError) as error:
            raise UserError(
                f"{directory} was trained with settings of another version of this program ({error}): train it again"
            ) from error
        directories.check_file(directory / BEST, manifest["weights_sha256"])
        directories.check_file(directory / STATISTICS, manifest["statistics_sha256"])
        return cls(directory, manifest, config, *read_statistics(directory / STATISTICS))

    @property
    def fingerprint(self) -> str:
        """Identifies the weights, whatever trained them."""
        return self.manifest["weights_sha256"]

    def load_model(self):
        """The `model.Recogniser` with the run's best weights."""
        from training import checkpoint, model

        recogniser = model.Recogniser(self.config.network, self.mean, self.std)
        recogniser.build()
        checkpoint.load(self.directory / BEST, recogniser.weights)
        return recogniser


def read_history(path: Path) -> list[dict[str, float]]:
    """One row an epoch; none where there is no file. Raises `UserError` for a damaged one."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): delete {path.parent} and train it again") from error


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)  # so that it is written again as it was


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
