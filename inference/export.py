"""Exports a trained run as a TFLite model, checked against the trained model before it is put in place.

    python -m inference.export --run out/final --dataset out/dataset --output out/model

Writes model.tflite and inference_args.json: what the competition takes, and what `inference.recognize` needs. The model
takes raw columns `inputs` [frames, columns] (float32, NaN for missing, any number of frames) and gives `outputs`
[characters, 59]; a second signature, frame_logits, gives the logits of each frame.
"""

import argparse
import dataclasses
import itertools
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np

from inference.recognizer import (
    ARGUMENTS,
    FRAME_LOGITS,
    MODEL,
    MODEL_KIND,
    RECOGNISE,
    Recognizer,
    without_filler,
)
from pipeline import directories, scoring, storage
from pipeline import landmarks as lm
from pipeline.commands import Parser, UserError, path, run, track
from pipeline.dataset import Dataset
from pipeline.sequences import Sequence
from training.runs import Run

LARGEST_FILE = 40_000_000  # bytes: the competition's limit


@dataclasses.dataclass(frozen=True)
class Precision:
    """How weights are stored: bytes each, and by how much a logit may differ, relative to the largest (or to 1)."""

    bytes: int
    tolerance: float


PRECISIONS = {"none": Precision(4, 1e-4), "float16": Precision(2, 1e-2)}
CHECKED_SEQUENCES = 300


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--run", type=path, required=True, help="run directory made by training.train")
    parser.add_argument("--dataset", type=path, required=True, help="data set whose sequences it is checked on")
    parser.add_argument("--output", type=path, required=True, help="directory for the model: new, or unfinished")
    parser.add_argument(
        "--quantize",
        choices=list(PRECISIONS),
        default="none",
        help="float16 halves the file: for the published final model",
    )
    export(parser.parse_args())


def export(arguments: argparse.Namespace) -> None:
    trained = Run.open(arguments.run)
    dataset = Dataset.open(arguments.dataset)
    request = directories.Request(
        MODEL_KIND,
        {
            "run": trained.fingerprint,
            "dataset": dataset.fingerprint,
            "quantize": arguments.quantize,
            "checked_sequences": CHECKED_SEQUENCES,
        },
    )
    if directories.prepare(arguments.output, request):
        print(f"{arguments.output} is already complete")
        return
    with tempfile.TemporaryDirectory(prefix="fingerspelling-") as name:
        unchecked = pathlib.Path(name)
        model = trained.load_model()
        convert(model, trained.config.data.max_frames, unchecked, quantize=arguments.quantize)
        report = check(model, trained.config.data.max_frames, unchecked, dataset, quantize=arguments.quantize)
        for file in (MODEL, ARGUMENTS):
            with storage.replacing(arguments.output / file) as temporary:
                shutil.copyfile(unchecked / file, temporary)
    directories.complete(arguments.output, request, report)
    print(
        f"{arguments.output}: {report['bytes'] / 1e6:.1f} MB, checked on {report['sequences']} sequences and"
        f" {report['edge_cases']} edge cases: largest difference of a logit {report['largest_difference']:.1e}"
    )
    print(
        f"next: python -m inference.evaluate --model {arguments.output} --dataset {arguments.dataset} --output RESULT"
    )


def convert(model, max_frames: int, directory: pathlib.Path, *, quantize: str) -> None:
    """Writes model.tflite and inference_args.json of a `training.model.Recogniser`, unchecked."""
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
    if quantize == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    (directory / MODEL).write_bytes(converter.convert())
    shutil.rmtree(saved_model)
    directories.write_json(directory / ARGUMENTS, {"selected_columns": list(lm.COLUMNS)})


