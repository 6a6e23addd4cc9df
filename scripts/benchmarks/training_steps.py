"""Training steps of a network alone, on random input: what `scripts.benchmarks.training` does for an accelerator."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.tasks.fingerspelling import Fingerspelling
from training import config as cfg
from training.network.encoders import Published

TASK = Fingerspelling()
MEAN, STD = np.zeros(600, np.float32), np.ones(600, np.float32)
TINY = Published(width=8, blocks=1, heads=2)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Milliseconds an example: on the clock, and of all cores together, which other programs hardly change."""

    clock: float
    cpu: float


def best(rounds: int, examples: int, run: Callable[[], Any]) -> Cost:
    """Of the fastest of `rounds`, after one that is not timed."""
    run()
    costs = [timed(examples, run) for _ in range(rounds)]
    return Cost(min(cost.clock for cost in costs), min(cost.cpu for cost in costs))


def timed(examples: int, run: Callable[[], Any]) -> Cost:
    started, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Cost(1000 * seconds / examples, 1000 * cpu / examples)


def make_model(config: cfg.Config, *, jit_compile: bool, precision: str = "float32"):
    import keras

    from training.network.model import Model

    model = Model(config, TASK, MEAN, STD, precision=precision)
    model.build()
    model.compile(optimizer=keras.optimizers.AdamW(1e-4, global_clipnorm=5.0), jit_compile=jit_compile)
    return model


def training_flops(model, num_frames: int) -> float:
    """Of a training step, for one example: every weight of a matrix or convolution is used once a frame."""
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables if len(v.shape) > 1)
    attention = 2 * model.encoder.width * num_frames * len(model.encoder.blocks)  # scores, and sums of values
    return 3 * 2 * num_frames * (weights + attention)


def time_model(
    config: cfg.Config, *, precision: str, batch_size: int, steps: int, peak: float | None
) -> dict[str, Any]:
    """Steps on random input of one shape, padded to the frame budget, as training does them under JAX."""
    import jax
    import keras

    model = make_model(config, jit_compile=True, precision=precision)
    random = np.random.default_rng(0)
    frames, characters = config.data.max_frames, 31
    inputs = {
        "landmarks": random.normal(0.5, 0.2, (batch_size, frames, *TASK.points.shape)).astype(np.float32),
        "num_frames": np.full(batch_size, frames, np.int32),
    }
    targets = {
        "labels": random.integers(0, len(TASK.classes), (batch_size, characters)).astype(np.int32),
        "label_lengths": np.full(batch_size, characters // 2, np.int32),
    }

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, index):
            return inputs, targets

    started = time.perf_counter()
    model.train_on_batch(inputs, targets)
    model.fit(Batches(), verbose=0)
    compiled = time.perf_counter() - started
    seconds = best(2, steps, lambda: model.fit(Batches(), verbose=0)).clock / 1000
    device = jax.devices()[0]
    flops = training_flops(model, frames) * batch_size / seconds
    return {
        "device": device.device_kind,
        "precision": precision,
        "batch size": batch_size,
        "frames": frames,
        "milliseconds a step": 1000 * seconds,
        "examples a second": batch_size / seconds,
        "TFLOP/s": flops / 1e12,
        "share of the half-precision peak": flops / peak if peak else None,
        "seconds of compilation and first steps": compiled,
    }
