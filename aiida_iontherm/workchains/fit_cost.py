"""Price of a fit of force constants: free parameters counted beforehand, and what they cost.

The space group leaves one of g tensor elements on the clusters of a crystal of point group order g; the sum rules
express the tensors on repeated atoms by the others, but for the elements below. CsCu2I3 at 8 / 6 / 5.2 Angstrom comes
out with 9410 parameters, hiphive and its sum rules have 9531; crystals with atoms on sites of high symmetry have more
than counted, and their fits are cheap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from phonopy import Phonopy

from aiida_iontherm.physics.lattice.cells import to_atoms

FREE_ELEMENTS = ({2: 9}, {2: 9, 3: 27}, {2: 18, 3: 81, 4: 81})
"""For second, third and fourth order: tensor elements that are free on a cluster of so many different atoms."""

START_SECONDS = 4.0
"""Until the clusters of a small crystal are there: most of it are imports."""

PARAMETER_SECONDS = 4e-3
"""Clusters, tensors and sum rules, for each parameter."""

REACH = 0.56
"""Share of the parameters that the force on one atom depends on, root mean square over the atoms of CsCu2I3."""

ROW_SECONDS = (1e-5, 9e-11)
"""One row of the fit: a constant, and a share for the square of the parameters the force depends on."""

STRENGTHS = 7
"""Strengths of the ridge that are tried; without it there is one."""

SOLUTION_SECONDS = (4e-8, 1.4e-11)
"""One solution: shares for the square and for the cube of the number of parameters."""


def expected_parameters(phonopy: Phonopy, cutoffs: Sequence[float]) -> list[float]:
    """Expect so many free parameters in second, third and fourth order, as far as there are cutoffs in Angstrom."""
    primitive = to_atoms(phonopy.primitive)
    order = len(phonopy.primitive_symmetry.pointgroup_operations)
    expected = []
    for cutoff, elements in zip(cutoffs, FREE_ELEMENTS, strict=False):
        counts = _clusters(primitive, cutoff, max(elements))
        expected.append(sum(elements[size] * counts[size] for size in elements) / order)
    return expected


def fit_seconds(
    phonopy: Phonopy, cutoffs: Sequence[float], atoms: int, snapshots: int, blocks: int, *, ridge: bool, series: bool
) -> float:
    """Return the time of a fit to snapshots of so many atoms, one thread.

    Parameters
    ----------
    phonopy
        Of the unit cell.
    cutoffs
        In Angstrom, second order first.
    atoms, snapshots, blocks
        What is fitted to, and its blocks.
    ridge
        Whether the strength of a ridge is looked for.
    series
        Whether parts of the snapshots are fitted to as well.
    """
    by_order = expected_parameters(phonopy, cutoffs)
    parameters, lower = sum(by_order), sum(by_order[:2])
    solutions = 1 + blocks * (STRENGTHS if ridge else 1)
    seconds = START_SECONDS + PARAMETER_SECONDS * parameters
    seconds += 3 * atoms * snapshots * (ROW_SECONDS[0] + ROW_SECONDS[1] * (REACH * parameters) ** 2)
    # Second and third order are solved for alone, and again together with the fourth.
    seconds += (solutions + (2 * blocks if series else 0)) * _solution_seconds(lower)
    return seconds + (solutions * _solution_seconds(parameters) if len(by_order) > 2 else 0.0)


def _solution_seconds(parameters: float) -> float:
    square, cube = SOLUTION_SECONDS
    return square * parameters**2 + cube * parameters**3


def _clusters(primitive: Atoms, cutoff: float, largest: int) -> dict[int, float]:
    """Count the clusters of two to four different atoms per primitive cell, all distances within the cutoff."""
    centres, vectors = neighbor_list("iD", primitive, cutoff)
    counts = dict.fromkeys(range(2, largest + 1), 0.0)
    for atom in range(len(primitive)):
        around = vectors[centres == atom]
        near = np.linalg.norm(around[:, None] - around[None], axis=2) < cutoff
        adjacent = near.astype(float) - np.eye(len(around))
        # Each cluster is seen from all its atoms: pairs, then edges and triangles among the neighbours.
        seen = {2: len(around) / 2, 3: adjacent.sum() / 6, 4: float(np.sum((adjacent @ adjacent) * adjacent)) / 24}
        for size in counts:
            counts[size] += float(seen[size])
    return counts
