"""Symmetry-allowed force constants of a supercell as a sparse linear map from free parameters.

Orders two to four. Clusters and tensors are hiphive's (`fc_clusters`), the sum rules are imposed here by a sparse null
space (`fc_sum_rules`). From these follow the compact arrays phonopy and phono3py use, the fourth order as a list of
clusters with their tensors, and the rows of the fit (`fc_rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from aiida_iontherm.physics.lattice.fc_clusters import (
    cluster_families,
    primitive_indices,
    translation_permutations,
)
from aiida_iontherm.physics.lattice.fc_rows import SiteRows, site_parameters, site_rows
from aiida_iontherm.physics.lattice.fc_sum_rules import acoustic_sum_rules, null_space, rotational_sum_rules

MAX_ORDER = 4


@dataclass(frozen=True)
class ClusterTensors:
    """Force constants of one order as a list: what is not in it, by permutation or lattice translation, is zero.

    Attributes
    ----------
    clusters
        Supercell indices [c, order]: the first atom in the home cell (among ``p2s``), the others ascending. Every atom
        of a cluster has its own line as the first.
    tensors
        Force constants in eV/Angstrom^order, axes in the order of the cluster's atoms [c, 3, ..., 3].
    """

    clusters: NDArray[np.int64]
    tensors: NDArray[np.float64]

    def dense(self, p2s: NDArray[np.int64], atoms: int) -> NDArray[np.float64]:
        """Compact array [n, N, ..., N, 3, ..., 3]: for small supercells, at fourth order n N^3 81 numbers."""
        order = self.clusters.shape[1]
        row_of = np.full(atoms, -1)
        row_of[p2s] = np.arange(len(p2s))
        result = np.zeros((len(p2s), *(atoms,) * (order - 1), *(3,) * order))
        for axes in permutations(range(1, order)):
            target = (row_of[self.clusters[:, 0]], *(self.clusters[:, x] for x in axes))
            result[target] = self.tensors.transpose(0, 1, *(1 + x for x in axes))
        return result


class ForceConstantBasis:
    """Parameters of the force constants of a supercell of second to fourth order, sum rules included.

    Parameters
    ----------
    primitive
        Primitive cell, atoms in the order of phonopy's.
    supercell
        Supercell of ideal sites, atoms in the order of phonopy's.
    cutoffs
        Largest distance between two atoms of a cluster, in Angstrom: of second order, of second and third, or of
        second, third and fourth.
    symprec
        Tolerance of the symmetry search in Angstrom; the one phonopy is given.
    rotational_sum_rules
        Also impose the Born-Huang and Huang rules on the second order. They hold for short-ranged forces in a crystal
        without stress; the long-ranged forces of ions (and so cutoffs that cut them) violate them slightly.

    Attributes
    ----------
    p2s
        Index in the supercell of each primitive atom [n], as phonopy's ``p2s_map``.
    translations
        For each lattice translation in the supercell, the atom each atom is carried to [N/n, N].
    cutoffs
        As given.
    n_parameters
        Number of free parameters after the sum rules.
    n_unconstrained
        Number before them.
    null_space
        The latter in terms of the former, sparse [n_unconstrained, n_parameters]. Free parameters come in ascending
        order of their force constants, and no rule ties two orders.

    Raises
    ------
    ValueError
        If cutoffs are too long for the supercell, or the two cells do not fit each other.
    """

    def __init__(
        self,
        primitive: Atoms,
        supercell: Atoms,
        cutoffs: Sequence[float],
        symprec: float = 1e-5,
        *,
        rotational_sum_rules: bool = False,
    ) -> None:
        if not 1 <= len(cutoffs) < MAX_ORDER or min(cutoffs) <= 0:
            raise ValueError(
                f"cutoffs must be one to three positive lengths, of orders two to four, not {tuple(cutoffs)}"
            )
        self.cutoffs = tuple(float(cutoff) for cutoff in cutoffs)
        self.p2s = primitive_indices(primitive, supercell)
        self.translations = translation_permutations(primitive, supercell)
        self.atoms = len(supercell)
        self._families, self.n_unconstrained = cluster_families(primitive, supercell, cutoffs, symprec)
        self.null_space = self._obey(supercell, rotational_sum_rules)
        self.n_parameters = self.null_space.shape[1]

    @property
    def max_order(self) -> int:
        """Highest order, 2 to 4."""
        return len(self.cutoffs) + 1

    def parameters_up_to(self, order: int) -> int:
        """How many free parameters, the first ones, belong to this order and those below it."""
        rows = [np.arange(f.start, f.start + len(f.tensors)) for f in self._families if f.order <= order]
        return int(self.null_space[np.unique(np.concatenate(rows))].indices.max()) + 1

    def arrays(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Compact force constants of free parameters.

        Second order [n, N, 3, 3] in eV/A^2; third [n, N, N, 3, 3, 3] in eV/A^3, ``None`` where it has no cutoff.
        """
        second = self.cluster_tensors(parameters, 2).dense(self.p2s, self.atoms)
        if self.max_order < 3:
            return second, None
        return second, self.cluster_tensors(parameters, 3).dense(self.p2s, self.atoms)

    def fourth_order(self, parameters: NDArray[np.float64]) -> ClusterTensors | None:
        """Fourth order of free parameters in eV/A^4, as a list of clusters; ``None`` where it has no cutoff."""
        return self.cluster_tensors(parameters, 4) if self.max_order == MAX_ORDER else None

    def cluster_tensors(self, parameters: NDArray[np.float64], order: int) -> ClusterTensors:
        """Force constants of one order as a list of clusters."""
        full = self.null_space @ parameters
        home = self._home()
        clusters, tensors = [np.empty((0, order), dtype=np.int64)], [np.empty((0, *(3,) * order))]
        for family in (f for f in self._families if f.order == order):
            tensor = np.tensordot(full[family.start : family.start + len(family.tensors)], family.tensors, axes=1)
            for first in family.distinct:
                members = family.at_home(first, home)
                axes = [first, *sorted((x for x in range(order) if x != first), key=members.__getitem__)]
                clusters.append(members[None, axes])
                tensors.append(tensor.transpose(axes)[None])
        return ClusterTensors(np.concatenate(clusters), np.concatenate(tensors))

    def site_parameters(self, site: int) -> NDArray[np.int64]:
        """Free parameters the force on a primitive atom depends on, ascending."""
        return site_parameters(self._families, self.null_space, self.p2s[site])

    def site_rows(self, site: int) -> SiteRows:
        """Rows of the fit for one primitive atom."""
        return site_rows(self._families, self.null_space, self.p2s, site, self.atoms)

    def seen(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements [m, N, 3] as the home cell sees them from every lattice translation [3N, m * N/n]."""
        return displacements[:, self.translations].reshape(-1, 3 * self.atoms).T.copy()

    def site_forces(self, forces: NDArray[np.float64], site: int) -> NDArray[np.float64]:
        """Pick the forces [m, N, 3] on all copies of one primitive atom, in the order of `seen` [3, m * N/n]."""
        return forces[:, self.translations[:, self.p2s[site]]].reshape(-1, 3).T

    def forces(self, parameters: NDArray[np.float64], displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict the forces in eV/A of the model at given displacements in A, both [m, N, 3]."""
        result = np.empty_like(displacements, dtype=float)
        for site, atom in enumerate(self.p2s):
            rows = self.site_rows(site)
            for target, snapshot in zip(result, displacements, strict=True):
                target[self.translations[:, atom]] = rows.forces(parameters, self.seen(snapshot[None])).T
        return result

    def _home(self) -> NDArray[np.int64]:
        home = np.full(self.atoms, -1)
        home[self.p2s] = np.arange(len(self.p2s))
        return home

    def _obey(self, supercell: Atoms, rotational: bool) -> csr_matrix:
        repetitions = np.zeros(self.n_unconstrained, dtype=int)
        for family in self._families:
            repetitions[family.start : family.start + len(family.tensors)] = family.repetitions
        rules = acoustic_sum_rules(self._families, self.p2s, self.atoms, self.n_unconstrained)
        if rotational:
            rules = vstack([rules, rotational_sum_rules(self._families, self.p2s, supercell, self.n_unconstrained)])
        return null_space(csr_matrix(rules), repetitions)
