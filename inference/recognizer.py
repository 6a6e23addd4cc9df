"""Labels from landmarks, with LiteRT and numpy alone.

Shapes: T frames, K columns, P points, D dimensions of a point, C classes predicted.
"""

import dataclasses
import hashlib
import math
import threading
import time
from typing import Any

import numpy as np

from pipeline import tasks
from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError

KIND = directories.Kind("model", made_by="inference.export")
MODEL = "model.tflite"
ARGUMENTS = "inference_args.json"
SERVING = "serving_default"
RECOGNIZE = "serving_recognize"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was recognized in a clip.

    Attributes:
      label: empty where nothing was recognized.
      confidence: 0 to 1, the geometric mean of the probabilities of its classes (characters, say); 0 where nothing was
        recognized. It tells the surer predictions from the less sure; it is not a share of right characters: one that
        was left out does not lower it.
      milliseconds: how long that took.
      probabilities: of all classes, of a task with one class a clip; otherwise None.
    """

    label: str
    confidence: float
    milliseconds: float
    probabilities: np.ndarray | None = None

    def best(self, count: int, task: tasks.Task) -> list[tuple[str, float]]:
        """The most probable labels, the best first; none where there are no probabilities."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(task.decode([int(i)]), float(self.probabilities[i])) for i in order]


class Recognizer:
    """A recognizer loaded from an export directory: `model.tflite` and `inference_args.json` are enough.

    Threads may share one: they take turns, as LiteRT's interpreter does one thing at a time. To recognize at the same
    time, give each its own.

    Attributes:
      task: what it recognizes.

    Raises:
      UserError: the directory has no model, or one that is not this program's.
    """

    def __init__(self, directory: storage.AnyPath | str, *, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        directory = storage.path(directory)
        _check_is_export(directory)
        try:
            self.task, content = _read(directory)
            interpreter = Interpreter(model_content=content, num_threads=threads)
            self._turn = threading.Lock()
            self._runners = {name: interpreter.get_signature_runner(name) for name in (SERVING, RECOGNIZE)}
            # What is only found out, and made, in a first run.
            self._run(RECOGNIZE, np.full((1, *self.task.points.shape), np.nan))
        # RuntimeError: an operator that LiteRT does not have.
        except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            raise errors.cannot_read(directory, error, "export it again") from error

    def recognize(self, landmarks_TxPxD: np.ndarray) -> Prediction:
        """What a clip of any length says, none included; NaN for missing."""
        started = time.perf_counter()
        found = self._run(RECOGNIZE, landmarks_TxPxD)
        label = self.task.prediction(found["classes"].tolist())
        # Rounding may make a certain class a little more than certain.
        logs = np.log(np.clip(found["probabilities"].astype(np.float64), np.finfo(np.float64).tiny, 1.0))
        confidence = float(np.exp(logs.mean())) if label else 0.0
        probabilities = None
        if self.task.contract.filler is None:
            exponentials = np.exp(found["outputs"].astype(np.float64) - found["outputs"].max())
            probabilities = exponentials / exponentials.sum()
        return Prediction(label, confidence, (time.perf_counter() - started) * 1000, probabilities)

    def answer(self, landmarks_TxPxD: np.ndarray) -> str:
        """The predicted label alone, from what the competition asks for: the same as `recognize` says."""
        outputs = self._run(SERVING, landmarks_TxPxD)["outputs"]
        return self.task.prediction(np.argmax(np.atleast_2d(outputs), axis=-1).tolist())

    def outputs(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        """What the network's head gives: for each frame that the encoder gives, at least one, or for the clip."""
        return self._run(RECOGNIZE, landmarks_TxPxD)["outputs"]

    def _run(self, signature: str, landmarks_TxPxD: np.ndarray) -> dict[str, np.ndarray]:
        inputs = as_inputs(landmarks_TxPxD, self.task)
        with self._turn:
            return self._runners[signature](inputs=inputs)


def task_of(directory: storage.AnyPath) -> tasks.Task:
    """The task of an exported model, before it is loaded. Raises `UserError` as `Recognizer`."""
    _check_is_export(directory)
    try:
        return _read(directory)[0]
    except OSError as error:
        raise errors.cannot_read(directory, error, "export it again") from error


def _read(directory: storage.AnyPath) -> tuple[tasks.Task, bytes]:
    """The task and the model."""
    arguments = directories.read_json(directory / ARGUMENTS)
    content = (directory / MODEL).read_bytes()
    if "task" not in arguments or arguments.get("model_sha256") != hashlib.sha256(content).hexdigest():
        raise UserError(
            f"{directory} holds a model of another program or version, or not the one that {ARGUMENTS} describes:"
            " export it again"
        )
    return tasks.from_json(arguments["task"], directory / ARGUMENTS), content


def read_manifest(directory: storage.AnyPath) -> dict[str, Any]:
    """The manifest of a complete export, whose files are those it describes; or a `UserError`."""
    return directories.read_manifest(directory, KIND, files=[MODEL, ARGUMENTS])


def as_inputs(landmarks_TxPxD: np.ndarray, task: tasks.Task) -> np.ndarray:
    """(T, *frame) float32 values as the task's export contract orders them.

    Raises:
      ValueError: the landmarks have another shape.
    """
    if np.shape(landmarks_TxPxD)[1:] != task.points.shape:
        expected = ", ".join(map(str, task.points.shape))
        raise ValueError(
            f"landmarks of shape {np.shape(landmarks_TxPxD)}: expected (frames, {expected}), the points of the task"
            f" {task.name}"
        )
    contract, num_frames = task.contract, len(landmarks_TxPxD)
    inputs_TxK = np.full((num_frames, math.prod(contract.frame)), np.nan, np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and so missing
        inputs_TxK[:, contract.index.ravel()] = np.reshape(landmarks_TxPxD, (num_frames, contract.index.size))
    return inputs_TxK.reshape(num_frames, *contract.frame)


def _check_is_export(directory: storage.AnyPath) -> None:
    def lacks(place: storage.AnyPath) -> list[str]:
        return [name for name in (ARGUMENTS, MODEL) if not (place / name).is_file()]

    if missing := lacks(directory):
        what = f"it lacks {missing[0]}" if directory.is_dir() else errors.what_is_there(directory)
        nearby = errors.suggest_path(directory, lambda place: not lacks(place))
        raise UserError(f"{directory} is not an export: {what}; expected what inference.export makes{nearby}")
