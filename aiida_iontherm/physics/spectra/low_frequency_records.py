"""Result records of the density of states towards zero frequency, as those of other rooms are made."""

from __future__ import annotations

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.spectra.low_frequency import (
    LARGEST_ERROR,
    POOR_FIT,
    LowFrequency,
    ZeroFrequencyDiffusion,
)


def low_frequency_quantities(fit: LowFrequency, temperature: float | None = None) -> list[Quantity]:
    """Report g(0), the linear coefficient and the exponent of one species."""
    method = f"g(0) + a nu + b nu^2 up to {fit.window_thz:.3g} THz, resolution {fit.resolution_thz:.2g} THz"
    power = f"g(0) + c nu^p up to {fit.window_thz:.3g} THz, resolution {fit.resolution_thz:.2g} THz"
    fits = fit.chi2_probability >= POOR_FIT
    known = fit.exponent is not None
    return [
        Quantity(
            name=f"vdos_at_zero_{fit.species}",
            value=fit.at_zero,
            unit="1/THz",
            method=method if fit.polynomial else power,
            converged=fits,
            reason=fit.reason,
            uncertainty=fit.at_zero_uncertainty,
            temperature=temperature,
        ),
        Quantity(
            name=f"vdos_linear_{fit.species}",
            value=fit.linear,
            unit="1/THz^2",
            method=method,
            converged=fit.polynomial,
            reason=fit.reason,
            uncertainty=fit.linear_uncertainty,
            temperature=temperature,
        ),
        Quantity(
            name=f"vdos_exponent_{fit.species}",
            value=fit.exponent,
            unit="1",
            method=power,
            converged=fit.converged and known,
            reason=fit.reason,
            uncertainty=fit.exponent_uncertainty,
            temperature=temperature,
        ),
    ]


def zero_frequency_quantity(result: ZeroFrequencyDiffusion, temperature: float | None = None) -> Quantity:
    """Report D from g(0)."""
    return Quantity(
        name=f"D_from_vdos_{result.species}",
        value=result.diffusivity,
        unit="cm^2/s",
        method="k_B T g(0)/(12 m)",
        converged=result.agrees is not False and result.uncertainty <= LARGEST_ERROR * abs(result.diffusivity),
        reason=result.reason,
        uncertainty=result.uncertainty,
        temperature=temperature,
        direction="average",
    )
