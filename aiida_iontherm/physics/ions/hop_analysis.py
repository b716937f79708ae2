"""The whole hop analysis of a run, and its results as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.conduction_verdict import HOPS_IN_WINDOW, ConductionVerdict, conduction_verdict
from aiida_iontherm.physics.ions.diffusion import diffusion, diffusion_quantities
from aiida_iontherm.physics.ions.einstein import MIN_HOPS, Diffusion
from aiida_iontherm.physics.ions.hop_statistics import (
    HopCorrelation,
    HopRate,
    JumpDiffusivity,
    Residence,
    double_occupancy,
    hop_correlation,
    hop_rates,
    jump_diffusivity,
    residence_times,
)
from aiida_iontherm.physics.ions.hops import MARGIN, Hops, Stays, find_hops, find_stays
from aiida_iontherm.physics.ions.jump_sites import JumpSites
from aiida_iontherm.physics.ions.percolation import PercolationBarriers
from aiida_iontherm.physics.quantity import Quantity

CONVERGED_RELATIVE_ERROR = 0.25
"""Largest relative standard error of a rate reported as converged, as for diffusivities: 16 independent hops."""

CONVERGED_SHARE_ERROR = 0.1
"""Largest standard error of a probability or correlation factor that is reported as converged."""

LARGEST_SHARED = 0.05
"""Share of time two ions may be on one site before the sites are doubted: ions that pass each other make a few per
cent, two sites taken for one much more."""

LARGEST_TRANSIT = 0.25
"""Share of positions in no core before the sites are doubted: with Gaussian vibrations of a tenth of the distance of
sites it is 1 %; more says that there are sites which were not given, or none to speak of, as in a liquid."""


@dataclass(frozen=True, kw_only=True)
class HopAnalysis:
    """Stays, hops and what follows from them; see the parts.

    Attributes
    ----------
    stays, hops, residences, rates, correlation, jumps, diffusion, verdict
        Results of the functions of these names.
    shared
        Share of time with two ions on a site, see `double_occupancy`.
    tracer_factor, tracer_factor_uncertainty
        D over the jump diffusivity, averages over directions: the correlation factor that all memory together makes.
        Where no diffusion was seen, the bound of D over it, and no error bar; ``None`` with fewer than three hops.
    hops_in_window
        Mean number of hops of an ion within the longest lag of the fit of D.
    sites_doubt
        Why the sites do not fit the run, or empty.
    """

    stays: Stays
    hops: Hops
    residences: list[Residence]
    rates: list[HopRate]
    shared: float
    correlation: HopCorrelation
    jumps: JumpDiffusivity
    diffusion: Diffusion
    tracer_factor: float | None
    tracer_factor_uncertainty: float | None
    hops_in_window: float
    verdict: ConductionVerdict
    sites_doubt: str


def analyse_hops(
    positions: NDArray[np.floating],
    timestep_fs: float,
    sites: JumpSites,
    *,
    drift: ArrayLike | None = None,
    margin: float = MARGIN,
    min_stay_ps: float = 0.0,
) -> HopAnalysis:
    """Find the hops of a run and everything that follows from them.

    Parameters
    ----------
    positions, timestep_fs, sites, drift, margin, min_stay_ps
        See `find_stays`.

    Raises
    ------
    ValueError
        As `find_stays` and `diffusion`.
    """
    stays = find_stays(positions, timestep_fs, sites, drift=drift, margin=margin, min_stay_ps=min_stay_ps)
    hops = find_hops(stays)
    jumps, correlation = jump_diffusivity(stays, hops), hop_correlation(stays, hops)
    n = len(hops)
    length = float(np.sqrt(np.mean(np.sum(hops.vector_A**2, axis=1)))) if n else float(np.median(sites.spacings))
    tracer = diffusion(positions, timestep_fs, drift=drift, hop_length_A=length)
    factor = error = None
    if n >= MIN_HOPS:
        if tracer.diffusing_average and tracer.trace_third is not None:
            factor = tracer.trace_third / jumps.trace_third
            relative = (tracer.trace_third_uncertainty or 0.0) / tracer.trace_third
            error = factor * float(np.hypot(relative, jumps.trace_third_uncertainty / jumps.trace_third))
        else:
            factor = tracer.trace_third_upper_bound / jumps.trace_third
    shared, in_window = double_occupancy(stays), tracer.window_ps[1] * n / stays.at_risk_ps
    return HopAnalysis(
        stays=stays,
        hops=hops,
        residences=residence_times(stays, hops),
        rates=hop_rates(stays, hops),
        shared=shared,
        correlation=correlation,
        jumps=jumps,
        diffusion=tracer,
        tracer_factor=factor,
        tracer_factor_uncertainty=error,
        hops_in_window=in_window,
        verdict=conduction_verdict(tracer, jumps, n, correlation, in_window),
        sites_doubt=_doubt(stays, shared),
    )


def _doubt(stays: Stays, shared: float) -> str:
    if shared > LARGEST_SHARED:
        return f"ions share a site {shared:.0%} of the time: two sites were taken for one, or empty sites are missing"
    if stays.transit_fraction > LARGEST_TRANSIT:
        return (
            f"{stays.transit_fraction:.0%} of the positions are at no site: sites are missing or elsewhere, or ions "
            "flow as in a liquid"
        )
    return ""


def hop_quantities(analysis: HopAnalysis, ion: str, temperature: float | None = None) -> list[Quantity]:
    """Report hop rates, residence times, correlation and diffusivities.

    With fewer than three hops the rate is an upper bound and the residence time a lower one, 95 % one-sided.

    Parameters
    ----------
    analysis
        From `analyse_hops`.
    ion
        Symbol.
    temperature
        In K.
    """
    jumps, doubt = analysis.jumps, analysis.sites_doubt
    records = [
        _rate(rate, ion, temperature, doubt)
        for rate in analysis.rates
        if rate.kind != "pair" or len(set(analysis.stays.sites.labels)) > 1
    ]
    one_kind = len(analysis.residences) == 1
    records += [
        _residence(residence, ion if one_kind else f"{ion}_{residence.label}", temperature, doubt)
        for residence in analysis.residences
    ]
    records += _correlation(analysis, ion, temperature)
    records.append(
        _value_or_bound(
            len(analysis.hops),
            jumps.trace_third,
            jumps.trace_third_uncertainty,
            jumps.upper_bound,
            side="upper",
            name=f"D_jump_{ion}",
            unit="cm^2/s",
            method="sum of squared hops over 6 N t",
            temperature=temperature,
            direction="average",
            doubt=doubt,
        )
    )
    return records + diffusion_quantities(analysis.diffusion, ion, temperature)


def percolation_quantities(barriers: PercolationBarriers, ion: str) -> list[Quantity]:
    """Report the barrier along each cell vector; where no path was seen, the lower bound."""
    records = []
    for axis, name in enumerate("abc"):
        value = float(barriers.barriers_ev[axis])
        seen = bool(np.isfinite(value))
        error = float(barriers.uncertainties_ev[axis])
        records.append(
            Quantity(
                name=f"free_energy_barrier_{ion}",
                value=value if seen else barriers.lower_bound_ev,
                unit="eV",
                method="lowest -k_B T ln(rho/rho_max) below which the density percolates; jackknife over the run",
                converged=barriers.converged[axis],
                reason=barriers.reasons[axis],
                uncertainty=error if np.isfinite(error) else None,
                bound=None if seen else "lower",
                temperature=barriers.temperature,
                direction=name,
            )
        )
    return records


def _judge(value: float | None, error: float | None, n: int, doubt: str) -> tuple[bool, str]:
    if doubt:
        return False, doubt
    if n < MIN_HOPS:
        return True, f"{n} hops, too few for a value: the bound is the result"
    if value is None or error is None or error > CONVERGED_RELATIVE_ERROR * value:
        return False, f"{n} hops leave more than {CONVERGED_RELATIVE_ERROR:.0%} of error: run longer"
    return True, f"{n} hops, standard error {error / value:.0%} of the value"


def _value_or_bound(
    n: int,
    value: float | None,
    error: float | None,
    bound: float,
    *,
    side: Literal["upper", "lower"],
    name: str,
    unit: str,
    method: str,
    temperature: float | None,
    doubt: str,
    direction: str | None = None,
) -> Quantity:
    """Report what n hops tell: the value with its error bar, or the bound on that side where they are too few."""
    few = n < MIN_HOPS or value is None
    converged, reason = _judge(value, error, n, doubt)
    return Quantity(
        name=name,
        value=bound if few else value,
        unit=unit,
        method=method,
        converged=converged,
        reason=reason,
        uncertainty=None if few else error,
        bound=side if few else None,
        temperature=temperature,
        direction=direction,
    )


def _rate(rate: HopRate, ion: str, temperature: float | None, doubt: str) -> Quantity:
    where = "" if rate.kind in ("all", "axis") else f"_{rate.name.replace(' -> ', '_to_')}"
    return _value_or_bound(
        rate.hops,
        rate.rate_per_ps,
        rate.uncertainty_per_ps,
        rate.upper_bound_per_ps,
        side="upper",
        name=f"hop_rate_{ion}{where}",
        unit="1/ps",
        method="hops over the time at risk per ion, counting error widened by their spread",
        temperature=temperature,
        direction=rate.name if rate.kind == "axis" else None,
        doubt=doubt,
    )


def _residence(residence: Residence, name: str, temperature: float | None, doubt: str) -> Quantity:
    return _value_or_bound(
        residence.departures,
        residence.residence_ps,
        residence.uncertainty_ps,
        residence.lower_bound_ps,
        side="lower",
        name=f"residence_time_{name}",
        unit="ps",
        method="time at risk over departures (exponential law, censored stays)",
        temperature=temperature,
        doubt=doubt,
    )


def _correlation(analysis: HopAnalysis, ion: str, temperature: float | None) -> list[Quantity]:
    c, doubt = analysis.correlation, analysis.sites_doubt
    none = "no ion hopped twice: run longer"

    def share(name: str, value: float | None, error: float | None, method: str, limit: float) -> Quantity:
        good = value is not None and error is not None and error <= limit and not doubt
        why = f"{c.pairs} pairs of successive hops" if c.pairs else none
        return Quantity(
            name=f"{name}_{ion}",
            value=value,
            unit="1",
            method=method,
            converged=good,
            reason=doubt or (why if good or value is None else f"{why} leave an error of {error:.2g}: run longer"),
            uncertainty=error,
            temperature=temperature,
        )

    records = [
        share(
            "back_jump_probability",
            c.back_jump,
            c.back_jump_uncertainty,
            "share of hops that undo the one before of the same ion",
            CONVERGED_SHARE_ERROR,
        ),
        share(
            "correlation_factor_successive",
            c.factor,
            c.factor_uncertainty,
            "(1 + c)/(1 - c) with the mean cosine c of successive hops",
            CONVERGED_SHARE_ERROR,
        ),
    ]
    value, error = analysis.tracer_factor, analysis.tracer_factor_uncertainty
    bounded = value is not None and error is None
    good = bounded or (value is not None and error is not None and error <= CONVERGED_RELATIVE_ERROR * value)
    if value is None:
        reason = "too few hops: run longer"
    elif bounded:
        reason = "no diffusion was seen: its bound over the jump diffusivity is the result"
    elif analysis.hops_in_window < HOPS_IN_WINDOW:
        good = False
        hopped = f"{analysis.hops_in_window:.2g} times within the longest lag"
        reason = f"ions hop {hopped}: memory of their hops is not in D yet, run longer"
    else:
        reason = f"standard error {error:.2g}" + ("" if good else ", more than a quarter of the value: run longer")
    records.append(
        Quantity(
            name=f"correlation_factor_{ion}",
            value=value,
            unit="1",
            method="tracer over jump diffusivity, averages over directions",
            converged=good and not doubt,
            reason=doubt or reason,
            uncertainty=error,
            bound="upper" if bounded else None,
            temperature=temperature,
        )
    )
    return records
