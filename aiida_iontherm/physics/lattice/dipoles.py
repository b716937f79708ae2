"""Long-range part of the dynamical matrix of polar crystals and its derivative, after Gonze and Lee, or Wang.

In a polar crystal the dipoles that ions make when they move interact over all distances, and the dynamical matrix is
not analytic at the zone centre. Two ways to put that on top of force constants from a finite supercell are in use:

- X. Gonze and C. Lee, Phys. Rev. B 55, 10355 (1997), Eqs. 72-75: the reciprocal part of an Ewald sum of dipoles,
  which was taken out of the force constants before. Physical at all wave vectors; the default.
- Y. Wang et al., J. Phys.: Condens. Matter 22, 202201 (2010): a term that is right in the limit of long waves and
  vanishes at the points that fit the supercell.

Both follow phonopy to the letter: damping, list of reciprocal vectors, sum rule. What is ours is the derivative with
respect to the wave vector, in closed form, and that all points are done together. At the zone centre without a
direction the non-analytic term is left out, as phonopy does.

Wave vectors have no factor of 2 pi here (1/Angstrom), as in phonopy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixGL, DynamicalMatrixNAC

from aiida_iontherm.physics.compiled import _native
from aiida_iontherm.physics.lattice.tensors import VOIGT

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

_ZERO = 1e-5  # 1/Angstrom, below which a wave vector counts as zero: phonopy's tolerance


@dataclass(frozen=True)
class PolarCrystal:
    """What the long-range interaction needs to know.

    Attributes
    ----------
    positions
        Of the atoms of the primitive cell in Angstrom [n, 3].
    masses
        In amu [n].
    born
        Effective charges [n, 3, 3] in units of e, first index the field.
    dielectric
        High-frequency dielectric tensor [3, 3].
    prefactor
        4 pi/V times the unit of charge squared, eV/Angstrom^2 for charges in e.
    """

    positions: Real
    masses: Real
    born: Real
    dielectric: Real
    prefactor: float

    @classmethod
    def of(cls, dynamical_matrix: DynamicalMatrixNAC) -> PolarCrystal:
        """Read it off phonopy's object."""
        cell = dynamical_matrix.primitive
        return cls(
            positions=np.array(cell.positions, dtype=float),
            masses=np.array(cell.masses, dtype=float),
            born=np.array(dynamical_matrix.born, dtype=float),
            dielectric=np.array(dynamical_matrix.dielectric_constant, dtype=float),
            prefactor=float(dynamical_matrix.nac_factor),
        )

    @property
    def mass_factors(self) -> Real:
        """1/sqrt(m_i) of each of the 3n coordinates."""
        return np.repeat(1 / np.sqrt(self.masses), 3)


class EwaldDipoles:
    """Gonze and Lee's reciprocal sum over dipoles.

    What depends on the wave vector is, for each pair of atoms, the tensor sum_G w(K) K_m K_n exp(2 pi i G (r_i - r_j))
    with K = G + q and its three derivatives: 24 real weights of each G. The phases do not depend on q, so that all
    points are one product of real matrices. Charges and masses follow, pair by pair.
    """

    def __init__(self, dynamical_matrix: DynamicalMatrixGL) -> None:
        self.crystal = PolarCrystal.of(dynamical_matrix)
        settings = dynamical_matrix.nac_params
        cell = dynamical_matrix.primitive
        # phonopy's defaults where the parameters do not say otherwise.
        cutoff = settings.get("G_cutoff") or (3 * 300 / (4 * np.pi) / cell.volume) ** (1 / 3)
        damping = settings.get("Lambda")
        if damping is None:
            damping = np.sqrt(-(cutoff**2) * np.trace(self.crystal.dielectric) / 3 / 4 / np.log(1e-10))
        self._width = 4 * float(damping) ** 2
        self._vectors = _vectors_within(np.array(cell.cell, dtype=float), cutoff)
        self._first, self._second = np.triu_indices(len(self.crystal.masses))
        phases = 2 * np.pi * self._vectors @ self.crystal.positions.T  # [G, n]
        apart = phases[:, self._first] - phases[:, self._second]
        self._phases = np.concatenate([np.cos(apart), np.sin(apart)], axis=1).T.copy()  # [2 P, G]
        self._charges = self._charges_of_pairs()
        self._on_site = self._sum_rule()

    def add_to(self, matrices: Complex, derivatives: Complex, q_cartesian: Real) -> None:
        """Add mass-weighted matrices [q, 3n, 3n] and derivatives [q, 3, 3n, 3n] at points [q, 3] in 1/Angstrom."""
        self._add_blocks(matrices, derivatives, q_cartesian)
        matrices -= self._on_site

    def _add_blocks(self, matrices: Complex, derivatives: Complex, q_cartesian: Real) -> None:
        """Add both without the sum rule."""
        weights = self._weights(q_cartesian)  # [q, 4, 6, G]
        sums = self._phases @ weights.reshape(-1, len(self._vectors)).T
        _native.add_dipoles(sums.reshape(-1, len(q_cartesian), 4, 6), self._charges, matrices, derivatives)

    def _weights(self, q_cartesian: Real) -> Real:
        """Weights of each reciprocal vector in the Voigt components of the tensor and of its derivatives [q, 4, 6, G].

        w(K) = exp(-K eps K/width)/(K eps K); d/dq_a of w K_m K_n is w' K_m K_n + w (delta_am K_n + delta_an K_m).
        """
        wave = (self._vectors[None] + q_cartesian[:, None]).swapaxes(1, 2)  # [q, 3, G]
        kept = np.linalg.norm(wave, axis=1) > _ZERO
        turned = np.einsum("ab,qbg->qag", self.crystal.dielectric, wave)
        norm = np.where(kept, np.sum(wave * turned, axis=1), 1.0)
        strength = np.where(kept, np.exp(-norm / self._width) / norm, 0.0)
        slopes = (-2 * strength * (1 / norm + 1 / self._width))[:, None] * turned
        result = np.empty((len(q_cartesian), 4, 6, len(self._vectors)))
        for v, (m, n) in enumerate(VOIGT):
            product = wave[:, m] * wave[:, n]
            result[:, 0, v] = strength * product
            for a in range(3):
                result[:, 1 + a, v] = slopes[:, a] * product
            result[:, 1 + m, v] += strength * wave[:, n]
            result[:, 1 + n, v] += strength * wave[:, m]
        return result

    def _charges_of_pairs(self) -> Real:
        """Z_i,ma Z_j,nb for each pair, with masses and prefactor, as a map from Voigt components mn to ab [P, 6, 9]."""
        left, right = self.crystal.born[self._first], self.crystal.born[self._second]
        products = np.einsum("pma,pnb->pmnab", left, right)
        scale = self.crystal.prefactor / np.sqrt(self.crystal.masses[self._first] * self.crystal.masses[self._second])
        columns = [products[:, m, n] if m == n else products[:, m, n] + products[:, n, m] for m, n in VOIGT]
        return np.stack(columns, axis=1).reshape(len(scale), 6, 9) * scale[:, None, None]

    def _sum_rule(self) -> Complex:
        """Blocks on the diagonal [3n, 3n] that make a shift of the whole crystal cost nothing."""
        n = len(self.crystal.masses)
        root = np.sqrt(self.crystal.masses)
        # without masses in the sum: a shift moves all atoms alike
        matrices, derivatives = np.zeros((1, 3 * n, 3 * n), complex), np.zeros((1, 3, 3 * n, 3 * n), complex)
        self._add_blocks(matrices, derivatives, np.zeros((1, 3)))
        matrix = matrices.reshape(n, 3, n, 3) * root[:, None, None, None]
        sums = np.einsum("iajb,j->iab", matrix, root)
        blocks = np.zeros((n, 3, n, 3), dtype=complex)
        for i, block in enumerate(sums):
            blocks[i, :, i, :] = (block + block.conj().T) / (2 * self.crystal.masses[i])
        return blocks.reshape(3 * n, 3 * n)


