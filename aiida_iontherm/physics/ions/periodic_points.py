"""Points in a periodic cell: checks, periodic copies, and which site a position belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

VOXEL_A = 0.35
"""Edge of the look-up grid in Angstrom: a finer one settles a few more positions without a search, and takes longer
to make. Coarser grids cost time but no accuracy."""

LARGEST_GRID = 4_000_000
"""Voxels of the look-up grid."""

POSITIONS_PER_VOXEL = 8
"""A voxel costs as much as a search; one that is asked less often does not pay."""

SAME_POINT_A = 1e-3
"""Sites closer than this are one site given twice."""

NOWHERE, UNSETTLED = -1, -2


def checked_cell(cell: ArrayLike) -> NDArray[np.float64]:
    """Cell vectors as rows ``[3, 3]`` in Angstrom.

    Raises
    ------
    ValueError
        If it is no three-dimensional cell.
    """
    vectors = np.asarray(cell, dtype=float)
    if vectors.shape != (3, 3) or not np.all(np.isfinite(vectors)):
        raise ValueError("a cell is three vectors as rows [3, 3] in Angstrom")
    if abs(np.linalg.det(vectors)) < 1e-6 * np.prod(np.linalg.norm(vectors, axis=1)):
        raise ValueError("the cell vectors lie in a plane: sites need a three-dimensional periodic cell")
    return vectors


def checked_positions(positions: NDArray[np.floating], min_frames: int = 2) -> tuple[int, int]:
    """Frames and ions of unwrapped positions ``[frames, ions, 3]``.

    Raises
    ------
    ValueError
        If there are no ions, too few frames, or coordinates that are not finite.
    """
    if positions.ndim != 3 or positions.shape[2] != 3:
        raise ValueError(f"positions must have shape [frames, ions, 3], not {positions.shape}")
    frames, ions = positions.shape[:2]
    if ions == 0:
        raise ValueError("there are no mobile ions: choose a species that the structure holds")
    if frames < min_frames:
        raise ValueError(
            f"{frames} frames are too few: at least {min_frames} are needed, run longer or store more often"
        )
    # the extremes carry NaN and infinity along without an array as large as the positions
    if not (np.isfinite(np.min(positions)) and np.isfinite(np.max(positions))):
        raise ValueError("positions hold NaN or infinite coordinates: drop those frames")
    return frames, ions


def checked_drift(drift: ArrayLike | None, frames: int) -> NDArray[np.float64]:
    """Drift since the first frame ``[frames, 3]``; zero for ``None``.

    Sites stand where the crystal stood in the first frame, so only the change of the centre of mass counts.

    Raises
    ------
    ValueError
        If it has another shape or is not finite.
    """
    if drift is None:
        return np.zeros((frames, 3))
    shift = np.asarray(drift, dtype=float)
    if shift.shape != (frames, 3) or not np.all(np.isfinite(shift)):
        raise ValueError(f"drift must be finite, one vector per frame ({frames}, 3), not {shift.shape}")
    return shift - shift[0]


def heights(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances ``[3]`` between opposite faces of the cell, Angstrom."""
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


@dataclass(frozen=True)
class PeriodicCopies:
    """All copies of some points within a distance of the cell at the origin.

    Attributes
    ----------
    positions
        ``[c, 3]`` Cartesian, Angstrom.
    point
        ``[c]`` which point each is a copy of.
    image
        ``[c, 3]`` its cell, for the fractional coordinates as they were given.
    """

    positions: NDArray[np.float64]
    point: NDArray[np.int64]
    image: NDArray[np.int64]


def periodic_copies(fractional: NDArray[np.float64], cell: NDArray[np.float64], reach: float) -> PeriodicCopies:
    """Return the copies of points that lie within ``reach`` Angstrom of anywhere in the cell at the origin."""
    wrapped = np.floor(fractional).astype(np.int64)
    inside = fractional - wrapped
    border = reach / heights(cell)
    ranges = [np.arange(-int(np.ceil(b)), int(np.ceil(b)) + 1) for b in border]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    copies = inside[None] + shifts[:, None]
    near = np.all((copies >= -border) & (copies <= 1 + border), axis=2)
    which_shift, point = np.nonzero(near)
    return PeriodicCopies(copies[near] @ cell, point, shifts[which_shift] - wrapped[point])


