"""Effective force constants at temperature, fitted to snapshots of molecular dynamics.

The temperature-dependent effective potential of Hellman et al., Phys. Rev. B 87, 104111 (2013): the force constants of
second to fourth order that best reproduce, in the least-squares sense, the forces along a trajectory at T.
Neighbouring snapshots are correlated, so error bars and the test error come from leaving out contiguous blocks of
the trajectory (delete-one-block jackknife), never from leaving out single snapshots.

What an order means depends on the highest one that is fitted with it. For Gaussian displacements the highest even and
the highest odd order of a fit are thermal means of derivatives of the potential, and those below them lose what they
explain: a fit to fourth order gives a second order near the one at zero temperature. Perturbation theory around the
phonons at T wants the thermal mean of each, Phi_n = <d^n V / du^n> (Bianco et al., Phys. Rev. B 96, 014111 (2017)):
second and third order from a fit to third order, the fourth from a fit to fourth, of the same normal equations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.fc_basis import MAX_ORDER, ClusterTensors, ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_normal_equations import NormalEquations, RidgeSolver, Triangle, rank_update
from aiida_iontherm.physics.lattice.fc_rows import SiteRows

FIT_METHODS = ("ridge", "least-squares")
EXPANSIONS = ("effective", "taylor")
# Relative to parameters scaled to unit variance of the rows: from no effect to one that dominates.
_RIDGE_STRENGTHS = (0.0, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1)  # then the decades on both sides of the best of them
_WORSE = 1.02  # a test error this far above the best ends the search: with growing bias it only grows
_ROUNDING = 1e-13  # of the sum of squared forces: a test error is a difference of such sums
_VIEWS_AT_ONCE = 512  # columns of one rank update: enough for the speed of matrix products, some 100 MB of rows


@dataclass(frozen=True)
class FitQuality:
    """How well a fit does.

    Attributes
    ----------
    n_parameters
        Number of its free parameters.
    ridge_strength
        Regularisation chosen by cross-validation (0 for least squares).
    rmse_train, r2_train
        Root mean square error in eV/Angstrom and coefficient of determination of the forces fitted to.
    rmse_test, r2_test
        The same for forces of blocks left out of their fit.
    """

    n_parameters: int
    ridge_strength: float
    rmse_train: float
    r2_train: float
    rmse_test: float
    r2_test: float


@dataclass(frozen=True)
class PartialFits:
    """Fits to a part of the snapshots: as many consecutive blocks, the last followed by the first, from each on.

    Attributes
    ----------
    snapshots
        Number of snapshots of such a part, rounded.
    parameters
        Free parameters of each fit [blocks, p]; those of the fourth order are zero where it is fitted apart.
    rmse_test
        Root mean square error in eV/Angstrom of the forces of all blocks that were not fitted to.
    """

    snapshots: int
    parameters: NDArray[np.float64]
    rmse_test: float


@dataclass(frozen=True)
class EffectiveForceConstants:
    """Fitted force constants with their quality and the fits their error bars come from.

    Attributes
    ----------
    fc2, fc3
        Compact arrays of phonopy and phono3py: [n, N, 3, 3] in eV/Angstrom^2 and [n, N, N, 3, 3, 3] in eV/Angstrom^3
        (``None`` without a third-order cutoff).
    fc4
        Fourth order in eV/Angstrom^4 as a list of clusters, for its dense array fits no memory; ``None`` without a
        fourth-order cutoff.
    p2s
        Supercell index of each primitive atom, the first axis of the arrays [n].
    parameters
        Free parameters of the fit to all snapshots [p].
    replicas
        Free parameters of the fits with one block left out [blocks, p]; `basis.arrays` turns each into force
        constants, and `statistics.jackknife` the spread of whatever follows from them into a standard error.
    basis
        The parametrisation.
    quality
        Of the fit that second and third order come from.
    quality_with_fourth
        Of the fit that the fourth order comes from; ``None`` where there is none or it is the same fit.
    snapshots
        Number of snapshots fitted to.
    partial
        Fits to a quarter and to half of the blocks, rounded up, of what `quality` describes, but those that leave
        parameters undetermined; ``None`` if not asked for.
    """

    fc2: NDArray[np.float64]
    fc3: NDArray[np.float64] | None
    fc4: ClusterTensors | None
    p2s: NDArray[np.int64]
    parameters: NDArray[np.float64]
    replicas: NDArray[np.float64]
    basis: ForceConstantBasis
    quality: FitQuality
    quality_with_fourth: FitQuality | None
    snapshots: int
    partial: tuple[PartialFits, ...] | None


def fit_force_constants(
    primitive: Atoms,
    supercell: Atoms,
    displacements: ArrayLike,
    forces: ArrayLike,
    cutoffs: Sequence[float],
    *,
    fit_method: str = "ridge",
    expansion: str = "effective",
    blocks: int = 4,
    partial: bool = False,
    symprec: float = 1e-5,
    rotational_sum_rules: bool = False,
    memory: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
) -> EffectiveForceConstants:
    """Fit force constants of second to fourth order, acoustic sum rules and crystal symmetry imposed.

    Parameters
    ----------
    primitive, supercell
        Primitive cell and supercell of ideal sites, atoms in phonopy's order.
    displacements
        Displacements from the ideal sites in Angstrom [m, N, 3] (`reference_displacements`), in order of time.
    forces
        Forces in eV/Angstrom [m, N, 3].
    cutoffs
        Cutoffs in Angstrom of second, second and third, or second to fourth order.
    fit_method
        ``"ridge"``: the regularisation that predicts left-out blocks best. ``"least-squares"``: none.
    expansion
        What a fourth order does to the others. ``"effective"``: nothing, second and third order are those of a fit
        without it. ``"taylor"``: all orders are one model of the forces, its second order without the fourth's share.
    blocks
        Number of contiguous blocks of snapshots, at least two.
    partial
        Also fit to parts of the snapshots, for `convergence_with_snapshots`: a few more solutions of the same normal
        equations.
    symprec
        Tolerance of the symmetry search in Angstrom; the one phonopy is given.
    rotational_sum_rules
        Also impose the Born-Huang and Huang rules on the second order (`ForceConstantBasis`).
    memory
        In GB, for the normal equations of the blocks, a triangle of p^2/2 numbers each; those beyond it wait in a
        temporary file. A square of p^2 numbers to work in comes on top of it.
    progress
        Called with the snapshots worked off (a share of the work, spread over atoms) and their number.

    Raises
    ------
    ValueError
        If shapes, cutoffs or the method do not fit, there are fewer equations than parameters, or the snapshots leave
        parameters of a fit without regularisation undetermined.
    """
    moved, pulled = _checked_snapshots(displacements, forces, len(supercell))
    _check_method(fit_method, expansion, blocks, len(moved))
    basis = ForceConstantBasis(primitive, supercell, cutoffs, symprec, rotational_sum_rules=rotational_sum_rules)
    return fit_in_basis(
        basis,
        moved,
        pulled,
        fit_method=fit_method,
        expansion=expansion,
        blocks=blocks,
        partial=partial,
        memory=memory,
        progress=progress,
    )


def fit_in_basis(
    basis: ForceConstantBasis,
    displacements: ArrayLike,
    forces: ArrayLike,
    *,
    fit_method: str = "ridge",
    expansion: str = "effective",
    blocks: int = 4,
    partial: bool = False,
    memory: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
) -> EffectiveForceConstants:
    """Fit as `fit_force_constants` does, for a basis at hand (many fits of one crystal share it)."""
    moved, pulled = _checked_snapshots(displacements, forces, basis.atoms)
    _check_method(fit_method, expansion, blocks, len(moved))
    if not (moved.any() and pulled.any()):
        raise ValueError("all displacements or all forces are zero: there is nothing to fit")
    equations = pulled.size - pulled.size // blocks
    if equations < basis.n_parameters:
        raise ValueError(
            f"{basis.n_parameters} parameters cannot be fitted to {equations} forces: add snapshots or shorten cutoffs"
        )
    parts = _normal_equations(basis, moved, pulled, blocks, memory, progress)
    size = basis.parameters_up_to(3 if expansion == "effective" else MAX_ORDER)
    apart = basis.n_parameters - size
    first = _Fit([part.leading(size) for part in parts], fit_method)
    parameters, replicas, fourth = first.parameters, first.replicas, None
    if apart:
        fourth = _Fit(parts, fit_method)
        parameters = np.concatenate([parameters, fourth.parameters[size:]])
        replicas = np.concatenate([replicas, fourth.replicas[:, size:]], axis=1)
    fc2, fc3 = basis.arrays(parameters)
    return EffectiveForceConstants(
        fc2=fc2,
        fc3=fc3,
        fc4=basis.fourth_order(parameters),
        p2s=basis.p2s,
        parameters=parameters,
        replicas=replicas,
        basis=basis,
        quality=first.quality,
        quality_with_fourth=fourth.quality if fourth else None,
        snapshots=len(moved),
        partial=first.partial(apart, 3 * basis.atoms) if partial else None,
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


_UNDETERMINED = (
    "the snapshots leave some parameters undetermined: add snapshots, shorten cutoffs or take fit_method='ridge'"
)


def _checked_snapshots(
    displacements: ArrayLike, forces: ArrayLike, atoms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    moved, pulled = np.asarray(displacements, dtype=float), np.asarray(forces, dtype=float)
    shape = (len(moved), atoms, 3)
    if moved.shape != shape or pulled.shape != shape:
        raise ValueError(f"displacements {moved.shape} and forces {pulled.shape} must both be [m, {atoms}, 3]")
    if not (np.isfinite(moved).all() and np.isfinite(pulled).all()):
        raise ValueError("displacements or forces hold values that are not numbers")
    return moved, pulled


def _check_method(fit_method: str, expansion: str, blocks: int, snapshots: int) -> None:
    if fit_method not in FIT_METHODS:
        raise ValueError(f"fit_method must be one of {', '.join(FIT_METHODS)}, not {fit_method!r}")
    if expansion not in EXPANSIONS:
        raise ValueError(f"expansion must be one of {', '.join(EXPANSIONS)}, not {expansion!r}")
    if not 2 <= blocks <= snapshots:
        raise ValueError(f"{snapshots} snapshots cannot be split into {blocks} blocks: need 2 to {snapshots}")


def _normal_equations(
    basis: ForceConstantBasis,
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    blocks: int,
    memory: float,
    progress: Callable[[int, int], None] | None,
) -> list[NormalEquations]:
    """Sum up each contiguous block, for one kind of atom after the other."""
    size = basis.n_parameters
    in_memory = int(memory / Triangle.gigabytes(size))
    members = np.array_split(np.arange(len(forces)), blocks)
    parts = []
    for number, block in enumerate(members):
        pulled = forces[block]
        matrix = Triangle(size, scratch=number >= in_memory)
        parts.append(
            NormalEquations(matrix, np.zeros(size), float(np.sum(pulled**2)), float(np.sum(pulled)), pulled.size)
        )
    work = len(forces) * len(basis.p2s)
    done = 0
    for columns, sites in _kinds(basis):
        square = np.empty((len(columns), len(columns)), order="F")
        for part, block in zip(parts, members, strict=True):
            square[:] = 0.0
            vector = np.zeros(len(columns))
            for chunk in _chunks(block, len(basis.translations)):
                seen = basis.seen(displacements[chunk])
                for site, rows in sites.items():
                    rank_update(square, vector, rows.rows(seen), basis.site_forces(forces[chunk], site))
                    done += len(chunk)
                    if progress is not None:
                        progress(done * len(forces) // work, len(forces))
            part.matrix.add(columns, square)
            part.vector[columns] += vector
        del square
    return parts


def _kinds(basis: ForceConstantBasis) -> Iterator[tuple[NDArray[np.int64], dict[int, SiteRows]]]:
    """Primitive atoms whose forces depend on the same parameters, with these and the rows of each atom."""
    groups: dict[bytes, list[int]] = {}
    for site in range(len(basis.p2s)):
        groups.setdefault(basis.site_parameters(site).tobytes(), []).append(site)
    for sites in groups.values():
        rows = {site: basis.site_rows(site) for site in sites}
        yield rows[sites[0]].columns, rows


def _chunks(block: NDArray[np.int64], views: int) -> list[NDArray[np.int64]]:
    """Parts of a block whose snapshots, seen from every lattice translation, make one rank update."""
    per_chunk = max(1, _VIEWS_AT_ONCE // views)
    return np.array_split(block, -(-len(block) // per_chunk))


class _Fit:
    """Fit to all blocks and without each in turn, with the ridge that predicts the one left out best."""

    def __init__(self, parts: Sequence[NormalEquations], fit_method: str) -> None:
        self._parts = parts
        self._solver = RidgeSolver(parts[0].matrix.size)
        self._strength, self.replicas, squared_test = _cross_validate(self._solver, parts, fit_method)
        found = self._solver.solve(parts, self._strength)
        if found is None:
            raise ValueError(_UNDETERMINED)
        self.parameters = found
        total, count = sum(part.sum for part in parts), sum(part.count for part in parts)
        variance = sum(part.square for part in parts) - total**2 / count
        squared_train = sum(part.squared_error(found) for part in parts)
        self.quality = FitQuality(
            n_parameters=len(found),
            ridge_strength=self._strength,
            rmse_train=float(np.sqrt(squared_train / count)),
            r2_train=1 - squared_train / variance,
            rmse_test=float(np.sqrt(squared_test / count)),
            r2_test=1 - squared_test / variance,
        )

    def partial(self, padding: int, components: int) -> tuple[PartialFits, ...]:
        """Fit to a quarter and to half of the blocks, where these suffice, with the ridge of the whole.

        Parameters
        ----------
        padding
            Number of zeros to append to the parameters.
        components
            Of the forces of one snapshot.
        """
        blocks, results = len(self._parts), []
        turned = [*self._parts, *self._parts]
        for length in sorted({-(-blocks // 4), -(-blocks // 2)}):
            fits, error, tested = [], 0.0, 0
            for start in range(blocks):
                fit = self._solver.solve(turned[start : start + length], self._strength)
                if fit is None:
                    break
                fits.append(np.pad(fit, (0, padding)))
                for part in turned[start + length : start + blocks]:
                    error += part.squared_error(fit)
                    tested += part.count
            else:
                used = sum(part.count for part in self._parts) * length / blocks / components
                results.append(PartialFits(round(used), np.array(fits), float(np.sqrt(error / tested))))
        return tuple(results)


def _cross_validate(
    solver: RidgeSolver, parts: Sequence[NormalEquations], fit_method: str
) -> tuple[float, NDArray[np.float64], float]:
    """Ridge strength that predicts left-out blocks best, its fits [blocks, p] and their summed squared error."""
    limit, best = np.inf, None
    rounding = _ROUNDING * sum(part.square for part in parts)
    for strength in _RIDGE_STRENGTHS if fit_method == "ridge" else (0.0,):
        found = _leave_blocks_out(solver, parts, strength, max(_WORSE * limit, rounding))
        if found is None and best is not None:
            break
        if found is not None and found[2] < limit - rounding:
            limit, best = found[2], found
    if best is None:
        raise ValueError(_UNDETERMINED)
    for strength in (best[0] / 10, best[0] * 10) if best[0] else ():
        found = _leave_blocks_out(solver, parts, strength, limit)
        if found is not None and found[2] < limit - rounding:
            limit, best = found[2], found
    return best


def _leave_blocks_out(
    solver: RidgeSolver, parts: Sequence[NormalEquations], strength: float, limit: float
) -> tuple[float, NDArray[np.float64], float] | None:
    """Fit without each block in turn; ``None`` where a fit is undetermined or the summed error passes the limit."""
    fits, error = [], 0.0
    for part in parts:
        fit = solver.solve([other for other in parts if other is not part], strength)
        if fit is None:
            return None
        fits.append(fit)
        error += part.squared_error(fit)
        if error > limit:
            return None
    return strength, np.array(fits), error
