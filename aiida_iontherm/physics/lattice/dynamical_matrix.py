"""Dynamical matrices and their derivatives at many wave vectors together.

With F_R the mass-weighted force constants between the atoms of the primitive cell and those of the cell at R, in the
smooth convention of phases (positions of the atoms),

    D_ij(q)      = exp(2 pi i q (r_j - r_i)) sum_R exp(2 pi i q R) F_R,ij
    dD_ij/dq_a   = exp(2 pi i q (r_j - r_i)) sum_R 2 pi i R_a exp(2 pi i q R) F_R,ij + 2 pi i (r_j - r_i)_a D_ij(q).

The lattice vectors R are few, whatever the number of atoms. Force
constants between an atom and several images of another at the same distance are shared among these, as in phonopy.
Polar crystals have a long-range part on top (`dipoles`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixGL, DynamicalMatrixNAC
from phonopy.structure.cells import sparse_to_dense_svecs

from aiida_iontherm.physics.compiled import _native
from aiida_iontherm.physics.lattice.dipoles import EwaldDipoles, WangCorrection

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

_BATCH_BYTES = 4e6  # of matrices and derivatives held at once: more would be new memory from the system each time


class DynamicalMatrices:
    """Dynamical matrices of one crystal.

    Parameters
    ----------
    phonopy
        Object with force constants and, where wanted, the parameters of the non-analytical term.

    Raises
    ------
    ValueError
        If there are no force constants.
    """

    def __init__(self, phonopy: Phonopy) -> None:
        source = phonopy.dynamical_matrix
        if source is None:
            raise ValueError("the phonopy object has no force constants: produce or set them first")
        constants: Real | None = source.force_constants
        self._ewald: EwaldDipoles | None = None
        self._wang: WangCorrection | None = None
        if isinstance(source, DynamicalMatrixGL):
            if source.short_range_force_constants is None:
                source.make_Gonze_nac_dataset()
            constants = source.short_range_force_constants
            self._ewald = EwaldDipoles(source)
        elif isinstance(source, DynamicalMatrixNAC):
            self._wang = WangCorrection(source)
        primitive = phonopy.primitive
        self.n_atoms = len(primitive)
        self._cell = np.array(primitive.cell, dtype=float)
        self._reciprocal = np.linalg.inv(self._cell).T  # rows are reciprocal vectors without 2 pi
        images = _Images(phonopy)
        self._lattice_vectors = images.lattice_vectors
        self._constants = images.mass_weighted(np.asarray(constants), np.array(primitive.masses, dtype=float))
        self._shares = images.shares if self._wang is not None else None
        self._positions = np.array(primitive.scaled_positions, dtype=float)

    def at(self, qpoints: ArrayLike) -> tuple[Complex, Complex]:
        """Hermitian matrices [q, 3n, 3n] in phonopy's unit and their derivatives [q, 3, 3n, 3n].

        Parameters
        ----------
        qpoints
            Fractional coordinates of the primitive reciprocal cell [q, 3].

        Notes
        -----
        Matrices are in eV/(Angstrom^2 amu), derivatives with respect to a Cartesian wave vector in 1/Angstrom without
        2 pi.
        """
        points = np.atleast_2d(np.asarray(qpoints, dtype=float))
        matrices, derivatives = _native.dynamical_matrices(
            self._constants,
            2 * np.pi * self._lattice_vectors @ self._cell,
            2 * np.pi * self._positions @ self._cell,
            2 * np.pi * points @ self._lattice_vectors.T,
            2 * np.pi * points @ self._positions.T,
        )
        if self._ewald is not None:
            self._ewald.add_to(matrices, derivatives, points @ self._reciprocal)
        elif self._wang is not None:
            for q, matrix, derivative in zip(points, matrices, derivatives, strict=True):
                more, more_derivative = self._wang_at(q)
                matrix += more
                derivative += more_derivative
        return matrices, derivatives

    def batch_size(self, limit_bytes: float = _BATCH_BYTES) -> int:
        """Count the points whose matrices and derivatives stay within a number of bytes."""
        return max(1, int(limit_bytes / (4 * 16 * (3 * self.n_atoms) ** 2)))

    def _wang_at(self, q: Real) -> tuple[Complex, Complex]:
        cartesian = q @ self._reciprocal
        if self._wang is None or self._shares is None:
            raise AssertionError("called for a crystal without Wang's term")
        n = self.n_atoms
        sums = _lattice_sums(q[None], self._lattice_vectors, self._cell, self._shares.reshape(-1, n * n))
        apart = self._positions[None] - self._positions[:, None]  # r_j - r_i, fractional [n, n, 3]
        sums = sums.reshape(4, n, n) * np.exp(2j * np.pi * apart @ q)
        for a in range(3):
            sums[1 + a] += 2j * np.pi * (apart @ self._cell)[:, :, a] * sums[0]
        return self._wang.at(cartesian, sums[0], sums[1:])


class _Images:
    """Pairs of atoms of the primitive cell and the supercell, sorted by lattice vector."""

    def __init__(self, phonopy: Phonopy) -> None:
        primitive = phonopy.primitive
        vectors, counts = primitive.get_smallest_vectors()
        if not primitive.store_dense_svecs:
            vectors, counts = sparse_to_dense_svecs(vectors, counts)
        number = {atom: index for index, atom in enumerate(primitive.p2s_map)}
        self._columns = np.array([number[atom] for atom in primitive.s2p_map])
        self._rows = np.array(primitive.p2s_map)
        scaled = np.array(primitive.scaled_positions, dtype=float)
        multiplicity, address = counts[:, :, 0], counts[:, :, 1]  # [supercell, primitive]
        atom, first = np.divmod(np.repeat(np.arange(multiplicity.size), multiplicity.ravel()), multiplicity.shape[1])
        starts = np.repeat(np.cumsum(multiplicity.ravel()) - multiplicity.ravel(), multiplicity.ravel())
        image = address[atom, first] + np.arange(len(atom)) - starts
        second = self._columns[atom]
        cells = vectors[image] - (scaled[second] - scaled[first])
        integers = np.rint(cells).astype(int)
        if np.abs(cells - integers).max() > 1e-3:
            raise ValueError("the supercell does not consist of whole primitive cells: make the phonopy object anew")
        # With each vector its opposite: force constants are symmetric.
        self.lattice_vectors, which = np.unique(np.vstack([integers, -integers]), axis=0, return_inverse=True)
        self._atom, self._first, self._second = atom, first, second
        self._which = which.ravel()[: len(integers)]
        self._share = 1.0 / multiplicity[atom, first]

    @property
    def shares(self) -> Real:
        """Share of each lattice vector in the pairs of the supercell [R, n, n]."""
        n = len(self._rows)
        result = np.zeros((len(self.lattice_vectors), n, n))
        np.add.at(result, (self._which, self._first, self._second), self._share)
        return result

    def mass_weighted(self, constants: Real, masses: Real) -> Real:
        """Force constants of each lattice vector over the roots of the masses [R, 3n, 3n], made symmetric."""
        n = len(self._rows)
        rows = np.arange(n) if len(constants) == n else self._rows
        values = constants[rows[self._first], self._atom] * self._share[:, None, None]
        values /= np.sqrt(masses[self._first] * masses[self._second])[:, None, None]
        blocks = np.zeros((len(self.lattice_vectors), n, n, 3, 3))
        np.add.at(blocks, (self._which, self._first, self._second), values)
        result: Real = blocks.transpose(0, 1, 3, 2, 4).reshape(-1, 3 * n, 3 * n)
        # Sorted vectors: the opposite of the first is the last. Hermitian matrices follow from symmetric constants.
        return (result + result[::-1].swapaxes(1, 2)) / 2


def _lattice_sums(points: Real, lattice_vectors: NDArray[np.int_], cell: Real, values: Real) -> Complex:
    """Sum exp(2 pi i q R) v_R and 2 pi i R_a exp(2 pi i q R) v_R over R: [4, q, columns] for real v [R, columns]."""
    angles = 2 * np.pi * points @ lattice_vectors.T
    weights = np.ones((4, 1, len(lattice_vectors)))
    weights[1:, 0] = 2 * np.pi * (lattice_vectors @ cell).T
    cosines, sines = weights * np.cos(angles), weights * np.sin(angles)
    # i exp(i x) = -sin x + i cos x for the derivatives
    real = np.concatenate([cosines[:1], -sines[1:]])
    imaginary = np.concatenate([sines[:1], cosines[1:]])
    result = np.empty((4, len(points), values.shape[1]), dtype=complex)
    result.real = real @ values
    result.imag = imaginary @ values
    return result
