import dataclasses

import numpy as np
import pytest

from pipeline.synthesis import motion, phrases, plan, random_streams
from pipeline.synthesis.random_streams import Stream

SMALL = {"clips": 12, "signers": 3, "files": 2, "spoiled_share": 0.25, "seed": 7}


def test_every_clip_has_its_own_id_and_every_signer_as_many():
    planned = plan.plan_clips(**SMALL)
    assert len({each.sequence_id for each in planned}) == 12
    assert np.bincount([each.signer for each in planned]).tolist() == [4, 4, 4]
    assert [each.file_id for each in planned] == sorted(each.file_id for each in planned)


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.25, 3), (1, 12)])
def test_the_share_of_spoiled_clips(share, expected):
    planned = plan.plan_clips(**SMALL | {"spoiled_share": share})
    kinds = [each.spoiled for each in planned if each.spoiled]
    assert len(kinds) == expected
    assert {kinds.count(kind) for kind in plan.SPOILED_KINDS} == {expected // 3}
    for each in planned:
        differs = each.phrase != phrases.make_phrase(each.index, SMALL["seed"])
        assert differs == (each.spoiled == "wrong_phrase")


def test_only_the_file_ids_depend_on_the_number_of_files():
    two, one = (plan.plan_clips(**SMALL | {"files": files}) for files in (2, 1))
    assert [dataclasses.replace(each, file_id=one[0].file_id) for each in two] == one


def test_another_seed_gives_other_phrases():
    one, other = (plan.plan_clips(**SMALL | {"seed": seed}) for seed in (0, 1))
    assert [each.phrase for each in one] != [each.phrase for each in other]


def test_truncated_recordings_keep_less_than_a_third(recordings):
    truncated = [each for each in recordings if each[0].spoiled == "truncated"]
    assert truncated
    for planned, signer, landmarks in truncated:
        rng = random_streams.generator(0, Stream.MOTION, planned.index)
        whole = motion.spell(phrases.make_phrase(planned.index, seed=0), signer, rng)
        assert len(landmarks) - whole.first_frame < (whole.last_frame - whole.first_frame) / 3 + 1
