"""Lattice vectors of a Bravais index ``ibrav``, as the description of the input of Quantum ESPRESSO's pw.x gives them.

See "ibrav" in https://www.quantum-espresso.org/Doc/INPUT_PW.html.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CUBIC = {
    1: np.eye(3),
    2: np.array([(-1, 0, 1), (0, 1, 1), (-1, 1, 0)]) / 2,
    3: np.array([(1, 1, 1), (-1, 1, 1), (-1, -1, 1)]) / 2,
    -3: np.array([(-1, 1, 1), (1, -1, 1), (1, 1, -1)]) / 2,
}
_OF_THREE_EDGES = {
    6: np.eye(3),
    7: np.array([(1, -1, 1), (1, 1, 1), (-1, -1, 1)]) / 2,
    8: np.eye(3),
    9: np.array([(1, 1, 0), (-1, 1, 0), (0, 0, 2)]) / 2,
    -9: np.array([(1, -1, 0), (1, 1, 0), (0, 0, 2)]) / 2,
    91: np.array([(2, 0, 0), (0, 1, -1), (0, 1, 1)]) / 2,
    10: np.array([(1, 0, 1), (1, 1, 0), (0, 1, 1)]) / 2,
    11: np.array([(1, 1, 1), (-1, 1, 1), (-1, -1, 1)]) / 2,
}


def bravais_lattice(ibrav: int, celldm: Sequence[float]) -> NDArray[np.float64]:
    """Lattice vectors as rows, in units of ``celldm(1)``.

    Parameters
    ----------
    ibrav
        Bravais index other than 0.
    celldm
        The six ``celldm``; the first is not looked at.

    Raises
    ------
    ValueError
        If the index is not known, or has no single meaning (-13 changed between versions).
    """
    _, b, c, cos4, cos5, cos6 = celldm
    if ibrav in _CUBIC:
        return np.array(_CUBIC[ibrav], dtype=float)
    if ibrav in _OF_THREE_EDGES:
        edges = np.array([1.0, 1.0 if abs(ibrav) in (6, 7) else b, c])
        return np.asarray(_OF_THREE_EDGES[ibrav] * edges)
    if ibrav == 4:
        return np.array([(1, 0, 0), (-0.5, np.sqrt(3) / 2, 0), (0, 0, c)])
    if abs(ibrav) == 5:
        return _rhombohedral(cos4, along_c=ibrav > 0)
    if ibrav in (12, 13):
        second = np.array([b * cos4, b * np.sqrt(1 - cos4**2), 0])
        if ibrav == 12:
            return np.array([(1, 0, 0), second, (0, 0, c)])
        return np.array([(0.5, 0, -c / 2), second, (0.5, 0, c / 2)])
    if ibrav == -12:
        return np.array([(1, 0, 0), (0, b, 0), (c * cos5, 0, c * np.sqrt(1 - cos5**2))])
    if ibrav == 14:
        sine = np.sqrt(1 - cos6**2)
        across = (cos4 - cos5 * cos6) / sine
        return np.array(
            [(1, 0, 0), (b * cos6, b * sine, 0), (c * cos5, c * across, c * np.sqrt(1 - cos5**2 - across**2))]
        )
    raise ValueError(f"its lattice is given by ibrav = {ibrav}, which is not known here: make it with ibrav = 0")


def _rhombohedral(cosine: float, *, along_c: bool) -> NDArray[np.float64]:
    """Three vectors of length 1 with the same angle between them, their sum along z or along (1, 1, 1)."""
    x, y, z = np.sqrt((1 - cosine) / 2), np.sqrt((1 - cosine) / 6), np.sqrt((1 + 2 * cosine) / 3)
    if along_c:
        return np.array([(x, -y, z), (0, 2 * y, z), (-x, -y, z)])
    u, v = (z - 2 * np.sqrt(2) * y) / np.sqrt(3), (z + np.sqrt(2) * y) / np.sqrt(3)
    return np.array([(u, v, v), (v, u, v), (v, v, u)])
