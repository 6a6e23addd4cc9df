"""What a trained model makes of a corpus: logits and text of every sequence."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline import scoring
from training.input_pipeline import Corpus, evaluation_batches
from training.model import Recogniser


def frame_logits(
    model: Recogniser, corpus: Corpus, *, max_frames: int, batch_size: int = 32
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each sequence's position in the corpus and its logits (frames, classes), the longest first."""
    batches, order = evaluation_batches(corpus, max_frames=max_frames, batch_size=batch_size)
    positions = iter(order)
    for inputs, _ in batches:
        logits_BxTxV = model.predict_on_batch(inputs)
        for logits_TxV, num_frames in zip(logits_BxTxV, inputs["num_frames"].numpy(), strict=True):
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
