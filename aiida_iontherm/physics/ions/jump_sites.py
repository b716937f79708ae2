"""Sites between which mobile ions jump: from a crystal structure, or from the density along a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import spglib
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from aiida_iontherm.physics.ions.density_map import DensityMap
from aiida_iontherm.physics.ions.periodic_points import (
    SAME_POINT_A,
    checked_cell,
    nearest_other,
    periodic_copies,
)

MERGE_RADIUS_A = 1.2
"""Maxima of the density closer than this are one site: about half the shortest distance between two like cations
(2.4 Angstrom, Cu-Cu in Cu halides and chalcogenides), so that two ions cannot sit on both at once."""

SMOOTHING_A = 0.3
"""Width of the Gaussian that takes counting noise out of the density before maxima are looked for: the amplitude of
thermal vibration, below which there is no structure."""

MIN_OCCUPANCY = 0.02
"""Maxima that hold fewer ions on average are passages or noise. Incipient conductors show densities between sites of
a few per cent of the peak (Li et al., 10.1002/adma.202513381: below 4 %)."""

LARGEST_STRAIN = 0.1
"""A crystal whose cell has to be strained more to fit the cell of a trajectory is another crystal or setting."""


@dataclass(frozen=True, kw_only=True)
class JumpSites:
    """Sites of the mobile ions in the cell of a trajectory.

    Attributes
    ----------
    fractional
        ``[s, 3]`` in the cell.
    cell
        ``[3, 3]`` vectors as rows, Angstrom.
    labels
        ``[s]`` kind of each site; equal for sites that symmetry maps on each other.
    clusters
        ``[s]`` number of the group (tetrahedron, cage) each site belongs to; every site its own where none was given.
    occupancies
        ``[s]`` mean number of ions nearest to each site, where a density told.
    """

    fractional: NDArray[np.float64]
    cell: NDArray[np.float64]
    labels: tuple[str, ...]
    clusters: NDArray[np.int64]
    occupancies: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.fractional.ndim != 2 or self.fractional.shape[1] != 3 or not len(self.fractional):
            raise ValueError("there are no sites: give at least one, [sites, 3] in fractional coordinates")
        if not np.all(np.isfinite(self.fractional)):
            raise ValueError("sites hold NaN or infinite coordinates")
        if not len(self.labels) == len(self.clusters) == len(self.fractional):
            raise ValueError(f"{len(self.fractional)} sites need as many labels and clusters")
        checked_cell(self.cell)
        closest = nearest_other(self.fractional, self.cell)
        if closest.min() < SAME_POINT_A:
            twice = int(np.argmin(closest))
            raise ValueError(f"site {twice} ({self.labels[twice]}) is given twice: leave one out")

    def __len__(self) -> int:
        return len(self.fractional)

    @property
    def spacings(self) -> NDArray[np.float64]:
        """Distance ``[s]`` from each site to the nearest other one, Angstrom."""
        return nearest_other(self.fractional, self.cell)

    def with_clusters(self, clusters: ArrayLike) -> JumpSites:
        """Return the same sites in groups ``[s]``."""
        return replace(self, clusters=np.asarray(clusters, dtype=np.int64))


def sites_from_crystal(
    fractional: ArrayLike,
    unit_cell: ArrayLike,
    *,
    cell: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    clusters: ArrayLike | None = None,
) -> JumpSites:
    """Sites of a crystal, repeated to fill the cell of a trajectory.

    Parameters
    ----------
    fractional
        ``[s, 3]`` in the unit cell: occupied sites of the mobile ions, and empty ones where they are known.
    unit_cell
        ``[3, 3]`` Angstrom.
    cell
        ``[3, 3]`` cell of the trajectory, an integer combination of the unit cell but for a small strain; the unit cell
        itself by default.
    labels
        ``[s]``; ``site`` for all by default. See `equivalent_labels`.
    clusters
        ``[s]`` groups in the unit cell, which become one group per repetition; every site its own by default. Where a
        group reaches across the border of the unit cell, use `polyhedra` on the result instead.

    Raises
    ------
    ValueError
        If the cell is not made of unit cells, or the sites are no sites.
    """
    points, small = np.atleast_2d(np.asarray(fractional, dtype=float)), checked_cell(unit_cell)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError("there are no sites: give at least one, [sites, 3] in fractional coordinates")
    large = small if cell is None else checked_cell(cell)
    matrix = repetition(small, large)
    count = round(abs(np.linalg.det(matrix)))
    inverse = np.linalg.inv(matrix)
    reach = np.abs(matrix).sum(axis=0)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    # the lattice points of the large cell, the lower faces included, the upper ones not
    in_large = grid @ inverse
    inside = np.all((in_large > -1e-8) & (in_large < 1 - 1e-8), axis=1)
    cells = grid[inside]
    if len(cells) != count:
        raise ValueError(f"the repetition {matrix.tolist()} of the unit cell does not tile the cell")
    names = tuple(labels) if labels is not None else ("site",) * len(points)
    groups = np.arange(len(points)) if clusters is None else np.asarray(clusters, dtype=np.int64)
    if len(names) != len(points) or len(groups) != len(points):
        raise ValueError(f"{len(points)} sites need as many labels and clusters")
    repeated = (points[None] + cells[:, None]).reshape(-1, 3) @ inverse
    return JumpSites(
        fractional=repeated - np.floor(repeated),
        cell=large,
        labels=names * count,
        clusters=(groups[None] + (groups.max() + 1) * np.arange(count)[:, None]).ravel(),
    )


def repetition(unit_cell: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integer matrix ``[3, 3]`` with cell = matrix @ unit_cell but for a small strain.

    Raises
    ------
    ValueError
        If there is none.
    """
    exact = cell @ np.linalg.inv(unit_cell)
    matrix = np.rint(exact).astype(np.int64)
    if round(np.linalg.det(matrix)) == 0:
        raise ValueError("the cell of the trajectory is smaller than the unit cell of the sites")
    strain = float(np.abs(np.linalg.solve(matrix, exact) - np.eye(3)).max())
    if strain > LARGEST_STRAIN:
        raise ValueError(
            f"the cell of the trajectory is no repetition of the unit cell of the sites (strain {strain:.0%}): give "
            "the crystal in the setting and orientation of the run"
        )
    return matrix


