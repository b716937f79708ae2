"""Symmetric second-rank tensors: Voigt order and the projection on a point group."""

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
    matrices = np.asarray(rotations, dtype=float)
    values = np.asarray(tensor, dtype=float)
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3) or values.shape[-2:] != (3, 3):
        raise ValueError(f"need tensors [..., 3, 3] and rotations [r, 3, 3], not {values.shape} and {matrices.shape}")
    # Images of the six unit tensors under the group are the columns of the projector.
    units = from_voigt(np.eye(6))
    images = np.einsum("rac,ucd,rbd->uab", matrices, units, matrices) / len(matrices)
    projector = images[:, _ROWS, _COLUMNS]
    symmetric = (values + np.swapaxes(values, -1, -2)) / 2
    return from_voigt(symmetric[..., _ROWS, _COLUMNS] @ projector)
