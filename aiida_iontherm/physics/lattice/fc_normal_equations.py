"""Normal equations of a large least-squares fit, block of snapshots by block, in little memory.

A matrix rows^T rows of p parameters is kept as its upper triangle in panels of columns, half the memory of a square.
The rows of one kind of atom reach only some of the parameters: their part of the triangle is summed alone, by rank
updates with the rows of many snapshots at once (BLAS syrk), and added to the panels at the end of the block. One
triangle per contiguous block is kept for the jackknife; those that do not fit the memory allowed go to a scratch file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpocon, dpotrf, dpotrs

_PANEL = 512  # columns: wide enough for fast copies, narrow enough that the diagonal's lower half costs little
_UNDETERMINED = 1e-12  # a smallest eigenvalue of the scaled normal matrix (unit diagonal) below this is rounding


class Triangle:
    """Upper triangle of a symmetric matrix [p, p].

    Parameters
    ----------
    size
        Number of rows p.
    scratch
        Keep it in an unnamed temporary file instead of in memory.
    """

    def __init__(self, size: int, scratch: bool = False) -> None:
        self.size = size
        self._starts = range(0, size, _PANEL)
        lengths = [min(start + _PANEL, size) * min(_PANEL, size - start) for start in self._starts]
        memory: NDArray[np.float64] = (
            np.memmap(tempfile.TemporaryFile(), dtype=float, mode="w+", shape=(sum(lengths),))  # noqa: SIM115
            if scratch
            else np.zeros(sum(lengths))
        )
        offsets = np.cumsum([0, *lengths])
        self.panels = [
            memory[offset : offset + length].reshape(min(start + _PANEL, size), -1)
            for start, offset, length in zip(self._starts, offsets, lengths, strict=False)
        ]

    @staticmethod
    def gigabytes(size: int) -> float:
        """Memory of a triangle of this size."""
        return sum(8e-9 * min(s + _PANEL, size) * min(_PANEL, size - s) for s in range(0, size, _PANEL))

    def leading(self, size: int) -> Triangle:
        """Part of the first `size` rows and columns; it shares the memory."""
        part = copy(self)
        part.size, part._starts = size, range(0, size, _PANEL)
        part.panels = [
            panel[: min(start + _PANEL, size), : size - start]
            for start, panel in zip(part._starts, self.panels, strict=False)
        ]
        return part

    def add(self, columns: NDArray[np.int64], part: NDArray[np.float64]) -> None:
        """Add a matrix [c, c], zero below its diagonal, at these rows and columns, which must ascend."""
        for start, panel in zip(self._starts, self.panels, strict=True):
            first, last = np.searchsorted(columns, [start, start + panel.shape[1]])
            if first < last:
                panel[np.ix_(columns[:last], columns[first:last] - start)] += part[:last, first:last]

    def diagonal(self) -> NDArray[np.float64]:
        """Diagonal elements [p]."""
        return np.concatenate(
            [panel[start:].diagonal() for start, panel in zip(self._starts, self.panels, strict=True)]
        )

    def quadratic(self, vector: NDArray[np.float64]) -> float:
        """Sum over ij of v_i A_ij v_j."""
        upper = sum(
            float(vector[: len(panel)] @ panel @ vector[start : len(panel)])
            for start, panel in zip(self._starts, self.panels, strict=True)
        )
        return 2 * upper - float(self.diagonal() @ vector**2)


@dataclass
class NormalEquations:
    """Sums over the snapshots of one block: rows^T rows, rows^T forces, forces^2, forces and their count."""

    matrix: Triangle
    vector: NDArray[np.float64]
    square: float = 0.0
    sum: float = 0.0
    count: int = 0

    def leading(self, size: int) -> NormalEquations:
        """Equations of a model of the first `size` parameters alone."""
        return replace(self, matrix=self.matrix.leading(size), vector=self.vector[:size])

    def squared_error(self, parameters: NDArray[np.float64]) -> float:
        """Sum of squared residuals of the block's forces."""
        # Rounding of the difference of large numbers may go below zero for a perfect fit.
        error = self.square - 2 * float(self.vector @ parameters) + self.matrix.quadratic(parameters)
        return max(error, 0.0)


def rank_update(
    square: NDArray[np.float64], vector: NDArray[np.float64], rows: NDArray[np.float64], forces: NDArray[np.float64]
) -> None:
    """Add rows^T rows to the upper triangle of a Fortran-ordered matrix [c, c] and rows^T forces to a vector, in place.

    Parameters
    ----------
    square, vector
        What is added to [c, c] and [c].
    rows
        Transposed rows for each force component [3, c, k].
    forces
        Forces on the atom [3, k].
    """
    for block, target in zip(rows, forces, strict=True):
        dsyrk(1.0, block.T, beta=1.0, c=square, trans=1, lower=0, overwrite_c=1)
        vector += block @ target


class RidgeSolver:
    """Solve (sum of blocks + ridge) x = right-hand side by Cholesky factorisation in one square of memory.

    Parameters are scaled to unit variance of the rows first, which brings all orders to one scale.

    Parameters
    ----------
    size
        Number of parameters p; p^2 numbers are allocated once.
    """

    def __init__(self, size: int) -> None:
        self._work = np.empty((size, size), order="F")

    def solve(self, parts: Sequence[NormalEquations], strength: float) -> NDArray[np.float64] | None:
        """Parameters [p] of the fit to these blocks, or ``None`` where the rows leave some of them undetermined."""
        diagonal = np.sum([part.matrix.diagonal() for part in parts], axis=0)
        scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 0.0)
        work = self._work
        start = 0
        for panels in zip(*(part.matrix.panels for part in parts), strict=True):
            end, width = panels[0].shape
            target = work[:end, start : start + width]
            np.copyto(target, panels[0])
            for panel in panels[1:]:
                target += panel
            target *= scale[:end, None]
            target *= scale[start : start + width]
            start += width
        # A parameter that no row depends on becomes zero, with a ridge; without one it is undetermined.
        np.fill_diagonal(work, (diagonal > 0) + strength)
        factor, failed = dpotrf(work, lower=0, clean=0, overwrite_a=1)
        # With a norm of 1 LAPACK estimates 1 / |A^-1|, the smallest eigenvalue up to a small factor.
        if failed or dpocon(factor, 1.0, uplo="U")[0] < _UNDETERMINED:
            return None
        vector = np.sum([part.vector for part in parts], axis=0)
        return scale * dpotrs(factor, scale * vector, lower=0)[0]
