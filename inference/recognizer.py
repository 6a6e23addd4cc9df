"""Text from landmarks, with LiteRT and numpy alone."""

import json

import numpy as np

from pipeline import commands, storage, vocabulary
from pipeline import landmarks as lm
from pipeline.commands import UserError

MODEL_KIND = "model"
MODEL = "model.tflite"
ARGUMENTS = "inference_args.json"
RECOGNISE = "serving_default"
FRAME_LOGITS = "frame_logits"


class Recognizer:
    """A recogniser loaded from an export directory. Not to be shared between threads: give each its own.

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
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise commands.cannot_read(directory, error, "export it again") from error
        if columns != list(lm.COLUMNS) or not {RECOGNISE, FRAME_LOGITS} <= signatures.keys():
            raise UserError(f"{directory} holds a model of another program or version: export it again")
        self._recognise = interpreter.get_signature_runner(RECOGNISE)
        self._frame_logits = interpreter.get_signature_runner(FRAME_LOGITS)

    def recognize(self, landmarks_TxPx2: np.ndarray) -> str:
        """Text of a sequence of any length, none included; NaN for missing. Empty where nothing was recognised."""
        one_hot_CxV = self._recognise(inputs=columns(landmarks_TxPx2))["outputs"]
        return without_filler(vocabulary.decode(np.argmax(one_hot_CxV, axis=-1)))

    def frame_logits(self, landmarks_TxPx2: np.ndarray) -> np.ndarray:
        """Logits (frames, 60) of the frames the network saw: at least one, at most the frame budget."""
        return self._frame_logits(inputs=columns(landmarks_TxPx2))["outputs"]


def _check_is_export(directory: storage.Path) -> None:
    def lacks(place: storage.Path) -> list[str]:
        return [name for name in (ARGUMENTS, MODEL) if not (place / name).is_file()]

    if missing := lacks(directory):
        what = f"it lacks {missing[0]}" if directory.is_dir() else commands.what_is_there(directory)
        nearby = commands.nearby(directory, lambda place: not lacks(place))
        raise UserError(f"{directory} is no export: {what}; expected what inference.export makes{nearby}")


def without_filler(text: str) -> str:
    """Nothing for a lone space, which is what a model says where it recognised nothing: it must say something."""
    return "" if text == " " else text


def columns(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, 200) values in the order of `landmarks.COLUMNS`, the exported model's input."""
    return np.ascontiguousarray(landmarks_TxPx2.transpose(0, 2, 1).reshape(-1, len(lm.COLUMNS)), np.float32)
