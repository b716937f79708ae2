"""Rows of the linear system forces = rows @ parameters, atom by atom of the primitive cell.

The force on an atom is a sum over the clusters it stands in,

    F_ia = - sum_clusters (m_i / prod_x m_x!) Phi_i..,a.. prod (displacements of the other members),

m_x being how often atom x stands in the cluster. Only the parameters of clusters around the atom enter: half to two
thirds of all. Products of displacements that several clusters share are formed once, for many snapshots together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, hstack

from aiida_iontherm.physics.lattice.fc_clusters import ClusterFamily

_ENTRIES_AT_ONCE = 2_000_000  # of the operator, before products shared by clusters are merged: some 100 MB


@dataclass(frozen=True)
class SiteRows:
    """Linear map from products of displacements to the rows of one atom.

    Attributes
    ----------
    columns
        Free parameters the force on this atom depends on [c], ascending.
    operator
        From products to the derivative of the three force components by each of these parameters [3 * c, products].
    factors
        For each order, the displacement components (3 * atom + axis) multiplied in each product [products, order - 1].
    """

    columns: NDArray[np.int64]
    operator: csr_matrix
    factors: tuple[NDArray[np.int64], ...]

    def rows(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows, transposed [3, c, k], of k views of displacements [3N, k] as the atom's home cell sees them."""
        products = np.concatenate([_product(seen, factors) for factors in self.factors])
        return (self.operator @ products).reshape(3, len(self.columns), seen.shape[1])

    def forces(self, parameters: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Force on the atom [3, k] of a model with these free parameters [free], in the same views."""
        chosen = parameters[self.columns]
        slopes = np.stack([chosen @ part for part in self._by_axis()])
        return slopes @ np.concatenate([_product(seen, factors) for factors in self.factors])

    def _by_axis(self) -> list[csr_matrix]:
        count = len(self.columns)
        return [self.operator[axis * count : (axis + 1) * count] for axis in range(3)]


def site_rows(
    families: Sequence[ClusterFamily], null: csr_matrix, p2s: NDArray[np.int64], site: int, atoms: int
) -> SiteRows:
    """Set up the rows of one primitive atom.

    Parameters
    ----------
    families
        Clusters with their tensors.
    null
        Parameters in terms of free ones [total, free] (`fc_sum_rules.null_space`).
    p2s
        Supercell index of each primitive atom [n].
    site
        Which primitive atom.
    atoms
        Number of atoms of the supercell.
    """
    around = _around(families, p2s[site])
    used = _parameters(around)
    reduced = null[used]
    columns = np.unique(reduced.indices)
    local = csr_matrix(reduced[:, columns])
    index_of = np.zeros(null.shape[0], dtype=np.int64)
    index_of[used] = np.arange(len(used))
    home = np.full(atoms, -1)
    home[p2s[site]] = 0
    operators, factors = [], []
    for order in sorted({family.order for family, _ in around}):
        entries = [_entries(f, x, home, index_of, 3 * atoms) for f, x in around if f.order == order]
        keys = np.unique(np.concatenate([key for key, _, _, _ in entries]))
        operators.append(_operator(entries, keys, local))
        digits = [keys // (3 * atoms) ** power % (3 * atoms) for power in range(order - 1)]
        factors.append(np.stack(digits, axis=1))
    return SiteRows(columns, csr_matrix(hstack(operators)), tuple(factors))


def site_parameters(families: Sequence[ClusterFamily], null: csr_matrix, atom: np.int64) -> NDArray[np.int64]:
    """Free parameters of the clusters around one supercell atom, ascending."""
    return np.unique(null[_parameters(_around(families, atom))].indices)


def _around(families: Sequence[ClusterFamily], atom: np.int64) -> list[tuple[ClusterFamily, int]]:
    """Families with a cluster around an atom, and at which position it stands there."""
    return [(f, x) for f in families for x in f.distinct if (f.clusters[:, x] == atom).any()]


def _parameters(around: list[tuple[ClusterFamily, int]]) -> NDArray[np.int64]:
    """Parameters before the sum rules, ascending."""
    return np.unique(np.concatenate([np.arange(f.start, f.start + len(f.tensors)) for f, _ in around]))


def _entries(
    family: ClusterFamily, position: int, home: NDArray[np.int64], index_of: NDArray[np.int64], components: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Product, force axis, parameter and coefficient of each tensor element of one family."""
    members = family.at_home(position, home)
    others = [x for x in range(family.order) if x != position]
    weight = family.multiplicity(position) / prod(factorial(family.multiplicity(x)) for x in family.distinct)
    turned = family.tensors.transpose(0, 1 + position, *(1 + x for x in others))
    which, axis, *element = np.nonzero(turned)
    digits = np.sort([3 * members[x] + e for x, e in zip(others, element, strict=True)], axis=0)
    key = digits.T @ components ** np.arange(len(others))
    return key, axis, index_of[family.start + which], -weight * turned[(which, axis, *element)]


def _operator(entries: Sequence[tuple[NDArray, ...]], keys: NDArray[np.int64], local: csr_matrix) -> csr_matrix:
    """Sum entries into a map [3 * free, products], the sum rules applied, a part of the entries at a time."""
    parameters, free = local.shape
    shape = (len(keys), 3 * free)
    total = csr_matrix(shape)
    waiting: list[tuple[NDArray, ...]] = []
    size = 0
    for number, entry in enumerate(entries, start=1):
        waiting.append(entry)
        size += len(entry[0])
        if size < _ENTRIES_AT_ONCE and number < len(entries):
            continue
        key, axis, parameter, value = (np.concatenate(part) for part in zip(*waiting, strict=True))
        product = np.searchsorted(keys, key)
        # One row for each product and axis, so that the sum rules are one sparse product.
        raw = coo_matrix((value, (3 * product + axis, parameter)), shape=(3 * len(keys), parameters)).tocsr()
        obeyed = (raw @ local).tocoo()
        columns = obeyed.row % 3 * free + obeyed.col
        total = total + coo_matrix((obeyed.data, (obeyed.row // 3, columns)), shape=shape).tocsr()
        waiting, size = [], 0
    return total.T.tocsr()


def _product(seen: NDArray[np.float64], factors: NDArray[np.int64]) -> NDArray[np.float64]:
    result = seen[factors[:, 0]]
    for factor in factors.T[1:]:
        result *= seen[factor]
    return result
