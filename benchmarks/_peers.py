"""The peer: motep 0.2 (MIT), its C extension, its loss function and its ASE calculator.

motep reads the file our potential was written to, so both sides hold the same numbers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from ase.neighborlist import primitive_neighbor_list
from motep.calculator import MTP
from motep.io.mlip.mtp import read_mtp
from motep.loss import LossFunction, LossSetting
from motep.potentials.mtp.cext import _mtp_cext
from motep.potentials.mtp.data import MTPData

from aiida_iontherm.physics.mtp import MomentTensorPotential

Array = npt.NDArray[np.float64]

ENERGY_WEIGHT, FORCE_WEIGHT, STRESS_WEIGHT = 1.0, 0.1, 0.01


class MotepKernel:
    """Energies and forces by two calls of motep's C extension, all that Python has to do for them done before.

    It is given the neighbours within the cutoff and no others; a calculator with a skin would hand it more.
    """

    def __init__(self, potential: MomentTensorPotential, atoms: Atoms) -> None:
        self._data = motep_data(potential)
        self._indices, self._vectors = _padded_neighbours(atoms, potential.cutoff)
        self._types = np.array([potential.species.index(s) for s in atoms.get_chemical_symbols()], dtype=np.int32)
        self._neighbour_types = self._types[self._indices]
        self._moments = _Moments(len(potential.tables.scalars), len(atoms))

    @property
    def neighbours_per_atom(self) -> float:
        """Mean number of neighbours within the cutoff."""
        return float(np.count_nonzero(self._indices >= 0) / len(self._types))

    def run(self) -> tuple[Array, Array]:
        """Energies [N] and forces [N, 3]."""
        self._moments.vatoms.fill(0.0)
        energies, gradient = _mtp_cext.calc_run(
            self._indices, self._vectors, self._types, self._neighbour_types, self._data, self._moments
        )
        return energies, _mtp_cext.calc_forces_from_gradient(gradient, self._indices)


def motep_data(potential: MomentTensorPotential) -> MTPData:
    """Read the potential as motep does, from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "potential.mtp"
        potential.write(path)
        data = read_mtp(path)
    data.species = np.array([atomic_numbers[symbol] for symbol in potential.species], dtype=np.int32)
    return data


def motep_calculator(potential: MomentTensorPotential) -> MTP:
    """Make the ASE calculator of motep, with its C engine."""
    return MTP(motep_data(potential), engine="cext")


class MotepLoss:
    """The loss function of motep and its gradient, with its C engine, for labelled configurations.

    Its default normalisation is kept: for K configurations of N_k atoms

        L = 1/K sum_k [w_E (dE_k / N_k)^2 + w_F sum_i |dF_k,i|^2 / N_k + w_S (V_k |dsigma_k| / N_k)^2]

    Virials are volume times stress, in eV.
    """

    def __init__(
        self,
        potential: MomentTensorPotential,
        cells: Sequence[Atoms],
        energies: Array,
        forces: Array,
        virials: Array,
    ) -> None:
        setting = LossSetting(energy_weight=ENERGY_WEIGHT, forces_weight=FORCE_WEIGHT, stress_weight=STRESS_WEIGHT)
        images, first = [], 0
        for atoms, energy, virial in zip(cells, energies, virials, strict=True):
            labelled = atoms.copy()
            labelled.calc = SinglePointCalculator(
                labelled,
                energy=float(energy),
                forces=forces[first : first + len(atoms)],
                stress=(virial / atoms.cell.volume).flat[[0, 4, 8, 5, 2, 1]],
            )
            images.append(labelled)
            first += len(atoms)
        self._data = motep_data(potential)
        self._loss = LossFunction(images, self._data, setting, engine="cext")

    def loss_and_gradient(self) -> tuple[float, Array]:
        """Loss in eV^2 and its derivatives to moment, species and radial coefficients, one after the other."""
        parameters = self._data.parameters
        return float(self._loss(parameters)), self._loss.jac(parameters)


class _Moments:
    """Where the C extension leaves the basis scalars of each atom."""

    def __init__(self, n_scalars: int, n_atoms: int) -> None:
        self.vatoms = np.zeros((n_scalars, n_atoms))


def _padded_neighbours(atoms: Atoms, cutoff: float) -> tuple[npt.NDArray[np.int32], Array]:
    """Neighbours [N, most] of each atom, -1 beyond its last, and the vectors to them."""
    first, second, vectors = primitive_neighbor_list("ijD", atoms.pbc, atoms.cell.array, atoms.positions, cutoff)
    counts = np.bincount(first, minlength=len(atoms))
    indices = np.full((len(atoms), counts.max()), -1, dtype=np.int32)
    # Empty places hold a distance at which motep's radial functions are zero.
    padded = np.full((*indices.shape, 3), cutoff)
    place = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    indices[first, place] = second
    padded[first, place] = vectors
    return indices, padded
