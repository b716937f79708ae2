"""Where a mean square displacement has become linear in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LINEARITY_TOLERANCE = 0.05
"""Relative change of the slope of the MSD (beyond its noise) that is still called linear."""

MIN_LAGS = 12
"""Fewest lags a window can be looked for in: it leaves three candidates for the start."""


def slope(lags: NDArray[np.float64], curves: NDArray[np.float64], first: int = 0, axis: int = 0) -> NDArray[np.float64]:
    """Least-squares slopes of ``curves`` along ``axis`` from lag index ``first`` on (intercept free)."""
    centred = lags[first:] - lags[first:].mean()
    return np.moveaxis(curves, axis, -1)[..., first:] @ centred / np.sum(centred**2)


def linear_window_start(
    lags: NDArray[np.float64], msd: NDArray[np.float64], block_msd: NDArray[np.float64]
) -> tuple[int, bool]:
    """First lag after the ballistic and the cage region.

    That is the smallest t where the slope over [t, 2t] equals the slope from t to the last lag within
    `LINEARITY_TOLERANCE` and two standard errors. The derivative is tested rather than d ln MSD / d ln t = 1, because
    a cage plateau keeps the latter below one long after the ions have begun to diffuse.

    Parameters
    ----------
    lags
        ``[lags]``, equidistant from zero, at least `MIN_LAGS` after zero.
    msd
        ``[lags]`` trace of the MSD.
    block_msd
        ``[blocks, lags]`` the same for each block of the trajectory, which gives the noise.

    Returns
    -------
    index of the lag, and whether the MSD is linear from there on; the latest start tried when it is not.
    """
    last = len(lags) - 1
    # Three candidates an octave; not beyond last/4, so that [t, 2t] is never more than a third of the window.
    octaves = np.log2(last / 4)
    candidates = np.unique(np.round(np.geomspace(1, last // 4, 1 + int(3 * octaves))).astype(int))
    linear = []
    for first in candidates:
        near = slice(first, 2 * first + 1)
        rest = slope(lags, msd, first)
        change = slope(lags[near], msd[near]) - rest
        block_change = slope(lags[near], block_msd[:, near], axis=1) - slope(lags, block_msd, first, axis=1)
        noise = block_change.std(ddof=1) / np.sqrt(len(block_msd))
        linear.append(bool(abs(change) <= LINEARITY_TOLERANCE * abs(rest) + 2 * noise))
    # An oscillating MSD has the right slope at single lags by accident: three candidates in a row must agree.
    for i in range(len(candidates) - 2):
        if all(linear[i : i + 3]):
            return int(candidates[i]), True
    return int(candidates[-1]), False
