"""Measured heat capacity as one Debye and a few Einstein terms, with error bars and a choice of their number.

C_p(T) = R [w_D D(Theta_D/T) + sum_i w_i E(Theta_i/T)] + gamma T per mole of formula units. D and E tend to one, so
that w are numbers of modes per formula unit. This is Eq. 1 of X. Shen et al., Adv. Sci. 2024, 10.1002/advs.202400258,
with the full Debye function in place of its T^3 law; ``cubic=True`` gives the law as printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants, optimize

from aiida_iontherm.physics.distributions import chi2_tail
from aiida_iontherm.physics.heat.capacity import debye_velocity, mode_heat_capacity
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

KELVIN_TO_THZ = KB_EV / H_EV_THZ
"""Frequency of the quantum k_B T."""

POOR_FIT = 0.01
"""Below this probability of chi2 the data are not called described."""

CONSTRAINED = 0.5
"""Largest relative standard error of a temperature or weight that counts as known."""

BEAM = 4
"""Fits kept at each number of Einstein terms as starting points of the next."""

NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(64)
"""Quadrature of the Debye function: to 1e-13 up to x = 60, beyond which the integrand is below 1e-18 of the whole."""

Floats = NDArray[np.float64]


def debye_heat_capacity(debye_temperature_K: ArrayLike, temperatures: ArrayLike) -> Floats:
    """Heat capacity of a Debye spectrum per mode in units of k_B.

    D = 3/x^3 int_0^x t^4 e^t/(e^t - 1)^2 dt with x = Theta/T: 1 at high temperature, 4 pi^4/(5 x^3) at low. Arguments
    are positive and broadcast. The Einstein term is `capacity.mode_heat_capacity`.
    """
    x = np.asarray(debye_temperature_K, dtype=float) / np.asarray(temperatures, dtype=float)
    half = np.minimum(x, 60.0)[..., None] / 2
    t = half * (NODES + 1)
    return 3 / x**3 * np.sum(half * NODE_WEIGHTS * (t * t / (2 * np.sinh(t / 2))) ** 2, axis=-1)


@dataclass(frozen=True, kw_only=True)
class DebyeEinsteinFit:
    """One fit of C_p(T).

    Attributes
    ----------
    n_atoms
        Atoms per formula unit, N.
    tied, electronic, cubic
        Whether the weights sum to 3N, a linear term was fitted, and the Debye term is its T^3 law.
    names
        Of the parameters: ``Theta_D``, ``w_D``, then ``Theta_E1``, ``w_E1`` ... by rising temperature, ``gamma``.
    values, covariance
        ``[p]`` and ``[p, p]``: temperatures in K, weights in modes per formula unit, gamma in J/(mol K^2). Tied
        weights are all listed; their covariance is singular. Without errors of the data it is scaled by the scatter.
    chi2, degrees_of_freedom
        Squared residuals over squared errors; points minus free parameters. Without errors of the data, the errors
        are those, of one relative size, that make chi2 equal to the degrees of freedom.
    aicc, bic
        Akaike's criterion (corrected for few points) and Schwarz's: lower is better, up to a constant of the data.
    temperature_range
        Lowest and highest temperature of the data, K.
    relative_scatter
        Relative error of a point deduced from the scatter; ``None`` where errors were given.
    converged, reason
        Whether the data are described and every temperature and weight is known to better than half its value.
    """

    n_atoms: float
    tied: bool
    electronic: bool
    cubic: bool
    names: tuple[str, ...]
    values: Floats
    covariance: Floats
    chi2: float
    degrees_of_freedom: int
    aicc: float
    bic: float
    temperature_range: tuple[float, float]
    relative_scatter: float | None
    converged: bool
    reason: str

    @property
    def n_einstein(self) -> int:
        """Number of Einstein terms."""
        return (len(self.values) - 2 - self.electronic) // 2

    @property
    def uncertainties(self) -> Floats:
        """``[p]`` one standard error of each of `values`."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlations(self) -> Floats:
        """``[p, p]`` correlation coefficients; 0 with a weight that is fixed (Debye alone, tied)."""
        scale = np.outer(self.uncertainties, self.uncertainties)
        return np.divide(self.covariance, scale, out=np.eye(len(scale)), where=scale > 0)

    @property
    def reduced_chi2(self) -> float:
        """Chi2 per degree of freedom."""
        return self.chi2 / self.degrees_of_freedom

    @property
    def debye_temperature_K(self) -> float:
        """Theta_D of the Debye term: the cut-off of its own w_D modes, not the one to compare with sound."""
        return float(self.values[0])

    @property
    def debye_modes(self) -> float:
        """w_D, modes per formula unit."""
        return float(self.values[1])

    @property
    def einstein_temperatures_K(self) -> Floats:
        """``[i]`` Theta_i, rising."""
        return self.values[2 : 2 + 2 * self.n_einstein : 2]

    @property
    def einstein_frequencies_thz(self) -> Floats:
        """``[i]`` k_B Theta_i/h."""
        return self.einstein_temperatures_K * KELVIN_TO_THZ

    @property
    def einstein_modes(self) -> Floats:
        """``[i]`` w_i, modes per formula unit."""
        return self.values[3 : 3 + 2 * self.n_einstein : 2]

    @property
    def acoustic_debye_temperature(self) -> tuple[float, float]:
        """Debye temperature of the T^3 law and its standard error, K: Theta_D (3N/w_D)^(1/3).

        All 3N modes counted, as in `capacity.debye_temperature`: the one that belongs to the sound velocities.
        """
        value = self.debye_temperature_K * np.cbrt(3 * self.n_atoms / self.debye_modes)
        gradient = value * np.array([1 / self.debye_temperature_K, -1 / (3 * self.debye_modes)])
        return float(value), float(np.sqrt(gradient @ self.covariance[:2, :2] @ gradient))

    def sound_velocity(self, number_density_per_A3: float) -> tuple[float, float]:
        """Debye mean sound velocity of `acoustic_debye_temperature` and its standard error, m/s."""
        theta, error = self.acoustic_debye_temperature
        velocity = float(debye_velocity(theta, number_density_per_A3))
        return velocity, velocity * error / theta

    def heat_capacity(self, temperatures: ArrayLike) -> Floats:
        """``[T]`` the fitted C_p in J/(mol K)."""
        model = _Model(self.n_einstein, 3 * self.n_atoms, self.tied, self.electronic, self.cubic)
        return model.capacity(self.values, np.atleast_1d(np.asarray(temperatures, dtype=float)))[0]


