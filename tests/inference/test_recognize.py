import pathlib
import re
import subprocess
import sys

from inference import recognize
from inference.recognizer import Recognizer
from pipeline import parquet

ROOT = pathlib.Path(__file__).parents[2]


def lines(text):
    """(id, text) of each line; each ends with a time."""
    found = [line.split("\t") for line in text.splitlines()]
    assert all(re.fullmatch(r"\d+\.\d ms", time) for _, _, time in found)
    return [(int(sequence_id), recognised) for sequence_id, recognised, _ in found]


def expected(model, *files):
    recognizer = Recognizer(model)
    return [(sequence_id, recognizer.recognize(x)) for file in files for sequence_id, x in parquet.read_runs(file)]


def test_a_file_and_a_folder(toy_model, toy_data, command, capsys):
    first, second = sorted((toy_data / "train_landmarks").glob("*.parquet"))
    command(recognize, first, "--model", toy_model)
    assert lines(capsys.readouterr().out) == expected(toy_model, first)
    command(recognize, toy_data / "train_landmarks", "--model", toy_model, "--threads", 2)
    found = lines(capsys.readouterr().out)
    assert found == expected(toy_model, first, second)
    assert {sequence_id for sequence_id, _ in found} == set(range(100, 136))


def test_it_needs_neither_tensorflow_nor_keras_nor_beam(toy_model, toy_data):
    """In a fresh interpreter: recognising loads LiteRT alone."""
    script = f"""
import sys
from inference import evaluate, recognize
sys.argv = ["recognize", {str(toy_data / "train_landmarks/1.parquet")!r}, "--model", {str(toy_model)!r}]
recognize.main()
print(sorted({{"tensorflow", "keras", "jax", "torch", "apache_beam"}} & sys.modules.keys()))
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    *found, modules = finished.stdout.splitlines()
    assert modules == "[]"
    assert len(found) == 18
