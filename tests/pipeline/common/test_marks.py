"""Marks tell files of one size apart."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common import marks, storage


def test_wide_files_of_one_size_are_told_apart(tmp_path):
    """Whose footer is longer than what is looked at of other files, and ends alike."""
    names = [f"x_{i}" for i in range(1600)]
    found = []
    for seed in range(2):
        values = np.random.default_rng(seed).random((1600, 40)).astype(np.float32)
        table = pa.table(dict(zip(names, values, strict=True)))
        pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, write_statistics=False)
        found.append((storage.file_sizes(tmp_path), marks.file_marks(tmp_path, ["a.parquet"])))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_a_mark_of_every_kind_of_file(tmp_path):
    """An end that claims to be a footer's is read no further than the file goes."""
    for content in (
        b"",
        b"a",
        b"PAR1",
        b"\xff\xff\xff\xffPAR1",
        bytes(100_000) + b"\xff\xff\xff\x7fPAR1",
        bytes(300_000),
    ):
        (tmp_path / "a").write_bytes(content)
        (tmp_path / "b").write_bytes(content)
        found = marks.file_marks(tmp_path, ["a", "b"])
        assert found["a"] == found["b"]
