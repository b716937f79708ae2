"""Potentials with random coefficients, and crowded little systems that make every term count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential


def make_random_potential(level: int = 8, seed: int = 1, **options) -> MomentTensorPotential:
    rng = np.random.default_rng(seed)
    settings = {"species": ["Cu", "I"], "cutoff": 4.0, "min_distance": 1.5, "radial_size": 4} | options
    blank = MomentTensorPotential.new(level=level, seed=seed, **settings)
    return replace(
        blank,
        moment_coeffs=2.0 * rng.normal(size=blank.moment_coeffs.shape),
        species_coeffs=rng.normal(size=blank.species_coeffs.shape),
    )


@pytest.fixture
def random_potential() -> Callable[..., MomentTensorPotential]:
    return make_random_potential


@pytest.fixture
def cluster() -> Atoms:
    """Nine atoms in vacuum, no symmetry."""
    atoms = Atoms("Cu4I5", positions=2.4 * np.array(list(np.ndindex(3, 3, 1))))
    atoms.rattle(0.3, seed=2)
    return atoms


@pytest.fixture
def crystal() -> Atoms:
    """Triclinic two-atom cell: every neighbour within the cutoff is an image, some of the atom itself."""
    atoms = bulk("CuI", "rocksalt", a=5.0)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * np.random.default_rng(3).normal(size=(3, 3))), True)
    atoms.rattle(0.1, seed=4)
    return atoms
