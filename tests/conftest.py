"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real input data kept beside the project; tests that need it skip where it is absent."""
    root = Path(os.environ.get("IONTHERM_SHARED", Path(__file__).parents[2] / "shared"))
    data = root / "data"
    if not data.is_dir():
        pytest.skip("real data sets not found: set IONTHERM_SHARED to the folder that holds data/phonondb")
    return data