@dataclass(frozen=True, kw_only=True)
class DebyeEinsteinChoice:
    """Fits with different numbers of Einstein terms.

    Attributes
    ----------
    best
        The fit of the lowest criterion among those whose parameters the data constrain.
    fits
        All that could be made, by rising number of Einstein terms.
    """

    best: DebyeEinsteinFit
    fits: tuple[DebyeEinsteinFit, ...]


def debye_einstein_fit(
    temperatures: ArrayLike,
    heat_capacities: ArrayLike,
    n_atoms: float,
    n_einstein: int,
    uncertainties: ArrayLike | None = None,
    *,
    tied: bool = True,
    electronic: bool = False,
    cubic: bool = False,
) -> DebyeEinsteinFit:
    """Least-squares fit with a given number of Einstein terms.

    Starting values come from the data: one Einstein term after the other is added where, on a grid of temperatures
    with the weights solved for (non-negative least squares), it lowers chi2 most.

    Parameters
    ----------
    temperatures, heat_capacities
        ``[n]`` K and J/(mol K) per mole of formula units, positive.
    n_atoms
        Atoms per formula unit, N.
    n_einstein
        Number of Einstein terms, from 0.
    uncertainties
        ``[n]`` one standard error of each heat capacity, positive. Without, all points have the same relative error,
        taken from their scatter: the fit itself is then not tested.
    tied
        Weights sum to 3N. Otherwise all are free.
    electronic
        Add gamma T.
    cubic
        The Debye term is its T^3 law (Shen et al. 2024); good to 1 % below Theta_D/12.

    Raises
    ------
    ValueError
        If the data are not positive numbers of the right size, there are not more temperatures than parameters, or
        some combination of parameters leaves no trace in the data.
    """
    data = _Data.checked(temperatures, heat_capacities, n_atoms, uncertainties)
    if n_einstein < 0:
        raise ValueError("the number of Einstein terms must not be negative")
    base = _Model(0, 3 * n_atoms, tied, electronic, cubic)
    data.check_enough_for(_Model(n_einstein, 3 * n_atoms, tied, electronic, cubic))
    found = next(islice(_ladder(base, data), n_einstein, None), None)
    if found is None:
        raise ValueError(f"no fit with {n_einstein} Einstein terms was found: fit fewer terms")
    return _summary(*found, data, n_atoms)


