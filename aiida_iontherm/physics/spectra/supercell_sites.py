"""Which atom of which primitive cell each atom of a molecular dynamics supercell is.

Programs order the atoms of a supercell as they like and put its origin anywhere. Here the mean structure of the run is
laid over the crystal, the translation between them is found, and each atom takes the nearest site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

LARGEST_STRAIN = 0.05
"""Thermal expansion between 0 K and melting is some per cent in length; a wrong cell misses by far more."""

LARGEST_DISTANCE = 0.4
"""Farthest an atom's mean may be from its site, in units of the shortest distance between sites."""


@dataclass(frozen=True)
class SupercellSites:
    """Atoms of a supercell as lattice translations of those of the primitive cell.

    Attributes
    ----------
    matrix
        Supercell vectors in primitive vectors, rows [3, 3], integers: supercell = matrix @ primitive.
    order
        For each primitive cell R and each of its atoms j the number of that atom in the trajectory [R, n].
    cells
        Lattice vectors R of the cells in primitive vectors [R, 3], integers.
    strain
        Largest element of the strain of the supercell against the crystal.
    farthest_A
        Largest distance of an atom's mean position from its site in Angstrom.
    """

    matrix: NDArray[np.int64]
    order: NDArray[np.int64]
    cells: NDArray[np.int64]
    strain: float
    farthest_A: float


def find_sites(
    primitive_cell_A: ArrayLike,
    scaled_positions: ArrayLike,
    symbols: Sequence[str],
    supercell_A: ArrayLike,
    positions_A: ArrayLike,
    supercell_symbols: Sequence[str],
) -> SupercellSites:
    """Lay the structures of a supercell over a crystal.

    Parameters
    ----------
    primitive_cell_A, scaled_positions, symbols
        The crystal: vectors as rows [3, 3], fractional positions [n, 3], chemical symbols [n].
    supercell_A
        Vectors of the supercell as rows [3, 3], constant during the run, in the same orientation.
    positions_A
        Mean positions in several stretches of one or more runs [m, N, 3], in any order of atoms, wrapped or not. Atoms
        must have the same sites in all of them.
    supercell_symbols
        [N].

    Raises
    ------
    ValueError
        If the supercell is not one of this crystal, an atom is on no site, two are on one, or an atom changes its site.
    """
    cell, large = np.asarray(primitive_cell_A, dtype=float), np.asarray(supercell_A, dtype=float)
    scaled, stretches = np.asarray(scaled_positions, dtype=float), np.asarray(positions_A, dtype=float)
    kinds, names = np.asarray(symbols), np.asarray(supercell_symbols)
    if stretches.ndim != 3 or stretches.shape[1:] != (len(names), 3):
        raise ValueError(f"positions {stretches.shape} do not fit {len(names)} atoms: need [m, N, 3]")
    matrix, strain = _expansion(cell, large)
    cells = lattice_points(matrix)
    if len(names) != len(cells) * len(kinds):
        raise ValueError(
            f"the supercell has {len(names)} atoms where {len(cells)} cells of the crystal have "
            f"{len(cells) * len(kinds)}: is it another crystal?"
        )
    inside = (cells[:, None] + scaled[None]).reshape(-1, 3) @ np.linalg.inv(matrix)
    site_names = np.tile(kinds, len(cells))
    places = stretches @ np.linalg.inv(large)
    shift = _shift(inside, site_names, len(kinds), places[0], names, large)
    sites, farthest = _nearest(inside, places[0] - shift, large)
    spacing = _spacing(inside, len(kinds), large)
    if farthest > LARGEST_DISTANCE * spacing:
        raise ValueError(
            f"an atom is {farthest:.2f} Angstrom from the nearest site of the crystal: the trajectory is of another "
            "structure, or of a crystal whose ions left their sites"
        )
    if len(np.unique(sites)) != len(sites) or np.any(site_names[sites] != names):
        raise ValueError(
            "the atoms of the trajectory do not fall on the sites of the crystal one by one, each on one of its "
            "species: the trajectory is of another structure, or ions left their sites"
        )
    for stretch in places[1:]:
        # Another run may have its origin elsewhere, and the centre of mass may drift.
        moved = stretch - places[0]
        moved -= moved[0]
        moved -= np.rint(moved)
        now, distance = _nearest(inside, places[0] - shift + moved - moved.mean(axis=0), large)
        hopped = np.count_nonzero(now != sites)
        if hopped:
            raise ValueError(
                f"{hopped} atoms change their sites during the run: a crystal whose ions hop has no phonons to project "
                "on; take a stretch without hops, or a lower temperature"
            )
        farthest = max(farthest, distance)
    order = np.empty(len(sites), dtype=np.int64)
    order[sites] = np.arange(len(sites))
    return SupercellSites(matrix, order.reshape(len(cells), len(kinds)), cells, strain, farthest)


