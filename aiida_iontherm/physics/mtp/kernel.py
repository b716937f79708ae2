"""The compiled kernel as Python sees it: potentials and atoms in, arrays out (C++ sources in ``native/``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from aiida_iontherm.physics.compiled import _native, available_threads
from aiida_iontherm.physics.mtp.recognition import faster_tables

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.mtp.basis import BasisTables
    from aiida_iontherm.physics.mtp.potential import Evaluation, MomentTensorPotential

Array = npt.NDArray[np.float64]

DEFAULT_SKIN = 0.6
"""Extra range of neighbour lists in Angstrom: rebuilt about every twenty steps of 2 fs in a warm solid."""


class ShortDistanceWarning(UserWarning):
    """Atoms are closer than anything the potential was made for."""


def compile_potential(potential: MomentTensorPotential, instructions: str = "") -> _native.Potential:
    """Turn tables and coefficients into what the sweeps walk, for the named instruction set or the fastest."""
    return _native.Potential(
        basis=_compiled_basis(potential.tables, potential.radial_coeffs.shape[2], instructions),
        min_distance=potential.min_distance,
        cutoff=potential.cutoff,
        scaling=potential.scaling,
        radial_coeffs=_float64(potential.radial_coeffs),
        species_coeffs=_float64(potential.species_coeffs),
        moment_coeffs=_float64(potential.moment_coeffs),
    )


# Potentials of a training share their tables: the graphs are compiled once, not with each set of coefficients.
_COMPILED: WeakKeyDictionary[BasisTables, dict[tuple[int, str], _native.Basis]] = WeakKeyDictionary()


def _compiled_basis(tables: BasisTables, n_functions: int, instructions: str) -> _native.Basis:
    known = _COMPILED.setdefault(tables, {})
    if (n_functions, instructions) not in known:
        tables = faster_tables(tables)
        known[n_functions, instructions] = _native.Basis(
            basic=_int32(tables.basic).reshape(-1, 4),
            times=_int32(tables.times).reshape(-1, 4),
            scalars=_int32(tables.scalars),
            n_moments=tables.n_moments,
            n_functions=n_functions,
            instructions=instructions,
        )
    return known[n_functions, instructions]


class ShortDistanceCheck:
    """Warns of distances below that of a potential: once, and again only when they get much worse.

    A run of a million steps says it a few times.

    Parameters
    ----------
    min_distance : float
        In Angstrom.
    """

    def __init__(self, min_distance: float) -> None:
        self._min_distance = self._warned_below = min_distance

    def __call__(self, shortest: float) -> None:
        """Judge the shortest distance of a configuration or a run.

        Warns
        -----
        ShortDistanceWarning
            If it is below the minimum distance, the next time only if it is a tenth shorter still.

        Raises
        ------
        ValueError
            If it is zero.
        """
        if shortest == 0.0:
            raise ValueError("two atoms are at the same place: the energy of a potential has no meaning there")
        if shortest < self._warned_below:
            self._warned_below = 0.9 * shortest
            warnings.warn(
                f"two atoms are {shortest:.3f} Angstrom apart, closer than the {self._min_distance:.3f} that the "
                "potential was made for: its energies and forces are extrapolated there",
                ShortDistanceWarning,
                stacklevel=3,
            )


class Kernel:
    """Evaluates one potential, keeping the neighbour list from call to call.

    Parameters
    ----------
    potential : MomentTensorPotential
    skin : float
        Extra range of the neighbour list in Angstrom.
    threads : int, optional
        Threads over atoms; see `available_threads`.
    instructions : str
        Instruction set of the sweeps (`instruction_sets`); the fastest by default.
    """

    def __init__(
        self,
        potential: MomentTensorPotential,
        skin: float = DEFAULT_SKIN,
        threads: int | None = None,
        instructions: str = "",
    ) -> None:
        self._potential = potential
        self._type_of = _types_by_number(potential)
        self._check_distance = ShortDistanceCheck(potential.min_distance)
        compiled = compile_potential(potential, instructions) if instructions else potential.compiled
        self._evaluator = _native.Evaluator(compiled, skin, threads or available_threads())

    def evaluate(self, atoms: Atoms, *, virials: bool = False) -> Evaluation:
        """Energies, forces, stress and, if wanted, per-atom virials; see `MomentTensorPotential.evaluate`.

        Warns
        -----
        ShortDistanceWarning
            If two atoms are closer than the minimum distance of the potential; the next time only if they are a tenth
            closer still.

        Raises
        ------
        ValueError
            For an unknown species, positions that are not finite, or two atoms at one place.
        """
        from aiida_iontherm.physics.mtp.potential import Evaluation

        self._update(atoms)
        energies, forces, virial, per_atom, shortest = self._evaluator.run(virials)
        self._check_distance(shortest)
        stress = None
        if atoms.cell.rank == 3:
            stress = (virial + virial.T) / (2 * atoms.cell.volume)
        return Evaluation(energies=energies, forces=forces, stress=stress, virials=per_atom)

    def parameter_gradients(self, atoms: Atoms) -> tuple[Array, Array, Array]:
        """Return derivatives of each atom's energy with respect to the coefficients.

        Returns
        -------
        species : float array [N, species]
        moments : float array [N, scalars]
        radial : float array [N, species, species, n_radial, chebyshev]
        """
        types = self._update(atoms)
        moments, own = self._evaluator.atom_gradients()
        n, n_species = len(atoms), len(self._potential.species)
        species = np.zeros((n, n_species))
        species[np.arange(n), types] = 1.0
        radial = np.zeros((n, *self._potential.radial_coeffs.shape))
        radial[np.arange(n), types] = own
        return species, moments, radial

    def reset(self) -> None:
        """Rebuild the neighbour list at the next call."""
        self._evaluator.reset()

    def _update(self, atoms: Atoms) -> npt.NDArray[np.int32]:
        types = atom_types(self._potential, self._type_of, atoms)
        self._evaluator.update(_float64(atoms.positions), types, _float64(atoms.cell.array), np.asarray(atoms.pbc))
        return types


class TrainingKernel:
    """Predictions, gradients and design rows of a fixed list of configurations, threaded over configurations.

    The neighbour lists are kept; potentials come and go with the same species, tables and cutoff.

    Parameters
    ----------
    potential : MomentTensorPotential
        Gives species, tables and cutoff.
    configurations : sequence of ase.Atoms
    threads : int, optional
        See `available_threads`. Results do not depend on it.
    instructions : str
        As for `Kernel`.

    Attributes
    ----------
    n_atoms : int array [K]
    offsets : int array [K + 1]
        First atom of each configuration among all atoms.
    species_counts : float array [K, species]
        Atoms of each species.
    """

    def __init__(
        self,
        potential: MomentTensorPotential,
        configurations: Sequence[Atoms],
        threads: int | None = None,
        instructions: str = "",
    ) -> None:
        type_of = _types_by_number(potential)
        self._instructions = instructions
        self._set = _native.TrainingSet(self._compiled(potential), threads or available_threads())
        self.species_counts = np.zeros((len(configurations), len(potential.species)))
        for index, atoms in enumerate(configurations):
            types = atom_types(potential, type_of, atoms)
            self.species_counts[index] = np.bincount(types, minlength=len(potential.species))
            self._set.add(_float64(atoms.positions), types, _float64(atoms.cell.array), np.asarray(atoms.pbc))
        self.n_atoms = np.array([len(atoms) for atoms in configurations], dtype=int)
        self.offsets = np.concatenate([[0], np.cumsum(self.n_atoms)])

    def predict(self, potential: MomentTensorPotential, species: int | None = None) -> tuple[Array, Array, Array]:
        """Energies, forces and virials of all configurations.

        Parameters
        ----------
        potential : MomentTensorPotential
        species : int, optional
            Position of a species in the potential: only what the energies of its atoms contribute, which is all that
            depends on the radial coefficients [species, :].

        Returns
        -------
        energies : float array [K]
            In eV.
        forces : float array [atoms of all configurations, 3]
            In eV/Angstrom.
        virials : float array [K, 3, 3]
            Volume times stress (ASE's sign) in eV, symmetric; also defined for clusters.
        """
        energies, forces, virials = self._set.predict(self._compiled(potential), -1 if species is None else species)
        return energies, forces, (virials + virials.swapaxes(1, 2)) / 2

    def gradient(
        self, potential: MomentTensorPotential, energy_weights: Array, force_weights: Array, virial_weights: Array
    ) -> tuple[Array, Array, Array]:
        """Gradient of sum_k wE_k E_k + sum wF . F + sum wV : W with respect to the coefficients.

        One forward sweep with tangents and one reverse sweep, whatever the number of coefficients.

        Parameters
        ----------
        energy_weights : float array [K]
        force_weights : float array [atoms of all configurations, 3]
        virial_weights : float array [K, 3, 3]

        Returns
        -------
        species, moments, radial : float arrays
            In the shapes of the coefficients.
        """
        symmetric = (virial_weights + virial_weights.swapaxes(1, 2)) / 2
        moments, radial = self._set.gradient(
            self._compiled(potential), _float64(energy_weights), _float64(force_weights), _float64(symmetric)
        )
        return _float64(energy_weights) @ self.species_counts, moments, radial

    def design(self, potential: MomentTensorPotential, first: int, last: int) -> Array:
        """Return derivatives of energies, forces and virials with respect to the linear coefficients.

        Returns
        -------
        float array [rows, species + scalars]
            For each of the configurations first, ..., last - 1: a row of the energy, 3 N of the forces, 9 of the
            virial.
        """
        return self._set.design(self._compiled(potential), first, last)

    def _compiled(self, potential: MomentTensorPotential) -> _native.Potential:
        return compile_potential(potential, self._instructions) if self._instructions else potential.compiled


def instruction_sets() -> list[str]:
    """Names of the compiled sweeps that this machine can run, the fastest first."""
    return _native.instruction_sets()


def atom_types(potential: MomentTensorPotential, type_of: npt.NDArray[np.int32], atoms: Atoms) -> npt.NDArray[np.int32]:
    """Position of each atom's species in the potential.

    Raises
    ------
    ValueError
        If a species is not covered, or there are no atoms.
    """
    if len(atoms) == 0:
        raise ValueError("there are no atoms to evaluate: the structure is empty")
    types = type_of[atoms.numbers]
    if types.min() < 0:
        potential.check_species(atoms.get_chemical_symbols())
    return types


def _types_by_number(potential: MomentTensorPotential) -> npt.NDArray[np.int32]:
    type_of = np.full(max(atomic_numbers.values()) + 1, -1, dtype=np.int32)
    for index, symbol in enumerate(potential.species):
        type_of[atomic_numbers[symbol]] = index
    return type_of


def _float64(values: npt.ArrayLike) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)


def _int32(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    return np.ascontiguousarray(values, dtype=np.int32)