def choose_debye_einstein(
    temperatures: ArrayLike,
    heat_capacities: ArrayLike,
    n_atoms: float,
    uncertainties: ArrayLike | None = None,
    *,
    max_einstein: int = 4,
    criterion: str = "bic",
    tied: bool = True,
    electronic: bool = False,
    cubic: bool = False,
) -> DebyeEinsteinChoice:
    """Fit with 0, 1, 2 ... Einstein terms and choose.

    Parameters
    ----------
    criterion
        ``"bic"`` or ``"aicc"``; the former asks more of each further term.
    max_einstein
        Largest number of terms. Numbers that the data cannot determine are left out.

    Other parameters as in `debye_einstein_fit`.

    Raises
    ------
    ValueError
        If the criterion is unknown, or the data do not constrain even a single fit; and as `debye_einstein_fit`.
    """
    if criterion not in ("bic", "aicc"):
        raise ValueError(f"criterion must be 'bic' or 'aicc', not {criterion!r}")
    data = _Data.checked(temperatures, heat_capacities, n_atoms, uncertainties)
    base = _Model(0, 3 * n_atoms, tied, electronic, cubic)
    data.check_enough_for(base)
    fits = []
    for model, internal in islice(_ladder(base, data), max_einstein + 1):
        try:
            fits.append(_summary(model, internal, data, n_atoms))
        except ValueError:
            # one term more leaves no trace in the data: neither will two
            break
        if len(np.unique(data.t)) <= model.n_free + 2:
            break
    known = [fit for fit in fits if not _vague(fit.names, fit.values, fit.covariance)]
    if not known:
        raise ValueError(
            f"the data from {data.t.min():g} to {data.t.max():g} K constrain no Debye-Einstein model: "
            "measure over a wider range of temperatures"
        )
    return DebyeEinsteinChoice(best=min(known, key=lambda fit: float(getattr(fit, criterion))), fits=tuple(fits))


@dataclass(frozen=True)
class _Data:
    t: Floats
    c: Floats
    sigma: Floats
    absolute: bool

    @classmethod
    def checked(
        cls, temperatures: ArrayLike, heat_capacities: ArrayLike, n_atoms: float, uncertainties: ArrayLike | None
    ) -> _Data:
        t, c = np.asarray(temperatures, dtype=float), np.asarray(heat_capacities, dtype=float)
        sigma = c if uncertainties is None else np.asarray(uncertainties, dtype=float)
        if t.ndim != 1 or not t.shape == c.shape == sigma.shape:
            raise ValueError("need one heat capacity (and one uncertainty) at each temperature")
        if not (n_atoms > 0 and all(np.all(np.isfinite(a)) and np.all(a > 0) for a in (t, c, sigma))):
            raise ValueError("temperatures, heat capacities, their uncertainties and n_atoms must be positive numbers")
        if c.max() > 6 * constants.R * n_atoms:
            raise ValueError(
                f"{c.max():.4g} J/(mol K) is over twice Dulong-Petit for {n_atoms:g} atoms: is it per mole of formula "
                "units of that many atoms, and not in J/(kg K) or mJ?"
            )
        return cls(t, c, sigma, uncertainties is not None)

    def check_enough_for(self, model: _Model) -> None:
        different = len(np.unique(self.t))
        if different <= model.n_free:
            raise ValueError(
                f"{different} temperatures cannot determine {model.n_free} parameters: measure more, or fit fewer terms"
            )


