"""Thermal conductivity from the running Green-Kubo integral, with the parts of the heat current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.cepstral import kappa_per_power
from aiida_iontherm.physics.heat.correlation_integrals import correlation_integrals
from aiida_iontherm.physics.heat.flux_series import drift, flux_series
from aiida_iontherm.physics.heat.plateau import find_plateau, window_mean
from aiida_iontherm.physics.statistics import jackknife


@dataclass(frozen=True, eq=False)
class Tensor:
    """A conductivity tensor in Cartesian axes.

    Attributes
    ----------
    value, uncertainty
        ``[3, 3]`` in W/(m K), symmetric, and one standard error of each component from blocks.
    average, average_uncertainty
        A third of the trace, and its standard error.
    """

    value: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    average: float
    average_uncertainty: float


@dataclass(frozen=True, kw_only=True, eq=False)
class GreenKubo:
    """Bare conductivity from the running integral.

    Attributes
    ----------
    value, uncertainty
        Average over directions, W/(m K), and one standard error (blocks, and what is left of a slope).
    total
        The tensor.
    parts
        Contributions, which add up to ``total``: one for each part of the current, and one named ``a x b`` for each
        pair, which holds both orders <J_a(0) J_b(t)> + <J_b(0) J_a(t)>. With one part only, that part.
    window_ps
        Lags over which the integrals were averaged.
    lags_ps
        ``[m]``.
    running, running_uncertainty
        ``[m, 3, 3]`` W/(m K): integral up to each lag, and its standard error.
    running_average, running_average_uncertainty
        ``[m]`` a third of its trace.
    n_blocks
        Blocks the standard errors rest on.
    duration_ps
        Length of all runs together.
    settled
        Whether the integral is flat over the window and the octave before.
    problems
        What speaks against the number, one sentence each.
    """

    value: float
    uncertainty: float
    total: Tensor
    parts: Mapping[str, Tensor]
    window_ps: tuple[float, float]
    lags_ps: NDArray[np.float64]
    running: NDArray[np.float64]
    running_uncertainty: NDArray[np.float64]
    running_average: NDArray[np.float64]
    running_average_uncertainty: NDArray[np.float64]
    n_blocks: int
    duration_ps: float
    settled: bool
    problems: tuple[str, ...]


def green_kubo(
    heat: ArrayLike | Mapping[str, ArrayLike],
    timestep_fs: float,
    temperature: float,
    volume: float,
    *,
    n_blocks: int = 10,
    max_lag_ps: float | None = None,
) -> GreenKubo:
    """Bare thermal conductivity from the integral of the heat current's autocorrelation, part by part.

    kappa_ab = 1/(kB T^2 V) int_0^t <J_a(0) J_b(t')> dt', symmetrised. Where ions diffuse, this number depends on
    where the energies of the species are counted from: use `onsager_kappa` or `cepstral` with the mass currents.

    Given the virial part of the current, sum_j virial_j . v_j, and its convective part, sum_i E_i v_i, the parts are
    those of Li et al., CsCu2I3, 10.1002/adma.202513381, their Eq. 8:

    kappa_EMD = 1/(3 kB T^2 V) [int <J_virial(0) . J_virial(t)> dt + int <J_conv(0) . J_conv(t)> dt
    + 2 int <J_virial(0) . J_conv(t)> dt],

    kappa_V, kappa_CONV and kappa_CROSS in this order. (They name the second term of their Eq. 7, with pair forces, the
    virial part. Their factor 2 is both orders of the cross term, which are equal in equilibrium; here both are
    measured.) Only the sum is a response of the system; single parts move with the zero of the energies.

    *Plateau*: `find_plateau` on the average over directions; all tensors and parts are averaged over the same lags.

    Parameters
    ----------
    heat
        Heat current of the whole cell in eV Angstrom/ps, ``[n, 3]`` or ``[replicas, n, 3]``; or its parts by name,
        which add up to it.
    timestep_fs
        Time between two samples.
    temperature
        In K.
    volume
        In Angstrom^3.
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
    names = list(heat) if isinstance(heat, Mapping) else ["total"]
    given = [np.asarray(part, dtype=float) for part in (heat.values() if isinstance(heat, Mapping) else [heat])]
    series = flux_series(given, timestep_fs, independent=False)
    # parts may be zero or alike, their sum must be a current
    whole = flux_series([series.currents.sum(axis=0)], timestep_fs).currents
    currents = np.moveaxis(series.currents, 3, 1).reshape(3 * len(names), series.n_replicas, series.n_samples, 1)
    integrals = correlation_integrals(currents, series.interval_ps, n_blocks=n_blocks, max_lag_ps=max_lag_ps)
    contributions = _contributions(names)

    def trace_third(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.trace(_tensor(matrices, "all", contributions), axis1=-2, axis2=-1) / 3

    plateau = find_plateau(integrals, trace_third)
    one_out = integrals.leave_one_out
    mean = factor * window_mean(integrals.total, plateau.first, plateau.last)
    mean_one_out = factor * window_mean(one_out, plateau.first, plateau.last)
    tensors = {name: _with_errors(mean, mean_one_out, name, contributions) for name in (*contributions, "all")}
    running = factor * _tensor(integrals.total, "all", contributions)
    running_one_out = factor * _tensor(one_out, "all", contributions)
    window = (float(integrals.lags_ps[plateau.first]), float(integrals.lags_ps[plateau.last]))
    problems = [
        drift(whole),
        slope_left(plateau.settled, window, factor * plateau.change),
    ]
    return GreenKubo(
        value=factor * plateau.value,
        uncertainty=factor * plateau.uncertainty,
        total=tensors.pop("all"),
        parts=tensors,
        window_ps=window,
        lags_ps=integrals.lags_ps,
        running=running,
        running_uncertainty=jackknife(running_one_out),
        running_average=np.trace(running, axis1=1, axis2=2) / 3,
        running_average_uncertainty=jackknife(np.trace(running_one_out, axis1=2, axis2=3) / 3),
        n_blocks=len(integrals.blocks),
        duration_ps=series.duration_ps,
        settled=plateau.settled,
        problems=tuple(problem for problem in problems if problem),
    )


def slope_left(settled: bool, window_ps: tuple[float, float], change: float) -> str:
    """Say that no plateau was found; empty where one was.

    Parameters
    ----------
    settled
        Whether it was.
    window_ps
        The last window tried.
    change
        From the octave before, in W/(m K).
    """
    if settled:
        return ""
    return (
        f"the running integral is not flat: from the octave before to {window_ps[0]:.3g}-{window_ps[1]:.3g} ps it "
        f"changes by {change:+.2g} W/(m K); run longer"
    )


def _contributions(names: list[str]) -> dict[str, list[tuple[int, int]]]:
    """Blocks (i, j) of the correlation matrix that each contribution is made of."""
    pairs = {name: [(i, i)] for i, name in enumerate(names)}
    for i, j in combinations(range(len(names)), 2):
        pairs[f"{names[i]} x {names[j]}"] = [(i, j), (j, i)]
    return pairs


def _tensor(
    matrices: NDArray[np.float64], name: str, contributions: Mapping[str, list[tuple[int, int]]]
) -> NDArray[np.float64]:
    """Sum of 3 x 3 blocks of ``[..., 3 parts, 3 parts]``."""
    chosen = [pair for pairs in contributions.values() for pair in pairs] if name == "all" else contributions[name]
    blocks = [matrices[..., 3 * i : 3 * i + 3, 3 * j : 3 * j + 3] for i, j in chosen]
    total = blocks[0].copy()
    for block in blocks[1:]:
        total += block
    return total


def _with_errors(
    mean: NDArray[np.float64],
    one_out: NDArray[np.float64],
    name: str,
    contributions: Mapping[str, list[tuple[int, int]]],
) -> Tensor:
    value, values = _tensor(mean, name, contributions), _tensor(one_out, name, contributions)
    return Tensor(
        value=value,
        uncertainty=jackknife(values),
        average=float(np.trace(value) / 3),
        average_uncertainty=float(jackknife(np.trace(values, axis1=1, axis2=2) / 3)),
    )
