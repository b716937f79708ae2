"""Two-channel conductivity with error bar and verdict, from the solutions of one or several fits on two meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.carriers import average_diffuson_frequency, by_species
from aiida_iontherm.physics.lattice.pair_sum import PairSum, Statistics
from aiida_iontherm.physics.lattice.phonons import imaginary_weight
from aiida_iontherm.physics.lattice.regimes import RegimeShares, classify, lifetimes_ps, regime_shares, wigner_limit_ps
from aiida_iontherm.physics.lattice.two_channel import left_out_fraction, spectral
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import jackknife

Array = NDArray[np.float64]

CITATION = "M. Simoncelli, N. Marzari, F. Mauri, Nat. Phys. 15, 809 (2019)"
REGIME_CITATION = "M. Simoncelli, N. Marzari, F. Mauri, Phys. Rev. X 12, 041011 (2022)"
CHANNELS = ("particle", "wave", "total")

MAX_IMAGINARY_WEIGHT = 0.01
"""Above one per cent of imaginary modes the crystal is not at a minimum and the sum misses heat carriers."""

HOPELESS_IMAGINARY_WEIGHT = 0.2
"""Above a fifth of them the harmonic solution is not that of this crystal: no number is given."""

MAX_RELATIVE_ERROR = 0.2
MIN_R2 = 0.5
"""A fit that explains less than half of the force variance is no description of these vibrations."""

MAX_OVERDAMPED = 0.1
"""More of the modes that die before one oscillation, and a sum over modes with lines of their own is not justified."""

MAX_LEFT_OUT = 0.05
"""More of the modes without a linewidth, beyond the acoustic ones at Gamma, and the total is too low."""


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
        Jackknife standard error over blocks of snapshots, on the coarse mesh; zero for a single fit.
    mesh_change : [3, T, 3, 3]
        Absolute change from the coarse to the full mesh; not a number where there is no coarse mesh.
    imaginary_weight, left_out : float
        Fractions of modes of the full mesh that are imaginary, and that carry nothing for whatever reason.
    frequencies_thz : [n]
        Centres of the bins of the spectra.
    spectra : [2, T, n, 3, 3]
        Particle and wave conductivity per THz.
    regimes : [T]
        Shares of the modes in each regime.
    diffuson_frequencies_thz : [T]
        Mean frequency of the wave channel; not a number where it is empty.
    species : dict
        Species to its part of the channels [3, T, 3, 3]; empty where the solution does not tell.
    """

    temperatures: Array
    values: Array
    statistical: Array
    mesh_change: Array
    imaginary_weight: float
    left_out: float
    frequencies_thz: Array
    spectra: Array
    regimes: tuple[RegimeShares, ...]
    diffuson_frequencies_thz: Array
    species: dict[str, Array]

    @property
    def uncertainty(self) -> Array:
        """Standard error [3, T, 3, 3]: statistics, and half of what the mesh still changed, in quadrature."""
        return np.sqrt(self.statistical**2 + (self.mesh_change / 2) ** 2)