@dataclass(frozen=True)
class _Model:
    """The curve and its derivatives.

    Physical parameters: Theta_D, w_D, Theta_1, w_1, ..., gamma. Internal ones, without constraints: ln Theta_D,
    ln w_D (free weights only), ln Theta_1, ln w_1 (tied weights: ln w_1/w_D), ..., gamma.
    """

    n_einstein: int
    n_modes: float
    tied: bool
    electronic: bool
    cubic: bool

    @property
    def n_free(self) -> int:
        return 2 + 2 * self.n_einstein - self.tied + self.electronic

    @property
    def names(self) -> tuple[str, ...]:
        terms = ["D", *(f"E{i + 1}" for i in range(self.n_einstein))]
        return tuple(f"{kind}_{term}" for term in terms for kind in ("Theta", "w")) + ("gamma",) * self.electronic

    def debye(self, theta: ArrayLike, t: Floats) -> Floats:
        if self.cubic:
            return 4 * np.pi**4 / 5 * (t / np.asarray(theta, dtype=float)) ** 3
        return debye_heat_capacity(theta, t)

    def capacity(self, physical: Floats, t: Floats) -> tuple[Floats, Floats]:
        """C ``[T]`` and its derivatives ``[T, p]`` by the physical parameters."""
        slopes = np.empty((len(t), len(physical)))
        theta, weight = physical[:2]
        term = self.debye(theta, t)
        slopes[:, 1] = constants.R * term
        # d D/d ln x = 3 (E - D), from the definition of D
        logarithmic = -3 * term if self.cubic else 3 * (mode_heat_capacity(theta * KELVIN_TO_THZ, t) - term)
        slopes[:, 0] = constants.R * weight / theta * logarithmic
        total = weight * slopes[:, 1]
        for k in range(2, 2 + 2 * self.n_einstein, 2):
            theta, weight = physical[k : k + 2]
            x = theta / t
            term = mode_heat_capacity(theta * KELVIN_TO_THZ, t)
            slopes[:, k + 1] = constants.R * term
            # d E/d ln x = E (2 - x coth(x/2))
            slopes[:, k] = constants.R * weight / theta * term * (2 - x / np.tanh(x / 2))
            total += weight * slopes[:, k + 1]
        if self.electronic:
            slopes[:, -1] = t
            total += physical[-1] * t
        return total, slopes

    def physical(self, internal: Floats) -> tuple[Floats, Floats]:
        """Physical parameters ``[p]`` and their derivatives ``[p, n_free]`` by the internal ones."""
        n_terms = 1 + self.n_einstein
        values = np.empty(2 * n_terms + self.electronic)
        slopes = np.zeros((len(values), self.n_free))
        theta_columns = np.array([0, *(2 - self.tied + 2 * np.arange(self.n_einstein))])
        weight_columns = theta_columns[1:] + 1 if self.tied else theta_columns + 1
        values[0 : 2 * n_terms : 2] = np.exp(internal[theta_columns])
        slopes[np.arange(0, 2 * n_terms, 2), theta_columns] = values[0 : 2 * n_terms : 2]
        logs = internal[weight_columns]
        if self.tied:
            logs = np.concatenate([[0.0], logs])
            shares = np.exp(logs - logs.max())
            shares /= shares.sum()
            weights = self.n_modes * shares
            by_log = self.n_modes * (np.diag(shares) - np.outer(shares, shares))[:, 1:]
        else:
            weights = np.exp(logs)
            by_log = np.diag(weights)
        values[1 : 2 * n_terms : 2] = weights
        slopes[np.ix_(np.arange(1, 2 * n_terms, 2), weight_columns)] = by_log
        if self.electronic:
            values[-1], slopes[-1, -1] = internal[-1], 1.0
        return values, slopes

    def internal(self, physical: Floats) -> Floats:
        """Inverse of `physical`."""
        end = 2 + 2 * self.n_einstein
        logs = np.log(physical[:end])
        if self.tied:
            logs[3::2] -= logs[1]
            logs = np.delete(logs, 1)
        return np.concatenate([logs, physical[end:]])


