"""How fitted force constants depend on the number of snapshots and on the cutoffs.

Two things are watched: the error of forces the fit has not seen, and the frequencies at all points commensurate with
the supercell, against those of the last, largest setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_modes import SupercellModes
from aiida_iontherm.physics.lattice.force_constants import EffectiveForceConstants, fit_in_basis

FREQUENCY_TOLERANCE_THZ = 0.05
"""Change of the frequencies by the last step that counts as none: about what a good spectrometer resolves."""

WORSE = 1.02
"""A test error larger by this factor than that of the setting before says that the last one fits noise."""


@dataclass(frozen=True)
class ForceConstantConvergence:
    """A series of fits.

    Attributes
    ----------
    settings
        Numbers of snapshots, or cutoffs in Angstrom, as given.
    n_parameters
        Of each fit [k].
    rmse_test_ev_per_angstrom
        Error of the forces of left-out blocks [k].
    change_thz
        Root mean square difference of the frequencies, sorted, from those of the last fit [k]; the last is 0.
    converged
        Whether the last step changed little.
    reason
        What the verdict rests on, in words.
    """

    settings: tuple[Any, ...]
    n_parameters: NDArray[np.int64]
    rmse_test_ev_per_angstrom: NDArray[np.float64]
    change_thz: NDArray[np.float64]
    converged: bool
    reason: str


def convergence_with_snapshots(
    primitive: Atoms,
    supercell: Atoms,
    displacements: ArrayLike,
    forces: ArrayLike,
    cutoffs: Sequence[float],
    counts: Sequence[int],
    *,
    tolerance_thz: float = FREQUENCY_TOLERANCE_THZ,
    symprec: float = 1e-5,
    blocks: int = 4,
) -> ForceConstantConvergence:
    """Fit to growing numbers of snapshots, spread evenly over the trajectory.

    Parameters
    ----------
    primitive, supercell, displacements, forces, cutoffs, symprec, blocks
        As in `fit_force_constants`.
    counts
        Numbers of snapshots, ascending, at least two; the last is usually all.
    tolerance_thz
        Change of the frequencies that counts as none.

    Raises
    ------
    ValueError
        If counts do not ascend or exceed the snapshots, or a fit is not possible.
    """
    moved, pulled = np.asarray(displacements, dtype=float), np.asarray(forces, dtype=float)
    if len(counts) < 2 or np.any(np.diff(counts) <= 0) or counts[-1] > len(moved):
        raise ValueError(f"counts must be two or more ascending numbers up to {len(moved)}, not {tuple(counts)}")
    basis = ForceConstantBasis(primitive, supercell, cutoffs, symprec)
    fits = []
    for count in counts:
        chosen = np.linspace(0, len(moved) - 1, count).round().astype(int)
        fits.append(fit_in_basis(basis, moved[chosen], pulled[chosen], blocks=blocks))
    return _judged(tuple(counts), fits, supercell, tolerance_thz, "snapshots")


def convergence_with_cutoffs(
    primitive: Atoms,
    supercell: Atoms,
    displacements: ArrayLike,
    forces: ArrayLike,
    cutoffs: Sequence[Sequence[float]],
    *,
    tolerance_thz: float = FREQUENCY_TOLERANCE_THZ,
    symprec: float = 1e-5,
    blocks: int = 4,
) -> ForceConstantConvergence:
    """Fit with growing cutoffs, or growing order, to all snapshots.

    Parameters
    ----------
    primitive, supercell, displacements, forces, symprec, blocks
        As in `fit_force_constants`.
    cutoffs
        Sets of one to three cutoffs in Angstrom, at least two sets; each should hold the one before.
    tolerance_thz
        Change of the frequencies that counts as none.

    Raises
    ------
    ValueError
        If there are fewer than two sets, or a fit is not possible.
    """
    if len(cutoffs) < 2:
        raise ValueError("convergence with cutoffs needs two or more sets of them")
    fits = [
        fit_in_basis(ForceConstantBasis(primitive, supercell, lengths, symprec), displacements, forces, blocks=blocks)
        for lengths in cutoffs
    ]
    settings = tuple(tuple(lengths) for lengths in cutoffs)
    return _judged(settings, fits, supercell, tolerance_thz, "cutoffs")


def _judged(
    settings: tuple[Any, ...],
    fits: Sequence[EffectiveForceConstants],
    supercell: Atoms,
    tolerance: float,
    what: str,
) -> ForceConstantConvergence:
    masses = supercell.get_masses()
    frequencies = np.array(
        [
            SupercellModes.from_force_constants(fit.fc2, fit.p2s, fit.basis.translations, masses).frequencies_thz
            for fit in fits
        ]
    )
    change = np.sqrt(np.mean((frequencies - frequencies[-1]) ** 2, axis=1))
    errors = np.array([fit.rmse_test for fit in fits])
    steady, worse = bool(change[-2] <= tolerance), bool(errors[-1] > WORSE * errors[-2])
    step = f"{what} from {settings[-2]} to {settings[-1]}"
    if worse:
        reason = f"{step}: the test error grew from {errors[-2]:.3g} to {errors[-1]:.3g} eV/Angstrom: more snapshots"
    elif steady:
        reason = f"{step}: frequencies changed by {change[-2]:.3f} THz, within {tolerance:g} THz"
    else:
        reason = f"{step}: frequencies still changed by {change[-2]:.3f} THz, more than {tolerance:g} THz"
    return ForceConstantConvergence(
        settings=settings,
        n_parameters=np.array([fit.n_parameters for fit in fits]),
        rmse_test_ev_per_angstrom=errors,
        change_thz=change,
        converged=steady and not worse,
        reason=reason,
    )
