import itertools

import numpy as np
import pytest

from pipeline.synthesis import handshapes, kinematics, signs


@pytest.mark.parametrize(("count", "seed"), [(2, 0), (25, 0), (250, 3), (signs.MOST_SIGNS, 1)])
def test_no_two_signs_are_alike(count, seed):
    found = signs.make_signs(count, seed)
    assert len({sign.form for sign in found}) == count
    names = [sign.name for sign in found]
    assert names == sorted(set(names))
    assert found == signs.make_signs(count, seed)
    if count > 100:
        for values in (signs.HANDS, signs.PLACES, signs.MOVEMENTS):
            used = {value for sign in found for value in (sign.hands, sign.place, sign.movement)}
            assert used >= set(values)


def test_fewer_signs_are_the_first_of_more_and_another_seed_gives_others():
    few, many = signs.make_signs(12, 0), signs.make_signs(99, 0)
    assert few == many[:12]
    assert [sign.form for sign in few] != [sign.form for sign in signs.make_signs(12, 1)]


def test_some_signs_differ_in_one_thing_only():
    found = signs.make_signs(25, 0)
    pairs = itertools.combinations((sign.form for sign in found), 2)
    assert sum(sum(a != b for a, b in zip(one, other, strict=True)) == 1 for one, other in pairs) >= 6


def test_handshapes_places_and_movements_are_far_from_each_other():
    points = {shape: kinematics.forward(handshapes.SIGNS[shape].postures)[0] for shape in signs.SHAPES}
    for one, other in itertools.combinations(points.values(), 2):
        assert np.linalg.norm(one - other, axis=1).max() > 3  # centimetres
    for here, there in itertools.combinations(np.array(list(signs.PLACES.values())), 2):
        assert np.linalg.norm(here - there) > 8
    paths = [movement.path(np.linspace(0, 1, 50)) for movement in signs.MOVEMENTS.values()]
    for path, other in itertools.combinations(paths, 2):
        assert np.abs(path).max() <= 1.5
        assert np.linalg.norm(path - other, axis=1).max() > 0.6