def estimate_conductivity(
    arrays: Mapping[str, NDArray[Any]], bins: int = 60, statistics: Statistics = "quantum"
) -> ConductivityEstimate:
    """Sum both channels for all fits of a lattice-conductivity run.

    Parameters
    ----------
    arrays
        ``frequencies_thz`` [q, s], ``velocity_products`` [q, 6, s, s] (m^2/s^2), ``weights`` [q], ``gamma_thz``
        [T, q, s] (half widths), the same with the prefix ``coarse_i_`` for each of the ``fits`` fits (0 is the fit to
        all data) where there is a coarse mesh, ``temperatures`` [T], ``volume_A3``, ``rotations`` [r, 3, 3], and
        ``share_X`` [q, s], the share of species X in each mode, where it is known.
    bins
        Number of frequency bins of the spectra.
    statistics
        See `PairSum.channels`.
    """
    temperatures = np.asarray(arrays["temperatures"], dtype=float)
    rotations = np.asarray(arrays["rotations"], dtype=float)
    frequencies, weights = np.asarray(arrays["frequencies_thz"], dtype=float), arrays["weights"]
    gammas = np.asarray(arrays["gamma_thz"], dtype=float)
    pairs = _pairs(arrays, "")
    full = _channels(pairs, gammas, temperatures, statistics)
    coarse = np.array(
        [
            _channels(_pairs(arrays, prefix), arrays[f"{prefix}gamma_thz"], temperatures, statistics)
            for prefix in (f"coarse_{fit}_" for fit in range(int(arrays["fits"])))
            if f"{prefix}gamma_thz" in arrays
        ]
    )
    shares = {name.removeprefix("share_"): share for name, share in arrays.items() if name.startswith("share_")}
    edges = np.linspace(0.0, max(float(frequencies.max()), 1e-3) * 1.001, bins + 1)
    spectra, diffusons, divided = [], [], []
    for gamma, temperature in zip(gammas, temperatures, strict=True):
        particle, wave = pairs.by_mode(gamma, float(temperature), statistics)
        spectra.append([spectral(frequencies, part, edges, rotations) for part in (particle, wave)])
        diffusons.append(average_diffuson_frequency(frequencies, wave) if wave[..., :3].sum() > 0 else np.nan)
        divided.append([by_species(part, shares, rotations) for part in (particle, wave, particle + wave)])
    return ConductivityEstimate(
        temperatures=temperatures,
        values=full,
        statistical=jackknife(coarse[1:]) if len(coarse) > 2 else np.zeros_like(full),
        mesh_change=np.abs(full - coarse[0]) if len(coarse) else np.full_like(full, np.nan),
        imaginary_weight=imaginary_weight(frequencies, weights),
        left_out=left_out_fraction(frequencies, weights, gammas[0]),
        frequencies_thz=(edges[1:] + edges[:-1]) / 2,
        spectra=np.swapaxes(np.array(spectra), 0, 1),
        regimes=tuple(_regimes(frequencies, gamma, weights) for gamma in gammas),
        diffuson_frequencies_thz=np.array(diffusons),
        species={
            symbol: np.array([[part[symbol] for part in channels] for channels in divided]).swapaxes(0, 1)
            for symbol in shares
        },
    )


def conductivity_quantities(
    estimate: ConductivityEstimate, r2_test: float | None, method: str, caveat: str = ""
) -> list[Quantity]:
    """Make the records of each channel, temperature and direction, with their verdicts.

    Parameters
    ----------
    estimate
        From `estimate_conductivity`.
    r2_test
        Coefficient of determination of the force-constant fit on data it has not seen; ``None`` for force constants
        that were not fitted here.
    method
        Where force constants and linewidths come from, in words.
    caveat
        A reason, known beforehand, why the numbers cannot count as converged.
    """
    quantities = []
    errors = estimate.uncertainty
    hopeless = estimate.imaginary_weight > HOPELESS_IMAGINARY_WEIGHT
    for i, temperature in enumerate(estimate.temperatures):
        for c, channel in enumerate(CHANNELS):
            for direction, value, error in _directions(estimate.values[c, i], errors[c, i]):
                total = _directions(estimate.values[2, i], errors[2, i])
                scale = {name: number for name, number, _ in total}[direction]
                reasons = [caveat] if caveat else []
                reasons += _doubts(estimate, i, r2_test, error / scale if scale > 0 else np.inf)
                quantities.append(
                    Quantity(
                        name=f"kappa_{channel}",
                        value=None if hopeless else float(value),
                        unit="W/(m K)",
                        uncertainty=float(error) if np.isfinite(error) and not hopeless else None,
                        method=method,
                        converged=not reasons,
                        reason="; ".join(reasons),
                        temperature=float(temperature),
                        direction=direction,
                        citation=CITATION,
                    )
                )
    return quantities


def carrier_quantities(
    estimate: ConductivityEstimate, r2_test: float | None, method: str, caveat: str = ""
) -> list[Quantity]:
    """Make the records of the regimes, of the mean diffuson frequency and of the species' parts of the average.

    They are those of one mesh and one set of force constants: no error bar, and the verdict is that on the modes and
    the fit. Arguments as for `conductivity_quantities`.
    """
    quantities = []
    for i in range(len(estimate.temperatures)):
        doubts = ([caveat] if caveat else []) + _doubts(estimate, i, r2_test, 0.0)
        quantities += _carriers(estimate, i, method, doubts)
    return quantities


