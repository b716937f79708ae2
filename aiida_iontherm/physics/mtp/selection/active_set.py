"""The active set: as many rows as there are parameters, chosen for the largest volume, and grades against them.

E. V. Podryabinkin and A. V. Shapeev, Comput. Mater. Sci. 140, 171 (2017). A row b holds the derivatives of an energy
with respect to the parameters of the potential: of the energy of one atom (one neighbourhood) or of a whole
configuration. The energies of the active set, taken as known, determine every other energy by b = c A; the grade
max_j |c_j| of b says by how much an error in one of them comes back enlarged. Up to 1 is interpolation.

The matrix of rows is never of full rank. A radial function times a factor and the linear coefficients divided by it
give the same energies, and a radial function of order mu may take along any share of those below it: a gauge, along
which no row has a component. And a small training set does not span what is left. Both are handled at once. The
search starts, as MLIP does, from small multiples of the unit vectors instead of rows, *placeholders* of length
`RANK_THRESHOLD` in columns scaled to unit root mean square:

- a row takes the place of a placeholder as soon as it has a component of more than that length along it, so the
  threshold is the one below which the set counts as rank deficient (the first exchanges are those of Gaussian
  elimination with complete pivoting);
- a placeholder that is left along the gauge does nothing: rows have no component there, and their coordinates in the
  other members are the only ones possible, whatever the placeholders are;
- a placeholder that is left along a direction of which the training set knows nothing gives a row with a component x
  there the grade x / `RANK_THRESHOLD`: finite, and beyond any threshold unless the component is negligible.

With fewer rows than parameters, or none, nothing else changes. The threshold lies far above rounding (1e-16 times some
hundreds) and far below the variation of a column that a potential could have learned anything from.

Grades do not depend on the scale of the columns, nor on any other basis of parameter space, as long as rows lie in the
span of the members; the scale only says what small means for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.selection.maxvol import BLOCK_ROWS, exchange_rows

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mode = Literal["neighbourhood", "configuration"]
Block = tuple[Array, Indices]
"""Rows [n, P] and where they are from [n, 2]: configuration, and atom or -1 for all of them."""

RANK_THRESHOLD = 1e-6
"""Length of a placeholder against the root mean square of a column; MLIP's number, there without the scale."""

SWAP_THRESHOLD = 1e-3
"""Coordinates may exceed 1 by this much: less would cost exchanges and change no grade by more."""

EMPTY_COLUMN = 1e-10
"""A column this small against the largest holds rounding, which must not be scaled up to look like data."""

_MAX_PASSES = 50
"""Two or three do. Each exchange makes the volume larger, so only rounding could go on for ever."""

_EXACT_AGAIN = 100
"""Exchanges after which the inverse is computed anew: the formula is exact, floating point is not."""

PLACEHOLDER = -1
"""Configuration a placeholder is from."""


@dataclass(frozen=True)
class ActiveSet:
    """Rows of the largest volume, and their inverse.

    Attributes
    ----------
    rows : float array [P, P]
        Members, in the units of the rows given.
    inverse : float array [P, P]
        ``row @ inverse`` are the coordinates of a row in the members.
    origins : int array [P, 2]
        Configuration and atom each member is from, as given; atom -1 where the row is that of a whole configuration;
        `PLACEHOLDER` and -1 where no row has taken the place yet.
    scale : float array [P]
        Root mean square of each column over the rows first given: the unit of `RANK_THRESHOLD`.
    mode : {"neighbourhood", "configuration"}
        What a row stands for.
    potential : str
        `rows.fingerprint` of the potential the rows were computed with; empty if it is not known.
    """

    rows: Array
    inverse: Array
    origins: Indices
    scale: Array
    mode: Mode = "neighbourhood"
    potential: str = ""

    @property
    def rank(self) -> int:
        """Number of members that are rows of the training set; the others are placeholders."""
        return int(np.count_nonzero(self.origins[:, 0] != PLACEHOLDER))

    @property
    def configurations(self) -> list[int]:
        """Configurations that have a row among the members, each once."""
        return sorted(set(self.origins[:, 0].tolist()) - {PLACEHOLDER})


