"""A crystal of two elements whose atoms keep their distance, with terms of three bodies: stable, and cheap to move."""

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential

SPECIES = ["Cs", "Cu", "I"]
"""Of the potential; there is no caesium in the crystal."""


def soft_potential(level: int = 8, cutoff: float = 4.5) -> MomentTensorPotential:
    """Repulsion that ends smoothly at the cutoff, a little of all other moments, and energies of the free atoms."""
    blank = MomentTensorPotential.new(level=level, species=SPECIES, cutoff=cutoff, min_distance=1.5, seed=1)
    radial = 0.1 * blank.radial_coeffs
    radial[:, :, 0, 0] = 1 / (cutoff - 1.5) ** 2
    coefficients = np.random.default_rng(1).normal(size=blank.moment_coeffs.shape)
    coefficients[0] = 10.0
    return blank.replace(radial_coeffs=radial, moment_coeffs=coefficients, species_coeffs=np.array([0.3, -0.5, 0.2]))


def cubic_crystal() -> Atoms:
    """Close-packed layers of copper and iodine in turn, four atoms."""
    atoms = bulk("Cu", "fcc", a=5.7, cubic=True)
    atoms.symbols[[1, 3]] = "I"
    return atoms


def skew_crystal() -> Atoms:
    """A cell of two atoms that LAMMPS has to turn."""
    atoms = bulk("Cu", "fcc", a=5.7) * (2, 1, 1)
    atoms.symbols[1] = "I"
    return atoms
