"""Damped harmonic oscillators fitted to cuts of S(Q, E), with detailed balance and the resolution.

A line is

    S(E) = A/(1 - exp(-E/kT)) * (4 gamma E/pi)/((E^2 - E0^2)^2 + (2 gamma E)^2),

with the half width gamma at half maximum (2 gamma is the full width; gamma in THz is that of `line_shape` and of the
two-channel formula) and the bare energy E0. A is the first moment, the integral of E S(E): a narrow line has the
intensity A/E0 (n + 1) on the side of energy loss and A/E0 n on the other. Without a temperature the line is the
classical one, kT/E in place of the first factor and A' = A kT.

This is Eq. 3 of Li et al. (Adv. Mater. 2025, e13381) with n(E) + 1 in the place of the printed 1/n(E); that grows as
exp(E/kT) although it keeps detailed balance, and is not the response of an oscillator.

Overdamping. The velocity of an oscillator ceases to change its sign at gamma = E0: this is `OVERDAMPED` here. Below it
there are two weaker marks: no maximum of the classical S(E) is left beside E = 0 at gamma = E0/sqrt(2), and at
gamma = E0/2 the lifetime hbar/(2 gamma) is 1/w, the Ioffe-Regel limit, beyond which Li et al. call a mode overdamped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, least_squares, nnls
from scipy.sparse import csr_array

from aiida_iontherm.physics.distributions import chi2_tail
from aiida_iontherm.physics.spectra.detailed_balance import KB_MEV, MEV_PER_THZ, harmonic_correction
from aiida_iontherm.physics.spectra.resolution import FWHM_PER_SIGMA, Resolution

SURE = 2.0
"""Standard errors by which a ratio must be beyond a limit to be called so."""

_NODES_PER_FWHM = 24
_NEGLIGIBLE = 1e-14
_ITERATIONS = 200
_REWEIGHTINGS = 4
_LEAST_SHARE = 0.02


class Damping(StrEnum):
    """How strongly a line is damped; gamma/E0 is beyond the limit by two standard errors."""

    UNDERDAMPED = "underdamped"
    IOFFE_REGEL = "beyond Ioffe-Regel"
    OVERDAMPED = "overdamped"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class DampedLine:
    """One oscillator.

    Attributes
    ----------
    energy_mev, gamma_mev
        E0 and the half width at half maximum.
    amplitude
        A, in the unit of S times meV^2.
    energy_error_mev, gamma_error_mev, amplitude_error
        Standard errors.
    ratio, ratio_error
        gamma/E0 and its standard error, correlation included.
    at_bound
        Whether E0 or gamma stopped at the end of what the data can tell: errors mean nothing then.
    """

    energy_mev: float
    gamma_mev: float
    amplitude: float
    energy_error_mev: float
    gamma_error_mev: float
    amplitude_error: float
    ratio: float
    ratio_error: float
    at_bound: bool

    @property
    def damping(self) -> Damping:
        """The verdict."""
        if self.at_bound:
            return Damping.UNDECIDED
        low, high = self.ratio - SURE * self.ratio_error, self.ratio + SURE * self.ratio_error
        if low > 1:
            return Damping.OVERDAMPED
        if high < 0.5:
            return Damping.UNDERDAMPED
        if low > 0.5 and high < 1:
            return Damping.IOFFE_REGEL
        return Damping.UNDECIDED

    @property
    def gamma_thz(self) -> float:
        """Half width as the two-channel formula takes it."""
        return self.gamma_mev / MEV_PER_THZ

    @property
    def frequency_thz(self) -> float:
        """E0 as an ordinary frequency."""
        return self.energy_mev / MEV_PER_THZ


@dataclass(frozen=True)
class DhoFit:
    """Lines of one cut.

    Attributes
    ----------
    lines
        By ascending E0.
    background, background_error
        Constant, in the unit of S; 0 and 0 where none was fitted.
    elastic, elastic_error
        Area of the elastic line; 0 and 0 where none was fitted.
    covariance
        Of the parameters: amplitude, E0, gamma of each line, then background, elastic line [p, p].
    reduced_chi2
        Of the residuals over the errors; where no errors were given, the scale is arbitrary and taken into the
        covariance.
    p_value
        Chance of residuals as large as these; ``None`` where no errors were given.
    model
        The fitted curve at the energies [E].
    """

    lines: tuple[DampedLine, ...]
    background: float
    background_error: float
    elastic: float
    elastic_error: float
    covariance: NDArray[np.float64]
    reduced_chi2: float
    p_value: float | None
    model: NDArray[np.float64]


def dho_line(
    energies_mev: ArrayLike, energy_mev: float, gamma_mev: float, temperature: float | None = None
) -> NDArray[np.float64]:
    """S(E) of an oscillator with A = 1 (A' = 1 meV where no temperature is given), in 1/meV^2 [n].

    The first moment is 1; the classical line has the integral 2/E0^2 and the second moment 2.
    """
    e = np.asarray(energies_mev, dtype=float)
    shape = (4 * gamma_mev / np.pi) / ((e**2 - energy_mev**2) ** 2 + (2 * gamma_mev * e) ** 2)
    return shape if temperature is None else shape * KB_MEV * temperature * harmonic_correction(e, temperature)


class BroadenedLines:
    """Lines seen with a resolution: integrals over the oscillator are exact, however narrow it is.

    The rest of the integrand, the resolution and the factor of detailed balance, is taken for linear between nodes of
    1/24 of the resolution. That is off by less than 1e-3 of the maximum for a line without width, and much less for
    a line that is resolved.

    Parameters
    ----------
    energies_mev
        Where the lines are wanted [E].
    resolution
        Of the instrument.
    temperature
        In K, or ``None`` for classical lines.
    """

    def __init__(self, energies_mev: ArrayLike, resolution: Resolution, temperature: float | None) -> None:
        e = np.asarray(energies_mev, dtype=float)
        widths = resolution.sigma_mev(e) * FWHM_PER_SIGMA
        # A Gaussian has nothing left at three times its full width.
        reach, self._step = 3 * float(widths.max()), float(widths.min()) / _NODES_PER_FWHM
        count = int(np.ceil((float(e.max()) - float(e.min()) + 2 * reach) / self._step)) + 1
        nodes = float(e.min()) - reach + self._step * np.arange(count)
        self._outer = np.concatenate([[nodes[0] - self._step], nodes, [nodes[-1] + self._step]])
        kernel = resolution.kernel(e, nodes)
        kernel[kernel < _NEGLIGIBLE * kernel.max(axis=0)] = 0
        if temperature is not None:
            kernel *= KB_MEV * temperature * harmonic_correction(nodes, temperature)
        self._kernel = csr_array(kernel)

    def line(self, energy_mev: float, gamma_mev: float) -> NDArray[np.float64]:
        """`dho_line` with these numbers, broadened [E]."""
        split = np.sqrt(complex(energy_mev**2 - gamma_mev**2))
        # At critical damping two poles fall together; so close to it nothing changes.
        if abs(split) < 1e-4 * gamma_mev:
            split = 1e-4 * gamma_mev + 0j
        total = np.zeros(len(self._outer))
        for root in (split, -split):
            pole = root + 1j * gamma_mev
            residue = 1 / (2 * root * 2j * gamma_mev * 2 * pole)
            apart = self._outer - pole
            # Integrated twice, 1/(E - z) is (E - z) ln(E - z), and a linear term that drops out below.
            total += 2 * (residue * apart * np.log(apart)).real
        # The second difference is the integral with a tent over each node.
        return self._kernel @ (4 * gamma_mev / np.pi / self._step * (total[2:] - 2 * total[1:-1] + total[:-2]))


def fit_dho(
    energies_mev: ArrayLike,
    values: ArrayLike,
    resolution: Resolution,
    *,
    lines: int | Sequence[float] = 1,
    temperature: float | None = None,
    errors: ArrayLike | None = None,
    proportional: bool = False,
    correlated_points: float = 1.0,
    background: bool = True,
    elastic: bool = True,
) -> DhoFit:
    """Fit oscillators, a constant and an elastic line, all but the constant seen with the resolution.

    Parameters
    ----------
    energies_mev, values
        One cut [E].
    resolution
        Of the data.
    lines
        Their number, or where to look for them in meV.
    temperature
        In K; ``None`` for a classical spectrum.
    errors
        Standard errors of the values [E]. Without these the scatter about the fit is taken for the error.
    proportional
        Without `errors`: the noise is proportional to S, as that of a spectrum from a run. Below 2 % of the maximum it
        is taken for constant: what lies there is seldom one of the lines.
    correlated_points
        So many neighbouring values count as one (`StructureFactor.correlated_points`).
    background, elastic
        Whether there are such; an elastic line only where the cut has values within a full width of it.

    Raises
    ------
    ValueError
        If the data are not finite, too few for the parameters, errors are not positive, or no line is found.
    """
    e, y = np.asarray(energies_mev, dtype=float), np.asarray(values, dtype=float)
    if e.ndim != 1 or y.shape != e.shape:
        raise ValueError(f"values {y.shape} do not fit energies {e.shape}: need one cut [E]")
    if not (np.isfinite(e).all() and np.isfinite(y).all()):
        raise ValueError("the cut holds NaN or infinite values: leave those points out")
    sigma = None if errors is None else np.asarray(errors, dtype=float)
    if sigma is not None and (sigma.shape != y.shape or not (np.isfinite(sigma).all() and np.all(sigma > 0))):
        raise ValueError("errors must be positive and finite, one for each value")
    if sigma is not None and proportional:
        raise ValueError("give either errors or say that they are proportional to the values")
    if not correlated_points >= 1:
        raise ValueError(f"at least one point counts as one, not {correlated_points}")
    starts = _starts(e, y, resolution, lines, proportional)
    # Where the cut does not reach the elastic line its tail would be free to fit the first value.
    elastic = elastic and bool(np.count_nonzero(np.abs(e) < resolution.fwhm_mev) >= 2)
    count = 3 * len(starts) + background + elastic
    freedom = len(e) / correlated_points - count
    if freedom < 1:
        raise ValueError(
            f"{len(e)} values, {len(e) / correlated_points:.3g} of them independent, are too few for {count} "
            "parameters: take a wider cut or fewer lines"
        )
    problem = _Problem(e, y, resolution, temperature, len(starts), background, elastic)
    at = problem.start(starts)
    scale = sigma if sigma is not None else np.full(len(y), float(np.abs(y).max()) or 1.0)
    if proportional:
        # Errors like the values find the weak lines, errors like their roots the strong ones.
        flat = np.maximum(np.abs(y), _LEAST_SHARE * scale)
        solution = min((problem.reweighted(at, first) for first in (flat, np.sqrt(scale * flat))), key=problem.cost)
    else:
        solution = problem.solve(at, scale)
    chi = float(np.sum(solution.fun**2)) / correlated_points
    if proportional:
        # Only where the errors are in proportion does the scatter tell their size: on the floor they are smaller.
        model = np.abs(problem.curve(solution.x))
        high = model > _LEAST_SHARE * model.max()
        freedom = max(1.0, np.count_nonzero(high) / correlated_points - count)
        chi = float(np.sum(solution.fun[high] ** 2)) / correlated_points
    jacobian = solution.jac
    covariance = correlated_points * np.linalg.pinv(jacobian.T @ jacobian)
    if sigma is None:
        covariance *= chi / freedom
    return problem.result(
        solution.x, covariance, chi / freedom, None if sigma is None else float(chi2_tail(chi, freedom))
    )


class _Problem:
    """The model, in parameters scaled to the data: amplitude, E0, gamma of each line, background, elastic line."""

    def __init__(
        self,
        energies: NDArray[np.float64],
        values: NDArray[np.float64],
        resolution: Resolution,
        temperature: float | None,
        lines: int,
        background: bool,
        elastic: bool,
    ) -> None:
        self._e, self._y = energies, values
        self._lines, self._background, self._elastic = lines, background, elastic
        self._broadened = BroadenedLines(energies, resolution, temperature)
        # Narrower lines cannot be told from one of no width.
        self._least = 1e-3 * resolution.fwhm_mev
        self._step = 1e-3 * resolution.fwhm_mev
        # What lies beyond the data looks like a constant, or like a wing.
        self._farthest = 1.2 * float(np.abs(energies).max())
        self._widest = 2 * float(np.abs(energies).max())
        self._zero_line = resolution.kernel(energies, [0.0])[:, 0]

    def start(self, starts: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Amplitudes, background and elastic line that fit best at these energies and widths."""
        columns = [self._broadened.line(energy, gamma) for energy, gamma in starts]
        columns += [np.ones_like(self._e)] * self._background + [self._zero_line] * self._elastic
        sizes = [float(np.abs(column).max()) or 1.0 for column in columns]
        matrix = np.array([column / size for column, size in zip(columns, sizes, strict=True)]).T
        coefficients = nnls(matrix, self._y)[0]
        coefficients = np.maximum(coefficients, 1e-3 * np.abs(self._y).max()) / sizes
        lines = [
            (coefficients[i], min(max(energy, 2 * self._least), self._farthest / 1.1), min(gamma, self._widest / 1.1))
            for i, (energy, gamma) in enumerate(starts)
        ]
        return np.concatenate([np.ravel(lines), coefficients[len(starts) :]])

    def curve(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(self._e)
        for i in range(self._lines):
            amplitude, energy, gamma = at[3 * i : 3 * i + 3]
            total += amplitude * self._broadened.line(energy, gamma)
        rest = list(at[3 * self._lines :])
        if self._background:
            total += rest.pop(0)
        if self._elastic:
            total += rest.pop(0) * self._zero_line
        return total

    def solve(self, at: NDArray[np.float64], scale: NDArray[np.float64]) -> OptimizeResult:
        low, high = self._limits()
        return least_squares(
            lambda x: (self.curve(x) - self._y) / scale,
            np.clip(at, low, high),
            jac=lambda x: self.slopes(x) / scale[:, None],
            bounds=(low, high),
            x_scale="jac",
            max_nfev=_ITERATIONS,
        )

    def reweighted(self, at: NDArray[np.float64], scale: NDArray[np.float64]) -> OptimizeResult:
        """Solve with errors in proportion to the curve, beginning with others."""
        solution = self.solve(at, scale)
        for _ in range(_REWEIGHTINGS):
            solution = self.solve(solution.x, self._positive(solution.x))
        return solution

    def cost(self, solution: OptimizeResult) -> float:
        """Less the logarithm of the likelihood of periodograms (Whittle)."""
        model = self._positive(solution.x)
        return float(np.sum(np.log(model) + self._y / model))

    def _positive(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        model = np.abs(self.curve(at))
        return np.maximum(model, _LEAST_SHARE * model.max())

    def slopes(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differentiate the curve [E, p], by E0 and gamma from differences."""
        columns = []
        for i in range(self._lines):
            amplitude, energy, gamma = at[3 * i : 3 * i + 3]
            line = self._broadened.line
            columns.append(line(energy, gamma))
            step = min(self._step, energy / 10)
            columns.append(amplitude * (line(energy + step, gamma) - line(energy - step, gamma)) / (2 * step))
            step = min(self._step, gamma / 10)
            columns.append(amplitude * (line(energy, gamma + step) - line(energy, gamma - step)) / (2 * step))
        columns += [np.ones_like(self._e)] * self._background + [self._zero_line] * self._elastic
        return np.array(columns).T

    def result(
        self, at: NDArray[np.float64], covariance: NDArray[np.float64], reduced: float, p_value: float | None
    ) -> DhoFit:
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0))
        lines = []
        for i in range(self._lines):
            part = slice(3 * i, 3 * i + 3)
            amplitude, energy, gamma = (float(value) for value in at[part])
            slope = np.array([0.0, -gamma / energy**2, 1 / energy])
            low, high = (limit[part] for limit in self._limits())
            beyond = at[part][1:] <= low[1:] * 1.01, at[part][1:] >= high[1:] * 0.99
            lines.append(
                DampedLine(
                    energy_mev=energy,
                    gamma_mev=gamma,
                    amplitude=amplitude,
                    amplitude_error=float(deviations[3 * i]),
                    energy_error_mev=float(deviations[3 * i + 1]),
                    gamma_error_mev=float(deviations[3 * i + 2]),
                    ratio=gamma / energy,
                    ratio_error=float(np.sqrt(max(0.0, slope @ covariance[part, part] @ slope))),
                    at_bound=bool(np.any(beyond)),
                )
            )
        rest = list(zip(at[3 * self._lines :], deviations[3 * self._lines :], strict=True))
        constant = rest.pop(0) if self._background else (0.0, 0.0)
        zero = rest.pop(0) if self._elastic else (0.0, 0.0)
        return DhoFit(
            lines=tuple(sorted(lines, key=lambda line: line.energy_mev)),
            background=float(constant[0]),
            background_error=float(constant[1]),
            elastic=float(zero[0]),
            elastic_error=float(zero[1]),
            covariance=covariance,
            reduced_chi2=reduced,
            p_value=p_value,
            model=self.curve(at),
        )

    def _limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Intensities are not negative; the constant is free, as what was subtracted from data may be too much."""
        low = [0.0, self._least, self._least] * self._lines + [-np.inf] * self._background + [0.0] * self._elastic
        high = [np.inf, self._farthest, self._widest] * self._lines + [np.inf] * (self._background + self._elastic)
        return np.array(low), np.array(high)


def _starts(
    energies: NDArray[np.float64],
    values: NDArray[np.float64],
    resolution: Resolution,
    lines: int | Sequence[float],
    proportional: bool,
) -> list[tuple[float, float]]:
    """Energies and widths to begin with: where the cut is highest above its surroundings, or its root is."""
    width = float(resolution.fwhm_mev)
    if not isinstance(lines, int):
        found = [float(energy) for energy in lines]
        if not found or not all(np.isfinite(energy) and energy > 0 for energy in found):
            raise ValueError("energies to look for lines at must be positive")
        return [(energy, width / 2) for energy in found]
    if lines < 1:
        raise ValueError(f"a fit needs at least one line, not {lines}")
    loss = energies > 1.5 * width
    if np.count_nonzero(loss) < 5:
        raise ValueError("the cut has no values beyond the elastic line: take a wider cut")
    order = np.argsort(energies[loss])
    e, y = energies[loss][order], values[loss][order]
    # Half a second to import, which only this needs.
    from scipy.signal import find_peaks

    if proportional:
        # Between the noise of strong lines and that of the floor.
        y = np.sqrt(np.maximum(y, 0))
    peaks, about = find_peaks(np.concatenate([[-np.inf], y, [-np.inf]]), prominence=0, width=0)
    best = peaks[np.argsort(about["prominences"])[::-1][:lines]] - 1
    step = float(np.median(np.diff(e)))
    widths = about["widths"][np.argsort(about["prominences"])[::-1][:lines]] * step / 2
    starts = [(float(e[i]), float(max(w, width / 2))) for i, w in zip(best, widths, strict=True)]
    # Too few maxima: shoulders are somewhere between.
    spare = np.linspace(e[0], e[-1], 2 * lines + 1)[1::2]
    starts += [(float(x), 2 * width) for x in spare[: lines - len(starts)]]
    return sorted(starts)
