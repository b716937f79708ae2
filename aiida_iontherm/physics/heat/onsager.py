"""Thermal conductivity at zero mass flux from the matrix of Onsager coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.cepstral import kappa_per_power
from aiida_iontherm.physics.heat.correlation_integrals import correlation_integrals
from aiida_iontherm.physics.heat.flux_series import decorrelated, drift, flux_series
from aiida_iontherm.physics.heat.green_kubo import slope_left
from aiida_iontherm.physics.heat.plateau import Reduce, find_plateau, window_mean
from aiida_iontherm.physics.statistics import jackknife


@dataclass(frozen=True, kw_only=True, eq=False)
class OnsagerKappa:
    """Conductivity at zero mass flux, and the bare one.

    Attributes
    ----------
    value, uncertainty
        kappa = (L_qq - L_qi (L_ii)^-1 L_iq)/T^2 in W/(m K), and one standard error. It is L_qq/T^2 without other
        currents.
    bare, bare_uncertainty
        L_qq/T^2 over the same lags, which depends on the zero of the energies.
    transported_heat, transported_heat_uncertainty
        ``[q]`` (L_ii)^-1 L_iq: heat that goes with a unit of each other current where no temperature gradient is (eV
        per ion for number currents in Angstrom/ps).
    axes
        Which axes were averaged.
    others
        Mass or charge currents held at zero (q).
    window_ps
        Lags over which the integrals were averaged.
    lags_ps
        ``[m]``.
    running, running_uncertainty
        ``[m]`` in W/(m K): running integral of the autocorrelation of J_q - sum_i (transported heat)_i J_i, which has
        no poles where a single L_ii passes zero, and equals ``value`` over the window.
    n_blocks, duration_ps
        Blocks the standard errors rest on; length of all runs together.
    settled
        Whether the reduced integral is flat over the window and the octave before.
    problems
        What speaks against the number, one sentence each.
    """

    value: float
    uncertainty: float
    bare: float
    bare_uncertainty: float
    transported_heat: NDArray[np.float64]
    transported_heat_uncertainty: NDArray[np.float64]
    axes: str
    others: int
    window_ps: tuple[float, float]
    lags_ps: NDArray[np.float64]
    running: NDArray[np.float64]
    running_uncertainty: NDArray[np.float64]
    n_blocks: int
    duration_ps: float
    settled: bool
    problems: tuple[str, ...]


def schur_complement(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """L_qq - L_qi (L_ii)^-1 L_iq.

    Parameters
    ----------
    matrices
        ``[..., c, c]`` symmetric, heat first.

    Returns
    -------
    ``[...]``. Adding to the heat current any combination of the others leaves it as it is.
    """
    explained: NDArray[np.float64] = np.einsum("...i,...i->...", matrices[..., 0, 1:], _carried(matrices))
    return np.asarray(matrices[..., 0, 0] - explained, dtype=float)


def _carried(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L_ii)^-1 L_iq ``[..., q]``."""
    if matrices.shape[-1] == 1:
        return np.zeros((*matrices.shape[:-2], 0))
    return np.asarray(np.linalg.solve(matrices[..., 1:, 1:], matrices[..., 1:, :1])[..., 0], dtype=float)


