import numpy as np
import pytest

from pipeline.synthesis.plan import PlannedSequence, make_landmarks, plan_sequences
from pipeline.synthesis.signers import Signer, make_signers


@pytest.fixture(scope="session")
def recordings() -> list[tuple[PlannedSequence, Signer, np.ndarray]]:
    """200 sequences of 12 signers with the default share of spoiled ones, seed 0."""
    signers = make_signers(12, seed=0)
    return [
        (planned, signers[planned.participant_id], make_landmarks(planned, signers[planned.participant_id], seed=0))
        for planned in plan_sequences(sequences=200, signers=12, files=1, spoiled_share=0.12, seed=0)
    ]