def _ladder(base: _Model, data: _Data) -> Iterator[tuple[_Model, Floats]]:
    """Best fit (model and internal parameters) with 0, 1, 2 ... Einstein terms, as long as anything fits."""
    lowest, highest = data.t.min(), data.t.max()
    # an Einstein term is felt where its temperature is one to ten times that of a point
    grid = np.geomspace(lowest, 12 * highest, 30)
    model = base
    beam = _refined(base, data, _starts(base, data, np.geomspace(lowest, 300 * highest, 60), [()]))
    while beam:
        yield model, beam[0]
        larger = _Model(model.n_einstein + 1, base.n_modes, base.tied, base.electronic, base.cubic)
        starts = []
        for internal in beam:
            # a fit with too many terms may have run off to where nothing is felt: back into the range
            thetas = np.clip(model.physical(internal)[0][: 2 + 2 * model.n_einstein : 2], lowest, 300 * highest)
            for k in range(len(thetas)):
                # the Debye term may have settled where an Einstein term belongs: let each one take its place
                others = np.delete(thetas, k)
                terms = [tuple(sorted([*others, new])) for new in grid]
                starts += _starts(larger, data, thetas[k] * np.geomspace(0.5, 2.0, 5), terms)
        model, beam = larger, _refined(larger, data, starts)


def _starts(
    model: _Model, data: _Data, debyes: Floats, einsteins: list[tuple[float, ...]]
) -> list[tuple[float, Floats]]:
    """Root of chi2 and physical parameters for all pairs of a Theta_D and a set of Einstein temperatures."""
    target = data.c / data.sigma
    # tied weights: one more equation, heavy enough to be met
    heavy = 1e3 * float(np.linalg.norm(target)) / model.n_modes
    total = [heavy] * model.tied

    def column(curve: Floats) -> Floats:
        return np.concatenate([constants.R * curve / data.sigma, total])

    linear = [np.concatenate([data.t / data.sigma, [0.0] * model.tied])] * model.electronic
    target = np.concatenate([target, [heavy * model.n_modes] * model.tied])
    debye_columns = [column(model.debye(theta, data.t)) for theta in debyes]
    starts = []
    for thetas in einsteins:
        columns = [column(mode_heat_capacity(theta * KELVIN_TO_THZ, data.t)) for theta in thetas]
        for debye, first in zip(debyes, debye_columns, strict=True):
            solution, norm = optimize.nnls(np.column_stack([first, *columns, *linear]), target)
            weights, gamma = np.split(solution, [1 + len(thetas)])
            # off the walls, where logarithms would be stuck
            weights = np.maximum(weights, 1e-3 * model.n_modes)
            pairs = np.column_stack([[debye, *thetas], weights]).ravel()
            starts.append((float(norm), np.concatenate([pairs, gamma])))
    return starts


def _refined(model: _Model, data: _Data, starts: list[tuple[float, Floats]]) -> list[Floats]:
    """Run Levenberg-Marquardt from the best starts; results by rising chi2."""
    if len(data.t) <= model.n_free:
        return []

    def residuals(internal: Floats) -> Floats:
        return (model.capacity(model.physical(internal)[0], data.t)[0] - data.c) / data.sigma

    def jacobian(internal: Floats) -> Floats:
        physical, chain = model.physical(internal)
        return model.capacity(physical, data.t)[1] @ chain / data.sigma[:, None]

    results = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        for _, start in _different(sorted(starts, key=lambda s: s[0])):
            try:
                found = optimize.least_squares(
                    residuals, model.internal(start), jac=jacobian, method="lm", x_scale="jac", max_nfev=300
                )
            except ValueError:
                # a step into overflow: that start leads nowhere
                continue
            if np.all(np.isfinite(found.x)):
                results.append((float(found.cost), np.asarray(found.x)))
    results.sort(key=lambda r: r[0])
    return [internal for _, internal in results[:BEAM]]


