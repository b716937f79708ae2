"""Sum rules of force constants as sparse linear constraints, and a sparse basis of what obeys them.

A translation of the whole crystal makes no force: sum_l Phi_ij..l = 0 for all i, j, ... (acoustic sum rules; Born and
Huang, Dynamical Theory of Crystal Lattices (1954)). Each rule is written once per class of lattice translations.
Rules of different orders share no parameter, and those of one order fall into unconnected groups.

A group is solved by QR with column pivoting that prefers tensors on repeated atoms (Phi_iijk before Phi_ijkl). These
"self terms" are then expressed by the proper clusters around them, as one does by hand: the null space is sparse and
local, where an orthonormal one is dense within each group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.sparse import coo_matrix, csr_matrix, vstack
from scipy.sparse.csgraph import connected_components

from aiida_iontherm.physics.lattice.fc_clusters import ClusterFamily

# Pivots of independent rules are of order one and those of dependent ones rounding, but rotational rules contain
# positions, which obey the symmetry only to the tolerance of its search.
_RANK_TOLERANCE = 1e-4
_ZERO = 1e-9  # a coefficient below this is rounding: those of sum rules are of order one
_PIVOT_PREFERENCE = 100.0  # of a tensor with one more repeated atom; larger than any ratio of coefficients


def acoustic_sum_rules(families: Sequence[ClusterFamily], p2s: NDArray[np.int64], atoms: int, total: int) -> csr_matrix:
    """Rules as rows, parameters as columns [rules, total]; equivalent rules may occur more than once.

    Parameters
    ----------
    families
        Clusters with their tensors.
    p2s
        Supercell index of each primitive atom [n].
    atoms
        Number of atoms of the supercell.
    total
        Number of parameters.
    """
    home = _home(p2s, atoms)
    orders = sorted({family.order for family in families})
    matrices = []
    for order in orders:
        keys, columns, values = [], [], []
        for family in (f for f in families if f.order == order):
            for last in family.distinct:
                rest = [x for x in range(order) if x != last]
                first_of = {family.clusters[0, x]: x for x in reversed(rest)}
                for first in first_of.values():
                    members = family.at_home(first, home)
                    others = sorted((x for x in rest if x != first), key=members.__getitem__)
                    row = home[members[first]]
                    for other in others:
                        row = row * atoms + members[other]
                    axes = (0, 1 + first, *(1 + x for x in others), 1 + last)
                    turned = family.tensors.transpose(axes).reshape(len(family.tensors), -1)
                    which, element = np.nonzero(turned)
                    keys.append(row * 3**order + element)
                    columns.append(family.start + which)
                    values.append(turned[which, element])
        rules, rows = np.unique(np.concatenate(keys), return_inverse=True)
        entries = (np.concatenate(values), (rows, np.concatenate(columns)))
        matrices.append(coo_matrix(entries, shape=(len(rules), total)).tocsr())
    return _without_duplicates(vstack(matrices).tocsr())


def rotational_sum_rules(
    families: Sequence[ClusterFamily], p2s: NDArray[np.int64], supercell: Atoms, total: int
) -> csr_matrix:
    """Born-Huang and Huang rules of the second order as rows [rules, total].

    A rotation of the whole crystal makes no force: sum_j Phi_ij,ab R_ij,c is symmetric in b and c (Born-Huang). In
    equilibrium without stress sum_ij Phi_ij,ab R_ij,c R_ij,d is symmetric under exchange of (ab) and (cd) (Huang).
    R_ij are the shortest vectors between the sites.
    """
    home = _home(p2s, len(supercell))
    cell = np.asarray(supercell.cell)
    inverse = np.linalg.inv(cell)
    born, huang = np.zeros((len(p2s), 27, total)), np.zeros((81, total))
    for family in (f for f in families if f.order == 2):
        columns = slice(family.start, family.start + len(family.tensors))
        for first in family.distinct:
            members = family.at_home(first, home)
            i, j = members[first], members[1 - first]
            tensors = family.tensors if first == 0 else family.tensors.transpose(0, 2, 1)
            offset = (supercell.positions[j] - supercell.positions[i]) @ inverse
            vector = (offset - np.rint(offset)) @ cell
            moment = np.einsum("kab,c->kabc", tensors, vector)
            born[home[i], :, columns] += (moment - moment.transpose(0, 1, 3, 2)).reshape(len(tensors), -1).T
            second = np.einsum("kabc,d->kabcd", moment, vector)
            huang[:, columns] += (second - second.transpose(0, 3, 4, 1, 2)).reshape(len(tensors), -1).T
    return _without_duplicates(csr_matrix(np.concatenate([born.reshape(-1, total), huang])))


def null_space(rules: csr_matrix, repetitions: NDArray[np.int64]) -> csr_matrix:
    """Sparse basis of the parameters that obey all rules [total, free].

    Each column has a 1 at a free parameter of its own; the parameters eliminated follow from the free ones.

    Parameters
    ----------
    rules
        Constraints [rules, total].
    repetitions
        For each parameter, how many atoms of its cluster are repetitions: these are eliminated first [total].

    Raises
    ------
    ValueError
        If nothing is left free.
    """
    total = rules.shape[1]
    pattern = abs(rules)
    count, labels = connected_components(pattern.T @ pattern, directed=False)
    # A rule belongs to the group of any of its parameters.
    rule_labels = labels[rules.indices[rules.indptr[:-1]]]
    rows, columns, values = [], [], []
    free = 0
    for group in range(count):
        members = np.flatnonzero(labels == group)
        block = rules[np.flatnonzero(rule_labels == group)][:, members].toarray()
        fixed, loose, dependence = _eliminate(block, np.power(_PIVOT_PREFERENCE, repetitions[members], dtype=float))
        i, j = np.nonzero(dependence)
        rows += [members[fixed[i]], members[loose]]
        columns += [free + j, free + np.arange(len(loose))]
        values += [dependence[i, j], np.ones(len(loose))]
        free += len(loose)
    if free == 0:
        raise ValueError("no free force constants are left after the sum rules: lengthen the cutoffs")
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_matrix(entries, shape=(total, free)).tocsr()


def _eliminate(
    block: NDArray[np.float64], preference: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Columns solved for [r], columns left free [f], and the former in terms of the latter [r, f]."""
    if not len(block):
        return np.empty(0, dtype=int), np.arange(block.shape[1]), np.empty((0, block.shape[1]))
    # The rank is read from the rules as they are; the preference would blur the gap.
    pivots = np.abs(np.diag(qr(block, mode="r", pivoting=True)[0]))
    rank = int(np.count_nonzero(pivots > _RANK_TOLERANCE * pivots[0]))
    order = qr(block * preference, mode="r", pivoting=True)[1]
    fixed, loose = order[:rank], order[rank:]
    upper = qr(block[:, order], mode="r")[0][:rank]
    dependence = -solve_triangular(upper[:, :rank], upper[:, rank:])
    dependence[np.abs(dependence) < _ZERO] = 0.0
    return fixed, loose, dependence


def _without_duplicates(rules: csr_matrix) -> csr_matrix:
    """Drop empty rows and all but one of rows that are equal up to their length and sign."""
    rules.sum_duplicates()
    rules.data[np.abs(rules.data) < _ZERO] = 0.0
    rules.eliminate_zeros()
    rules = rules[np.flatnonzero(np.diff(rules.indptr))]
    if not rules.shape[0]:
        return rules
    length = np.sqrt(np.asarray(rules.multiply(rules).sum(axis=1)).ravel())
    # Three random projections tell rows apart; equal rows that round differently stay, which only costs time.
    probes = np.random.default_rng(0).normal(size=(rules.shape[1], 3))
    shadow = (rules @ probes) / length[:, None]
    shadow *= np.sign(shadow[:, :1])
    _, kept = np.unique(np.round(shadow, 7), axis=0, return_index=True)
    return rules[np.sort(kept)]


def _home(p2s: NDArray[np.int64], atoms: int) -> NDArray[np.int64]:
    """Index in the primitive cell of each supercell atom that is in the home cell, -1 for others [N]."""
    home = np.full(atoms, -1)
    home[p2s] = np.arange(len(p2s))
    return home
