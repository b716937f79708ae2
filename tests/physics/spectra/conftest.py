"""Crystals that EMT knows, for what is projected on their modes."""

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk
from damped_crystal import emt_crystal


@pytest.fixture(scope="session")
def tetragonal(cuau_cell: Atoms) -> phonopy.Phonopy:
    """CuAu I, 2 x 2 x 2: 8 commensurate points of which 6 are irreducible."""
    return emt_crystal(cuau_cell, np.diag([2, 2, 2]))


@pytest.fixture(scope="session")
def skewed() -> phonopy.Phonopy:
    """Copper and gold as rock salt, a skewed primitive cell; 2 x 2 x 2 conventional cells."""
    cell = bulk("CuAu", "rocksalt", a=5.0)
    return emt_crystal(cell, 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]))


@pytest.fixture(scope="session")
def cubic() -> phonopy.Phonopy:
    """Cu3Au (L1_2), 2 x 2 x 2: many degenerate modes, 4 irreducible of 8 points."""
    cell = Atoms("AuCu3", cell=3.74 * np.eye(3), pbc=True)
    cell.set_scaled_positions([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    return emt_crystal(cell, np.diag([2, 2, 2]))
