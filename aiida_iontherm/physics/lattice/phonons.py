"""Harmonic solution on a mesh: frequencies, eigenvectors and the full velocity operator.

The velocity operator is that of Simoncelli, Marzari and Mauri, Nat. Phys. 15, 809 (2019): the derivative of the
square root of the dynamical matrix,

    V_ss'(q) = <e_s| dD/dq |e_s'> / (w_s + w_s'),

in the smooth phase convention, D(q) ~ exp(i q . (r_j' - r_j)) with the positions of the atoms. In the other
convention (positions of the cells) the off-diagonal elements are different and wrong for heat transport.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.phonon.grid import BZGrid, get_ir_grid_points, get_qpoints_from_bz_grid_points
from threadpoolctl import threadpool_limits

from aiida_iontherm.physics.compiled import available_threads
from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices

# phonopy's dD/dq has q in 1/Angstrom without 2 pi and frequencies in THz: 1 THz Angstrom = 1e12 * 1e-10 m/s.
_THZ_ANGSTROM_TO_M_PER_S = 100.0


@dataclass(frozen=True)
class Phonons:
    """Phonons at the irreducible points of a mesh.

    Attributes
    ----------
    frequencies_thz
        Ordinary frequencies [q, s] in THz, ascending; imaginary ones are negative.
    eigenvectors
        Eigenvectors of the dynamical matrix [q, 3n, s], complex, one per column.
    velocity_operator
        Velocity operator [q, 3, s, s] in m/s, Hermitian in the last two axes to rounding, zero where either frequency
        is not above the cutoff. The diagonal is the group velocity where the band is not degenerate; inside a
        degenerate subspace the elements depend on the basis the solver happened to choose, and only sums over the
        whole subspace have a meaning (`two_channel` takes such sums).
    weights
        Number of mesh points each point stands for [q].
    qpoints
        Fractional coordinates of the primitive reciprocal cell [q, 3].
    volume_A3
        Volume of the primitive cell in Angstrom^3.
    rotations
        Cartesian matrices of the crystal's point group [r, 3, 3].
    symbols
        Chemical symbol of each atom of the primitive cell.
    masses
        Masses of these atoms in amu [n].
    """

    frequencies_thz: NDArray[np.float64]
    eigenvectors: NDArray[np.complex128]
    velocity_operator: NDArray[np.complex128]
    weights: NDArray[np.float64]
    qpoints: NDArray[np.float64]
    volume_A3: float
    rotations: NDArray[np.float64]
    symbols: list[str]
    masses: NDArray[np.float64]

    @classmethod
    def from_phonopy(
        cls,
        phonopy: Phonopy,
        mesh: Sequence[int] = (9, 9, 9),
        *,
        qpoints: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        cutoff_thz: float = 1e-4,
        threads: int | None = None,
    ) -> Phonons:
        """Diagonalise the dynamical matrix of `phonopy` on a mesh or at given points.

        Parameters
        ----------
        phonopy
            Object with force constants (and, where wanted, the parameters of the non-analytical term).
        mesh
            Divisions of a Gamma-centred mesh, as phono3py makes it; not used where `qpoints` are given.
        qpoints, weights
            Points to take instead of the mesh [q, 3] and the number of mesh points each stands for [q].
        cutoff_thz
            The velocity operator is zero for pairs with a frequency not above this value.
        threads
            Threads over points; by default ``OMP_NUM_THREADS``.

        Raises
        ------
        ValueError
            If there are no force constants, or points and weights do not match.
        """
        if qpoints is None:
            if weights is not None:
                raise ValueError("weights were given without qpoints: give both or neither")
            points, counts = irreducible_mesh(phonopy, mesh)
        else:
            points = np.atleast_2d(np.asarray(qpoints, dtype=float))
            counts = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
            if points.shape != (len(counts), 3):
                raise ValueError(f"qpoints {points.shape} and weights {counts.shape} do not match: need [q, 3] and [q]")
        primitive = phonopy.primitive
        frequencies, eigenvectors, velocities = _solve(phonopy, points, cutoff_thz, threads)
        return cls(
            frequencies_thz=frequencies,
            eigenvectors=eigenvectors,
            velocity_operator=velocities,
            weights=counts,
            qpoints=points,
            volume_A3=float(primitive.volume),
            rotations=cartesian_rotations(phonopy),
            symbols=list(primitive.symbols),
            masses=np.array(primitive.masses, dtype=float),
        )


def irreducible_mesh(phonopy: Phonopy, mesh: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Irreducible points of a Gamma-centred mesh (fractional [q, 3]) and how many mesh points each stands for [q].

    Raises
    ------
    ValueError
        If the mesh is not three positive integers.
    """
    divisions = [int(n) for n in mesh]
    if len(divisions) != 3 or min(divisions) < 1:
        raise ValueError(f"mesh must be three positive integers, not {tuple(mesh)}")
    grid = BZGrid(
        divisions,
        lattice=phonopy.primitive.cell,
        symmetry_dataset=phonopy.primitive_symmetry.dataset,
        is_time_reversal=True,
    )
    points, weights, _ = get_ir_grid_points(grid)
    return get_qpoints_from_bz_grid_points(grid.grg2bzg[points], grid), weights.astype(float)


