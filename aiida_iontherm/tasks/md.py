"""Task ``md``: molecular dynamics of a supercell with a moment tensor potential or an embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixConstraint

from aiida_iontherm.physics.compiled import available_threads
from aiida_iontherm.physics.dynamics import (
    CompiledDynamics,
    ExtrapolationWatch,
    MdSettings,
    MolecularDynamics,
    UnstableRunError,
    WatchSettings,
)
from aiida_iontherm.physics.dynamics.reducers import (
    DensityReducer,
    DisplacementReducer,
    Reducer,
    RelativeTo,
    VelocityReducer,
)
from aiida_iontherm.physics.dynamics.replicas import Replicas, replica_seed
from aiida_iontherm.physics.dynamics.rigid_groups import rigid_constraint
from aiida_iontherm.physics.ions.polyanions import find_polyanions
from aiida_iontherm.physics.lattice.cells import build_supercell
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_from_arrays, make_grader
from aiida_iontherm.physics.spectra.vdos import frames_for_resolution
from aiida_iontherm.tasks.contract import InputError, Task, UnstableError
from aiida_iontherm.tasks.files import read_npz, read_structures
from aiida_iontherm.tasks.md_files import write_run
from aiida_iontherm.tasks.md_groups import groups_of_atoms, vibrating_sites
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.md_plan import md_settings, planned_bytes
from aiida_iontherm.tasks.trajectory_export import ExportPlan, TrajectoryExport, make_exports

__all__ = ["Input", "run"]

CANDIDATE_SPACING_FS = 50.0
"""Frames closer in time are about the same: half a period of a mode at 10 THz."""


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Run the MD, write ``trajectory.npz``, the snapshots as ``snapshots.extxyz`` and, of a graded run, candidates.

    The atoms are moved by the compiled loop where there is a potential, else by ASE. Heat and mass currents, where they
    are wanted, go to ``currents.npz`` for ``iontherm green-kubo``. Asked to, it stores the velocities as
    ``velocities.npz``, 12 bytes per atom and frame, and the positions of all atoms in formats of other programs, see
    `tasks.trajectory_export`. How much is kept is said before and after.

    A run that breaks is a result, not a failure: the task finishes, and ``broke_at_ps`` says where.
    """
    try:
        cell = read_structures(task.folder / task_input.structure)[0]
        mover = _mover(task, task_input, cell)
        settings = md_settings(task_input)
        cell.set_cell(cell.cell.array * task_input.volume_scaling ** (1 / 3), scale_atoms=True)
        supercell = build_supercell(cell, task_input.supercell)
        _check_extent(mover, supercell)
        mobile = np.flatnonzero(np.array(supercell.get_chemical_symbols()) == task_input.mobile)
        if task_input.mobile is not None and len(mobile) == 0:
            raise ValueError(f"there is no {task_input.mobile} in {supercell.get_chemical_formula()}")
        runs = Replicas(
            [
                _make_run(task, task_input, mover, cell, supercell, settings, mobile, replica)
                for replica in range(task_input.replicas)
            ],
            available_threads(),
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    species = len(set(supercell.get_chemical_symbols()))
    planned = planned_bytes(settings, task_input, len(supercell), len(mobile), species)
    doing = f"MD {task_input.temperature:.0f} K"
    task.progress(doing, 0, settings.blocks, planned_mb=sum(planned.values()) / 1e6)
    saved = task.checkpoint()
    if saved is not None:
        try:
            runs.restore(*saved)
        except ValueError as error:
            raise InputError(str(error)) from error
    watch = runs.runs[0].watch
    while not runs.finished:
        try:
            runs.run_block()
        except UnstableRunError as error:
            raise UnstableError(
                f"{error}: the potential is not reliable there, or the timestep of {task_input.timestep_fs:g} fs too "
                "long; add training data at this temperature or lower it, or shorten the timestep"
            ) from error
        grade = {} if watch is None or not len(watch.series) else {"grade": watch.series[-1, 1]}
        task.progress(doing, runs.block, settings.blocks, temperature=runs.temperature, **grade)
        if not runs.finished:
            task.step(runs.state)
    for reducer in (reducer for run in runs.runs for reducer in run.reducers.values()):
        if isinstance(reducer, TrajectoryExport):
            reducer.finish()
    return write_run(task, task_input, settings, runs, planned)


def _make_run(
    task: Task,
    task_input: Input,
    mover: MomentTensorPotential | Calculator,
    cell: Atoms,
    supercell: Atoms,
    settings: MdSettings,
    mobile: np.ndarray,
    replica: int,
) -> CompiledDynamics | MolecularDynamics:
    if task_input.replicas > 1 and task_input.store_velocities:
        raise ValueError("velocities of one run are kept, not those of replicas: give each its own task")
    own = replace(settings, seed=replica_seed(settings.seed, replica))
    frozen, rigid = _held(task_input, supercell, mobile)
    shared = {
        "watch": _watch(task, task_input, settings),
        "frozen": frozen,
        "reducers": {
            **_reducers(task_input, settings, cell, supercell, mobile),
            **_exports(task, task_input, settings, supercell, replica),
        },
        "discard": () if task_input.store_velocities else {"velocities"},
    }
    is_potential = isinstance(mover, MomentTensorPotential)
    compiled = is_potential and not rigid if task_input.compiled is None else task_input.compiled
    if compiled or (is_potential and settings.needs_compiled_loop):
        if rigid:
            raise ValueError(
                "rigid polyanions are moved by ASE's integrators: leave out `compiled`, currents, npt and thermostats "
                "but langevin with them"
            )
        # Replicas share the processors among themselves.
        threads = 1 if task_input.replicas > 1 else None
        return CompiledDynamics(supercell, mover, own, mobile, threads=threads, **shared)
    calculator = mover.calculator() if is_potential else mover
    return MolecularDynamics(supercell, calculator, own, mobile, hold=rigid, **shared)


def _held(task_input: Input, supercell: Atoms, mobile: np.ndarray) -> tuple[np.ndarray | None, Sequence[FixConstraint]]:
    """Atoms that stay where they are, and constraints on the shape of groups."""
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


def _reducers(
    task_input: Input, settings: MdSettings, cell: Atoms, supercell: Atoms, mobile: np.ndarray
) -> dict[str, Reducer]:
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


def _exports(
    task: Task, task_input: Input, settings: MdSettings, supercell: Atoms, replica: int
) -> dict[str, TrajectoryExport]:
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
    return make_exports(task.folder, task_input.export, supercell, plan, replica)


def _check_extent(mover: MomentTensorPotential | Calculator, supercell: Atoms) -> None:
    """Refuse a cell in which an atom would see its own image."""
    if not isinstance(mover, MomentTensorPotential):
        return
    heights = supercell.cell.volume / np.linalg.norm(np.cross(*supercell.cell.array[[[1, 2, 0], [2, 0, 1]]]), axis=1)
    if heights.min() < mover.cutoff:
        needed = np.ceil(mover.cutoff / heights).astype(int)
        raise ValueError(
            f"the cell is only {heights.min():.2f} Angstrom thick and the potential reaches {mover.cutoff:g}: an atom "
            f"would see its own image; repeat the cell {' x '.join(map(str, needed))} times more"
        )


def _mover(task: Task, task_input: Input, cell: Atoms) -> MomentTensorPotential | Calculator:
    """Return what moves the atoms: the potential, or the calculator of an engine."""
    if (task_input.potential is None) == (task_input.engine is None):
        raise ValueError("give either a potential or an engine")
    if task_input.potential is not None:
        potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
        potential.check_species(cell.get_chemical_symbols())
        return potential
    if task_input.compiled:
        raise ValueError("the compiled loop needs a potential: leave out `compiled` with an engine")
    if task_input.current_interval_fs:
        raise ValueError("heat currents need the energies of atoms that a potential has: give one, or leave them out")
    if task_input.thermostat != "langevin":
        raise ValueError(f"the thermostat {task_input.thermostat} needs a potential: with an engine there is langevin")
    if task_input.ensemble == "npt":
        raise ValueError("the ensemble npt needs a potential: with an engine there are nve and nvt")
    from aiida_iontherm.engines.embedded import check_elements, make_calculator

    check_elements(str(task_input.engine), cell.get_chemical_symbols())
    return make_calculator(str(task_input.engine), task_input.engine_options)


def _watch(task: Task, task_input: Input, settings: MdSettings) -> ExtrapolationWatch | None:
    if not task_input.grade_interval:
        return None
    if task_input.potential is None or task_input.active_set is None:
        raise ValueError("grades need a potential and its active_set: give both or set grade_interval to 0")
    potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
    active_set = active_set_from_arrays(read_npz(task.folder / task_input.active_set), potential)
    strides = (n for n in range(1, settings.block_steps + 1) if settings.block_steps % n == 0)
    stride = max(n for n in strides if n <= task_input.grade_interval)
    return ExtrapolationWatch(
        make_grader(potential, active_set),
        WatchSettings(
            stride=stride,
            select=task_input.grade_select,
            stop=task_input.grade_break,
            spacing=max(stride, round(CANDIDATE_SPACING_FS / task_input.timestep_fs)),
            max_candidates=task_input.max_candidates,
        ),
    )
