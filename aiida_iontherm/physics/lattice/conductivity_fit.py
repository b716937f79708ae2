"""Constants of a scattering model from a measured conductivity, and what the measurement can tell about them.

The two-channel sum with an analytic model of the linewidths (`scattering_models`) is fitted to kappa(T), as Bernges et
al. do for Ag8GeSe6 with 1/tau = C1 w^2 T exp(-C2/T) + A w. Constants are positive and of unknown order of magnitude, so
the fit works with their logarithms.

Near the best fit the measurement is worth the Fisher information F_ab = sum_i J_ia J_ib, with
J_ia = (d kappa_i / d ln p_a) / sigma_i; its inverse is the covariance of the ln p. A constant whose logarithm is not
known to better than one has no error bar worth the name and is reported as not determined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from aiida_iontherm.physics.distributions import chi2_tail, normal_quantile
from aiida_iontherm.physics.lattice.pair_sum import PairSum
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.scattering_models import ScatteringModel

Conductivity = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Total conductivity [T, 3, 3] in W/(m K) from half widths [T, q, s] in THz and temperatures [T] in K."""

UNDETERMINED = 1.0
"""Standard error of ln p beyond which a constant is not determined: a factor e either way."""

POOR_FIT = 0.01
"""Below this probability of chi2 the model does not describe the data."""

_COMPONENTS = {"average": np.eye(3) / 3} | {2 * axis: np.diag(row) for axis, row in zip("xyz", np.eye(3), strict=True)}
"""What to contract the tensor with."""

_STEP = 1e-4
"""Step in ln p of the central differences: their error is its square, the rounding of the sum over it 1e-10."""

_REACH = np.log(1e6)
"""How far in ln p the fit may go from its start."""


