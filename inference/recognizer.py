"""Labels from landmarks, with LiteRT and numpy alone.

Shapes: T frames, K columns, P points, D dimensions of a point, C classes predicted.
"""

import dataclasses
import hashlib
import io
import math
import threading
import time
from typing import Any

import numpy as np

from inference import language
from inference.language import Language
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
        was left out does not lower it. With a language model, of the network's probability of the whole label.
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
    """A recognizer loaded from an export directory: `model.tflite`, `inference_args.json` and, where the export has
    one, `language.npz` are enough.

    Threads may share one: they take turns, as LiteRT's interpreter does one thing at a time. To recognize at the same
    time, give each its own.

    Attributes:
      task: what it recognizes.
      language: which labels are likely, where that makes fewer errors; None where it does not.

    Raises:
      UserError: the directory has no model, or one that is not this program's.
    """

    def __init__(self, directory: storage.AnyPath | str, *, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        directory = storage.path(directory)
        _check_is_export(directory)
        try:
            self.task, content, self.language = _read(directory)
            interpreter = Interpreter(model_content=content, num_threads=threads)
            self._turn = threading.Lock()
            self._runners = {name: interpreter.get_signature_runner(name) for name in (SERVING, RECOGNIZE)}
            # What is only found out, and made, in a first run.
            self._run(RECOGNIZE, np.full((1, *self.task.points.shape), np.nan))
        # RuntimeError: an operator that LiteRT does not have.
        except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            raise errors.cannot_read(directory, error, "export it again") from error

    def recognize(self, landmarks_TxPxD: np.ndarray, *, greedy: bool = False) -> Prediction:
        """What a clip of any length says, none included; NaN for missing.

        Args:
          greedy: by the network alone, as the exported file says it, not by the language model too.
        """
        started = time.perf_counter()
        found = self._run(RECOGNIZE, landmarks_TxPxD)
        if self.language is None or greedy:
            classes = found["classes"].tolist()
            # Rounding may make a certain class a little more than certain.
            logs = np.log(np.clip(found["probabilities"].astype(np.float64), np.finfo(np.float64).tiny, 1.0))
            log = logs.mean() if classes else 0.0
        else:
            classes, of_all = self.language.classes(found["outputs"].astype(np.float64))
            log = of_all / max(len(classes), 1)
        label = self.task.prediction(classes)
        confidence = float(np.exp(log)) if label else 0.0
        probabilities = None
        if self.task.contract.filler is None:
            probabilities = softmax(found["outputs"])
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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64, of the last axis."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def task_and_language(directory: storage.AnyPath) -> tuple[tasks.Task, Language | None]:
    """Those of an exported model, before it is loaded. Raises `UserError` as `Recognizer`."""
    _check_is_export(directory)
    try:
        task, _, found = _read(directory)
        return task, found
    except OSError as error:
        raise errors.cannot_read(directory, error, "export it again") from error


def _read(directory: storage.AnyPath) -> tuple[tasks.Task, bytes, Language | None]:
    """The task, the model and the language model."""
    arguments = directories.read_json(directory / ARGUMENTS)
    content = (directory / MODEL).read_bytes()
    if "task" not in arguments or arguments.get("model_sha256") != hashlib.sha256(content).hexdigest():
        raise UserError(
            f"{directory} holds a model of another program or version, or not the one that {ARGUMENTS} describes:"
            " export it again"
        )
    task = tasks.from_json(arguments["task"], directory / ARGUMENTS)
    found = None
    if (expected := arguments.get("language_sha256")) is not None:
        file = directory / language.FILE_NAME
        of_language = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(of_language).hexdigest() != expected:
            raise UserError(f"{file} is missing, or not the one that {ARGUMENTS} describes: export it again")
        found = language.read(io.BytesIO(of_language))
        if found.grams.num_classes != len(task.classes):
            raise UserError(
                f"{file} is of a vocabulary of {found.grams.num_classes} classes, the model of {len(task.classes)}:"
                " export it again"
            )
    return task, content, found


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
