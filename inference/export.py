"""Exports a trained run as a TFLite model, proved to be the trained model before it is put in place.

    python -m inference.export --run out/final --dataset out/dataset --output out/model
    python -m inference.export --run out/final --dataset out/dataset --output out/model-int8 --quantize int8 \\
        --max-frames 256 --max-latency-ms 30

Writes model.tflite and inference_args.json: what the competition takes, and what `inference.recognize` needs; and
export_report.json, the verdicts of all checks (`inference.proof`). Where a check fails there is the report alone, and
the exit status is 1.

The model takes raw columns `inputs` [frames, columns] (float32, NaN for missing, any number of frames) and gives
`outputs` [characters, 59]; a second signature, frame_logits, gives the logits of each frame. It runs at the clip's own
length; longer clips than --max-frames are resampled to it. `inference.budget` measures which number to choose.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inference import latency, proof
from inference.proof import PRECISIONS, Verdict
from inference.recognizer import ARGUMENTS, FRAME_LOGITS, MODEL, MODEL_KIND, RECOGNISE
from pipeline import directories, storage
from pipeline import landmarks as lm
from pipeline.commands import Parser, UserError, path, positive, run
from pipeline.dataset import Dataset
from training import devices
from training.runs import Run

REPORT = "export_report.json"
MAX_SCORE_LOSS = 0.01
_WORDS = {True: "ok", False: "FAILED", None: "-"}
WIDTH = 110  # of the table where there is no terminal


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run", type=path, required=True, help="run directory made by training.train")
    parser.add_argument("--dataset", type=path, required=True, help="data set whose sequences it is checked on")
    parser.add_argument("--output", type=path, required=True, help="directory for the model: new, or unfinished")
    parser.add_argument(
        "--quantize",
        choices=list(PRECISIONS),
        default="none",
        help="how weights are stored: float16 halves the file, int8 (dynamic range) quarters it, and may be faster",
    )
    parser.add_argument(
        "--max-frames", type=positive, metavar="N", help="frame budget; if not given, that of the training"
    )
    parser.add_argument(
        "--max-score-loss",
        type=latency.above_zero,
        default=MAX_SCORE_LOSS,
        metavar="SHARE",
        help="most that the score may be below the trained model's, at the same frame budget",
    )
    latency.add_options(parser)
    export(parser.parse_args())


def export(arguments: argparse.Namespace) -> None:
    trained = Run.open(arguments.run)
    dataset = Dataset.open(arguments.dataset)
    trained_frames = trained.config.data.max_frames
    limits = latency.Limits.of(arguments)
    max_frames = arguments.max_frames or trained_frames
    request = directories.Request(
        MODEL_KIND,
        {
            "run": trained.fingerprint,
            "dataset": dataset.fingerprint,
            "quantize": arguments.quantize,
            "max_frames": max_frames,
            "limits": str(limits),
            "threads": arguments.threads,
            "max_score_loss": arguments.max_score_loss,
        },
    )
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    for file in (MODEL, ARGUMENTS):
        (arguments.output / file).unlink(missing_ok=True)  # of a call that was killed
    with tempfile.TemporaryDirectory(prefix="fingerspelling-") as name:
        unproved = pathlib.Path(name)
        model = load(trained)
        convert(model, max_frames, unproved, quantize=arguments.quantize)
        verdicts, figures = proof.prove(
            model,
            unproved,
            dataset,
            phrase_share=trained.config.data.validation_phrase_share,
            max_frames=max_frames,
            trained_frames=trained_frames,
            quantize=arguments.quantize,
            limits=limits,
            threads=arguments.threads,
            max_score_loss=arguments.max_score_loss,
        )
        report = {"verdicts": [dataclasses.asdict(each) for each in verdicts], **figures}
        directories.write_json(arguments.output / REPORT, report)
        show(verdicts, Console(width=None if sys.stdout.isatty() else WIDTH))
        if failed := [each for each in verdicts if each.passed is False]:
            first = failed[0]
            raise UserError(
                f"{arguments.output}: no model put in place, as {len(failed)} of {len(verdicts)} checks failed: "
                f"{', '.join(each.check for each in failed)} ({first.found}; expected {first.expected});"
                f" see {REPORT} there; inference.budget shows what other settings cost, which need another --output"
            )
        for file in (MODEL, ARGUMENTS):
            with storage.replacing(arguments.output / file) as temporary:
                shutil.copyfile(unproved / file, temporary)
    directories.complete(arguments.output, request, figures)
    checks = sum(each.passed is not None for each in verdicts)
    print(f"{arguments.output}: {figures['bytes'] / 1e6:.1f} MB, all {checks} checks passed")
    print(
        f"next: python -m inference.evaluate --model {arguments.output} --dataset {arguments.dataset} --output RESULT"
    )


def load(trained: Run):
    """The trained model, under TensorFlow, which alone exports, and on the CPU, where float32 is float32."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    devices.use("cpu")
    return trained.load_model()


def convert(model, max_frames: int, directory: pathlib.Path, *, quantize: str) -> None:
    """Writes model.tflite and inference_args.json of a `training.model.Recogniser`, unproved."""
    import keras
    import tensorflow as tf

    from inference import graph

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, len(lm.COLUMNS)), tf.float32, name="inputs")]
    archive.add_endpoint(
        RECOGNISE, lambda inputs: {"outputs": graph.decode(graph.frame_logits(model, inputs, max_frames))}, signature
    )
    archive.add_endpoint(
        FRAME_LOGITS, lambda inputs: {"outputs": graph.frame_logits(model, inputs, max_frames)}, signature
    )
    saved_model = directory / "saved_model"
    archive.write_out(saved_model, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[RECOGNISE, FRAME_LOGITS])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    content = converter.convert()
    (directory / MODEL).write_bytes(with_float_filters(content) if quantize == "int8" else content)
    shutil.rmtree(saved_model)
    directories.write_json(directory / ARGUMENTS, {"selected_columns": list(lm.COLUMNS)})


def with_float_filters(content: bytes) -> bytes:
    """The model with the filters of its depthwise convolutions as float32 numbers again.

    The converter stores them as int8, which XNNPACK does not take over from LiteRT's own, slower kernels: 5 % of the
    time on a CPU without instructions for int8. They are 0.5 % of the published weights; the file grows by 0.24 MB.
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


def show(verdicts: list[Verdict], out: Console) -> None:
    table = Table("check", "found", "expected", "", title="Export", title_justify="left")
    for each in verdicts:
        # As they are: a shape stands in brackets.
        table.add_row(each.check, Text(each.found), Text(each.expected), _WORDS[each.passed])
    out.print(table)


if __name__ == "__main__":
    run(main)
