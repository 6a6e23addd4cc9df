"""scripts.benchmarks.convert: its large input, and that every way does the same work."""

import numpy as np
import pytest

from pipeline import synthesize, tasks
from pipeline.beam.runners import Runner
from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import metadata, readers
from pipeline.dataset.dataset import Dataset
from pipeline.synthesis import samples
from scripts.benchmarks import convert as benchmark

OF_LANDMARKS = [name for name in samples.SAMPLES if tasks.TASKS[name].metadata.file]


@pytest.fixture(params=OF_LANDMARKS)
def sample(request, tmp_path):
    """A task, and sample data of it."""
    name = request.param
    more = {option: 2 for option in ("files", "signs") if option in samples.options(name)}
    synthesize.synthesize(tmp_path / "data", task=name, clips=4, signers=2, spoiled_share=0.0, **more)
    entries = metadata.read(tmp_path / "data", tasks.named(name).metadata).entries.values()
    return tasks.named(name).of_data(tmp_path / "data", (entry.label for entry in entries)), tmp_path / "data"


def test_the_large_input(sample, tmp_path):
    """Three copies of each clip, under other ids."""
    task, data = sample
    large = benchmark.repeated(task, data, tmp_path, 3)
    clips = []
    for name, folder in (("small", data), ("large", large)):
        benchmark.conversion.convert(
            folder, tmp_path / f"of-{name}", benchmark.NO_TEST, num_shards=None, runner=Runner(), task_name=task.name
        )
        clips.append({clip.sequence_id: clip for clip in Dataset.open(tmp_path / f"of-{name}").read("train")})
    small, copies = clips
    assert (len(small), len(copies)) == (4, 12)
    for i, clip in small.items():
        for copy in range(3):
            other = copies[i + (copy << 40)]
            assert (other.label, other.signer) == (clip.label, clip.signer)
            np.testing.assert_array_equal(other.landmarks, clip.landmarks)


def test_a_notebook_reads_what_the_reader_does(sample):
    task, data = sample
    clips_of = benchmark._clips_of_wide if task.name == tasks.DEFAULT else benchmark._clips_of_long
    for path, entries in metadata.read(data, task.metadata).by_path.items():
        ids = [entry.sequence_id for entry in entries]
        expected = dict(readers.reader(task).read_clips(data / path, task, ids))
        found = dict(clips_of(task, data / path))
        assert found.keys() == expected.keys()
        for i, values in found.items():
            np.testing.assert_array_equal(values.reshape(expected[i].shape), expected[i])


@pytest.mark.long
@pytest.mark.parametrize("task", OF_LANDMARKS)
def test_every_way_is_measured(command, tmp_path, task):
    command(benchmark, "--output", tmp_path, "--task", task, "--clips", 8, "--rounds", 1)
    for compared in directories.read_json(tmp_path / "report.json").values():
        assert compared["base"] in compared["costs"]
        assert all(cost["seconds"] > 0 and cost["memory"] > 0 for cost in compared["costs"].values())


def test_recordings_have_a_benchmark_of_their_own(command, tmp_path):
    with pytest.raises(UserError, match=r"--task recordings: .* scripts\.benchmarks\.convert_tables"):
        command(benchmark, "--output", tmp_path, "--task", "recordings")
