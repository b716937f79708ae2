"""Whether hops of ions and turns of polyanions nearby happen at the same time, against chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from aiida_iontherm.physics.ions.hops import Hops, Stays
from aiida_iontherm.physics.ions.periodic_points import checked_cell
from aiida_iontherm.physics.quantity import Quantity

DISTANCE_A = 5.0
"""Hops nearer than this to the centre of a group are near it: its ligands are 2 Angstrom from the centre, the ions
another 2.5 from those."""

LAG_PS = 1.0
"""Lags up to this are at the same time: hop times are known to some tenths of a ps."""

MIN_SHIFTS = 20
"""Fewer independent shifts of time cannot tell a chance of 5 %."""

CHANCE = 0.01
"""Below it coincidence is called real."""


@dataclass(frozen=True, kw_only=True)
class Coincidence:
    """Activity of groups near a hop, over their activity at any time.

    Attributes
    ----------
    lags_ps
        ``[n]`` time of the activity minus time of the hop.
    ratio_by_lag
        ``[n]`` activity at that lag over the mean one.
    ratio, uncertainty
        Mean over lags up to the window, and one standard error; 1 is chance. ``None`` where no hop is near any group
        or the groups show no activity.
    excess
        Summed activity within the window beyond chance, and its standard error: for reorientations the number of pairs
        of a hop and a reorientation that chance does not explain.
    excess_uncertainty
        Of it.
    chance
        Probability of a ratio as far from one, from shifts of one series in time.
    pairs
        Number of hops, each as often as groups are near it.
    hops_near
        Number of hops near a group.
    total
        Summed activity of all groups in the run: the number of reorientations.
    distance_A, lag_ps
        What counted as near and as at the same time.
    verdict
        ``coincide``, ``avoid each other``, ``independent`` or ``undecided``.
    reason
        One sentence.
    """

    lags_ps: NDArray[np.float64]
    ratio_by_lag: NDArray[np.float64]
    ratio: float | None
    uncertainty: float | None
    excess: float
    excess_uncertainty: float
    chance: float | None
    pairs: int
    hops_near: int
    total: float
    distance_A: float
    lag_ps: float
    verdict: str
    reason: str


def hop_places(stays: Stays, hops: Hops) -> NDArray[np.float64]:
    """Middle between the two sites of each hop, ``[h, 3]`` Angstrom, in some cell."""
    return stays.sites.fractional[hops.origin] @ stays.sites.cell + hops.vector_A / 2


def event_activity(times_ps: ArrayLike, timestep_fs: float, frames: int) -> NDArray[np.float64]:
    """Events as a series ``[frames]`` of numbers of events per frame."""
    frame = np.rint(np.asarray(times_ps, dtype=float) / (timestep_fs * 1e-3)).astype(np.int64)
    return np.bincount(np.clip(frame, 0, frames - 1), minlength=frames).astype(float)


def hop_coincidence(
    hop_times_ps: ArrayLike,
    hop_places_A: ArrayLike,
    centres_A: ArrayLike,
    cell: ArrayLike,
    activity: NDArray[np.float64],
    timestep_fs: float,
    *,
    distance_A: float = DISTANCE_A,
    lag_ps: float = LAG_PS,
) -> Coincidence:
    """Compare the activity of groups at the times of hops near them with that at any other time.

    With h_g(t) the number of hops within a distance of the group g and x_g(t) its activity,

        X(s) = sum_g sum_t h_g(t) x_g(t + s),

    with time taken around in a circle. Its sum over |s| <= lag is what was observed; the same sum about other shifts,
    all groups together, is what chance gives, with every correlation of hops among each other and of groups
    among each other in place (circular shifts as for spike trains: K. Harris, arXiv:2012.06862). The standard error
    is the larger one of the scatter over shifts and of that over hops.

    Parameters
    ----------
    hop_times_ps, hop_places_A
        ``[h]`` and ``[h, 3]``, see `hop_places`.
    centres_A
        ``[g, 3]`` of the groups.
    cell
        ``[3, 3]`` vectors as rows, Angstrom.
    activity
        ``[g, frames]``, not negative: reorientations per frame (`event_activity`), or squared angular speeds.
    timestep_fs
        Time between two frames of ``activity``.
    distance_A, lag_ps
        See `DISTANCE_A` and `LAG_PS`.

    Raises
    ------
    ValueError
        If shapes do not fit, an argument is not positive, or the run is too short for chance to be known.
    """
    times = np.asarray(hop_times_ps, dtype=float)
    places, centres = np.asarray(hop_places_A, dtype=float), np.asarray(centres_A, dtype=float)
    vectors = checked_cell(cell)
    if times.ndim != 1 or places.shape != (len(times), 3) or activity.ndim != 2 or centres.shape != (len(activity), 3):
        raise ValueError("give one time and place for each hop, one centre and one series for each group")
    if timestep_fs <= 0 or distance_A <= 0 or lag_ps <= 0:
        raise ValueError("the time between frames, the distance and the lag must be positive")
    groups, frames = activity.shape
    interval = timestep_fs * 1e-3
    half = max(1, round(lag_ps / interval))
    width = 2 * half + 1
    shifts = np.arange(width, frames - 2 * width + 1, width)
    if len(shifts) < MIN_SHIFTS:
        raise ValueError(
            f"{frames * interval:.3g} ps are too short to know the chance of coincidences within {lag_ps:g} ps: "
            f"run for {(MIN_SHIFTS + 3) * width * interval:.3g} ps or shorten the lag"
        )
    near = _near(places, centres, vectors, distance_A)
    hop, group = np.nonzero(near)
    frame = np.clip(np.rint(times / interval).astype(np.int64), 0, frames - 1)
    trains = np.zeros((groups, frames))
    np.add.at(trains, (group, frame[hop]), 1.0)
    # circular: no padding
    spectrum = np.sum(np.conj(fft.rfft(trains, axis=1)) * fft.rfft(activity, axis=1), axis=0)
    crossed = fft.irfft(spectrum, n=frames)
    kernel = np.zeros(frames)
    kernel[np.arange(-half, half + 1)] = 1.0
    summed = fft.irfft(fft.rfft(crossed) * fft.rfft(kernel), n=frames)
    observed, by_chance = float(summed[0]), summed[shifts]
    expected = float(crossed.sum() * width / frames)
    lags = np.arange(-5 * half, 5 * half + 1)
    common: dict[str, Any] = {
        "lags_ps": lags * interval,
        "pairs": len(hop),
        "hops_near": int(near.any(axis=1).sum()),
        "total": float(activity.sum()),
        "distance_A": distance_A,
        "lag_ps": lag_ps,
    }
    if expected <= 0:
        why = "no hop is near a group" if not len(hop) else "the groups did not turn"
        return Coincidence(
            ratio_by_lag=np.full(len(lags), np.nan),
            ratio=None,
            uncertainty=None,
            excess=0.0,
            excess_uncertainty=0.0,
            chance=None,
            verdict="undecided",
            reason=f"{why}: there is nothing to compare",
            **common,
        )
    scatter = float(by_chance.std(ddof=1))
    single = _around(activity, kernel)[group, frame[hop]]
    error = max(scatter, float(single.std() * np.sqrt(len(single))))
    further = np.sum(np.abs(by_chance - expected) >= abs(observed - expected) - 1e-9 * expected)
    chance = float((1 + further) / (1 + len(shifts)))
    ratio, ratio_error = observed / expected, error / expected
    verdict, reason = _verdict(ratio, ratio_error, chance, abs(observed - expected) > 3 * scatter, len(shifts))
    return Coincidence(
        ratio_by_lag=crossed[lags] / crossed.mean(),
        ratio=ratio,
        uncertainty=ratio_error,
        excess=observed - expected,
        excess_uncertainty=error,
        chance=chance,
        verdict=verdict,
        reason=reason,
        **common,
    )


def coincidence_quantity(result: Coincidence, name: str, temperature: float | None = None) -> Quantity:
    """Report the ratio to chance; ``name`` says of what."""
    return Quantity(
        name=name,
        value=result.ratio,
        unit="1",
        method=f"activity within {result.distance_A:g} Angstrom and {result.lag_ps:g} ps of hops over that at any time",
        converged=result.verdict != "undecided",
        reason=result.reason,
        uncertainty=result.uncertainty,
        temperature=temperature,
    )


def _near(
    places: NDArray[np.float64], centres: NDArray[np.float64], cell: NDArray[np.float64], distance: float
) -> NDArray[np.bool_]:
    """Whether a hop ``[h]`` is within a distance of a group ``[g]`` or of an image of it."""
    steps = (places[:, None] - centres) @ np.linalg.inv(cell)
    steps -= np.rint(steps)
    # of a skew cell the nearest image may be a neighbour of the one that rounding finds
    images = np.array(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1])).reshape(3, -1).T
    near = np.zeros(steps.shape[:2], dtype=bool)
    for image in images:
        near |= np.sum(((steps + image) @ cell) ** 2, axis=2) <= distance**2
    return near


def _around(activity: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Activity summed over the lags about each frame ``[g, frames]``."""
    summed: NDArray[np.float64] = fft.irfft(fft.rfft(activity, axis=1) * fft.rfft(kernel), n=len(kernel), axis=1)
    return summed


def _verdict(ratio: float, error: float, chance: float, clear: bool, shifts: int) -> tuple[str, str]:
    # thousands of hops tell per mille: the error has a digit, whatever its size
    digits = 2 if error >= 0.01 or error <= 0 else int(-np.floor(np.log10(error)))
    size = f"{ratio:.{digits}f} +- {error:.{digits}f} times the activity at other times"
    # few shifts cannot show a small chance: then the size must tell
    if clear and chance <= max(CHANCE, 1 / (1 + shifts)):
        return ("coincide" if ratio > 1 else "avoid each other"), f"{size}, by chance {chance:.1g}"
    if error > 0.5:
        return "undecided", f"{size}: too few events, run longer"
    return "independent", f"{size}, as chance gives in {chance:.0%} of the cases"
