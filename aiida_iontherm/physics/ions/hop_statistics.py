"""What hops tell: residence times, rates by kind, double occupancy, correlation, jump diffusivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aiida_iontherm.physics.distributions import chi2_quantile
from aiida_iontherm.physics.ions.einstein import CONFIDENCE
from aiida_iontherm.physics.ions.hops import Hops, Stays
from aiida_iontherm.physics.ions.periodic_points import periodic_copies
from aiida_iontherm.physics.units import ANGSTROM2_PER_PS_TO_CM2_PER_S

SAME_DISTANCE_A = 0.3
"""Neighbours whose distances differ less are of one shell: sites from densities are known to about 0.1 Angstrom."""

MIN_TEST_EVENTS = 10
"""Departures below which nothing is said about whether a stay remembers how long it has lasted."""


@dataclass(frozen=True, kw_only=True)
class Residence:
    """How long ions stay on sites of one kind.

    Attributes
    ----------
    label
        Kind of site.
    departures
        Hops away.
    at_risk_ps
        Time that ions spent there, stays without a seen end included.
    residence_ps
        ``at_risk_ps / departures``: the maximum-likelihood mean residence time of an exponential law with censored
        stays. ``None`` without departures.
    uncertainty_ps
        One standard error, residence / sqrt(departures) times the square root of the spread of the hop counts.
    lower_bound_ps
        95 % one-sided.
    mean_completed_ps
        Plain mean of the stays seen from arrival to departure; too short where stays are as long as the run.
    tail_residence_ps
        The same as ``residence_ps`` for stays older than ln 2 of it: the exponential that fits the tail. Where ions
        often turn back at once it is longer.
    memory_p
        Chance that departures of young and old stays would differ so much were the law exponential.
    """

    label: str
    departures: int
    at_risk_ps: float
    residence_ps: float | None
    uncertainty_ps: float | None
    lower_bound_ps: float
    mean_completed_ps: float | None
    tail_residence_ps: float | None
    memory_p: float | None


def residence_times(stays: Stays, hops: Hops) -> list[Residence]:
    """Residence times for each kind of site, in the order of the time spent there."""
    labels = np.array(stays.sites.labels)[stays.site]
    results = []
    for label in dict.fromkeys(stays.sites.labels):
        chosen = labels == label
        durations, left = stays.durations_ps[chosen], stays.left[chosen]
        at_risk, departures = float(durations.sum()), int(left.sum())
        spread = hops.spread if departures else 1.0
        mean = at_risk / departures if departures else None
        completed = durations[left & stays.arrived[chosen]]
        tail, memory_p = _tail(durations, left, stays.arrived[chosen], mean)
        results.append(
            Residence(
                label=label,
                departures=departures,
                at_risk_ps=at_risk,
                residence_ps=mean,
                uncertainty_ps=None if mean is None else mean * float(np.sqrt(spread / departures)),
                lower_bound_ps=at_risk / _most(departures, spread),
                mean_completed_ps=float(completed.mean()) if len(completed) else None,
                tail_residence_ps=tail,
                memory_p=memory_p,
            )
        )
    return sorted(results, key=lambda r: -r.at_risk_ps)


def _tail(
    durations: NDArray[np.float64], left: NDArray[np.bool_], arrived: NDArray[np.bool_], mean: float | None
) -> tuple[float | None, float | None]:
    """Residence time of old stays, and the chance that young ones end as often per time."""
    if mean is None:
        return None, None
    # the age of a stay whose arrival was not seen is not known
    durations, left = durations[arrived], left[arrived]
    if left.sum() < MIN_TEST_EVENTS:
        return None, None
    middle = mean * np.log(2)
    young, old = np.minimum(durations, middle).sum(), np.maximum(durations - middle, 0).sum()
    late = int((left & (durations > middle)).sum())
    if late == 0:
        return None, None
    from scipy.stats import binomtest  # half a second that only this pays

    return float(old / late), float(binomtest(late, int(left.sum()), old / (young + old)).pvalue)


@dataclass(frozen=True, kw_only=True)
class HopRate:
    """Hops of one kind.

    Attributes
    ----------
    kind
        ``"pair"`` of site labels, ``"cluster"`` (intra or inter), ``"axis"`` (the Cartesian axis a hop is closest to),
        or ``"all"``.
    name
        ``Cu1 -> Cu2``, ``intra``, ``x`` ...
    hops
        Their number.
    at_risk_ps
        Time that ions spent where such hops start.
    rate_per_ps
        Per ion there.
    uncertainty_per_ps
        One standard error, sqrt(hops) times the square root of the spread; ``None`` without hops.
    upper_bound_per_ps
        95 % one-sided.
    mean_length_A
        Root mean square length; ``None`` without hops.
    """

    kind: str
    name: str
    hops: int
    at_risk_ps: float
    rate_per_ps: float
    uncertainty_per_ps: float | None
    upper_bound_per_ps: float
    mean_length_A: float | None


def hop_rates(stays: Stays, hops: Hops) -> list[HopRate]:
    """Rates of all hops, by pair of site labels, within and between clusters, and by axis."""
    names = np.array(stays.sites.labels)
    lengths2 = np.einsum("ha,ha->h", hops.vector_A, hops.vector_A)
    total = stays.at_risk_ps

    def rate(kind: str, name: str, chosen: NDArray[np.bool_], at_risk: float) -> HopRate:
        n = int(chosen.sum())
        return HopRate(
            kind=kind,
            name=name,
            hops=n,
            at_risk_ps=at_risk,
            rate_per_ps=n / at_risk,
            uncertainty_per_ps=float(np.sqrt(n * hops.spread)) / at_risk if n else None,
            upper_bound_per_ps=_most(n, hops.spread if n else 1.0) / at_risk,
            mean_length_A=float(np.sqrt(lengths2[chosen].mean())) if n else None,
        )

    rates = [rate("all", "all", np.ones(len(hops), dtype=bool), total)]
    risk = {label: float(stays.durations_ps[names[stays.site] == label].sum()) for label in dict.fromkeys(names)}
    pairs = sorted(set(zip(names[hops.origin].tolist(), names[hops.target].tolist(), strict=True)))
    for origin, target in pairs:
        chosen = (names[hops.origin] == origin) & (names[hops.target] == target)
        rates.append(rate("pair", f"{origin} -> {target}", chosen, risk[origin]))
    if len(np.unique(stays.sites.clusters)) < len(stays.sites):
        intra = _within_cluster(stays, hops)
        rates += [rate("cluster", "intra", intra, total), rate("cluster", "inter", ~intra, total)]
    axes = np.argmax(np.abs(hops.vector_A), axis=1) if len(hops) else np.zeros(0, dtype=int)
    rates += [rate("axis", axis, axes == a, total) for a, axis in enumerate("xyz")]
    return rates


def _within_cluster(stays: Stays, hops: Hops) -> NDArray[np.bool_]:
    """Whether hops stay in a cluster: same group, and the nearest copy of the target, not one in another cell."""
    sites = stays.sites
    same = (sites.clusters[hops.origin] == sites.clusters[hops.target]) & (hops.origin != hops.target)
    steps = sites.fractional[hops.target] - sites.fractional[hops.origin]
    steps -= np.rint(steps)
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = np.full(len(hops), np.inf)
    for shift in shifts:
        nearest = np.minimum(nearest, np.linalg.norm((steps + shift) @ sites.cell, axis=1))
    return same & (np.linalg.norm(hops.vector_A, axis=1) <= nearest + SAME_DISTANCE_A)


def double_occupancy(stays: Stays) -> float:
    """Share of the time of the ions that they share their site with another.

    Some of it is real where ions pass each other; much of it says that two sites were taken for one.
    """
    # copies of a site in other cells are the same site
    sites = np.concatenate([stays.site, stays.site])
    times = np.concatenate([stays.start_ps, stays.stop_ps])
    change = np.concatenate([np.ones(len(stays.site), int), -np.ones(len(stays.site), int)])
    order = np.lexsort((change, times, sites))
    present = np.cumsum(change[order])
    spans = np.append(np.diff(times[order]), 0.0)
    # after the last event of a site nobody is counted there, so its span to the next site's weighs nothing
    shared = present >= 2
    return float(np.sum(present[shared] * spans[shared]) / stays.at_risk_ps)


@dataclass(frozen=True, kw_only=True)
class HopCorrelation:
    """How the next hop of an ion depends on the one before.

    Attributes
    ----------
    pairs
        Number of successive hops of one ion.
    back_jump, back_jump_uncertainty
        Share of hops that undo the one before; ``None`` without pairs.
    back_jump_uncorrelated
        What it would be if the next hop forgot where the ion came from: the share of the kind of hop over the number of
        sites it can go to, averaged over the hops seen.
    mean_cosine, mean_cosine_uncertainty
        <v_k . v_k+1> / <v^2>, the mean cosine of the angle between successive hops, weighted with their lengths.
    factor, factor_uncertainty
        f = (1 + c)/(1 - c) with the mean cosine c (K. Compaan and Y. Haven, Trans. Faraday Soc. 52, 786 (1956)): the
        ratio of D to the jump diffusivity if hops remember only the last one, and all are equivalent by symmetry.
    """

    pairs: int
    back_jump: float | None
    back_jump_uncertainty: float | None
    back_jump_uncorrelated: float | None
    mean_cosine: float | None
    mean_cosine_uncertainty: float | None
    factor: float | None
    factor_uncertainty: float | None


def hop_correlation(stays: Stays, hops: Hops) -> HopCorrelation:
    """Correlation of successive hops. Standard errors treat ions as independent, not the hops of one ion."""
    first = np.flatnonzero(hops.ion[1:] == hops.ion[:-1]) if len(hops) else np.zeros(0, dtype=int)
    if len(first) == 0:
        return HopCorrelation(
            pairs=0,
            back_jump=None,
            back_jump_uncertainty=None,
            back_jump_uncorrelated=None,
            mean_cosine=None,
            mean_cosine_uncertainty=None,
            factor=None,
            factor_uncertainty=None,
        )
    one, two = hops.vector_A[first], hops.vector_A[first + 1]
    back = (np.abs(one + two).max(axis=1) < 1e-6).astype(float)
    products, squares = np.sum(one * two, axis=1), (np.sum(one**2, axis=1) + np.sum(two**2, axis=1)) / 2
    ions, n = hops.ion[first], len(first)
    probability = float(back.mean())
    # with none or all the plain error would be zero
    smoothed = (back.sum() + 1) / (n + 2)
    error = max(_ratio_error(back, np.ones(n), ions), float(np.sqrt(smoothed * (1 - smoothed) / n)))
    cosine = float(products.sum() / squares.sum())
    cosine_error = max(_ratio_error(products, squares, ions), _plain_ratio_error(products, squares))
    if n == 1:
        # one pair has no scatter; a cosine is known to about one then
        cosine_error = 1.0
    factor = (1 + cosine) / (1 - cosine) if cosine < 1 else None
    return HopCorrelation(
        pairs=n,
        back_jump=probability,
        back_jump_uncertainty=error,
        back_jump_uncorrelated=_uncorrelated(stays, hops, first),
        mean_cosine=cosine,
        mean_cosine_uncertainty=cosine_error,
        factor=factor,
        factor_uncertainty=None if factor is None else 2 * cosine_error / (1 - cosine) ** 2,
    )


def _ratio_error(top: NDArray[np.float64], bottom: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Return the standard error of sum(top)/sum(bottom) with independent groups (linearised ratio estimator)."""
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    if count < 2:
        return 0.0
    residuals = np.bincount(group, weights=top - top.sum() / bottom.sum() * bottom)
    return float(np.sqrt(count / (count - 1) * np.sum(residuals**2)) / bottom.sum())


