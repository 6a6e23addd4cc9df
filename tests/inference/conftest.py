"""What the tests of inference share: an exported toy model."""

import pathlib

import pytest


@pytest.fixture(scope="session")
def toy_model(toy_run, toy_dataset, command) -> pathlib.Path:
    """Directory of the exported toy run. Shared: read it, do not change it."""
    from inference import export

    output = toy_run.parent / "model"
    command(export, "--run", toy_run, "--dataset", toy_dataset, "--output", output)
    return output
