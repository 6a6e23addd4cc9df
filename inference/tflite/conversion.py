"""From a trained model to a TFLite file, and what that file has to be. Needs TensorFlow."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from inference.recognizer import ARGUMENTS, MODEL, RECOGNIZE, SERVING
from pipeline.common import directories
from pipeline.tasks.task import Task
from training import devices
from training.runs import Run


@dataclasses.dataclass(frozen=True)
class Weights:
    """How weights are stored, and how far the file may be from the trained model.

    Attributes:
      bytes: of a weight.
      tolerance: of an output, relative to the clip's largest (or to 1): float32 rounds in proportion to that.
        Where weights are rounded, it only finds what is broken: float16 moved logits of long clips by up to 0.011 in
        untrained networks of the published size.
      exact: whether predictions must be equal but for ties; otherwise the score decides.
    """

    bytes: int
    tolerance: float
    exact: bool


WEIGHTS = {
    "float32": Weights(4, 1e-4, exact=True),
    "float16": Weights(2, 0.05, exact=False),
    "int8": Weights(1, 0.5, exact=False),
}


def load(trained: Run):
    """The trained model, under TensorFlow, which alone exports, and on the CPU, where float32 is float32."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    devices.use("cpu")
    return trained.load_model()


def convert(
    model, max_frames: int, directory: pathlib.Path, *, weights: str, clip_outputs: Callable[..., Any] | None = None
) -> None:
    """Writes model.tflite and inference_args.json of a `training.network.model.Model`, unproved.

    Two signatures: what the task's export contract asks for, and what `Recognizer` takes. The former is the first
    subgraph, which runtimes run that know of no signatures.

    Args:
      clip_outputs: what takes the place of `graph.clip_outputs`.
    """
    import keras
    import tensorflow as tf

    from inference.tflite import graph

    clip_outputs = clip_outputs or graph.clip_outputs
    task: Task = model.task
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, *task.contract.frame), tf.float32, name="inputs")]

    def serving(inputs):
        return {"outputs": model.head.answer(clip_outputs(model, inputs, max_frames), task.contract.filler)}

    def recognize(inputs):
        outputs = clip_outputs(model, inputs, max_frames)
        classes, probabilities = model.head.decode(outputs)
        return {"outputs": outputs, "classes": classes, "probabilities": probabilities}

    archive.add_endpoint(SERVING, serving, signature)
    archive.add_endpoint(RECOGNIZE, recognize, signature)
    (directory / MODEL).write_bytes(content_of(archive, [SERVING, RECOGNIZE], directory, weights=weights))
    columns = {"selected_columns": list(task.contract.columns)} if task.contract.columns else {}
    arguments = columns | {"task": task.as_json()}
    model_sha256 = directories.sha256_of(directory / MODEL)
    directories.write_json(directory / ARGUMENTS, arguments | {"model_sha256": model_sha256})


def content_of(archive, signatures: list[str], directory: pathlib.Path, *, weights: str) -> bytes:
    """The TFLite file of a `keras.export.ExportArchive`; `directory` is where the conversion may write."""
    import tensorflow as tf

    saved_model = directory / "saved_model"
    archive.write_out(saved_model, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=signatures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    content = converter.convert()
    shutil.rmtree(saved_model)
    return with_float_filters(content) if weights == "int8" else content


def with_float_filters(content: bytes) -> bytes:
    """The model with the filters of its depthwise convolutions as float32 numbers again.

    The converter stores them as int8, which XNNPACK does not take over from LiteRT's own, slower kernels: the final
    network takes 18 % less time on a CPU with VNNI (10.8 in place of 13.1 ms a clip), 5 % less with AVX2 alone.
    They are 0.5 % of the published weights; the file grows by 0.24 MB.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    buffers = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode != schema.BuiltinOperator.DEPTHWISE_CONV_2D:
                continue
            tensor = graph.tensors[operator.inputs[1]]
            if tensor.type == schema.TensorType.INT8:
                # The signatures share buffers, not tensors. The last axis has a scale a channel, or one for all.
                integers = np.frombuffer(model.buffers[tensor.buffer].data, np.int8).reshape(tensor.shape)
                buffers[tensor.buffer] = (integers * np.asarray(tensor.quantization.scale, np.float32)).tobytes()
                tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    for index, data in buffers.items():
        model.buffers[index].data = np.frombuffer(data, np.uint8)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
