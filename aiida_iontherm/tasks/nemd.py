"""Task ``nemd``: thermal conductivity of a cell of one length, by heat carried from slab to slab."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, PositiveInt

from aiida_iontherm.physics.dynamics import CompiledDynamics, MdSettings, UnstableRunError
from aiida_iontherm.physics.dynamics.blocks import BlockedRun
from aiida_iontherm.physics.dynamics.settings import HeatExchangeSettings
from aiida_iontherm.physics.heat import nemd_quantity
from aiida_iontherm.physics.heat.nemd import LEAST_BLOCKS, LEAST_SLABS
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.units import EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K, KB_EV
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task, TaskInput, UnstableError
from aiida_iontherm.tasks.files import read_structures
from aiida_iontherm.tasks.nemd_files import AXES, HeatExchangeRun, figures

LEAST_ATOMS = 8
"""Mean number of atoms per slab, below which its temperature says little and one may stand empty."""

MOST_SLABS = 40
MOST_BLOCKS = 400
"""Of the profile: enough to see how long fluctuations last."""

LONGEST_BLOCK_PS = 2.0

COOLING_PS = 0.1
"""A reservoir that loses its kinetic energy faster than this is emptied before heat can follow."""


class Input(TaskInput):
    """Input of the task."""

    structure: str = "structure.extxyz"
    potential: str = Field("potential.mtp", description="Moment tensor potential, .mtp.")
    species: list[str] = Field(description="Elements of the potential, in its order.")
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        description="Cells along a, b and c; along the axis both halves, twice the distance of the reservoirs."
    )
    axis: Literal["a", "b", "c"] = Field("a", description="Cell vector across which the slabs lie.")
    temperature: float = Field(gt=0, description="K.")
    timestep_fs: float = Field(gt=0)
    equilibration_ps: float = Field(ge=0)
    production_ps: float = Field(gt=0, description="With heat exchange, the time until it is steady included.")
    power_ev_per_ps: float | None = Field(None, gt=0, description="Heat carried per time, eV/ps.")
    temperature_difference: float | None = Field(
        None, gt=0, description="K between the reservoirs, instead of the power, with kappa_guess."
    )
    kappa_guess: float | None = Field(None, gt=0, description="W/(m K), from which the power is computed.")
    slabs: PositiveInt | None = Field(
        None, description="Even. By default as many as whole cells fit, 40 at most and 12 at least."
    )
    skip: int | None = Field(
        None, ge=0, description="Slabs left out of the line beside each reservoir; by default a sixth of each half."
    )
    profile_interval_fs: float = Field(20.0, gt=0, description="Between two samples of the profile.")
    friction_per_ps: float = Field(5.0, gt=0, description="Of the thermostat of the equilibration.")
    target_error: float = Field(0.1, gt=0, description="Relative standard error that counts as converged.")
    seed: int = Field(0, ge=0)


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Run the dynamics in the compiled loop and analyse its profile, which is written as ``profile.npz``.

    The profile is kept as means over at most 400 blocks (of 2 ps or less), 32 bytes per slab and block; nothing else
    is. Its size is in the first line of the progress and in the results, in MB. The crystal is shifted along the axis
    so that no plane of atoms lies at the face of a slab.
    """
    try:
        supercell, potential, settings, exchange = prepare(task.folder, task_input)
        dynamics = CompiledDynamics(supercell, potential, settings, np.empty(0, dtype=np.int64))
    except ValueError as error:
        raise InputError(str(error)) from error
    what = doing(task_input, supercell)
    saved = task.checkpoint()
    if saved is not None:
        dynamics.restore(*saved)
    else:
        task.progress(what, 0, settings.blocks, profile_mb=profile_mb(settings, exchange))
    while not dynamics.finished:
        try:
            dynamics.run_block()
        except UnstableRunError as error:
            raise UnstableError(
                f"{error}: the potential is not reliable there; add training data at this temperature, lower it, or "
                "exchange less heat"
            ) from error
        except ValueError as error:
            # a reservoir without atoms, or without the heat that is asked of it
            raise PhysicsError(str(error)) from error
        task.progress(what, dynamics.block, settings.blocks, temperature=dynamics.temperature)
        if not dynamics.finished:
            task.step(dynamics.state)
    return write_results(task, task_input, dynamics, exchange)


