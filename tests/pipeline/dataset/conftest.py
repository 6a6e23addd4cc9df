"""Datasets of given clips, made without recordings."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.beam import job
from pipeline.beam.runners import Runner
from pipeline.common import directories
from pipeline.dataset import dataset
from pipeline.dataset.clips import Clip
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import Shard, ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import Fault
from pipeline.tasks.fingerspelling import Fingerspelling


@dataclasses.dataclass
class WriteShard:
    """Of each shard the clips with their splits, and faults with the ids of what is rejected."""

    output: pathlib.Path
    shards: tuple[tuple[tuple[str | int, Clip | Fault], ...], ...]

    def __call__(self, shard: Shard) -> None:
        with ShardWriter(self.output, shard, Fingerspelling()) as writer:
            for where, each in self.shards[shard.index]:
                if isinstance(each, Fault):
                    writer.reject(where, each, file=shard.files[0])
                else:
                    writer.write(where, each)


@pytest.fixture
def make_dataset(tmp_path: pathlib.Path) -> Callable[..., Dataset]:
    """`make_dataset(*shards)`: a new dataset of shards that are lists of (split, clip) and (id, fault)."""

    def make(*shards: list[tuple[str | int, Clip | Fault]], name: str = "dataset") -> Dataset:
        names = [chr(ord("a") + i) for i in range(len(shards))]
        settings = {
            "files": dict.fromkeys(names, 1),
            "shards": [[name] for name in names],
            "split": SplitRule().as_json(),
        }
        job.make_dataset(
            tmp_path / name,
            directories.Request(dataset.KIND, settings),
            WriteShard(tmp_path / name, tuple(map(tuple, shards))),
            Fingerspelling(),
            clips=sum(map(len, shards)),
            title="testing",
            runner=Runner(),
            content=lambda reports: {"more": len(reports)},
        )
        return Dataset.open(tmp_path / name)

    return make


@pytest.fixture
def clip() -> Callable[..., Clip]:
    """`clip(sequence_id)`: four frames of noise, the same for the same id."""

    def make(sequence_id: int, signer: int = 1) -> Clip:
        landmarks = np.random.default_rng(sequence_id).normal(size=(4, *POINTS.shape)).astype(np.float32)
        return Clip(landmarks, f"label {sequence_id}", sequence_id, signer, "train")

    return make
