"""Mode Grueneisen parameters gamma_s = -d ln w_s / d ln V, and their averages.

By first-order perturbation, so that bands are not mixed up where they cross,

    gamma_s = -<e_s| dD/d ln V |e_s> / (2 w_s^2)

for an isotropic change of the lattice, w^2 and e_s at the volume of the crystal. Where bands are degenerate, single
elements depend on the basis, and their mean is taken. dD/d ln V comes

* from the crystal at two other volumes (`grueneisen_from_volumes`), or
* from third-order force constants (`volume_derivative`, `grueneisen_from_third_order`): the lattice vectors stretch by
  (1 + e), e = d ln V/3, and atoms with free coordinates relax inside the cell,

      dPhi_ij/d ln V = sum_k Phi_ijk . (r_k/3 + x_k),   x_m = -sum_n G_mn . F_n

  where -F_n is the force on atom n per d ln V with positions that scale with the lattice, and G the inverse of the
  force constants at Gamma without the rigid translations (Wallace, Thermodynamics of Crystals (1972)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrix
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.cells import Primitive

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice.linewidths import average_degenerate
from aiida_iontherm.physics.lattice.phonons import Phonons


def grueneisen_from_volumes(
    phonons: Phonons, smaller: Phonopy, larger: Phonopy, *, degeneracy_thz: float = 1e-4, cutoff_thz: float = 0.01
) -> NDArray[np.float64]:
    """Mode Grueneisen parameters [q, s] by central differences between two volumes.

    Parameters
    ----------
    phonons
        Harmonic solution at the volume of the crystal.
    smaller, larger
        The same cell at a smaller and a larger volume, each with force constants (and parameters of the non-analytical
        term where `phonons` has it), free coordinates relaxed, atoms in the same order. A percent of the lattice
        constant to each side is a usual step; the error goes with its square.
    degeneracy_thz
        Neighbouring modes closer than this are degenerate.
    cutoff_thz
        Modes below have no parameter (NaN): the acoustic ones at Gamma, imaginary ones.

    Raises
    ------
    ValueError
        If the cells are not the same crystal at two volumes, or force constants are missing.
    """
    below, above = smaller.dynamical_matrix, larger.dynamical_matrix
    if below is None or above is None:
        raise ValueError("a phonopy object has no force constants: produce or set them at both volumes")
    for phonopy in (smaller, larger):
        if list(phonopy.primitive.symbols) != phonons.symbols:
            raise ValueError(
                f"the atoms at another volume are {list(phonopy.primitive.symbols)}, not {phonons.symbols}"
            )
    strain = float(np.log(larger.primitive.volume / smaller.primitive.volume))
    if not strain > 0:
        raise ValueError("the larger cell has not the larger volume: swap the two, or give two volumes")
    derivatives = ((_matrix(above, q) - _matrix(below, q)) / strain for q in phonons.qpoints)
    return _from_derivatives(phonons, derivatives, larger.unit_conversion_factor, degeneracy_thz, cutoff_thz)


def grueneisen_from_third_order(
    phonons: Phonons, phono3py: Phono3py, *, degeneracy_thz: float = 1e-4, cutoff_thz: float = 0.01
) -> NDArray[np.float64]:
    """Mode Grueneisen parameters [q, s] from third-order force constants.

    Parameters
    ----------
    phonons
        Harmonic solution of the same crystal (`conversion.phonopy_from_phono3py`).
    phono3py
        Object with second- and third-order force constants. Changes of the non-analytical term with volume are left
        out, as phono3py does.
    degeneracy_thz, cutoff_thz
        As in `grueneisen_from_volumes`.

    Raises
    ------
    ValueError
        If force constants are missing or belong to other atoms.
    """
    if list(phono3py.primitive.symbols) != phonons.symbols:
        raise ValueError(f"the atoms of the third order are {list(phono3py.primitive.symbols)}, not {phonons.symbols}")
    matrix = DynamicalMatrix(phono3py.supercell, phono3py.primitive, volume_derivative(phono3py))
    derivatives = (_matrix(matrix, q) for q in phonons.qpoints)
    return _from_derivatives(phonons, derivatives, phono3py.unit_conversion_factor, degeneracy_thz, cutoff_thz)


def volume_derivative(phono3py: Phono3py) -> NDArray[np.float64]:
    """Return the derivative of the force constants dPhi/d ln V [n, N, 3, 3] in eV/Angstrom^2, free coordinates relaxed.

    Rows are the atoms of the primitive cell, columns those of the supercell of the third order.
    """
    third, second = phono3py.fc3, phono3py.fc2
    if third is None or second is None:
        raise ValueError("the phono3py object needs force constants of second and third order: produce or set them")
    primitive = phono3py.primitive
    rows = np.arange(len(primitive)) if third.shape[0] == len(primitive) else np.asarray(primitive.p2s_map)
    parents = _parents(primitive)
    relaxation = _relaxation(phono3py.phonon_primitive, second)
    derivative = np.empty((len(primitive), third.shape[1], 3, 3))
    for atom, row in enumerate(rows):
        moved = _vectors(primitive, atom) / 3 + relaxation[parents]
        derivative[atom] = np.einsum("jkabc,kc->jab", third[row], moved, optimize=True)
    return derivative


def spectral_grueneisen(
    phonons: Phonons, grueneisen: ArrayLike, edges_thz: ArrayLike, temperature: float | None = None
) -> NDArray[np.float64]:
    """Mean Grueneisen parameter of the modes in each interval of frequency [bins]; NaN where there are none.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    grueneisen
        Mode Grueneisen parameters [q, s]; NaN where a mode has none.
    edges_thz
        Edges of the bins, ascending.
    temperature
        In K: modes count by their heat capacity. ``None``: all alike.
    """
    edges = np.asarray(edges_thz, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise ValueError("edges_thz must be at least two ascending frequencies")
    frequencies, values, counts = _with_parameter(phonons, grueneisen)
    if temperature is not None:
        counts = counts * mode_heat_capacity(frequencies, _positive([temperature])[0])
    total = np.histogram(frequencies, edges, weights=counts)[0]
    weighted = np.histogram(frequencies, edges, weights=counts * values)[0]
    return np.divide(weighted, total, out=np.full(len(total), np.nan), where=total > 0)


def macroscopic_grueneisen(phonons: Phonons, grueneisen: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
    """Grueneisen parameter of the crystal [T], gamma = sum_s C_s gamma_s / sum_s C_s with the mode heat capacities.

    It is V alpha_V B_T / C_V of the quasi-harmonic crystal. Modes without a parameter (NaN) are left out.

    Parameters
    ----------
    phonons
        Harmonic solution on a mesh.
    grueneisen
        Mode Grueneisen parameters [q, s].
    temperatures
        In K [T], positive.

    Raises
    ------
    ValueError
        If a temperature is so low that all modes of the mesh are frozen out.
    """
    kelvin = _positive(temperatures)
    frequencies, values, counts = _with_parameter(phonons, grueneisen)
    capacities = counts * mode_heat_capacity(frequencies, kelvin[:, None])
    total = capacities.sum(axis=1)
    if not np.all(total > 0):
        raise ValueError(f"no mode of the mesh is excited at {kelvin[total <= 0].max():g} K: take a higher temperature")
    return capacities @ values / total


def _from_derivatives(
    phonons: Phonons,
    derivatives: Iterable[NDArray[np.complex128]],
    factor: float,
    degeneracy_thz: float,
    cutoff_thz: float,
) -> NDArray[np.float64]:
    """-<e|dD/d ln V|e>/(2 w^2), from dD/d ln V at each point in phonopy's units."""
    frequencies = phonons.frequencies_thz
    slopes = np.empty_like(frequencies)
    for q, (vectors, derivative) in enumerate(zip(phonons.eigenvectors, derivatives, strict=True)):
        slopes[q] = np.einsum("is,ij,js->s", vectors.conj(), derivative, vectors, optimize=True).real * factor**2
    slopes = average_degenerate(frequencies, slopes, degeneracy_thz)
    kept = frequencies > cutoff_thz
    squares = average_degenerate(frequencies, np.where(kept, frequencies**2, 1.0), degeneracy_thz)
    return np.where(kept, -slopes / (2 * squares), np.nan)


