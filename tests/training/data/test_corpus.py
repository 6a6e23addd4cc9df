import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset.dataset import Dataset
from training.data import corpus as corpus_module
from training.data.corpus import Corpus

ROOT = pathlib.Path(__file__).parents[3]
ARRAYS = ("label_ids", "label_lengths", "num_frames", "signers")


def test_corpus(corpus, task):
    i = 5
    np.testing.assert_array_equal(
        corpus.landmarks(i),
        np.random.default_rng(i).normal(0.5, 0.2, (corpus.num_frames[i], 100, 2)).astype(np.float32),
    )
    assert len(corpus) == 45
    assert corpus.sequence_ids[i] == 1005
    assert corpus.signers[i] == corpus.clips[i].signer == 2
    assert task.decode(corpus.label_ids[i, : corpus.label_lengths[i]]) == corpus.clips[i].label
    assert (corpus.label_ids[i, corpus.label_lengths[i] :] == len(task.classes)).all()
    assert [each.plausible for each in corpus.clips] == [2 * len(each.label) < each.num_frames for each in corpus.clips]
    assert not corpus.frames.flags.writeable


def test_a_corpus_of_nothing(task):
    assert len(Corpus.of_clips([], task)) == 0


def test_selected_clips_share_the_frames(corpus):
    positions = np.array([40, 3, 3])
    for chosen in (positions, np.isin(np.arange(len(corpus)), positions)):
        part = corpus.select(chosen)
        expected = positions if chosen is positions else [3, 40]
        assert len(part) == len(expected)
        assert part.frames is corpus.frames
        for i, position in enumerate(expected):
            np.testing.assert_array_equal(part.landmarks(i), corpus.landmarks(position))
            assert part.clips[i] == corpus.clips[position]
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(part, name)[i], getattr(corpus, name)[position])
    assert len(corpus.select(np.zeros(len(corpus), bool))) == 0


def test_a_split_of_a_data_set(toy_dataset):
    """What there is to know of its clips is what the dataset tells of them."""
    dataset = Dataset.open(toy_dataset)
    found = Corpus.of(dataset, "train")
    assert found.clips == dataset.clips("train")
    assert {each.split for each in found.clips} == {"train"}
    for i, each in enumerate(dataset.read("train")):
        np.testing.assert_array_equal(found.landmarks(i), each.landmarks)
        assert found.sequence_ids[i] == each.sequence_id


@pytest.fixture
def in_files(monkeypatch, tmp_path):
    """Every split is kept in a file; returns the folder."""
    monkeypatch.setattr(corpus_module, "LANDMARKS_IN_MEMORY", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fingerspelling"


def test_a_split_in_a_file_is_as_one_in_memory(toy_dataset, in_files):
    dataset = Dataset.open(toy_dataset)
    for split in dataset.splits:
        known = {each.sequence_id: each for each in dataset.clips(split)}
        held, read = Corpus.of(dataset, split), Corpus.read(dataset.read(split), known, dataset.task)
        assert isinstance(held.frames.base, np.memmap)
        for field in dataclasses.fields(Corpus):
            np.testing.assert_array_equal(getattr(held, field.name), getattr(read, field.name))
        # Nothing is left behind, whatever ends the process.
        assert list(in_files.iterdir()) == []


def test_a_split_of_nothing_in_a_file(task, tmp_path):
    with (tmp_path / "empty").open("w+b") as file:
        assert len(Corpus.read([], {}, task, file=file)) == 0


def test_no_room_for_the_file(toy_dataset, in_files, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pathlib.Path("/dev/full").open("w+b"))  # noqa: SIM115
    wanted = rf"cannot keep the landmarks of .* GB\) in {in_files}: No space left"
    with pytest.raises(UserError, match=wanted) as raised:
        Corpus.of(Dataset.open(toy_dataset), "train")
    assert "\n" not in str(raised.value)


MEMORY = """
import sys
import numpy as np
from pipeline.common.peak_memory import peak_memory
from pipeline.dataset.clips import Clip, ClipInfo
from pipeline.tasks.fingerspelling import Fingerspelling
from training.data.corpus import Corpus

def clips(count):
    for i in range(count):
        yield Clip(np.full((160, 100, 2), i, np.float32), "a phrase", i, 1, "train")

task = Fingerspelling()
known = {each.sequence_id: ClipInfo.of(each, "train", task) for each in clips(5000)}
with open(sys.argv[1], "w+b") as file:
    Corpus.read(clips(1), known, task)
    before = peak_memory()
    corpus = Corpus.read(clips(5000), known, task, file=file if sys.argv[2] == "file" else None)
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
