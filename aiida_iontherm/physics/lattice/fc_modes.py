"""Harmonic modes of a whole supercell from compact force constants, at once or point by commensurate point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phonopy.harmonic.dynmat_to_fc import get_commensurate_points
from scipy.linalg import block_diag

from aiida_iontherm.physics.lattice.displacements import mode_amplitudes
from aiida_iontherm.physics.units import AMU, ELEMENTARY_CHARGE, H_EV_THZ, KB_EV

# sqrt(eV / Angstrom^2 / amu) in rad/s, and that in THz.
_TO_THZ = np.sqrt(ELEMENTARY_CHARGE * 1e20 / AMU) / (2 * np.pi * 1e12)


@dataclass(frozen=True)
class SupercellModes:
    """Modes of a supercell but for the three translations.

    Attributes
    ----------
    frequencies_thz
        Ascending, imaginary ones as negative numbers [3N - 3].
    vectors
        Mass-weighted unit vectors as columns [3N, 3N - 3].
    masses
        In amu [N].
    """

    frequencies_thz: NDArray[np.float64]
    vectors: NDArray[np.float64]
    masses: NDArray[np.float64]

    @classmethod
    def from_force_constants(
        cls,
        fc2: NDArray[np.float64],
        p2s: NDArray[np.int64],
        translations: NDArray[np.int64],
        masses: ArrayLike,
    ) -> SupercellModes:
        """Diagonalise the dynamical matrix of the supercell at Gamma.

        Parameters
        ----------
        fc2
            Compact force constants in eV/Angstrom^2 [n, N, 3, 3].
        p2s, translations
            As in `ForceConstantBasis`.
        masses
            In amu [N].
        """
        weights = np.asarray(masses, dtype=float)
        matrix = full_force_constants(fc2, p2s, translations).transpose(0, 2, 1, 3).reshape(3 * len(weights), -1)
        root = np.repeat(np.sqrt(weights), 3)
        matrix = (matrix + matrix.T) / (2 * np.outer(root, root))
        # Translations are moved above all other modes, where they cannot be taken for soft ones.
        shifts = block_diag(*([np.sqrt(weights / weights.sum())[:, None]] * 3))
        shifts = shifts.reshape(3, len(weights), 3).transpose(1, 0, 2).reshape(-1, 3)
        matrix += 2 * np.linalg.norm(matrix) * shifts @ shifts.T
        squares, vectors = np.linalg.eigh(matrix)
        frequencies = np.sign(squares) * np.sqrt(np.abs(squares)) * _TO_THZ
        return cls(frequencies[:-3], vectors[:, :-3], weights)

    def displacements(
        self,
        deviates: NDArray[np.float64],
        temperature: float,
        *,
        classical: bool = False,
        floor_thz: float = 0.0,
    ) -> NDArray[np.float64]:
        """Thermal displacements of the harmonic crystal in Angstrom [m, N, 3].

        The symmetric root of the covariance times the deviates: it depends smoothly on the force constants, which sums
        of eigenvectors of arbitrary sign with random amplitudes do not.

        Parameters
        ----------
        deviates
            Independent standard normal numbers [m, 3N].
        temperature
            In K.
        classical
            Classical instead of quantum amplitudes.
        floor_thz
            Imaginary and softer modes move as far as one of this frequency.
        """
        frequencies = np.maximum(np.abs(self.frequencies_thz), floor_thz)
        amplitudes = np.sqrt(mode_amplitudes(frequencies, temperature, classical=classical))
        moved = ((deviates @ self.vectors) * amplitudes) @ self.vectors.T
        return moved.reshape(len(deviates), -1, 3) / np.sqrt(self.masses)[:, None]

    def free_energy(self, temperature: float, *, classical: bool = False) -> float:
        """Harmonic free energy of the supercell in eV; of a classical crystal with the phase space in units of h^3N.

        Raises
        ------
        ValueError
            If a mode is imaginary or of zero frequency.
        """
        if not self.frequencies_thz.min() > 0:
            raise ValueError(f"an imaginary mode ({self.frequencies_thz.min():.2f} THz) has no free energy")
        quanta, thermal = H_EV_THZ * self.frequencies_thz, KB_EV * temperature
        if classical:
            return float(thermal * np.log(quanta / thermal).sum())
        if temperature == 0:
            return float(quanta.sum() / 2)
        return float(np.sum(quanta / 2 + thermal * np.log(-np.expm1(-quanta / thermal))))


def commensurate_frequencies(
    fc2: NDArray[np.float64],
    p2s: NDArray[np.int64],
    translations: NDArray[np.int64],
    primitive: Atoms,
    supercell: Atoms,
) -> NDArray[np.float64]:
    """Frequencies in THz at all wave vectors commensurate with the supercell [N/n, 3n], imaginary ones as negative.

    They are those of `SupercellModes` and the three translations, for the price of N/n small matrices in place of a
    large one.

    Parameters
    ----------
    fc2
        Compact force constants in eV/Angstrom^2 [n, N, 3, 3].
    p2s, translations
        As in `ForceConstantBasis`.
    primitive, supercell
        Cells of ideal sites, with the masses of the atoms.
    """
    expansion = np.rint(supercell.cell.array @ np.linalg.inv(primitive.cell.array)).astype(int).T
    qpoints = get_commensurate_points(expansion)
    shifts = supercell.positions[translations[:, p2s[0]]] - supercell.positions[p2s[0]]
    phases = np.exp(2j * np.pi * qpoints @ np.linalg.inv(primitive.cell.array).T @ shifts.T)
    size = 3 * len(p2s)
    # [cell, i, j, a, b]: atom i of the home cell with atom j of each cell.
    pairs = fc2[:, translations[:, p2s]].transpose(1, 0, 3, 2, 4).reshape(len(translations), size, size)
    root = np.repeat(np.sqrt(primitive.get_masses()), 3)
    matrices = np.tensordot(phases, pairs / np.outer(root, root), axes=1)
    squares = np.linalg.eigvalsh((matrices + matrices.conj().swapaxes(1, 2)) / 2)
    return np.sign(squares) * np.sqrt(np.abs(squares)) * _TO_THZ


def full_force_constants(
    fc2: NDArray[np.float64], p2s: NDArray[np.int64], translations: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Expand compact force constants [n, N, 3, 3] to those of all pairs [N, N, 3, 3]."""
    atoms = fc2.shape[1]
    full = np.empty((atoms, atoms, 3, 3))
    for image in translations:
        full[image[p2s][:, None], image[None]] = fc2
    return full