@dataclass(frozen=True, kw_only=True)
class ConductivityFit:
    """Constants of a scattering model fitted to a conductivity.

    Attributes
    ----------
    names
        The fitted constants [p], in the order of all arrays.
    values
        Best fit [p].
    log_covariance
        Covariance of the ln p [p, p]; variances of 1e16 where the data say nothing.
    information
        Share of each datum in what is known about each constant [p, n], the others being fitted too.
        It is the part of the constant's sensitivity that no change of the others can imitate, squared. Rows sum to
        one, or are zero where nothing is known.
    sensitivities
        d ln kappa / d ln p [p, n] at the best fit.
    temperatures, measured, uncertainties, fitted
        The data in K and W/(m K) and the fit to them [n].
    chi2, degrees_of_freedom
        Sum of squared residuals over squared errors; data minus constants.
    undetermined
        Constants the data do not determine.
    converged, reason
        Whether every constant is determined and the model describes the data; why not.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    log_covariance: NDArray[np.float64]
    information: NDArray[np.float64]
    sensitivities: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    measured: NDArray[np.float64]
    uncertainties: NDArray[np.float64]
    fitted: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int
    undetermined: tuple[str, ...]
    converged: bool
    reason: str

    @property
    def parameters(self) -> dict[str, float]:
        """Name to best value."""
        return {name: float(value) for name, value in zip(self.names, self.values, strict=True)}

    @property
    def errors(self) -> dict[str, float]:
        """Name to standard error, p times that of ln p."""
        return {
            name: float(value * np.sqrt(variance))
            for name, value, variance in zip(self.names, self.values, np.diag(self.log_covariance), strict=True)
        }

    @property
    def correlations(self) -> NDArray[np.float64]:
        """Correlations of the ln p [p, p]."""
        scale = np.sqrt(np.diag(self.log_covariance))
        return self.log_covariance / np.outer(scale, scale)

    @property
    def p_value(self) -> float:
        """Chance of a chi2 this large if the model is right; 1 without degrees of freedom."""
        return float(chi2_tail(self.chi2, self.degrees_of_freedom)) if self.degrees_of_freedom else 1.0

    def interval(self, name: str, probability: float = 0.6827) -> tuple[float, float]:
        """Range that holds a constant with a probability: p exp(-+ z sigma), symmetric in ln p."""
        index = self.names.index(name)
        reach = normal_quantile(0.5 + probability / 2) * np.sqrt(self.log_covariance[index, index])
        with np.errstate(over="ignore"):
            return float(self.values[index] * np.exp(-reach)), float(self.values[index] * np.exp(reach))


def two_channel_total(phonons: Phonons, *, degeneracy_thz: float = 1e-4, cutoff_thz: float = 0.05) -> Conductivity:
    """Total two-channel conductivity as a function of linewidths, with the velocity products computed once.

    Arguments as in `PairSum`.
    """
    pairs = PairSum.of(phonons, degeneracy_thz=degeneracy_thz, cutoff_thz=cutoff_thz)

    def total(gamma_thz: NDArray[np.float64], temperatures: NDArray[np.float64]) -> NDArray[np.float64]:
        channels = [pairs.channels(gamma, float(t)) for gamma, t in zip(gamma_thz, temperatures, strict=True)]
        return np.array(channels).sum(axis=1)

    return total


def starting_values(frequencies_thz: ArrayLike, temperatures: ArrayLike, kappa: ArrayLike) -> dict[str, float]:
    """Guess c1, c2 and a of `umklapp_and_proportional`, to some orders of magnitude, which is near enough for a fit.

    The typical mode lives 100 periods for A alone and 10 for C1 at the highest temperature, and C2 is where the
    conductivity is largest.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s].
    temperatures, kappa
        The measurement [n], in K and W/(m K).
    """
    frequencies, kelvin = np.asarray(frequencies_thz, dtype=float), np.atleast_1d(np.asarray(temperatures, dtype=float))
    real = frequencies[frequencies > 0]
    if not real.size:
        raise ValueError("all modes are imaginary: nothing to start from")
    # A lifetime of n periods is a rate f/n.
    typical = 1e12 * float(np.median(real))
    return {
        "c1": typical / 10 / ((2 * np.pi * typical) ** 2 * float(kelvin.max())),
        "c2": float(kelvin[np.argmax(np.atleast_1d(kappa))]),
        "a": 1 / (2 * np.pi * 100),
    }


def fit_conductivity(
    model: Callable[..., ScatteringModel],
    start: Mapping[str, float],
    frequencies_thz: ArrayLike,
    conductivity: Conductivity,
    temperatures: ArrayLike,
    kappa: ArrayLike,
    uncertainties: ArrayLike | None = None,
    *,
    fixed: Mapping[str, float] | None = None,
    component: str | Sequence[str] = "average",
) -> ConductivityFit:
    """Fit constants of a scattering model to a conductivity by least squares.

    Parameters
    ----------
    model
        Called with all constants by name, fitted and fixed; gives the model. `umklapp_and_proportional`, for instance.
    start
        Constants to fit, with starting values (`starting_values`); the fit may go from these by a factor of a million.
    frequencies_thz
        Frequencies [q, s].
    conductivity
        The sum over modes: `two_channel_total`, or anything else that is called alike.
    temperatures, kappa
        The measurement [n], in K and W/(m K); temperatures may repeat.
    uncertainties
        One standard error of each datum [n]. Without them all data have the same relative error, taken from the
        scatter about the fit, and whether the model describes the data is not tested.
    fixed
        Constants not to fit.
    component
        What was measured: ``"average"`` (a third of the trace, polycrystals), or ``"xx"``, ``"yy"``, ``"zz"`` in the
        Cartesian axes of the phonons; one for all data, or one for each.

    Raises
    ------
    ValueError
        If the data are no conductivities, there are fewer than constants, or starting values are not positive or give
        no conductivity.
    """
    names = tuple(start)
    data = _Data.checked(temperatures, kappa, uncertainties, component)
    first = np.array([start[name] for name in names], dtype=float)
    held = {} if fixed is None else dict(fixed)
    if not names:
        raise ValueError("nothing to fit: name at least one constant in start")
    if both := set(names) & set(held):
        raise ValueError(f"{', '.join(sorted(both))} cannot be fitted and fixed at once")
    if not (np.isfinite(first).all() and np.all(first > 0)):
        raise ValueError("starting values must be positive: a constant that is zero is a fixed one")
    needed = len(names) + (uncertainties is None)
    if len(data.kappa) < needed:
        raise ValueError(
            f"{len(data.kappa)} data cannot determine {len(names)} constants"
            f"{' and their own scatter' if uncertainties is None else ''}: fix some or give more data"
        )
    frequencies = np.asarray(frequencies_thz, dtype=float)
    kelvin, row = np.unique(data.temperatures, return_inverse=True)

    def kappa_of(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        constants = {name: float(value) for name, value in zip(names, np.exp(logs), strict=True)}
        gamma = model(**constants, **held).gamma_thz(frequencies, kelvin)
        return np.einsum("nab,nab->n", data.selectors, conductivity(gamma, kelvin)[row])

    origin = np.log(first)
    initial = kappa_of(origin)
    if not (np.isfinite(initial).all() and np.all(initial > 0)):
        raise ValueError(
            "the model gives no conductivity at the starting values: some modes need a linewidth at every temperature"
        )
    bounds = (origin - _REACH, origin + _REACH)
    relative = data.sigma / data.kappa
    # ln kappa is close to linear in ln p over decades, kappa is not: come near with the one, end with the other.
    near = optimize.least_squares(
        lambda logs: np.log(kappa_of(logs) / data.kappa) / relative, origin, bounds=bounds, ftol=1e-4, xtol=1e-4
    )
    best = optimize.least_squares(lambda logs: (kappa_of(logs) - data.kappa) / data.sigma, near.x, bounds=bounds)
    fitted = kappa_of(best.x)
    slopes = np.array(
        [(kappa_of(best.x + step) - kappa_of(best.x - step)) / (2 * _STEP) for step in _STEP * np.eye(len(names))]
    )
    freedom = len(data.kappa) - len(names)
    sigma, chi2 = data.sigma, float(np.sum(((fitted - data.kappa) / data.sigma) ** 2))
    if uncertainties is None:
        # Numbers without any scatter come from a formula; their rounding is as good an error as any.
        sigma, chi2 = sigma * np.sqrt(max(chi2 / freedom, 1e-24)), float(freedom)
    jacobian = (slopes / sigma).T
    covariance = _log_covariance(jacobian)
    complaints = _undetermined(names, jacobian, covariance, np.abs(best.x - origin) > 0.99 * _REACH)
    reasons = list(complaints.values())
    if not best.success:
        reasons.append(f"the search for the best fit stopped early ({best.message.rstrip('.')})")
    if uncertainties is not None and freedom and chi2_tail(chi2, freedom) < POOR_FIT:
        reasons.append(
            f"the model does not describe the data within their errors (chi2 {chi2:.3g}, degrees of freedom {freedom})"
        )
    converged = not reasons
    if uncertainties is None:
        reasons.append("errors from the scatter of data without errors: the model itself is not tested")
    return ConductivityFit(
        names=names,
        values=np.exp(best.x),
        log_covariance=covariance,
        information=_information(jacobian),
        sensitivities=slopes / fitted,
        temperatures=data.temperatures,
        measured=data.kappa,
        uncertainties=sigma,
        fitted=fitted,
        chi2=chi2,
        degrees_of_freedom=freedom,
        undetermined=tuple(complaints),
        converged=converged,
        reason="; ".join(reasons),
    )


@dataclass(frozen=True)
class _Data:
    """Measurement, checked: arrays [n], and what to contract the tensor with [n, 3, 3]."""

    temperatures: NDArray[np.float64]
    kappa: NDArray[np.float64]
    sigma: NDArray[np.float64]
    selectors: NDArray[np.float64]

    @classmethod
    def checked(
        cls,
        temperatures: ArrayLike,
        kappa: ArrayLike,
        uncertainties: ArrayLike | None,
        component: str | Sequence[str],
    ) -> _Data:
        t, k = np.atleast_1d(np.asarray(temperatures, dtype=float)), np.atleast_1d(np.asarray(kappa, dtype=float))
        # Equal relative errors where none are given.
        s = k.copy() if uncertainties is None else np.atleast_1d(np.asarray(uncertainties, dtype=float))
        components = [component] * len(t) if isinstance(component, str) else list(component)
        if not (t.ndim == 1 and t.shape == k.shape == s.shape == (len(components),)):
            raise ValueError(
                f"{t.shape} temperatures, {k.shape} conductivities, {s.shape} uncertainties and {len(components)} "
                "components do not match: need one of each for every datum"
            )
        for name, numbers in (("temperatures", t), ("conductivities", k), ("uncertainties", s)):
            if not (np.isfinite(numbers).all() and np.all(numbers > 0)):
                raise ValueError(f"{name} must be positive numbers: leave the other data out")
        if unknown := set(components) - set(_COMPONENTS):
            raise ValueError(f"unknown component {sorted(unknown)}: use one of {', '.join(_COMPONENTS)}")
        return cls(t, k, s, np.array([_COMPONENTS[name] for name in components]))


def _log_covariance(jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of J^T J by singular values, which keeps directions without information apart instead of failing."""
    _, singular, vectors = np.linalg.svd(jacobian, full_matrices=False)
    scaled = vectors / np.maximum(singular, 1e-8)[:, None]
    return scaled.T @ scaled


