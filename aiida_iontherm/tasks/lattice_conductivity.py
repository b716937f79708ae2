"""Task ``lattice-conductivity``: phonons, velocity products and three-phonon linewidths on a mesh.

The fit to all snapshots is solved on the full mesh. It is solved again, and each fit with a block of snapshots left
out as well, on a coarser mesh: from there come the statistical error bar and a measure of what the mesh still changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from phono3py import Phono3py
from phonopy.phonon.grid import length2mesh
from pydantic import Field, PositiveFloat, PositiveInt

from aiida_iontherm.physics.lattice.cells import SYMMETRY_TOLERANCE
from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.modes import average_mobile_frequency, participation_ratio, projected_dos
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight
from aiida_iontherm.physics.lattice.three_phonon import ThreePhononScattering
from aiida_iontherm.physics.lattice.two_channel import velocity_products
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput
from aiida_iontherm.tasks.files import read_npz, write_npz

Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class Input(TaskInput):
    """Input of the task."""

    force_constants: str = "force_constants.npz"
    temperatures: list[PositiveFloat] = Field(min_length=1, description="K.")
    mesh: Mesh | float = Field(description="Divisions, or a density as phonopy's length in Angstrom.")
    coarse_mesh: Mesh | float = Field(description="The same for the mesh that error bars come from.")
    mobile: str | None = None
    dos_points: int = Field(400, ge=10)
    dos_smearing_thz: float = Field(0.06, gt=0)


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Solve all fits point by point and write ``phonons.npz``."""
    try:
        constants = read_npz(task.folder / task_input.force_constants)
        fits = int(constants["fits"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{task_input.force_constants} holds no force constants: {error}") from error
    saved = task.checkpoint()
    done = {} if saved is None else dict(saved[1])
    solver = _Solver(task, task_input, constants, done)
    mesh, coarse_mesh = solver.divisions(task_input.mesh), solver.divisions(task_input.coarse_mesh)
    phonons, gamma = solver.solve(0, mesh, "")
    dos_grid = np.linspace(
        min(0.0, float(phonons.frequencies_thz.min())) - 4 * task_input.dos_smearing_thz,
        float(phonons.frequencies_thz.max()) + 4 * task_input.dos_smearing_thz,
        task_input.dos_points,
    )
    arrays: dict[str, np.ndarray] = {
        "temperatures": np.array(task_input.temperatures),
        "volume_A3": np.array(phonons.volume_A3),
        "rotations": phonons.rotations,
        "mesh": np.array(mesh),
        "coarse_mesh": np.array(coarse_mesh),
        "qpoints": phonons.qpoints,
        "participation_ratio": participation_ratio(phonons.eigenvectors),
        "dos_frequencies_thz": dos_grid,
        **_transport_arrays("", phonons, gamma),
    }
    for symbol, density in projected_dos(phonons, dos_grid, task_input.dos_smearing_thz).items():
        arrays[f"dos_{symbol}"] = density
    for fit in range(fits):
        coarse, coarse_gamma = solver.solve(fit, coarse_mesh, f"coarse_{fit}_")
        arrays |= _transport_arrays(f"coarse_{fit}_", coarse, coarse_gamma)
    arrays["fits"] = np.array(fits)
    write_npz(task.folder / "phonons.npz", arrays, compressed=True)
    mobile = None
    if task_input.mobile is not None:
        mobile = average_mobile_frequency(phonons, task_input.mobile)
    return {
        "mesh": list(mesh),
        "coarse_mesh": list(coarse_mesh),
        "irreducible_points": len(phonons.qpoints),
        "bands": int(phonons.frequencies_thz.shape[1]),
        "min_frequency_thz": float(phonons.frequencies_thz.min()),
        "max_frequency_thz": float(phonons.frequencies_thz.max()),
        "imaginary_weight": imaginary_weight(phonons.frequencies_thz, phonons.weights),
        "average_mobile_frequency_thz": mobile,
        "fits": fits,
    }


class _Solver:
    """Solves one fit on one mesh; each irreducible point is a step that a restart does not repeat."""

    def __init__(
        self, task: Task, task_input: Input, constants: dict[str, np.ndarray], done: dict[str, np.ndarray]
    ) -> None:
        self._task = task
        self._input = task_input
        self._constants = constants
        self._done = done

    def solve(self, fit: int, mesh: Mesh, prefix: str) -> tuple[Phonons, np.ndarray]:
        phono3py = self._phono3py(fit)
        scattering = ThreePhononScattering(phono3py, mesh, self._input.temperatures)
        phonons = Phonons.from_phonopy(
            phonopy_from_phono3py(phono3py), qpoints=scattering.qpoints, weights=scattering.weights
        )
        gamma = np.empty((len(self._input.temperatures), *phonons.frequencies_thz.shape))
        what = "linewidths" if prefix == "" else f"linewidths, coarse mesh, fit {fit + 1}"
        for index in range(len(scattering)):
            key = f"{prefix}{index}"
            if key not in self._done:
                self._done[key] = scattering.gamma_at(index)
                self._task.progress(what, index + 1, len(scattering), mean_gamma_thz=float(self._done[key].mean()))
                self._task.step(lambda: ({}, self._done))
            gamma[:, index] = self._done[key]
        return phonons, gamma

    def divisions(self, mesh: Mesh | float) -> Mesh:
        """Divisions of a mesh given by its length, the same along axes that symmetry makes equal."""
        if isinstance(mesh, tuple):
            return mesh
        phono3py = self._phono3py(0)
        rotations = phono3py.primitive_symmetry.pointgroup_operations
        divisions = length2mesh(mesh, phono3py.primitive.cell, rotations=rotations)
        return (int(divisions[0]), int(divisions[1]), int(divisions[2]))

    def _phono3py(self, fit: int) -> Phono3py:
        constants = self._constants
        unitcell = Atoms(
            numbers=constants["numbers"], positions=constants["positions"], cell=constants["unitcell"], pbc=True
        )
        return phono3py_from_force_constants(
            unitcell,
            np.diag(constants["supercell"]),
            constants[f"fc2_{fit}"],
            constants[f"fc3_{fit}"],
            primitive_matrix="auto",
            symprec=SYMMETRY_TOLERANCE,
        )


def _transport_arrays(prefix: str, phonons: Phonons, gamma: np.ndarray) -> dict[str, np.ndarray]:
    # Velocity products in single precision: the sum needs 1e-4, they are by far the largest array.
    return {
        f"{prefix}frequencies_thz": phonons.frequencies_thz,
        f"{prefix}weights": phonons.weights,
        f"{prefix}gamma_thz": gamma,
        f"{prefix}velocity_products": velocity_products(phonons.velocity_operator).astype(np.float32),
    }