class WangCorrection:
    """Wang's term: a constant for each pair of atoms, added to all force constants of the supercell."""

    def __init__(self, dynamical_matrix: DynamicalMatrixNAC) -> None:
        self.crystal = PolarCrystal.of(dynamical_matrix)
        self._cells = len(dynamical_matrix.supercell) / len(dynamical_matrix.primitive)

    def at(self, q_cartesian: Real, pair_phases: Complex, pair_derivatives: Complex) -> tuple[Complex, Complex]:
        """Mass-weighted term [3n, 3n] and derivatives [3, 3n, 3n] at a point in 1/Angstrom [3].

        `pair_phases` [n, n] are the sums over the supercell of exp(2 pi i q r) for each pair of atoms of the primitive
        cell, and `pair_derivatives` [3, n, n] their derivatives.
        """
        n = len(self.crystal.masses)
        if np.linalg.norm(q_cartesian) < _ZERO:
            return np.zeros((3 * n, 3 * n), dtype=complex), np.zeros((3, 3 * n, 3 * n), dtype=complex)
        charges = np.einsum("m,ima->ia", q_cartesian, self.crystal.born).ravel()
        norm = q_cartesian @ self.crystal.dielectric @ q_cartesian
        term = np.outer(charges, charges) / norm
        phases = _blocks(pair_phases)
        derivative = np.empty((3, 3 * n, 3 * n), dtype=complex)
        for a in range(3):
            change = np.outer(self.crystal.born[:, a].ravel(), charges)
            slope = (change + change.T) / norm - term * 2 * (self.crystal.dielectric @ q_cartesian)[a] / norm
            derivative[a] = slope * phases + term * _blocks(pair_derivatives[a])
        factors = self.crystal.mass_factors
        scale = self.crystal.prefactor / self._cells * factors[:, None] * factors[None, :]
        matrix: Complex = term * phases * scale
        derivative *= scale
        return matrix, derivative


def _blocks(pairs: Complex) -> Complex:
    """Repeat each element of [n, n] as a block of 3 x 3."""
    return np.repeat(np.repeat(pairs, 3, axis=0), 3, axis=1)


def _vectors_within(cell: Real, cutoff: float) -> Real:
    """Reciprocal lattice vectors [G, 3] in 1/Angstrom that are shorter than a cutoff; the rows of `cell` are a_i."""
    # G = sum_i n_i b_i with |n_i| = |G . a_i| <= |G| |a_i|
    lengths = np.linalg.norm(cell, axis=1)
    ranges = [np.arange(-n, n + 1) for n in np.ceil(cutoff * lengths).astype(int)]
    integers = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors: Real = integers @ np.linalg.inv(cell).T.astype(float)
    return vectors[np.sum(vectors**2, axis=1) < cutoff**2]
