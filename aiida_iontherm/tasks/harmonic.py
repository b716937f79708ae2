"""Task ``harmonic``: what the harmonic crystal in a folder of phonopy or phono3py says.

It keeps the contract of all tasks but belongs to no calculation of AiiDA: ``iontherm harmonic`` runs it, one process
per folder, with ``python -m aiida_iontherm.tasks.harmonic`` in a working directory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from phonopy import Phonopy
from phonopy.phonon.grid import length2mesh
from pydantic import Field, PositiveFloat, PositiveInt

from aiida_iontherm.physics.lattice.harmonic_summary import NOISE_THZ, harmonic_summary
from aiida_iontherm.physics.lattice.modes import projected_dos, site_projected_dos
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import equivalent_sites
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput, run_task
from aiida_iontherm.tasks.files import write_npz
from aiida_iontherm.tasks.phonopy_directory import load_phonopy_directory

MESH_LENGTH = 40.0
"""In Angstrom, as phonopy's mesh length: some 12 divisions of an axis of 3.5 Angstrom, 4 of one of 10."""

DOS_POINTS = 600
DOS_SMEARING = 0.01
"""Standard deviation of the Gaussians in parts of the range of frequencies."""

STEPS = 4


class Input(TaskInput):
    """Input of the task."""

    directory: Path = Field(description="Folder of phonopy or phono3py, or a yaml file in it.")
    mesh: tuple[PositiveInt, PositiveInt, PositiveInt] | PositiveFloat = Field(
        MESH_LENGTH, description="Divisions, or a density as phonopy's length in Angstrom."
    )
    temperature: PositiveFloat = Field(300.0, description="Of heat capacity, limits and displacements, K.")
    nac: bool | None = Field(None, description="Insist on the non-analytical term, or leave it out.")
    crossings: bool = Field(False, description="Look for avoided crossings.")
    symprec: PositiveFloat = Field(1e-5, description="Tolerance of the symmetry search, Angstrom.")


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Analyse one folder; writes ``dos.npz`` with the density of states by species and by site."""
    remarks: list[str] = []
    task.progress("read", 0, STEPS)
    try:
        phonopy = load_phonopy_directory(
            task_input.directory, nac=task_input.nac, symprec=task_input.symprec, remark=remarks.append
        )
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from error
    task.progress("solve", 1, STEPS)
    mesh = divisions(phonopy, task_input.mesh)
    phonons = Phonons.from_phonopy(phonopy, mesh)
    task.progress("analyse", 2, STEPS)
    summary = harmonic_summary(phonopy, phonons, temperature=task_input.temperature, crossings=task_input.crossings)
    task.progress("density of states", 3, STEPS)
    write_npz(task.folder / "dos.npz", densities_of_states(phonopy, phonons))
    task.progress("done", STEPS, STEPS)
    return {"mesh": list(mesh), "remarks": remarks, "summary": summary.to_dict()}


def divisions(phonopy: Phonopy, mesh: tuple[int, int, int] | float) -> tuple[int, int, int]:
    """Divisions of a mesh given by its length in Angstrom, the same along axes that symmetry makes equal."""
    if isinstance(mesh, tuple):
        return mesh
    rotations = phonopy.primitive_symmetry.pointgroup_operations
    numbers = length2mesh(mesh, phonopy.primitive.cell, rotations=rotations)
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def densities_of_states(phonopy: Phonopy, phonons: Phonons) -> dict[str, np.ndarray]:
    """Frequencies in THz [g], and states per THz and primitive cell of ``species_X`` and ``site_X`` [g]."""
    lowest, high = float(phonons.frequencies_thz.min()), float(phonons.frequencies_thz.max())
    # Rounding at Gamma is no reason to show imaginary frequencies.
    low = lowest if lowest < -NOISE_THZ else 0.0
    sigma = DOS_SMEARING * (high - low)
    # Four standard deviations hold all states but 1e-4 of them.
    start = low - 4 * sigma if low < 0 else 0.0
    grid = np.linspace(start, high + 4 * sigma, DOS_POINTS)
    species = projected_dos(phonons, grid, sigma)
    sites = site_projected_dos(phonons, equivalent_sites(phonopy), grid, sigma)
    return (
        {"frequencies_thz": grid, "smearing_thz": np.array(sigma)}
        | {f"species_{name}": states for name, states in species.items()}
        | {f"site_{name}": states for name, states in sites.items()}
    )


if __name__ == "__main__":
    sys.exit(run_task("harmonic", "aiida_iontherm.tasks.harmonic"))
