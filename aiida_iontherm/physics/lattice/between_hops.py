"""Which snapshots of a trajectory show a crystal whose atoms are all on their sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def between_hops(displacements: ArrayLike, distance: float, window: int = 8) -> slice:
    """Longest stretch of snapshots in which no atom has left its site.

    An atom has left when its mean over some snapshots is far from its site: a vibration averages out, a hop stays.

    Parameters
    ----------
    displacements
        Of the atoms from their sites [m, N, 3] in Angstrom, without drift (`displacements_from_sites`), snapshots in
        order of time.
    distance
        Of a mean from the site, in Angstrom, above which an atom has left.
    window
        Snapshots in a mean. All snapshots of a mean that is too far are left out.

    Returns
    -------
    slice of the snapshots; all of them where nothing hops, an empty one where an atom is away all the time.
    """
    moved = np.asarray(displacements, dtype=float)
    count = len(moved)
    width = min(window, count)
    sums = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(moved, axis=0)])
    means = (sums[width:] - sums[:-width]) / width
    away = (np.linalg.norm(means, axis=2) > distance).any(axis=1)
    # A mean stands for all the snapshots it is made of: one is good if all means it is in are.
    bad = np.zeros(count, dtype=bool)
    for start in np.flatnonzero(away):
        bad[start : start + width] = True
    return _longest(~bad)


def _longest(good: NDArray[np.bool_]) -> slice:
    """Return the longest run of true values; the first one of several."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    if not len(edges):
        return slice(0, 0)
    starts, ends = edges[::2], edges[1::2]
    best = int(np.argmax(ends - starts))
    return slice(int(starts[best]), int(ends[best]))