def nearest_other(fractional: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance ``[n]`` from each point to the nearest other one, copies of itself included, Angstrom."""
    reach = float(np.linalg.norm(cell, axis=1).min())
    # the nearest copy of a point itself is never further than the shortest cell vector
    copies = periodic_copies(fractional, cell, reach * 1.001)
    home = (fractional - np.floor(fractional)) @ cell
    distances, _ = cKDTree(copies.positions).query(home, k=2)
    return distances[:, 1]


class SiteLookup:
    """Tells in which core a position lies.

    The core of a site is where the site is nearer than any other by at least its margin, |r - s'| - |r - s| >= m_s:
    the side of a hyperboloid, not a sphere, so that a wide vibration across the path does not leave it.

    A grid of voxels settles most positions without a search. The difference of two distances changes by at most twice
    the way gone, so a voxel whose centre is deep enough inside or outside a core is there as a whole; only the others
    are searched. The answer is that of the search.

    Parameters
    ----------
    fractional
        ``[s, 3]`` sites.
    cell
        ``[3, 3]`` vectors as rows, Angstrom.
    margins
        ``[s]`` Angstrom, positive.
    expected
        About how many positions will be looked up.
    """

    def __init__(
        self,
        fractional: NDArray[np.float64],
        cell: NDArray[np.float64],
        margins: NDArray[np.float64],
        expected: int = 1_000_000,
    ) -> None:
        self._inverse = np.linalg.inv(cell)
        self._cell = cell
        self._margins = margins
        volume = abs(np.linalg.det(cell))
        voxels = min(LARGEST_GRID, max(1, expected // POSITIONS_PER_VOXEL))
        edge = max(VOXEL_A, (volume / voxels) ** (1 / 3))
        self._shape = np.maximum(1, np.ceil(np.linalg.norm(cell, axis=1) / edge)).astype(int)
        axes = [(np.arange(n) + 0.5) / n for n in self._shape]
        centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ cell
        corners = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) / self._shape
        half = float(np.linalg.norm(corners @ cell, axis=1).max()) / 2

        reach = 2 * (volume / len(fractional)) ** (1 / 3)
        while True:
            self.copies = periodic_copies(fractional, cell, reach)
            if len(self.copies.point) > 1:
                self._tree = cKDTree(self.copies.positions)
                distances, nearest = self._tree.query(centres, k=2)
                # only what is nearer than the reach is known to be complete
                if distances[:, 1].max() + half <= reach:
                    break
            reach *= 1.5
        gap = distances[:, 1] - distances[:, 0]
        found = nearest[:, 0].astype(np.int32)
        table = np.full(len(centres), UNSETTLED, dtype=np.int32)
        inside = gap >= margins[self.copies.point[found]] + 2 * half
        table[inside] = found[inside]
        table[gap + 2 * half < margins.min()] = NOWHERE
        self._table = table

    def find(self, positions: NDArray[np.floating]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the copy of a site whose core each position ``[n, 3]`` lies in, or -1, and the position's cell."""
        fractional = positions @ self._inverse
        cells = np.floor(fractional)
        fractional -= cells
        voxel = np.minimum((fractional * self._shape).astype(np.int64), self._shape - 1)
        found = self._table[(voxel[:, 0] * self._shape[1] + voxel[:, 1]) * self._shape[2] + voxel[:, 2]]
        open_ = np.flatnonzero(found == UNSETTLED)
        if len(open_):
            distances, nearest = self._tree.query(fractional[open_] @ self._cell, k=2)
            first = nearest[:, 0]
            core = distances[:, 1] - distances[:, 0] >= self._margins[self.copies.point[first]]
            found[open_] = np.where(core, first, NOWHERE)
        return found, cells.astype(np.int64)
