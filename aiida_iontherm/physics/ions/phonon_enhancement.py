"""What vibrations of the framework do to diffusion: D with the framework free over D with it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aiida_iontherm.physics.distributions import normal_quantile
from aiida_iontherm.physics.ions.arrhenius import ArrheniusFit, arrhenius_fit
from aiida_iontherm.physics.ions.einstein import CONFIDENCE, CONVERGED_RELATIVE_ERROR
from aiida_iontherm.physics.quantity import Quantity

KINDS = {
    "frozen": "the framework frozen",
    "polyanions-frozen": "the polyanions frozen",
    "rigid": "the polyanions rigid",
}
"""What may be held, and in words."""

CITATION = "J. Ding et al., Nat. Phys. 21 (2025), 10.1038/s41567-024-02707-6"

LARGEST_RELATIVE_ERROR = 0.5
"""Beyond it ln D is no Gaussian variable, and the interval of the factor means little."""


@dataclass(frozen=True, kw_only=True)
class Enhancement:
    """Factor by which vibrations raise D at one temperature.

    Attributes
    ----------
    kind
        What was held: a key of `KINDS`.
    temperature
        K.
    factor
        D_free/D_held, or a bound; ``None`` where both are only bounded.
    ln_uncertainty
        Standard error of ln(factor); ``None`` for a bound.
    lower, upper
        Central 95 % interval; a bound, 95 % one-sided, has one side. ``None`` for an open side.
    bound
        ``"lower"``, ``"upper"`` or ``None``.
    converged
        Both diffusivities are, and the factor or a telling bound came out.
    effect
        ``enhances``, ``hinders``, ``no effect seen`` or ``undecided``.
    reason
        Verdict in one sentence.
    """

    kind: str
    temperature: float
    factor: float | None
    ln_uncertainty: float | None
    lower: float | None
    upper: float | None
    bound: str | None
    converged: bool
    effect: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class EnhancementSeries:
    """The factor over temperatures, and where it comes from.

    Attributes
    ----------
    points
        At each temperature, in increasing order.
    free, held
        Arrhenius fits of the diffusivities; ``None`` with fewer than two temperatures at which D has a value.
    barrier_change_ev, barrier_change_uncertainty_ev
        Activation energy held minus free: by how much vibrations lower it; ``None`` without both fits.
    ln_prefactor_change, ln_prefactor_change_uncertainty
        ln D0, free minus held.
    reason
        One sentence.
    """

    points: tuple[Enhancement, ...]
    free: ArrheniusFit | None
    held: ArrheniusFit | None
    barrier_change_ev: float | None
    barrier_change_uncertainty_ev: float | None
    ln_prefactor_change: float | None
    ln_prefactor_change_uncertainty: float | None
    reason: str


def phonon_enhancement(free: Quantity, held: Quantity, kind: str = "frozen") -> Enhancement:
    """Factor D_free/D_held of two independent runs at one temperature.

    ln(factor) has the variance (u_free/D_free)^2 + (u_held/D_held)^2. Where ions stood still with the framework held,
    the factor is at least D_free, less 1.64 standard errors of its logarithm, over the upper bound of D_held; where
    they stood still with it free, at most the reverse.

    Parameters
    ----------
    free, held
        Diffusivities as `diffusion_quantities` reports them: with a standard error, or as an upper bound. Same unit,
        temperature and direction.
    kind
        See `KINDS`.

    Raises
    ------
    ValueError
        If unit, temperature or direction differ, a value is missing or not positive, or has neither a standard error
        nor a bound.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is not one of {', '.join(KINDS)}")
    if free.temperature is None or free.temperature != held.temperature:
        raise ValueError(
            f"compare diffusivities at one temperature, not {free.temperature} and {held.temperature} K: give both"
        )
    if free.unit != held.unit or free.direction != held.direction:
        raise ValueError("compare diffusivities in one unit and direction")
    d_free, u_free = _checked(free)
    d_held, u_held = _checked(held)
    one_sided, two_sided = normal_quantile([CONFIDENCE, (1 + CONFIDENCE) / 2])
    factor = sigma = lower = upper = bound = None
    if u_free is not None and u_held is not None:
        factor, sigma = d_free / d_held, float(np.hypot(u_free / d_free, u_held / d_held))
        lower, upper = factor * np.exp(-two_sided * sigma), factor * np.exp(two_sided * sigma)
    elif u_free is not None:
        factor = lower = d_free / d_held * np.exp(-one_sided * u_free / d_free)
        bound = "lower"
    elif u_held is not None:
        factor = upper = d_free / d_held * np.exp(one_sided * u_held / d_held)
        bound = "upper"
    effect, sentence = _effect(kind, factor, sigma, lower, upper)
    doubts = [f"D with {name}: {d.reason}" for name, d in _named(free, held, kind) if not d.converged]
    if sigma is not None and sigma > LARGEST_RELATIVE_ERROR:
        doubts.append("an error above half of the value leaves the factor uncertain: run longer")
    return Enhancement(
        kind=kind,
        temperature=free.temperature,
        factor=None if factor is None else float(factor),
        ln_uncertainty=sigma,
        lower=None if lower is None else float(lower),
        upper=None if upper is None else float(upper),
        bound=bound,
        converged=not doubts and effect != "undecided",
        effect=effect,
        reason="; ".join([sentence, *doubts]),
    )


