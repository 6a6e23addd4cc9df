"""What a trained model makes of a corpus: outputs and predicted label of every clip."""

from collections.abc import Callable, Iterator

import keras
import numpy as np

from training import devices
from training.data.corpus import Corpus
from training.data.input_pipeline import evaluation_batches
from training.network.model import Model


def clip_outputs(
    model: Model, corpus: Corpus, *, max_frames: int, batch_size: int = 32
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each clip's position in the corpus and its outputs, (frames of the encoder, V) or (V,), longest first."""
    batch_size = -(-batch_size // devices.count()) * devices.count()
    batches, order = evaluation_batches(
        corpus, max_frames=max_frames, batch_size=batch_size, pad_to=devices.pad_to(max_frames)
    )
    positions = iter(order)
    for inputs, _ in batches.as_numpy_iterator():
        frames_B = model.frames(inputs["num_frames"])
        if devices.compiled():
            inputs = _filled(inputs, batch_size)
        outputs_B = model.predict_on_batch(devices.share(inputs))
        for frames, outputs in zip(frames_B, outputs_B, strict=False):  # there may be rows that fill
            yield int(next(positions)), outputs[:frames] if model.head.per_frame else outputs


def recognize(
    model: Model, corpus: Corpus, *, max_frames: int, done: Callable[[], None] = lambda: None
) -> list[tuple[str, np.ndarray | None]]:
    """The predicted label of every clip, in the corpus' order, and the probabilities of all classes where it has one.

    `done` is called after each.
    """
    found: list[tuple[str, np.ndarray | None]] = [("", None)] * len(corpus)
    for position, outputs in clip_outputs(model, corpus, max_frames=max_frames):
        probabilities = None if model.head.per_frame else _softmax(outputs)
        found[position] = prediction(model, outputs), probabilities
        done()
    return found


def predict(model: Model, corpus: Corpus, *, max_frames: int) -> list[str]:
    """The predicted label of every clip, in the corpus' order."""
    return [label for label, _ in recognize(model, corpus, max_frames=max_frames)]


def fits(model: Model, corpus: Corpus, *, max_frames: int) -> np.ndarray:
    """(N,) whether the frames that the encoder gives of a clip, within the budget, can hold its label."""
    frames_N = model.frames(np.minimum(corpus.num_frames, max_frames))
    return model.head.fits(corpus.label_ids, corpus.label_lengths, frames_N)


def prediction(model: Model, outputs: np.ndarray) -> str:
    """The label that the outputs of one clip say."""
    classes, _ = model.head.decode(keras.ops.convert_to_tensor(outputs))
    return model.task.prediction(keras.ops.convert_to_numpy(classes).tolist())


def _softmax(outputs_V: np.ndarray) -> np.ndarray:
    exponentials = np.exp(outputs_V.astype(np.float64) - outputs_V.max())
    return exponentials / exponentials.sum()


def _filled(batch: dict[str, np.ndarray], batch_size: int) -> dict[str, np.ndarray]:
    """The batch with rows of zeros, clips without frames, up to `batch_size`: one shape for XLA."""
    missing = batch_size - len(batch["num_frames"])
    return {name: np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)) for name, rows in batch.items()}
