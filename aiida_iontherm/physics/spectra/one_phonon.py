"""Coherent one-phonon scattering S(Q, E) of the harmonic crystal.

    S(Q, E) = (1/N) sum_s hbar^2/(2 E_s) |sum_d b_d/sqrt(M_d) exp(-W_d) (Q . e_ds) exp(i Q r_d)|^2
              [(n_s + 1) delta(E - E_s) + n_s delta(E + E_s)],                W_d = Q . U_d . Q/2,

per atom of the primitive cell of N atoms, with energy loss of the probe at positive E; e_ds are the eigenvectors in the
convention of the cells at the wave vector of Q in the first zone, U_d the mean square displacements. This is Eq. 2 of
Li et al. (Adv. Mater. 2025, e13381) with its prefactor, so that intensities are those of `structure_factor`, and with
the side of energy gain. A line with the half width gamma is a damped harmonic oscillator (`dho_fit`) of the same first
moment: whatever the widths,

    integral of E S(Q, E) dE = (1/N) sum_d |b_d|^2 exp(-2 W_d) hbar^2 Q^2/(2 M_d).

At reciprocal lattice vectors of polar crystals the non-analytical term depends on the direction from which these are
approached and is left out: take a point beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from threadpoolctl import threadpool_limits

from aiida_iontherm.physics.lattice.displacements import Displacements, displacements
from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import SpaceGroup
from aiida_iontherm.physics.spectra.detailed_balance import HBAR2_PER_AMU, KB_MEV, MEV_PER_THZ, loss_and_gain
from aiida_iontherm.physics.spectra.dho_fit import BroadenedLines, dho_line
from aiida_iontherm.physics.spectra.probes import Probe, ScatteringWeights, scattering_weights
from aiida_iontherm.physics.spectra.resolution import Resolution

CUTOFF_THZ = 0.01
"""Modes below scatter elastically, if at all: the acoustic ones at reciprocal lattice vectors."""

MESH_LENGTH_A = 60.0
"""Divisions of the mesh of the Debye-Waller factors times the lattice vectors, by default."""


@dataclass(frozen=True)
class OnePhonon:
    """Modes and their strengths at some Q.

    Attributes
    ----------
    vectors
        Q in 1/Angstrom with the factor of 2 pi [Q, 3].
    energies_mev
        E_s [Q, s]; imaginary ones negative.
    strengths
        Intensity without occupation factors, per atom, in the unit of the squared weights [Q, s]; 0 for modes that are
        left out.
    first_moments
        Right side of the sum rule, in that unit times meV [Q].
    temperature
        In K.
    classical
        kT/E in place of n + 1 and n, and so in the Debye-Waller factors.
    unit
        Of the squared weights.
    left_out
        Number of modes that are imaginary or near zero.
    imaginary
        Number of imaginary ones, by more than the cutoff.
    """

    vectors: NDArray[np.float64]
    energies_mev: NDArray[np.float64]
    strengths: NDArray[np.float64]
    first_moments: NDArray[np.float64]
    temperature: float
    classical: bool
    unit: str
    left_out: int
    imaginary: int

    def spectrum(
        self, energies_mev: ArrayLike, resolution: Resolution | None = None, gamma_mev: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """S(Q, E) in the unit per meV and atom [Q, E].

        Parameters
        ----------
        energies_mev
            [E].
        resolution
            Of the instrument; may be left out where the modes have widths.
        gamma_mev
            Half widths of the modes, one or [Q, s]; modes with 0 are as sharp as the resolution.

        Raises
        ------
        ValueError
            If a line has neither width nor resolution, or widths are negative or of another shape.
        """
        e = np.asarray(energies_mev, dtype=float)
        gamma = self._widths(gamma_mev)
        seen = self.strengths > 0
        if resolution is None and np.any(gamma[seen] == 0):
            raise ValueError("lines without a width cannot be drawn: give a resolution or linewidths")
        if e.ndim != 1 or not np.isfinite(e).all():
            raise ValueError("energies must be one row of finite numbers")
        loss, gain = loss_and_gain(np.where(seen, self.energies_mev, 1.0), self.temperature, classical=self.classical)
        temperature = None if self.classical else self.temperature
        # The amplitude of a line is its first moment; that of a classical one has a factor kT.
        factor = KB_MEV * self.temperature if self.classical else 1.0
        damped = np.any(seen & (gamma > 0))
        broadened = BroadenedLines(e, resolution, temperature) if damped and resolution is not None else None
        result = np.zeros((len(self.vectors), len(e)))
        for q, row in enumerate(result):
            sharp = np.flatnonzero(seen[q] & (gamma[q] == 0))
            if resolution is not None and len(sharp):
                at, strength = self.energies_mev[q, sharp], self.strengths[q, sharp]
                row += resolution.kernel(e, at) @ (strength * loss[q, sharp])
                row += resolution.kernel(e, -at) @ (strength * gain[q, sharp])
            for mode in np.flatnonzero(seen[q] & (gamma[q] > 0)):
                at, width = float(self.energies_mev[q, mode]), float(gamma[q, mode])
                line = dho_line(e, at, width, temperature) if broadened is None else broadened.line(at, width)
                row += factor * self.strengths[q, mode] * at * line
        return result

    def _widths(self, gamma_mev: ArrayLike | None) -> NDArray[np.float64]:
        gamma = np.zeros(()) if gamma_mev is None else np.asarray(gamma_mev, dtype=float)
        if gamma.shape not in ((), self.energies_mev.shape):
            raise ValueError(f"linewidths {gamma.shape} do not fit modes {self.energies_mev.shape}")
        if not (np.isfinite(gamma).all() and np.all(gamma >= 0)):
            raise ValueError("linewidths must be finite and not negative")
        return np.broadcast_to(gamma, self.energies_mev.shape)


def mean_square_displacements(
    phonopy: Phonopy, temperature: float, *, mesh: tuple[int, int, int] | None = None, classical: bool = False
) -> Displacements:
    """Mean square displacements for the Debye-Waller factors, on a mesh.

    Parameters
    ----------
    phonopy
        Object with force constants.
    temperature
        In K.
    mesh
        Divisions; by default `MESH_LENGTH_A` over the lattice vectors. The tensors converge with the first power.
    classical
        Leave out the zero-point motion.

    Raises
    ------
    ValueError
        If a mode on the mesh is imaginary: then there is no harmonic Debye-Waller factor.
    """
    if mesh is None:
        a, b, c = (max(1, int(np.ceil(MESH_LENGTH_A / v))) for v in np.linalg.norm(phonopy.primitive.cell, axis=1))
        mesh = (a, b, c)
    solution = Phonons.from_phonopy(phonopy, mesh)
    return displacements(solution, [temperature], space_group=SpaceGroup.from_phonopy(phonopy), classical=classical)


def one_phonon(
    phonopy: Phonopy,
    vectors: ArrayLike,
    weights: ScatteringWeights,
    temperature: float,
    *,
    thermal: Displacements | None = None,
    classical: bool = False,
) -> OnePhonon:
    """Energies and strengths of all modes at some Q.

    Parameters
    ----------
    phonopy
        Object with force constants and, where wanted, the parameters of the non-analytical term.
    vectors
        Q in 1/Angstrom with the factor of 2 pi [Q, 3], in any zone.
    weights
        For the species and lengths of these Q.
    temperature
        In K.
    thermal
        `mean_square_displacements` at this temperature; ``None`` leaves the Debye-Waller factors out.
    classical
        Occupations of the classical crystal, to compare with molecular dynamics.

    Raises
    ------
    ValueError
        If there are no force constants, shapes do not fit, or the temperature is not positive.
    """
    q = np.atleast_2d(np.asarray(vectors, dtype=float))
    if q.ndim != 2 or q.shape[1] != 3 or not np.isfinite(q).all():
        raise ValueError(f"scattering vectors must be finite [Q, 3], not {q.shape}")
    if weights.coherent.shape != (len(q), len(weights.species)):
        raise ValueError(f"weights {weights.coherent.shape} are not those of {len(q)} scattering vectors")
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be positive, not {temperature} K")
    primitive = phonopy.primitive
    masses = np.array(primitive.masses, dtype=float)
    reduced = q @ np.array(primitive.cell, dtype=float).T / (2 * np.pi)
    zone = np.rint(reduced)
    frequencies, eigenvectors = _solve(phonopy, reduced - zone)
    lengths = weights.of([str(symbol) for symbol in primitive.symbols])
    if thermal is not None:
        lengths = lengths * np.exp(-np.einsum("qi,dij,qj->qd", q, thermal.tensors_A2[0], q) / 2)
    # The eigenvectors carry exp(-i q r) of the wave vector in the zone: what is left is that of the lattice vector.
    phases = np.exp(-2j * np.pi * zone @ np.array(primitive.scaled_positions, dtype=float).T)
    along = np.einsum("qi,qdis->qds", q, eigenvectors.reshape(len(q), len(masses), 3, -1))
    amplitudes = np.einsum("qd,qds->qs", lengths.conj() * phases / np.sqrt(masses), along)
    kept = frequencies > CUTOFF_THZ
    energies = frequencies * MEV_PER_THZ
    strengths = np.where(kept, HBAR2_PER_AMU / (2 * np.where(kept, energies, 1.0)) * np.abs(amplitudes) ** 2, 0.0)
    moments = HBAR2_PER_AMU / 2 * np.sum(q**2, axis=1) * (np.abs(lengths) ** 2 @ (1 / masses))
    return OnePhonon(
        vectors=q,
        energies_mev=energies,
        strengths=strengths / len(masses),
        first_moments=moments / len(masses),
        temperature=float(temperature),
        classical=classical,
        unit=weights.unit,
        left_out=int(np.count_nonzero(~kept)),
        imaginary=int(np.count_nonzero(frequencies < -CUTOFF_THZ)),
    )


def powder_spectrum(
    phonopy: Phonopy,
    q_norms: ArrayLike,
    energies_mev: ArrayLike,
    temperature: float,
    resolution: Resolution,
    *,
    probe: Probe = "neutron",
    thermal: Displacements | None = None,
    gamma_mev: float | None = None,
    directions: int = 400,
    classical: bool = False,
) -> NDArray[np.float64]:
    """S(|Q|, E) averaged over directions spread evenly over the half sphere [|Q|, E].

    Parameters
    ----------
    phonopy, temperature, thermal, classical
        As for `one_phonon`.
    q_norms
        |Q| in 1/Angstrom [|Q|].
    energies_mev, resolution, gamma_mev
        As for `OnePhonon.spectrum`.
    probe
        Kind of scattering.
    directions
        Number; the average is converged when it does not change with it.

    Raises
    ------
    ValueError
        If a number is not positive, or as for `one_phonon`.
    """
    norms = np.atleast_1d(np.asarray(q_norms, dtype=float))
    if directions < 1 or not np.all(norms > 0):
        raise ValueError("lengths of Q and the number of directions must be positive")
    sphere = half_sphere(directions)
    names = sorted({str(symbol) for symbol in phonopy.primitive.symbols})
    rows = []
    for norm in norms:
        weights = scattering_weights(names, np.full(directions, norm), probe)
        modes = one_phonon(phonopy, norm * sphere, weights, temperature, thermal=thermal, classical=classical)
        rows.append(modes.spectrum(energies_mev, resolution, gamma_mev).mean(axis=0))
    return np.array(rows)


def half_sphere(count: int) -> NDArray[np.float64]:
    """Spread unit vectors evenly over half a sphere, by the golden section [count, 3]; S(Q) = S(-Q)."""
    k = np.arange(count) + 0.5
    z = k / count
    angle = np.pi * (1 + np.sqrt(5)) * k
    flat = np.sqrt(1 - z**2)
    return np.column_stack([flat * np.cos(angle), flat * np.sin(angle), z])


def _solve(phonopy: Phonopy, qpoints: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Frequencies in THz [q, s] and eigenvectors in the smooth convention [q, 3n, s]."""
    matrices = DynamicalMatrices(phonopy)
    bands = 3 * matrices.n_atoms
    squares = np.empty((len(qpoints), bands))
    vectors = np.empty((len(qpoints), bands, bands), dtype=complex)
    step = matrices.batch_size()
    with threadpool_limits(1, "blas"):
        for first in range(0, len(qpoints), step):
            part = slice(first, first + step)
            squares[part], vectors[part] = np.linalg.eigh(matrices.at(qpoints[part])[0])
    return np.sign(squares) * np.sqrt(np.abs(squares)) * phonopy.unit_conversion_factor, vectors
