"""How fast training is: its input, the CTC loss, and steps of a network, beside the published way.

    python -m scripts.benchmarks.training --output out/benchmark-training

Makes its own clips (`pipeline.synthesis`, 179 frames on average), runs everything on the CPU in one go, and prints
tables of milliseconds an example and ratios; they are kept in OUTPUT/report.json. For an accelerator:

    python -m scripts.benchmarks.training --output out/benchmark-model --model-only --precision bfloat16

trains on random input of one shape under Keras' JAX backend, and needs neither TensorFlow nor data. It prints steps,
examples and floating-point operations a second, as a share of the accelerator's peak. The operations are those of the
matrices and convolutions, three times those of a forward pass.
"""

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from pipeline.common import arguments, directories, errors
from pipeline.common.errors import UserError
from pipeline.dataset.clips import Clip
from pipeline.dataset.features import num_features
from pipeline.dataset.writers import POINT_COLUMNS
from pipeline.synthesis.plan import make_landmarks, plan_clips
from pipeline.synthesis.signers import make_signers
from pipeline.tasks.fingerspelling import Fingerspelling
from training import config as cfg
from training import devices
from training.network.encoders import EncoderSettings, Published

TASK = Fingerspelling()
MEAN, STD = np.zeros(num_features(TASK.points), np.float32), np.ones(num_features(TASK.points), np.float32)
TINY = Published(width=8, blocks=1, heads=2)
SIGNERS = 50
OURS = "ours: bucketed"


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured. Each figure is the best of `rounds`: what else the machine does only slows."""

    clips: int = 1000
    rounds: int = 3
    steps: int = 8
    batch_size: int = 16
    ctc_batch: int = 32
    ctc_frames: int = 340
    encoder: EncoderSettings = cfg.PRESETS["base"].encoder


QUICK = Size(clips=12, rounds=1, steps=1, batch_size=4, ctc_batch=2, ctc_frames=60, encoder=TINY)


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


Costs = dict[str, Cost]  # by the way it is done


def make_clips(count: int) -> Iterator[Clip]:
    signers = make_signers(SIGNERS, 0)
    columns = [POINT_COLUMNS.index(name) for name in TASK.contract.columns]
    for each in plan_clips(clips=count, signers=SIGNERS, files=1, spoiled_share=0.0, seed=0):
        whole = make_landmarks(each, signers[each.signer], 0)
        columns_KxT = whole.T.reshape(len(POINT_COLUMNS), -1)[columns]
        landmarks = np.ascontiguousarray(columns_KxT.reshape(2, TASK.points.shape[0], -1).transpose(2, 1, 0))
        yield Clip(landmarks, each.phrase, each.sequence_id, each.signer, "benchmark")


def fewest_frames(label_lengths_N: np.ndarray) -> np.ndarray:
    """As of the CTC head."""
    return 2 * label_lengths_N


def exhaust(batches) -> None:
    for _ in batches:
        pass


def time_input(corpus, config: cfg.Config, size: Size) -> tuple[Costs, Cost]:
    """Of the input pipelines; and of our features, which are a part of the model."""
    import tensorflow as tf

    from scripts.benchmarks import published_input
    from training.data.input_pipeline import plan_epoch, training_batches
    from training.network.features import Features

    plan = plan_epoch(corpus, np.arange(len(corpus)), config, fewest_frames, epoch=0)
    examples = plan.positions.size
    published = functools.partial(
        published_input.batches, corpus, MEAN, STD, max_frames=340, batch_size=size.batch_size
    )
    ours = functools.partial(training_batches, corpus, TASK.points, config, plan, epoch=0)
    ways = {
        "published: augmentation, features, padded to 340": lambda: exhaust(published(features=True)),
        "published, without features": lambda: exhaust(published(features=False)),
        "ours: augmentation, bucketed": lambda: exhaust(ours()),
        "ours, padded to 380": lambda: exhaust(ours(pad_to=380)),
    }
    costs = {name: best(size.rounds, examples, run) for name, run in ways.items()}
    layer = Features(TASK.points, MEAN, STD, kind="published")
    compute = tf.function(layer.__call__, reduce_retracing=True)
    inputs, _ = next(iter(training_batches(corpus, TASK.points, config, plan, epoch=0)))
    mask = tf.sequence_mask(inputs["num_frames"], tf.shape(inputs["landmarks"])[1])
    return costs, best(5 * size.rounds, size.batch_size, lambda: compute(inputs["landmarks"], mask=mask))


def time_ctc(size: Size) -> Costs:
    """Of the loss and its gradient."""
    import tensorflow as tf

    from training.network import ctc

    random = np.random.default_rng(0)
    batch, frames = size.ctc_batch, size.ctc_frames
    logits = tf.constant(random.normal(size=(batch, frames, len(TASK.classes) + 1)), tf.float32)
    lengths = tf.constant(random.integers(5, 31, batch), tf.int32)
    labels = tf.constant(random.integers(0, len(TASK.classes), (batch, 31)), tf.int32)

    @tf.function
    def gradient(sparse):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss, _ = ctc.ctc_loss(
                labels_BxL=labels,
                label_lengths_B=lengths,
                logits_BxTxV=logits,
                num_frames_B=tf.fill((batch,), frames),
                blank=len(TASK.classes),
                sparse=sparse,
            )
        return tape.gradient(loss, logits)

    return {
        name: best(size.rounds, batch, functools.partial(gradient, sparse))
        for name, sparse in (("dense", False), ("sparse", True))
    }


def time_steps(corpus, config: cfg.Config, size: Size) -> tuple[Costs, float]:
    """Of training steps, and the share of the time of ours that they wait for input."""
    from training.data.input_pipeline import plan_epoch, training_batches

    plan = plan_epoch(corpus, np.arange(len(corpus)), config, fewest_frames, epoch=0)
    # From short to long: every tenth, say. The same examples whatever the padding.
    order = np.argsort(plan.num_frames.max(axis=1))
    chosen = order[np.linspace(0, len(order) - 1, size.steps + 2).astype(int)[1:-1]]
    plan = type(plan)(plan.positions[chosen], plan.partners[chosen], plan.num_frames[chosen])
    ways: list[tuple[str, int | None, Any]] = [
        ("as published: padded to 380, dense CTC, Keras' norms", 380, as_published()),
        ("ours, padded to 380", 380, contextlib.nullcontext()),
        (OURS, None, contextlib.nullcontext()),
    ]
    costs, waiting = {}, 0.0
    for name, pad_to, context in ways:
        with context:
            model = make_model(config, jit_compile=False)
            batches = training_batches(corpus, TASK.points, config, plan, epoch=0, pad_to=pad_to)
            # TensorFlow traces the first step, the second, and the first of another shape.
            for inputs, targets in batches.repeat().take(3):
                model.train_on_batch(inputs, targets)
            iterator = iter(batches)
            run = functools.partial(train, model, next(iterator), iterator)
            waits: list[float] = []
            costs[name] = timed(plan.positions.size, functools.partial(_append, waits, run))
        if name == OURS:
            waiting = 1000 * waits[0] / plan.positions.size / costs[name].clock
    return costs, waiting


def _append(waits: list[float], run: Callable[[], float]) -> None:
    waits.append(run())


def train(model, batch, rest: Iterator) -> float:
    """Steps with `batch` and the rest. Returns the seconds that they waited for input."""
    waited = 0.0
    while batch is not None:
        model.train_on_batch(*batch)
        asked = time.perf_counter()
        batch = next(rest, None)
        waited += time.perf_counter() - asked
    return waited


@contextlib.contextmanager
def as_published() -> Iterator[None]:
    """The published functions where ours replace them for their speed."""
    import keras

    from training.network import ctc, layers

    norm = functools.partial(
        keras.layers.BatchNormalization, momentum=layers.BATCH_NORM_MOMENTUM, epsilon=layers.BATCH_NORM_EPSILON
    )
    sparse_or_dense = ctc.ctc_loss

    def dense(**arguments):
        return sparse_or_dense(**arguments | {"sparse": False})

    replaced = ((ctc, "ctc_loss", dense), (layers, "BatchNorm", norm))
    with contextlib.ExitStack() as stack:
        for module, name, replacement in replaced:
            stack.enter_context(mock.patch.object(module, name, replacement))
        yield


def make_model(config: cfg.Config, *, jit_compile: bool, precision: str = "float32"):
    import keras

    from training.network.model import Model

    model = Model(config, TASK, MEAN, STD, precision=precision)
    model.build()
    model.compile(optimizer=keras.optimizers.AdamW(1e-4, global_clipnorm=5.0), jit_compile=jit_compile)
    return model


def training_flops(model, num_frames: int) -> float:
    """Of a training step, for one example: every weight of a matrix or convolution is used once a frame.

    Of an encoder that gives fewer frames, the stem sees all of them, and the rest those that it gives.
    """
    stem = int(np.prod(model.encoder.stem.kernel.shape))
    rest = sum(int(np.prod(v.shape)) for v in model.trainable_variables if len(v.shape) > 1) - stem
    given = int(model.frames(num_frames))
    attention = 2 * model.encoder.width * given * len(model.encoder.blocks)  # scores, and sums of values
    return 3 * 2 * (num_frames * stem + given * (rest + attention))


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

    @jax.jit
    def gradient(logits_BxTxV):
        def mean_loss(logits_BxTxV):
            labels = {"labels_BxL": targets["labels"], "label_lengths_B": targets["label_lengths"]}
            frames_B = model.frames(inputs["num_frames"])
            loss_B, _ = model.head.loss(logits_BxTxV, **labels, num_frames_B=frames_B, sparse=False)
            return loss_B.mean()

        return jax.grad(mean_loss)(logits_BxTxV)

    logits = jax.numpy.asarray(model.predict_on_batch(inputs))
    gradient(logits).block_until_ready()
    loss = best(2, steps, lambda: [gradient(logits) for _ in range(steps)][-1].block_until_ready()).clock / 1000
    device = jax.devices()[0]
    flops = training_flops(model, frames) * batch_size / seconds
    return {
        "device": device.device_kind,
        "precision": precision,
        "batch size": batch_size,
        "frames": frames,
        "milliseconds a step": 1000 * seconds,
        "milliseconds of the dense CTC loss and its gradient": 1000 * loss,
        "examples a second": batch_size / seconds,
        "TFLOP/s": flops / 1e12,
        "share of the half-precision peak": flops / peak if peak else None,
        "seconds of compilation and first steps": compiled,
    }


def show(title: str, costs: Costs, base: str, out: Console) -> None:
    heads = ("ms an example", "examples/s", "times as fast", "CPU ms", "times less CPU")
    table = Table(Column("", no_wrap=True), *heads, title=title, title_justify="left")
    for name, cost in costs.items():
        ratios = costs[base].clock / cost.clock, costs[base].cpu / cost.cpu
        table.add_row(
            name,
            f"{cost.clock:.2f}",
            f"{1000 / cost.clock:,.0f}",
            f"{ratios[0]:.2f}",
            f"{cost.cpu:.2f}",
            f"{ratios[1]:.2f}",
        )
    out.print(table)


def compare(size: Size, out: Console) -> dict[str, Any]:
    from training.data.corpus import Corpus

    optimizer = dataclasses.replace(cfg.PRESETS["base"].optimizer, batch_size=size.batch_size)
    config = dataclasses.replace(cfg.PRESETS["base"], encoder=size.encoder, optimizer=optimizer)
    corpus = Corpus.of_clips(make_clips(size.clips), TASK)
    mean_frames = float(corpus.num_frames.mean())
    out.print(f"{len(corpus):,} clips, {mean_frames:.0f} frames on average; {os.cpu_count()} cores")
    fed, features = time_input(corpus, config, size)
    show(f"input, batches of {size.batch_size}", fed, next(iter(fed)), out)
    out.print(f"our features, inside the model: {features.clock:.2f} ms an example forward, CPU {features.cpu:.2f}")
    losses = time_ctc(size)
    show(f"CTC and its gradient, {size.ctc_batch} x {size.ctc_frames} frames", losses, "dense", out)
    steps, waiting = time_steps(corpus, config, size)
    show(f"training step, batches of {size.batch_size}", steps, next(iter(steps)), out)
    out.print(f"bucketed training waits for input {100 * waiting:.1f} % of the time")
    return {
        "mean_frames": mean_frames,
        "input_ms": {name: dataclasses.asdict(cost) for name, cost in fed.items()},
        "features_ms": dataclasses.asdict(features),
        "ctc_ms": {name: dataclasses.asdict(cost) for name, cost in losses.items()},
        "step_ms": {name: dataclasses.asdict(cost) for name, cost in steps.items()},
        "waiting_share": waiting,
    }


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory for report.json")
    parser.add_argument("--quick", action="store_true", help="a few clips and a small network: to see that it works")
    parser.add_argument("--model-only", action="store_true", help="only training steps, under JAX, on random input")
    parser.add_argument("--preset", choices=cfg.PRESETS, default="base", help="of --model-only")
    parser.add_argument("--batch-size", type=arguments.positive, help="of --model-only (default: the preset's)")
    parser.add_argument("--steps", type=arguments.positive, default=20, help="of --model-only")
    precisions = ("float32", "bfloat16", "float16")
    parser.add_argument("--precision", choices=precisions, default="float32", help="of --model-only")
    parser.add_argument("--peak-tflops", type=float, help="of the accelerator, as its data sheet says")
    args = parser.parse_args()
    # Before Keras is imported.
    os.environ["KERAS_BACKEND"] = "jax" if args.model_only else "tensorflow"
    out = Console(width=130)
    if not args.model_only:
        devices.use("cpu")
        report = compare(QUICK if args.quick else Size(), out)
    else:
        config = cfg.PRESETS[args.preset]
        if args.quick:
            config = dataclasses.replace(config, encoder=TINY, data=cfg.Data(max_frames=60))
        try:
            report = time_model(
                config,
                precision=args.precision,
                batch_size=args.batch_size or (2 if args.quick else config.optimizer.batch_size),
                steps=2 if args.quick else args.steps,
                peak=args.peak_tflops and args.peak_tflops * 1e12,
            )
        except ModuleNotFoundError as error:
            raise UserError(f"--model-only needs JAX ({error}): pip install jax, for a GPU 'jax[cuda12]'") from error
        table = Table(show_header=False)
        for name, value in report.items():
            table.add_row(
                name, "unknown" if value is None else f"{value:,.3f}" if isinstance(value, float) else str(value)
            )
        out.print(table)
    args.output.mkdir(parents=True, exist_ok=True)
    directories.write_json(args.output / "report.json", report)


if __name__ == "__main__":
    errors.run(main)
