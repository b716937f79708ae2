"""Rotation of polyanions along a trajectory: librations, reorientations, and how fast orientations are forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from aiida_iontherm.physics.distributions import chi2_quantile, student_quantile
from aiida_iontherm.physics.ions.einstein import CONFIDENCE, MIN_HOPS, SIGNIFICANCE
from aiida_iontherm.physics.ions.linear_window import MIN_LAGS, linear_window_start, slope
from aiida_iontherm.physics.ions.periodic_points import checked_cell, checked_positions
from aiida_iontherm.physics.ions.polyanions import Polyanion
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import jackknife

CORE = 0.3
"""A group has arrived in an orientation within this part of the angle between neighbouring ones (36 degrees for a
tetrahedron): beyond librations of 10 to 15 degrees, and well off the half way where trial and return would count."""

MIN_DWELL_PS = 0.2
"""Shorter visits of an orientation are swings, a period or less of a libration of some THz."""

SAME_SHAPE = 0.25
"""Root mean square misfit, in bond lengths, below which exchanging ligands gives the same shape: tetrahedra in crystals
are distorted by up to 0.1; for the mirror image of one the misfit is above 0.5."""

LARGEST_LIGANDS = 8
"""All exchanges of like ligands are tried, 8! at most."""

BROKEN = 1.5
"""A bond this many times as long as it was on average is no bond any more."""

ROTATES = 0.25
"""Share of the time outside of every orientation above which there are no orientations to speak of."""

MIN_PIECES = 8
"""Groups, or parts of the run of each where there are fewer groups, whose scatter gives error bars."""

STILL_DEG = 0.01
"""Librations below it are the digits of the file."""

FLOOR = 0.05
"""Correlations below it are left out of the fit of the rotational time: noise, or what orders the groups for ever."""


@dataclass(frozen=True, kw_only=True)
class RotationalTime:
    """Time of exponential decay of C_l, after librations.

    Attributes
    ----------
    tau_ps, uncertainty_ps
        ``None`` where no decay was seen.
    lower_bound_ps
        95 % one-sided.
    window_ps
        First and last lag of the fit, or ``None``: no straight part of ln C_l.
    """

    tau_ps: float | None
    uncertainty_ps: float | None
    lower_bound_ps: float | None
    window_ps: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class GroupRotation:
    """Rotation of one group.

    Attributes
    ----------
    group
        The polyanion.
    centre_A
        ``[3]`` mean position of its centre.
    libration_deg
        Root mean square angle from the mean orientation, while in one.
    between_fraction
        Share of the frames in no orientation.
    event_ps
        ``[n]`` times of reorientations: half way between the last frame in one orientation and the first in the next.
    event_deg
        ``[n]`` angles between the two.
    speed_rad_ps
        ``[frames - 1]`` angle between successive frames over the time between them.
    """

    group: Polyanion
    centre_A: NDArray[np.float64]
    libration_deg: float
    between_fraction: float
    event_ps: NDArray[np.float64]
    event_deg: NDArray[np.float64]
    speed_rad_ps: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PolyanionRotation:
    """Rotation of all groups of one kind.

    Attributes
    ----------
    label
        Of the groups.
    groups
        Each by itself.
    broken
        Centres of groups that lost a ligand and were left out.
    lags_ps
        ``[n]``.
    c1, c2
        ``[n]`` <P_l(u(0) u(t))> of the unit vectors from the centre to the ligands, averaged over ligands, groups and
        time origins.
    c1_uncertainty, c2_uncertainty
        ``[n]`` standard errors over groups, or parts of the run of each.
    time1, time2
        Of the decay of both. Their ratio is 3 where a group turns in small steps, near 1 where it jumps.
    libration_deg, libration_uncertainty_deg
        Mean over groups, and its standard error; ``None`` for one group.
    reorientations
        Number in all groups together.
    rate_per_ps, rate_uncertainty_per_ps
        Of reorientations per group; with fewer than three the rate is an upper bound (95 %) and has no error bar.
    equivalent_orientations
        Number of orientations that differ by an exchange of like ligands: 12 for a tetrahedron.
    between_fraction
        Mean over groups.
    duration_ps
        Of the run.
    state
        ``held``, ``librates``, ``reorients``, ``rotates`` (stays in no orientation) or ``undecided``.
    reason
        One sentence.
    """

    label: str
    groups: tuple[GroupRotation, ...]
    broken: tuple[int, ...]
    lags_ps: NDArray[np.float64]
    c1: NDArray[np.float64]
    c2: NDArray[np.float64]
    c1_uncertainty: NDArray[np.float64]
    c2_uncertainty: NDArray[np.float64]
    time1: RotationalTime
    time2: RotationalTime
    libration_deg: float
    libration_uncertainty_deg: float | None
    reorientations: int
    rate_per_ps: float
    rate_uncertainty_per_ps: float | None
    equivalent_orientations: int
    between_fraction: float
    duration_ps: float
    state: str
    reason: str


def polyanion_rotation(
    positions: NDArray[np.floating],
    timestep_fs: float,
    cell: NDArray[np.float64],
    groups: Sequence[Polyanion],
    symbols: Sequence[str],
    *,
    min_dwell_ps: float = MIN_DWELL_PS,
    core: float = CORE,
) -> PolyanionRotation:
    """Follow the orientations of groups of one kind.

    The orientation R(t) of a group is the rotation that brings its mean shape nearest to its bond vectors in the sense
    of least squares (W. Kabsch, Acta Cryst. A 32, 922 (1976)). Rotations that exchange like ligands and leave the
    shape as it is are its equivalent orientations S. A group is in the one nearest to R(t) once it is within its
    core, and until it enters the core of another: a reorientation, in which ligands have changed places.

    C_l(t) = <P_l(u(0) u(t))>, l = 1, 2, needs no orientations. For small steps with the rotational diffusivity D_r it
    is exp(-l(l + 1) D_r t) (P. Debye, Polar Molecules, 1929). The rotational time is fitted where ln C_l has become
    straight, as for mean square displacements (`linear_window_start`).

    Parameters
    ----------
    positions
        ``[frames, atoms, 3]`` Angstrom, of all atoms, unwrapped.
    timestep_fs
        Time between two stored frames; a tenth of a libration period or less to see speeds, 0.1 ps for reorientations.
    cell
        ``[3, 3]`` vectors as rows, Angstrom.
    groups
        From `find_polyanions` on the first frame, all of one kind.
    symbols
        ``[atoms]``.
    min_dwell_ps
        Shorter visits of an orientation do not count.
    core
        See `CORE`.

    Raises
    ------
    ValueError
        If there are no groups or of several kinds, shapes do not fit, an argument is out of range, there are too few
        frames, a group has too many ligands, or all groups break.
    """
    frames, atoms = checked_positions(positions)
    vectors = checked_cell(cell)
    if not groups:
        raise ValueError("there are no polyanions to follow: name their centre and ligand, or leave rotations out")
    labels = {group.label for group in groups}
    if len(labels) > 1:
        raise ValueError(f"follow one kind of polyanion at a time, not {', '.join(sorted(labels))} together")
    if len(symbols) != atoms or max(int(group.atoms.max()) for group in groups) >= atoms:
        raise ValueError(f"groups and symbols do not fit the {atoms} atoms of the trajectory")
    if timestep_fs <= 0 or min_dwell_ps < 0 or not 0 < core < 0.5:
        raise ValueError("the time between frames must be positive, the dwell time not negative, the core in (0, 0.5)")
    interval = timestep_fs * 1e-3
    parts = -(-MIN_PIECES // len(groups))
    n_lags = frames // parts // 2
    if n_lags <= MIN_LAGS:
        raise ValueError(f"{frames} frames are too few for rotations of {len(groups)} groups: store more")
    followed, broken = [], []
    curves: list[list[NDArray[np.float64]]] = [[], []]
    orders = [1]
    for group in groups:
        bonds = bond_vectors(positions, vectors, group)
        lengths = np.linalg.norm(bonds, axis=2)
        if np.any(lengths > BROKEN * lengths.mean(axis=0)) or np.any(lengths.mean(axis=0) > BROKEN * lengths[0]):
            broken.append(group.centre)
            continue
        kinds = [symbols[i] for i in group.ligands]
        rotation, order = _follow(group, bonds, kinds, positions, interval, min_dwell_ps, core)
        followed.append(rotation)
        orders.append(order)
        units = bonds / lengths[..., None]
        for part in np.array_split(units, parts):
            c1, c2 = _correlations(part, n_lags)
            curves[0].append(c1)
            curves[1].append(c2)
    if not followed:
        raise ValueError(f"every {groups[0].label} loses a ligand along the run: name the groups, or look at the run")
    lags = np.arange(n_lags, dtype=np.float64) * interval
    duration = (frames - 1) * interval
    librations = np.array([rotation.libration_deg for rotation in followed])
    libration_error = float(librations.std(ddof=1) / np.sqrt(len(followed))) if len(followed) > 1 else None
    events = sum(len(rotation.event_ps) for rotation in followed)
    seen = duration * len(followed)
    counted = events >= MIN_HOPS
    # half the chi2 quantile with 2(k+1) degrees of freedom is the largest Poisson mean compatible with k counts
    most = float(chi2_quantile(CONFIDENCE, 2 * (events + 1)) / 2 / seen)
    between = float(np.mean([rotation.between_fraction for rotation in followed]))
    pieces = [np.array(curve) for curve in curves]
    errors = [piece.std(axis=0, ddof=1) / np.sqrt(len(piece)) for piece in pieces]
    libration = float(np.sqrt(np.mean(librations**2)))
    state, reason = _state(events, most, between, max(orders), libration)
    return PolyanionRotation(
        label=groups[0].label,
        groups=tuple(followed),
        broken=tuple(broken),
        lags_ps=lags,
        c1=pieces[0].mean(axis=0),
        c2=pieces[1].mean(axis=0),
        c1_uncertainty=errors[0],
        c2_uncertainty=errors[1],
        time1=_rotational_time(lags, pieces[0], most),
        time2=_rotational_time(lags, pieces[1], most),
        libration_deg=libration,
        libration_uncertainty_deg=libration_error,
        reorientations=events,
        rate_per_ps=events / seen if counted else most,
        rate_uncertainty_per_ps=float(np.sqrt(events)) / seen if counted else None,
        equivalent_orientations=max(orders),
        between_fraction=between,
        duration_ps=duration,
        state=state,
        reason=reason,
    )


def rotation_quantities(result: PolyanionRotation, temperature: float | None = None) -> list[Quantity]:
    """Report libration amplitude, rate of reorientations and rotational times."""
    few = result.rate_uncertainty_per_ps is None
    records = [
        Quantity(
            name=f"libration_{result.label}",
            value=result.libration_deg if np.isfinite(result.libration_deg) else None,
            unit="degree",
            method="root mean square angle from the nearest equivalent orientation",
            converged=result.state != "rotates",
            reason=result.reason,
            uncertainty=result.libration_uncertainty_deg,
            temperature=temperature,
        ),
        Quantity(
            name=f"reorientation_rate_{result.label}",
            value=result.rate_per_ps,
            unit="1/ps",
            method="exchanges of ligands over time and groups, counting error",
            converged=result.state in ("held", "librates", "reorients"),
            reason=result.reason,
            uncertainty=result.rate_uncertainty_per_ps,
            bound="upper" if few else None,
            temperature=temperature,
        ),
    ]
    for order, time in ((1, result.time1), (2, result.time2)):
        value = time.lower_bound_ps if time.tau_ps is None else time.tau_ps
        records.append(
            Quantity(
                name=f"rotational_time_{order}_{result.label}",
                value=value,
                unit="ps",
                method=f"decay of C{order} = <P{order}(u(0) u(t))> of bonds after librations",
                converged=value is not None,
                reason="ln C has no straight part: store frames more often" if value is None else result.reason,
                uncertainty=time.uncertainty_ps,
                bound="lower" if time.tau_ps is None and value is not None else None,
                temperature=temperature,
            )
        )
    return records


def bond_vectors(positions: NDArray[np.floating], cell: NDArray[np.float64], group: Polyanion) -> NDArray[np.float64]:
    """Vectors from the centre of a group to its ligands, ``[frames, k, 3]`` Angstrom, from unwrapped positions."""
    bonds: NDArray[np.float64] = positions[:, group.ligands].astype(float) + group.images @ cell
    return bonds - positions[:, group.centre, None].astype(float)


def best_rotations(
    vectors: NDArray[np.float64], reference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Proper rotations R that minimise sum_a |v_a - R r_a|^2, by singular value decomposition (Kabsch).

    Parameters
    ----------
    vectors
        ``[n, k, 3]``.
    reference
        ``[k, 3]``, or ``[n, k, 3]`` one for each.

    Returns
    -------
    R ``[n, 3, 3]`` and the root mean square misfit per vector ``[n]``.
    """
    reference = np.broadcast_to(reference, vectors.shape)
    u, s, vt = np.linalg.svd(np.einsum("nka,nkb->nab", vectors, reference))
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    squares = np.sum(vectors**2 + reference**2, axis=(1, 2)) - 2 * s.sum(axis=1)
    return u @ vt, np.sqrt(np.maximum(squares, 0) / vectors.shape[1])


