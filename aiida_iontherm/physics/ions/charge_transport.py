"""Ionic conductivity from the motion of all ions together, against that of each for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.ions.diffusion import Drift, Positions, displacement_curves, duration, separate_runs
from aiida_iontherm.physics.ions.einstein import (
    CONVERGED_RELATIVE_ERROR,
    Diffusion,
    axes_and_average,
    diffusion_from_msd,
)
from aiida_iontherm.physics.ions.linear_window import MIN_LAGS, slope
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import ONE_SIDED, jackknife
from aiida_iontherm.physics.units import ELEMENTARY_CHARGE, KB

FORMAL_CHARGES = {
    "Li": 1,
    "Na": 1,
    "K": 1,
    "Rb": 1,
    "Cs": 1,
    "Cu": 1,
    "Ag": 1,
    "H": 1,
    "Mg": 2,
    "Ca": 2,
    "Zn": 2,
    "F": -1,
    "O": -2,
}
"""Of mobile ions in their usual state. Copper is Cu(I) in its fast conductors."""

WINDOW_OCTAVES = 2
"""The collective displacement is that of one walker, whose error grows with the lag: four times the lag at which the
ions' own displacement has become linear is as far as it is looked at."""


@dataclass(frozen=True, kw_only=True)
class ChargeTransport:
    """Conductivity of one kind of ion.

    Attributes
    ----------
    tracer, collective
        Diffusivity of the ions, and of their charge; see `charge_transport`.
    factor
        Conductivity in S/m of a diffusivity of 1 cm^2/s.
    haven_ratio, haven_uncertainty
        D*/D_sigma of the averages over directions, both over the window of the collective one, and one standard error
        (jackknife over blocks); ``None`` where either was not seen.
    """

    tracer: Diffusion
    collective: Diffusion
    factor: float
    haven_ratio: float | None
    haven_uncertainty: float | None

    @property
    def conductivity(self) -> NDArray[np.float64] | None:
        """Tensor [3, 3] in S/m; ``None`` where no collective diffusion was seen."""
        return None if self.collective.tensor is None else self.collective.tensor * self.factor

    @property
    def nernst_einstein(self) -> NDArray[np.float64] | None:
        """The same from the tracer diffusivity, as if the ions did not know of each other."""
        return None if self.tracer.tensor is None else self.tracer.tensor * self.factor


def charge_transport(
    positions: Positions,
    timestep_fs: float,
    charge: float,
    volume_A3: float,
    temperature: float,
    *,
    drift: Drift = None,
    n_blocks: int = 8,
    hop_length_A: float = 3.0,
) -> ChargeTransport:
    """Conductivity tensor, Nernst-Einstein estimate and Haven ratio of one mobile species.

    With the displacement of all N ions together, P(t) = sum_i r_i(t),

        D_sigma,ab = lim 1/(2 t N) <dP_a dP_b>,    sigma = N (z e)^2 D_sigma/(V k_B T),    H_R = D*/D_sigma

    (G. E. Murch, Solid State Ionics 7, 177 (1982)). Positions are relative to the other ions (`drift`: the centre of
    mass of the framework), so that in a neutral crystal they are all of the current. Relative to the centre of mass of
    all atoms the framework moves the other way, and its charge would count too. Error bars are those of blocks, as in
    `diffusion`; the collective displacement is one walker instead of N, so its error is the larger by far.

    Parameters
    ----------
    positions, timestep_fs, drift, n_blocks, hop_length_A
        As in `diffusion`.
    charge
        z of the ions, in e.
    volume_A3
        Of the cell in which these ions are, Angstrom^3.
    temperature
        In K.

    Raises
    ------
    ValueError
        As `diffusion`, or if the charge is zero, or volume or temperature not positive.
    """
    if charge == 0:
        raise ValueError("ions without charge conduct nothing: give their charge in units of e")
    if not (volume_A3 > 0 and temperature > 0):
        raise ValueError(f"volume and temperature must be positive, not {volume_A3} Angstrom^3 and {temperature} K")
    runs = separate_runs(positions, drift)
    ions, duration_ps = runs[0][0].shape[1], duration(runs, timestep_fs)
    together = [
        ((run.astype(float) - shift[:, None]).sum(axis=1, keepdims=True) / np.sqrt(ions), np.zeros_like(shift))
        for run, shift in runs
    ]
    curves = displacement_curves(runs, timestep_fs, n_blocks)

    def fit(msd: NDArray[np.float64], block_msd: NDArray[np.float64]) -> Diffusion:
        return diffusion_from_msd(
            msd, block_msd, timestep_fs, n_ions=ions, duration_ps=duration_ps, hop_length_A=hop_length_A
        )

    tracer = fit(*curves)
    start = round(tracer.window_ps[0] / tracer.lags_ps[1])
    last = min(len(tracer.lags_ps) - 1, max(MIN_LAGS, start * 2**WINDOW_OCTAVES))
    collective_curves = displacement_curves(together, timestep_fs, n_blocks)
    short, block_short = collective_curves[0][: last + 1], collective_curves[1][:, : last + 1]
    collective = fit(short, block_short)
    haven, haven_error = None, None
    if tracer.diffusing_average and collective.diffusing_average:
        window = slice(start, last + 1)
        one, blocks = (
            [slope(tracer.lags_ps[window], np.trace(c[..., window, :, :], axis1=-2, axis2=-1), axis=-1) for c in pair]
            for pair in zip(curves, collective_curves, strict=True)
        )
        haven = float(one[0] / one[1])
        left_out = [np.delete(blocks, i, axis=1).mean(axis=1) for i in range(len(curves[1]))]
        haven_error = float(jackknife([own / shared for own, shared in left_out]))
    return ChargeTransport(
        tracer=tracer,
        collective=collective,
        # 1e-4: cm^2 to m^2
        factor=ions * (charge * ELEMENTARY_CHARGE) ** 2 / (volume_A3 * 1e-30 * KB * temperature) * 1e-4,
        haven_ratio=haven,
        haven_uncertainty=haven_error,
    )


