"""Vibrational density of states towards zero frequency: its exponent, its linear part, and what is left at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, integrate, optimize, special

from aiida_iontherm.physics.distributions import chi2_tail, student_quantile
from aiida_iontherm.physics.spectra.vdos import CHUNK_BYTES, PARZEN_WIDTH
from aiida_iontherm.physics.statistics import jackknife
from aiida_iontherm.physics.units import AMU, ANGSTROM2_PER_PS_TO_CM2_PER_S, KB

SPACING = 1.5
"""Distance of the frequencies that are fitted, in resolutions: there the smoothed values are correlated by 5 % only."""

MIN_POINTS = 6
"""Of a fit: three parameters, and as many to tell whether they do."""

RISE_POINTS = 24
"""Frequencies up to the first maximum: enough for a window well below it, and few enough for modes of a finite cell to
merge."""

HOPELESS = 1e-3
"""Below it the narrowest window is too wide, by more than chance would have it one time in twenty."""

REFINEMENT = 1.25
"""Of the resolution, from one attempt at a fit to the next."""

COARSE_THZ = 0.3
"""Resolution at which the first maximum is looked for: below any phonon band, above single modes and noise."""

SMOOTHED = 2
"""Neighbours on each side with which a standard error is averaged."""

POOR_FIT = 0.05
"""Below this probability of chi2 the polynomial is not what the data follow."""

CONFIDENCE = 0.95

NO_CHANGE = 0.01
"""Below this probability of a constant g is said to rise or to fall."""

NEGLIGIBLE = 0.005
"""Part of g at the end of the window below which g(0) is called zero, however small its error bar."""

SAME_EXPONENT = 0.1
"""Exponents this near 1 or 2 are called so, however small their error bars."""

LARGEST_EXPONENT = 4.0
"""Where the fit ends up there, the density of states rises as in a gap, not by a power law."""

SMALLEST_EXPONENT = 0.25

LARGEST_ERROR = 0.25
"""Largest relative standard error of a diffusivity that is reported as converged, as for mean square displacements."""

AGREEMENT = 2.0
"""Standard errors within which two diffusivities agree."""


@dataclass(frozen=True, kw_only=True)
class LowFrequency:
    """Density of states of one species, or of all atoms, towards zero frequency.

    Per atom, in states/THz: over all frequencies it has the area 3.

    Attributes
    ----------
    species
        Symbol, or ``all``.
    frequencies_thz, density, uncertainty
        ``[n]`` what was fitted and beyond, up to the first maximum; standard errors of parts of the run.
    window_thz
        Last frequency of the fit, which starts at zero.
    points
        In the window.
    resolution_thz
        Full width at half maximum of a sharp line.
    at_zero, at_zero_uncertainty
        g(0) of g = g(0) + a nu + b nu^2, states/THz.
    vanishes
        Whether g(0) is zero: not above it with 95 % confidence, or below 0.5 % of g at the end of the window.
    linear, linear_uncertainty
        a, states/THz^2.
    quadratic, quadratic_uncertainty
        b, states/THz^3.
    exponent, exponent_uncertainty
        p of g = g(0) + c nu^p; ``None`` where g does not change enough in the window.
    chi2_probability
        Of the better one of the two.
    polynomial
        Whether the polynomial passes its test. Where it does not and the power law does, g(0) is that of the latter.
    shape
        ``linear``, ``quadratic``, ``between`` the two, ``slower``, ``steeper``, ``flat``, ``falling`` or ``undecided``.
    converged, reason
        Verdict.
    """

    species: str
    frequencies_thz: NDArray[np.float64]
    density: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    window_thz: float
    points: int
    resolution_thz: float
    at_zero: float
    at_zero_uncertainty: float
    vanishes: bool
    linear: float
    linear_uncertainty: float
    quadratic: float
    quadratic_uncertainty: float
    exponent: float | None
    exponent_uncertainty: float | None
    chi2_probability: float
    polynomial: bool
    shape: str
    converged: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class ZeroFrequencyDiffusion:
    """Diffusivity from g(0), beside another one.

    Attributes
    ----------
    species
        Symbol.
    diffusivity, uncertainty
        cm^2/s.
    reference, reference_uncertainty
        From the mean square displacement, cm^2/s; ``None`` where none was given.
    is_bound
        Whether the reference is an upper bound.
    deviation
        Difference in standard errors; ``None`` without reference, or where it is a bound.
    agrees
        ``None`` without reference.
    reason
        One sentence.
    """

    species: str
    diffusivity: float
    uncertainty: float
    reference: float | None
    reference_uncertainty: float | None
    is_bound: bool
    deviation: float | None
    agrees: bool | None
    reason: str


def low_frequency_dos(
    velocities: NDArray[np.floating],
    timestep_fs: float,
    masses: ArrayLike,
    species: Sequence[str],
    *,
    n_blocks: int = 8,
    resolution_thz: float | None = None,
    window_thz: float | None = None,
) -> dict[str, LowFrequency]:
    """Fit the density of states of each species, and of all atoms, near zero frequency.

    A crystal has g ~ nu^2 (Debye). Liquids (A. Zaccone and M. Baggioli, PNAS 118, e2022303118 (2021)) and superionic
    Li6PS5Cl (J. Ding et al., Nat. Phys. 21 (2025), 10.1038/s41567-024-02707-6) have g ~ nu. What diffuses has, besides,
    g(0) > 0, see `diffusion_from_zero`.

    *Estimate.* With window and normalisation of `vibrational_dos`, in contiguous blocks, at frequencies 1.5
    resolutions apart. Errors are those of the mean over blocks. Correlations are divided by the number of pairs they
    are made of: divided by the number of frames, as there, they keep the density positive but let all vibrations leak
    to zero frequency, as one over the length of a block.

    *Resolution.* Such that there are 24 frequencies up to the first maximum, where the blocks allow it. Finer shows
    the few modes of a small cell one by one; coarser hides ions that come back late. Where no fit comes near the data
    even in the narrowest window, which is six frequencies wide, the resolution is refined as far as the blocks allow: a
    maximum at 7 THz is far from what matters to ions. `finest_resolution` is best for the diffusivity.

    *Fits.* g(0) + a nu + b nu^2 gives g(0) and the linear coefficient; g(0) + c nu^p the exponent. Both are smoothed
    as the data are, so that a resolution of zero is what comes out. Errors of the parameters: jackknife over blocks.

    *Window.* Half of the widest one, from zero to at most the first maximum, in which the polynomial passes the chi2
    test: what bends beyond it would shift g(0) and a before the test can see it.

    Parameters
    ----------
    velocities
        ``[frames, atoms, 3]``, any unit.
    timestep_fs
        Time between two stored frames.
    masses, species
        ``[atoms]``.
    n_blocks
        At least 4.
    resolution_thz, window_thz
        To use instead of the automatic ones.

    Returns
    -------
    symbol to fit, and ``all``; a species that is held has none.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of range or not finite, all velocities are zero, there are fewer than four
        blocks, or blocks or window are too short for six frequencies.
    """
    if n_blocks < 4:
        raise ValueError(f"error bars of a fit need at least 4 blocks, not {n_blocks}")
    _check(velocities, timestep_fs, masses, species)
    finest = finest_resolution(len(velocities), timestep_fs, n_blocks)
    if resolution_thz is not None and resolution_thz < finest:
        raise ValueError(f"blocks of {len(velocities) // n_blocks} frames resolve {finest:.3g} THz at best: run longer")
    correlations = _correlations(velocities, timestep_fs, masses, species, n_blocks)
    fits: dict[str, LowFrequency] = {}
    for name, curves in correlations.curves.items():
        if not curves.any():
            continue
        maximum = _first_maximum(correlations, name, max(finest, COARSE_THZ))
        resolution = resolution_thz or max(finest, maximum / (RISE_POINTS * SPACING))
        fits[name] = _fit(name, *correlations.spectra(name, resolution), maximum, window_thz)
        hopeless = resolution_thz is None and fits[name].chi2_probability < HOPELESS
        while hopeless and fits[name].chi2_probability < POOR_FIT and resolution > finest:
            resolution = max(finest, resolution / REFINEMENT)
            fits[name] = _fit(name, *correlations.spectra(name, resolution), maximum, window_thz)
    return fits


def finest_resolution(frames: int, timestep_fs: float, n_blocks: int = 8) -> float:
    """Finest resolution in THz that one of so many blocks of a run has.

    Raises
    ------
    ValueError
        If a block is too short for any spectrum.
    """
    length = frames // n_blocks
    if length < 2 * MIN_POINTS * SPACING * PARZEN_WIDTH:
        raise ValueError(f"{frames} frames are too few for {n_blocks} blocks of a spectrum: run longer")
    # the number of lags is rounded up from the resolution
    return PARZEN_WIDTH / (timestep_fs * 1e-3 * (length - 1)) * (1 + 1e-9)


def diffusion_from_zero(
    fit: LowFrequency,
    mass_amu: float,
    temperature: float,
    *,
    reference: float | None = None,
    reference_uncertainty: float | None = None,
) -> ZeroFrequencyDiffusion:
    """D = k_B T g(0)/(12 m), with g per atom of area 3.

    Green-Kubo: the integral of <v_x(0) v_x(t)> over all times, negative ones included, is 2 D, and <v_x^2> = k_B T/m.
    Per coordinate, g(nu) = 2 integral <v_x(0) v_x(t)> exp(-2 pi i nu t) dt/<v_x^2> has the area 1 over nu > 0, hence
    g(0) = 4 m D/(k_B T); an atom has three of them. Exact for classical nuclei.

    Parameters
    ----------
    fit
        Of a species, from `low_frequency_dos`.
    mass_amu, temperature
        Of the atoms; K. The kinetic temperature of the velocities, where the two differ.
    reference, reference_uncertainty
        D of the mean square displacement, cm^2/s; an upper bound has no uncertainty.

    Raises
    ------
    ValueError
        If mass or temperature is not positive.
    """
    if mass_amu <= 0 or temperature <= 0:
        raise ValueError("mass (amu) and temperature (K) must be positive")
    # Angstrom^2/ps^2 per THz = Angstrom^2/ps
    scale = KB * temperature / (mass_amu * AMU) * 1e-4 / 12 * ANGSTROM2_PER_PS_TO_CM2_PER_S
    value, error = fit.at_zero * scale, fit.at_zero_uncertainty * scale
    deviation, agrees, is_bound = None, None, reference is not None and reference_uncertainty is None
    reason = "nothing to compare with"
    if reference is not None and reference_uncertainty is not None:
        deviation = float((value - reference) / np.hypot(error, reference_uncertainty))
        agrees = abs(deviation) <= AGREEMENT
        side = "above" if deviation > 0 else "below"
        reason = f"{abs(deviation):.1f} standard errors {side} that of the mean square displacement"
        if not agrees:
            reason += f": ions come back after more than {1 / fit.resolution_thz:.2g} ps, or a run is too short"
    elif reference is not None:
        agrees = value - AGREEMENT * error <= reference
        reason = f"{'within' if agrees else 'beyond'} the upper bound from the mean square displacement"
    return ZeroFrequencyDiffusion(
        species=fit.species,
        diffusivity=value,
        uncertainty=error,
        reference=reference,
        reference_uncertainty=reference_uncertainty,
        is_bound=is_bound,
        deviation=deviation,
        agrees=agrees,
        reason=reason,
    )


def kinetic_temperature(velocities: NDArray[np.floating], masses: ArrayLike) -> float:
    """Temperature in K of velocities ``[frames, atoms, 3]`` in Angstrom/ps, with three degrees of freedom an atom."""
    squares = np.einsum("fia,fia->i", velocities, velocities, dtype=float) / len(velocities)
    mean = float(np.asarray(masses, dtype=float) @ squares) / (3 * velocities.shape[1])
    return mean * AMU * 1e4 / KB


@dataclass(frozen=True)
class _Correlations:
    """Mass-weighted velocity autocorrelations per atom ``[blocks, lags]``, 3 on average over all atoms at lag zero."""

    curves: dict[str, NDArray[np.float64]]
    interval_ps: float

    def spectra(self, name: str, resolution_thz: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Nearly independent frequencies ``[n]``, densities of states ``[blocks, n]``, half length of the window."""
        last = int(np.ceil(PARZEN_WIDTH / (resolution_thz * self.interval_ps)))
        u = np.arange(last + 1) / last
        window = np.where(u <= 0.5, 1 - 6 * u**2 * (1 - u), 2 * (1 - u) ** 3)
        window[0] /= 2
        lag_ps = last * self.interval_ps
        grid = np.arange(0, 0.5 / self.interval_ps, SPACING * PARZEN_WIDTH / lag_ps)
        waves = np.cos(2 * np.pi * np.outer(np.arange(last + 1) * self.interval_ps, grid))
        return grid, 4 * self.interval_ps * (self.curves[name][:, : last + 1] * window) @ waves, lag_ps