def onsager_kappa(
    currents: NDArray[np.floating] | Sequence[ArrayLike],
    timestep_fs: float,
    temperature: float,
    volume: float,
    *,
    axes: str = "xyz",
    n_blocks: int = 10,
    max_lag_ps: float | None = None,
) -> OnsagerKappa:
    """Conductivity at zero flux of the other currents from running Green-Kubo integrals.

    L_ij = 1/(kB V) int_0^t <J_i(0) J_j(t')> dt' averaged over the given axes,
    kappa = (L_qq - L_qi (L_ii)^-1 L_iq)/T^2. In one direction, or averaged over equivalent ones, this supposes that the
    axes are principal ones (orthorhombic crystals and higher, in their own axes).

    The standard error is the jackknife over blocks of the whole expression. `cepstral` with the same currents
    estimates the same number from the spectrum, which is a check.

    Parameters
    ----------
    currents
        The heat current in eV Angstrom/ps and then mass, number or charge currents; each ``[n, 3]`` or
        ``[replicas, n, 3]``.
    timestep_fs
        Time between two samples.
    temperature
        In K.
    volume
        In Angstrom^3.
    axes
        Equivalent axes to average.
    n_blocks
        Blocks for the uncertainty, all runs together.
    max_lag_ps
        Longest lag; ``None``: half a block.

    Raises
    ------
    ValueError
        If the series cannot be used (`flux_series`), or a number is out of range.
    """
    factor = kappa_per_power(temperature, volume)
    series = flux_series(currents, timestep_fs)
    chosen = series.along(axes)
    shifted = decorrelated(chosen)
    # energies of the species that were taken off the heat current, to be added again where they show
    offsets = _offsets(chosen, shifted)
    scale = np.sqrt(np.mean(shifted**2, axis=(1, 2, 3)))
    integrals = correlation_integrals(
        shifted / scale[:, None, None, None], series.interval_ps, n_blocks=n_blocks, max_lag_ps=max_lag_ps
    )
    plateau = find_plateau(integrals, schur_complement, [_diagonal(i) for i in range(series.n_currents)])
    mean = window_mean(integrals.total, plateau.first, plateau.last)
    all_one_out = integrals.leave_one_out
    one_out = window_mean(all_one_out, plateau.first, plateau.last)
    factor *= scale[0] ** 2
    to_energy = scale[0] / scale[1:]
    bare = _bare(mean, offsets / to_energy)
    weights = np.concatenate([[1.0], -_carried(mean)])
    running = np.einsum("i,mij,j->m", weights, integrals.total, weights)
    running_one_out = np.einsum("i,bmij,j->bm", weights, all_one_out, weights)
    window = (float(integrals.lags_ps[plateau.first]), float(integrals.lags_ps[plateau.last]))
    problems = [drift(shifted), slope_left(plateau.settled, window, factor * plateau.change), _ions_at_rest(one_out)]
    return OnsagerKappa(
        value=float(factor * plateau.value),
        uncertainty=float(factor * plateau.uncertainty),
        bare=factor * float(bare),
        bare_uncertainty=factor * float(jackknife(_bare(one_out, offsets / to_energy))),
        transported_heat=_carried(mean) * to_energy + offsets,
        transported_heat_uncertainty=jackknife(_carried(one_out)) * to_energy,
        axes=axes,
        others=series.n_currents - 1,
        window_ps=window,
        lags_ps=integrals.lags_ps,
        running=factor * running,
        running_uncertainty=factor * jackknife(running_one_out),
        n_blocks=len(integrals.blocks),
        duration_ps=series.duration_ps,
        settled=plateau.settled,
        problems=tuple(problem for problem in problems if problem),
    )


def _diagonal(index: int) -> Reduce:
    return lambda matrices: matrices[..., index, index]


def _offsets(currents: NDArray[np.float64], shifted: NDArray[np.float64]) -> NDArray[np.float64]:
    """C of J_q = J_q' + sum_i c_i J_i ``[q]``, for what `decorrelated` took off."""
    if len(currents) == 1:
        return np.zeros(0)
    centred = currents[0] - currents[0].mean(axis=(0, 1), keepdims=True)
    others = shifted[1:].reshape(len(currents) - 1, -1)
    return np.linalg.solve(others @ others.T, others @ (centred - shifted[0]).ravel())


def _bare(matrices: NDArray[np.float64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """L_qq of the heat current with the offsets added again ``[...]``."""
    weights = np.concatenate([[1.0], offsets])
    return np.einsum("i,...ij,j->...", weights, matrices, weights)


def _ions_at_rest(one_out: NDArray[np.float64]) -> str:
    """Say so where the diffusion that is to be taken out is not seen: its inverse means nothing."""
    if one_out.shape[-1] == 1:
        return ""
    lowest = np.linalg.eigvalsh(one_out[:, 1:, 1:])[:, 0]
    if lowest.min() > 0 and lowest.mean() > 2 * float(jackknife(lowest)):
        return ""
    return (
        "a mass current is so small at long times that it cannot be told from zero: its ions do not diffuse within "
        "this run, and the reduction only adds noise; leave that current out"
    )
