"""Cells deformed and rattled at random: where reference sets start from."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def strained(cell: Atoms, volume_scaling: float, strain: float, rng: np.random.Generator) -> Atoms:
    """Deform a cell at random to a given volume, atoms with it.

    Parameters
    ----------
    cell : ase.Atoms
        Changed in place and returned.
    volume_scaling : float
        Factor of the volume.
    strain : float
        Standard deviation of the components of the strain, without unit.
    rng : numpy.random.Generator
        Nine numbers are drawn from it.
    """
    random = rng.normal(scale=strain, size=(3, 3))
    random -= np.eye(3) * np.trace(random) / 3  # to first order the volume is set by the scaling alone
    deformation = (np.eye(3) + (random + random.T) / 2) * volume_scaling ** (1 / 3)
    cell.set_cell(cell.cell.array @ deformation, scale_atoms=True)
    return cell


def start_cells(
    unit_cell: Atoms,
    supercell: tuple[int, int, int],
    *,
    runs: int,
    rattled_frames: int,
    volume_scalings: list[float],
    strain: float,
    rattle: float,
    seed: int,
) -> tuple[list[Atoms], list[Atoms]]:
    """Return the first cells of `runs` MD runs and `rattled_frames` cells with displaced atoms.

    Parameters
    ----------
    unit_cell : ase.Atoms
    supercell : tuple of int
        Repeats along each lattice vector.
    volume_scalings : list of float
        Factors of the volume, cycled over the runs and over the rattled cells.
    strain, rattle : float
        Standard deviations of the random strain (no unit) and of the displacements (Angstrom).
    seed : int
    """
    rng = np.random.default_rng(seed)

    def deformed(index: int) -> Atoms:
        return strained(unit_cell.repeat(supercell), volume_scalings[index % len(volume_scalings)], strain, rng)

    starts = [deformed(index) for index in range(runs)]
    rattled = []
    for index in range(rattled_frames):
        cell = deformed(index)
        cell.positions += rng.normal(scale=rattle, size=cell.positions.shape)
        rattled.append(cell)
    return starts, rattled
