"""Effective force constants at temperature, fitted to snapshots of molecular dynamics.

The temperature-dependent effective potential of Hellman et al., Phys. Rev. B 87, 104111 (2013): the harmonic and
third-order force constants that best reproduce, in the least-squares sense, the forces along a trajectory at T.
Neighbouring snapshots are correlated, so error bars and the test error come from leaving out contiguous blocks of
the trajectory (delete-one-block jackknife), never from leaving out single snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis

FIT_METHODS = ("ridge", "least-squares")
# Relative to parameters scaled to unit variance of the rows: from no effect to one that dominates.
_RIDGE_STRENGTHS = np.concatenate([[0.0], np.logspace(-10, -1, 10)])
_SINGULAR = 1e-12  # eigenvalues of the scaled normal matrix below this share of the largest are rounding


@dataclass(frozen=True)
class EffectiveForceConstants:
    """Fitted force constants with their quality and the fits their error bars come from.

    Attributes
    ----------
    fc2, fc3
        Compact arrays of phonopy and phono3py: [n, N, 3, 3] in eV/Angstrom^2 and [n, N, N, 3, 3, 3] in eV/Angstrom^3.
    p2s
        Supercell index of each primitive atom, the first axis of the arrays [n].
    parameters
        Free parameters of the fit to all snapshots [p].
    replicas
        Free parameters of the fits with one block left out [blocks, p]; `basis.arrays` turns each into force
        constants, and `statistics.jackknife` the spread of whatever follows from them into a standard error.
    basis
        The parametrisation.
    n_parameters
        Number of free parameters p.
    ridge_strength
        Regularisation chosen by cross-validation (0 for least squares).
    rmse_train, r2_train
        Root mean square error in eV/Angstrom and coefficient of determination of the forces fitted to.
    rmse_test, r2_test
        The same for forces of blocks left out of their fit.
    """

    fc2: NDArray[np.float64]
    fc3: NDArray[np.float64]
    p2s: NDArray[np.int64]
    parameters: NDArray[np.float64]
    replicas: NDArray[np.float64]
    basis: ForceConstantBasis
    n_parameters: int
    ridge_strength: float
    rmse_train: float
    r2_train: float
    rmse_test: float
    r2_test: float


@dataclass(frozen=True)
class _Normal:
    """Sums over snapshots that a least-squares fit needs: rows^T rows, rows^T forces, forces^2, forces, count."""

    matrix: NDArray[np.float64]
    vector: NDArray[np.float64]
    square: float
    sum: float
    count: int

    def __sub__(self, other: _Normal) -> _Normal:
        return _Normal(
            self.matrix - other.matrix,
            self.vector - other.vector,
            self.square - other.square,
            self.sum - other.sum,
            self.count - other.count,
        )

    def squared_error(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of squared residuals of each column of parameters [p, k]."""
        quadratic = np.einsum("pk,pk->k", parameters, self.matrix @ parameters)
        # Rounding of the difference of large numbers may go below zero for a perfect fit.
        return np.maximum(self.square - 2 * self.vector @ parameters + quadratic, 0.0)


def fit_force_constants(
    primitive: Atoms,
    supercell: Atoms,
    displacements: ArrayLike,
    forces: ArrayLike,
    cutoffs: Sequence[float],
    *,
    fit_method: str = "ridge",
    blocks: int = 4,
    symprec: float = 1e-5,
    progress: Callable[[int, int], None] | None = None,
) -> EffectiveForceConstants:
    """Fit second- and third-order force constants, acoustic sum rules and crystal symmetry imposed.

    Parameters
    ----------
    primitive, supercell
        Primitive cell and supercell of ideal sites, atoms in phonopy's order.
    displacements
        Displacements from the ideal sites in Angstrom [m, N, 3] (`reference_displacements`), in order of time.
    forces
        Forces in eV/Angstrom [m, N, 3].
    cutoffs
        Second- and third-order cutoff in Angstrom.
    fit_method
        ``"ridge"``: the regularisation that predicts left-out blocks best. ``"least-squares"``: none.
    blocks
        Number of contiguous blocks of snapshots, at least two.
    symprec
        Tolerance of the symmetry search in Angstrom; the one phonopy is given.
    progress
        Called with snapshots done and their number.

    Raises
    ------
    ValueError
        If shapes, cutoffs or the method do not fit, or there are fewer equations than parameters.
    """
    moved, pulled = np.asarray(displacements, dtype=float), np.asarray(forces, dtype=float)
    shape = (len(moved), len(supercell), 3)
    if moved.shape != shape or pulled.shape != shape:
        raise ValueError(f"displacements {moved.shape} and forces {pulled.shape} must both be [m, {len(supercell)}, 3]")
    if not (np.isfinite(moved).all() and np.isfinite(pulled).all()):
        raise ValueError("displacements or forces hold values that are not numbers")
    if fit_method not in FIT_METHODS:
        raise ValueError(f"fit_method must be one of {', '.join(FIT_METHODS)}, not {fit_method!r}")
    if not 2 <= blocks <= len(moved):
        raise ValueError(f"{len(moved)} snapshots cannot be split into {blocks} blocks: need 2 to {len(moved)}")
    basis = ForceConstantBasis(primitive, supercell, cutoffs, symprec)
    equations = pulled.size - pulled.size // blocks
    if equations < basis.n_parameters:
        raise ValueError(
            f"{basis.n_parameters} parameters cannot be fitted to {equations} forces: add snapshots or shorten cutoffs"
        )
    parts = _normal_equations(basis, moved, pulled, blocks, progress)
    total = _summed(parts)
    strengths = _RIDGE_STRENGTHS if fit_method == "ridge" else _RIDGE_STRENGTHS[:1]
    left_out = [_solve(total - part, strengths) for part in parts]
    errors = np.array([part.squared_error(fits) for part, fits in zip(parts, left_out, strict=True)])
    best = int(errors.sum(axis=0).argmin())
    parameters = _solve(total, strengths[best : best + 1])
    variance = total.square - total.sum**2 / total.count
    train, test = float(total.squared_error(parameters)[0]), float(errors[:, best].sum())
    fc2, fc3 = basis.arrays(parameters[:, 0])
    return EffectiveForceConstants(
        fc2=fc2,
        fc3=fc3,
        p2s=basis.p2s,
        parameters=parameters[:, 0],
        replicas=np.array([fits[:, best] for fits in left_out]),
        basis=basis,
        n_parameters=basis.n_parameters,
        ridge_strength=float(strengths[best]),
        rmse_train=float(np.sqrt(train / total.count)),
        r2_train=1 - train / variance,
        rmse_test=float(np.sqrt(test / total.count)),
        r2_test=1 - test / variance,
    )


