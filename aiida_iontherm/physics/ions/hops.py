"""Stays of the ions on sites along a trajectory, and the hops between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.distributions import chi2_tail
from aiida_iontherm.physics.ions.jump_sites import JumpSites
from aiida_iontherm.physics.ions.periodic_points import NOWHERE, SiteLookup, checked_drift, checked_positions

MARGIN = 0.4
"""By how much nearer its own site an ion must be, in distances of neighbouring sites, to have arrived there. On the
straight path cores then begin 0.3 of the distance from the sites: beyond the thermal amplitude (Lindemann's 0.1-0.15),
so that vibration makes no hops, and near enough that a real visit is not missed."""

CHUNK_POSITIONS = 400_000
"""Positions looked up at once: some 60 MB."""

OVERDISPERSED = 0.05
"""Chance below which counts that vary more than Poisson's law says are called correlated, and error bars widened."""

BLOCKS = 8
"""Parts of the run whose hops are compared."""


@dataclass(frozen=True, kw_only=True)
class Stays:
    """Which ion stayed where, from when to when. Rows are in the order of ions, and of time for each ion.

    An ion arrives where it enters the core of a site, and counts as there until it enters the core of another; it
    leaves and arrives half way between the last frame in the one core and the first in the other.

    Attributes
    ----------
    ion, site
        ``[n]``.
    image
        ``[n, 3]`` cell of the site, the ion being unwrapped.
    start_ps, stop_ps
        ``[n]``; the stop of an ion's last stay is the end of the run.
    arrived, left
        ``[n]`` whether the beginning and the end of the stay were seen.
    sites
        The sites.
    n_ions, duration_ps
        Of the run; of joined runs both are sums, see `join_stays`.
    transit_fraction
        Share of positions in no core: on the way, or where no site is.
    rms_A
        Root mean square distance of the ions in a core from its site.
    """

    ion: NDArray[np.int64]
    site: NDArray[np.int64]
    image: NDArray[np.int64]
    start_ps: NDArray[np.float64]
    stop_ps: NDArray[np.float64]
    arrived: NDArray[np.bool_]
    left: NDArray[np.bool_]
    sites: JumpSites
    n_ions: int
    duration_ps: float
    transit_fraction: float
    rms_A: float

    @property
    def durations_ps(self) -> NDArray[np.float64]:
        """Lengths of the stays ``[n]``, as far as they were seen."""
        return self.stop_ps - self.start_ps

    @property
    def at_risk_ps(self) -> float:
        """Time all ions together spent on sites: ions times the length of their run, but for what preceded arrivals."""
        return float(self.durations_ps.sum())


@dataclass(frozen=True, kw_only=True)
class Hops:
    """Hops between sites, in the order of ions, and of time for each ion.

    Attributes
    ----------
    ion, origin, target
        ``[h]`` ion and sites.
    time_ps
        ``[h]``.
    vector_A
        ``[h, 3]`` from site to site, Cartesian.
    spread
        Variance of the numbers of hops over what independent hops would have, at least 1: numbers of parts of the run,
        or of single ions, whichever varies more beyond chance. Error bars of counts are sqrt(spread) times Poisson's.
    """

    ion: NDArray[np.int64]
    origin: NDArray[np.int64]
    target: NDArray[np.int64]
    time_ps: NDArray[np.float64]
    vector_A: NDArray[np.float64]
    spread: float

    def __len__(self) -> int:
        return len(self.ion)


def find_stays(
    positions: NDArray[np.floating],
    timestep_fs: float,
    sites: JumpSites,
    *,
    drift: ArrayLike | None = None,
    margin: float = MARGIN,
    min_stay_ps: float = 0.0,
) -> Stays:
    """Assign each ion to sites over time.

    Cores and hysteresis are those of core-set models (A. K. Faradjian and R. Elber, J. Chem. Phys. 120, 10880 (2004);
    Ch. Schuette et al., J. Chem. Phys. 134, 204105 (2011)): in a core the ion is on its site, between cores it is where
    it was last. Before it first enters a core it is nowhere, and that time does not count.

    Parameters
    ----------
    positions
        ``[frames, ions, 3]`` Angstrom, unwrapped, in the frame of the crystal.
    timestep_fs
        Time between two stored frames.
    sites
        In the cell of the trajectory. Must not be fewer than ions.
    drift
        ``[frames, 3]`` centre of mass of everything; its change since the first frame is subtracted.
    margin
        See `MARGIN`; between 0, the nearest site at any time, and 1.
    min_stay_ps
        Shorter visits do not count: the ion is taken to have stayed where it was before.

    Raises
    ------
    ValueError
        If shapes or arguments are out of range, coordinates are not finite, there are fewer sites than ions, or no ion
        was ever at a site.
    """
    frames, ions = checked_positions(positions)
    shift = checked_drift(drift, frames)
    if timestep_fs <= 0 or min_stay_ps < 0 or not 0 < margin < 1:
        raise ValueError(
            "the time between frames must be positive, the shortest stay not negative, the margin in (0, 1)"
        )
    if len(sites) < ions:
        raise ValueError(
            f"{len(sites)} sites cannot hold {ions} ions one by one: give the empty sites, too, or a smaller merging "
            "radius"
        )
    # with one site in a small cell its copies are its neighbours
    margins = margin * sites.spacings
    lookup = SiteLookup(sites.fractional, sites.cell, margins, expected=frames * ions)
    copies = lookup.copies
    chunk = max(1, CHUNK_POSITIONS // frames)
    parts: list[tuple[NDArray[np.int64], ...]] = []
    inside, squares = 0, 0.0
    for first in range(0, ions, chunk):
        # ions first, so that each ion's frames are in one piece
        part = positions[:, first : first + chunk].astype(float) - shift[:, None]
        part = np.ascontiguousarray(part.transpose(1, 0, 2)).reshape(-1, 3)
        found, cells = lookup.find(part)
        there = np.flatnonzero(found != NOWHERE)
        site, image = copies.point[found[there]], copies.image[found[there]] + cells[there]
        offset = part[there] - cells[there] @ sites.cell - copies.positions[found[there]]
        inside, squares = inside + len(there), squares + float(np.einsum("ia,ia->", offset, offset))
        ion, frame = np.divmod(there, frames)
        parts.append(_runs(ion + first, frame, site, image))
    if inside == 0:
        raise ValueError("no ion was ever near a site: give the sites in the cell, setting and origin of the run")
    joined = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    interval = timestep_fs * 1e-3
    if min_stay_ps > 0:
        joined = _without_short(joined, frames, min_stay_ps / interval)
    ion, site, entry, last, *images = joined
    same_before = np.append(False, ion[1:] == ion[:-1])
    same_after = np.append(same_before[1:], False)
    half_way = np.append(0.0, (last[:-1] + entry[1:]) / 2)
    start = np.where(same_before, half_way, entry)
    stop = np.where(same_after, np.append(half_way[1:], 0.0), frames - 1)
    return Stays(
        ion=ion,
        site=site,
        image=np.stack(images, axis=1),
        start_ps=start * interval,
        stop_ps=stop * interval,
        arrived=same_before,
        left=same_after,
        sites=sites,
        n_ions=ions,
        duration_ps=(frames - 1) * interval,
        transit_fraction=1 - inside / (frames * ions),
        rms_A=float(np.sqrt(squares / inside)),
    )


def join_stays(runs: Sequence[Stays]) -> Stays:
    """Stays of independent runs as those of one, in which one run follows the other in time.

    The ions of each run are other ions: no stay goes on from one run to the next, no hop lies between them, and no ion
    meets one of another run. Times at risk, hops and departures are the sums over the runs.

    Parameters
    ----------
    runs
        Of one length and one number of ions, on the same sites: parts of the joined run, and single ions, can be
        expected to hop equally often, which is what error bars go by.

    Raises
    ------
    ValueError
        If there are no runs, or they differ in this.
    """
    if not runs:
        raise ValueError("there are no runs to join")
    first = runs[0]
    for run in runs[1:]:
        if run.n_ions != first.n_ions or not np.isclose(run.duration_ps, first.duration_ps):
            raise ValueError("only runs of one length and one number of ions can be joined")
        same = [np.array_equal(getattr(run.sites, name), getattr(first.sites, name)) for name in ("fractional", "cell")]
        if not all(same) or run.sites.labels != first.sites.labels:
            raise ValueError("only stays on the same sites can be joined")
    inside = np.array([1 - run.transit_fraction for run in runs])
    squares = np.array([run.rms_A**2 for run in runs])
    return Stays(
        ion=np.concatenate([run.ion + n * first.n_ions for n, run in enumerate(runs)]),
        site=np.concatenate([run.site for run in runs]),
        image=np.concatenate([run.image for run in runs]),
        start_ps=np.concatenate([run.start_ps + n * first.duration_ps for n, run in enumerate(runs)]),
        stop_ps=np.concatenate([run.stop_ps + n * first.duration_ps for n, run in enumerate(runs)]),
        arrived=np.concatenate([run.arrived for run in runs]),
        left=np.concatenate([run.left for run in runs]),
        sites=first.sites,
        n_ions=len(runs) * first.n_ions,
        duration_ps=len(runs) * first.duration_ps,
        transit_fraction=float(1 - inside.mean()),
        rms_A=float(np.sqrt(inside @ squares / inside.sum())),
    )


def find_hops(stays: Stays) -> Hops:
    """Hops between successive stays."""
    before = np.flatnonzero(stays.left)
    after = before + 1
    steps = stays.sites.fractional[stays.site[after]] + stays.image[after]
    steps = steps - stays.sites.fractional[stays.site[before]] - stays.image[before]
    return Hops(
        ion=stays.ion[before],
        origin=stays.site[before],
        target=stays.site[after],
        time_ps=stays.stop_ps[before],
        vector_A=steps @ stays.sites.cell,
        spread=_spread(stays.ion[before], stays.stop_ps[before], stays.n_ions, stays.duration_ps),
    )


def _runs(
    ion: NDArray[np.int64], frame: NDArray[np.int64], site: NDArray[np.int64], image: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Stays as ion, site, first and last frame in the core, and the three numbers of the cell."""
    changed = np.ones(len(ion), dtype=bool)
    changed[1:] = (ion[1:] != ion[:-1]) | (site[1:] != site[:-1]) | np.any(image[1:] != image[:-1], axis=1)
    begin = np.flatnonzero(changed)
    end = np.append(begin[1:] - 1, len(ion) - 1) if len(begin) else begin
    return ion[begin], site[begin], frame[begin], frame[end], *image[begin].T


def _without_short(
    columns: tuple[NDArray[np.int64], ...], frames: int, shortest: float
) -> tuple[NDArray[np.int64], ...]:
    """Drop stays shorter than so many frames, but for the first of each ion, and join what they parted."""
    ion, site, entry, last, *images = columns
    first = np.append(True, ion[1:] != ion[:-1])
    following = np.append(np.where(first[1:], frames - 1, entry[1:]), frames - 1)
    # the next arrival is what ends a stay
    kept = first | (following - entry >= shortest)
    ion, site, entry, last = ion[kept], site[kept], entry[kept], last[kept]
    image = np.stack(images, axis=1)[kept]
    new = np.ones(len(ion), dtype=bool)
    new[1:] = (ion[1:] != ion[:-1]) | (site[1:] != site[:-1]) | np.any(image[1:] != image[:-1], axis=1)
    begin = np.flatnonzero(new)
    end = np.append(begin[1:] - 1, len(ion) - 1)
    return ion[begin], site[begin], entry[begin], last[end], *image[begin].T


def _spread(ion: NDArray[np.int64], time: NDArray[np.float64], n_ions: int, duration: float) -> float:
    block = np.minimum((time / duration * BLOCKS).astype(int), BLOCKS - 1)
    spread = 1.0
    for counts in (np.bincount(block, minlength=BLOCKS), np.bincount(ion, minlength=n_ions)):
        # with less than one hop in each the test says nothing
        if len(counts) < 2 or counts.mean() < 1:
            continue
        ratio = float(counts.var(ddof=1) / counts.mean())
        if ratio > 1 and chi2_tail(ratio * (len(counts) - 1), len(counts) - 1) < OVERDISPERSED:
            spread = max(spread, ratio)
    return spread
