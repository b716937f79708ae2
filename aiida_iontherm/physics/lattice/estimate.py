"""Two-channel conductivity with error bar and verdict, from the solutions of several fits on two meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.phonons import imaginary_weight
from aiida_iontherm.physics.lattice.tensors import symmetrise_tensor
from aiida_iontherm.physics.lattice.two_channel import left_out_fraction, mode_contributions, spectral, two_channel_sum
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import jackknife

Array = NDArray[np.float64]

CITATION = "M. Simoncelli, N. Marzari, F. Mauri, Nat. Phys. 15, 809 (2019)"
CHANNELS = ("particle", "wave", "total")

MAX_IMAGINARY_WEIGHT = 0.01
"""Above one per cent of imaginary modes the crystal is not at a minimum and the sum misses heat carriers."""

MAX_RELATIVE_ERROR = 0.2
MIN_R2 = 0.5
"""A fit that explains less than half of the force variance is no description of these vibrations."""


@dataclass(frozen=True)
class ConductivityEstimate:
    """Conductivity tensors of all channels in W/(m K).

    Attributes
    ----------
    temperatures : [T]
        In K.
    values : [3, T, 3, 3]
        Particle, wave and total.
    statistical : [3, T, 3, 3]
        Jackknife standard error over blocks of snapshots, on the coarse mesh.
    mesh_change : [3, T, 3, 3]
        Absolute change from the coarse to the full mesh.
    imaginary_weight, left_out : float
        Fractions of modes of the full mesh that are imaginary, and that carry nothing for whatever reason.
    frequencies_thz : [n]
        Centres of the bins of the spectra.
    spectra : [2, T, n, 3, 3]
        Particle and wave conductivity per THz.
    """

    temperatures: Array
    values: Array
    statistical: Array
    mesh_change: Array
    imaginary_weight: float
    left_out: float
    frequencies_thz: Array
    spectra: Array

    @property
    def uncertainty(self) -> Array:
        """Standard error [3, T, 3, 3]: statistics, and half of what the mesh still changed, in quadrature."""
        return np.sqrt(self.statistical**2 + (self.mesh_change / 2) ** 2)


def estimate_conductivity(arrays: Mapping[str, NDArray[Any]], bins: int = 60) -> ConductivityEstimate:
    """Sum both channels for all fits of a lattice-conductivity run.

    Parameters
    ----------
    arrays
        ``frequencies_thz`` [q, s], ``velocity_products`` [q, 6, s, s] (m^2/s^2), ``weights`` [q], ``gamma_thz``
        [T, q, s] (half widths), the same with the prefix ``coarse_i_`` for each of the ``fits`` fits (0 is the fit to
        all data), ``temperatures`` [T], ``volume_A3`` and ``rotations`` [r, 3, 3].
    bins
        Number of frequency bins of the spectra.
    """
    temperatures = np.asarray(arrays["temperatures"], dtype=float)
    rotations = np.asarray(arrays["rotations"], dtype=float)
    full = _channels(arrays, "", temperatures, rotations)
    coarse = np.array(
        [_channels(arrays, f"coarse_{fit}_", temperatures, rotations) for fit in range(int(arrays["fits"]))]
    )
    statistical = jackknife(coarse[1:]) if len(coarse) > 2 else np.zeros_like(full)
    frequencies = np.asarray(arrays["frequencies_thz"], dtype=float)
    edges = np.linspace(0.0, float(frequencies.max()) * 1.001, bins + 1)
    spectra = np.array(
        [_spectra(arrays, i, temperature, edges, rotations) for i, temperature in enumerate(temperatures)]
    )
    return ConductivityEstimate(
        temperatures=temperatures,
        values=full,
        statistical=statistical,
        mesh_change=np.abs(full - coarse[0]),
        imaginary_weight=imaginary_weight(frequencies, arrays["weights"]),
        left_out=left_out_fraction(frequencies, arrays["weights"], arrays["gamma_thz"][0]),
        frequencies_thz=(edges[1:] + edges[:-1]) / 2,
        spectra=np.swapaxes(spectra, 0, 1),
    )


def conductivity_quantities(
    estimate: ConductivityEstimate, r2_test: float, method: str, caveat: str = ""
) -> list[Quantity]:
    """Make the records of each channel, temperature and direction, with their verdicts.

    Parameters
    ----------
    estimate
        From `estimate_conductivity`.
    r2_test
        Coefficient of determination of the force-constant fit on data it has not seen.
    method
        Where force constants and linewidths come from, in words.
    caveat
        A reason, known beforehand, why the numbers cannot count as converged.
    """
    quantities = []
    errors = estimate.uncertainty
    for i, temperature in enumerate(estimate.temperatures):
        for c, channel in enumerate(CHANNELS):
            for direction, value, error in _directions(estimate.values[c, i], errors[c, i]):
                total = _directions(estimate.values[2, i], errors[2, i])
                scale = {name: number for name, number, _ in total}[direction]
                reasons = [caveat] if caveat else []
                reasons += _doubts(estimate, r2_test, error / scale if scale > 0 else np.inf)
                quantities.append(
                    Quantity(
                        name=f"kappa_{channel}",
                        value=float(value),
                        unit="W/(m K)",
                        uncertainty=float(error),
                        method=method,
                        converged=not reasons,
                        reason="; ".join(reasons),
                        temperature=float(temperature),
                        direction=direction,
                        citation=CITATION,
                    )
                )
    return quantities


def _doubts(estimate: ConductivityEstimate, r2_test: float, relative_error: float) -> list[str]:
    reasons = []
    if estimate.imaginary_weight > MAX_IMAGINARY_WEIGHT:
        reasons.append(f"{100 * estimate.imaginary_weight:.1f} % of the modes are imaginary")
    if r2_test < MIN_R2:
        reasons.append(f"the force constants explain only {100 * r2_test:.0f} % of the variance of unseen forces")
    if relative_error > MAX_RELATIVE_ERROR:
        reasons.append(f"the error bar is {100 * relative_error:.0f} % of kappa: more snapshots or a finer mesh")
    return reasons


def _directions(tensor: Array, error: Array) -> list[tuple[str, float, float]]:
    rows = [(name, float(tensor[a, a]), float(error[a, a])) for a, name in enumerate("xyz")]
    # The errors along the axes come from the same fits: they are not independent, so they add linearly.
    return [*rows, ("average", float(np.trace(tensor)) / 3, float(np.trace(error)) / 3)]


def _channels(arrays: Mapping[str, NDArray[Any]], prefix: str, temperatures: Array, rotations: Array) -> Array:
    """Particle, wave and total [3, T, 3, 3] of one solution."""
    pairs = np.array(
        [
            two_channel_sum(
                arrays[f"{prefix}frequencies_thz"],
                arrays[f"{prefix}velocity_products"],
                arrays[f"{prefix}weights"],
                arrays[f"{prefix}gamma_thz"][i],
                float(temperature),
                float(arrays["volume_A3"]),
            )
            for i, temperature in enumerate(temperatures)
        ]
    )
    particle, wave = np.swapaxes(symmetrise_tensor(pairs, rotations), 0, 1)
    return np.array([particle, wave, particle + wave])


def _spectra(arrays: Mapping[str, NDArray[Any]], i: int, temperature: float, edges: Array, rotations: Array) -> Array:
    """Particle and wave conductivity per THz [2, n, 3, 3] at one temperature."""
    contributions = mode_contributions(
        arrays["frequencies_thz"],
        arrays["velocity_products"],
        arrays["weights"],
        arrays["gamma_thz"][i],
        float(temperature),
        float(arrays["volume_A3"]),
    )
    return np.array([spectral(arrays["frequencies_thz"], part, edges, rotations) for part in contributions])
