"""Paths of scattering vectors Q through reciprocal space, and what of them fits into a supercell.

Corners are in reciprocal lattice units of a unit cell, Q = h a* + k b* + l c*, in any Brillouin zone. With supercell
vectors A = P a, the whole numbers P hkl are those Q at which the density of the supercell is periodic: at others a
Fourier component depends on where the cell is cut. Of a path that runs beside such points one may take those near it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from ase.cell import Cell
from ase.dft.kpoints import parse_path_string
from numpy.typing import ArrayLike, NDArray

LARGEST_STRAIN = 0.03
"""By so much the unit cell and the supercell of a run may differ: thermal expansion does less."""

ON_PATH = 1e-4
"""In 1/Angstrom: a point nearer is on the path."""

Corner = tuple[str, NDArray[np.float64]]
"""Label and reciprocal lattice units."""


@dataclass(frozen=True)
class QPath:
    """Scattering vectors along a path.

    Attributes
    ----------
    points
        Reciprocal lattice units of the unit cell [Q, 3].
    vectors
        Cartesian, in 1/Angstrom with the factor of 2 pi [Q, 3].
    distances
        Along the path in 1/Angstrom [Q]; where the path jumps, the next part begins where the last ended.
    parts
        First points of the parts between jumps, ascending; the first is 0.
    ticks
        Distance and label of each corner.
    off_path
        Distance of each point from the path in 1/Angstrom [Q].
    """

    points: NDArray[np.float64]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]
    parts: tuple[int, ...]
    ticks: tuple[tuple[float, str], ...]
    off_path: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def norms(self) -> NDArray[np.float64]:
        """|Q| in 1/Angstrom [Q]."""
        return np.linalg.norm(self.vectors, axis=1)


def read_corners(text: str, unit_cell: ArrayLike, zone: ArrayLike = (0, 0, 0)) -> list[list[Corner]]:
    """Read a path as people write it.

    Parameters
    ----------
    text
        Corners such as ``4,0,0 4,1/2,0`` or labels of the Bravais lattice of the unit cell as ASE finds it, such as
        ``GXMG`` or ``G X``; ``|`` where the path jumps.
    unit_cell
        Vectors as rows [3, 3] in Angstrom.
    zone
        Reciprocal lattice vector that is added to labelled points.

    Returns
    -------
    The corners of each part.

    Raises
    ------
    ValueError
        If a word is neither three numbers nor labels of this lattice, or a part has a single corner.
    """
    parts: list[list[Corner]] = []
    for part in text.split("|"):
        corners: list[Corner] = []
        for word in part.split():
            corners += [_numbers(word)] if "," in word else _labelled(word, unit_cell, np.asarray(zone, dtype=float))
        if len(corners) < 2:
            raise ValueError(f"a path needs two corners or more, not {part.strip()!r}")
        parts.append(corners)
    return parts


def even_path(corners: Sequence[Sequence[Corner]], unit_cell: ArrayLike, spacing: float) -> QPath:
    """Points at even distances, at most `spacing` 1/Angstrom, corners included."""
    if not spacing > 0:
        raise ValueError(f"points along a path must be a positive distance apart, not {spacing}")
    reciprocal = _reciprocal(unit_cell)
    pieces = []
    for (_, start), (_, end) in _segments(corners):
        count = max(1, int(np.ceil(np.linalg.norm((end - start) @ reciprocal) / spacing - 1e-9)))
        t = np.linspace(0, 1, count + 1)
        pieces.append((start + t[:, None] * (end - start), np.zeros(count + 1)))
    return _joined(corners, pieces, reciprocal)


def commensurate_path(
    corners: Sequence[Sequence[Corner]], unit_cell: ArrayLike, supercell: ArrayLike, tolerance: float = ON_PATH
) -> QPath:
    """Points of a path that fit into a supercell.

    Parameters
    ----------
    corners
        From `read_corners`.
    unit_cell, supercell
        Vectors as rows [3, 3] in Angstrom. The supercell's are whole sums of the unit cell's up to a strain of 3 %,
        which is taken from the supercell.
    tolerance
        Distance from the path in 1/Angstrom up to which points are taken.

    Raises
    ------
    ValueError
        If the cells do not fit, or no point is near a part of the path.
    """
    matrix = supercell_matrix(unit_cell, supercell)
    reciprocal = _reciprocal(np.linalg.solve(matrix.astype(float), np.asarray(supercell, dtype=float)))
    back = np.linalg.inv(matrix)
    pieces = []
    for (first, start), (last, end) in _segments(corners):
        direction = (end - start) @ reciprocal
        length = float(np.linalg.norm(direction))
        # Five samples for each step to the next point of the lattice: none near the path is passed by.
        samples = int(np.ceil(5 * np.abs(matrix @ (end - start)).max())) + 2
        t = np.linspace(0, 1, samples)[:, None]
        points = np.unique(np.rint((start + t * (end - start)) @ matrix.T), axis=0) @ back.T
        apart = (points - start) @ reciprocal
        along = apart @ direction / length**2 if length else np.zeros(len(points))
        off = np.linalg.norm(apart - np.clip(along, 0, 1)[:, None] * direction, axis=1)
        near = np.flatnonzero(off <= tolerance)
        if not len(near):
            best = points[np.argmin(off)]
            raise ValueError(
                f"between {first} and {last} no wave vector fits into the supercell: the nearest, "
                f"{_written(best)}, is {off.min():.3g} 1/Angstrom off the path; allow that or take another supercell"
            )
        near = near[np.argsort(along[near], kind="stable")]
        pieces.append((points[near], off[near]))
    return _joined(corners, pieces, reciprocal)


def supercell_matrix(unit_cell: ArrayLike, supercell: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers P with supercell = P unit cell [3, 3].

    Raises
    ------
    ValueError
        If there are none within a strain of 3 %.
    """
    small, large = np.asarray(unit_cell, dtype=float), np.asarray(supercell, dtype=float)
    if abs(np.linalg.det(small)) < 1e-6:
        raise ValueError("the unit cell has no volume")
    matrix = np.rint(large @ np.linalg.inv(small))
    if abs(np.linalg.det(matrix)) > 0.5:
        strain = np.linalg.inv(small) @ np.linalg.solve(matrix, large) - np.eye(3)
        if np.abs(strain).max() <= LARGEST_STRAIN:
            return matrix.astype(np.int64)
    raise ValueError(
        "the cell of the run does not consist of whole unit cells in this orientation: give the unit cell it was made "
        "from"
    )


