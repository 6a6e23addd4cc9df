"""scripts.benchmarks.convert_tables: a notebook and `pipeline.convert` make the same clips of its input."""

import numpy as np
import pytest

from pipeline.beam import conversion
from pipeline.common import directories
from pipeline.dataset.dataset import Dataset
from scripts.benchmarks import convert_tables as benchmark

MAKERS = {"files": (benchmark.make_files, 45), "table": (benchmark.make_table, 200_000)}
MAKERS["streams"] = (benchmark.make_streams, 400_000)


@pytest.mark.parametrize("kind", MAKERS)
def test_both_ways_make_the_same_clips(tmp_path, kind):
    data = tmp_path / "data"
    make, size = MAKERS[kind]
    count = make(data, size)
    _, task = conversion.listed(data, str(data / benchmark.DESCRIPTION))
    benchmark.whole_job(task, data, tmp_path / "made", workers=1)
    made = sorted(Dataset.open(tmp_path / "made").read("train"), key=lambda clip: clip.sequence_id)
    expected = list(benchmark.notebook_clips(task, data))
    assert count >= len(made) == len(expected) > 20
    for clip, (values, label) in zip(made, expected, strict=True):
        assert clip.label == label
        np.testing.assert_array_equal(clip.landmarks[:, :, 0], values)


@pytest.mark.long
def test_every_way_is_measured(command, tmp_path, capsys):
    command(benchmark, "--output", tmp_path, "--files", 45, "--megabytes", 1)
    report = directories.read_json(tmp_path / "report.json")
    assert [len(each["costs"]) for each in report.values()] == [3, 3, 3]
    assert "two streams of 1 MB" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
