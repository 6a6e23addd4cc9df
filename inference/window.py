"""The exported model of fixed shape, with LiteRT and numpy alone: the outputs of a clip that fits its window.

Shapes: T frames, W frames of a window, P points, D dimensions of a point, U frames of the encoder, V outputs of the
head.
"""

import hashlib

import numpy as np

from inference.recognizer import ARGUMENTS, SERVING, as_inputs, task_and_language
from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError

FIXED = "fixed.tflite"


class Window:
    """`fixed.tflite` of an export directory.

    Attributes:
      task: what it recognizes.
      language: of the labels, where it makes fewer errors; or None.
      frames: W.

    Raises:
      UserError: the directory has none, or one that is not this program's.
    """

    def __init__(self, directory: storage.AnyPath | str, *, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter  # only here: a command that lacks it can say so

        directory = storage.path(directory)
        self.task, self.language = task_and_language(directory)
        content = read(directory)
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._runner = self._interpreter.get_signature_runner(SERVING)
            self.frames = int(self._runner.get_input_details()["landmarks"]["shape"][0])
            self.run(np.full((self.frames, *self.task.contract.frame), np.nan, np.float32), 1)
        # RuntimeError: an operator that LiteRT does not have.
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise errors.cannot_read(directory / FIXED, error, "export it again") from error

    def outputs(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        """(U, V), or (1, V) of a head that looks at whole clips; T is at most `frames`."""
        inputs = np.full((self.frames, *self.task.contract.frame), np.nan, np.float32)
        inputs[: len(landmarks_TxPxD)] = as_inputs(landmarks_TxPxD, self.task)
        return self.run(inputs, len(landmarks_TxPxD))

    def run(self, inputs: np.ndarray, num_frames: int) -> np.ndarray:
        """The same of (W, *frame) values as the task's export contract orders them."""
        found = self._runner(landmarks=inputs, num_frames=np.array([num_frames], np.int32))
        return found["logits"][: int(found["rows"][0])]


def read(directory: storage.AnyPath) -> bytes:
    """The file, if it is the one that was exported; or a `UserError`."""
    file = directory / FIXED
    if not file.is_file():
        raise UserError(f"{directory} has no {FIXED}: export it again with --fixed-frames, such as 512")
    content = file.read_bytes()
    if directories.read_json(directory / ARGUMENTS).get("fixed_sha256") != hashlib.sha256(content).hexdigest():
        raise UserError(f"{file} is not the one that {ARGUMENTS} beside it describes: export it again")
    return content