def charge_transport_quantities(result: ChargeTransport, ion: str, temperature: float) -> list[Quantity]:
    """Record ``sigma`` and ``sigma_nernst_einstein`` along x, y, z and on average in S/m, and ``haven_ratio``.

    Parameters
    ----------
    result
        From `charge_transport`.
    ion
        Its symbol, for the words.
    temperature
        In K.
    """
    records = []
    for name, motion, what in (
        ("sigma", result.collective, f"displacement of all {ion} together"),
        ("sigma_nernst_einstein", result.tracer, f"tracer diffusivity of {ion} (Nernst-Einstein)"),
    ):
        bounds = np.append(motion.upper_bound, motion.trace_third_upper_bound)
        own = np.append(motion.diffusing_axes, motion.diffusing_average)
        # Of all ions together there is one walker, whose noise may look like diffusion in a short run: where the ions
        # themselves were not seen to diffuse, what it gives is a bound.
        seen = own & np.append(result.tracer.diffusing_axes, result.tracer.diffusing_average)
        values, errors = bounds, np.zeros(4)
        if motion.tensor is not None and motion.uncertainty is not None:
            found = axes_and_average(motion.tensor)
            errors = np.append(np.diag(motion.uncertainty), motion.trace_third_uncertainty or 0.0)
            values = np.where(seen, found, np.where(own, found + ONE_SIDED * errors, bounds))
        for i, direction in enumerate(("x", "y", "z", "average")):
            # The collective window starts where the ions' own displacement is linear.
            reason = _doubt(motion.settled and result.tracer.settled, errors[i] / values[i] if seen[i] else 0.0)
            records.append(
                Quantity(
                    name=name,
                    value=float(values[i] * result.factor),
                    unit="S/m",
                    uncertainty=float(errors[i] * result.factor) if seen[i] else None,
                    bound=None if seen[i] else "upper",
                    method=f"{what} over {motion.window_ps[0]:.4g}-{motion.window_ps[1]:.4g} ps",
                    converged=not reason,
                    reason=reason or ("" if seen[i] else "no diffusion seen within the run: the bound is the result"),
                    temperature=temperature,
                    direction=direction,
                )
            )
    ratio, error = result.haven_ratio, result.haven_uncertainty
    doubt = "no diffusion of the charge was seen"
    if ratio is not None and error is not None:
        doubt = _doubt(result.tracer.settled and result.collective.settled, error / ratio)
    records.append(
        Quantity(
            name="haven_ratio",
            value=ratio,
            unit="1",
            uncertainty=error,
            method="tracer over collective diffusivity, averages over directions",
            converged=not doubt,
            reason=doubt,
            temperature=temperature,
        )
    )
    return records


def _doubt(settled: bool, relative_error: float) -> str:
    """Why a number or bound is not converged, or nothing."""
    if not settled:
        return "the mean square displacement is still curved at the longest lags: run longer"
    if relative_error > CONVERGED_RELATIVE_ERROR:
        # Errors fall with the root of the time.
        times = np.ceil((relative_error / CONVERGED_RELATIVE_ERROR) ** 2)
        wanted = f"{CONVERGED_RELATIVE_ERROR:.0%}"
        return f"the standard error is {relative_error:.0%}: for {wanted} run about {times:.0f} times as long"
    return ""