def cartesian_rotations(phonopy: Phonopy) -> NDArray[np.float64]:
    """Point group of the primitive cell as Cartesian matrices [r, 3, 3]."""
    columns = np.array(phonopy.primitive.cell).T
    operations = np.array(phonopy.primitive_symmetry.pointgroup_operations, dtype=float)
    return columns @ operations @ np.linalg.inv(columns)


def imaginary_weight(frequencies_thz: ArrayLike, weights: ArrayLike, threshold_thz: float = 0.1) -> float:
    """Fraction of the modes of the mesh with an imaginary frequency beyond a threshold.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s], imaginary ones negative.
    weights
        Mesh points each q stands for [q].
    threshold_thz
        Modes between 0 and minus this value count as numerical noise of the acoustic branches.
    """
    frequencies = np.asarray(frequencies_thz, dtype=float)
    counts = np.asarray(weights, dtype=float)
    return float(counts @ np.mean(frequencies < -threshold_thz, axis=1) / counts.sum())


def _solve(
    phonopy: Phonopy, qpoints: NDArray[np.float64], cutoff_thz: float, threads: int | None
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.complex128]]:
    """Frequencies, eigenvectors and velocity operator at each point."""
    matrices = DynamicalMatrices(phonopy)
    factor = phonopy.unit_conversion_factor
    bands = 3 * len(phonopy.primitive)
    frequencies = np.empty((len(qpoints), bands))
    eigenvectors = np.empty((len(qpoints), bands, bands), dtype=complex)
    velocities = np.empty((len(qpoints), 3, bands, bands), dtype=complex)

    def solve(part: slice) -> None:
        dynamical, derivatives = matrices.at(qpoints[part])
        values, vectors = np.linalg.eigh(dynamical)
        own = np.sign(values) * np.sqrt(np.abs(values)) * factor
        kept = own > cutoff_thz
        scale = np.where(
            kept[:, :, None] & kept[:, None, :],
            (factor**2 * _THZ_ANGSTROM_TO_M_PER_S) / _positive(own[:, :, None] + own[:, None, :]),
            0.0,
        )
        operator = velocities[part]
        np.matmul(vectors.conj().swapaxes(-1, -2)[:, None], derivatives @ vectors[:, None], out=operator)
        operator *= scale[:, None]
        frequencies[part], eigenvectors[part] = own, vectors

    # Threads share the points; those of BLAS would only wait for each other on matrices of this size.
    step = min(matrices.batch_size(), max(1, -(-len(qpoints) // (threads or available_threads()))))
    parts = [slice(first, first + step) for first in range(0, len(qpoints), step)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads or available_threads()) as pool:
        for _ in pool.map(solve, parts):
            pass
    return frequencies, eigenvectors, velocities


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace what is not positive by 1."""
    return np.where(values > 0, values, 1.0)
