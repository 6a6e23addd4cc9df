import numpy as np
import pytest

from pipeline.synthesis.plan import PlannedClip, make_landmarks, plan_clips
from pipeline.synthesis.signers import Signer, make_signers


@pytest.fixture(scope="session")
def recordings() -> list[tuple[PlannedClip, Signer, np.ndarray]]:
    """200 clips of 12 signers with the default share of spoiled ones, seed 0."""
    signers = make_signers(12, seed=0)
    return [
        (planned, signers[planned.signer], make_landmarks(planned, signers[planned.signer], seed=0))
        for planned in plan_clips(clips=200, signers=12, files=1, spoiled_share=0.12, seed=0)
    ]
