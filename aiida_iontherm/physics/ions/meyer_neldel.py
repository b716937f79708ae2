"""Meyer-Neldel rule: prefactors that rise with the activation energies of a series of compounds.

ln D0 = a + E_A/Delta0 (W. Meyer and H. Neldel, Z. Tech. Phys. 18, 588 (1937)). D0 and E_A of a compound are the
intercept and the slope of one Arrhenius plot, so their errors are correlated almost completely, along
d ln D0/d E_A = 1/(k_B T) with T the mean temperature of the measurements. Errors alone draw a line of that slope
(R. R. Krug, W. G. Hunter and R. A. Grieger, Nature 261, 566 (1976)). The fit therefore needs the full covariance of
each compound, and a verdict on whether there is more than errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.distributions import chi2_tail
from aiida_iontherm.physics.ions.arrhenius import POOR_FIT, ArrheniusFit
from aiida_iontherm.physics.ions.checks import barriers, temperatures
from aiida_iontherm.physics.ions.line_with_errors import line_with_errors
from aiida_iontherm.physics.units import KB_EV

Finding = Literal[
    "compensation", "correlated errors", "unresolved", "scattered", "no compensation", "measurement window"
]

RESOLVED = 1e-4
"""Chance of the spread of activation energies below which it counts as real. A slope seen where the spread is just
above the errors is drawn towards that of the errors; so strict, it is off by more than two standard errors in at most
7 % of all series instead of the nominal 5 % (with 0.01 it would be 11 %)."""

SIGNIFICANT = 3.0
"""Slope over its standard error from which it counts as different from zero, or from another slope."""


@dataclass(frozen=True, kw_only=True)
class ActivatedCompound:
    """Arrhenius parameters of one compound.

    Attributes
    ----------
    label
        Its name.
    activation_energy_ev
        E_A, eV.
    ln_prefactor
        Natural logarithm of D0; all compounds in the same unit.
    covariance
        ``[2, 2]`` of (ln D0, E_A in eV).
    """

    label: str
    activation_energy_ev: float
    ln_prefactor: float
    covariance: NDArray[np.float64]

    @classmethod
    def from_fit(cls, label: str, fit: ArrheniusFit) -> ActivatedCompound:
        """Take the parameters and their covariance from a fit."""
        return cls(
            label=label,
            activation_energy_ev=fit.activation_energy_ev,
            ln_prefactor=fit.ln_prefactor,
            covariance=fit.covariance,
        )

    @classmethod
    def from_published(
        cls,
        label: str,
        activation_energy_ev: float,
        activation_energy_uncertainty_ev: float,
        ln_prefactor: float,
        ln_prefactor_uncertainty: float,
        mean_temperature: float,
    ) -> ActivatedCompound:
        """Rebuild the covariance that publications leave out.

        At the harmonic mean of the measured temperatures ln D and E_A are uncorrelated, hence
        cov(ln D0, E_A) = var(E_A)/(k_B T).

        Parameters
        ----------
        label
            Name of the compound.
        activation_energy_ev, activation_energy_uncertainty_ev
            E_A and one standard error, eV.
        ln_prefactor, ln_prefactor_uncertainty
            ln D0 and one standard error; natural logarithms.
        mean_temperature
            Harmonic mean of the temperatures of the measurement, K.

        Raises
        ------
        ValueError
            If the error of ln D0 is smaller than the error of E_A alone makes it.
        """
        temperatures(mean_temperature)
        least = activation_energy_uncertainty_ev / (KB_EV * mean_temperature)
        if not ln_prefactor_uncertainty > least:
            raise ValueError(
                f"{label}: the error of ln D0, {ln_prefactor_uncertainty:g}, is below the {least:.3g} that the error "
                f"of E_A alone makes at {mean_temperature:g} K: is it one of log10 D0? Multiply by 2.303"
            )
        energy_variance = activation_energy_uncertainty_ev**2
        cross = energy_variance / (KB_EV * mean_temperature)
        return cls(
            label=label,
            activation_energy_ev=activation_energy_ev,
            ln_prefactor=ln_prefactor,
            covariance=np.array([[ln_prefactor_uncertainty**2, cross], [cross, energy_variance]]),
        )


@dataclass(frozen=True, kw_only=True)
class MeyerNeldelFit:
    """ln D0 = a + E_A/Delta0 over a series of compounds.

    Attributes
    ----------
    intercept, slope_per_ev
        a and 1/Delta0.
    covariance
        ``[2, 2]`` of (a, 1/Delta0).
    characteristic_energy_ev, characteristic_energy_uncertainty_ev
        Delta0 and one standard error, eV; ``None`` unless the slope is significantly positive.
    isokinetic_temperature, isokinetic_temperature_uncertainty
        Delta0/k_B in K, where all compounds would conduct alike; ``None`` likewise.
    chi2, degrees_of_freedom, p_value
        Of the points about the line.
    scatter
        Standard deviation of ln D0 about the line beyond the errors, where it was asked for; else 0.
    correlation
        Pearson's r of the points, which errors alone bring close to one.
    error_temperature
        Isokinetic temperature in K of a line that is drawn by the errors alone: mean temperature of the measurements.
    same_p_value
        Chance of points that differ this much if all compounds had the same E_A and D0.
    spread_p_value
        Chance of activation energies that differ this much if they were all the same.
    finding
        ``"compensation"``; ``"correlated errors"`` (all compounds are the same within errors, the line is made by
        these); ``"unresolved"`` (activation energies hardly differ by more than their errors); ``"scattered"`` (not
        one line within errors); ``"no compensation"`` (the slope is not significantly positive);
        ``"measurement window"`` (the line scatters about the slope of the errors: D at the mean temperature is just
        independent of E_A).
    converged, reason
        Whether Delta0 can be used: true for ``"compensation"`` alone.
    """

    intercept: float
    slope_per_ev: float
    covariance: NDArray[np.float64]
    characteristic_energy_ev: float | None
    characteristic_energy_uncertainty_ev: float | None
    isokinetic_temperature: float | None
    isokinetic_temperature_uncertainty: float | None
    chi2: float
    degrees_of_freedom: int
    p_value: float
    scatter: float
    correlation: float
    error_temperature: float
    same_p_value: float
    spread_p_value: float
    finding: Finding
    converged: bool
    reason: str


def meyer_neldel_fit(compounds: Sequence[ActivatedCompound], *, scatter: bool = False) -> MeyerNeldelFit:
    """Fit the Meyer-Neldel rule with the full covariance of each compound, and say whether it is there.

    Parameters
    ----------
    compounds
        Three or more, prefactors in one unit.
    scatter
        Let compounds deviate from the line by more than their errors, as real series do; the deviation is estimated
        and enters the uncertainties. Then chi2 tests nothing.

    Raises
    ------
    ValueError
        With fewer than three compounds, activation energies that are all the same or not in eV, or a covariance that
        is not positive definite.
    """
    if len(compounds) < 3:
        raise ValueError(f"a Meyer-Neldel fit needs three compounds or more, not {len(compounds)}")
    energy = np.array([compound.activation_energy_ev for compound in compounds], dtype=float)
    prefactor = np.array([compound.ln_prefactor for compound in compounds], dtype=float)
    covariances = np.array([compound.covariance for compound in compounds], dtype=float)
    # an activation energy may come out below zero where it is small against its error
    barriers(np.maximum(energy, 0.0))
    if not (np.all(np.isfinite(prefactor)) and np.all(np.isfinite(energy))):
        raise ValueError("prefactors and activation energies must be finite numbers")
    if np.ptp(energy) <= 1e-12 * np.abs(energy).max():
        raise ValueError("all activation energies are the same: there is no slope")
    # (ln D0, E_A) -> (E_A, ln D0)
    line = line_with_errors(energy, prefactor, covariances[:, ::-1, ::-1], scatter=scatter)
    slope, slope_error = line.slope, math.sqrt(line.covariance[1, 1])
    error_slope = covariances[:, 0, 1].sum() / covariances[:, 1, 1].sum()
    same, spread = _same_p_value(prefactor, energy, covariances), _spread_p_value(energy, covariances[:, 1, 1])
    finding, reason = _verdict(slope, slope_error, line.p_value, same, spread, error_slope, line.scatter)
    usable = finding == "compensation"
    delta0 = 1 / slope if usable else None
    delta0_error = slope_error / slope**2 if usable else None
    return MeyerNeldelFit(
        intercept=line.intercept,
        slope_per_ev=slope,
        covariance=line.covariance,
        characteristic_energy_ev=delta0,
        characteristic_energy_uncertainty_ev=delta0_error,
        isokinetic_temperature=None if delta0 is None else delta0 / KB_EV,
        isokinetic_temperature_uncertainty=None if delta0_error is None else delta0_error / KB_EV,
        chi2=line.chi2,
        degrees_of_freedom=line.degrees_of_freedom,
        p_value=line.p_value,
        scatter=line.scatter,
        correlation=float(np.corrcoef(energy, prefactor)[0, 1]),
        error_temperature=float(1 / (KB_EV * error_slope)),
        same_p_value=same,
        spread_p_value=spread,
        finding=finding,
        converged=usable,
        reason=reason,
    )


def _same_p_value(
    prefactor: NDArray[np.float64], energy: NDArray[np.float64], covariances: NDArray[np.float64]
) -> float:
    """Chance of the scatter of the points about their common mean, both coordinates and their covariance counted."""
    points, inverse = np.stack([prefactor, energy], axis=1), np.linalg.inv(covariances)
    mean = np.linalg.solve(inverse.sum(axis=0), np.einsum("nij,nj->i", inverse, points))
    deviation = points - mean
    return float(chi2_tail(np.einsum("ni,nij,nj->", deviation, inverse, deviation), 2 * (len(points) - 1)))


def _spread_p_value(energy: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    mean = np.sum(energy / variance) / np.sum(1 / variance)
    return float(chi2_tail(np.sum((energy - mean) ** 2 / variance), len(energy) - 1))


def _verdict(
    slope: float, slope_error: float, line: float, same: float, spread: float, error_slope: float, scatter: float
) -> tuple[Finding, str]:
    """Say what the line is and why, from its slope and the chances of the line, of one point, and of one energy."""
    error_temperature = 1 / (KB_EV * error_slope)
    if same > POOR_FIT:
        return "correlated errors", (
            f"all compounds agree with one E_A and one D0 (chance {same:.2g}): the line is that of correlated errors, "
            f"whose isokinetic temperature is the mean temperature of the measurements, {error_temperature:.0f} K"
        )
    if spread > RESOLVED:
        return "unresolved", (
            f"the activation energies hardly differ by more than their errors (chance {spread:.1g}), which draw the "
            "slope towards their own: add compounds that differ more, or measure over a wider range of temperatures"
        )
    if line < POOR_FIT:
        return "scattered", (
            f"the compounds are not on one line within their errors (chance {line:.1g}): divide them into series, or "
            "fit with scatter"
        )
    if slope < SIGNIFICANT * slope_error:
        return "no compensation", (
            f"the slope {slope:.3g} +- {slope_error:.2g} per eV is not significantly positive: prefactors do not rise "
            "with the activation energy"
        )
    if abs(slope - error_slope) < SIGNIFICANT * slope_error:
        finding: Finding = "measurement window" if scatter else "compensation"
        return finding, (
            f"the isokinetic temperature {1 / (KB_EV * slope):.0f} K cannot be told from the mean temperature of the "
            f"measurements, {error_temperature:.0f} K: all that is seen is that D does not depend on E_A there"
        )
    return "compensation", (
        f"one line (chi2 probability {line:.2g}) whose isokinetic temperature {1 / (KB_EV * slope):.0f} K differs from "
        f"the {error_temperature:.0f} K of correlated errors"
    )
