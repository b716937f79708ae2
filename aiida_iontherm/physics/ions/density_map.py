"""Time-averaged density of the mobile ions on a grid, and the free energy it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.checks import temperatures
from aiida_iontherm.physics.ions.periodic_points import checked_cell, checked_drift, checked_positions
from aiida_iontherm.physics.units import KB_EV

SPACING_A = 0.3
"""Edge of a voxel: the amplitude of thermal vibration, so that peaks are not flattened much (with Gaussian peaks of
this width their height is 12 % too low, 0.006 eV at 600 K), and voxels on the paths are still met."""

LARGEST_GRID = 20_000_000
"""Voxels: 160 MB of counts."""

CHUNK_POINTS = 500_000
"""Positions binned at once: some 30 MB."""


@dataclass(frozen=True, kw_only=True)
class DensityMap:
    """How often ions were found in each voxel. Maps of successive parts of a run add up with ``+``.

    Attributes
    ----------
    counts
        ``[n1, n2, n3]`` along the cell vectors.
    cell
        ``[3, 3]`` Angstrom, vectors as rows.
    frames
        Number of samples of the cell: frames times the cells that were laid on each other.
    """

    counts: NDArray[np.int64]
    cell: NDArray[np.float64]
    frames: int

    def __add__(self, other: DensityMap) -> DensityMap:
        if self.counts.shape != other.counts.shape or not np.allclose(self.cell, other.cell, rtol=1e-6):
            raise ValueError("densities add up only on one grid of one cell")
        return DensityMap(counts=self.counts + other.counts, cell=self.cell, frames=self.frames + other.frames)

    @property
    def voxel_volume(self) -> float:
        """Angstrom^3."""
        return float(abs(np.linalg.det(self.cell))) / self.counts.size

    @property
    def density(self) -> NDArray[np.float64]:
        """Ions per Angstrom^3 ``[n1, n2, n3]``."""
        return self.counts / (self.frames * self.voxel_volume)

    def free_energy(self, temperature: float) -> NDArray[np.float64]:
        """F = -k_B T ln(rho/rho_max) in eV ``[n1, n2, n3]``; infinite where no ion was seen.

        Raises
        ------
        ValueError
            If the temperature is not positive.
        """
        t = float(temperatures(temperature))
        with np.errstate(divide="ignore"):
            return -KB_EV * t * np.log(self.counts / self.counts.max())


def density_map(
    positions: NDArray[np.floating],
    cell: ArrayLike,
    *,
    spacing_A: float = SPACING_A,
    drift: ArrayLike | None = None,
    repeats: tuple[int, int, int] = (1, 1, 1),
) -> DensityMap:
    """Count ions in the voxels of a periodic cell.

    Parameters
    ----------
    positions
        ``[frames, ions, 3]`` Angstrom, wrapped or not.
    cell
        ``[3, 3]`` cell of the trajectory, Angstrom.
    spacing_A
        Largest edge of a voxel, Angstrom. There are at least three voxels along each axis, which percolation needs.
    drift
        ``[frames, 3]`` Angstrom, its change since the first frame is subtracted.
    repeats
        Lay so many unit cells along each vector on each other: better statistics where the cell is a supercell of
        ordered unit cells.

    Raises
    ------
    ValueError
        If an argument is out of range or a coordinate not finite.
    """
    frames, ions = checked_positions(positions, min_frames=1)
    shift, vectors = checked_drift(drift, frames), checked_cell(cell)
    folds = np.asarray(repeats, dtype=int)
    if spacing_A <= 0 or folds.shape != (3,) or folds.min() < 1:
        raise ValueError("the spacing must be positive, and the repeats three positive whole numbers")
    unit = vectors / folds[:, None]
    shape = np.maximum(3, np.ceil(np.linalg.norm(unit, axis=1) / spacing_A)).astype(int)
    if np.prod(shape, dtype=float) > LARGEST_GRID:
        raise ValueError(f"a grid of {' x '.join(map(str, shape))} voxels is too large: use a larger spacing")
    inverse = np.linalg.inv(unit)
    counts = np.zeros(int(np.prod(shape)), dtype=np.int64)
    chunk = max(1, CHUNK_POINTS // ions)
    for first in range(0, frames, chunk):
        part = positions[first : first + chunk].astype(float) - shift[first : first + chunk, None]
        fractional = part.reshape(-1, 3) @ inverse
        fractional -= np.floor(fractional)
        # rounding may leave exactly 1
        voxel = np.minimum((fractional * shape).astype(np.int64), shape - 1)
        counts += np.bincount((voxel[:, 0] * shape[1] + voxel[:, 1]) * shape[2] + voxel[:, 2], minlength=counts.size)
    return DensityMap(counts=counts.reshape(shape), cell=unit, frames=frames * int(np.prod(folds)))