def lattice_points(matrix: ArrayLike) -> NDArray[np.int64]:
    """Lattice vectors [m, 3] of the |det| cells of a supercell, in primitive vectors, given its vectors as rows [3, 3].

    Raises
    ------
    ValueError
        If the supercell has no volume.
    """
    rows = np.asarray(matrix, dtype=np.int64)
    count = abs(round(np.linalg.det(rows)))
    if count == 0:
        raise ValueError("the supercell has no volume: its vectors are not independent")
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T @ rows
    spans = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    boxed = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    # Exact in integers: R = x matrix with 0 <= x < 1 is 0 <= R adjugate < det.
    adjugate = np.rint(np.linalg.inv(rows) * np.linalg.det(rows)).astype(np.int64)
    numerators = boxed @ adjugate * np.sign(round(np.linalg.det(rows)))
    return boxed[np.all((numerators >= 0) & (numerators < count), axis=1)]


def _expansion(cell: NDArray[np.float64], large: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Integer matrix of the supercell, and the strain that is left."""
    real = large @ np.linalg.inv(cell)
    matrix = np.rint(real).astype(np.int64)
    remedy = (
        "it must consist of whole primitive cells in the orientation of the force constants (programs that turn the "
        "cell to a triangular one turn the velocities too)"
    )
    if round(np.linalg.det(matrix)) == 0:
        raise ValueError(f"the supercell of the trajectory does not fit the crystal: {remedy}")
    deformation = np.linalg.solve(matrix @ cell, large) - np.eye(3)
    strain = float(np.abs(deformation).max())
    if strain > LARGEST_STRAIN:
        raise ValueError(f"the supercell of the trajectory does not fit the crystal ({strain:.0%} strain): {remedy}")
    return matrix, strain


def _shift(
    inside: NDArray[np.float64],
    site_names: NDArray[np.str_],
    per_cell: int,
    place: NDArray[np.float64],
    names: NDArray[np.str_],
    large: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Find the translation, fractional in the supercell, that lays the atoms on the sites.

    One atom of the rarest species is put on each of its sites in the first cell (those of other cells differ by a
    lattice vector); the translation that leaves the atoms closest to sites is taken.
    """
    kinds, counts = np.unique(names, return_counts=True)
    anchor = int(np.flatnonzero(names == kinds[np.argmin(counts)])[0])
    best, best_distance = np.zeros(3), np.inf
    for site in range(per_cell):
        if site_names[site] != names[anchor]:
            continue
        shift = place[anchor] - inside[site]
        nearest, _ = _nearest(inside, place - shift, large)
        residual = place - shift - inside[nearest]
        shift = shift + (residual - np.rint(residual)).mean(axis=0)
        nearest, distance = _nearest(inside, place - shift, large)
        # A wrong species on a site is worse than any distance.
        distance += 1e6 * np.count_nonzero(site_names[nearest] != names)
        if distance < best_distance:
            best, best_distance = shift, distance
    return best


def _nearest(
    inside: NDArray[np.float64], places: NDArray[np.float64], large: NDArray[np.float64]
) -> tuple[NDArray[np.int64], float]:
    """Nearest site of each atom [N] and the largest distance in Angstrom.

    Distances in fractional coordinates choose among sites; in a skewed cell the choice may differ from the true one
    only far from all sites, where `find_sites` refuses the atom anyway.
    """
    scale = np.linalg.norm(large, axis=1)
    tree = cKDTree(_wrapped(inside) * scale, boxsize=scale)
    _, candidates = tree.query(_wrapped(places) * scale, k=min(_CANDIDATES, len(inside)))
    candidates = candidates.reshape(len(places), -1)
    apart = places[:, None] - inside[candidates]
    apart -= np.rint(apart)
    distances = np.linalg.norm(apart @ large, axis=2)
    best = np.argmin(distances, axis=1)
    rows = np.arange(len(places))
    return candidates[rows, best].astype(np.int64), float(distances[rows, best].max())


_CANDIDATES = 8
"""Sites near an atom in fractional coordinates, of which the nearest in space is taken."""


def _spacing(inside: NDArray[np.float64], per_cell: int, large: NDArray[np.float64]) -> float:
    """Shortest distance between two sites in Angstrom; a site alone has its own images as neighbours."""
    images = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    shortest = np.inf
    for site in inside[:per_cell]:
        apart = inside - site
        lengths = np.linalg.norm(((apart - np.rint(apart))[:, None] + images) @ large, axis=2)
        shortest = min(shortest, float(lengths[lengths > 1e-6].min()))
    return shortest


def _wrapped(places: NDArray[np.float64]) -> NDArray[np.float64]:
    fractional = places - np.floor(places)
    # A negative rounding error ends on 1, which a periodic tree refuses.
    return np.where(fractional >= 1.0, 0.0, fractional)