def doing(task_input: Input, supercell: Atoms) -> str:
    """Return what the lines of progress say."""
    return f"NEMD {task_input.temperature:g} K, {len(supercell)} atoms"


def profile_mb(settings: MdSettings, exchange: HeatExchangeSettings) -> float:
    """Return how large the profile gets."""
    return (settings.blocks - settings.equilibration_blocks) * exchange.slabs * 4 * 8 / 1e6


def write_results(
    task: Task, task_input: Input, dynamics: BlockedRun, exchange: HeatExchangeSettings
) -> dict[str, Any]:
    """Write the profile of a finished run, and return its analysis.

    Raises
    ------
    PhysicsError
        If there is none.
    """
    settings, stored, atoms = dynamics.settings, dynamics.observables(), len(dynamics.atoms)
    measured = HeatExchangeRun(
        profile=stored["profile"],
        cell=dynamics.atoms.cell.array,
        axis=exchange.axis,
        power_ev_per_ps=exchange.power_ev_per_ps,
        block_ps=settings.block_steps * settings.timestep_fs / 1000,
        temperature_k=task_input.temperature,
    )
    measured.write(task.folder / "profile.npz")
    try:
        result = measured.analyse(task_input.skip)
    except ValueError as error:
        raise PhysicsError(str(error)) from error
    produced = stored["thermo"][settings.equilibration_blocks :]
    drift = 1000 * np.polyfit(produced[:, 0], produced[:, 3], 1)[0] / atoms
    return {
        "atoms": atoms,
        "steps": dynamics.steps,
        "slabs": exchange.slabs,
        "axis": task_input.axis,
        "power_ev_per_ps": exchange.power_ev_per_ps,
        "production_ps": len(produced) * measured.block_ps,
        "energy_drift_ev_per_atom_ns": float(drift),
        "profile_blocks": len(measured.profile),
        "profile_mb": profile_mb(settings, exchange),
        **figures(result),
        "quantities": [nemd_quantity(result, task_input.axis, task_input.target_error).to_dict()],
    }


