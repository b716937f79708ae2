"""How far predictions are from labels: overall, by species, by group of configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.kernel import TrainingKernel
from aiida_iontherm.physics.mtp.potential import MomentTensorPotential
from aiida_iontherm.physics.mtp.training.configuration import Configuration

Array = npt.NDArray[np.float64]

UNGROUPED = "no group"
"""Group of configurations that name none."""


@dataclass(frozen=True)
class ForceError:
    """Deviation of the forces on some atoms, per component, in eV/Angstrom."""

    rmse: float
    mae: float
    n_atoms: int


@dataclass(frozen=True)
class GroupError:
    """Deviations of one group of configurations: eV/atom, and eV/Angstrom per component."""

    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    n_configurations: int


@dataclass(frozen=True)
class Errors:
    """Deviations from the reference.

    Attributes
    ----------
    energy_rmse, energy_mae : float
        In eV/atom.
    force_rmse, force_mae : float
        Per component, in eV/Angstrom.
    stress_rmse, stress_mae : float or None
        Per component, in eV/Angstrom^3.
    energies : float array [K, 2]
        Reference and predicted energies in eV/atom.
    forces : float array [n, 2]
        Reference and predicted force components in eV/Angstrom.
    stresses : float array [m, 2]
        Reference and predicted stress components, nine for each configuration that has a stress, in eV/Angstrom^3.
    by_species : dict of str to ForceError
    by_group : dict of str to GroupError
        Empty where no configuration names its group (``atoms.info["group"]`` or ``atoms.info["config_type"]``).
    """

    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    stress_rmse: float | None
    stress_mae: float | None
    energies: Array
    forces: Array
    stresses: Array
    by_species: dict[str, ForceError] = field(default_factory=dict)
    by_group: dict[str, GroupError] = field(default_factory=dict)


def evaluate_errors(
    potential: MomentTensorPotential, data: Sequence[Configuration], threads: int | None = None
) -> Errors:
    """Compare a potential with reference labels.

    Parameters
    ----------
    potential : MomentTensorPotential
    data : sequence of Configuration
        At least one.
    threads : int, optional

    Raises
    ------
    ValueError
        If there is nothing to compare with, or a species is not the potential's.
    """
    if not data:
        raise ValueError("there are no configurations to compare the potential with")
    kernel = TrainingKernel(potential, [entry.atoms for entry in data], threads)
    predicted_energies, predicted_forces, virials = kernel.predict(potential)
    energies = np.column_stack([[entry.energy for entry in data], predicted_energies]) / kernel.n_atoms[:, None]
    forces = np.stack([np.concatenate([entry.forces for entry in data]), predicted_forces], axis=-1)
    stresses = [
        np.column_stack([entry.stress.ravel(), virial.ravel() / entry.atoms.cell.volume])
        for entry, virial in zip(data, virials, strict=True)
        if entry.stress is not None
    ]
    stress = np.concatenate(stresses) if stresses else np.empty((0, 2))
    return Errors(
        energy_rmse=_rms(energies),
        energy_mae=_mae(energies),
        force_rmse=_rms(forces),
        force_mae=_mae(forces),
        stress_rmse=_rms(stress) if stresses else None,
        stress_mae=_mae(stress) if stresses else None,
        energies=energies,
        forces=forces.reshape(-1, 2),
        stresses=stress,
        by_species=_by_species(data, forces),
        by_group=_by_group(data, energies, forces, kernel.offsets),
    )


def _by_species(data: Sequence[Configuration], forces: Array) -> dict[str, ForceError]:
    symbols = np.concatenate([entry.atoms.get_chemical_symbols() for entry in data])
    errors = {}
    for symbol in np.unique(symbols):
        chosen = symbols == symbol
        errors[str(symbol)] = ForceError(_rms(forces[chosen]), _mae(forces[chosen]), int(chosen.sum()))
    return errors


def _by_group(
    data: Sequence[Configuration], energies: Array, forces: Array, offsets: npt.NDArray[np.int_]
) -> dict[str, GroupError]:
    if all(entry.group is None for entry in data):
        return {}
    members: dict[str, list[int]] = {}
    for index, entry in enumerate(data):
        members.setdefault(entry.group or UNGROUPED, []).append(index)
    errors = {}
    for group, chosen in sorted(members.items()):
        own = np.concatenate([forces[offsets[index] : offsets[index + 1]] for index in chosen])
        errors[group] = GroupError(
            _rms(energies[chosen]), _mae(energies[chosen]), _rms(own), _mae(own), n_configurations=len(chosen)
        )
    return errors


def _rms(pairs: Array) -> float:
    return float(np.sqrt(np.mean((pairs[..., 1] - pairs[..., 0]) ** 2)))


def _mae(pairs: Array) -> float:
    return float(np.mean(np.abs(pairs[..., 1] - pairs[..., 0])))
