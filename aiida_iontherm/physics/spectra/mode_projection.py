"""Velocities of a supercell projected on the phonons at all wave vectors that fit into it.

With e_j(q, s) the eigenvector of atom j in the periodic convention of phases (positions of the cells), and R the cells,

    Qdot(q, s; t) = N_cells^(-1/2) sum_R,j sqrt(m_j) v_Rj(t) . conj(e_j(q, s)) exp(-2 pi i q R).

In the smooth convention of `Phonons` (positions of the atoms) e_j has a phase exp(2 pi i q r_j) less and the exponent
one more: the same Qdot. The commensurate wave vectors are those with q R whole for all vectors R of the supercell;
over these the transformation is unitary,

    sum_q,s |Qdot(q, s; t)|^2 = sum_i m_i v_i(t)^2,

and a classical harmonic crystal has <|Qdot|^2> = k_B T for each mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.linewidth_tables import match_qpoints, reciprocal_operations
from aiida_iontherm.physics.spectra.supercell_sites import SupercellSites, lattice_points

BLOCK_BYTES = 128 * 2**20
"""Of Fourier components and modes that are held at once."""


@dataclass(frozen=True)
class Star:
    """Commensurate wave vectors that symmetry makes equal.

    Attributes
    ----------
    members
        Fractional coordinates [m, 3], one of each pair q, -q; the first stands for all.
    weights
        2 for a member whose opposite is another point, 1 for one that is its own opposite up to a reciprocal lattice
        vector [m].
    """

    members: NDArray[np.float64]
    weights: NDArray[np.int64]


def commensurate_qpoints(matrix: ArrayLike) -> NDArray[np.float64]:
    """All |det| wave vectors that fit into a supercell: fractional coordinates in [0, 1), Gamma first [q, 3].

    Parameters
    ----------
    matrix
        Supercell vectors in primitive vectors as rows [3, 3], integers.
    """
    rows = np.asarray(matrix, dtype=np.int64)
    # matrix q is whole: q = matrix^-1 k, and k runs over the cells of the transposed lattice.
    numerators = lattice_points(rows.T)
    points = numerators @ np.linalg.inv(rows).T
    count = len(numerators)
    # Multiples of 1/det, made exact before they are wrapped.
    return np.unique(np.rint(points * count).astype(np.int64) % count, axis=0) / count


def largest_mesh(matrix: ArrayLike) -> tuple[int, int, int]:
    """Divisions of the largest Gamma-centred mesh whose points all fit into a supercell.

    For a diagonal expansion of the primitive cell these are all commensurate points; 2 x 2 x 2 conventional cells of
    an fcc crystal have 32, of which the mesh 2 x 2 x 2 takes 8.
    """
    columns = np.asarray(matrix, dtype=np.int64).T
    a, b, c = (int(np.gcd.reduce(column)) for column in columns)
    return a, b, c


def stars(qpoints: ArrayLike, operations: ArrayLike) -> list[Star]:
    """Sort the commensurate points of a supercell into sets that symmetry makes equal.

    Parameters
    ----------
    qpoints
        `commensurate_qpoints` [q, 3]. Where the supercell has less symmetry than the crystal, points equal to one of
        these but not among them are not needed.
    operations
        `reciprocal_operations` of the crystal, with time reversal [r, 3, 3].
    """
    points = np.asarray(qpoints, dtype=float)
    opposite = match_qpoints(-points, points, np.eye(3, dtype=int)[None])
    left = np.ones(len(points), dtype=bool)
    result = []
    for first in range(len(points)):
        if not left[first]:
            continue
        images = np.einsum("rij,j->ri", np.asarray(operations, dtype=float), points[first])
        apart = points[:, None] - images[None]
        # Points of a supercell of n cells are 1/n apart; 1e-6 is rounding.
        same = np.any(np.abs(apart - np.rint(apart)).max(axis=2) < 1e-6, axis=1)
        left[same] = False
        members = [q for q in np.flatnonzero(same) if q <= opposite[q]]
        weights = [1 if opposite[q] == q else 2 for q in members]
        result.append(Star(points[members], np.array(weights)))
    return result


def crystal_stars(matrix: ArrayLike, primitive_cell_A: ArrayLike, rotations: ArrayLike) -> list[Star]:
    """`stars` of a supercell from the primitive cell [3, 3] and the Cartesian point group [r, 3, 3]."""
    return stars(commensurate_qpoints(matrix), reciprocal_operations(primitive_cell_A, rotations))


class ModeProjection:
    """Velocities of one run, ready to be projected.

    Holds a copy of the velocities of 12 bytes per atom and frame (single precision as stored by most programs; double
    precision stays double) and nothing else that grows with the run.

    Parameters
    ----------
    velocities
        [frames, N, 3] in Angstrom/ps, atoms in the order of the trajectory.
    sites
        Where these atoms belong.
    masses
        Of the atoms of the primitive cell in amu [n].

    Raises
    ------
    ValueError
        If shapes do not fit, or a velocity is not finite.
    """

    def __init__(self, velocities: NDArray[np.floating], sites: SupercellSites, masses: ArrayLike) -> None:
        weights = np.sqrt(np.asarray(masses, dtype=float))
        cells, per_cell = sites.order.shape
        if velocities.ndim != 3 or velocities.shape[1:] != (cells * per_cell, 3) or weights.shape != (per_cell,):
            raise ValueError(
                f"velocities {velocities.shape} and masses {weights.shape} do not fit {cells} cells of {per_cell} "
                "atoms: need [frames, atoms, 3] and [atoms of a cell]"
            )
        if not np.isfinite(velocities).all():
            raise ValueError("velocities hold NaN or infinite numbers: drop those frames")
        self.frames = len(velocities)
        self._cells = sites.cells
        ordered = velocities[:, sites.order.ravel()].reshape(self.frames, cells, per_cell, 3)
        ordered *= weights[:, None].astype(ordered.dtype)
        self._weighted = ordered.reshape(self.frames, cells, 3 * per_cell)

    def kinetic_energies(self) -> NDArray[np.float64]:
        """Twice the kinetic energy of each frame in amu Angstrom^2/ps^2 [frames]."""
        flat = self._weighted.reshape(self.frames, -1)
        return np.einsum("fi,fi->f", flat, flat, dtype=float)

    def modes(self, qpoints: ArrayLike, periodic_eigenvectors: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Qdot [frames, q, s] in amu^(1/2) Angstrom/ps.

        Parameters
        ----------
        qpoints
            Commensurate points [q, 3].
        periodic_eigenvectors
            [q, 3n, s], see `periodic_convention`.
        """
        points = np.atleast_2d(np.asarray(qpoints, dtype=float))
        angles = 2 * np.pi * points @ self._cells.T
        phases = np.concatenate([np.cos(angles), -np.sin(angles)]) / np.sqrt(len(self._cells))
        # Real arithmetic: cosine and sine sums as one product of matrices for each frame.
        sums = np.matmul(phases.astype(self._weighted.dtype), self._weighted)
        components = np.empty((self.frames, len(points), sums.shape[2]), dtype=complex)
        components.real, components.imag = sums[:, : len(points)], sums[:, len(points) :]
        return np.matmul(components.transpose(1, 0, 2), periodic_eigenvectors.conj()).transpose(1, 0, 2)

    def blocks(self, count: int, limit_bytes: int | None = None) -> Iterator[slice]:
        """Cut a number of points into blocks whose modes take at most `limit_bytes`, by default `BLOCK_BYTES`."""
        # Sums, components and modes, 16 bytes each, and the transform of the modes.
        each = 64 * self.frames * self._weighted.shape[2]
        step = max(1, (BLOCK_BYTES if limit_bytes is None else limit_bytes) // each)
        return (slice(first, min(first + step, count)) for first in range(0, count, step))


def periodic_convention(
    eigenvectors: NDArray[np.complex128], qpoints: ArrayLike, scaled_positions: ArrayLike
) -> NDArray[np.complex128]:
    """Eigenvectors [q, 3n, s] of `Phonons` with the phases of the cells instead of those of the atoms.

    Parameters
    ----------
    eigenvectors
        In the smooth convention [q, 3n, s].
    qpoints, scaled_positions
        Fractional [q, 3] and [n, 3].
    """
    angles = 2 * np.pi * np.asarray(qpoints, dtype=float) @ np.asarray(scaled_positions, dtype=float).T
    return eigenvectors * np.repeat(np.exp(1j * angles), 3, axis=1)[:, :, None]


def translation_share(eigenvectors: NDArray[np.complex128], masses: ArrayLike) -> NDArray[np.float64]:
    """Share of the rigid translations in modes [q, 3n, s] at Gamma: [q, s], three of them 1 in a crystal at rest."""
    root = np.sqrt(np.asarray(masses, dtype=float))
    shifts = eigenvectors.reshape(len(eigenvectors), len(root), 3, -1)
    overlap = np.einsum("j,qjas->qas", root / np.linalg.norm(root), shifts)
    return np.sum(np.abs(overlap) ** 2, axis=1)
