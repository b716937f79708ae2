"""Interaction of the dipoles of a polar crystal, as Quantum ESPRESSO's q2r.x takes it out of the force constants.

At each point q of the mesh q2r.x subtracts the reciprocal part of an Ewald sum over dipoles (X. Gonze and C. Lee, Phys.
Rev. B 55, 10355 (1997), Eqs. 72 to 76; P. Giannozzi et al., Phys. Rev. B 43, 7231 (1991)), with K = q + G, not zero,

    D_ij,ab(q) = 4 pi e^2/V sum_G (K Z_i)_a (K Z_j)_b exp(-K eps K/(4 w)) / (K eps K) exp(i K (r_j - r_i)),

less the sum over j of D_ij(0) for i = j, so that a crystal moved as a whole feels no force. The width w is 1 in units
of (2 pi/alat)^2 unless the file names another, and the sum ends where the exponent falls below -14.

The points q + G of a mesh are the reciprocal vectors of its supercell. In real space the sum over mesh and G is thus
one sum over these, and what is subtracted on site is what the acoustic sum rule asks for.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import units
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.tasks.force_constant_files.repetition import Repetition

LARGEST_EXPONENT = 14.0
"""K eps K/(4 w), beyond which q2r.x leaves terms out: exp(-14) is 8e-7."""

_BLOCK = 1000  # reciprocal vectors done together: 100 MB for 1000 atoms

Real = NDArray[np.float64]


def dipole_force_constants(repetition: Repetition, born: ArrayLike, dielectric: ArrayLike, width: float) -> Real:
    """Second-order force constants of the dipoles over a supercell, without the non-analytic term.

    Parameters
    ----------
    repetition
        A supercell of n1 x n2 x n3 primitive cells, which stands for the mesh of q-points.
    born
        Effective charges [n, 3, 3] in e, first index the field.
    dielectric
        High-frequency dielectric tensor [3, 3].
    width
        w in 1/Angstrom^2.

    Returns
    -------
    Compact array [n, N, 3, 3] in eV/Angstrom^2.
    """
    charges, permittivity = np.asarray(born, dtype=float), np.asarray(dielectric, dtype=float)
    lattice = repetition.primitive.cell.array
    # Sites without the rounding of the supercell's positions.
    sites = repetition.primitive.positions[repetition.atom_of] + repetition.cells @ lattice
    waves, norms = _reciprocal_vectors(repetition, permittivity, width)
    volume = abs(np.linalg.det(lattice)) * repetition.n_cells
    # Twice 4 pi: K and -K give the same.
    strengths = 8 * np.pi * units.Hartree * units.Bohr / volume * np.exp(-norms / (4 * width)) / norms
    n, atoms = len(charges), len(sites)
    total = np.zeros((3 * n, 3 * atoms))
    for start in range(0, len(waves), _BLOCK):
        wave, strength = waves[start : start + _BLOCK], strengths[start : start + _BLOCK]
        dipoles = np.einsum("km,ima->kia", wave, charges)
        phases = np.exp(1j * wave @ sites.T)
        right = (dipoles[:, repetition.atom_of] * phases[:, :, None]).reshape(len(wave), -1)
        left = (dipoles * phases[:, repetition.p2s, None]).reshape(len(wave), -1) * strength[:, None]
        total += left.real.T @ right.real + left.imag.T @ right.imag
    result = total.reshape(n, 3, atoms, 3).swapaxes(1, 2).copy()
    result[np.arange(n), repetition.p2s] -= result.sum(axis=1)
    return result


def ewald_settings(lattice: ArrayLike, dielectric: ArrayLike, width: float) -> dict[str, float]:
    """Width and reach of the same sum for phonopy, which then interpolates as Quantum ESPRESSO's matdyn.x does.

    phonopy's wave vectors have no factor of 2 pi. Its list of G is a sphere about zero, made wide enough here for all q
    with three coordinates from 0 to 1, or from -1/2 to 1/2.
    """
    reciprocal = np.linalg.inv(np.asarray(lattice, dtype=float)).T
    corners = np.array([corner for low, high in ((0, 1), (-0.5, 0.5)) for corner in product((low, high), repeat=3)])
    smallest = np.linalg.eigvalsh(np.asarray(dielectric, dtype=float))[0]
    reach = np.sqrt(4 * width * LARGEST_EXPONENT / smallest) / (2 * np.pi)
    return {
        "Lambda": float(np.sqrt(width) / (2 * np.pi)),
        "G_cutoff": float(reach + np.linalg.norm(corners @ reciprocal, axis=1).max()),
    }


def _reciprocal_vectors(repetition: Repetition, dielectric: Real, width: float) -> tuple[Real, Real]:
    """Reciprocal vectors of the supercell in the ellipsoid of the sum [k, 3] in 1/Angstrom, and K eps K [k].

    One of K and -K is there. Along a direction with one q-point there are none: q2r.x takes it for the vacuum of a
    layer or wire.
    """
    cells = np.diag(repetition.matrix)
    reciprocal = 2 * np.pi * np.linalg.inv(repetition.primitive.cell.array * cells[:, None]).T
    limit = 4 * width * LARGEST_EXPONENT
    # Largest multiples of each vector within the ellipsoid K eps K = limit.
    metric = reciprocal @ dielectric @ reciprocal.T
    reach = np.floor(np.sqrt(limit * np.diag(np.linalg.inv(metric)))).astype(int)
    multiples = [np.arange(-m, m + 1) if n > 1 else np.zeros(1) for m, n in zip(reach, cells, strict=True)]
    grid = np.stack(np.meshgrid(*multiples, indexing="ij"), axis=-1).reshape(-1, 3)
    # Zero is in the middle, and what comes after it are the negatives of what comes before.
    waves = grid[len(grid) // 2 + 1 :] @ reciprocal
    norms = np.einsum("km,mn,kn->k", waves, dielectric, waves)
    return waves[norms < limit], norms[norms < limit]
