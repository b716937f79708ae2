"""How fitted force constants depend on the number of snapshots and on the cutoffs.

Two things are watched: the error of forces the fit has not seen, and the frequencies at all points commensurate with
the supercell, against those of the last, largest setting. Both are of second and third order, whatever comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_modes import commensurate_frequencies
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
        Root mean square difference of the frequencies, sorted at each point, from those of the last fit [k]; the last
        is 0.
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
    fit: EffectiveForceConstants, primitive: Atoms, supercell: Atoms, *, tolerance_thz: float = FREQUENCY_TOLERANCE_THZ
) -> ForceConstantConvergence:
    """Compare a fit with those to a quarter and to half of its blocks.

    The parts are consecutive blocks, so that they differ as trajectories of a quarter and half the length do, and each
    is taken from every block on: change and error are means over them. From half to all the change is one standard
    error of the frequencies and what too strong a regularisation of too few snapshots adds.

    Parameters
    ----------
    fit
        Made with ``partial=True``.
    primitive, supercell
        As given to the fit.
    tolerance_thz
        Change of the frequencies that counts as none.

    Raises
    ------
    ValueError
        If the fit was made without partial fits.
    """
    if fit.partial is None:
        raise ValueError("there are no fits to parts of the snapshots to compare with: fit with partial=True")
    return _judged(
        (*(part.snapshots for part in fit.partial), fit.snapshots),
        np.full(len(fit.partial) + 1, fit.quality.n_parameters),
        [*(part.rmse_test for part in fit.partial), fit.quality.rmse_test],
        [_frequencies(fit.basis, [*part.parameters], primitive, supercell) for part in fit.partial]
        + [_frequencies(fit.basis, [fit.parameters], primitive, supercell)],
        tolerance_thz,
        "snapshots",
    )


def convergence_with_cutoffs(
    fit: EffectiveForceConstants,
    primitive: Atoms,
    supercell: Atoms,
    displacements: ArrayLike,
    forces: ArrayLike,
    shorter: Sequence[Sequence[float]],
    *,
    tolerance_thz: float = FREQUENCY_TOLERANCE_THZ,
    fit_method: str = "ridge",
    symprec: float = 1e-5,
    blocks: int = 4,
) -> ForceConstantConvergence:
    """Compare a fit with those of shorter cutoffs, or of fewer orders, to the same snapshots.

    Parameters
    ----------
    fit
        The one to judge.
    primitive, supercell, displacements, forces, fit_method, symprec, blocks
        As given to the fit.
    shorter
        Sets of cutoffs in Angstrom, at least one set; each should hold the one before. Of second and third order alone
        where the fourth was fitted apart.
    tolerance_thz
        Change of the frequencies that counts as none.

    Raises
    ------
    ValueError
        If there is no set, or a fit is not possible.
    """
    if not shorter:
        raise ValueError("convergence with cutoffs needs at least one set of shorter cutoffs")
    fits = [
        fit_in_basis(
            ForceConstantBasis(primitive, supercell, lengths, symprec),
            displacements,
            forces,
            fit_method=fit_method,
            expansion="taylor",
            blocks=blocks,
        )
        for lengths in shorter
    ]
    fits.append(fit)
    orders = 2 if fit.quality_with_fourth else 3
    return _judged(
        tuple(found.basis.cutoffs[:orders] for found in fits),
        np.array([found.quality.n_parameters for found in fits]),
        [found.quality.rmse_test for found in fits],
        [_frequencies(found.basis, [found.parameters], primitive, supercell) for found in fits],
        tolerance_thz,
        "cutoffs",
    )


def _frequencies(
    basis: ForceConstantBasis, fits: Sequence[NDArray[np.float64]], primitive: Atoms, supercell: Atoms
) -> NDArray[np.float64]:
    """Frequencies of fits in THz [fits, q, s]."""
    return np.array(
        [
            commensurate_frequencies(
                basis.cluster_tensors(parameters, 2).dense(basis.p2s, basis.atoms),
                basis.p2s,
                basis.translations,
                primitive,
                supercell,
            )
            for parameters in fits
        ]
    )


def _judged(
    settings: tuple[Any, ...],
    n_parameters: NDArray[np.int64],
    errors: Sequence[float],
    frequencies: Sequence[NDArray[np.float64]],
    tolerance: float,
    what: str,
) -> ForceConstantConvergence:
    change = np.array([np.sqrt(np.mean((found - frequencies[-1]) ** 2)) for found in frequencies])
    converged, reason = _verdict(settings, errors, change, tolerance, what)
    return ForceConstantConvergence(settings, n_parameters, np.array(errors), change, converged, reason)


def _verdict(
    settings: tuple[Any, ...], errors: Sequence[float], change: NDArray[np.float64], tolerance: float, what: str
) -> tuple[bool, str]:
    if len(settings) < 2:
        return False, f"fewer {what} leave parameters undetermined: more {what}"
    step = f"{what} from {_words(settings[-2])} to {_words(settings[-1])}"
    if errors[-1] > WORSE * errors[-2]:
        return False, f"{step}: the test error grew from {errors[-2]:.3g} to {errors[-1]:.3g} eV/Angstrom"
    if change[-2] > tolerance:
        return False, f"{step}: frequencies still changed by {change[-2]:.3f} THz, more than {tolerance:g} THz"
    return True, f"{step}: frequencies changed by {change[-2]:.3f} THz, within {tolerance:g} THz"


def _words(setting: Any) -> str:
    return " / ".join(f"{length:g}" for length in setting) + " Angstrom" if isinstance(setting, tuple) else str(setting)
