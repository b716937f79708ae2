"""The engine room behind the door: energies, derivatives and files through motep's C extension (MIT)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers
from motep.io.mlip.mtp import read_mtp, write_mtp
from motep.potentials.mtp.cext import _mtp_cext
from motep.potentials.mtp.data import BasisData, MTPData

from aiida_iontherm.physics.dynamics.neighbours import NeighbourList
from aiida_iontherm.physics.mtp.basis import BasisTables

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.mtp.potential import Evaluation, MomentTensorPotential

Array = npt.NDArray[np.float64]


class Kernel:
    """Evaluates one potential, keeping the neighbour list from call to call."""

    def __init__(self, potential: MomentTensorPotential, skin: float = 0.6) -> None:
        self._potential = potential
        self._data = _motep_data(potential)
        self._type_of = {atomic_numbers[symbol]: index for index, symbol in enumerate(potential.species)}
        self.neighbours = NeighbourList(potential.cutoff, skin)
        self._scratch = _Moments(len(potential.tables.scalars))

    def evaluate(self, atoms: Atoms, *, virials: bool = False) -> Evaluation:
        """Evaluate a configuration; see `MomentTensorPotential.evaluate`."""
        from aiida_iontherm.physics.mtp.potential import Evaluation

        types = self.types(atoms)
        self.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        indices = self.neighbours.indices
        vectors = self.neighbours.vectors(atoms.positions)
        self._scratch.clean(len(atoms))
        energies, gradient = _mtp_cext.calc_run(indices, vectors, types, types[indices], self._data, self._scratch)
        forces = _mtp_cext.calc_forces_from_gradient(gradient, indices)
        stress = None
        if atoms.cell.rank == 3:
            stress = np.einsum("ija,ijb->ab", vectors, gradient) / atoms.cell.volume
            stress = (stress + stress.T) / 2
        per_atom = None
        if virials:
            # dU_i/dr_j acts at distance r_i - r_j = -vectors[i, j]: collected at the neighbour j.
            terms = -np.einsum("ija,ijb->ijab", vectors, gradient)
            per_atom = np.zeros((len(atoms), 3, 3))
            real = indices >= 0
            np.add.at(per_atom, indices[real], terms[real])
        return Evaluation(energies=energies, forces=forces, stress=stress, virials=per_atom)

    def types(self, atoms: Atoms) -> npt.NDArray[np.int32]:
        """Position of each atom's species in the potential."""
        try:
            return np.array([self._type_of[number] for number in atoms.numbers], dtype=np.int32)
        except KeyError:
            self._potential.check_species(atoms.get_chemical_symbols())
            raise


@dataclass(frozen=True)
class BasisDerivatives:
    """Basis scalars of one configuration and all that training needs of them.

    Attributes
    ----------
    values : float array [s]
        Sum over atoms of each scalar.
    gradient : float array [s, N, 3]
        d(values)/d(positions).
    strain : float array [s, 3, 3]
        d(values)/d(strain), symmetric (not divided by the volume).
    energy_radial : float array [z, z, mu, k]
        dE/d(radial_coeffs) for the current linear coefficients.
    gradient_radial : float array [z, z, mu, k, N, 3]
        d(dE/dr)/d(radial_coeffs).
    strain_radial : float array [z, z, mu, k, 3, 3]
        d(dE/d(strain))/d(radial_coeffs), symmetric.
    """

    values: Array
    gradient: Array
    strain: Array
    energy_radial: Array
    gradient_radial: Array
    strain_radial: Array


class TrainingKernel:
    """Basis and parameter derivatives of one fixed configuration."""

    def __init__(self, potential: MomentTensorPotential, atoms: Atoms) -> None:
        kernel = Kernel(potential, skin=0.0)
        self._types = kernel.types(atoms)
        kernel.neighbours.update(atoms.positions, atoms.cell.array, atoms.pbc)
        self._indices = kernel.neighbours.indices
        self._vectors = kernel.neighbours.vectors(atoms.positions)

    def derivatives(self, potential: MomentTensorPotential) -> BasisDerivatives:
        """Evaluate for the coefficients of `potential`, which must have the cutoff of the first one."""
        data = _motep_data(potential)
        radial = _RadialSums(data, len(self._types))
        moments = _TrainingMoments(data, len(self._types))
        _mtp_cext.calc_train(
            self._indices, self._vectors, self._types, self._types[self._indices], data, radial, moments
        )
        return BasisDerivatives(
            values=moments.vatoms.sum(axis=-1),
            gradient=moments.dbdris,
            strain=(moments.dbdeps + moments.dbdeps.swapaxes(-1, -2)) / 2,
            energy_radial=moments.dvdcs.sum(axis=-1),
            gradient_radial=moments.dgdcs,
            strain_radial=(moments.dsdcs + moments.dsdcs.swapaxes(-1, -2)) / 2,
        )