def _carriers(estimate: ConductivityEstimate, i: int, method: str, doubts: list[str]) -> list[Quantity]:
    """Report what carries the heat at the i-th temperature; doubts hold for all of it."""
    shares = estimate.regimes[i]
    rows: list[tuple[str, float, str, str, str | None]] = [
        ("particle_like_modes", shares.particle_like, "1", REGIME_CITATION, None),
        ("wave_like_modes", shares.wave_like, "1", REGIME_CITATION, None),
        ("overdamped_modes", shares.overdamped, "1", REGIME_CITATION, None),
        ("average_diffuson_frequency", estimate.diffuson_frequencies_thz[i], "THz", CITATION, None),
    ]
    if len(estimate.species) > 1:
        rows += [
            (f"kappa_of_{symbol}", np.trace(parts[2, i]) / 3, "W/(m K)", CITATION, "average")
            for symbol, parts in estimate.species.items()
        ]
    quantities = []
    for name, value, unit, citation, direction in rows:
        missing = not np.isfinite(value)
        reasons = (["no mode carries heat in this channel"] if missing else []) + doubts
        quantities.append(
            Quantity(
                name=name,
                value=None if missing else float(value),
                unit=unit,
                method=method,
                converged=not reasons,
                reason="; ".join(reasons),
                temperature=float(estimate.temperatures[i]),
                direction=direction,
                citation=citation,
            )
        )
    return quantities


def _doubts(estimate: ConductivityEstimate, i: int, r2_test: float | None, relative_error: float) -> list[str]:
    """Reasons why numbers at the i-th temperature cannot count as converged."""
    reasons = []
    overdamped = estimate.regimes[i].overdamped
    if estimate.imaginary_weight > MAX_IMAGINARY_WEIGHT:
        reasons.append(f"{100 * estimate.imaginary_weight:.1f} % of the modes are imaginary")
    if estimate.left_out - estimate.imaginary_weight > MAX_LEFT_OUT:
        reasons.append(f"{100 * estimate.left_out:.0f} % of the modes have no linewidth or are below 0.05 THz")
    if overdamped > MAX_OVERDAMPED:
        reasons.append(f"{100 * overdamped:.0f} % of the modes are overdamped: they have no lines of their own")
    if r2_test is not None and r2_test < MIN_R2:
        reasons.append(f"the force constants explain only {100 * r2_test:.0f} % of the variance of unseen forces")
    if np.isnan(relative_error):
        reasons.append("there is one mesh only, so that its error is not known")
    elif relative_error > MAX_RELATIVE_ERROR:
        reasons.append(f"the error bar is {100 * relative_error:.0f} % of kappa: more snapshots or a finer mesh")
    return reasons


def _directions(tensor: Array, error: Array) -> list[tuple[str, float, float]]:
    rows = [(name, float(tensor[a, a]), float(error[a, a])) for a, name in enumerate("xyz")]
    # The errors along the axes come from the same fits: they are not independent, so they add linearly.
    return [*rows, ("average", float(np.trace(tensor)) / 3, float(np.trace(error)) / 3)]


def _pairs(arrays: Mapping[str, NDArray[Any]], prefix: str) -> PairSum:
    return PairSum(
        arrays[f"{prefix}frequencies_thz"],
        arrays[f"{prefix}weights"],
        float(arrays["volume_A3"]),
        products=arrays[f"{prefix}velocity_products"],
        rotations=arrays["rotations"],
    )


def _channels(pairs: PairSum, gammas: NDArray[Any], temperatures: Array, statistics: Statistics) -> Array:
    """Particle, wave and total [3, T, 3, 3] of one solution."""
    sums = [pairs.channels(gamma, float(t), statistics) for gamma, t in zip(gammas, temperatures, strict=True)]
    particle, wave = np.array(sums).swapaxes(0, 1)
    return np.array([particle, wave, particle + wave])


def _regimes(frequencies: Array, gamma: Array, weights: NDArray[Any]) -> RegimeShares:
    """Divide the modes of the mesh, by its weights, among the regimes."""
    if not frequencies.max() > 0:
        return RegimeShares(0.0, 0.0, 0.0, 1.0)
    names = classify(frequencies, lifetimes_ps(gamma), wigner_limit_ps(frequencies))
    return regime_shares(names, np.asarray(weights, dtype=float)[:, None])
