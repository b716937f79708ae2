"""The activation energy that a set of diffusivities supports: a fit, one estimate, or a lower bound."""

from __future__ import annotations

import numpy as np

from aiida_iontherm.physics.ions.arrhenius import (
    POOR_FIT,
    activation_energy_bound,
    activation_energy_from_diffusivity,
    arrhenius_fit,
)
from aiida_iontherm.physics.ions.curvature import arrhenius_curvature
from aiida_iontherm.physics.quantity import Quantity

HOP_LENGTH_A = 3.0
"""Typical distance of neighbouring sites in Angstrom; it enters logarithmically."""


def activation_energy(diffusivities: list[Quantity], attempt_frequency_thz: float) -> Quantity:
    """Activation energy of diffusion from the direction-averaged diffusivities of several temperatures.

    With diffusion seen at two temperatures or more it is the slope of the Arrhenius plot, which must not bend. Seen at
    one, it is the barrier that a random walk with the mean vibrational frequency of the ion as attempt frequency
    needs; seen at none, the lower bound that the smallest upper bound gives in the same way.

    Parameters
    ----------
    diffusivities
        Records of one ion in cm^2/s; only those with direction ``average`` count.
    attempt_frequency_thz
        Mean frequency of the vibrations of the ion.

    Raises
    ------
    ValueError
        If there is no direction-averaged diffusivity.
    """
    averages = [q for q in diffusivities if q.direction == "average" and q.value is not None and q.temperature]
    seen = [q for q in averages if q.bound is None and q.value and q.value > 0]
    if len({q.temperature for q in seen}) >= 2:
        points = (
            [_temperature(q) for q in seen],
            [_value(q) for q in seen],
            [q.uncertainty or _value(q) for q in seen],
        )
        fit = arrhenius_fit(*points)
        converged, reason = fit.converged, fit.reason
        if converged and len({q.temperature for q in seen}) > 2:
            curvature = arrhenius_curvature(*points)
            # that a bend could not be seen is no reason to doubt the line; a bend is
            if curvature.p_value < POOR_FIT:
                converged, reason = False, curvature.reason
        doubtful = [f"{q.temperature:.0f} K" for q in seen if not q.converged]
        if doubtful:
            converged, reason = False, f"D is not converged at {', '.join(doubtful)}"
        return _energy(
            fit.activation_energy_ev,
            fit.activation_energy_uncertainty_ev,
            None,
            f"Arrhenius fit to D at {', '.join(f'{q.temperature:.0f}' for q in seen)} K",
            converged,
            reason,
        )
    walk = f"random walk with {attempt_frequency_thz:.2f} THz and {HOP_LENGTH_A:g} Angstrom hops"
    if seen:
        q = seen[0]
        energy, error = activation_energy_from_diffusivity(
            _value(q), q.uncertainty or _value(q), _temperature(q), attempt_frequency_thz, HOP_LENGTH_A
        )
        return _energy(
            max(energy, 0.0),
            error,
            None,
            f"D at {q.temperature:.0f} K alone and a {walk}",
            False,
            "diffusion was seen at one temperature only: add temperatures for an Arrhenius fit",
        )
    if not averages:
        raise ValueError("there is no direction-averaged diffusivity to find an activation energy from")
    bounds = [
        activation_energy_bound(_value(q), _temperature(q), attempt_frequency_thz, HOP_LENGTH_A) for q in averages
    ]
    best = int(np.argmax(bounds))
    return _energy(
        bounds[best],
        None,
        "lower",
        f"no diffusion seen: upper bound on D at {averages[best].temperature:.0f} K and a {walk}",
        averages[best].converged,
        averages[best].reason,
    )


def _energy(
    value: float, uncertainty: float | None, bound: str | None, method: str, converged: bool, reason: str
) -> Quantity:
    return Quantity(
        name="activation_energy",
        value=float(value),
        unit="eV",
        uncertainty=None if uncertainty is None else float(uncertainty),
        bound=bound,
        method=method,
        converged=converged,
        reason=reason,
    )


def _value(quantity: Quantity) -> float:
    return float(quantity.value or 0.0)


def _temperature(quantity: Quantity) -> float:
    return float(quantity.temperature or 0.0)