class _Moments:
    """Buffer of per-atom scalars that the C extension fills in run mode."""

    def __init__(self, n_scalars: int) -> None:
        self._n_scalars = n_scalars
        self.vatoms = np.zeros((n_scalars, 0))

    def clean(self, n_atoms: int) -> None:
        if self.vatoms.shape[1] != n_atoms:
            self.vatoms = np.zeros((self._n_scalars, n_atoms))
        else:
            self.vatoms.fill(0.0)


class _TrainingMoments:
    """Buffers that the C extension fills in training mode."""

    def __init__(self, data: MTPData, n_atoms: int) -> None:
        z, mu, k = data.species_count, data.radial_funcs_count, int(data.radial_basis.size)
        scalars = data.alpha_scalar_moments
        self.vatoms = np.zeros((scalars, n_atoms))
        self.dbdris = np.zeros((scalars, n_atoms, 3))
        self.dbdeps = np.zeros((scalars, 3, 3))
        self.dvdcs = np.zeros((z, z, mu, k, n_atoms))
        self.dgdcs = np.zeros((z, z, mu, k, n_atoms, 3))
        self.dsdcs = np.zeros((z, z, mu, k, 3, 3))


class _RadialSums:
    """Buffers of radial sums that the C extension insists on filling in training mode."""

    def __init__(self, data: MTPData, n_atoms: int) -> None:
        z, k = data.species_count, int(data.radial_basis.size)
        self.values = np.zeros((z, z, k))
        self.dqdris = np.zeros((z, z, k, n_atoms, 3))
        self.dqdeps = np.zeros((z, z, k, 3, 3))


def _motep_data(potential: MomentTensorPotential) -> MTPData:
    tables = potential.tables
    data = MTPData(
        version="1.1.0",
        potential_name="aiida-iontherm",
        scaling=potential.scaling,
        species_count=len(potential.species),
        radial_basis=BasisData(
            type="RBChebyshev",
            min=np.float64(potential.min_distance),
            max=np.float64(potential.cutoff),
            size=np.int32(potential.radial_coeffs.shape[-1]),
        ),
        radial_funcs_count=tables.n_radial,
        radial_coeffs=potential.radial_coeffs,
        alpha_moments_count=tables.n_moments,
        alpha_index_basic_count=len(tables.basic),
        alpha_index_basic=tables.basic,
        alpha_index_times_count=len(tables.times),
        alpha_index_times=tables.times,
        alpha_scalar_moments=len(tables.scalars),
        alpha_moment_mapping=tables.scalars,
        species_coeffs=potential.species_coeffs,
        moment_coeffs=potential.moment_coeffs,
    )
    data.species = np.array([atomic_numbers[symbol] for symbol in potential.species], dtype=np.int32)
    return data


def read_file(path: Path, species: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a `MomentTensorPotential` from a ``.mtp`` file; see `MomentTensorPotential.read`."""
    if not path.is_file():
        raise ValueError(f"there is no potential file {path}")
    try:
        data = read_mtp(path)
        with path.open(encoding="utf-8") as stream:
            # A cut within the last number leaves a shorter number, which only the missing brace betrays.
            if any("{" in line and "}" not in line for line in stream):
                raise ValueError("a list is not closed")
    except (ValueError, KeyError, StopIteration, TypeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is not a readable .mtp potential ({error}): is it cut short?") from error
    for name in ("radial_coeffs", "species_coeffs", "moment_coeffs", "alpha_index_basic", "alpha_moment_mapping"):
        if getattr(data, name, None) is None:
            raise ValueError(f"{path} has no {name}: it is cut short or was never trained")
    if data.species_count != len(species):
        raise ValueError(
            f"{path} holds {data.species_count} species but {len(species)} names were given ({', '.join(species)})"
        )
    times = data.alpha_index_times
    return {
        "species": species,
        "tables": BasisTables(
            basic=np.asarray(data.alpha_index_basic, dtype=np.int32),
            times=np.asarray(times if times is not None else np.empty((0, 4)), dtype=np.int32).reshape(-1, 4),
            scalars=np.asarray(data.alpha_moment_mapping, dtype=np.int32),
            n_moments=int(data.alpha_moments_count),
            n_radial=int(data.radial_funcs_count),
        ),
        "min_distance": float(data.radial_basis.min),
        "cutoff": float(data.radial_basis.max),
        "radial_coeffs": np.asarray(data.radial_coeffs, dtype=float),
        "species_coeffs": np.asarray(data.species_coeffs, dtype=float),
        "moment_coeffs": np.asarray(data.moment_coeffs, dtype=float),
        "scaling": float(data.scaling),
    }


def write_file(path: Path, potential: MomentTensorPotential) -> None:
    """Write a ``.mtp`` file; motep's newer layout cannot be read back by its own version 0.2, the flat one can."""
    write_mtp(path, _motep_data(potential), legacy=True)
