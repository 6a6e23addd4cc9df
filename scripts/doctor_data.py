"""Whether a data folder can be read, and about what a run on it takes on this machine."""

import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterator

import numpy as np

from pipeline import tasks
from pipeline.beam import conversion
from pipeline.common.errors import UserError
from pipeline.common.peak_memory import peak_memory
from pipeline.dataset import clips, readers
from pipeline.dataset.clips import Clip
from pipeline.dataset.metadata import Metadata
from pipeline.dataset.splits import TRAIN, SplitRule
from pipeline.dataset.symptoms import Symptoms
from pipeline.tasks.faults import Fault
from scripts.doctor import FAIL, GB, OK, WARN, Finding
from training import config as cfg
from training import devices

SAMPLE = 256  # clips that are trained on
STEPS = 20


def check_accelerator() -> Finding:
    try:
        return OK, "accelerator", devices.describe()
    except UserError as error:
        return WARN, "accelerator", str(error)


def examine(data: pathlib.Path, task_name: str | None) -> Iterator[Finding]:
    """Findings about the folder and, where all of it can be read, about a run on it."""
    try:
        table, task = conversion.listed(data, task_name)
        split_of = SplitRule().assign(table.entries.values())
        size = sum(conversion.input_sizes(data, table, table.paths).values())
        num_frames: dict[int, int] = {}
        for path in table.paths:  # only footers and ids are read
            ids = [entry.sequence_id for entry in table.by_path[path]]
            num_frames |= readers.reader(task).count_frames(data / path, task, ids)
        missing = table.entries.keys() - num_frames.keys()
        if missing:
            yield WARN, "data", f"{len(missing):,} clips of the metadata have no rows, such as {min(missing)}: rejected"
        frames = [num_frames[i] for i in table.entries if i in num_frames]
        text = f"{len(frames):,} clips of {len(table.signers)} signers, {sum(frames):,} frames"
        yield OK, "data", f"{text}, files: {len(table.paths)}, {size / GB:.2g} GB"
        found = list(itertools.islice(usable_clips(data, table, task), SAMPLE))
        for complaint in sum((shown for _, shown in found), Symptoms()).complaints().values():
            yield WARN, "data", f"the first {len(found)} clips: {complaint}"
        sample = [clip for clip, _ in found]
        if not sample:
            yield FAIL, "data", f"no clip of {table.paths[0]} can be used: python -m pipeline.convert tells why"
            return
        yield time_run(sample, task, [num_frames.get(i, 0) for i, split in split_of.items() if split == TRAIN])
    except UserError as error:
        yield FAIL, "data", str(error)


def usable_clips(data: pathlib.Path, table: Metadata, task: tasks.Task) -> Iterator[tuple[Clip, Symptoms]]:
    """Of the first files."""
    for path in table.paths:
        ids = [entry.sequence_id for entry in table.by_path[path]]
        for sequence_id, found in readers.reader(task).read_clips(data / path, task, ids):
            if entry := table.entries.get(sequence_id):
                examined = clips.examine(entry, found, task)
                if not isinstance(examined, Fault):
                    yield examined


def time_run(sample: list[Clip], task: tasks.Task, training_frames: list[int]) -> Finding:
    """Trains some steps of the presets for CPUs, and estimates what `scripts/run_pipeline` takes to train with them."""
    devices.use("auto")
    from training.data.input_pipeline import passes  # only now: it needs TensorFlow

    base, final = (cfg.PRESETS[name] for name in task.default_presets())
    folds = task.folds  # each base model is trained without one, where there are several
    seconds = 0.0
    for config, models, share in ((base, folds, 1 - 1 / folds if folds > 1 else 1), (final, 1, 1)):
        frames = share * int(np.minimum(training_frames, config.data.max_frames).sum())
        epochs = config.optimizer.epochs * passes(round(share * len(training_frames)), config.optimizer)
        seconds += models * epochs * frames * seconds_per_frame(sample, task, config)
    preset = next(iter(task.presets))
    text = (
        f"preset {preset}: training {folds + 1} models takes about {duration(seconds)}, by {STEPS} steps of"
        f" each preset, which held {peak_memory() / GB:.2g} GB. The larger presets are for a GPU or TPU"
    )
    return OK, "run", text


def seconds_per_frame(sample: list[Clip], task: tasks.Task, config: cfg.Config) -> float:
    """Of a training step, its input included."""
    import keras

    from training.data.corpus import Corpus
    from training.data.input_pipeline import plan_epoch, training_batches
    from training.network.features import num_features
    from training.network.model import Model

    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, fewest_steps=0))
    corpus = Corpus.of_clips(sample, task)
    size = num_features(task.points)
    model = Model(config, task, np.zeros(size, np.float32), np.ones(size, np.float32))
    model.build()
    model.compile(optimizer=keras.optimizers.AdamW(config.optimizer.learning_rate), jit_compile=devices.compiled())
    positions = np.resize(np.arange(len(corpus)), config.optimizer.batch_size * STEPS)
    plan = plan_epoch(corpus, positions, config, model.fewest_frames, epoch=0)
    pad_to = devices.pad_to(config.data.max_frames)
    batches = training_batches(corpus, task.points, config, plan, epoch=0, pad_to=pad_to)
    model.fit(batches.take(2), verbose=0, shuffle=False)  # compiles
    started = time.perf_counter()
    model.fit(batches, verbose=0, shuffle=False)
    return (time.perf_counter() - started) / int(plan.num_frames.sum())


def duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.0f} s"
