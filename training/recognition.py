"""Recognised text of a corpus by a trained model, batch by batch."""

from collections.abc import Callable

import numpy as np

from pipeline import scoring
from training.input_pipeline import Corpus, evaluation_batches
from training.model import Recogniser


def recognise(
    model: Recogniser,
    corpus: Corpus,
    *,
    max_frames: int,
    batch_size: int = 32,
    done: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Text of every sequence, in the corpus' order. `done` is told how many sequences each batch held."""
    texts = [""] * len(corpus)
    batches, order = evaluation_batches(corpus, max_frames=max_frames, batch_size=batch_size)
    position = 0
    for inputs, _ in batches:
        logits_BxTxV = model.predict_on_batch(inputs)
        for best_T, num_frames in zip(np.argmax(logits_BxTxV, axis=-1), inputs["num_frames"].numpy(), strict=True):
            texts[order[position]] = scoring.greedy_decode(best_T[:num_frames])
            position += 1
        done(len(logits_BxTxV))
    return texts
