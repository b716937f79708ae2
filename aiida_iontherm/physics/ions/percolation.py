"""Lowest free energy at which a path leads through the crystal along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from aiida_iontherm.physics.ions.density_map import DensityMap
from aiida_iontherm.physics.statistics import jackknife
from aiida_iontherm.physics.units import KB_EV

MIN_VISITS = 25
"""Visits of the narrowest voxel of a path. The path picks the fullest among noisy voxels, which makes the barrier too
low by about the noise: with so many visits by 0.2 k_B T."""

CONVERGED_ERROR_KT = 0.5
"""Largest standard error of a barrier, in k_B T, that is reported as converged: a rate known to a factor of 1.6."""


def percolation_thresholds(energy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lowest energy at which the region below it winds around the cell along each axis.

    Voxels are connected through faces. A path counts for axis a when it comes back to its voxel in another cell, with a
    displacement that has a component along a; a diagonal path counts for both of its axes.

    The bonds of the grid, weighted with the higher energy of their ends, are reduced to their minimum spanning tree.
    Every bond outside it closes one loop with the tree, whose highest energy is that of the bond, and whose winding is
    the sum of the crossings of the cell boundary. These loops generate all others, so the threshold is the least weight
    of a bond whose loop winds along the axis. This is the union-find with winding numbers (J. Machta et al., Phys. Rev.
    E 54, 1332 (1996)) in one pass over all energies.

    Parameters
    ----------
    energy
        ``[n1, n2, n3]``, at least three voxels along each axis; infinite where there is no way.

    Returns
    -------
    ``[3]``, infinite where nothing percolates.

    Raises
    ------
    ValueError
        If the grid is too small or holds NaN.
    """
    if energy.ndim != 3 or min(energy.shape) < 3:
        raise ValueError(f"percolation needs a grid of at least 3 x 3 x 3 voxels, not {energy.shape}")
    if np.isnan(energy).any():
        raise ValueError("the energies hold NaN: use infinity where no ion was seen")
    thresholds = np.full(3, np.inf)
    open_voxels = np.flatnonzero(np.isfinite(energy))
    if not len(open_voxels):
        return thresholds
    number = np.full(energy.shape, -1)
    number.flat[open_voxels] = np.arange(len(open_voxels))
    tails, heads, jumps = [], [], []
    for axis in range(3):
        neighbour = np.roll(number, -1, axis=axis)
        crossing = np.zeros(energy.shape, dtype=np.int8)
        np.moveaxis(crossing, axis, 0)[-1] = 1
        both = (number >= 0) & (neighbour >= 0)
        tails.append(number[both])
        heads.append(neighbour[both])
        jump = np.zeros((int(both.sum()), 3), dtype=np.int64)
        jump[:, axis] = crossing[both]
        jumps.append(jump)
    tail, head, jump = np.concatenate(tails), np.concatenate(heads), np.concatenate(jumps)
    values = energy.ravel()[open_voxels]
    weight = np.maximum(values[tail], values[head])
    cells = _cells_along_tree(len(open_voxels), tail, head, jump, weight)
    winding = cells[tail] + jump - cells[head]
    for axis in range(3):
        thresholds[axis] = weight[winding[:, axis] != 0].min(initial=np.inf)
    return thresholds


