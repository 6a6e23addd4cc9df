import pytest

from pipeline.synthesis.signers import make_signers


@pytest.mark.parametrize(("count", "seed", "expected"), [(12, 0, (1, 2)), (100, 3, (10,)), (1, 5, (1,))])
def test_every_tenth_signer_is_left_handed(count, seed, expected):
    assert sum(signer.left_handed for signer in make_signers(count, seed)) in expected


def test_signers_differ_and_do_not_depend_on_their_number():
    few, many = make_signers(10, seed=0), make_signers(20, seed=0)
    assert [signer.frames_per_character for signer in few] == [signer.frames_per_character for signer in many[:10]]
    assert len({signer.image_width for signer in many}) == 20
    assert len({signer.image_width for signer in many + make_signers(20, seed=1)}) == 40