def _correlations(
    velocities: NDArray[np.floating], timestep_fs: float, masses: ArrayLike, species: Sequence[str], n_blocks: int
) -> _Correlations:
    """Correlate within blocks, each lag divided by the number of its pairs of frames."""
    length = len(velocities) // n_blocks
    start = len(velocities) - n_blocks * length
    labels, weights = np.asarray(species), np.asarray(masses, dtype=float)
    n_fft = fft.next_fast_len(2 * length, real=True)
    chunk = max(1, CHUNK_BYTES // (3 * 8 * n_fft))
    curves = {str(name): np.zeros((n_blocks, length)) for name in np.unique(labels)}
    for name, rows in curves.items():
        members = np.flatnonzero(labels == name)
        for block in range(n_blocks):
            part = velocities[start + block * length : start + (block + 1) * length]
            power = np.zeros(n_fft // 2 + 1)
            for first in range(0, len(members), chunk):
                some = members[first : first + chunk]
                transformed = fft.rfft(part[:, some].astype(float), n=n_fft, axis=0)
                power += (transformed.real**2 + transformed.imag**2).sum(axis=2) @ weights[some]
            rows[block] = fft.irfft(power, n=n_fft)[:length] / (length - np.arange(length))
    total = np.sum(list(curves.values()), axis=0)
    area = total[:, 0].mean()
    if not area > 0:
        raise ValueError("all velocities are zero")
    atoms = len(labels)
    scaled = {name: rows * (3 * atoms / area / np.sum(labels == name)) for name, rows in curves.items()}
    return _Correlations(scaled | {"all": total * (3 / area)}, timestep_fs * 1e-3)


def _first_maximum(correlations: _Correlations, name: str, resolution_thz: float) -> float:
    """Frequency of the first maximum that stands out of the noise, or where what falls from zero on has halved."""
    grid, curves, _ = correlations.spectra(name, resolution_thz)
    mean = curves.mean(axis=0)
    error = curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
    highest = 0
    for i in range(1, len(mean)):
        if mean[i] > mean[highest]:
            highest = i
        elif highest and mean[i] + 2 * error[i] < mean[highest] - 2 * error[highest]:
            break
        elif not highest and mean[i] < mean[0] / 2:
            highest = i
            break
    return float(grid[highest] if highest else grid[-1])


def _fit(
    name: str,
    grid: NDArray[np.float64],
    curves: NDArray[np.float64],
    lag_ps: float,
    maximum: float,
    window_thz: float | None,
) -> LowFrequency:
    n, resolution = len(curves), PARZEN_WIDTH / lag_ps
    mean = curves.mean(axis=0)
    error = curves.std(axis=0, ddof=1) / np.sqrt(n)
    end = int(np.searchsorted(grid, maximum * (1 + 1e-9)))
    if end < MIN_POINTS:
        raise ValueError(
            f"{resolution:.2g} THz are too coarse below the first maximum of {name} at {maximum:.2g} THz: "
            "run longer, or use fewer blocks or a finer resolution"
        )
    sigma = _smooth_errors(error[:end], n)
    smoothed = _smoothed_powers(grid[:end], lag_ps, np.array([0.0, 1.0, 2.0]))
    if window_thz is None:
        last, p_value = _window(mean[:end], sigma, smoothed)
    else:
        last = int(np.searchsorted(grid[:end], window_thz * (1 + 1e-9)))
        if last < MIN_POINTS:
            raise ValueError(
                f"{window_thz:g} THz hold {last} independent values of the {MIN_POINTS} a fit of {name} needs: give a "
                "wider window or run longer"
            )
        p_value = _probability(mean[:last], sigma[:last], smoothed[:last])
    weights = 1 / sigma[:last]

    def polynomial(curve: NDArray[np.float64]) -> NDArray[np.floating]:
        return np.linalg.lstsq(smoothed[:last] * weights[:, None], curve[:last] * weights, rcond=None)[0]

    exponents = np.arange(SMALLEST_EXPONENT, LARGEST_EXPONENT + 0.01, 0.25)
    powers = _smoothed_powers(grid[:last], lag_ps, exponents)

    def power_law(curve: NDArray[np.float64]) -> tuple[float, float, float]:
        return _power_law(curve[:last], weights, exponents, powers)

    left_out = (n * mean - curves) / (n - 1)
    values, errors = polynomial(mean), jackknife([polynomial(curve) for curve in left_out])
    power, rest, chi2 = power_law(mean)
    power_error, rest_error = jackknife([power_law(curve)[:2] for curve in left_out])
    power_p = float(chi2_tail(chi2, last - 3))
    # a power that is not whole is no polynomial: then the power law tells what is left at zero
    if p_value < POOR_FIT <= power_p:
        values[0], errors[0] = rest, rest_error
    t = float(student_quantile(CONFIDENCE, n - 1))
    changes = _probability(mean[:last], sigma[:last], smoothed[:last, :1]) < NO_CHANGE
    rises = bool(mean[last - 1] > mean[0])
    known = changes and rises and SMALLEST_EXPONENT + 0.05 < power < LARGEST_EXPONENT - 0.05
    shape = _shape(power, float(power_error), known, changes, rises, t)
    vanishes = bool(values[0] <= max(t * errors[0], NEGLIGIBLE * mean[last - 1]))
    best_p = max(p_value, power_p)
    converged, reason = _verdict(shape, vanishes, best_p, float(grid[last - 1]), window_thz is None)
    return LowFrequency(
        species=name,
        frequencies_thz=grid[:end],
        density=mean[:end],
        uncertainty=error[:end],
        window_thz=float(grid[last - 1]),
        points=last,
        resolution_thz=resolution,
        at_zero=float(values[0]),
        at_zero_uncertainty=float(errors[0]),
        vanishes=vanishes,
        linear=float(values[1]),
        linear_uncertainty=float(errors[1]),
        quadratic=float(values[2]),
        quadratic_uncertainty=float(errors[2]),
        exponent=power if known else None,
        exponent_uncertainty=float(power_error) if known else None,
        chi2_probability=best_p,
        polynomial=p_value >= POOR_FIT,
        shape=shape,
        converged=converged,
        reason=reason,
    )


def _check(velocities: NDArray[np.floating], timestep_fs: float, masses: ArrayLike, species: Sequence[str]) -> None:
    if velocities.ndim != 3 or velocities.shape[2] != 3:
        raise ValueError(f"velocities must have shape [frames, atoms, 3], not {velocities.shape}")
    weights, atoms = np.asarray(masses, dtype=float), velocities.shape[1]
    if weights.shape != (atoms,) or len(species) != atoms:
        raise ValueError(f"need one mass and one species label for each of the {atoms} atoms")
    if timestep_fs <= 0 or np.any(weights <= 0):
        raise ValueError("timestep_fs (time between stored frames) and masses must be positive")
    # the extremes carry NaN and infinity along without an array as large as the velocities
    if not (velocities.size and np.isfinite(np.min(velocities)) and np.isfinite(np.max(velocities))):
        raise ValueError("velocities hold NaN or infinite numbers, or none at all: drop those frames")


def _smooth_errors(error: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Geometric mean of neighbouring standard errors, which few blocks leave noisy; even about zero frequency."""
    logarithm = np.log(np.maximum(error, 1e-12 * error.max()))
    padded = np.concatenate([logarithm[SMOOTHED:0:-1], logarithm, np.full(SMOOTHED, logarithm[-1])])
    width = 2 * SMOOTHED + 1
    mean = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    half = (blocks - 1) / 2
    # the logarithm of a sample variance is on average this much too small
    return np.exp(mean - (special.digamma(half) - np.log(half)) / 2)


def _smoothed_powers(grid: NDArray[np.float64], lag_ps: float, exponents: NDArray[np.float64]) -> NDArray[np.float64]:
    """|nu|^p after smoothing with the Parzen window of a half length, ``[frequencies, exponents]``.

    The window has the transform K(nu) = 3/4 M sinc^4(M nu/2).
    """
    if not len(grid):
        return np.empty((0, len(exponents)))
    # the transform has its zeros at multiples of 2/M; beyond three of them it holds a 1e-4 of its area
    reach, steps = 6 / lag_ps, 600
    offsets = np.linspace(-reach, reach, 2 * steps + 1)
    kernel = 0.75 * lag_ps * np.sinc(lag_ps * offsets / 2) ** 4
    kernel /= integrate.simpson(kernel, x=offsets)
    points = np.abs(grid[:, None] + offsets)
    return np.stack([integrate.simpson(kernel * points**p, x=offsets, axis=1) for p in exponents], axis=1)


def _window(mean: NDArray[np.float64], sigma: NDArray[np.float64], basis: NDArray[np.float64]) -> tuple[int, float]:
    """Find half of the widest window that passes, or the narrowest; its number of points and its probability."""
    last = len(mean)
    while last > MIN_POINTS and _probability(mean[:last], sigma[:last], basis[:last]) < POOR_FIT:
        last -= 1
    last = max(MIN_POINTS, last // 2)
    return last, _probability(mean[:last], sigma[:last], basis[:last])


def _probability(curve: NDArray[np.float64], sigma: NDArray[np.float64], basis: NDArray[np.float64]) -> float:
    solution, *_ = np.linalg.lstsq(basis / sigma[:, None], curve / sigma, rcond=None)
    chi2 = float(np.sum(((curve - basis @ solution) / sigma) ** 2))
    return float(chi2_tail(chi2, len(curve) - basis.shape[1]))


def _power_law(
    curve: NDArray[np.float64],
    weights: NDArray[np.float64],
    exponents: NDArray[np.float64],
    powers: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Exponent, constant and chi2 of the best g(0) + c nu^p. Powers between those tabled are interpolated."""
    step = exponents[1] - exponents[0]

    def fit(p: float) -> tuple[float, float]:
        i = min(int((p - exponents[0]) / step), len(exponents) - 2)
        share = (p - exponents[i]) / step
        # ln nu^p is linear in p
        term = np.exp((1 - share) * np.log(powers[:, i]) + share * np.log(powers[:, i + 1]))
        basis = np.stack([np.ones_like(term), term], axis=1) * weights[:, None]
        solution, *_ = np.linalg.lstsq(basis, curve * weights, rcond=None)
        return float(solution[0]), float(np.sum((curve * weights - basis @ solution) ** 2))

    coarse = exponents[int(np.argmin([fit(p)[1] for p in exponents]))]
    low, high = max(coarse - step, exponents[0]), min(coarse + step, exponents[-1])
    best = optimize.minimize_scalar(lambda p: fit(p)[1], bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(best.x), *fit(float(best.x))


def _shape(p: float, error: float, known: bool, changes: bool, rises: bool, t: float) -> str:
    if not changes:
        return "flat"
    if not rises:
        return "falling"
    if not known:
        return "steeper" if p > 2 else "undecided"
    tolerance = max(t * error, SAME_EXPONENT)
    one, two = abs(p - 1) <= tolerance, abs(p - 2) <= tolerance
    if one and two:
        return "undecided"
    if one or two:
        return "linear" if one else "quadratic"
    if p > 2:
        return "steeper"
    return "between" if p > 1 else "slower"


def _verdict(shape: str, vanishes: bool, p_value: float, window: float, automatic: bool) -> tuple[bool, str]:
    zero = "g(0) vanishes" if vanishes else "g(0) does not vanish"
    words = {
        "linear": "g rises linearly",
        "quadratic": "g rises as nu^2, as in a crystal",
        "between": "g rises between nu and nu^2",
        "slower": "g rises more slowly than nu",
        "steeper": "g rises more steeply than nu^2",
        "flat": "g is flat within its errors",
        "falling": "g falls, as by diffusion without a cage",
        "undecided": "the exponent is not known",
    }[shape]
    text = f"{zero}, {words} up to {window:.3g} THz"
    if p_value < POOR_FIT:
        hint = "run longer for a narrower one" if automatic else "choose a narrower one"
        return False, f"{text}; no fit even in this window (chi2 probability {p_value:.1g}): {hint}"
    if shape == "undecided":
        return False, f"{text}: run longer"
    return True, text
