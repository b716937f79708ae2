"""Result records of the conductivity from a heat-flux series: value, error bar, verdict, how much longer to run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiida_iontherm.physics.heat.cepstral import CepstralEstimate
from aiida_iontherm.physics.heat.green_kubo import GreenKubo, Tensor
from aiida_iontherm.physics.heat.onsager import OnsagerKappa
from aiida_iontherm.physics.quantity import Quantity

TARGET_RELATIVE_ERROR = 0.1
"""Largest relative standard error of a conductivity that is reported as converged, unless another is asked for."""

CEPSTRAL_CITATION = "10.1038/s41598-017-15843-2"
REDUCTION_CITATION = "10.1103/PhysRevLett.122.255901"
PARTS_CITATION = "10.1002/adma.202513381"

UNIT = "W/(m K)"


def cepstral_quantities(
    estimates: Sequence[CepstralEstimate], temperature: float, target: float = TARGET_RELATIVE_ERROR
) -> list[Quantity]:
    """Report cepstral estimates, one per group of axes, and the average over directions where there are several.

    The average weighs each estimate by its number of axes; the axes are independent, so that errors add in quadrature.

    Parameters
    ----------
    estimates
        From `cepstral`, of different axes of the same currents.
    temperature
        In K.
    target
        Relative standard error to reach.
    """
    records = []
    for estimate in estimates:
        direction = "average" if estimate.axes == "xyz" else estimate.axes
        records.append(
            _record(
                "kappa_cepstral",
                estimate.value,
                estimate.uncertainty,
                list(estimate.problems),
                estimate.duration_ps,
                target,
                method=_cepstral_method(estimate),
                temperature=temperature,
                direction=direction,
                citation=REDUCTION_CITATION if estimate.others else CEPSTRAL_CITATION,
            )
        )
    if len(estimates) > 1:
        weights = np.array([len(estimate.axes) for estimate in estimates]) / sum(len(e.axes) for e in estimates)
        problems = [f"along {e.axes}: {problem}" for e in estimates for problem in e.problems]
        records.append(
            _record(
                "kappa_cepstral",
                float(weights @ [estimate.value for estimate in estimates]),
                float(np.linalg.norm(weights * [estimate.uncertainty for estimate in estimates])),
                problems,
                estimates[0].duration_ps,
                target,
                method=f"mean of the estimates along {', '.join(e.axes for e in estimates)}",
                temperature=temperature,
                direction="average",
                citation=records[0].citation,
            )
        )
    return records


def green_kubo_quantities(
    result: GreenKubo, temperature: float, target: float = TARGET_RELATIVE_ERROR
) -> list[Quantity]:
    """Report the bare conductivity along x, y, z and on average, and the average of each part.

    Parameters
    ----------
    result
        From `green_kubo`.
    temperature
        In K.
    target
        Relative standard error to reach.
    """
    method = (
        f"running Green-Kubo integral over {result.window_ps[0]:.3g}-{result.window_ps[1]:.3g} ps; standard error of "
        f"{result.n_blocks} blocks"
    )
    rows: list[tuple[str, str, float, float, str | None]] = [
        ("kappa_green_kubo", axis, float(result.total.value[i, i]), float(result.total.uncertainty[i, i]), None)
        for i, axis in enumerate("xyz")
    ]
    rows.append(("kappa_green_kubo", "average", result.value, result.uncertainty, None))
    if len(result.parts) > 1:
        rows += [_part(name, tensor) for name, tensor in result.parts.items()]
    return [
        _record(
            name,
            value,
            error,
            list(result.problems),
            result.duration_ps,
            target,
            method=method,
            temperature=temperature,
            direction=direction,
            citation=citation,
        )
        for name, direction, value, error, citation in rows
    ]


def onsager_quantities(
    results: Sequence[OnsagerKappa], temperature: float, target: float = TARGET_RELATIVE_ERROR
) -> list[Quantity]:
    """Report conductivities at zero mass flux from running integrals, one per group of axes.

    Parameters
    ----------
    results
        From `onsager_kappa`.
    temperature
        In K.
    target
        Relative standard error to reach.
    """
    return [
        _record(
            "kappa_onsager",
            result.value,
            result.uncertainty,
            list(result.problems),
            result.duration_ps,
            target,
            method=(
                f"running integrals over {result.window_ps[0]:.3g}-{result.window_ps[1]:.3g} ps, reduced to zero flux "
                f"of {result.others} other currents; jackknife over {result.n_blocks} blocks"
            ),
            temperature=temperature,
            direction="average" if result.axes == "xyz" else result.axes,
            citation=REDUCTION_CITATION,
        )
        for result in results
    ]


def _part(name: str, tensor: Tensor) -> tuple[str, str, float, float, str]:
    """Name, direction, value, error and source of one contribution."""
    label = f"kappa_{name.replace(' x ', '_x_').replace(' ', '_')}"
    return label, "average", tensor.average, tensor.average_uncertainty, PARTS_CITATION


def _cepstral_method(estimate: CepstralEstimate) -> str:
    reduced = f", at zero flux of {estimate.others} other currents" if estimate.others else ""
    return (
        f"cepstral analysis up to {estimate.max_frequency_thz:.3g} THz with {estimate.cutoff} coefficients (best by "
        f"AIC: {estimate.best_cutoff}), {estimate.degrees_of_freedom} degrees of freedom{reduced}"
    )


def _record(
    name: str,
    value: float,
    uncertainty: float,
    problems: list[str],
    duration_ps: float,
    target: float,
    *,
    method: str,
    temperature: float,
    direction: str,
    citation: str | None,
) -> Quantity:
    if not target > 0:
        raise ValueError(f"the relative error to reach must be positive, not {target:g}")
    if uncertainty > target * abs(value):
        relative = uncertainty / abs(value) if value else np.inf
        needed = duration_ps * (relative / target) ** 2
        longer = f"run {needed:.3g} ps in all for {target:.0%}" if relative < 1 else "the value is lost in its noise"
        problems = [*problems, f"the standard error is {relative:.0%} after {duration_ps:.3g} ps: {longer}"]
    return Quantity(
        name=name,
        value=value,
        unit=UNIT,
        method=method,
        converged=not problems,
        reason="; ".join(problems),
        uncertainty=uncertainty,
        temperature=temperature,
        direction=direction,
        citation=citation,
    )
