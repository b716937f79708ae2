"""Whether the framework of an ionic conductor stays where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LINDEMANN = 0.15
"""Root mean square displacement from the sites, over the nearest distance, at which crystals melt: 0.07 to 0.2
(J. J. Gilvarry, Phys. Rev. 102, 308 (1956); S. A. Khrapak, Phys. Rev. Research 2, 012040 (2020))."""

STILL_GROWING = 1.25
"""Of displacements at the longest lag over those at half of it: 1 where atoms vibrate, 2 where they diffuse."""


def framework_diffuses(lags: ArrayLike, displacements: ArrayLike, nearest: float) -> bool:
    """Tell whether atoms that should vibrate around sites move away: the crystal melts, or they are mobile too.

    A vibration has twice the variance of a displacement from the site at any lag, and does not grow. Both are asked for
    here: an amplitude beyond Lindemann's, and growth.

    Parameters
    ----------
    lags
        ``[n]`` ascending.
    displacements
        ``[n]`` mean square displacements, all directions together, Angstrom^2.
    nearest
        Nearest distance of two atoms of the crystal, Angstrom.
    """
    times, squares = np.asarray(lags, dtype=float), np.asarray(displacements, dtype=float)
    if len(times) < 4:
        return False
    half = float(np.interp(times[-1] / 2, times, squares))
    return bool(squares[-1] > 2 * (LINDEMANN * nearest) ** 2 and squares[-1] > STILL_GROWING * half)