def _different(starts: list[tuple[float, Floats]]) -> list[tuple[float, Floats]]:
    """Return the best starts whose temperatures differ by a fifth somewhere."""
    kept: list[tuple[float, Floats]] = []
    for norm, values in starts:
        logs = np.log(values[: len(values) // 2 * 2 : 2])
        if all(np.abs(logs - np.log(v[: len(v) // 2 * 2 : 2])).max() > 0.2 for _, v in kept):
            kept.append((norm, values))
        if len(kept) == 2 * BEAM:
            break
    return kept


def _summary(model: _Model, internal: Floats, data: _Data, n_atoms: float) -> DebyeEinsteinFit:
    values, chain = model.physical(internal)
    curve, slopes = model.capacity(values, data.t)
    # data made by the model itself leave nothing, whose logarithm is wanted below
    squares = max(float(np.sum(((curve - data.c) / data.sigma) ** 2)), float(np.finfo(float).tiny))
    n, p = len(data.t), model.n_free
    design = slopes @ chain / data.sigma[:, None]
    lengths = np.linalg.norm(design, axis=0)
    singular = np.linalg.svd(design / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
    # a length is the inverse relative error of a parameter (but for gamma); with columns of length one, below 1e-7 the
    # inverse has lost all digits
    if lengths.min() < 1e-6 or singular[-1] < 1e-7 * singular[0]:
        raise ValueError(
            f"the data from {data.t.min():g} to {data.t.max():g} K do not determine all of {', '.join(model.names)}: "
            "fit fewer terms, tie the weights, or measure over a wider range"
        )
    inverse = np.linalg.inv((design / lengths).T @ (design / lengths)) / np.outer(lengths, lengths)
    dof = n - p
    scale = 1.0 if data.absolute else squares / dof
    deviance = squares if data.absolute else n * np.log(squares / n)
    # the size of the errors is one more parameter where it is fitted
    k = p + (not data.absolute)
    covariance = scale * chain @ inverse @ chain.T
    order = _by_temperature(values, model.n_einstein)
    values, covariance = values[order], covariance[np.ix_(order, order)]
    vague = _vague(model.names, values, covariance)
    p_value = float(chi2_tail(squares, dof))
    if vague:
        reason = f"not constrained by data from {data.t.min():g} to {data.t.max():g} K: {', '.join(vague)}"
    elif not data.absolute:
        reason = "errors from the scatter of points without errors: the model itself is not tested"
    elif p_value < POOR_FIT:
        reason = f"the model does not describe the data within their errors (chi2 probability {p_value:.1g})"
    else:
        reason = f"describes the data within their errors (chi2 probability {p_value:.2g})"
    return DebyeEinsteinFit(
        n_atoms=n_atoms,
        tied=model.tied,
        electronic=model.electronic,
        cubic=model.cubic,
        names=model.names,
        values=values,
        covariance=covariance,
        chi2=squares / scale,
        degrees_of_freedom=dof,
        aicc=deviance + 2 * k + (2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf),
        bic=deviance + k * np.log(n),
        temperature_range=(float(data.t.min()), float(data.t.max())),
        relative_scatter=None if data.absolute else float(np.sqrt(scale)),
        converged=not vague and (not data.absolute or p_value >= POOR_FIT),
        reason=reason,
    )


def _by_temperature(values: Floats, n_einstein: int) -> NDArray[np.intp]:
    """Order of the parameters with rising Einstein temperatures."""
    terms = np.argsort(values[2 : 2 + 2 * n_einstein : 2])
    pairs = [index for k in terms for index in (2 + 2 * k, 3 + 2 * k)]
    return np.array([0, 1, *pairs, *range(2 + 2 * n_einstein, len(values))])


def _vague(names: tuple[str, ...], values: Floats, covariance: Floats) -> list[str]:
    """Names of the temperatures and weights not known to better than half their value."""
    errors = np.sqrt(np.diag(covariance))
    return [
        name
        for name, value, error in zip(names, values, errors, strict=True)
        if name != "gamma" and not error <= CONSTRAINED * value
    ]
