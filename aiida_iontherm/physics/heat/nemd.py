r"""Thermal conductivity from a cell in which heat is carried from one slab to another.

Heat enters slab 0 at a constant power P and leaves the slab in the middle of the periodic cell, so that half of it
flows each way, and with the cross-section A and the gradient of the temperature along the normal of the slabs

    kappa = (P / 2A) / |dT/dx|

(P. K. Schelling, S. R. Phillpot and P. Keblinski, Phys. Rev. B 65, 144306 (2002)). This is kappa of a crystal of the
length L between the reservoirs, half the cell; `length_extrapolation` does the rest.

The temperature of a slab is 3/2 kB T of kinetic energy per atom that may move. Where no atom is frozen the centre of
mass of the cell rests, which takes kB T/2 per direction from all slabs together: temperatures, and their gradient, come
out low by one part in the number of atoms, which is not corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import autocorrelation_time, block_standard_error
from aiida_iontherm.physics.units import EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K, KB_EV

Array = NDArray[np.float64]

LEAST_SLABS = 12
"""Below this too few slabs lie clear of the reservoirs to tell a line from a curve."""

LEAST_BLOCKS = 40
"""Fewer blocks do not tell how long fluctuations last."""

RELAXATION_TIMES = 3.0
"""Left out at the start: by then the gradient of the slowest wave is within 5 % of its last value."""

MAX_RELATIVE_DIFFERENCE = 0.5
"""Temperature difference of the reservoirs over the mean; with kappa ~ 1/T it changes the result by 0.5^2/12 = 2 %."""

MAX_BEND = 0.15
"""Relative change of the gradient within the fitted slabs, beyond that of kappa ~ 1/T, at which it is no line."""

CONVECTION = 0.05
"""Share of the heat current that is remarked upon."""

SIGNIFICANT = 3.0
"""Standard errors by which two numbers differ that are said to."""

TARGET_RELATIVE_ERROR = 0.1
CITATION = "10.1103/PhysRevB.65.144306"
UNIT = "W/(m K)"


@dataclass(frozen=True, kw_only=True)
class Nemd:
    """Conductivity of one cell, and what it rests on.

    Attributes
    ----------
    kappa, uncertainty
        In W/(m K), one standard error.
    length_A
        L: distance between the middles of the reservoirs along the normal of the slabs, half the height of the cell.
    area_A2
        Cross-section A.
    temperature
        Mean over the fitted slabs in K.
    difference
        Temperature of the hot reservoir less that of the cold one in K.
    gradient, gradient_uncertainty
        Of both halves together, K/Angstrom, positive from hot to cold.
    gradients, gradient_uncertainties
        ``[2]`` of the half in which heat flows along the axis, and of the other.
    flux
        P/2A in eV/(ps Angstrom^2).
    middle_flux, middle_flux_uncertainty
        Heat current of the fitted slabs per volume, virial and convective, mean of both halves.
    convective_share, convective_share_uncertainty
        Part of the heat flux that atoms carry along.
    positions_A
        ``[slabs]`` middles of the slabs along their normal.
    temperatures, temperature_uncertainties
        ``[slabs]`` in K.
    skipped
        Slabs left out at each side of each half, beside the reservoirs.
    block_ps
        Time per block of the profile.
    relaxation_ps
        L^2/(pi^2 D): time in which the slowest wave of temperature decays, D = kappa/(3 n kB).
    left_out_ps, used_ps
        Start of the run that is not steady, and what is left.
    gradient_series
        ``[blocks]`` gradient of both halves block by block, K/Angstrom.
    bend, bend_uncertainty
        ``[2]``: gradient at the cold end of the fitted slabs less that at the hot end, and of the inner half of the
        slabs less that of all, both over the gradient.
    problems
        Why the number cannot count as converged; empty if it can.
    remarks
        What a reader should know besides.
    """

    kappa: float
    uncertainty: float
    length_A: float
    area_A2: float
    temperature: float
    difference: float
    gradient: float
    gradient_uncertainty: float
    gradients: Array
    gradient_uncertainties: Array
    flux: float
    middle_flux: float
    middle_flux_uncertainty: float
    convective_share: float
    convective_share_uncertainty: float
    positions_A: Array
    temperatures: Array
    temperature_uncertainties: Array
    skipped: int
    block_ps: float
    relaxation_ps: float
    left_out_ps: float
    used_ps: float
    gradient_series: Array
    bend: Array
    bend_uncertainty: Array
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def fitted(self) -> NDArray[np.int64]:
        """``[2, n]`` numbers of the fitted slabs, from hot to cold: of the first half and of the second."""
        return _fitted(len(self.temperatures), self.skipped)


def default_skip(slabs: int) -> int:
    """Slabs left out at each side of each half where no number is given: a sixth of the half, and at least one."""
    return max(1, round(slabs / 12))


def nemd(
    profile: ArrayLike, cell: ArrayLike, axis: int, power_ev_per_ps: float, block_ps: float, *, skip: int | None = None
) -> Nemd:
    """Analyse the profile of a run with heat exchange.

    The start is left out as far as the gradient of the first quarter of what follows differs from that of the rest by
    more than two standard errors, and at least for three relaxation times of the temperature. Errors are those of the
    correlated series of block means.

    Parameters
    ----------
    profile
        ``[blocks, slabs, 4]``: means over each block of the number of free atoms in each slab, twice their kinetic
        energy (eV), virial and convective heat current (eV Angstrom/ps) along the normal. Heat enters slab 0 and
        leaves slab ``slabs // 2``.
    cell
        ``[3, 3]`` vectors in rows, Angstrom.
    axis
        Number of the cell vector across which the slabs lie.
    power_ev_per_ps
        P.
    block_ps
        Time per block.
    skip
        Slabs left out beside each reservoir, by default `default_skip`; at least three must be left in each half.

    Raises
    ------
    ValueError
        If the shape does not fit, there are too few slabs or blocks, a slab is empty, or power or time is not positive.
    """
    rows, box = np.asarray(profile, dtype=float), np.asarray(cell, dtype=float)
    skip = _check(rows, box, axis, power_ev_per_ps, block_ps, skip)
    slabs = rows.shape[1]
    volume = abs(float(np.linalg.det(box)))
    area = float(np.linalg.norm(np.cross(box[(axis + 1) % 3], box[(axis + 2) % 3])))
    thickness = volume / area / slabs
    length = thickness * slabs / 2
    flux = power_ev_per_ps / (2 * area)

    temperatures = rows[..., 1] / (3 * KB_EV * rows[..., 0])  # [blocks, slabs]
    fitted = _fitted(slabs, skip)
    halves = temperatures[:, fitted]  # [blocks, 2, n] from hot to cold
    slope = _slope_weights(fitted.shape[1], thickness)
    series = halves @ slope  # [blocks, 2]
    both = series.mean(axis=1)

    start, agreed = _steady_from(both)
    density = rows[..., 0].sum(axis=1).mean() / volume
    relaxation, start, enough = _wait(both, start, flux, length, density, block_ps)
    used = both[start:]
    used_ps = len(used) * block_ps
    gradient, error = _mean(used)
    gradients, gradient_errors = _means(series[start:])
    kappa = flux / gradient * EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K
    means, mean_errors = _means(temperatures[start:])
    mean_temperature = float(means[fitted].mean())
    difference = float(means[0] - means[slabs // 2])

    direction = np.array([1.0, -1.0])[:, None]
    currents = (rows[start:, :, 2:][:, fitted] * direction[..., None]).mean(axis=(1, 2)) / (area * thickness)
    middle, middle_error = _mean(currents.sum(axis=1))
    share, share_error = _mean(currents[:, 1] / flux)
    bend, bend_error = _bends(halves[start:].mean(axis=1), thickness, gradient)

    problems = [
        *_unsteady(used, agreed, enough, relaxation, len(both) * block_ps),
        *_lost(gradient, error),
        *_bent(bend, bend_error, abs(gradient) * thickness * (fitted.shape[1] - 1) / mean_temperature),
        *_unlike_halves(series[start:]),
        *_leaking(middle, middle_error, flux),
    ]
    if abs(difference) > MAX_RELATIVE_DIFFERENCE * mean_temperature:
        problems.append(
            f"the reservoirs differ by {difference:.3g} K at {mean_temperature:.3g} K, too much for one temperature: "
            f"take a power of {power_ev_per_ps * 0.6 * MAX_RELATIVE_DIFFERENCE * mean_temperature / difference:.2g} "
            "eV/ps"
        )
    remarks = []
    if abs(share) > max(CONVECTION, SIGNIFICANT * share_error):
        remarks.append(
            f"atoms carry {share:.0%} of the heat along: where ions diffuse, wait until their flow has ceased, which "
            "takes far longer than the flow of heat needs"
        )
    return Nemd(
        kappa=kappa,
        uncertainty=abs(kappa * error / gradient),
        length_A=length,
        area_A2=area,
        temperature=mean_temperature,
        difference=difference,
        gradient=gradient,
        gradient_uncertainty=error,
        gradients=gradients,
        gradient_uncertainties=gradient_errors,
        flux=flux,
        middle_flux=middle,
        middle_flux_uncertainty=middle_error,
        convective_share=share,
        convective_share_uncertainty=share_error,
        positions_A=(np.arange(slabs) + 0.5) * thickness,
        temperatures=means,
        temperature_uncertainties=mean_errors,
        skipped=skip,
        block_ps=block_ps,
        relaxation_ps=relaxation,
        left_out_ps=start * block_ps,
        used_ps=used_ps,
        gradient_series=both,
        bend=bend,
        bend_uncertainty=bend_error,
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def nemd_quantity(result: Nemd, direction: str, target: float = TARGET_RELATIVE_ERROR) -> Quantity:
    """Report the conductivity of one cell.

    Parameters
    ----------
    result
        From `nemd`.
    direction
        Name of the axis.
    target
        Relative standard error to reach.

    Raises
    ------
    ValueError
        If the target is not positive.
    """
    if not target > 0:
        raise ValueError(f"the relative error to reach must be positive, not {target:g}")
    problems = list(result.problems)
    relative = result.uncertainty / abs(result.kappa)
    if result.gradient > 0 and target < relative < 1:
        needed = result.left_out_ps + result.used_ps * (relative / target) ** 2
        problems.append(
            f"the standard error is {relative:.0%} after {result.used_ps:.3g} ps: produce {needed:.3g} ps in all for "
            f"{target:.0%}"
        )
    return Quantity(
        name="kappa_nemd_finite",
        value=result.kappa,
        unit=UNIT,
        method=(
            f"heat exchange between reservoirs {result.length_A:.4g} Angstrom apart, line through "
            f"{result.fitted.shape[1]} slabs of each half, {result.skipped} left out beside each reservoir; "
            f"{result.used_ps:.4g} ps after {result.left_out_ps:.4g} ps"
        ),
        converged=not problems,
        reason="; ".join(problems),
        uncertainty=result.uncertainty,
        temperature=float(f"{result.temperature:.4g}"),
        direction=direction,
        citation=CITATION,
    )


def _check(rows: Array, box: Array, axis: int, power: float, block_ps: float, skip: int | None) -> int:
    """Return the number of slabs to skip, after the input has been found sound."""
    if rows.ndim != 3 or rows.shape[2] != 4 or box.shape != (3, 3):
        raise ValueError(f"need a profile [blocks, slabs, 4] and a cell [3, 3], not {rows.shape} and {box.shape}")
    blocks, slabs = rows.shape[:2]
    if axis not in (0, 1, 2):
        raise ValueError(f"the axis is 0, 1 or 2, not {axis}")
    if slabs < LEAST_SLABS or slabs % 2:
        raise ValueError(f"need an even number of slabs, {LEAST_SLABS} or more, not {slabs}")
    if blocks < LEAST_BLOCKS:
        raise ValueError(f"{blocks} blocks are too short a run for an error bar: {LEAST_BLOCKS} are needed")
    if not np.all(np.isfinite(rows)):
        raise ValueError("the profile holds numbers that are not finite")
    if not np.all(rows[..., 0] > 0):
        raise ValueError("a slab has no free atom for a whole block: take thicker slabs")
    if not (power > 0 and block_ps > 0):
        raise ValueError(f"power and time of a block must be positive, not {power:g} and {block_ps:g}")
    skip = default_skip(slabs) if skip is None else skip
    left = slabs // 2 - 1 - 2 * skip
    if skip < 0 or left < 3:
        raise ValueError(
            f"leaving out {skip} slabs beside each reservoir leaves {left} of each half: at least 3 are needed"
        )
    return skip


def _fitted(slabs: int, skip: int) -> NDArray[np.int64]:
    first = np.arange(1 + skip, slabs // 2 - skip)
    return np.stack([first, slabs - first])


def _slope_weights(count: int, spacing: float) -> Array:
    """Weights that make of ordinates at equal distances, hot to cold, the fall per distance."""
    x = np.arange(count) - (count - 1) / 2
    return -x / (np.sum(x**2) * spacing)


def _means(series: Array) -> tuple[Array, Array]:
    """Mean of each column of ``[blocks, n]`` and its standard error, both ``[n]``."""
    return series.mean(axis=0), np.array([_standard_error(column) for column in series.T])


def _mean(series: Array) -> tuple[float, float]:
    """Mean of ``[blocks]`` and its standard error."""
    return float(series.mean()), _standard_error(series)


def _standard_error(series: Array) -> float:
    """From the autocorrelation time, or from five blocks where these tell of slower fluctuations."""
    n = len(series)
    # A series of changes, as a convective current in a solid, has no correlation time; its mean is one change over n.
    share = min(max(2 * autocorrelation_time(series) / n, n**-2.0), 0.5)
    # Samples scatter about their own mean, which fluctuates with them.
    correlated = float(series.std() * np.sqrt(share / (1 - share)))
    return max(correlated, float(block_standard_error(series, 5)))


def _difference(first: Array, second: Array) -> tuple[float, float]:
    """Difference of two means and its standard error."""
    (a, da), (b, db) = _mean(first), _mean(second)
    return a - b, float(np.hypot(da, db))


def _steady_from(series: Array) -> tuple[int, bool]:
    """First block of the steady part, and whether there is one within the first half of the run."""
    n = len(series)
    for start in range(0, n // 2 + 1, max(1, n // 20)):
        rest = series[start:]
        quarter = len(rest) // 4
        change, error = _difference(rest[:quarter], rest[quarter:])
        if abs(change) <= 2 * error:
            return start, True
    return n // 2, False


def _wait(
    series: Array, start: int, flux: float, length: float, density: float, block_ps: float
) -> tuple[float, int, bool]:
    """Relaxation time in ps, first block after enough of them, and whether half of the run is left then."""
    # The gradient grows towards its last value: the largest time is that of the smallest gradient, the first estimate.
    relaxation = 0.0
    for _ in range(3):
        gradient = float(series[start:].mean())
        if gradient <= 0:
            return relaxation, start, True  # lost in noise, which another verdict says
        relaxation = length**2 * 3 * density * KB_EV * gradient / (np.pi**2 * flux)
        needed = int(np.ceil(RELAXATION_TIMES * relaxation / block_ps))
        if needed > len(series) // 2:
            return relaxation, len(series) // 2, False
        start = max(start, needed)
    return relaxation, start, True


def _bends(halves: Array, spacing: float, gradient: float) -> tuple[Array, Array]:
    """Compute changes of the gradient within the fitted slabs, relative to it, from ``[blocks, n]`` hot to cold."""
    n = halves.shape[1]
    x = (np.arange(n) - (n - 1) / 2) * spacing
    # T = ... + c (x^2 - mean): the fall at the cold end less that at the hot end is -2 c (x_n - x_1)
    square = x**2 - np.mean(x**2)
    along = -2 * np.ptp(x) * (halves @ square) / np.sum(square**2)
    quarter = n // 4
    inner = halves[:, quarter : n - quarter] @ _slope_weights(n - 2 * quarter, spacing)
    inside = inner - halves @ _slope_weights(n, spacing)
    values, errors = _means(np.column_stack([along, inside]) if quarter else along[:, None])
    scale = abs(gradient) or 1.0
    # with three slabs the inner half is all of them
    padding = 2 - len(values)
    return np.pad(values / gradient if gradient else values, (0, padding)), np.pad(errors / scale, (0, padding))


def _unsteady(used: Array, agreed: bool, enough: bool, relaxation: float, run_ps: float) -> list[str]:
    if not enough:
        return [
            f"not steady: heat takes {relaxation:.3g} ps to spread; produce {4 * RELAXATION_TIMES * relaxation:.3g} ps "
            f"instead of {run_ps:.3g}"
        ]
    half = len(used) // 2
    change, error = _difference(used[half:], used[:half])
    if not agreed or abs(change) > SIGNIFICANT * error:
        return [
            f"not steady: from the first to the second half of what is left the gradient changes by "
            f"{change / used.mean():+.0%}; produce twice as long"
        ]
    return []


def _lost(gradient: float, error: float) -> list[str]:
    if gradient > 2 * error:
        return []
    return [
        f"the gradient, {gradient:.2g} +- {error:.2g} K/Angstrom, is lost in its noise: exchange more heat or run "
        "longer"
    ]


def _bent(bend: Array, error: Array, span: float) -> list[str]:
    """Verdict on the line; `span` is the temperature difference of the fitted slabs over the mean, kappa ~ 1/T."""
    problems = []
    for value, sigma, allowed, where in zip(
        bend,
        error,
        (MAX_BEND + span, MAX_BEND),
        ("from the hot to the cold end of the fitted slabs", "from all of them to the inner half"),
        strict=True,
    ):
        if abs(value) - allowed > SIGNIFICANT * sigma:
            problems.append(
                f"the profile is no line: {where} the gradient changes by {value:+.0%}; leave out more slabs beside "
                "the reservoirs, or exchange less heat"
            )
    return problems


def _unlike_halves(series: Array) -> list[str]:
    change, error = _mean(np.diff(series, axis=1)[:, 0])
    if abs(change) <= SIGNIFICANT * error:
        return []
    return [
        f"the gradients of the two halves differ by {abs(change) / abs(series.mean()):.0%}: the cell is not the same "
        "both ways, or the run too short"
    ]


def _leaking(middle: float, error: float, flux: float) -> list[str]:
    if abs(middle - flux) <= SIGNIFICANT * error:
        return []
    return [
        f"the heat current of the middle, {middle:.3g} +- {error:.1g} eV/(ps Angstrom^2), is not that of the "
        f"reservoirs, {flux:.3g}: the profile is not steady, or slabs and crystal do not fit"
    ]