def mean_diffusivity(runs: Sequence[Quantity]) -> Quantity:
    """Mean of D over runs with the framework held in different ways, in several snapshots say.

    Its standard error is that of the runs or that of their scatter, std/sqrt(n), whichever is larger: what is frozen is
    a sample, too. Where ions stood still in some of the runs, the mean of all upper bounds (95 %, one-sided) bounds the
    mean.

    Parameters
    ----------
    runs
        Diffusivities, see `phonon_enhancement`, of one unit, temperature and direction.

    Raises
    ------
    ValueError
        If there are none, they are of several units, temperatures or directions, or as `phonon_enhancement`.
    """
    if len({(d.name, d.unit, d.temperature, d.direction) for d in runs}) != 1:
        raise ValueError("the mean of diffusivities needs runs of one ion, unit, temperature and direction")
    if len(runs) == 1:
        return runs[0]
    values, errors = zip(*(_checked(d) for d in runs), strict=True)
    reasons = dict.fromkeys(d.reason for d in runs if not d.converged)
    if None in errors:
        one_sided = float(normal_quantile(CONFIDENCE))
        value = float(np.mean([d + one_sided * (u or 0.0) for d, u in zip(values, errors, strict=True)]))
        uncertainty, bound = None, "upper"
    else:
        value, bound = float(np.mean(values)), None
        scatter = np.std(values, ddof=1) / np.sqrt(len(values))
        uncertainty = float(max(scatter, np.linalg.norm(errors) / len(errors)))
    return replace(
        runs[0],
        value=value,
        uncertainty=uncertainty,
        bound=bound,
        method=f"mean of {len(runs)} runs, {runs[0].method}",
        converged=not reasons,
        reason="; ".join(reasons),
    )


def enhancement_series(free: Sequence[Quantity], held: Sequence[Quantity], kind: str = "frozen") -> EnhancementSeries:
    """Factors at several temperatures, and whether the barrier or the pre-factor makes them.

    Parameters
    ----------
    free, held
        Diffusivities, see `phonon_enhancement`; each temperature of ``held`` is among those of ``free``.
    kind
        See `KINDS`.

    Raises
    ------
    ValueError
        As `phonon_enhancement`; if a temperature is given twice or one of ``held`` is not among ``free``.
    """
    by_temperature = {d.temperature: d for d in free}
    if len(by_temperature) < len(free) or len({d.temperature for d in held}) < len(held):
        raise ValueError("a temperature is given twice: combine its runs first")
    missing = [d.temperature for d in held if d.temperature not in by_temperature]
    if missing:
        raise ValueError(f"there is no run with the framework free at {', '.join(f'{t:g}' for t in missing if t)} K")
    points = tuple(
        phonon_enhancement(by_temperature[d.temperature], d, kind)
        for d in sorted(held, key=lambda d: d.temperature or 0.0)
    )
    fits = [_arrhenius(series) for series in (free, held)]
    change = change_error = ln_change = ln_error = None
    reason = "an activation energy of each needs values of D, not bounds, at two temperatures or more"
    if fits[0] is not None and fits[1] is not None:
        change = fits[1].activation_energy_ev - fits[0].activation_energy_ev
        change_error = float(
            np.hypot(fits[0].activation_energy_uncertainty_ev, fits[1].activation_energy_uncertainty_ev)
        )
        ln_change = fits[0].ln_prefactor - fits[1].ln_prefactor
        ln_error = float(np.hypot(fits[0].ln_prefactor_uncertainty, fits[1].ln_prefactor_uncertainty))
        reason = _origin(change, change_error, ln_change, ln_error)
    return EnhancementSeries(
        points=points,
        free=fits[0],
        held=fits[1],
        barrier_change_ev=change,
        barrier_change_uncertainty_ev=change_error,
        ln_prefactor_change=ln_change,
        ln_prefactor_change_uncertainty=ln_error,
        reason=reason,
    )