def reference_displacements(positions: ArrayLike, ideal_positions: ArrayLike, cell: ArrayLike) -> NDArray[np.float64]:
    """Displacements from ideal sites in Angstrom [m, N, 3], nearest image, drift of the whole cell removed.

    Parameters
    ----------
    positions
        Snapshots in Angstrom [m, N, 3], wrapped into the cell or not.
    ideal_positions
        Sites in Angstrom [N, 3].
    cell
        Lattice vectors as rows [3, 3].

    Notes
    -----
    The images are chosen around the drift, not around zero, so that a cell that drifted as a whole by half its length
    loses nothing. Atoms must stay within half of the shortest cell vector of their site.
    """
    offsets = np.asarray(positions, dtype=float) - np.asarray(ideal_positions, dtype=float)
    lattice = np.asarray(cell, dtype=float)
    if offsets.ndim != 3 or offsets.shape[2] != 3 or lattice.shape != (3, 3):
        raise ValueError(f"need positions [m, N, 3], sites [N, 3] and a cell [3, 3], not {offsets.shape}")
    fractional = offsets @ np.linalg.inv(lattice)
    # A mean on the circle does not care how the atoms were wrapped.
    drift = np.angle(np.exp(2j * np.pi * fractional).mean(axis=1, keepdims=True)) / (2 * np.pi)
    fractional = fractional - drift
    fractional -= np.rint(fractional)
    displacements = fractional @ lattice
    return displacements - displacements.mean(axis=1, keepdims=True)


def _normal_equations(
    basis: ForceConstantBasis,
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    blocks: int,
    progress: Callable[[int, int], None] | None,
) -> list[_Normal]:
    """Set up the normal equations of each contiguous block, with one snapshot's rows in memory at a time."""
    parts = []
    done = 0
    for members in np.array_split(np.arange(len(forces)), blocks):
        matrix = np.zeros((basis.n_unconstrained, basis.n_unconstrained))
        vector = np.zeros(basis.n_unconstrained)
        for index in members:
            rows = basis.fit_rows(displacements[index])
            matrix += rows.T @ rows
            vector += rows.T @ basis.forces_in_row_order(forces[index])
            done += 1
            if progress is not None:
                progress(done, len(forces))
        null = basis.null_space
        block = forces[members]
        parts.append(
            _Normal(
                null.T @ (null.T @ matrix).T,
                null.T @ vector,
                float(np.sum(block**2)),
                float(np.sum(block)),
                block.size,
            )
        )
    return parts


def _summed(parts: list[_Normal]) -> _Normal:
    return _Normal(
        np.sum([p.matrix for p in parts], axis=0),
        np.sum([p.vector for p in parts], axis=0),
        sum(p.square for p in parts),
        sum(p.sum for p in parts),
        sum(p.count for p in parts),
    )


def _solve(normal: _Normal, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parameters [p, k] for each ridge strength; second- and third-order columns are brought to one scale first."""
    diagonal = np.diag(normal.matrix)
    scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 0.0)
    eigenvalues, vectors = np.linalg.eigh(normal.matrix * scale[:, None] * scale[None, :])
    kept = eigenvalues > _SINGULAR * eigenvalues[-1]
    projected = vectors.T @ (scale * normal.vector)
    inverse = np.where(kept, 1.0, 0.0)[:, None] / (np.where(kept, eigenvalues, 1.0)[:, None] + strengths[None, :])
    return scale[:, None] * (vectors @ (projected[:, None] * inverse))
