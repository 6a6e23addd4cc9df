"""The second export, for runtimes without dynamic shapes: a window of so many frames, and its proof. Needs TensorFlow.

Shapes: P points, D dimensions of a point, U frames of the encoder, V outputs of the head.
"""

import pathlib

import numpy as np

from inference.recognizer import ARGUMENTS, SERVING
from inference.tflite.conversion import content_of
from inference.window import FIXED, Window
from pipeline.common import directories


def convert(model, max_frames: int, directory: pathlib.Path, *, weights: str, frames: int) -> None:
    """Writes fixed.tflite of a `training.network.model.Model`, unproved, beside the files of `conversion.convert`.

    Its one signature takes `landmarks` (frames, *frame) and `num_frames` (1,) int32, and gives `logits` (U, V) and
    `rows` (1,) int32: see `graph.window_outputs`.
    """
    import keras
    import tensorflow as tf

    from inference.tflite import graph

    archive = keras.export.ExportArchive()
    archive.track(model)

    def serving(landmarks, num_frames):
        logits, rows = graph.window_outputs(model, landmarks, num_frames, max_frames)
        return {"logits": logits, "rows": rows}

    signature = [
        tf.TensorSpec((frames, *model.task.contract.frame), tf.float32, name="landmarks"),
        tf.TensorSpec((1,), tf.int32, name="num_frames"),
    ]
    archive.add_endpoint(SERVING, serving, signature)
    (directory / FIXED).write_bytes(content_of(archive, [SERVING], directory, weights=weights))
    arguments = directories.read_json(directory / ARGUMENTS)
    digest = directories.sha256_of(directory / FIXED)
    directories.write_json(directory / ARGUMENTS, arguments | {"fixed_sha256": digest})


def dynamic_shapes(file: pathlib.Path) -> list[str]:
    """The tensors whose shape is not in the file.

    Those of the first subgraph: others are the bodies of a recurrent encoder's loops, which cut out a step by number.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0))
    tensors = model.subgraphs[0].tensors
    return [each.name.decode() for each in tensors if each.shapeSignature is not None and -1 in each.shapeSignature]


def difference(window: Window, inputs: np.ndarray, trained: np.ndarray) -> float:
    """The largest of an output against the trained model's, of a clip that fits; NaN where their number differs.

    Run twice, since LiteRT has gone wrong in the second of two runs; what comes after the clip is rubbish.
    """
    filled = np.random.default_rng(0).uniform(-1e3, 1e3, (window.frames, *inputs.shape[1:])).astype(np.float32)
    filled[: len(inputs)] = inputs
    window.run(filled, len(inputs))
    outputs = window.run(filled, len(inputs))
    expected = np.atleast_2d(trained)
    return float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else float("nan")
