"""Snapshots of a trajectory in which every atom vibrates around its own site."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def between_hops(displacements: ArrayLike, distance: float, window: int = 8) -> NDArray[np.bool_]:
    """Find the snapshots in which no atom has left its site; ions that hop often come back.

    An atom has left when its mean over the snapshots around is far from its site: a vibration averages out, a hop not.

    Parameters
    ----------
    displacements
        Of the atoms from their sites [m, N, 3] in Angstrom, without drift (`displacements_from_sites`), snapshots in
        order of time.
    distance
        Of a mean from the site, in Angstrom, above which an atom has left.
    window
        Number of snapshots in a mean; all of them where there are fewer.

    Returns
    -------
    [m], true where all atoms are on their sites.
    """
    moved = np.asarray(displacements, dtype=float)
    count = len(moved)
    width = min(window, count)
    sums = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(moved, axis=0)])
    means = (sums[width:] - sums[:-width]) / width
    on_site = (np.linalg.norm(means, axis=2) <= distance).all(axis=1)
    # Each snapshot is judged by the mean it is in the middle of, the first and last ones by the nearest there is.
    centred = np.clip(np.arange(count) - width // 2, 0, len(on_site) - 1)
    return np.asarray(on_site[centred])