def sites_from_density(
    density: DensityMap,
    *,
    merge_radius_A: float = MERGE_RADIUS_A,
    smoothing_A: float = SMOOTHING_A,
    min_occupancy: float = MIN_OCCUPANCY,
) -> JumpSites:
    """Sites at the maxima of the density of the mobile ions.

    The density is smoothed, its maxima among 26 neighbours are taken in the order of their height, each drops lower
    ones within the merging radius, and the rest moves to the centre of the density within that radius. The occupancy of
    a site is the density nearer to it than to any other site; sites with too little are dropped one after the other.

    Parameters
    ----------
    density
        From `density_map`, of the whole cell of the trajectory.
    merge_radius_A
        Smallest distance of two sites, Angstrom.
    smoothing_A
        Standard deviation of the Gaussian, Angstrom; 0 for none.
    min_occupancy
        Fewest ions on a site on average.

    Raises
    ------
    ValueError
        If an argument is out of range or nothing is left.
    """
    if merge_radius_A <= 0 or smoothing_A < 0 or not 0 <= min_occupancy < 1:
        raise ValueError("the merging radius must be positive, smoothing not negative, the occupancy between 0 and 1")
    counts, cell = density.counts.astype(float), density.cell
    shape = np.array(counts.shape)
    steps = np.linalg.norm(cell, axis=1) / shape
    smooth = ndimage.gaussian_filter(counts, smoothing_A / steps, mode="wrap")
    highest = (smooth == ndimage.maximum_filter(smooth, size=3, mode="wrap")) & (smooth > 0)
    candidates = np.argwhere(highest)
    candidates = candidates[np.argsort(-smooth[highest], kind="stable")]
    fractional = (candidates + 0.5) / shape
    kept = _apart(fractional, cell, merge_radius_A)
    voxels = np.argwhere(counts > 0)
    weights, points = counts[counts > 0], (voxels + 0.5) / shape
    sites = _centred(fractional[kept], points, weights, cell, merge_radius_A)
    sites = sites[_apart(sites, cell, merge_radius_A)]
    while True:
        nearest = _nearest(sites, points, cell)
        ions = np.bincount(nearest, weights=weights, minlength=len(sites)) / density.frames
        poorest = int(np.argmin(ions))
        if ions[poorest] >= min_occupancy:
            break
        if len(sites) == 1:
            raise ValueError("no site holds ions long enough: the density is too thin, run longer")
        # all far below go at once; what they held may lift their neighbours, so the rest waits for its turn
        gone = ions < max(ions[poorest], min_occupancy / 10) * 1.0000001
        if gone.all():
            raise ValueError("no site holds ions long enough: lower min_occupancy or run longer")
        sites = sites[~gone]
    return JumpSites(
        fractional=sites,
        cell=cell,
        labels=("site",) * len(sites),
        clusters=np.arange(len(sites)),
        occupancies=ions,
    )


