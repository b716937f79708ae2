"""What the tasks share that move atoms: the cell, what is held, and what is made of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixConstraint

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.dynamics.reducers import (
    DensityReducer,
    DisplacementReducer,
    Reducer,
    RelativeTo,
    VelocityReducer,
)
from aiida_iontherm.physics.dynamics.rigid_groups import rigid_constraint
from aiida_iontherm.physics.ions.polyanions import find_polyanions
from aiida_iontherm.physics.lattice.cells import build_supercell
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.spectra.vdos import frames_for_resolution
from aiida_iontherm.tasks.files import read_structures
from aiida_iontherm.tasks.md_groups import groups_of_atoms, vibrating_sites
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.trajectory_export import ExportPlan, TrajectoryExport, make_exports


@dataclass(frozen=True, eq=False)
class System:
    """What is moved.

    Attributes
    ----------
    cell, supercell : ase.Atoms
        At the volume that was asked for.
    mobile : int array
        Indices of the mobile ions in the supercell.
    """

    cell: Atoms
    supercell: Atoms
    mobile: np.ndarray


def read_system(folder: Path, task_input: Input) -> System:
    """Read the unit cell and build the supercell.

    Raises
    ------
    ValueError
        If the file is unusable, or holds none of the mobile ions.
    """
    cell = read_structures(folder / task_input.structure)[0]
    cell.set_cell(cell.cell.array * task_input.volume_scaling ** (1 / 3), scale_atoms=True)
    supercell = build_supercell(cell, task_input.supercell)
    mobile = np.flatnonzero(np.array(supercell.get_chemical_symbols()) == task_input.mobile)
    if task_input.mobile is not None and len(mobile) == 0:
        raise ValueError(f"there is no {task_input.mobile} in {supercell.get_chemical_formula()}")
    return System(cell, supercell, mobile)


def held_atoms(
    task_input: Input, supercell: Atoms, mobile: np.ndarray
) -> tuple[np.ndarray | None, Sequence[FixConstraint]]:
    """Return the indices of the atoms that stay where they are, and constraints on the shape of groups.

    Raises
    ------
    ValueError
        If it is not said what the framework is, or there are no polyanions in it.
    """
    if task_input.framework == "free":
        return None, ()
    if task_input.mobile is None:
        raise ValueError(f"what is the framework? name the mobile ions with framework = {task_input.framework}")
    if task_input.framework == "frozen":
        return np.setdiff1d(np.arange(len(supercell)), mobile), ()
    polyanions = find_polyanions(supercell, task_input.mobile)
    if not polyanions:
        raise ValueError(
            f"there are no polyanions in {supercell.get_chemical_formula()}: take framework = frozen or free"
        )
    if task_input.framework == "frozen-polyanions":
        return np.unique(np.concatenate([group.molecule for group in polyanions])), ()
    molecules = {int(group.molecule.min()): group.molecule for group in polyanions}  # P2S7 has two groups
    return None, (rigid_constraint(supercell, list(molecules.values())),)


def make_reducers(task_input: Input, settings: MdSettings, system: System) -> dict[str, Reducer]:
    """Make what sums up the frames of a run, as the input asks for it.

    Raises
    ------
    ValueError
        If a density is asked for of no ions, or in a cell that changes.
    """
    cell, supercell, mobile = system.cell, system.supercell, system.mobile
    reducers: dict[str, Reducer] = {}
    # Positions are those against the framework, which ions that move together push the other way.
    masses, framework = supercell.get_masses(), np.setdiff1d(np.arange(len(supercell)), mobile)
    reference = framework if len(framework) else mobile
    centre = masses[reference] @ supercell.positions[reference] / masses[reference].sum()
    if task_input.displacements:
        interval_ps = settings.position_stride * settings.timestep_fs / 1000
        species = groups_of_atoms(supercell.get_chemical_symbols())
        reducers["displacements"] = RelativeTo(DisplacementReducer(species, interval_ps), reference, masses, centre)
    if task_input.density:
        if not len(mobile):
            raise ValueError("a density of which ions? name them as mobile, or leave out density")
        if task_input.ensemble == "npt":
            raise ValueError("a density needs a cell that stays as it is: run it in nvt or nve")
        density = DensityReducer(mobile, supercell.cell.array, task_input.supercell)
        reducers["density"] = RelativeTo(density, reference, masses, centre)
    if task_input.vdos:
        interval_fs = settings.velocity_stride * settings.timestep_fs
        max_lag = frames_for_resolution(interval_fs, task_input.vdos_resolution_thz) - 1
        sites = groups_of_atoms(vibrating_sites(cell, len(supercell) // len(cell)))
        reducers["velocities"] = VelocityReducer(sites, masses, interval_fs / 1000, max_lag)
    return reducers


def make_sinks(
    folder: Path, task_input: Input, settings: MdSettings, supercell: Atoms, replica: int
) -> dict[str, TrajectoryExport]:
    """Return the files of other formats that the positions of a run go to, by names for its reducers."""
    if not task_input.export:
        return {}
    equilibration = settings.equilibration_blocks * settings.block_steps
    plan = ExportPlan(
        frames=(settings.blocks * settings.block_steps - equilibration) // settings.position_stride,
        first_step=equilibration + settings.position_stride,
        stride=settings.position_stride,
        timestep_fs=settings.timestep_fs,
        cell_changes=settings.ensemble == "npt",
    )
    return make_exports(folder, task_input.export, supercell, plan, replica)


def check_extent(mover: MomentTensorPotential | Calculator, supercell: Atoms) -> None:
    """Refuse a cell in which an atom would see its own image.

    Raises
    ------
    ValueError
        With the number of repeats it takes.
    """
    if not isinstance(mover, MomentTensorPotential):
        return
    heights = supercell.cell.volume / np.linalg.norm(np.cross(*supercell.cell.array[[[1, 2, 0], [2, 0, 1]]]), axis=1)
    if heights.min() < mover.cutoff:
        needed = np.ceil(mover.cutoff / heights).astype(int)
        raise ValueError(
            f"the cell is only {heights.min():.2f} Angstrom thick and the potential reaches {mover.cutoff:g}: an atom "
            f"would see its own image; repeat the cell {' x '.join(map(str, needed))} times more"
        )