def _matrix(dynamical_matrix: DynamicalMatrix, q: ArrayLike) -> NDArray[np.complex128]:
    dynamical_matrix.run(np.asarray(q, dtype=float))
    return np.asarray(dynamical_matrix.dynamical_matrix)


def _vectors(primitive: Primitive, atom: int) -> NDArray[np.float64]:
    """Shortest vectors from an atom of the primitive cell to those of the supercell [N, 3], mean of equal images."""
    shortest, multiplicities = primitive.get_smallest_vectors()
    vectors = [shortest[start : start + count].mean(axis=0) for count, start in multiplicities[:, atom]]
    return np.array(vectors) @ np.asarray(primitive.cell)


def _parents(primitive: Primitive) -> NDArray[np.int64]:
    """Atom of the primitive cell that each atom of the supercell is a copy of [N]."""
    return np.array([primitive.p2p_map[index] for index in primitive.s2p_map])


def _relaxation(primitive: Primitive, second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Displacement x of each atom of the primitive cell per d ln V, relative to the scaled lattice [n, 3], Angstrom."""
    atoms, parents = len(primitive), _parents(primitive)
    full = second if second.shape[0] == second.shape[1] else compact_fc_to_full_fc(primitive, second)
    constants = full[np.asarray(primitive.p2s_map)]
    pull = np.stack([np.einsum("jab,jb->a", constants[i], _vectors(primitive, i) / 3) for i in range(atoms)])
    at_gamma = np.zeros((atoms, 3, atoms, 3))
    for j, parent in enumerate(parents):
        at_gamma[:, :, parent] += constants[:, j]
    matrix = at_gamma.reshape(3 * atoms, 3 * atoms)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    # The three translations are those nearest to zero; a soft optical mode is not.
    optical = np.argsort(np.abs(values))[3:]
    response = vectors[:, optical] / values[optical] @ vectors[:, optical].T
    return -(response @ pull.ravel()).reshape(atoms, 3)


def _with_parameter(
    phonons: Phonons, grueneisen: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies, parameters and weights of the modes that have a parameter [m]."""
    values, frequencies = np.asarray(grueneisen, dtype=float), phonons.frequencies_thz
    if values.shape != frequencies.shape:
        raise ValueError(f"Grueneisen parameters {values.shape} do not match the frequencies {frequencies.shape}")
    kept = np.isfinite(values) & (frequencies > 0)
    if not kept.any():
        raise ValueError("no mode has a Grueneisen parameter: check the frequencies for imaginary modes")
    counts = np.broadcast_to(phonons.weights[:, None] / phonons.weights.sum(), values.shape)
    return frequencies[kept], values[kept], counts[kept]


def _positive(temperatures: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    if not np.all(kelvin > 0):
        raise ValueError("temperatures must be positive")
    return kelvin