def _plain_ratio_error(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> float:
    return _ratio_error(top, bottom, np.arange(len(top)))


def _uncorrelated(stays: Stays, hops: Hops, first: NDArray[np.int64]) -> float:
    """Chance that a next hop drawn without memory undoes the one before, averaged over the pairs."""
    sites = stays.sites
    names = np.array(sites.labels)
    kinds = np.unique(names, return_inverse=True)[1]
    lengths = np.linalg.norm(hops.vector_A, axis=1)
    reach = float(lengths.max()) + 2 * SAME_DISTANCE_A
    copies = periodic_copies(sites.fractional, sites.cell, reach)
    home = (sites.fractional - np.floor(sites.fractional)) @ sites.cell
    trees = [cKDTree(copies.positions[kinds[copies.point] == kind]) for kind in range(kinds.max() + 1)]
    start, end = kinds[hops.origin], kinds[hops.target]
    # a class of the hops that undo pairs: from the kind of the middle site to that of the first, over one distance
    shell = np.rint(lengths / SAME_DISTANCE_A).astype(int)
    classes, which = np.unique(np.stack([end[first], start[first], shell[first]], axis=1), axis=0, return_inverse=True)
    chances = np.zeros(len(classes))
    departures = np.bincount(start, minlength=kinds.max() + 1)
    for i, (middle, back, _) in enumerate(classes):
        length = float(lengths[first][which.ravel() == i].mean())
        near = np.abs(lengths - length) <= SAME_DISTANCE_A
        share = np.sum((start == middle) & (end == back) & near) / max(departures[middle], 1)
        points = home[kinds == middle]
        outer = trees[back].query_ball_point(points, length + SAME_DISTANCE_A, return_length=True)
        inner = trees[back].query_ball_point(points, max(length - SAME_DISTANCE_A, 1e-3), return_length=True)
        chances[i] = min(1.0, share / max(float(np.mean(outer - inner)), 1.0))
    return float(chances[which.ravel()].mean())


@dataclass(frozen=True, kw_only=True)
class JumpDiffusivity:
    """Diffusivity that the hops would give if each forgot the one before.

    Attributes
    ----------
    tensor
        ``[3, 3]`` cm^2/s, D_ab = sum over hops v_a v_b / (2 N t); a third of its trace is sum |v|^2 / (6 N t).
    uncertainty
        ``[3, 3]`` one standard error.
    trace_third, trace_third_uncertainty
        Average over directions, cm^2/s.
    upper_bound
        95 % one-sided, of the average, cm^2/s: with few hops, the largest number compatible with those seen.
    """

    tensor: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    trace_third: float
    trace_third_uncertainty: float
    upper_bound: float


def jump_diffusivity(stays: Stays, hops: Hops) -> JumpDiffusivity:
    """Diffusivity of uncorrelated hops.

    Without hops the bound takes the distance of neighbouring sites for the length of a hop.
    """
    scale = ANGSTROM2_PER_PS_TO_CM2_PER_S / (2 * stays.at_risk_ps)
    products = np.einsum("ha,hb->hab", hops.vector_A, hops.vector_A)
    squares = np.einsum("haa->h", products)
    n = len(hops)
    length2 = float(squares.mean()) if n else float(np.median(stays.sites.spacings)) ** 2
    return JumpDiffusivity(
        tensor=scale * products.sum(axis=0),
        uncertainty=scale * np.sqrt(hops.spread * np.sum(products**2, axis=0)),
        trace_third=scale * float(squares.sum()) / 3,
        trace_third_uncertainty=scale * float(np.sqrt(hops.spread * np.sum(squares**2))) / 3,
        upper_bound=scale * _most(n, hops.spread) * length2 / 3,
    )


def _most(count: int, spread: float) -> float:
    """Largest mean number of events compatible with those seen at 95 % (3.0 for none); correlated ones count less."""
    effective = count / spread
    return spread * float(chi2_quantile(CONFIDENCE, 2 * (effective + 1))) / 2
