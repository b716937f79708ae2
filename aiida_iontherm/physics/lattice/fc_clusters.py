"""Clusters of a supercell and the force-constant tensors that symmetry allows on them.

hiphive (Eriksson, Fransson and Erhart, Adv. Theory Simul. 2, 1800184 (2019)) finds the clusters within a cutoff, their
orbits under the space group and the tensors allowed on each. Its own acoustic sum rules, exact rational algebra that
takes hours for some thousand parameters, are not asked for.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

_POSITION_TOLERANCE = 1e-3  # Angstrom; the same sites in two cells written by different codes agree to better
_NO_ELEMENT = 1e-12  # a tensor element below this share of the largest is the rounding of a rotation matrix


@dataclass(frozen=True)
class ClusterFamily:
    """Clusters that are lattice translations of each other and share their tensors.

    Attributes
    ----------
    order
        Number of atoms, repetitions counted.
    start
        Index of the first of its k parameters.
    tensors
        Allowed tensors [k, 3, ..., 3], one per parameter, axes in the order of the cluster's atoms.
    clusters
        Supercell indices [translations, order].
    """

    order: int
    start: int
    tensors: NDArray[np.float64]
    clusters: NDArray[np.int64]

    @property
    def distinct(self) -> list[int]:
        """Position of the first occurrence of each different atom."""
        return sorted(np.unique(self.clusters[0], return_index=True)[1].tolist())

    @property
    def repetitions(self) -> int:
        """How many of its atoms are repetitions of others: 0 for different atoms, order - 1 for one atom."""
        return self.order - len(self.distinct)

    def multiplicity(self, position: int) -> int:
        """Count how often the atom at a position stands in the cluster."""
        return int(np.count_nonzero(self.clusters[0] == self.clusters[0, position]))

    def at_home(self, position: int, home: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the translation whose atom at this position is in the home cell (`home` >= 0) [order]."""
        return self.clusters[np.flatnonzero(home[self.clusters[:, position]] >= 0)[0]]


def cluster_families(
    primitive: Atoms, supercell: Atoms, cutoffs: Sequence[float], symprec: float
) -> tuple[list[ClusterFamily], int]:
    """Families of clusters of orders 2, 3, ... and the number of parameters before sum rules.

    Parameters
    ----------
    primitive, supercell
        Primitive cell and supercell of ideal sites.
    cutoffs
        Largest distance between two atoms of a cluster, in Angstrom, for each order from the second on.
    symprec
        Tolerance of the symmetry search in Angstrom.

    Raises
    ------
    ValueError
        If a cutoff is too long for the supercell.
    """
    # hiphive brings scikit-learn along, two seconds of import that only a fit should pay.
    from hiphive import ClusterSpace
    from hiphive.cutoffs import estimate_maximum_cutoff, is_cutoff_allowed
    from hiphive.force_constant_model import ForceConstantModel

    if not is_cutoff_allowed(supercell, max(cutoffs)):
        longest = estimate_maximum_cutoff(supercell)
        orders = [str(order) for order, cutoff in enumerate(cutoffs, start=2) if cutoff > longest]
        raise ValueError(
            f"the cutoff of order {' and '.join(orders)} ({max(cutoffs):g} A) is longer than {longest:.2f} A, the most "
            "this supercell can hold: shorten it or take a larger supercell"
        )
    with _silent_hiphive():
        space = ClusterSpace(primitive, list(cutoffs), acoustic_sum_rules=False, symprec=symprec)
        model = ForceConstantModel(supercell, space)
    families, start = [], 0
    for orbit in model.orbits:
        for family in orbit.orientation_families:
            tensors = np.array(family.eigentensors)
            tensors[np.abs(tensors) < _NO_ELEMENT * np.abs(tensors).max()] = 0.0
            clusters = np.array([model.cluster_list[i] for i in family.cluster_indices])
            families.append(ClusterFamily(orbit.order, start, tensors, clusters))
        start += len(orbit.eigentensors)
    return families, start


@contextlib.contextmanager
def _silent_hiphive() -> Iterator[None]:
    """Keep hiphive's tables off the standard output: its logger prints there by default.

    It also formats all sites of the supercell for each debug message, sent or not: half its time, but for a short form.
    """
    logger = logging.getLogger("hiphive")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with np.printoptions(threshold=1, edgeitems=1):
            yield
    finally:
        logger.setLevel(level)


def primitive_indices(primitive: Atoms, supercell: Atoms) -> NDArray[np.int64]:
    """Index of the first supercell atom that is a lattice translation of each primitive atom [n].

    This is phonopy's choice (``p2s_map``) for cells made by phonopy.

    Raises
    ------
    ValueError
        If the supercell is not made of whole primitive cells.
    """
    lattice = np.asarray(primitive.cell)
    if len(supercell) % len(primitive):
        raise ValueError(f"a supercell of {len(supercell)} atoms does not hold whole cells of {len(primitive)} atoms")
    found = []
    for position, number in zip(primitive.positions, primitive.numbers, strict=True):
        offset = (supercell.positions - position) @ np.linalg.inv(lattice)
        distance = np.linalg.norm((offset - np.rint(offset)) @ lattice, axis=1)
        matches = np.flatnonzero((distance < _POSITION_TOLERANCE) & (supercell.numbers == number))
        if len(matches) != len(supercell) // len(primitive):
            raise ValueError("primitive cell and supercell do not fit: are both of the same structure and orientation?")
        found.append(matches[0])
    return np.array(found)


def translation_permutations(primitive: Atoms, supercell: Atoms) -> NDArray[np.int64]:
    """For each translation of the primitive lattice in the supercell, the atom each atom is carried to [N/n, N].

    Raises
    ------
    ValueError
        If the sites of the supercell are not repeated exactly.
    """
    home = primitive_indices(primitive, supercell)[0]
    lattice, cell = np.asarray(primitive.cell), np.asarray(supercell.cell)
    positions = supercell.positions
    offset = (positions - positions[home]) @ np.linalg.inv(lattice)
    equivalent = np.linalg.norm((offset - np.rint(offset)) @ lattice, axis=1) < _POSITION_TOLERANCE
    inverse = np.linalg.inv(cell)
    images = []
    for target in np.flatnonzero(equivalent & (supercell.numbers == supercell.numbers[home])):
        shifted = positions + positions[target] - positions[home]
        between = (shifted[:, None] - positions[None]) @ inverse
        distances = np.linalg.norm((between - np.rint(between)) @ cell, axis=2)
        image = distances.argmin(axis=1)
        if distances[np.arange(len(image)), image].max() > _POSITION_TOLERANCE:
            raise ValueError("the supercell is not a repetition of the primitive cell: give it with ideal sites")
        images.append(image)
    return np.array(images)
