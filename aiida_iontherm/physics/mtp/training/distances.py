"""Distances in periodic cells, fast enough for the thousands of cells of a training set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import complete_cell
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int_]

FARTHEST = 100.0
"""In Angstrom: atoms farther from all others are alone."""


def with_images(atoms: Atoms, reach: float) -> tuple[Array, Array, Integers]:
    """Atoms of the cell, and those with all periodic images that may be within `reach` of them.

    Returns
    -------
    positions : float array [N, 3]
        Of the atoms, brought into the cell.
    image_positions : float array [M, 3]
    image_of : int array [M]
        Which atom each one is an image of; the atoms themselves are among them.
    """
    cell = complete_cell(atoms.cell.array)
    inverse = np.linalg.inv(cell)
    fractions = atoms.positions @ inverse
    fractions[:, atoms.pbc] %= 1.0
    # Reach in units of the distance between opposite faces; the margin is for atoms on a face.
    margins = np.where(atoms.pbc, reach * np.linalg.norm(inverse, axis=0) + 1e-9, 0.0)
    images, owners = fractions, np.arange(len(atoms))
    for axis in np.flatnonzero(atoms.pbc):
        steps = np.arange(-np.ceil(margins[axis]), np.ceil(margins[axis]) + 1)
        moved = np.repeat(images[None], len(steps), axis=0)
        moved[:, :, axis] += steps[:, None]
        near = (moved[:, :, axis] >= -margins[axis]) & (moved[:, :, axis] <= 1 + margins[axis])
        images, owners = moved[near], np.broadcast_to(owners, near.shape)[near]
    return fractions @ cell, images @ cell, owners


def nearest_neighbours(atoms: Atoms, reach: float, count: int) -> tuple[Array, Integers]:
    """Nearest neighbours of each atom, images of the atom itself among them.

    Returns
    -------
    distances : float array [N, count]
        In Angstrom, in rising order; infinite where there are fewer within `reach`.
    neighbours : int array [N, count]
        Atoms; -1 where there is none.
    """
    positions, images, owners = with_images(atoms, reach)
    # The nearest of all is the atom itself.
    distances, indices = cKDTree(images).query(positions, k=np.arange(2, count + 2), distance_upper_bound=reach)
    return distances, np.append(owners, -1)[indices]


def shortest_distance(atoms: Atoms) -> float:
    """Shortest distance between two atoms (or an atom and its own image) in Angstrom; infinite for a lone atom."""
    reach = 4.0
    while reach < 2 * FARTHEST:
        shortest = float(nearest_neighbours(atoms, reach, 1)[0].min())
        if np.isfinite(shortest):
            return shortest
        reach *= 2
    return np.inf


def pair_counts(atoms: Atoms, edges: Array) -> Array:
    """Ordered pairs of an atom and a neighbour with distances between successive edges, [len(edges) - 1].

    The first edge must be above zero.
    """
    positions, images, _ = with_images(atoms, float(edges[-1]))
    return np.diff(cKDTree(positions).count_neighbors(cKDTree(images), edges)).astype(float)
