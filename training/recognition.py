"""What a trained model makes of a corpus: logits and text of every sequence."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline import scoring
from training import devices
from training.corpus import Corpus
from training.input_pipeline import evaluation_batches
from training.model import Recogniser


def frame_logits(
    model: Recogniser, corpus: Corpus, *, max_frames: int, batch_size: int = 32
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each sequence's position in the corpus and its logits (frames, classes), the longest first."""
    batch_size = -(-batch_size // devices.count()) * devices.count()
    batches, order = evaluation_batches(
        corpus, max_frames=max_frames, batch_size=batch_size, pad_to=devices.pad_to(max_frames)
    )
    positions = iter(order)
    for inputs, _ in batches.as_numpy_iterator():
        num_frames_B = inputs["num_frames"]
        if devices.compiled():
            inputs = _filled(inputs, batch_size)
        logits_BxTxV = model.predict_on_batch(devices.spread(inputs))
        for num_frames, logits_TxV in zip(num_frames_B, logits_BxTxV, strict=False):  # there may be rows that fill
            yield int(next(positions)), logits_TxV[:num_frames]


def recognise(
    model: Recogniser, corpus: Corpus, *, max_frames: int, done: Callable[[], None] = lambda: None
) -> list[str]:
    """Text of every sequence, in the corpus' order. `done` is called after each."""
    texts = [""] * len(corpus)
    for position, logits_TxV in frame_logits(model, corpus, max_frames=max_frames):
        texts[position] = scoring.greedy_decode(np.argmax(logits_TxV, axis=-1))
        done()
    return texts


def _filled(batch: dict[str, np.ndarray], batch_size: int) -> dict[str, np.ndarray]:
    """The batch with rows of zeros, sequences without frames, up to `batch_size`: one shape for XLA."""
    missing = batch_size - len(batch["num_frames"])
    return {name: np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)) for name, rows in batch.items()}
