"""Text from landmarks, with LiteRT and numpy alone."""

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline import commands, scoring, storage, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError

MODEL_KIND = "model"
MODEL = "model.tflite"
ARGUMENTS = "inference_args.json"
RECOGNISE = "serving_default"
FRAME_LOGITS = "frame_logits"
# What each signature says of a character, or of a frame.
_CLASSES = {RECOGNISE: vocabulary.NUM_CHARACTERS, FRAME_LOGITS: vocabulary.NUM_CLASSES}


@dataclasses.dataclass(frozen=True)
class Recognition:
    """What was recognised in a sequence.

    Attributes:
      text: empty where nothing was recognised.
      confidence: 0 to 1, see `confidence`; 0 where nothing was recognised.
      milliseconds: how long that took.
    """

    text: str
    confidence: float
    milliseconds: float


class Recognizer:
    """A recogniser loaded from an export directory: `model.tflite` and `inference_args.json` are enough.

    Threads may share one: they take turns, as LiteRT's interpreter does one thing at a time. To recognise at the same
    time, give each its own.

    Raises:
      UserError: the directory has no model, or one that is not this program's.
    """

    def __init__(self, directory: storage.Path | str, *, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        directory = storage.path(directory)
        _check_is_export(directory)
        try:
            columns = json.loads((directory / ARGUMENTS).read_text(encoding="utf-8"))["selected_columns"]
            interpreter = Interpreter(model_content=(directory / MODEL).read_bytes(), num_threads=threads)
            signatures = interpreter.get_signature_list()
            if columns != list(lm.COLUMNS) or not _CLASSES.keys() <= signatures.keys():
                raise _another(directory)
            self._turn = threading.Lock()
            self._runners = {name: interpreter.get_signature_runner(name) for name in _CLASSES}
            if not all(_is_ours(runner, _CLASSES[name]) for name, runner in self._runners.items()):
                raise _another(directory)
            # What is only found out, and made, in a first run.
            self.frame_logits(np.full((1, lm.NUM_POINTS, 2), np.nan))
        # RuntimeError: an operator that LiteRT does not have.
        except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
            raise commands.cannot_read(directory, error, "export it again") from error

    def recognize(self, landmarks_TxPx2: np.ndarray) -> Recognition:
        """What is spelled in a sequence of any length, none included; NaN for missing."""
        started = time.perf_counter()
        logits_TxV = self.frame_logits(landmarks_TxPx2)
        text = without_filler(scoring.greedy_decode(np.argmax(logits_TxV, axis=-1)))
        sure = confidence(logits_TxV) if text else 0.0
        return Recognition(text, sure, (time.perf_counter() - started) * 1000)

    def text(self, landmarks_TxPx2: np.ndarray) -> str:
        """The text alone, decoded in the model, as the competition asks for it: the same as `recognize` says."""
        one_hot_CxV = self._run(RECOGNISE, landmarks_TxPx2)
        return without_filler(vocabulary.decode(np.argmax(one_hot_CxV, axis=-1)))

    def frame_logits(self, landmarks_TxPx2: np.ndarray) -> np.ndarray:
        """Logits (frames, 60) of the frames the network saw: at least one, at most the frame budget."""
        return self._run(FRAME_LOGITS, landmarks_TxPx2)

    def _run(self, signature: str, landmarks_TxPx2: np.ndarray) -> np.ndarray:
        inputs = columns(landmarks_TxPx2)
        with self._turn:
            return self._runners[signature](inputs=inputs)["outputs"]


def confidence(logits_TxV: np.ndarray) -> float:
    """The geometric mean of the characters' probabilities: each the highest in its run of frames on the greedy path.

    0 where there is no character. It tells the surer recognitions from the less sure; it is no share of right
    characters: a character that was left out lowers it not at all.
    """
    log_total_T = np.logaddexp.reduce(logits_TxV, axis=-1, dtype=np.float64)
    best_T = np.argmax(logits_TxV, axis=-1)
    starts = np.flatnonzero(np.diff(best_T, prepend=-1))
    peaks = np.maximum.reduceat(np.max(logits_TxV, axis=-1) - log_total_T, starts)
    of_characters = peaks[best_T[starts] != vocabulary.BLANK]
    # Rounding may make a certain character a little more than certain.
    return min(1.0, float(np.exp(of_characters.mean()))) if len(of_characters) else 0.0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps from standard error what LiteRT says when it is first used, that it made its delegate; nothing else.

    For commands: other threads, whose standard error it is too, would wait for what they say until the block's end.
    """
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not line.startswith(b"INFO: Created TensorFlow Lite")))


def without_filler(text: str) -> str:
    """Nothing for a lone space, which is what a model says where it recognised nothing: it must say something."""
    return "" if text == " " else text


def columns(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, 200) float32 values in the order of `landmarks.COLUMNS`, the exported model's input.

    Raises:
      ValueError: the landmarks have another shape.
    """
    if np.shape(landmarks_TxPx2)[1:] != (lm.NUM_POINTS, 2):
        raise ValueError(
            f"landmarks of shape {np.shape(landmarks_TxPx2)}: expected (frames, {lm.NUM_POINTS}, 2), the points of"
            " pipeline.landmarks.POINT_NAMES"
        )
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and so missing
        return np.ascontiguousarray(np.transpose(landmarks_TxPx2, (0, 2, 1)), np.float32).reshape(-1, len(lm.COLUMNS))


def _check_is_export(directory: storage.Path) -> None:
    def lacks(place: storage.Path) -> list[str]:
        return [name for name in (ARGUMENTS, MODEL) if not (place / name).is_file()]

    if missing := lacks(directory):
        what = f"it lacks {missing[0]}" if directory.is_dir() else commands.what_is_there(directory)
        nearby = commands.nearby(directory, lambda place: not lacks(place))
        raise UserError(f"{directory} is no export: {what}; expected what inference.export makes{nearby}")


def _another(directory: storage.Path) -> UserError:
    return UserError(f"{directory} holds a model of another program or version: export it again")


def _is_ours(runner: Any, classes: int) -> bool:
    """Whether a signature takes `inputs` [frames, columns] and gives `outputs` [some, classes], of any length."""
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return (list(inputs), list(outputs)) == (["inputs"], ["outputs"]) and (
        [list(each["shape_signature"]) for each in (inputs["inputs"], outputs["outputs"])],
        {each["dtype"] for each in (inputs["inputs"], outputs["outputs"])},
    ) == ([[-1, len(lm.COLUMNS)], [-1, classes]], {np.float32})