def select_active_set(
    rows: npt.ArrayLike,
    origins: npt.ArrayLike | None = None,
    *,
    mode: Mode = "neighbourhood",
    threshold: float = SWAP_THRESHOLD,
    potential: str = "",
) -> ActiveSet:
    """Choose the active set of some rows.

    Parameters
    ----------
    rows : float array [n, P]
        Derivatives of the energies with respect to the P parameters; n may be smaller than P, or 0.
    origins : int array [n, 2], optional
        Configuration and atom of each row; by default row i is configuration i.
    mode : {"neighbourhood", "configuration"}
        What a row stands for.
    threshold : float
        No row has a grade above 1 + `threshold` in the end.
    potential : str
        Fingerprint to keep with the set.

    Raises
    ------
    ValueError
        If rows are not a finite matrix, origins do not fit them, or the threshold is not positive.
    """
    matrix = _matrix(rows)
    block = (matrix, _origins(origins, len(matrix)))
    return select_from_blocks(lambda: [block], matrix.shape[1], mode=mode, threshold=threshold, potential=potential)


def select_from_blocks(
    blocks: Callable[[], Iterable[Block]],
    n_parameters: int,
    *,
    mode: Mode = "neighbourhood",
    threshold: float = SWAP_THRESHOLD,
    potential: str = "",
) -> ActiveSet:
    """Choose the active set of rows that need not fit into memory together.

    Parameters
    ----------
    blocks : callable
        Gives the rows anew, block by block, each time it is called: once for the scale of the columns, then until a
        pass over all of them changes nothing.
    n_parameters : int
        P.
    mode, threshold, potential
        As in `select_active_set`.

    Raises
    ------
    ValueError
        As `select_active_set`.
    """
    squares, count = np.zeros(n_parameters), 0
    for rows, _ in blocks():
        matrix = _matrix(rows, n_parameters)
        squares += np.einsum("nk,nk->k", matrix, matrix)
        count += len(matrix)
    scale = _column_scale(np.sqrt(squares / max(count, 1)))
    start = RANK_THRESHOLD * np.eye(n_parameters)
    empty = restore(
        rows=start * scale,
        origins=np.full((n_parameters, 2), PLACEHOLDER, dtype=np.int64),
        scale=scale,
        mode=mode,
        potential=potential,
    )
    return _exchanged(empty, blocks, threshold)


def update(
    active_set: ActiveSet,
    new_rows: npt.ArrayLike,
    origins: npt.ArrayLike | None = None,
    *,
    threshold: float = SWAP_THRESHOLD,
) -> ActiveSet:
    """Take up those of some new rows that make the volume larger; members they replace are forgotten.

    Parameters
    ----------
    active_set : ActiveSet
        Stays as it is.
    new_rows : float array [n, P]
    origins : int array [n, 2], optional
        Configuration and atom of each row; by default row i is configuration i.
    threshold : float
        As in `select_active_set`; afterwards it holds for the new rows.

    Raises
    ------
    ValueError
        As `select_active_set`, and if rows have another number of parameters.
    """
    matrix = _matrix(new_rows, len(active_set.scale))
    block = (matrix, _origins(origins, len(matrix)))
    return _exchanged(active_set, lambda: [block], threshold)


def grades(active_set: ActiveSet, rows: npt.ArrayLike) -> Array:
    """Extrapolation grades max_j |(b A^-1)_j| of rows b.

    Parameters
    ----------
    active_set : ActiveSet
    rows : float array [n, P]
        Of the same potential and of the mode of the set.

    Returns
    -------
    float array [n]

    Raises
    ------
    ValueError
        If rows are not finite or have another number of parameters.
    """
    matrix = _matrix(rows, len(active_set.scale))
    found = np.empty(len(matrix))
    for first in range(0, len(matrix), 8 * BLOCK_ROWS):
        part = slice(first, first + 8 * BLOCK_ROWS)
        coordinates = matrix[part] @ active_set.inverse
        found[part] = np.maximum(coordinates.max(axis=1, initial=0.0), -coordinates.min(axis=1, initial=0.0))
    return found


