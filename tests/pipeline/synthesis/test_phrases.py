import numpy as np

from pipeline.synthesis import phrases
from pipeline.tasks.fingerspelling import CHARACTERS


def test_phrases_are_varied_and_as_long_as_those_of_the_real_set():
    texts = [phrases.make_phrase(index, seed=0) for index in range(3000)]
    lengths = np.array([len(text) for text in texts])
    assert lengths.min() >= phrases.MIN_LENGTH
    assert lengths.max() <= phrases.MAX_LENGTH
    assert 17 < lengths.mean() < 18.7
    assert len(set(texts)) > 2800
    used = set("".join(texts))
    assert used >= set("abcdefghijklmnopqrstuvwxyz0123456789 .-/+_@:()#,'&=?~%")
    assert used <= set(CHARACTERS)


def test_a_phrase_depends_on_its_index_and_the_seed_alone():
    assert phrases.make_phrase(5, seed=1) == phrases.make_phrase(5, seed=1)
    assert len({phrases.make_phrase(index, seed) for index in range(5) for seed in range(5)}) == 25
