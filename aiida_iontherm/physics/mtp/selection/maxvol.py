"""Rows of a matrix whose square submatrix has the largest volume, found by exchanging one row at a time.

S. A. Goreinov, I. V. Oseledets, D. V. Savostyanov, E. E. Tyrtyshnikov and N. L. Zamarashkin, How to find a good
submatrix, in Matrix Methods: Theory, Algorithms and Applications (World Scientific, 2010), p. 247. With the coordinates
c = b A^-1 of a row b in the rows of A, putting b in the place of row j multiplies |det A| by |c_j|. So the largest
|c_j| names the best exchange, and where all of them are at most 1 + threshold no single exchange makes the volume
larger by more than that. The inverse follows each exchange by the Sherman-Morrison formula.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BLOCK_ROWS = 512
"""Rows looked at together: their coordinates, one number per row and parameter, then stay in the cache."""


def exchange_rows(members: Array, inverse: Array, rows: Array, threshold: float) -> list[tuple[int, int]]:
    """Exchange members for rows until no coordinate of any row is larger than 1 + `threshold`.

    Parameters
    ----------
    members, inverse : float array [P, P]
        The set and its inverse; both are changed in place.
    rows : float array [n, P]
        At most some hundred, see `BLOCK_ROWS`: their coordinates are kept up to date after each exchange.
    threshold : float
        Must be positive: the volume then grows by a factor at each exchange, and they come to an end.

    Returns
    -------
    list of (int, int)
        Exchanges in order: member j was replaced by row i. A member may appear more than once.
    """
    exchanges: list[tuple[int, int]] = []
    coordinates = rows @ inverse
    while coordinates.size:
        i, j = divmod(int(np.abs(coordinates).argmax()), coordinates.shape[1])
        pivot = coordinates[i, j]
        if abs(pivot) <= 1.0 + threshold:
            break
        change = coordinates[i].copy()
        change[j] -= 1.0
        change /= pivot
        members[j] = rows[i]
        inverse -= np.outer(inverse[:, j], change)
        coordinates -= np.outer(coordinates[:, j], change)
        exchanges.append((i, j))
    return exchanges
