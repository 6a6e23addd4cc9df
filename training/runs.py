"""The run directory: what a training leaves behind, and the way back to the trained model.

`manifest.json` (last, with the resolved configuration and the result), `statistics.json` (feature mean and standard
deviation), `best-<epoch>.npz` (weights with the best validation score or, where none validate, the last; averaged if
the run averages), `checkpoint.npz` (all that training changes, as of the last save), `history.csv` (one line an epoch),
`logs/` (the same for TensorBoard).
"""

import csv
import dataclasses
import time
from typing import Any

import numpy as np

from pipeline import tasks
from pipeline.common import directories, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.dataset import STATISTICS, Dataset, read_statistics
from pipeline.tasks.task import Task
from training import config as cfg

KIND = directories.Kind("run", made_by="training.train")
CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"
LOGS = "logs"
WEIGHTS = "best-*.npz"


def best_name(epoch: int) -> str:
    """The file of the weights that were kept in `epoch`, from 1 on."""
    return f"best-{epoch:04d}.npz"


def request(config: cfg.Config, dataset: Dataset) -> directories.Request:
    """What decides a run's content."""
    settings = {
        "task": dataset.task.as_json(),
        "config": cfg.as_json(config),
        "dataset": dataset.fingerprint,
        "statistics": dataset.manifest["files"][STATISTICS],
    }
    return directories.Request(KIND, settings)


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      mean, std: (F,) float32, of the features it was trained on.
    """

    directory: AnyPath
    manifest: dict[str, Any]
    task: Task
    config: cfg.Config
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def open(cls, directory: AnyPath) -> "Run":
        """Raises `UserError` where it is not a finished run of this version, or its files have changed since."""
        manifest = directories.read_manifest(directory, KIND, needed=["weights"], files=[STATISTICS])
        directories.check_file(directory / str(manifest["weights"]), manifest["files"].get(manifest["weights"]))
        where = directory / directories.MANIFEST
        try:
            task = tasks.from_json(manifest["settings"]["task"], where)
            config = cfg.from_json(manifest["settings"]["config"], where=f"{where}: ")
        except (LookupError, TypeError) as error:
            raise UserError(f"{where} is damaged ({error}): delete {directory} and train it again") from error
        return cls(directory, manifest, task, config, *read_statistics(directory))

    def check_task(self, dataset: Dataset) -> None:
        """Raises `UserError` for a dataset of another task."""
        tasks.check_same(self.task, self.directory, dataset.task, dataset.path)

    @property
    def fingerprint(self) -> str:
        """Identifies the weights, whatever trained them."""
        return self.manifest["files"][self.manifest["weights"]]

    @property
    def dataset(self) -> str:
        """The fingerprint of the dataset that it was trained on."""
        return self.manifest["settings"]["dataset"]

    def load_model(self):
        """The `training.network.model.Model` with the weights that the run kept."""
        from training import checkpoint
        from training.network.model import Model

        model = Model(self.config, self.task, self.mean, self.std)
        model.build()
        checkpoint.load(self.directory / self.manifest["weights"], model.weights)
        return model


def write_history(directory: AnyPath, history: list[dict[str, Any]]) -> None:
    """Writes a line an epoch, and the same as an event file for TensorBoard. Nothing reads either again.

    The event file holds all epochs and is replaced: so no point is doubled or lost, whenever the run was interrupted.
    TensorFlow writes it by itself; only to look at it is the package `tensorboard` needed.
    """
    import tensorflow as tf

    path = directory / HISTORY
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    events = [tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")]
    for row in history:
        values = [
            tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "epoch"
        ]
        summary = tf.compat.v1.Summary(value=values)
        events.append(tf.compat.v1.Event(wall_time=time.time(), step=row["epoch"], summary=summary))
    logs = directory / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    with (
        storage.replacing(logs / "events.out.tfevents.0") as temporary,
        tf.io.TFRecordWriter(str(temporary)) as record_writer,
    ):
        for event in events:
            record_writer.write(event.SerializeToString())
