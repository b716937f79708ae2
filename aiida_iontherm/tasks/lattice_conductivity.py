"""Task ``lattice-conductivity``: phonons, velocity products and linewidths on a mesh.

The fit to all snapshots is solved on the full mesh. It is solved again, and each fit with a block of snapshots left
out as well, on a coarser mesh: from there come the statistical error bar and a measure of what the mesh still changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from aiida_iontherm.physics.lattice.estimate import HOPELESS_IMAGINARY_WEIGHT
from aiida_iontherm.physics.lattice.modes import (
    atom_shares,
    average_mobile_frequency,
    participation_ratio,
    projected_dos,
)
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight
from aiida_iontherm.physics.lattice.three_phonon import ThreePhononScattering
from aiida_iontherm.physics.lattice.two_channel import velocity_products
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput
from aiida_iontherm.tasks.crystal import mesh_divisions, phono3py_of, phonopy_of
from aiida_iontherm.tasks.files import read_npz, write_npz
from aiida_iontherm.tasks.linewidth_sources import Linewidths, Table, given_linewidths, with_additions

Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class Input(TaskInput):
    """Input of the task."""

    force_constants: str = "force_constants.npz"
    temperatures: list[PositiveFloat] = Field(min_length=1, description="K.")
    mesh: Mesh | PositiveFloat | None = Field(
        None,
        description="Divisions, or a density as phonopy's length in Angstrom; that of the table where there is one.",
    )
    coarse_mesh: Mesh | PositiveFloat | None = Field(
        None, description="The same for the mesh that error bars come from; none, no error bars."
    )
    linewidths: Linewidths = Field(Linewidths(), description="Where the linewidths come from.")
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
    mesh = solver.divisions(solver.mesh_of_the_table() if task_input.mesh is None else task_input.mesh)
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
        "qpoints": phonons.qpoints,
        "participation_ratio": participation_ratio(phonons.eigenvectors),
        "dos_frequencies_thz": dos_grid,
        **_transport_arrays("", phonons, gamma),
    }
    for symbol, density in projected_dos(phonons, dos_grid, task_input.dos_smearing_thz).items():
        arrays[f"dos_{symbol}"] = density
    shares = atom_shares(phonons.eigenvectors)
    for symbol in dict.fromkeys(phonons.symbols):
        arrays[f"share_{symbol}"] = shares[:, np.array(phonons.symbols) == symbol].sum(axis=1)
    coarse_mesh = None
    if task_input.coarse_mesh is not None:
        coarse_mesh = solver.divisions(task_input.coarse_mesh)
        arrays["coarse_mesh"] = np.array(coarse_mesh)
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
        "coarse_mesh": None if coarse_mesh is None else list(coarse_mesh),
        "linewidths": task_input.linewidths.words(),
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
        choice, temperatures = self._input.linewidths, self._input.temperatures
        phonopy = self._of(phonopy_of, fit)
        phonons = Phonons.from_phonopy(phonopy, mesh)
        if imaginary_weight(phonons.frequencies_thz, phonons.weights) > HOPELESS_IMAGINARY_WEIGHT:
            # No number will come of it: hours of scattering would be wasted.
            self._task.progress("linewidths left out, too many imaginary modes", 1, 1)
            return phonons, np.zeros((len(temperatures), *phonons.frequencies_thz.shape))
        if choice.source == "three-phonon":
            phonons, gamma = self._three_phonon(fit, mesh, prefix)
        else:
            gamma = given_linewidths(choice, self._task.folder, phonopy, phonons, temperatures)
        return phonons, with_additions(choice, gamma, phonopy, phonons, mesh)

    def _three_phonon(self, fit: int, mesh: Mesh, prefix: str) -> tuple[Phonons, np.ndarray]:
        phono3py = self._of(phono3py_of, fit)
        if phono3py.fc3 is None:
            raise InputError(
                f"{self._input.force_constants} holds no third order: give linewidths as a table or a model"
            )
        scattering = ThreePhononScattering(phono3py, mesh, self._input.temperatures)
        phonons = Phonons.from_phonopy(
            self._of(phonopy_of, fit), qpoints=scattering.qpoints, weights=scattering.weights
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

    def mesh_of_the_table(self) -> Mesh:
        """Divisions that the table of linewidths tells."""
        choice = self._input.linewidths
        if choice.source == "table":
            table = Table.read(self._task.folder / choice.table, self._input.temperatures)
            if table.mesh is not None:
                return table.mesh
        raise InputError("give the mesh: three divisions, or a length in Angstrom")

    def divisions(self, mesh: Mesh | float) -> Mesh:
        """Divisions of a mesh given by its length, the same along axes that symmetry makes equal."""
        return mesh if isinstance(mesh, tuple) else mesh_divisions(self._of(phonopy_of, 0), mesh)

    def _of(self, build: Any, fit: int) -> Any:
        try:
            return build(self._constants, fit)
        except (KeyError, ValueError) as error:
            raise InputError(f"{self._input.force_constants} holds no whole crystal: {error}") from error


def _transport_arrays(prefix: str, phonons: Phonons, gamma: np.ndarray) -> dict[str, np.ndarray]:
    # Velocity products in single precision: the sum needs 1e-4, they are by far the largest array.
    return {
        f"{prefix}frequencies_thz": phonons.frequencies_thz,
        f"{prefix}weights": phonons.weights,
        f"{prefix}gamma_thz": gamma,
        f"{prefix}velocity_products": velocity_products(phonons.velocity_operator).astype(np.float32),
    }
