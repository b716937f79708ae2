"""Linewidths computed elsewhere, brought to our convention and put onto our modes.

Three steps: `to_gamma_thz` converts what a table holds into half widths in THz; `linewidths_on_mesh` finds each of our
q-points in the table, by symmetry, or `linewidths_by_frequency` reads a smooth gamma(frequency) off a scatter of
modes, which is an approximation; `check_linewidths` asks back where the numbers look like another quantity or unit.

What magnitudes can tell: lifetimes given as widths, cm^-1 or Hz or seconds, and with the table's own frequencies beside
the widths also rad/ps and meV. What they cannot: half against full width at half maximum, nor a factor of a few
(rad/ps, meV) where a table holds no frequencies. Those have to be looked up in the manual of the code that wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants
from scipy.spatial import cKDTree

from aiida_iontherm.physics.units import H_EV_THZ

FREQUENCY_UNITS = {
    "THz": 1.0,
    "rad/ps": 2 * np.pi,
    "meV": 1e3 * H_EV_THZ,
    "cm-1": 1e10 / constants.c,
    "Hz": 1e12,
    "rad/s": 2e12 * np.pi,
}
"""What an ordinary frequency of 1 THz is in each unit."""

TIME_UNITS = {"ps": 1.0, "fs": 1e3, "s": 1e-12}
"""What 1 ps is in each unit."""

QUANTITIES = ("hwhm", "fwhm", "rate", "lifetime")
"""Half width, full width (both at half maximum), scattering rate 1/tau, lifetime tau."""

IOFFE_REGEL = 0.5
"""gamma/f at which the lifetime 1/(4 pi gamma) is 1/w, the Ioffe-Regel limit."""


def to_gamma_thz(values: ArrayLike, quantity: str, unit: str) -> NDArray[np.float64]:
    """Half widths in THz from widths, scattering rates or lifetimes in their units.

    Parameters
    ----------
    values
        Any shape.
    quantity
        ``"hwhm"`` or ``"fwhm"`` in a unit of `FREQUENCY_UNITS`; ``"rate"`` (1/tau) in ``"1/ps"``, ``"1/fs"`` or
        ``"1/s"``; ``"lifetime"`` in a unit of `TIME_UNITS`, where an infinite lifetime gives zero width.
    unit
        Its unit. phono3py's ``gamma`` is hwhm in THz; ShengBTE's rates are in 1/ps.

    Raises
    ------
    ValueError
        If quantity and unit do not belong together, or a lifetime is not positive.
    """
    numbers = np.asarray(values, dtype=float)
    if quantity in ("hwhm", "fwhm") and unit in FREQUENCY_UNITS:
        return numbers / (FREQUENCY_UNITS[unit] * (1 if quantity == "hwhm" else 2))
    if quantity == "rate" and unit.startswith("1/") and unit[2:] in TIME_UNITS:
        return numbers * TIME_UNITS[unit[2:]] / (4 * np.pi)
    if quantity == "lifetime" and unit in TIME_UNITS:
        _require(numbers > 0, numbers, "lifetimes", "positive", "give modes without scattering an infinite one")
        return TIME_UNITS[unit] / (4 * np.pi * numbers)
    raise ValueError(
        f"cannot read {quantity} in {unit}: hwhm and fwhm come in {', '.join(FREQUENCY_UNITS)}, "
        f"rates in {', '.join('1/' + time for time in TIME_UNITS)}, lifetimes in {', '.join(TIME_UNITS)}"
    )


def check_linewidths(gamma_thz: ArrayLike, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> None:
    """Ask back where linewidths cannot be half widths in THz, judged by their magnitude and temperature.

    Crystals with most modes beyond the Ioffe-Regel limit, where gamma exceeds half the frequency, do exist; for one
    of these, leave this check out.

    Parameters
    ----------
    gamma_thz
        What is said to be half widths [T, q, s] in THz; zero where a mode has none.
    frequencies_thz
        Frequencies [q, s] in THz.
    temperatures
        In K [T].

    Raises
    ------
    ValueError
        If a number is negative or not finite (named by its indices), or the whole looks like another quantity; the
        message says which ones would make sense.
    """
    gamma, frequencies = np.asarray(gamma_thz, dtype=float), np.asarray(frequencies_thz, dtype=float)
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    if frequencies.ndim != 2 or gamma.shape != (len(kelvin), *frequencies.shape):
        raise ValueError(f"linewidths have shape {gamma.shape}, need [T, q, s] = {(len(kelvin), *frequencies.shape)}")
    _require_linewidths(gamma)
    # The softest modes are left out: near Gamma a width means little and rounding much.
    used = (frequencies > 0.05 * frequencies.max(initial=0.0)) & np.all(gamma > 0, axis=0)
    if not used.any():
        raise ValueError("no mode has a linewidth: is this table empty?")
    hot, cold = int(np.argmax(kelvin)), int(np.argmin(kelvin))
    ratio = float(np.median(gamma[hot][used] / frequencies[used]))
    if not 1e-8 < ratio < IOFFE_REGEL:
        size = "as broad as its frequency or broader" if ratio >= IOFFE_REGEL else "all but infinitely sharp"
        raise ValueError(
            f"as half widths in THz these numbers make the typical mode {size} (median gamma/f {ratio:.2g} at "
            f"{kelvin[hot]:g} K): are they {_other_readings(gamma[hot][used], frequencies[used])}? "
            "Convert them with to_gamma_thz"
        )
    # Three-phonon lifetimes fall as 1/T above the Debye temperature and stand still far below it; widths do not fall.
    change = float(np.median(gamma[hot][used] / gamma[cold][used]))
    if change < 0.8:
        raise ValueError(
            f"these linewidths fall with temperature (by {change:.2g} from {kelvin[cold]:g} to {kelvin[hot]:g} K), as "
            "lifetimes do: are they lifetimes in ps? Convert them with to_gamma_thz"
        )


def reciprocal_operations(cell_A: ArrayLike, rotations: ArrayLike) -> NDArray[np.int64]:
    """Point group, with time reversal, as integer matrices [r, 3, 3] that act on fractional q-points: q' = R q.

    Parameters
    ----------
    cell_A
        Lattice vectors of the primitive cell as rows [3, 3].
    rotations
        Cartesian matrices [r, 3, 3] (`Phonons.rotations`).

    Raises
    ------
    ValueError
        If an operation does not map the lattice onto itself.
    """
    cell = np.asarray(cell_A, dtype=float)
    matrices = np.asarray(rotations, dtype=float)
    # q_i = a_i . Q / 2 pi for a Cartesian Q, hence R in fractional coordinates is A R A^-1.
    fractional = cell @ matrices @ np.linalg.inv(cell)
    whole = np.rint(fractional).astype(np.int64)
    # Symmetry is found to 1e-5 Angstrom or so; a wrong cell misses by tenths.
    if np.abs(fractional - whole).max(initial=0.0) > 1e-2:
        raise ValueError("the rotations are not symmetries of this cell: give the cell the phonons belong to")
    return np.unique(np.concatenate([whole, -whole]), axis=0)


def match_qpoints(
    qpoints: ArrayLike, table_qpoints: ArrayLike, operations: ArrayLike, tolerance: float = 1e-4
) -> NDArray[np.int64]:
    """Find for each q-point [q, 3] a point of a table that is the same by symmetry and reciprocal lattice vectors.

    Parameters
    ----------
    qpoints, table_qpoints
        Fractional coordinates of the same primitive cell [q, 3], [k, 3].
    operations
        `reciprocal_operations` [r, 3, 3].
    tolerance
        Largest difference in a fractional coordinate.

    Returns
    -------
    Indices into the table [q].

    Raises
    ------
    ValueError
        Naming the first point that is not in the table.
    """
    ours, theirs = (
        np.atleast_2d(np.asarray(qpoints, dtype=float)),
        np.atleast_2d(np.asarray(table_qpoints, dtype=float)),
    )
    images = np.einsum("rij,qj->qri", np.asarray(operations, dtype=float), ours)
    tree = cKDTree(_into_cell(theirs), boxsize=1.0)
    distance, index = tree.query(_into_cell(images), p=np.inf, distance_upper_bound=tolerance)
    found = np.isfinite(distance)
    if not found.any(axis=1).all():
        first = int(np.argmin(found.any(axis=1)))
        raise ValueError(
            f"q-point {first} {np.round(ours[first], 5).tolist()} is not in the table, nor is any point equal to it by "
            f"symmetry ({np.count_nonzero(~found.any(axis=1))} of {len(ours)} missing): take the mesh of the table, or "
            "linewidths_by_frequency"
        )
    best = np.argmin(distance, axis=1)
    return index[np.arange(len(ours)), best]


def linewidths_on_mesh(
    qpoints: ArrayLike,
    frequencies_thz: ArrayLike,
    operations: ArrayLike,
    table_qpoints: ArrayLike,
    table_gamma_thz: ArrayLike,
    table_frequencies_thz: ArrayLike | None = None,
    *,
    tolerance_thz: float = 0.05,
) -> NDArray[np.float64]:
    """Half widths in THz [T, q, s] on our modes from a table on the same mesh, exactly.

    Modes are matched in the order of their frequencies.

    Parameters
    ----------
    qpoints, frequencies_thz
        Our points [q, 3] and frequencies [q, s], ascending.
    operations
        `reciprocal_operations` [r, 3, 3].
    table_qpoints, table_gamma_thz
        Points [k, 3] and half widths [T, k, s] of the table; points we do not have are not used.
    table_frequencies_thz
        Frequencies of the table [k, s]. With them modes of the table may stand in any order, and other units or other
        force constants are noticed; without them its modes must ascend in frequency.
    tolerance_thz
        Largest difference between the frequencies of a mode here and in the table.

    Raises
    ------
    ValueError
        If shapes do not fit, a linewidth is negative or not finite (named by its indices), a point is not in the
        table (the first is named), or the frequencies differ.
    """
    ours, gamma = np.asarray(frequencies_thz, dtype=float), np.asarray(table_gamma_thz, dtype=float)
    points = np.atleast_2d(np.asarray(table_qpoints, dtype=float))
    shape = (len(points), ours.shape[1])
    if gamma.ndim != 3 or gamma.shape[1:] != shape:
        raise ValueError(f"table_gamma_thz has shape {gamma.shape}, needs [T, k, s] = [T, {shape[0]}, {shape[1]}]")
    _require_linewidths(gamma)
    index = match_qpoints(qpoints, points, operations)
    gamma = gamma[:, index]
    if table_frequencies_thz is None:
        return gamma
    theirs = np.asarray(table_frequencies_thz, dtype=float)
    if theirs.shape != shape:
        raise ValueError(f"table_frequencies_thz has shape {theirs.shape}, needs [k, s] = {shape}")
    order = np.argsort(theirs[index], axis=1, kind="stable")
    theirs = np.take_along_axis(theirs[index], order, axis=1)
    _ask_for_frequency_unit(theirs, ours)
    wrong = np.abs(theirs - ours) > tolerance_thz
    if wrong.any():
        q, s = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"mode {s} at q-point {q} has {theirs[q, s]:.4g} THz in the table and {ours[q, s]:.4g} THz here "
            f"({np.count_nonzero(wrong)} modes differ by more than {tolerance_thz} THz): the table belongs to other "
            "force constants, or another treatment of the non-analytical term"
        )
    return np.take_along_axis(gamma, np.broadcast_to(order, gamma.shape), axis=2)


@dataclass(frozen=True)
class SmoothLinewidths:
    """Linewidths read off a smooth curve: an approximation, because modes of one frequency differ in width.

    Attributes
    ----------
    gamma_thz
        Half widths [T, q, s] in THz; zero for imaginary modes.
    scatter
        Standard deviation of ln(gamma) of the table about the curve [T]: 0.3 is 30 %. What the approximation loses.
    outside
        Fraction of the modes beyond the frequencies of the table, where the power law of its end is continued.
    """

    gamma_thz: NDArray[np.float64]
    scatter: NDArray[np.float64]
    outside: float


def linewidths_by_frequency(
    frequencies_thz: ArrayLike,
    table_frequencies_thz: ArrayLike,
    table_gamma_thz: ArrayLike,
    *,
    bandwidth: float = 0.15,
) -> SmoothLinewidths:
    """Approximate linewidths from those of other modes at about the same frequency.

    A local power law: ln(gamma) against ln(f) by straight lines weighted with Gaussians about each frequency.

    Parameters
    ----------
    frequencies_thz
        Our frequencies [q, s].
    table_frequencies_thz
        Frequencies of the table [k], in any order.
    table_gamma_thz
        Half widths of the table [T, k] in THz; modes with none, or imaginary, are not used.
    bandwidth
        Standard deviation of the Gaussian in ln(f); widened where fewer than ten modes are within it.

    Raises
    ------
    ValueError
        If shapes do not fit, a linewidth is negative or not finite (named by its indices), or fewer than ten modes
        have one.
    """
    ours, theirs = np.asarray(frequencies_thz, dtype=float), np.asarray(table_frequencies_thz, dtype=float)
    gamma = np.asarray(table_gamma_thz, dtype=float)
    if theirs.ndim != 1 or gamma.ndim != 2 or gamma.shape[1:] != theirs.shape:
        raise ValueError(f"the table needs frequencies [k] and widths [T, k], not {theirs.shape} and {gamma.shape}")
    if not bandwidth > 0:
        raise ValueError("the bandwidth must be positive")
    _require_linewidths(gamma)
    used = (theirs > 0) & np.all(gamma > 0, axis=0)
    if np.count_nonzero(used) < _NEIGHBOURS:
        raise ValueError(f"only {np.count_nonzero(used)} modes of the table have a linewidth: too few for a curve")
    x, y = np.log(theirs[used]), np.log(gamma[:, used])
    knots = np.linspace(x.min(), x.max(), 201)
    values, slopes = _local_lines(x, y, knots, bandwidth)
    real = ours > 0
    at = np.log(np.where(real, ours, 1.0))
    inside = np.clip(at, x.min(), x.max())
    beyond = at - inside
    result = np.empty((len(gamma), *ours.shape))
    for t, (value, slope) in enumerate(zip(values, slopes, strict=True)):
        end = np.where(beyond > 0, slope[-1], slope[0])
        result[t] = np.where(real, np.exp(np.interp(inside, knots, value) + end * beyond), 0.0)
    residuals = y - np.array([np.interp(x, knots, value) for value in values])
    return SmoothLinewidths(
        gamma_thz=result,
        scatter=residuals.std(axis=1),
        outside=float(np.mean(np.abs(beyond[real]) > 1e-12)) if real.any() else 0.0,
    )


_NEIGHBOURS = 10
"""Fewest modes a local line is drawn through."""


def _local_lines(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], bandwidth: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and slopes [T, m] at points [m] of Gaussian-weighted straight lines through y [T, k] at x [k]."""
    distance = x[None, :] - at[:, None]
    nearest = np.partition(np.abs(distance), _NEIGHBOURS - 1, axis=1)[:, _NEIGHBOURS - 1]
    weight = np.exp(-0.5 * (distance / np.maximum(bandwidth, nearest)[:, None]) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    mean_x = np.sum(weight * distance, axis=1)
    mean_y = y @ weight.T
    spread = np.sum(weight * (distance - mean_x[:, None]) ** 2, axis=1)
    covariance = y @ (weight * (distance - mean_x[:, None])).T
    # Modes of one frequency only have no slope.
    slope = np.where(spread > 1e-12, covariance / np.maximum(spread, 1e-12), 0.0)
    return mean_y - slope * mean_x, slope


def _into_cell(points: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = points - np.floor(points)
    # A negative rounding error ends on 1, which a periodic tree refuses.
    return np.where(inside >= 1.0, 0.0, inside)


def _other_readings(values: NDArray[np.float64], frequencies: NDArray[np.float64]) -> str:
    """Name the readings of the numbers that would give ordinary linewidths, as words for a question."""
    readings = [("hwhm", unit) for unit in FREQUENCY_UNITS]
    readings += [("rate", "1/" + unit) for unit in TIME_UNITS] + [("lifetime", unit) for unit in TIME_UNITS]
    sensible = [
        f"{_WORDS[quantity]} in {unit}"
        for quantity, unit in readings
        # Three-phonon widths are some 1e-4 to 0.2 of the frequency.
        if 1e-5 < np.median(to_gamma_thz(values, quantity, unit) / frequencies) < 0.3
    ]
    return " or ".join(sensible) if sensible else "something else altogether"


_WORDS = {"hwhm": "widths", "rate": "rates", "lifetime": "lifetimes"}


def _ask_for_frequency_unit(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> None:
    """Refuse frequencies that are ours in another unit: the widths beside them will be in that unit too."""
    used = ours > 0.05 * ours.max(initial=0.0)
    if not used.any():
        return
    ratio = float(np.median(theirs[used] / ours[used]))
    for unit, factor in FREQUENCY_UNITS.items():
        # Other force constants shift frequencies by some per cent; the units are further apart than that.
        if unit != "THz" and abs(ratio / factor - 1) < 0.1:
            raise ValueError(
                f"the frequencies of the table are {ratio:.3g} times ours: are they in {unit}, and the linewidths too? "
                "Convert both (to_gamma_thz)"
            )


def _require_linewidths(gamma: NDArray[np.float64]) -> None:
    good = np.isfinite(gamma) & (gamma >= 0)
    _require(good, gamma, "linewidths", "finite and not negative", "set those of modes without one to zero")


def _require(good: NDArray[np.bool_], numbers: NDArray[np.float64], name: str, what: str, remedy: str) -> None:
    if not good.all():
        bad = np.argwhere(~good)
        first = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name} must be {what}, and {len(bad)} of {numbers.size} are not, the first at {list(first)} "
            f"({numbers[first]:g}): {remedy}"
        )