def _segments(corners: Sequence[Sequence[Corner]]) -> list[tuple[Corner, Corner]]:
    return [pair for part in corners for pair in pairwise(part)]


def _joined(
    corners: Sequence[Sequence[Corner]],
    pieces: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    reciprocal: NDArray[np.float64],
) -> QPath:
    """Put segments one after the other; a corner that two of them share comes once."""
    points: list[NDArray[np.float64]] = []
    off: list[float] = []
    distances: list[float] = []
    parts: list[int] = []
    ticks: list[tuple[float, str]] = []
    done, number = 0.0, 0
    for part in corners:
        parts.append(len(points))
        if ticks:
            ticks[-1] = (done, f"{ticks[-1][1]}|{part[0][0]}")
        else:
            ticks.append((done, part[0][0]))
        for (_, start), (label, end) in pairwise(part):
            direction = (end - start) @ reciprocal
            length = float(np.linalg.norm(direction))
            for point, distance in zip(*pieces[number], strict=True):
                if len(points) > parts[-1] and np.abs(points[-1] - point).max() < 1e-9:
                    continue
                along = float((point - start) @ reciprocal @ direction) / length if length else 0.0
                points.append(point)
                off.append(float(distance))
                distances.append(done + float(np.clip(along, 0, length)))
            done += length
            number += 1
            ticks.append((done, label))
    hkl = np.array(points)
    return QPath(hkl, hkl @ reciprocal, np.array(distances), tuple(parts), tuple(ticks), np.array(off))


def _reciprocal(unit_cell: ArrayLike) -> NDArray[np.float64]:
    return 2 * np.pi * np.linalg.inv(np.asarray(unit_cell, dtype=float)).T


def _numbers(word: str) -> Corner:
    try:
        values = np.array([float(Fraction(number)) for number in word.split(",")])
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{word} is no wave vector: write it as 4,0,1/2") from error
    if len(values) != 3:
        raise ValueError(f"{word} is no wave vector: it needs three numbers")
    return _written(values), values


def _labelled(word: str, unit_cell: ArrayLike, zone: NDArray[np.float64]) -> list[Corner]:
    special = Cell(np.asarray(unit_cell, dtype=float)).bandpath(npoints=0).special_points
    try:
        labels = [label for part in parse_path_string(word) for label in part]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{word} is no path: {error}") from error
    unknown = [label for label in labels if label not in special]
    if unknown or not labels:
        raise ValueError(
            f"{unknown[0] if unknown else word} is no point of this lattice: there are {', '.join(sorted(special))}; "
            "or give three numbers"
        )
    return [("Γ" if label == "G" else label, special[label] + zone) for label in labels]


def _written(point: NDArray[np.float64]) -> str:
    return "(" + " ".join(f"{value:.4g}" for value in point + 0.0) + ")"