def equivalent_rotations(shape: NDArray[np.float64], kinds: Sequence[str]) -> NDArray[np.float64]:
    """Rotations ``[s, 3, 3]`` that exchange like ligands and leave a shape ``[k, 3]`` nearly as it is, identity first.

    Raises
    ------
    ValueError
        With more than eight ligands.
    """
    k = len(shape)
    if k > LARGEST_LIGANDS:
        raise ValueError(f"orientations of groups with {k} ligands are not told apart: {LARGEST_LIGANDS} at most")
    labels = np.array(kinds)
    exchanges = np.array(list(itertools.permutations(range(k))))
    exchanges = exchanges[np.all(labels[exchanges] == labels, axis=1)]
    rotations, misfit = best_rotations(shape[exchanges], shape)
    length = float(np.linalg.norm(shape, axis=1).mean())
    # permutations come in lexical order: the identity is the first
    return rotations[misfit < SAME_SHAPE * length]


def _follow(
    group: Polyanion,
    bonds: NDArray[np.float64],
    kinds: Sequence[str],
    positions: NDArray[np.floating],
    interval: float,
    min_dwell_ps: float,
    core: float,
) -> tuple[GroupRotation, int]:
    """Orientations of one group, and how many equivalent ones it has."""
    first, _ = best_rotations(bonds, bonds[0])
    shape = np.einsum("fba,fkb->ka", first, bonds) / len(bonds)
    rotations, _ = best_rotations(bonds, shape)
    states = equivalent_rotations(shape, kinds)
    # the shape stands as the group stood in the first frame, within a libration: turn it to the mean of librations
    nearest, _ = _nearest(rotations, states)
    tilt = np.einsum("fab,fcb->ac", rotations, states[nearest])
    mean = best_rotations(tilt.T[None], np.eye(3))[0][0]
    states = mean @ states @ mean.T
    rotations = rotations @ mean.T
    nearest, angle = _nearest(rotations, states)
    apart = _angles(np.einsum("sab,tab->st", states, states))
    np.fill_diagonal(apart, np.pi)
    within = angle <= core * apart.min()
    begins, ends, which = _dwells(nearest, within, min_dwell_ps / interval)
    turns = np.einsum("fab,fab->f", rotations[1:], rotations[:-1])
    return GroupRotation(
        group=group,
        centre_A=positions[:, group.centre].mean(axis=0, dtype=float),
        libration_deg=float(np.degrees(np.sqrt(np.mean(angle[within] ** 2)))) if within.any() else float("nan"),
        between_fraction=float(1 - within.mean()),
        event_ps=(ends[:-1] + begins[1:]) / 2 * interval,
        event_deg=np.degrees(apart[which[:-1], which[1:]]),
        speed_rad_ps=_angles(turns) / interval,
    ), len(states)