def choose_slabs(repeats: int, atoms: int) -> int:
    """Choose the number of slabs for so many cells along the axis and atoms: the largest of slabs of whole cells.

    They hold the same planes of atoms. Where there are none, cells are cut into as few parts as there must be.

    Raises
    ------
    ValueError
        If there are too few atoms for 12 slabs.
    """
    most = min(MOST_SLABS, atoms // LEAST_ATOMS // 2 * 2)
    if most < LEAST_SLABS:
        raise ValueError(
            f"{atoms} atoms are too few for {LEAST_SLABS} slabs of {LEAST_ATOMS}: take more cells in the supercell"
        )
    numbers = range(LEAST_SLABS, most + 1, 2)
    whole = [n for n in numbers if repeats % n == 0]
    parts = [n for n in numbers if n % repeats == 0]
    return max(whole) if whole else min(parts) if parts else max(numbers)


def prepare(folder: Path, task_input: Input) -> tuple[Atoms, MomentTensorPotential, MdSettings, HeatExchangeSettings]:
    """Return supercell, potential and plan of the run, all checked.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    potential = MomentTensorPotential.read(folder / task_input.potential, task_input.species)
    cell = read_structures(folder / task_input.structure)[0]
    potential.check_species(cell.get_chemical_symbols())
    supercell = cell * task_input.supercell
    axis = AXES.index(task_input.axis)
    heights = 1 / np.linalg.norm(supercell.cell.reciprocal(), axis=1)
    if heights.min() < potential.cutoff:
        raise ValueError(
            f"the supercell is {heights.min():.2f} Angstrom thin, the potential reaches {potential.cutoff:.2f}: take "
            f"more cells along {AXES[int(heights.argmin())]}"
        )
    slabs = task_input.slabs or choose_slabs(task_input.supercell[axis], len(supercell))
    if slabs < LEAST_SLABS or slabs % 2:
        raise ValueError(f"slabs must be an even number, {LEAST_SLABS} or more, not {slabs}")
    if len(supercell) < LEAST_ATOMS * slabs:
        raise ValueError(
            f"{slabs} slabs of {len(supercell)} atoms have {len(supercell) / slabs:.1f} each, less than {LEAST_ATOMS}: "
            "take fewer slabs or more cells across"
        )
    _clear_planes(supercell, axis, slabs)
    potential = _counted_from_the_crystal(potential, supercell)
    settings, exchange = _settings(task_input, axis, slabs, _power(task_input, supercell, axis, slabs))
    return supercell, potential, settings, exchange


def _power(task_input: Input, supercell: Atoms, axis: int, slabs: int) -> float:
    by_difference = task_input.temperature_difference is not None and task_input.kappa_guess is not None
    if (task_input.power_ev_per_ps is None) != by_difference:
        raise ValueError("give either power_ev_per_ps, or temperature_difference with kappa_guess")
    if task_input.power_ev_per_ps is not None:
        power = task_input.power_ev_per_ps
    else:
        area = np.linalg.norm(np.cross(*np.delete(supercell.cell.array, axis, axis=0)))
        length = supercell.cell.volume / area / 2
        kappa = task_input.kappa_guess / EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K
        power = float(2 * area * kappa * task_input.temperature_difference / length)
    there = 1.5 * KB_EV * task_input.temperature * len(supercell) / slabs
    if power * COOLING_PS > there:
        raise ValueError(
            f"{power:.3g} eV/ps would take the kinetic energy of the cold slab, {there:.3g} eV, in "
            f"{there / power:.2g} ps: exchange {there / COOLING_PS / 5:.2g} eV/ps or less"
        )
    return power


def _settings(task_input: Input, axis: int, slabs: int, power: float) -> tuple[MdSettings, HeatExchangeSettings]:
    """Translate times to steps, with blocks that hold whole samples of the profile."""
    timestep = task_input.timestep_fs
    stride = max(1, round(task_input.profile_interval_fs / timestep))
    production = round(task_input.production_ps * 1000 / timestep)
    most = min(production / MOST_BLOCKS, LONGEST_BLOCK_PS * 1000 / timestep)
    block = stride * max(1, int(most / stride))
    if production < LEAST_BLOCKS * block:
        raise ValueError(
            f"production_ps must be {LEAST_BLOCKS * block * timestep / 1000:g} or more, for {LEAST_BLOCKS} means of "
            "the profile"
        )
    exchange = HeatExchangeSettings(axis=axis, slabs=slabs, power_ev_per_ps=power, profile_stride=stride)
    settings = MdSettings(
        temperature_k=task_input.temperature,
        timestep_fs=timestep,
        equilibration_steps=round(task_input.equilibration_ps * 1000 / timestep),
        production_steps=production,
        friction_per_ps=task_input.friction_per_ps,
        heat_exchange=exchange,
        position_stride=0,
        snapshot_stride=0,
        block_steps=block,
        seed=task_input.seed,
    )
    return settings, exchange


def _clear_planes(supercell: Atoms, axis: int, slabs: int) -> None:
    """Shift the crystal so that the faces of the slabs lie in the middle of the widest gap between planes of atoms."""
    # where in its slab each atom is, 0 to 1
    places = np.sort(supercell.get_scaled_positions()[:, axis] * slabs % 1.0)
    gaps = np.diff(places, append=places[0] + 1)
    widest = int(gaps.argmax())
    face = places[widest] + gaps[widest] / 2
    supercell.positions -= supercell.cell.array[axis] * face / slabs


def _counted_from_the_crystal(potential: MomentTensorPotential, supercell: Atoms) -> MomentTensorPotential:
    """Shift the energy of each species so that it is zero in the crystal at rest.

    Forces stay as they are, and so does the heat current where no species flows. But the convective current is the
    energies times the velocities: with cohesive energies, vibrations would drown the heat in noise.
    """
    energies = potential.evaluate(supercell, virials=False).energies
    symbols = np.array(supercell.get_chemical_symbols())
    shifts = [energies[symbols == symbol].mean() if symbol in symbols else 0.0 for symbol in potential.species]
    return potential.replace(species_coeffs=potential.species_coeffs - shifts)
