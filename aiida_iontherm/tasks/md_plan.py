"""What a run of the task ``md`` does step by step, and how much it keeps."""

from __future__ import annotations

import math

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.spectra.vdos import frames_for_resolution
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.trajectory_export import FORMATS

BLOCK_FS = 400.0
"""Between two points where a run can stop: short enough to stop soon, long enough for the neighbour list to pay."""

VELOCITY_INTERVAL_FS = 8.0
"""Puts the highest frequency at 62 THz, above all vibrations."""

CELL_INTERVAL_FS = 20.0
"""Between stored cells of a run at constant pressure."""


def md_settings(task_input: Input) -> MdSettings:
    """Translate times to steps so that every stride divides the block or is a multiple of it.

    Raises
    ------
    ValueError
        If the run is too short for the resolution of the density of states.
    """
    timestep = task_input.timestep_fs

    def steps(interval_fs: float) -> int:
        return max(1, round(interval_fs / timestep))

    production = steps(task_input.production_ps * 1000)
    followed = task_input.mobile or task_input.displacements or task_input.export
    position = steps(task_input.position_interval_fs) if followed else 0
    velocity = max(1, int(VELOCITY_INTERVAL_FS // timestep)) if task_input.vdos or task_input.store_velocities else 0
    current = steps(task_input.current_interval_fs) if task_input.current_interval_fs else 0
    thermo = steps(CELL_INTERVAL_FS) if task_input.ensemble == "npt" else 0
    unit = math.lcm(*(stride for stride in (position, velocity, current, thermo) if stride))
    target = BLOCK_FS / timestep
    block = unit * max(1, round(target / unit))
    snapshot = 0
    if task_input.snapshots:
        units = max(1, production // task_input.snapshots // unit)
        if units * unit < target:
            snapshot = units * unit
            block = snapshot * round(target / snapshot)
        else:
            parts = min(units, round(units * unit / target))
            block = units // parts * unit
            snapshot = parts * block
    settings = MdSettings(
        temperature_k=task_input.temperature,
        timestep_fs=timestep,
        equilibration_steps=round(task_input.equilibration_ps * 1000 / timestep),
        production_steps=production,
        friction_per_ps=task_input.friction_per_ps,
        ensemble=task_input.ensemble,
        thermostat=task_input.thermostat,
        barostat=task_input.barostat,
        pressure_gpa=task_input.pressure_gpa,
        pressure_relaxation_ps=task_input.pressure_relaxation_ps,
        bulk_modulus_gpa=task_input.bulk_modulus_gpa,
        position_stride=position,
        snapshot_stride=snapshot,
        velocity_stride=velocity,
        thermo_stride=thermo,
        current_stride=current,
        block_steps=block,
        seed=task_input.seed,
    )
    if task_input.vdos:
        # Said now, not after the run.
        interval = velocity * timestep
        needed = frames_for_resolution(interval, task_input.vdos_resolution_thz) * interval / 1000
        stored = (settings.blocks - settings.equilibration_blocks) * block * timestep / 1000
        if stored < needed:
            raise ValueError(
                f"{stored:.2f} ps cannot resolve {task_input.vdos_resolution_thz} THz: production_ps must be "
                f"{needed:.2f} or vdos_resolution_thz larger"
            )
    return settings


def planned_bytes(settings: MdSettings, task_input: Input, atoms: int, mobile: int, species: int) -> dict[str, int]:
    """Bytes of what a run writes, by what it is; see `physics.dynamics` for the series."""
    production = (settings.blocks - settings.equilibration_blocks) * settings.block_steps

    def rows(stride: int) -> int:
        return production // stride if stride else 0

    planned = {
        # float32, and the centre of mass in double precision.
        "positions of mobile ions": rows(settings.position_stride) * (mobile * 12 + 24),
        # Positions and forces, and once more as text of some 16 characters a number.
        "snapshots": rows(settings.snapshot_stride) * atoms * (48 + 52),
        "velocities": rows(settings.velocity_stride) * atoms * 12 if task_input.store_velocities else 0,
        "currents": rows(settings.current_stride) * 24 * (3 * species + 2),
        "cells": rows(settings.thermo_stride) * 8 * (9 + 10),
    }
    for name in task_input.export:
        planned[f"export as {name}"] = rows(settings.position_stride) * atoms * FORMATS[name].BYTES_PER_ATOM
    return {name: size * task_input.replicas for name, size in planned.items() if size}
