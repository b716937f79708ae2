"""Anisotropic displacement parameters: mean square displacement tensors U(T), as diffraction refines them.

In the harmonic crystal (Willis and Pryor, Thermal Vibrations in Crystallography, 1975)

    U_i^ab(T) = hbar/(2 m_i N_q) sum_q sum_s Re(e_i^a e_i^b*) coth(hbar w/(2 k T)) / w

with angular frequencies w = 2 pi f. The classical crystal has 2 k T/(hbar w) in place of the hyperbolic cotangent.

On a finite mesh the acoustic modes at Gamma have to be left out, and with them a part of the integral that falls only
with the first power of the number of divisions: U is converged when it does not change with the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.distributions import chi2_quantile
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight
from aiida_iontherm.physics.lattice.sites import SpaceGroup
from aiida_iontherm.physics.units import AMU, HBAR, KB


@dataclass(frozen=True)
class Displacements:
    """Mean square displacements of the atoms of a primitive cell.

    Attributes
    ----------
    temperatures
        In K [T].
    tensors_A2
        U_ab = <u_a u_b> in Angstrom^2, Cartesian axes [T, n, 3, 3].
    """

    temperatures: NDArray[np.float64]
    tensors_A2: NDArray[np.float64]

    @property
    def isotropic_A2(self) -> NDArray[np.float64]:
        """Equivalent isotropic U_eq, a third of the trace [T, n]."""
        return np.trace(self.tensors_A2, axis1=-2, axis2=-1) / 3

    @property
    def b_isotropic_A2(self) -> NDArray[np.float64]:
        """Equivalent isotropic B = 8 pi^2 U_eq [T, n]."""
        return 8 * np.pi**2 * self.isotropic_A2


def displacements(
    phonons: Phonons,
    temperatures: ArrayLike,
    *,
    space_group: SpaceGroup | None = None,
    classical: bool = False,
    cutoff_thz: float = 0.01,
) -> Displacements:
    """Mean square displacement tensors of all atoms.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    temperatures
        In K [T]; zero is allowed for the quantum crystal.
    space_group
        Needed where `phonons` holds irreducible points only; ``None`` for a full mesh.
    classical
        Leave out the zero-point motion, as molecular dynamics does.
    cutoff_thz
        Modes below are left out: the three acoustic modes at Gamma, where U diverges.

    Raises
    ------
    ValueError
        If a temperature is negative, or a mode is imaginary: it has no mean square displacement.
    """
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    if not np.all(kelvin >= 0):
        raise ValueError("temperatures must not be negative")
    if not cutoff_thz > 0:
        raise ValueError(f"the cutoff must be positive, not {cutoff_thz} THz: U diverges at zero frequency")
    frequencies = phonons.frequencies_thz
    if imaginary_weight(frequencies, phonons.weights, threshold_thz=cutoff_thz):
        raise ValueError(
            f"imaginary modes down to {frequencies.min():.3g} THz: use force constants of a stable structure or at T"
        )
    kept = frequencies > cutoff_thz
    amplitudes = mode_amplitudes(np.where(kept, frequencies, 1.0), kelvin[:, None, None], classical=classical)
    amplitudes = np.where(kept, amplitudes, 0.0) * (phonons.weights / phonons.weights.sum())[:, None]
    atoms = len(phonons.masses)
    tensors = np.zeros((len(kelvin), atoms, 3, 3))
    # One point at a time: the outer products of all points would be the largest array of the calculation.
    for amplitude, vectors in zip(amplitudes.swapaxes(0, 1), phonons.eigenvectors, strict=True):
        components = vectors.reshape(atoms, 3, -1)
        for atom, part in enumerate(components):
            outer = (part[:, None] * part[None].conj()).real
            tensors[:, atom] += (amplitude @ outer.reshape(9, -1).T).reshape(-1, 3, 3)
    tensors /= phonons.masses[:, None, None]
    return Displacements(kelvin, tensors if space_group is None else space_group.average_atom_tensors(tensors))


def mode_amplitudes(
    frequencies_thz: ArrayLike, temperatures: ArrayLike, *, classical: bool = False
) -> NDArray[np.float64]:
    """Mean square of the normal coordinate in Angstrom^2 amu: hbar/(2 w) coth(hbar w/(2 k T)), or k T/w^2 classical.

    Divided by a mass it is the mean square displacement of an Einstein oscillator. The arguments broadcast;
    frequencies are positive, temperatures not negative.
    """
    angular = 2 * np.pi * 1e12 * np.asarray(frequencies_thz, dtype=float)
    kelvin = np.asarray(temperatures, dtype=float)
    if classical:
        square = KB * kelvin / angular**2
    else:
        with np.errstate(divide="ignore"):
            quanta = np.divide(HBAR * angular, 2 * KB * kelvin)
        square = HBAR / (2 * angular) / np.tanh(quanta)
    return square * 1e20 / AMU


def to_cif(tensors_A2: ArrayLike, lattice: ArrayLike) -> NDArray[np.float64]:
    """Tensors in the convention of CIF files (``_atom_site_aniso_U_ij``) [..., 3, 3] in Angstrom^2.

    They refer to axes along the reciprocal vectors a*_i times their lengths (Trueblood et al., Acta Cryst. A52, 770
    (1996)): U_cart = A N U_cif N A^T with the lattice vectors as columns of A and N = diag(|a*_i|).

    Parameters
    ----------
    tensors_A2
        Cartesian tensors [..., 3, 3].
    lattice
        Lattice vectors of the cell in the CIF file as rows [3, 3], Angstrom.
    """
    inverse = np.linalg.inv(np.asarray(lattice, dtype=float)).T
    # Rows of `inverse` are the reciprocal vectors (without 2 pi).
    axes = inverse / np.linalg.norm(inverse, axis=1)[:, None]
    return axes @ np.asarray(tensors_A2, dtype=float) @ axes.T


def ellipsoids(
    tensors_A2: ArrayLike, probability: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Displacement ellipsoids: half axes in Angstrom and their directions.

    Parameters
    ----------
    tensors_A2
        Cartesian tensors [..., 3, 3].
    probability
        Chance to find the atom inside, 0.5 for the usual drawing; ``None`` for the root mean square amplitudes.

    Returns
    -------
    half_axes
        [..., 3], ascending.
    directions
        Unit vectors [..., 3, 3], one per row, in the same order.
    """
    squares, vectors = np.linalg.eigh(np.asarray(tensors_A2, dtype=float))
    if not np.all(squares > 0):
        raise ValueError("a displacement tensor is not positive definite: it is no ellipsoid")
    if probability is not None and not 0 < probability < 1:
        raise ValueError(f"the probability must lie between 0 and 1, not {probability}")
    scale = 1.0 if probability is None else float(np.sqrt(chi2_quantile(probability, 3)))
    return scale * np.sqrt(squares), np.swapaxes(vectors, -1, -2)