def enhancement_quantities(series: EnhancementSeries, ion: str) -> list[Quantity]:
    """Report the factors and the change of the barrier."""
    records = [
        Quantity(
            name=f"phonon_enhancement_{ion}_{point.kind}",
            value=point.factor,
            unit="1",
            method=f"D({ion}) with the framework free over that with {KINDS[point.kind]}",
            converged=point.converged,
            reason=point.reason,
            uncertainty=None
            if point.factor is None or point.ln_uncertainty is None
            else point.factor * point.ln_uncertainty,
            bound=point.bound,
            temperature=point.temperature,
            direction="average",
            citation=CITATION,
        )
        for point in series.points
    ]
    if series.barrier_change_ev is not None and series.free is not None and series.held is not None:
        doubts = [fit.reason for fit in (series.free, series.held) if not fit.converged]
        records.append(
            Quantity(
                name=f"barrier_change_{ion}_{series.points[0].kind}",
                value=series.barrier_change_ev,
                unit="eV",
                method=f"activation energy with {KINDS[series.points[0].kind]} minus that with it free",
                converged=not doubts,
                reason="; ".join([series.reason, *doubts]),
                uncertainty=series.barrier_change_uncertainty_ev,
                citation=CITATION,
            )
        )
    return records


def _checked(d: Quantity) -> tuple[float, float | None]:
    """Value and standard error; no error of a bound."""
    if d.value is None or d.value <= 0:
        raise ValueError(f"{d.name} must be positive, not {d.value}: where nothing diffuses give the upper bound")
    if d.bound == "upper":
        return d.value, None
    if d.bound is not None or not d.uncertainty or d.uncertainty <= 0:
        raise ValueError(f"{d.name} needs a standard error, or has to be an upper bound")
    return d.value, d.uncertainty


def _named(free: Quantity, held: Quantity, kind: str) -> list[tuple[str, Quantity]]:
    return [("the framework free", free), (KINDS[kind], held)]


def _effect(
    kind: str, factor: float | None, sigma: float | None, lower: float | None, upper: float | None
) -> tuple[str, str]:
    what = KINDS[kind]
    if factor is None:
        return "undecided", f"no diffusion seen, whether free or with {what}: run longer or hotter"
    if lower is None or upper is None or sigma is None:
        if lower is not None and lower > 1:
            return "enhances", f"vibrations raise D at least {lower:.2g} times: none was seen with {what}"
        if upper is not None and upper < 1:
            return "hinders", f"vibrations lower D at least {1 / upper:.2g} times: none was seen without {what}"
        return "undecided", f"the upper bound of D is not below its value in the other run with {what}: run longer"
    interval = f"{lower:.2g} to {upper:.2g} with 95 % confidence"
    if lower > 1:
        return "enhances", f"D is {factor:.2g} times that with {what}, {interval}"
    if upper < 1:
        return "hinders", f"D is {factor:.2g} times that with {what}, {interval}: held, the ions are faster"
    if sigma > CONVERGED_RELATIVE_ERROR:
        return "undecided", f"factor {factor:.2g} with {what}, {interval}: run longer"
    return "no effect seen", f"factor {factor:.2g} with {what}, {interval}"


def _arrhenius(series: Sequence[Quantity]) -> ArrheniusFit | None:
    values = [(d.temperature, d.value, d.uncertainty) for d in series if d.bound is None]
    if len(values) < 2:
        return None
    temperatures, diffusivities, errors = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    return arrhenius_fit(temperatures, diffusivities, errors)


def _origin(change: float, change_error: float, ln_change: float, ln_error: float) -> str:
    limit = normal_quantile((1 + CONFIDENCE) / 2)
    parts = []
    if abs(change) > limit * change_error:
        parts.append(f"{'lower' if change > 0 else 'raise'} the barrier by {abs(change):.2g} +- {change_error:.1g} eV")
    if abs(ln_change) > limit * ln_error:
        factor = np.exp(abs(ln_change))
        parts.append(f"{'raise' if ln_change > 0 else 'lower'} the pre-factor {factor:.2g} times")
    if not parts:
        return "vibrations change neither barrier nor pre-factor beyond the errors"
    return "vibrations " + " and ".join(parts)