def _angles(traces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation angles in radian from traces of rotation matrices."""
    return np.arccos(np.clip((traces - 1) / 2, -1, 1))


def _nearest(
    rotations: NDArray[np.float64], states: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    traces = np.einsum("fab,sab->fs", rotations, states)
    nearest = np.argmax(traces, axis=1)
    return nearest, _angles(traces[np.arange(len(traces)), nearest])


def _dwells(
    state: NDArray[np.int64], within: NDArray[np.bool_], shortest: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First and last frame in the core, and state, of each stay in an orientation."""
    frames = np.flatnonzero(within)
    if not len(frames):
        return frames, frames, frames
    there = state[frames]

    def runs(index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        begin = np.flatnonzero(np.append(True, index[1:] != index[:-1]))
        return begin, np.append(begin[1:], len(index)) - 1

    begin, end = runs(there)
    begins, ends, which = frames[begin], frames[end], there[begin]
    # the next arrival is what ends a stay; the first and the last were not seen whole
    lasts = np.append(begins[1:], len(state)) - begins
    kept = lasts >= shortest
    kept[[0, -1]] = True
    begins, ends, which = begins[kept], ends[kept], which[kept]
    begin, end = runs(which)
    return begins[begin], ends[end], which[begin]


def _correlations(units: NDArray[np.float64], lags: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """C_1 and C_2 ``[lags]`` of unit vectors ``[frames, k, 3]``, averaged over k and all time origins."""
    frames, k = units.shape[:2]
    n = fft.next_fast_len(frames + lags, real=True)

    def correlation(series: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        power = np.abs(fft.rfft(series, n=n, axis=0)) ** 2
        return fft.irfft(np.einsum("fkc,c->f", power, weights), n=n)[:lags] / (frames - np.arange(lags)) / k

    # (u u')^2 = sum_ab u_a u_b u'_a u'_b: six products, the mixed ones twice
    a, b = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
    squares = correlation(units[..., a] * units[..., b], np.where(a == b, 1.0, 2.0))
    return correlation(units, np.ones(3)), 1.5 * squares - 0.5


def _rotational_time(lags: NDArray[np.float64], pieces: NDArray[np.float64], most: float) -> RotationalTime:
    """Fit ln C = const - t/tau; `most` is the largest rate of reorientations the counting allows."""
    n = len(pieces)
    mean = pieces.mean(axis=0)
    left_out = (n * mean - pieces) / (n - 1)
    error = jackknife(left_out)
    low = np.flatnonzero((mean < np.maximum(FLOOR, 3 * error)) | (left_out.min(axis=0) <= 0))
    last = int(low[0]) if len(low) else len(lags)
    if last <= MIN_LAGS:
        return RotationalTime(tau_ps=None, uncertainty_ps=None, lower_bound_ps=None, window_ps=None)
    times, curve, others = lags[:last], -np.log(mean[:last]), -np.log(left_out[:, :last])
    # pseudo-values: the scatter of their mean is the jackknife error
    first, straight = linear_window_start(times, curve, n * curve - (n - 1) * others)
    rate = float(slope(times, curve, first))
    rate_error = float(jackknife(slope(times, others, first, axis=1)))
    quantiles = student_quantile([SIGNIFICANCE, CONFIDENCE], n - 1)
    # a loss of less than the floor within all lags is no decay but a trend
    seen = straight and rate > quantiles[0] * rate_error and rate * lags[-1] > FLOOR
    largest = max(rate, 0.0) + quantiles[1] * rate_error
    return RotationalTime(
        tau_ps=1 / rate if seen else None,
        uncertainty_ps=rate_error / rate**2 if seen else None,
        lower_bound_ps=float(1 / (largest if seen else max(largest, most))),
        window_ps=(float(times[first]), float(times[-1])),
    )


def _state(events: int, most: float, between: float, orders: int, libration: float) -> tuple[str, str]:
    if libration < STILL_DEG:
        return "held", "the groups do not turn"
    if between > ROTATES:
        return "rotates", f"{between:.0%} of the time in none of its {orders} orientations"
    if events >= MIN_HOPS:
        return "reorients", f"{events} reorientations"
    if orders == 1:
        return "undecided", "no exchange of ligands gives the same shape: only the decay of C1 and C2 tells"
    if events:
        return "undecided", f"{events} reorientation{'s' * (events > 1)}, too few for a rate: run longer"
    return "librates", f"no reorientation, with 95 % confidence fewer than one in {1 / most:.3g} ps per group"