def equivalent_labels(
    sites: JumpSites,
    framework: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    symprec: float = 0.3,
    name: str = "",
) -> tuple[str, ...]:
    """Labels ``[s]`` that are equal where the symmetry of sites and framework maps sites on each other.

    The fullest kind comes first: ``Cu1``, ``Cu2`` ... All labels are ``name`` and nothing else where there is one kind.
    Sites found in a density carry noise, hence the loose tolerance.

    Parameters
    ----------
    sites
        The sites.
    framework
        Fractional mean positions ``[n, 3]`` and atomic numbers ``[n]`` of the other atoms, where they are known.
    symprec
        Angstrom.
    name
        Beginning of the labels, e.g. the symbol of the ion; ``site`` by default.
    """
    positions, numbers = sites.fractional, np.zeros(len(sites), dtype=int)
    if framework is not None:
        positions = np.concatenate([positions, np.asarray(framework[0], dtype=float)])
        numbers = np.concatenate([numbers, np.asarray(framework[1], dtype=int)])
    head = name or "site"
    try:
        # as one kind of atom: which sites are full at the moment does not matter
        crystal: Any = (sites.cell, positions, numbers)
        dataset = spglib.get_symmetry_dataset(crystal, symprec=symprec)
    except spglib.SpglibError:
        dataset = None
    if dataset is None:
        return tuple(f"{head}{i + 1}" for i in range(len(sites)))
    kinds = np.unique(np.asarray(dataset.equivalent_atoms)[: len(sites)], return_inverse=True)[1]
    if kinds.max() == 0:
        return (head,) * len(sites)
    weight = np.ones(len(sites)) if sites.occupancies is None else sites.occupancies
    mean = np.bincount(kinds, weights=weight) / np.bincount(kinds)
    order = np.empty(len(mean), dtype=int)
    order[np.argsort(-mean, kind="stable")] = np.arange(1, len(mean) + 1)
    return tuple(f"{head}{order[kind]}" for kind in kinds)


def polyhedra(sites: JumpSites, anions: ArrayLike, corners: int = 4) -> NDArray[np.int64]:
    """Group ``[s]`` of the sites that lie in one coordination polyhedron: those with the same nearest anions.

    Parameters
    ----------
    sites
        The sites.
    anions
        ``[n, 3]`` fractional (mean) positions.
    corners
        Anions of a polyhedron; 4 for tetrahedra.

    Raises
    ------
    ValueError
        If there are no anions.
    """
    points = np.asarray(anions, dtype=float)
    if points.ndim != 2 or not len(points):
        raise ValueError("polyhedra need anions, [n, 3] in fractional coordinates")
    home = (sites.fractional - np.floor(sites.fractional)) @ sites.cell
    reach = 2 * (abs(np.linalg.det(sites.cell)) * corners / len(points)) ** (1 / 3)
    while True:
        copies = periodic_copies(points, sites.cell, reach)
        if len(copies.point) >= corners:
            distances, nearest = cKDTree(copies.positions).query(home, k=corners)
            if distances.max() <= reach:
                break
        reach *= 1.5
    keys = []
    for row in nearest.reshape(len(home), corners):
        named = sorted((int(copies.point[i]), *(int(n) for n in copies.image[i])) for i in row)
        # a polyhedron is the same in every cell: count cells from that of its first corner
        origin = named[0][1:]
        keys.append(tuple((a, x - origin[0], y - origin[1], z - origin[2]) for a, x, y, z in named))
    numbers = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def _apart(fractional: NDArray[np.float64], cell: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """Return the indices of points, in the order given, that have no earlier kept one within the radius."""
    copies = periodic_copies(fractional, cell, radius * 1.001)
    tree = cKDTree(copies.positions)
    home = (fractional - np.floor(fractional)) @ cell
    dropped = np.zeros(len(fractional), dtype=bool)
    for i, near in enumerate(tree.query_ball_point(home, radius)):
        if not dropped[i]:
            others = copies.point[near]
            dropped[others[others > i]] = True
    return np.flatnonzero(~dropped)


def _nearest(sites: NDArray[np.float64], points: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nearest site of each point."""
    reach = float(np.linalg.norm(cell, axis=1).sum()) / 2
    copies = periodic_copies(sites, cell, min(reach, 3 * (abs(np.linalg.det(cell)) / len(sites)) ** (1 / 3)))
    distances, nearest = cKDTree(copies.positions).query((points - np.floor(points)) @ cell)
    if distances.max() > min(reach, 3 * (abs(np.linalg.det(cell)) / len(sites)) ** (1 / 3)):
        copies = periodic_copies(sites, cell, reach)
        nearest = cKDTree(copies.positions).query((points - np.floor(points)) @ cell)[1]
    return copies.point[nearest]


def _centred(
    sites: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    cell: NDArray[np.float64],
    radius: float,
) -> NDArray[np.float64]:
    """Sites moved to the centre of the weights within the radius, as far as they are nearest to them."""
    copies = periodic_copies(sites, cell, radius)
    home = (points - np.floor(points)) @ cell
    distances, nearest = cKDTree(copies.positions).query(home)
    near = distances <= radius
    site, offset = copies.point[nearest[near]], home[near] - copies.positions[nearest[near]]
    total = np.bincount(site, weights=weights[near], minlength=len(sites))
    shift = np.stack(
        [np.bincount(site, weights=weights[near] * offset[:, a], minlength=len(sites)) for a in range(3)], axis=1
    )
    moved = sites + shift / np.maximum(total, 1)[:, None] @ np.linalg.inv(cell)
    return moved - np.floor(moved)
