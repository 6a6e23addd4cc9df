"""The Python of the READMEs does what it says."""

import pathlib
import re

import pytest

from inference.recognizer import Recognizer, as_inputs

ROOT = pathlib.Path(__file__).parents[2]


def blocks(file):
    return re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def here(tmp_path, toy_model, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model").symlink_to(toy_model)
    monkeypatch.chdir(tmp_path)


def test_the_front_page(here, noise, toy_model):
    (block,) = blocks(ROOT / "README.md")
    names = {"landmarks": noise(12)}
    exec(block, names)
    assert names["found"].label == Recognizer(toy_model).recognize(noise(12)).label


def test_the_page_for_phone_developers(here, noise, toy_model):
    recognizer = Recognizer(toy_model)
    with_signature, without = blocks(ROOT / "inference/README.md")
    names = {}
    texts = set()
    for seed, num_frames in enumerate((1, 5, 12, 16, 40)):
        names["frames"] = as_inputs(noise(num_frames, seed), recognizer.task)
        expected = recognizer.recognize(noise(num_frames, seed)).label
        for block in (with_signature, without):
            exec(block, names)
            assert names["text"] == expected
            assert list(recognizer.task.contract.columns) == names["columns"]
        texts.add(expected)
    assert len(texts) > 2