def check(model, max_frames: int, directory: pathlib.Path, dataset: Dataset, *, quantize: str) -> dict[str, Any]:
    """Compares the file with the model it was made from. Returns what the manifest says about it.

    Raises:
      UserError: the file is too large, has lost its weights, or answers something else than the trained model.
    """
    from training.input_pipeline import Corpus
    from training.recognition import frame_logits

    size = (directory / MODEL).stat().st_size
    weights = sum(int(np.prod(v.shape)) for v in model.network.trainable_variables)
    precision = PRECISIONS[quantize]
    if size < weights * precision.bytes:
        raise UserError(f"the exported file has {size} bytes, fewer than its {weights} weights: not put in place")
    if size > LARGEST_FILE:
        raise UserError(
            f"the exported file has {size / 1e6:.1f} MB, more than the {LARGEST_FILE / 1e6:.0f} MB that are allowed:"
            " not put in place; --quantize float16 halves it"
        )

    per_split = -(-CHECKED_SEQUENCES // len(dataset.splits))
    sequences = [s for split in dataset.splits for s in itertools.islice(dataset.read(split), per_split)]
    cases = edge_cases(max_frames)
    inputs = [*cases.values(), *(s.landmarks for s in sequences)]
    corpus = Corpus.read([Sequence(_as_trained(x), " ", index, 0, "check") for index, x in enumerate(inputs)])
    recognizer = Recognizer(directory)
    names = [*cases, *(f"sequence {s.sequence_id}" for s in sequences)]
    largest = 0.0
    ties = 0
    expected = frame_logits(model, corpus, max_frames=max_frames)
    for position, expected_TxV in track(expected, "checking", "sequences", total=len(names)):
        name = names[position]
        # Twice: LiteRT has gone wrong in the second of two runs of equal length; see `training.layers`.
        recognizer.frame_logits(inputs[position])
        logits_TxV = recognizer.frame_logits(inputs[position])
        if logits_TxV.shape != expected_TxV.shape:
            raise UserError(
                f"the exported file gives {logits_TxV.shape} logits for {name}, expected {expected_TxV.shape}"
            )
        difference = float(np.abs(logits_TxV - expected_TxV).max())
        tolerance = precision.tolerance * max(1.0, float(np.abs(expected_TxV).max()))
        # Written so that NaN fails too.
        if not difference <= tolerance:
            raise UserError(
                f"the exported file differs from the trained model by {difference:.1e} in a logit of {name}, more than"
                f" {tolerance:.1e}: not put in place"
            )
        largest = max(largest, difference)
        text = recognizer.recognize(inputs[position])
        if text != _text(logits_TxV):
            raise UserError(f"the exported file reads {text!r} in {name}, its logits say {_text(logits_TxV)!r}")
        # Within the tolerance, only a tie can change the text.
        ties += text != _text(expected_TxV)
    return {
        "model_sha256": directories.sha256_of(directory / MODEL),
        "bytes": size,
        "parameters": weights,
        "max_frames": max_frames,
        "sequences": len(sequences),
        "edge_cases": len(cases),
        "largest_difference": largest,
        "ties": ties,
    }


def edge_cases(max_frames: int) -> dict[str, np.ndarray]:
    """Landmarks (T, P, 2) that exports tend to fail on, by name."""
    random = np.random.default_rng(0)

    def clip(num_frames: int, *missing: slice) -> np.ndarray:
        # Points wander as hands do: in noise, a rounding error of the resampling would weigh as in no real clip.
        steps = random.normal(0, 0.01, (num_frames, lm.NUM_POINTS, 2))
        landmarks = (random.uniform(0, 1, (lm.NUM_POINTS, 2)) + np.cumsum(steps, axis=0)).astype(np.float32)
        for points in missing:
            landmarks[:, points] = np.nan
        return landmarks

    infinite = clip(40)
    infinite[10:20, :, 0] = np.inf
    infinite[15:25, :, 1] = -np.inf
    return {
        **{f"{n} frames": clip(n) for n in (0, 1, 2, 3, max_frames - 1, max_frames, max_frames + 1, 3 * max_frames)},
        "all missing": clip(20, slice(None)),
        "no hands": clip(50, lm.RIGHT_HAND, lm.LEFT_HAND),
        "no face": clip(50, lm.FACE),
        "only the right hand": clip(50, lm.FACE, lm.RIGHT_POSE, lm.LEFT_POSE, lm.LEFT_HAND),
        "no right hand": clip(50, lm.RIGHT_HAND),
        "infinite values": infinite,
    }


def _as_trained(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """What conversion would have made of a clip: infinite values are missing; at least one frame."""
    missing = np.full((max(0, 1 - len(landmarks_TxPx2)), lm.NUM_POINTS, 2), np.nan, np.float32)
    landmarks = np.concatenate([landmarks_TxPx2, missing])
    return np.where(np.isfinite(landmarks), landmarks, np.nan).astype(np.float32)


def _text(logits_TxV: np.ndarray) -> str:
    return without_filler(scoring.greedy_decode(np.argmax(logits_TxV, axis=-1)))


if __name__ == "__main__":
    run(main)
