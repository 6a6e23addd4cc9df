import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference import recognize
from inference.recognizer import Recognizer
from pipeline.dataset import readers, takes, wide
from pipeline.tasks.fingerspelling import COLUMNS, Fingerspelling

ROOT = pathlib.Path(__file__).parents[2]
JSON_KEYS = ["file", "sequence_id", "take", "prediction", "confidence", "milliseconds"]


def lines(text, *files):
    """(id, label, confidence) of each line; each ends with a time, and begins with its file where there are several."""
    found = [line.split("\t") for line in text.splitlines()]
    if files:
        assert {line.pop(0) for line in found} == set(map(str, files))
    assert all(re.fullmatch(r"\d+\.\d ms", time) for _, _, _, time in found)
    return [(int(sequence_id), label, float(confidence)) for sequence_id, label, confidence, _ in found]


def expected(model, *files, digits=2):
    recognizer = Recognizer(model)
    runs = (each for file in files for each in wide.read_runs(file, recognizer.task))
    found = [(sequence_id, recognizer.recognize(landmarks)) for sequence_id, landmarks in runs]
    return [(sequence_id, each.label, round(each.confidence, digits)) for sequence_id, each in found]


def test_a_file_and_a_folder(toy_model, toy_data, command, capsys):
    first, second = sorted((toy_data / "train_landmarks").glob("*.parquet"))
    command(recognize, first, "--model", toy_model)
    assert lines(capsys.readouterr().out) == expected(toy_model, first)
    command(recognize, toy_data / "train_landmarks", "--model", toy_model, "--threads", 2)
    found = lines(capsys.readouterr().out, first, second)
    assert found == expected(toy_model, first, second)
    assert {sequence_id for sequence_id, *_ in found} == set(range(100, 136))


def test_json(toy_model, toy_data, command, capsys):
    file = toy_data / "train_landmarks/1.parquet"
    command(recognize, file, "--model", toy_model, "--json")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(list(each) == JSON_KEYS for each in found)
    assert {(each["file"], each["take"]) for each in found} == {(str(file), 1)}
    assert all(each["milliseconds"] > 0 for each in found)
    said = [(each["sequence_id"], each["prediction"], each["confidence"]) for each in found]
    assert said == expected(toy_model, file, digits=4)


def test_each_line_comes_as_soon_as_it_is_known(toy_model, toy_data, command, monkeypatch):
    """Nothing is read or kept beyond the clip at hand."""
    events = []
    runs = list(wide.read_runs(toy_data / "train_landmarks/1.parquet", Fingerspelling()))

    def read_takes(*_):
        for each in runs[:3]:
            events.append("read")
            yield takes.Take(*each)

    monkeypatch.setattr(readers, "read_takes", read_takes)
    monkeypatch.setattr("builtins.print", lambda *_, flush: events.append("said" if flush else "kept back"))
    command(recognize, toy_data / "train_landmarks/1.parquet", "--model", toy_model)
    assert events == ["read", "said"] * 3


def test_it_needs_neither_tensorflow_nor_keras_nor_beam(toy_model, toy_data):
    """In a fresh interpreter: recognizing loads LiteRT alone, and standard error is empty, without LiteRT's remark."""
    script = f"""
import sys
from inference import evaluate, recognize, submit
sys.argv = ["recognize", {str(toy_data / "train_landmarks/1.parquet")!r}, "--model", {str(toy_model)!r}]
recognize.main()
print(sorted({{"tensorflow", "keras", "jax", "torch", "apache_beam"}} & sys.modules.keys()))
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    *found, modules = finished.stdout.splitlines()
    assert modules == "[]"
    assert len(found) == 18
    assert finished.stderr == ""


def peak_memory(file, model):
    """Bytes that recognizing a file took at most, in a process of its own."""
    script = f"""
import sys
from pipeline.common.peak_memory import peak_memory
from inference import recognize
sys.argv = ["recognize", {str(file)!r}, "--model", {str(model)!r}]
recognize.main()
print(peak_memory())
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return int(finished.stdout.splitlines()[-1])


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(toy_model, tmp_path):
    """200 MB of landmarks take no more than 10 MB of them do."""
    random = np.random.default_rng(0)

    def write(file, num_clips):
        schema = pa.schema([("sequence_id", pa.int64()), *((name, pa.float32()) for name in COLUMNS)])
        with pq.ParquetWriter(file, schema) as writer:
            for first in range(0, num_clips, 100):
                ids = np.repeat(np.arange(first, first + 100), 100)
                columns = {name: random.random(len(ids), np.float32) for name in COLUMNS}
                writer.write_table(pa.table({"sequence_id": ids, **columns}, schema))
        return file

    small, large = write(tmp_path / "small.parquet", 200), write(tmp_path / "large.parquet", 2500)
    assert large.stat().st_size > 180e6
    assert peak_memory(large, toy_model) < peak_memory(small, toy_model) + 30e6
