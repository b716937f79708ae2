"""Symmetric second-rank tensors: Voigt order, the average over a point group and its invariants."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Index pairs in Voigt order xx, yy, zz, yz, xz, xy (no factors of two)."""

_ROWS, _COLUMNS = np.array(VOIGT).T


def from_voigt(components: ArrayLike) -> NDArray[np.float64]:
    """Symmetric tensors [..., 3, 3] from their six components [..., 6]."""
    six = np.asarray(components, dtype=float)
    tensor = np.empty((*six.shape[:-1], 3, 3))
    tensor[..., _ROWS, _COLUMNS] = six
    tensor[..., _COLUMNS, _ROWS] = six
    return tensor


def symmetrise_tensor(tensor: ArrayLike, rotations: ArrayLike) -> NDArray[np.float64]:
    """Average of R t R^T over the operations of a point group.

    Parameters
    ----------
    tensor
        Symmetric tensors [..., 3, 3]; an antisymmetric part is dropped.
    rotations
        Cartesian rotation matrices of the whole group [r, 3, 3].

    Notes
    -----
    The average is linear, so it is one 6 x 6 matrix built once and applied to all tensors.
    """
    values = np.asarray(tensor, dtype=float)
    if values.shape[-2:] != (3, 3):
        raise ValueError(f"need tensors [..., 3, 3], not {values.shape}")
    symmetric = (values + np.swapaxes(values, -1, -2)) / 2
    return from_voigt(symmetric[..., _ROWS, _COLUMNS] @ group_average(rotations))


def group_average(rotations: ArrayLike) -> NDArray[np.float64]:
    """Matrix [6, 6] that averages Voigt components over a point group: ``components @ matrix``.

    Parameters
    ----------
    rotations
        Cartesian rotation matrices of the whole group [r, 3, 3].
    """
    matrices = np.asarray(rotations, dtype=float)
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3):
        raise ValueError(f"need rotations [r, 3, 3], not {matrices.shape}")
    # Images of the six unit tensors under the group are the rows.
    units = from_voigt(np.eye(6))
    images = np.einsum("rac,ucd,rbd->uab", matrices, units, matrices) / len(matrices)
    return images[:, _ROWS, _COLUMNS]


def invariants(rotations: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split the average over a point group: combinations [c, 6] that matter, and tensors [c, 6] they multiply.

    ``(components @ combinations.T) @ tensors`` is the average; c is the number of independent components of a
    symmetric tensor, from 1 (cubic) to 6 (triclinic).
    """
    left, values, right = np.linalg.svd(group_average(rotations))
    kept = (
        values > 1e-6
    )  # those of a projector are 0, or 1 and a little more where the Voigt metric is not the Cartesian
    return (left[:, kept] * values[kept]).T, right[kept]