def restore(*, rows: Array, origins: Indices, scale: Array, mode: str, potential: str) -> ActiveSet:
    """Make an active set of its members, bit by bit the one they were taken from.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, the mode is unknown or the members are linearly dependent.
    """
    count = len(scale)
    if rows.shape != (count, count) or origins.shape != (count, 2) or scale.shape != (count,):
        raise ValueError(
            f"an active set of {count} parameters has shapes {rows.shape} and {origins.shape}: it is damaged"
        )
    if not (np.isfinite(rows).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("the active set holds numbers that are not finite: it is damaged")
    if mode not in ("neighbourhood", "configuration"):
        raise ValueError(f"the active set says its mode is {mode!r}, which is neither neighbourhood nor configuration")
    try:
        inverse = _inverse(rows, scale)
    except np.linalg.LinAlgError as error:
        raise ValueError("the members of the active set are linearly dependent: it is damaged") from error
    return ActiveSet(
        rows, inverse, origins, scale, "configuration" if mode == "configuration" else "neighbourhood", potential
    )


def _exchanged(active_set: ActiveSet, blocks: Callable[[], Iterable[Block]], threshold: float) -> ActiveSet:
    """Exchange until a whole pass over the rows finds nothing more to exchange."""
    if not threshold > 0:
        raise ValueError(f"the threshold of an exchange must be positive, not {threshold}: exchanges would not end")
    scale = active_set.scale
    members, origins = active_set.rows / scale, active_set.origins.copy()
    inverse = active_set.inverse * scale[:, None]
    for _ in range(_MAX_PASSES):
        exchanges = since_inverted = 0
        for rows, where in blocks():
            scaled = rows / scale
            for first in range(0, len(rows), BLOCK_ROWS):
                found = exchange_rows(members, inverse, scaled[first : first + BLOCK_ROWS], threshold)
                for i, j in found:
                    origins[j] = where[first + i]
                exchanges += len(found)
                since_inverted += len(found)
                if since_inverted > _EXACT_AGAIN:
                    inverse, since_inverted = _inverted(members), 0
        if exchanges:
            inverse = _inverted(members)
        else:
            return restore(
                rows=members * scale,
                origins=origins,
                scale=scale,
                mode=active_set.mode,
                potential=active_set.potential,
            )
    raise ValueError(
        f"the active set still changes after {_MAX_PASSES} passes over the rows: some columns of the rows are equal to "
        "the last digits; is the potential trained?"
    )


def _inverse(rows: Array, scale: Array) -> Array:
    """Inverse of the members, computed with scaled columns."""
    return _inverted(rows / scale) / scale[:, None]


def _inverted(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _column_scale(rms: Array) -> Array:
    """Root mean square of each column; that of the largest for columns without data, and 1 without any."""
    largest = float(rms.max(initial=0.0)) or 1.0
    return np.where(rms > EMPTY_COLUMN * largest, rms, largest)


def _matrix(rows: npt.ArrayLike, n_parameters: int | None = None) -> Array:
    matrix = np.asarray(rows, dtype=float)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"rows must be a matrix with a column for each parameter, not of shape {matrix.shape}")
    if n_parameters is not None and matrix.shape[1] != n_parameters:
        raise ValueError(
            f"rows have {matrix.shape[1]} parameters where the active set has {n_parameters}: they are from another "
            "potential"
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise ValueError(
            f"row {bad[0]} of {len(matrix)} holds numbers that are not finite ({len(bad)} such rows): atoms of its "
            "configuration lie on top of each other, or the potential is damaged"
        )
    return matrix


def _origins(origins: npt.ArrayLike | None, count: int) -> Indices:
    if origins is None:
        return np.column_stack([np.arange(count), np.full(count, -1)]).astype(np.int64)
    found = np.asarray(origins, dtype=np.int64)
    if found.shape != (count, 2) or (found[:, 0] < 0).any():
        raise ValueError(f"origins must be the configuration and the atom of each of {count} rows, not {found.shape}")
    return found
