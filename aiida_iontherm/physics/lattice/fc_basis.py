"""Symmetry-allowed force constants of a supercell as a sparse linear map from free parameters.

hiphive (Eriksson, Fransson and Erhart, Adv. Theory Simul. 2, 1800184 (2019)) finds the clusters, their orbits and the
tensors symmetry allows. From these follow here, as sparse matrices: the compact arrays phonopy and phono3py use, the
rows of the fit, and the acoustic sum rules. hiphive imposes the sum rules with exact rational algebra, which takes
hours for a few thousand parameters; floating point gives the same space in seconds.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, vstack
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from hiphive.force_constant_model import ForceConstantModel

_POSITION_TOLERANCE = 1e-3  # Angstrom; the same sites in two cells written by different codes agree to better
_RANK_TOLERANCE = 1e-9  # on eigenvalues of C^T C relative to the largest: those of a sum rule are of order one


class ForceConstantBasis:
    """Parameters of the second- and third-order force constants of a supercell, sum rules included.

    Parameters
    ----------
    primitive
        Primitive cell, atoms in the order of phonopy's.
    supercell
        Supercell of ideal sites, atoms in the order of phonopy's.
    cutoffs
        Largest distance between two atoms of a cluster of second and third order, in Angstrom.
    symprec
        Tolerance of the symmetry search in Angstrom; the one phonopy is given.

    Attributes
    ----------
    p2s
        Index in the supercell of each primitive atom [n], as phonopy's ``p2s_map``.
    n_parameters
        Number of free parameters after the sum rules.
    n_unconstrained
        Number before them.

    Raises
    ------
    ValueError
        If cutoffs are too long for the supercell, or the two cells do not fit each other.
    """

    def __init__(self, primitive: Atoms, supercell: Atoms, cutoffs: Sequence[float], symprec: float = 1e-5) -> None:
        # hiphive brings scikit-learn along, two seconds of import that only a fit should pay.
        from hiphive import ClusterSpace
        from hiphive.cutoffs import estimate_maximum_cutoff
        from hiphive.force_constant_model import ForceConstantModel

        if len(cutoffs) != 2 or min(cutoffs) <= 0:
            raise ValueError(f"cutoffs must be two positive lengths, of second and third order, not {tuple(cutoffs)}")
        longest = estimate_maximum_cutoff(supercell)
        if max(cutoffs) > longest:
            raise ValueError(
                f"cutoff {max(cutoffs):g} A is longer than {longest:.2f} A, the most this supercell can hold: "
                "shorten it or take a larger supercell"
            )
        self.p2s = primitive_indices(primitive, supercell)
        self.translations = translation_permutations(primitive, supercell)
        self._shape = (len(primitive), len(supercell))
        with _silent_hiphive():
            space = ClusterSpace(primitive, list(cutoffs), acoustic_sum_rules=False, symprec=symprec)
            model = ForceConstantModel(supercell, space)
        second, third, total = _sparse_tensors(model, self.p2s, len(supercell))
        null = _sum_rule_null_space(second, third, self._shape, total)
        self.n_unconstrained = total
        self.n_parameters = null.shape[1]
        self.null_space = null
        self._second, self._third = second, third
        self._second_rows = _second_order_rows(second, self._shape)
        self._third_rows, self._left, self._right = _third_order_rows(third, self._shape)

    def arrays(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compact force constants [n, N, 3, 3] in eV/A^2 and [n, N, N, 3, 3, 3] in eV/A^3 of free parameters."""
        full = self.null_space @ parameters
        n, atoms = self._shape
        return (
            (self._second @ full).reshape(n, atoms, 3, 3),
            (self._third @ full).reshape(n, atoms, atoms, 3, 3, 3),
        )

    def fit_rows(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows [N * 3, n_unconstrained] of the linear system forces = rows @ parameters for one snapshot [N, 3].

        Rows are ordered as `forces_in_row_order` orders forces.
        """
        # Column t holds the displacements as the home cell sees them from lattice translation t.
        seen = displacements[self.translations].reshape(len(self.translations), -1).T
        rows = self._second_rows @ seen + self._third_rows @ (seen[self._left] * seen[self._right])
        parts = rows.reshape(3 * self._shape[0], self.n_unconstrained, -1)
        return parts.transpose(0, 2, 1).reshape(-1, self.n_unconstrained)

    def forces_in_row_order(self, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """Reorder forces [N, 3] into the vector `fit_rows` predicts [N * 3]."""
        images = self.translations[:, self.p2s]
        return forces[images].transpose(1, 2, 0).ravel()


@contextlib.contextmanager
def _silent_hiphive() -> Iterator[None]:
    """Keep hiphive's tables off the standard output: its logger prints there by default."""
    logger = logging.getLogger("hiphive")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
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


def _sparse_tensors(
    model: ForceConstantModel, p2s: NDArray[np.int64], atoms: int
) -> tuple[csr_matrix, csr_matrix, int]:
    """Compact second and third order as sparse maps from the parameters of hiphive's orbits, and their number."""
    row_of = np.full(atoms, -1)
    row_of[p2s] = np.arange(len(p2s))
    parts: dict[int, list[tuple[NDArray, NDArray, NDArray]]] = {2: [], 3: []}
    start = 0
    for orbit in model.orbits:
        for family in orbit.orientation_families:
            tensors = np.array(family.eigentensors)
            clusters = np.array([model.cluster_list[i] for i in family.cluster_indices])
            # An atom that stands twice in a cluster makes some permutations the same element: take each once.
            distinct = {tuple(clusters[0][list(p)]): p for p in permutations(range(orbit.order))}
            for permutation in distinct.values():
                members = clusters[:, permutation]
                members = members[row_of[members[:, 0]] >= 0]
                base = row_of[members[:, 0]]
                for column in members.T[1:]:
                    base = base * atoms + column
                turned = tensors.transpose(0, *(1 + np.array(permutation))).reshape(len(tensors), -1)
                which, element = np.nonzero(turned)
                rows = (base[:, None] * 3**orbit.order + element[None, :]).ravel()
                columns = np.tile(start + which, len(base))
                parts[orbit.order].append((rows, columns, np.tile(turned[which, element], len(base))))
        start += len(orbit.eigentensors)
    matrices = []
    for order in (2, 3):
        rows, columns, values = (np.concatenate(p) for p in zip(*parts[order], strict=True))
        shape = (len(p2s) * atoms ** (order - 1) * 3**order, start)
        matrices.append(coo_matrix((values, (rows, columns)), shape=shape).tocsr())
    return matrices[0], matrices[1], start


def _sum_rule_null_space(second: csr_matrix, third: csr_matrix, shape: tuple[int, int], total: int) -> csr_matrix:
    """Parameters that obey the acoustic sum rules: columns of an orthonormal basis [total, free].

    A translation of the whole crystal makes no force: sum_j Phi_ij = 0 and sum_k Phi_ijk = 0 for all i, j.
    """
    n, atoms = shape
    rules = vstack([_summed_over_last_atom(second, n, atoms, 9), _summed_over_last_atom(third, n * atoms, atoms, 27)])
    gram = (rules.T @ rules).tocsr()
    count, labels = connected_components(gram, directed=False)
    rows, columns, values = [], [], []
    free = 0
    largest = gram.diagonal().max(initial=0.0)
    for label in range(count):
        members = np.flatnonzero(labels == label)
        eigenvalues, vectors = np.linalg.eigh(gram[members][:, members].toarray())
        null = vectors[:, eigenvalues < _RANK_TOLERANCE * largest]
        rows.append(np.repeat(members, null.shape[1]))
        columns.append(np.tile(np.arange(free, free + null.shape[1]), len(members)))
        values.append(null.ravel())
        free += null.shape[1]
    if free == 0:
        raise ValueError("no free force constants are left after the sum rules: lengthen the cutoffs")
    joined = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_matrix(joined, shape=(total, free)).tocsr()


def _summed_over_last_atom(matrix: csr_matrix, leading: int, atoms: int, elements: int) -> csr_matrix:
    """Rows (leading, last atom, elements) summed over the last atom."""
    entries = matrix.tocoo()
    rows = entries.row // (atoms * elements) * elements + entries.row % elements
    return coo_matrix((entries.data, (rows, entries.col)), shape=(leading * elements, matrix.shape[1])).tocsr()


def _second_order_rows(matrix: csr_matrix, shape: tuple[int, int]) -> csr_matrix:
    """Map displacements (j, b) to the derivative of force (i, a) by parameter p: F_ia = -sum Phi_ij,ab u_jb."""
    n, atoms = shape
    entries = matrix.tocoo()
    i, j, a, b = np.unravel_index(entries.row, (n, atoms, 3, 3))
    rows = (i * 3 + a) * matrix.shape[1] + entries.col
    return coo_matrix((-entries.data, (rows, j * 3 + b)), shape=(3 * n * matrix.shape[1], 3 * atoms)).tocsr()


def _third_order_rows(matrix: csr_matrix, shape: tuple[int, int]) -> tuple[csr_matrix, NDArray, NDArray]:
    """Map products u_jb u_kc likewise: F_ia = -1/2 sum Phi_ijk,abc u_jb u_kc; and the pairs (jb), (kc) that occur."""
    n, atoms = shape
    entries = matrix.tocoo()
    i, j, k, a, b, c = np.unravel_index(entries.row, (n, atoms, atoms, 3, 3, 3))
    left, right = j * 3 + b, k * 3 + c
    pairs, columns = np.unique(np.minimum(left, right) * (3 * atoms) + np.maximum(left, right), return_inverse=True)
    rows = (i * 3 + a) * matrix.shape[1] + entries.col
    operator = coo_matrix((-entries.data / 2, (rows, columns)), shape=(3 * n * matrix.shape[1], len(pairs))).tocsr()
    return operator, pairs // (3 * atoms), pairs % (3 * atoms)
