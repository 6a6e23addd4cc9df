"""What a whole run needs in disk, memory and time: rough figures, from measurements on one machine.

Measured on two cores of an AMD EPYC (AVX2), of which one multiplies matrices at `REFERENCE_RATE`; another
machine's times are taken in proportion. No GPU was measured.
"""

import dataclasses
import os
import subprocess
import sys

import numpy as np

from pipeline import landmarks as lm
from training import config as cfg

REFERENCE_RATE = 93e9  # floating-point operations a second, of one core
_REFERENCE_CORES = 2

# Seconds on the reference machine. Training: a frame takes a part for features and augmentation, and a part that grows
# with the network. Steps of networks with 0.5, 1.0 and 9.5 million parameters gave the proportion; a whole demo on a
# shared machine (746 s of training) the scale. Batches of the published size were not tried:
# their memory is extrapolated.
_FRAME = 95e-6
_FRAME_AND_PARAMETER = 125e-12
_SCORE_SHARE = 0.4  # of a training step: forward only
_TRAINING_START = 20.0  # importing and compiling TensorFlow
_FRAMES_CONVERTED = 90_000  # a second; a filtered data set is written at about the same rate
_BEAM_START = 5.0
_EXPORT = 35.0  # export and evaluation, mostly TensorFlow's conversion and the checks of it

# Bytes.
_PROCESS = 650 << 20  # of a training, with nothing in it
_BATCH_FRAME = 110_000  # of a batch: features
_BATCH_FRAME_AND_CHANNEL = 300  # of a batch: what each block keeps for the gradient
_FRAME_BYTES = lm.NUM_POINTS * 2 * 4
_WEIGHT = 7 * 4  # best weights, checkpoint with two moments, and a new checkpoint beside the old one


@dataclasses.dataclass(frozen=True)
class Workload:
    """A data folder.

    Attributes:
      num_frames: (N,) of every sequence.
      trains: (N,) bool, whether its signer is in the training split.
      record_bytes: of a frame in a data set, compressed.
    """

    num_frames: np.ndarray
    trains: np.ndarray
    record_bytes: float


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes of disk, of memory without and for a batch in training; seconds of training and of all other stages."""

    disk: float
    memory: float
    batch_memory: float
    other_seconds: float
    training_seconds: float


def need(work: Workload, configs: list[cfg.Config], *, speed: float) -> Need:
    """What a run of `scripts/run_pipeline` needs that trains these models, at `speed` times the reference machine's.

    The filter is taken to drop nothing, and the length rule to refuse nothing: rather too much than too little.
    """
    frames = int(work.num_frames.sum())
    training = work.num_frames[work.trains]
    seconds, scoring = 0.0, 0.0
    for config in configs:
        frame = _FRAME + _FRAME_AND_PARAMETER * parameters(config.network)
        frames_an_epoch = int(np.minimum(training, config.data.max_frames).sum())
        seconds += _TRAINING_START + config.optimizer.epochs * frames_an_epoch * frame
        scoring = scoring or frames * frame * _SCORE_SHARE  # by the first, the base model
    other = 2 * (_BEAM_START + frames / _FRAMES_CONVERTED) + _TRAINING_START + scoring + _EXPORT
    longest = int(work.num_frames.max(initial=0))
    landmarks = _FRAME_BYTES * int(training.sum())
    in_memory = landmarks <= cfg.LANDMARKS_IN_MEMORY
    weights = sum(_WEIGHT * parameters(config.network) for config in configs)
    return Need(
        disk=2 * frames * work.record_bytes + weights + (0 if in_memory else landmarks),
        memory=_PROCESS + (landmarks if in_memory else 0),
        batch_memory=max(_batch(config, longest) for config in configs),
        other_seconds=other / speed,
        training_seconds=seconds / speed,
    )


def parameters(network: cfg.Network) -> int:
    """About how many there are: the matrices of the blocks and of the head, and the stem's."""
    block = 3 * 2 * network.expansion + 4 + 2 * network.expansion  # three convolution units, attention, feed-forward
    return network.width**2 * (block * network.blocks + 2) + network.width * 720


def _batch(config: cfg.Config, longest: int) -> int:
    """Bytes that a training step takes on a CPU for a batch of the longest sequences."""
    frames = config.optimizer.batch_size * min(longest, config.data.max_frames)
    return frames * (_BATCH_FRAME + _BATCH_FRAME_AND_CHANNEL * config.network.width * config.network.blocks)


def speed(cores: int) -> float:
    """How fast this machine is, the reference machine being 1: a second of multiplying matrices on one core.

    The best of many: what else runs on the machine now hardly shows. In a process of its own, as numpy must be told
    about threads before it is imported.
    """
    program = """
import time, numpy as np
a = np.ones((512, 512), np.float32)
best, end = 1e9, time.perf_counter() + 1
while time.perf_counter() < end:
    start = time.perf_counter()
    a @ a
    best = min(best, time.perf_counter() - start)
print(2 * 512**3 / best)"""
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | one_thread, capture_output=True, text=True, check=True
    )
    return float(done.stdout) * cores / (REFERENCE_RATE * _REFERENCE_CORES)
