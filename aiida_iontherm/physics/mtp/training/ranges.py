"""Minimum distance and cutoff from the data, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from aiida_iontherm.physics.mtp.training.configuration import Configuration
from aiida_iontherm.physics.mtp.training.distances import pair_counts, shortest_distance

Array = npt.NDArray[np.float64]

MIN_DISTANCE_FRACTION = 0.95
"""Room below the shortest distance: the dynamics will see a little less than the data do."""

CUTOFF_WINDOW = (4.5, 6.5)
"""Where an automatic cutoff is looked for, in Angstrom: beyond the second shell, before the cost runs away."""

DEFAULT_CUTOFF = 5.0
"""In Angstrom, where there is no crystal or liquid to take a radial distribution from."""

BIN_WIDTH = 0.05
SMOOTHING = 0.1
"""Of the radial distribution, in Angstrom: shells of a solid near 0 K become as broad as thermal ones."""


def choose_min_distance(data: Sequence[Configuration]) -> tuple[float, str]:
    """Take 95 % of the shortest distance in the data.

    Returns
    -------
    min_distance : float
        In Angstrom.
    reason : str

    Raises
    ------
    ValueError
        If no configuration has two atoms near each other.
    """
    shortest = np.array([shortest_distance(entry.atoms) for entry in data])
    index = int(np.argmin(shortest))
    if not np.isfinite(shortest[index]):
        raise ValueError("every training configuration is a single, isolated atom: there is nothing to learn from that")
    value = round(MIN_DISTANCE_FRACTION * float(shortest[index]), 3)
    return value, (
        f"minimum distance {value:g} Angstrom: {MIN_DISTANCE_FRACTION:g} of the shortest distance in the data, "
        f"{shortest[index]:.3f} Angstrom in {data[index].atoms.get_chemical_formula()}"
    )


def radial_distribution(data: Sequence[Configuration], reach: float) -> tuple[Array, Array]:
    """Mean radial distribution of all atoms around all atoms, of the configurations periodic in three directions.

    Returns
    -------
    distances : float array [bins]
        Middles of the bins in Angstrom.
    g : float array [bins]
        One on average in a fluid far out; smoothed over 0.1 Angstrom. Zero if there are no such configurations.
    """
    edges = (np.arange(1, round(reach / BIN_WIDTH) + 1) * BIN_WIDTH).astype(np.float64)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    total, count = np.zeros(len(shells)), 0
    for entry in data:
        atoms = entry.atoms
        if atoms.pbc.all():
            total += pair_counts(atoms, edges) * atoms.cell.volume / (len(atoms) ** 2 * shells)
            count += 1
    smooth = gaussian_filter1d(total / max(count, 1), SMOOTHING / BIN_WIDTH)
    return (edges[1:] + edges[:-1]) / 2, smooth


def choose_cutoff(data: Sequence[Configuration], max_configurations: int = 50) -> tuple[float, str]:
    """Take the distance in a gap between shells: fewest atoms then pass the edge of a neighbourhood.

    The cutoff is where the radial distribution is lowest between 4.5 and 6.5 Angstrom.

    Parameters
    ----------
    data : sequence of Configuration
    max_configurations : int
        At most so many, evenly spread over the data, are looked at.

    Returns
    -------
    cutoff : float
        In Angstrom.
    reason : str
    """
    some = [data[index] for index in np.unique(np.linspace(0, len(data) - 1, max_configurations).astype(int))]
    distances, g = radial_distribution(some, CUTOFF_WINDOW[1] + 1.0)
    inside = (distances >= CUTOFF_WINDOW[0]) & (distances <= CUTOFF_WINDOW[1])
    if not g.any():
        return DEFAULT_CUTOFF, (
            f"cutoff {DEFAULT_CUTOFF:g} Angstrom: the default, as no configuration is periodic in three directions"
        )
    lowest = int(np.flatnonzero(inside)[np.argmin(g[inside])])
    cutoff = round(float(distances[lowest]), 2)
    return cutoff, (
        f"cutoff {cutoff:g} Angstrom: the radial distribution has its lowest value between {CUTOFF_WINDOW[0]:g} and "
        f"{CUTOFF_WINDOW[1]:g} Angstrom there, {g[lowest]:.2f}"
    )
