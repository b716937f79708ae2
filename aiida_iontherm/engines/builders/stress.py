"""Stress tensors as ASE writes them."""

from __future__ import annotations

import numpy as np


def voigt(stress: np.ndarray) -> np.ndarray:
    """Return [6] xx, yy, zz, yz, xz, xy of a tensor [3, 3], its small asymmetry averaged away."""
    symmetric = (stress + stress.T) / 2
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
