"""Files for the nodes: NumPy archives and potentials."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aiida_iontherm.physics.mtp import MomentTensorPotential


def make_npz(**arrays: np.ndarray) -> io.BytesIO:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    stream.seek(0)
    return stream


@pytest.fixture
def npz() -> Callable[..., io.BytesIO]:
    """Make a .npz file of the given arrays."""
    return make_npz


@pytest.fixture
def mtp_file(tmp_path: Path) -> Path:
    """An untrained potential of copper and gold."""
    path = tmp_path / "potential.mtp"
    MomentTensorPotential.new(level=4, species=["Cu", "Au"], cutoff=4.0, radial_size=4).write(path)
    return path
