"""Sound velocities of a crystal from its dynamical matrices near Gamma: the method of long waves.

With the space of dynamical matrices split into the rigid translations of the cell (A) and all other motions (O), the
atoms of a cell follow a long wave as they like, and the wave sees

    H(q) = D_AA - D_AO (D_OO)^-1 D_OA,        H(q) u = (2 pi v |q|)^2 u

for its displacement u (Born and Huang, Dynamical Theory of Crystal Lattices, 1954, sec. 26). H is even in q and real to
second order; a term linear in q, odd and imaginary, is forbidden by invariance under rotations. Force constants from
phonopy or symfc do not obey that invariance. In crystals without inversion (argyrodites, wurtzite) the term they leave
can turn a transverse branch imaginary within some 0.01 1/Angstrom of Gamma, where the bands of phonopy show it, too:
here only the real part of H counts.

With the non-analytical term, velocities of piezoelectric crystals are those at constant displacement field (stiffened),
as waves in an insulator have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy

from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices

WAVEVECTOR_PER_A = 0.002
"""Length of the wave vectors in 1/Angstrom, without 2 pi: waves of 500 Angstrom."""

LEAST_SEPARATION = 5.0
"""Of the frequency of the lowest other mode to that of the wave: the expansion leaves 4 per cent of the velocity then,
and much less in most crystals."""

LARGEST_GAMMA_RATIO = 0.2
"""Of an acoustic frequency at Gamma to that of the wave: 2 per cent of error in its velocity."""

_THZ_ANGSTROM_TO_M_PER_S = 100.0


@dataclass(frozen=True)
class SoundVelocities:
    """Sound velocities averaged over all directions of a crystal.

    Attributes
    ----------
    longitudinal_m_s, transverse_m_s
        Means over directions of the velocity of the wave whose displacement is nearest to the direction, and of the
        other two, m/s.
    debye_m_s
        v^-3 averaged over directions and branches, to the power -1/3, m/s: the velocity of the Debye temperature.
    lowest_m_s, highest_m_s
        Slowest and fastest wave among the directions of the average, m/s.
    """

    longitudinal_m_s: float
    transverse_m_s: float
    debye_m_s: float
    lowest_m_s: float
    highest_m_s: float


def acoustic_velocities(phonopy: Phonopy, directions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sound velocities along given directions.

    Parameters
    ----------
    phonopy
        Object with force constants.
    directions
        Cartesian vectors [d, 3], of any length.

    Returns
    -------
    velocities
        [d, 3] in m/s: two transverse waves, ascending, then the longitudinal one, which is the wave that moves the cell
        most along the direction.
    longitudinal_shares
        Share of the longitudinal wave's displacement that is along the direction [d]; one where symmetry keeps it
        there.

    Raises
    ------
    ValueError
        If a wave is unstable (imaginary), force constants break the acoustic sum rule, or another mode is as low as the
        waves.
    """
    vectors = np.atleast_2d(np.asarray(directions, dtype=float))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.ndim != 2 or vectors.shape[1] != 3 or not np.all(lengths > 0):
        raise ValueError("directions must be Cartesian vectors [d, 3], not zero")
    units = vectors / lengths
    squares, polarisations, gamma = _waves(phonopy, units)
    if squares.min() <= 0:
        raise ValueError("a sound wave is imaginary: the crystal is elastically unstable, or sum rules are broken")
    if np.sqrt(gamma / squares.min()) > LARGEST_GAMMA_RATIO:
        raise ValueError(
            f"acoustic frequencies at Gamma are up to {np.sqrt(gamma):.2g} THz: force constants break the acoustic sum "
            "rule, symmetrise them"
        )
    along = np.einsum("das,da->ds", polarisations, units) ** 2
    longitudinal = np.argmax(along, axis=1)
    order = np.array([[*np.delete(np.arange(3), last), last] for last in longitudinal])
    velocities = np.sqrt(squares) / WAVEVECTOR_PER_A * _THZ_ANGSTROM_TO_M_PER_S
    return np.take_along_axis(velocities, order, axis=1), along[np.arange(len(units)), longitudinal]


def _waves(phonopy: Phonopy, units: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Squared frequencies in THz^2 [d, 3], displacements [d, 3, 3] of the waves, and what is left of them at Gamma."""
    shares = np.sqrt(np.array(phonopy.primitive.masses) / np.sum(phonopy.primitive.masses))
    basis, _ = np.linalg.qr(np.kron(shares[:, None], np.eye(3)), mode="complete")
    rigid, other = np.kron(shares[:, None], np.eye(3)), basis[:, 3:]
    # Fractional coordinates of a Cartesian q: rows of the cell times q.
    points = np.vstack([np.zeros(3), WAVEVECTOR_PER_A * units]) @ np.array(phonopy.primitive.cell).T
    matrices, _ = DynamicalMatrices(phonopy).at(points)
    matrices *= phonopy.unit_conversion_factor**2
    effective = rigid.T @ matrices @ rigid
    stiff = other.T @ matrices @ other
    if other.size:
        coupling = other.T @ matrices @ rigid
        effective = effective - coupling.conj().swapaxes(1, 2) @ np.linalg.solve(stiff, coupling)
    squares, polarisations = np.linalg.eigh(effective.real)
    if other.size and np.abs(np.linalg.eigvalsh(stiff[0])).min() < LEAST_SEPARATION**2 * np.abs(squares[1:]).max():
        raise ValueError("an optical mode at Gamma is as low as long sound waves: the crystal is about to transform")
    return squares[1:], polarisations[1:], float(np.abs(squares[0]).max())


def sound_velocities(phonopy: Phonopy, order: int = 8) -> SoundVelocities:
    """Average the sound velocities over the sphere.

    Parameters
    ----------
    phonopy
        Object with force constants.
    order
        Gauss-Legendre points in cos(theta) over the half sphere, and half of the steps in phi. 8 gives means to better
        than 0.2 per cent in crystals as anisotropic as silicon.

    Raises
    ------
    ValueError
        As `acoustic_velocities`.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(order)
    heights = (nodes + 1) / 2
    # Half a step off the axes, so that no mirror plane of the crystal counts twice.
    angles = (np.arange(2 * order) + 0.5) * np.pi / order
    radii = np.sqrt(1 - heights**2)
    directions = np.stack(
        [
            np.outer(radii, np.cos(angles)),
            np.outer(radii, np.sin(angles)),
            np.repeat(heights[:, None], len(angles), axis=1),
        ],
        axis=-1,
    ).reshape(-1, 3)
    weights = np.repeat(node_weights, len(angles))
    weights /= weights.sum()
    velocities, _ = acoustic_velocities(phonopy, directions)
    return SoundVelocities(
        longitudinal_m_s=float(weights @ velocities[:, 2]),
        transverse_m_s=float(weights @ velocities[:, :2].mean(axis=1)),
        debye_m_s=float((weights @ np.mean(velocities**-3, axis=1)) ** (-1 / 3)),
        lowest_m_s=float(velocities.min()),
        highest_m_s=float(velocities.max()),
    )