def _information(jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each datum in the information about each constant [p, n], the others being free.

    1/(F^-1)_aa is the squared length of column a of J after its projection on the other columns is taken away, hence
    a sum over data.
    """
    shares = np.zeros_like(jacobian.T)
    for a, column in enumerate(jacobian.T):
        others = np.delete(jacobian, a, axis=1)
        own = column - others @ np.linalg.lstsq(others, column)[0]
        if np.linalg.norm(own) > 1e-6:
            shares[a] = own**2 / np.sum(own**2)
    return shares


def _undetermined(
    names: tuple[str, ...],
    jacobian: NDArray[np.float64],
    covariance: NDArray[np.float64],
    at_bound: NDArray[np.bool_],
) -> dict[str, str]:
    """Constants the data do not determine, with the reason and what to do."""
    errors = np.sqrt(np.diag(covariance))
    complaints = {}
    for a in np.flatnonzero(at_bound | ~(errors < UNDETERMINED)):
        links = np.abs(covariance[a]) / (errors * errors[a])
        links[a] = 0
        partner = int(np.argmax(links))
        if links[partner] > 0.9:
            complaints[names[a]] = f"the data determine {names[a]} only together with {names[partner]}: fix one of them"
        elif at_bound[a] and errors[a] < UNDETERMINED:
            complaints[names[a]] = f"{names[a]} ran to the end of its range: start closer or fix it"
        else:
            complaints[names[a]] = (
                f"the data hardly depend on {names[a]} near its best value: fix it, at zero if it may be"
            )
    return complaints
