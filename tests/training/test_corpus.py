import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from pipeline import vocabulary
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from training import config as cfg
from training.corpus import Corpus, is_validation_phrase

ROOT = pathlib.Path(__file__).parents[2]


def test_corpus(corpus):
    i = 5
    np.testing.assert_array_equal(
        corpus.landmarks(i),
        np.random.default_rng(i).normal(0.5, 0.2, (corpus.num_frames[i], 100, 2)).astype(np.float32),
    )
    assert len(corpus) == 45
    assert corpus.sequence_ids[i] == 1005
    assert vocabulary.decode(corpus.labels[i, : corpus.label_lengths[i]]) == corpus.texts[i]
    assert (corpus.labels[i, corpus.label_lengths[i] :] == vocabulary.BLANK).all()
    assert corpus.passes_length_rule.tolist() == [
        2 * len(text) < frames for text, frames in zip(corpus.texts, corpus.num_frames, strict=True)
    ]


def test_a_corpus_of_nothing():
    assert len(Corpus.read([])) == 0


def test_selected_sequences_share_the_frames(corpus):
    positions = np.array([40, 3, 3])
    for chosen in (positions, np.isin(np.arange(len(corpus)), positions)):
        part = corpus.select(chosen)
        expected = positions if chosen is positions else [3, 40]
        assert len(part) == len(expected)
        assert part.frames is corpus.frames
        for i, position in enumerate(expected):
            np.testing.assert_array_equal(part.landmarks(i), corpus.landmarks(position))
            assert part.texts[i] == corpus.texts[position]
            for name in ("labels", "label_lengths", "sequence_ids", "participant_ids", "passes_length_rule"):
                np.testing.assert_array_equal(getattr(part, name)[i], getattr(corpus, name)[position])
    assert len(corpus.select(np.zeros(len(corpus), bool))) == 0


@pytest.fixture
def in_files(monkeypatch, tmp_path):
    """Every split is kept in a file; returns the folder."""
    monkeypatch.setattr(cfg, "LANDMARKS_IN_MEMORY", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fingerspelling"


def test_a_split_in_a_file_is_as_one_in_memory(toy_dataset, in_files):
    dataset = Dataset.open(toy_dataset)
    for split in dataset.splits:
        held, read = Corpus.of(dataset, split), Corpus.read(dataset.read(split))
        assert isinstance(held.frames.base, np.memmap)
        for field in dataclasses.fields(Corpus):
            np.testing.assert_array_equal(getattr(held, field.name), getattr(read, field.name))
        # Nothing is left behind, whatever ends the process.
        assert list(in_files.iterdir()) == []


def test_a_split_of_nothing_in_a_file(tmp_path):
    with (tmp_path / "empty").open("w+b") as file:
        assert len(Corpus.read([], file=file)) == 0


def test_no_room_for_the_file(toy_dataset, in_files, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pathlib.Path("/dev/full").open("w+b"))  # noqa: SIM115
    wanted = rf"cannot keep the landmarks of .* GB\) in {in_files}: No space left"
    with pytest.raises(UserError, match=wanted) as raised:
        Corpus.of(Dataset.open(toy_dataset), "train")
    assert "\n" not in str(raised.value)


MEMORY = """
import sys
sys.path.insert(0, "scripts")
import numpy as np
from pipeline.sequences import Sequence
from training.corpus import Corpus
from peak_memory import peak_memory

def sequences(count):
    for i in range(count):
        yield Sequence(np.full((160, 100, 2), i, np.float32), "a phrase", i, 1, "train")

with open(sys.argv[1], "w+b") as file:
    Corpus.read(sequences(1))
    before = peak_memory()
    corpus = Corpus.read(sequences(5000), file=file if sys.argv[2] == "file" else None)
    print(len(corpus.frames) * 800, peak_memory() - before)
"""


@pytest.mark.long
@pytest.mark.parametrize(("where", "most"), [("memory", 1.1), ("file", 0.1)])
def test_peak_memory_of_reading(tmp_path, where, most):
    """640 MB of landmarks are held once, or not at all; what is measured is the largest memory the process ever had."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "frames", where], capture_output=True, text=True, check=True, cwd=ROOT
    )
    size, peak = map(int, done.stdout.split())
    assert size == 640_000_000
    assert peak < most * size


def test_validation_phrases():
    phrases = [f"phrase {i}" for i in range(2000)]
    share = [is_validation_phrase(phrase, 0.05) for phrase in phrases]
    assert 0.03 < np.mean(share) < 0.07
    # A larger share only adds to a smaller one.
    assert all(is_validation_phrase(phrase, 0.2) for phrase, chosen in zip(phrases, share, strict=True) if chosen)
    assert not any(is_validation_phrase(phrase, 0) for phrase in phrases)
    assert all(is_validation_phrase(phrase, 1) for phrase in phrases)


def test_validation_phrases_are_the_same_in_every_version():
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert "".join(letter for letter in letters if is_validation_phrase(letter, 0.25)) == "fjuxyz"
