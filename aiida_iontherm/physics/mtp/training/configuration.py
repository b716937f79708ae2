"""One labelled cell: what the reference calculation says about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers
from ase.stress import voigt_6_to_full_3x3_stress

Array = npt.NDArray[np.float64]

GROUP_KEYS = ("group", "config_type")
"""Where ``atoms.info`` may say to which part of a data set a configuration belongs."""


@dataclass(frozen=True)
class Configuration:
    """Reference labels of one cell.

    Attributes
    ----------
    atoms : ase.Atoms
    energy : float
        In eV.
    forces : float array [N, 3]
        In eV/Angstrom.
    stress : float array [3, 3] or None
        In eV/Angstrom^3, ASE's sign.
    weight : float
        Factor of this configuration in the loss, from ``atoms.info["weight"]``.
    group : str or None
        Part of the data set, from ``atoms.info["group"]`` or ``atoms.info["config_type"]``.
    """

    atoms: Atoms
    energy: float
    forces: Array
    stress: Array | None
    weight: float = 1.0
    group: str | None = None

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> Configuration:
        """Take the results that an ASE calculator left on `atoms`.

        Raises
        ------
        ValueError
            If energy or forces are missing, a label or the weight is not a finite number, or atoms have moved since.
        """
        results = {} if atoms.calc is None else atoms.calc.results
        missing = [name for name in ("energy", "forces") if results.get(name) is None]
        if missing:
            raise ValueError(
                f"no {' and no '.join(missing)}: a training configuration needs an energy and forces, "
                "label it with a reference engine"
            )
        energy = float(results["energy"])
        forces = np.array(results["forces"], dtype=float)
        stress = None
        # The virial V sigma needs a volume.
        if results.get("stress") is not None and atoms.cell.rank == 3:
            stress = np.array(results["stress"], dtype=float)
            stress = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress.reshape(3, 3)
        numbers = {"energy": energy, "forces": forces, "stress": stress, "positions": atoms.positions}
        for name, values in numbers.items():
            if values is not None and not np.all(np.isfinite(values)):
                raise ValueError(f"its {name} holds numbers that are not finite: leave it out or label it again")
        if forces.shape != (len(atoms), 3):
            raise ValueError(f"{len(atoms)} atoms but forces of shape {forces.shape}: label it again")
        if _have_moved(atoms):
            raise ValueError("its atoms or its cell were changed after the labels were made: label it again")
        weight = float(atoms.info.get("weight", 1.0))
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f'atoms.info["weight"] is {weight}, where a number from 0 on is needed')
        group = next((str(atoms.info[key]) for key in GROUP_KEYS if key in atoms.info), None)
        return cls(atoms=atoms, energy=energy, forces=forces, stress=stress, weight=weight, group=group)

    @property
    def virial(self) -> Array:
        """Volume times stress in eV [3, 3]; zero where there is no stress."""
        return np.zeros((3, 3)) if self.stress is None else self.atoms.cell.volume * self.stress


def _have_moved(atoms: Atoms) -> bool:
    """Tell whether atoms are no longer where their calculator saw them, but for whole lattice vectors."""
    seen = getattr(atoms.calc, "atoms", None)
    if seen is None:
        return False
    if not np.array_equal(seen.numbers, atoms.numbers) or not np.allclose(seen.cell.array, atoms.cell.array, atol=1e-3):
        return True
    shifts = (atoms.positions - seen.positions) @ np.linalg.pinv(atoms.cell.array)
    rest = atoms.positions - seen.positions - np.round(shifts) @ atoms.cell.array
    return bool(np.abs(rest).max() > 1e-3)


def species_of(data: Sequence[Configuration]) -> tuple[str, ...]:
    """Chemical symbols in these configurations, in alphabetical order."""
    return tuple(sorted({symbol for entry in data for symbol in entry.atoms.symbols.species()}))


def species_counts(data: Sequence[Configuration], species: Sequence[str]) -> Array:
    """Atoms of each species in each configuration, [K, z]."""
    numbers = [atomic_numbers[symbol] for symbol in species]
    counts = [[np.count_nonzero(entry.atoms.numbers == number) for number in numbers] for entry in data]
    return np.array(counts, dtype=float).reshape(len(data), len(numbers))