def _cells_along_tree(
    nodes: int, tail: NDArray[np.int64], head: NDArray[np.int64], jump: NDArray[np.int64], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Cell ``[nodes, 3]`` in which each voxel is reached along the minimum spanning tree."""
    # ranks, because a sparse matrix takes a weight of zero for no bond
    rank = np.unique(weight, return_inverse=True)[1] + 1.0
    tree = minimum_spanning_tree(coo_array((rank, (tail, head)), shape=(nodes, nodes)).tocsr()).tocoo()
    # one more node ties the parts together, so that one search reaches all
    parts, part_of = connected_components(coo_array((rank, (tail, head)), shape=(nodes, nodes)), directed=False)
    _, roots = np.unique(part_of, return_index=True)
    rows, columns = np.concatenate([tree.row, np.full(parts, nodes)]), np.concatenate([tree.col, roots])
    joined = coo_array((np.ones(len(rows)), (rows, columns)), shape=(nodes + 1, nodes + 1)).tocsr()
    _, before = breadth_first_order(joined, nodes, directed=False)
    before = before.astype(np.int64)
    before[nodes] = nodes

    # the crossing of the bond from each voxel to the one before it
    keys = np.concatenate([tail * (nodes + 1) + head, head * (nodes + 1) + tail])
    order = np.argsort(keys, kind="stable")
    step = np.zeros((nodes + 1, 3), dtype=np.int64)
    inner = np.flatnonzero(before[:nodes] != nodes)
    found = order[np.searchsorted(keys[order], before[inner] * (nodes + 1) + inner)]
    step[inner] = np.concatenate([jump, -jump])[found]
    # pointer doubling: the sum of the steps to the root in log2(depth) passes
    while np.any(before != nodes):
        step += step[before]
        before = before[before]
    return step[:nodes]


@dataclass(frozen=True, kw_only=True)
class PercolationBarriers:
    """Free-energy barriers of the paths through the crystal.

    Attributes
    ----------
    barriers_ev
        ``[3]`` along the cell vectors, from the highest density; infinite where ions made no path.
    uncertainties_ev
        ``[3]`` one standard error, from leaving out parts of the run and from counting at the narrowest voxel; NaN
        where there is none.
    lower_bound_ev
        Free energy of a voxel that was met once: what a path that was not seen lies above.
    temperature
        K.
    converged
        ``[3]`` whether each is a number to trust, or a bound.
    reasons
        Why, one sentence each.
    """

    barriers_ev: NDArray[np.float64]
    uncertainties_ev: NDArray[np.float64]
    lower_bound_ev: float
    temperature: float
    converged: tuple[bool, bool, bool]
    reasons: tuple[str, str, str]


def percolation_barriers(parts: Sequence[DensityMap], temperature: float) -> PercolationBarriers:
    """Barrier along each cell vector from the densities of successive parts of a run.

    The barrier is the lowest F = -k_B T ln(rho/rho_max) below which the density percolates. It is that of one ion in
    the average field of all others; what a rate needs in addition, the motion of the others with it, is not in it. The
    standard error is the jackknife over the parts.

    Parameters
    ----------
    parts
        Maps on one grid, at least two.
    temperature
        K.

    Raises
    ------
    ValueError
        If there are fewer than two parts, or they do not fit together.
    """
    if len(parts) < 2:
        raise ValueError("an error bar of a barrier needs the densities of at least two parts of the run")
    total = reduce(add, parts)
    barriers = percolation_thresholds(total.free_energy(temperature))
    without = np.array(
        [
            percolation_thresholds(
                DensityMap(
                    counts=total.counts - part.counts, cell=total.cell, frames=total.frames - part.frames
                ).free_energy(temperature)
            )
            for part in parts
        ]
    )
    kt = KB_EV * temperature
    bound = float(kt * np.log(total.counts.max()))
    errors, converged, reasons = np.full(3, np.nan), [], []
    for axis in range(3):
        if not np.isfinite(barriers[axis]):
            converged.append(True)
            reasons.append("no path was seen: a path that is there lies above what one visit in the whole run shows")
            continue
        if not np.all(np.isfinite(without[:, axis])):
            converged.append(False)
            reasons.append("the path was seen in one part of the run only: run longer")
            continue
        visits = float(total.counts.max() * np.exp(-barriers[axis] / kt))
        errors[axis] = float(np.hypot(jackknife(without[:, axis]), kt / np.sqrt(visits)))
        if visits < MIN_VISITS:
            converged.append(False)
            reasons.append(
                f"its narrowest voxel was visited {visits:.0f} times only: lay unit cells on each other, use larger "
                "voxels, or run longer"
            )
            continue
        good = bool(errors[axis] <= CONVERGED_ERROR_KT * kt)
        converged.append(good)
        reasons.append(
            f"parts of the run agree within {errors[axis] / kt:.2g} k_B T"
            if good
            else f"parts of the run differ by {errors[axis] / kt:.2g} k_B T: run longer"
        )
    return PercolationBarriers(
        barriers_ev=barriers,
        uncertainties_ev=errors,
        lower_bound_ev=bound,
        temperature=float(temperature),
        converged=(converged[0], converged[1], converged[2]),
        reasons=(reasons[0], reasons[1], reasons[2]),
    )
