"""A crystal whose linewidths are known: harmonic force constants with friction."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import phonopy
from ase import Atoms
from ase.calculators.emt import EMT
from phonopy.structure.atoms import PhonopyAtoms
from scipy.linalg import expm

from aiida_iontherm.physics.units import AMU, KB

AMU_IN_KELVIN = AMU * 1e4 / KB  # k_B T of 1 amu (Angstrom/ps)^2


def emt_crystal(cell: Atoms, matrix: np.ndarray) -> phonopy.Phonopy:
    """Force constants of EMT, the cell taken as primitive."""
    unitcell = PhonopyAtoms(cell.get_chemical_symbols(), cell=cell.cell, scaled_positions=cell.get_scaled_positions())
    crystal = phonopy.Phonopy(unitcell, matrix, primitive_matrix="P", log_level=0)
    crystal.generate_displacements(distance=0.01)
    forces = []
    for displaced in crystal.supercells_with_displacements:
        atoms = Atoms(displaced.symbols, displaced.positions, cell=displaced.cell, pbc=True, calculator=EMT())
        forces.append(atoms.get_forces())
    crystal.forces = forces
    crystal.produce_force_constants()
    crystal.symmetrize_force_constants()
    return crystal


@dataclass(frozen=True)
class Run:
    """Velocities [frames, N, 3] in Angstrom/ps and displacements in Angstrom, atoms as in phonopy's supercell."""

    velocities: np.ndarray
    displacements: np.ndarray
    interval_fs: float
    temperature: float


def langevin(
    crystal: phonopy.Phonopy,
    damping: Callable[[np.ndarray], np.ndarray],
    *,
    frames: int,
    interval_fs: float = 20.0,
    temperature: float = 300.0,
    seed: int = 0,
) -> Run:
    """Exact Langevin dynamics of the harmonic supercell in its normal coordinates.

    The velocity of a mode of frequency f is damped at the rate `damping`(f) in 1/ps.
    """
    masses = np.array(crystal.supercell.masses)
    root = np.repeat(np.sqrt(masses), 3)
    matrix = crystal.force_constants.transpose(0, 2, 1, 3).reshape(len(root), -1) / np.outer(root, root)
    squares, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    squares, vectors = squares[3:], vectors[:, 3:]  # all but the translations
    frequencies = np.sqrt(squares) * crystal.unit_conversion_factor
    thermal = temperature / AMU_IN_KELVIN
    steps, kicks, state = [], [], []
    rng = np.random.default_rng(seed)
    for f, rate in zip(frequencies, damping(frequencies), strict=True):
        angular = 2 * np.pi * f
        step = expm(np.array([[0, 1], [-(angular**2), -rate]]) * interval_fs * 1e-3)
        covariance = np.diag([thermal / angular**2, thermal])
        steps.append(step)
        kicks.append(np.linalg.cholesky(covariance - step @ covariance @ step.T))
        state.append(np.sqrt(np.diag(covariance)) * rng.normal(size=2))
    steps, kicks, state = np.array(steps), np.array(kicks), np.array(state)[:, :, None]
    history = np.empty((frames, len(frequencies), 2))
    for k in range(frames):
        history[k] = state[:, :, 0]
        state = steps @ state + kicks @ rng.normal(size=state.shape)
    moved = (history.transpose(2, 0, 1) @ vectors.T / root).reshape(2, frames, len(masses), 3)
    return Run(moved[1], moved[0], interval_fs, temperature)
