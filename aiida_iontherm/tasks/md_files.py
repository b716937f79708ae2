"""What the task ``md`` writes when a run has ended."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.neighborlist import neighbor_list

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.dynamics.blocks import BlockedRun
from aiida_iontherm.physics.dynamics.reducers import VelocityReducer
from aiida_iontherm.physics.dynamics.replicas import Replicas
from aiida_iontherm.physics.ions.melting import framework_diffuses
from aiida_iontherm.physics.spectra.vdos import dos_from_correlations
from aiida_iontherm.tasks.contract import PhysicsError, Task
from aiida_iontherm.tasks.files import write_npz, write_structures
from aiida_iontherm.tasks.md_groups import by_species
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.trajectory_export import export_files

DRIFT_SHARE = 0.02
"""Of the thermal energy: heating or cooling by the integrator within a run that is said to be too much."""

SETTLED_PS = 2.0
"""Lags by which vibrations have spread: before, any crystal that is being heated looks as if it moved on."""

CURRENTS = ("heat_virial", "heat_convective", "mass_currents")


def write_run(
    task: Task, task_input: Input, settings: MdSettings, runs: Replicas, planned: dict[str, int]
) -> dict[str, Any]:
    """Write the files of a run, or of replicas, and return the figures of output.json.

    Of replicas positions, drift, currents, thermodynamics and mean square displacements are stacked along a first axis;
    snapshots are those of the first one, densities and spectra those of all together.
    """
    first = runs.runs[0]
    stored = runs.observables()
    own = first.observables()
    snapshots, forces = own["snapshots"], own["snapshot_forces"]
    largest = float(np.abs(forces).max(initial=0.0))
    if task_input.max_force is not None and largest > task_input.max_force:
        raise PhysicsError(
            f"a force of {largest:.1f} eV/Angstrom was met: the atoms came closer than the potential was trained for"
        )
    supercell = first.atoms
    cells = stored.pop("cells", np.empty((0, 3, 3))).reshape(-1, 3, 3)
    stored.pop("thermo_series", None)
    velocities = stored.pop("velocities")
    currents = {name: stored.pop(name) for name in CURRENTS if name in stored}
    if settings.current_stride:
        write_npz(task.folder / "currents.npz", _currents(currents, stored["thermo"], settings, first))
    arrays: dict[str, np.ndarray] = {
        **stored,
        "snapshots": snapshots,
        "snapshot_forces": forces,
        "frame_interval_fs": np.array(settings.position_stride * settings.timestep_fs),
        "cell": supercell.cell.array,
        "numbers": supercell.numbers,
        "last_positions": supercell.positions,
        "last_velocities": supercell.get_velocities() * 1000 * units.fs,
    }
    if settings.ensemble == "npt":
        arrays["cells"] = cells
        arrays["mean_cell"] = cells.mean(axis=0)
    if first.watch is not None:
        arrays["grades"] = first.watch.series * [settings.timestep_fs / 1000, 1.0, 1.0]
    arrays |= _reduced(runs, task_input)
    if task_input.store_velocities:
        velocity_arrays = {
            "velocities": velocities,
            "positions": snapshots if len(snapshots) else supercell.positions[None],
            "cell": supercell.cell.array,
            "numbers": supercell.numbers,
            "frame_interval_fs": np.array(settings.velocity_stride * settings.timestep_fs),
        }
        write_npz(task.folder / "velocities.npz", velocity_arrays)
    write_npz(task.folder / "trajectory.npz", arrays)
    if len(snapshots):
        write_structures(task.folder / "snapshots.extxyz", [_frame(supercell, positions) for positions in snapshots])
    produced = stored["thermo"][..., settings.equilibration_blocks :, :]
    drift = _energy_drift(produced.reshape(-1, *produced.shape[-2:]), len(supercell), settings)
    equilibration = settings.equilibration_blocks * settings.block_steps
    steps = max(0, first.steps - equilibration)
    return {
        "atoms": len(supercell),
        "replicas": len(runs.runs),
        "steps": first.steps,
        "production_ps": steps * settings.timestep_fs / 1000,
        "mean_temperature_k": float(np.mean(produced[..., 1])) if produced.size else None,
        "mean_pressure_ev_per_angstrom3": _finite(np.mean(produced[..., 4])) if produced.size else None,
        "energy_drift_ev_per_atom_ns": drift,
        "frames": stored["mobile_positions"].shape[-3] if stored["mobile_positions"].shape[-2] else 0,
        "snapshots": len(snapshots),
        "max_force_ev_per_angstrom": largest,
        "planned_mb": sum(planned.values()) / 1e6,
        "stored_mb": sum(path.stat().st_size for path in _written(task, task_input)) / 1e6,
        "warnings": [
            *_too_long_a_step(drift, steps, settings),
            *_moving_framework(arrays, supercell, task_input.mobile),
        ],
        **_mean_cell(cells, settings),
        **_grading(task, first),
    }


def _written(task: Task, task_input: Input) -> list[Any]:
    exports = export_files(task_input.export, task_input.replicas).values()
    names = ("trajectory.npz", "currents.npz", "velocities.npz", "snapshots.extxyz", *exports)
    return [task.folder / name for name in names if (task.folder / name).exists()]


def _reduced(runs: Replicas, task_input: Input) -> dict[str, np.ndarray]:
    """Displacements of each replica; densities and vibrations of all together."""
    arrays = {name: values for name, values in runs.reduced().items() if not name.startswith("vacf_")}
    several = len(runs.runs) > 1
    for name in ("msd_lags_ps", "msd_origins", "density_cell"):
        if several and name in arrays:
            arrays[name] = arrays[name][0]
    for name in ("density_counts", "density_frames"):
        if several and name in arrays:
            arrays[name] = arrays[name].sum(axis=0)
    if task_input.vdos:
        arrays |= _vibrations(runs)
    return arrays


def _vibrations(runs: Replicas) -> dict[str, np.ndarray]:
    """Velocity autocorrelations and densities of states of all replicas together, by species, site and direction."""
    first = runs.runs[0]
    reducers = [r for run in runs.runs for r in run.reducers.values() if isinstance(r, VelocityReducer)]
    groups, symbols, interval_ps = reducers[0].groups, first.atoms.get_chemical_symbols(), reducers[0].interval_ps
    sums = [reducer.correlations() for reducer in reducers]
    directed = {name: np.sum([part[name] for part in sums], axis=0) for name in groups}
    members = {name: np.array(len(indices)) for name, indices in groups.items()}
    # Of a species on one site the two have the same name.
    whole, sizes = by_species(groups, symbols, directed), by_species(groups, symbols, members)
    origins = len(runs.runs) * (reducers[0].frames - np.arange(reducers[0].max_lag + 1))
    there = origins > 0
    arrays = {"vacf_lags_ps": np.flatnonzero(there) * interval_ps}
    for name, values in (directed | whole).items():
        arrays[f"vacf_{name}"] = values[:, there] / (origins[there] * (members | sizes)[name])
    # A run that broke may be too short for the resolution that was asked for.
    if first.broken is not None:
        return arrays
    for parts in (directed, whole):
        dos = dos_from_correlations(
            {name: values.sum(axis=0) for name, values in parts.items()}, interval_ps, len(symbols)
        )
        by_direction = {
            f"{name}_{axis}": own for name, values in parts.items() for axis, own in zip("xyz", values, strict=True)
        }
        arrays["vdos_frequencies_thz"] = dos.frequencies_thz
        arrays |= {f"vdos_{name}": values for name, values in dos.partial.items()}
        resolved = dos_from_correlations(by_direction, interval_ps, len(symbols))
        arrays |= {f"vdos_{name}": values for name, values in resolved.partial.items()}
    return arrays


def _energy_drift(produced: np.ndarray, atoms: int, settings: MdSettings) -> float:
    """Slope of the total energy of runs [replicas, blocks, 5] in NVE, eV per atom and ns."""
    if settings.ensemble != "nve" or produced.shape[1] < 3:
        return 0.0
    slopes = [np.polyfit(run[:, 0], run[:, 3], 1)[0] for run in produced]
    return float(np.mean(slopes) * 1000 / atoms)


def _too_long_a_step(drift: float, steps: int, settings: MdSettings) -> list[str]:
    duration_ns = steps * settings.timestep_fs * 1e-6
    gained, thermal = abs(drift) * duration_ns, 3 * units.kB * settings.temperature_k
    if gained <= DRIFT_SHARE * thermal:
        return []
    # The error of Verlet's method is of second order in the timestep.
    shorter = settings.timestep_fs * max(0.2, min(0.8, np.sqrt(DRIFT_SHARE * thermal / gained)))
    return [
        f"the total energy drifted by {gained / thermal:.0%} of the thermal energy in this run: a timestep of "
        f"{settings.timestep_fs:g} fs is too long here, take {shorter:.1g} fs"
    ]


def _moving_framework(arrays: dict[str, np.ndarray], supercell: Atoms, mobile: str | None) -> list[str]:
    if "msd_lags_ps" not in arrays or len(arrays["msd_lags_ps"]) == 0:
        return []
    # Longer lags than half of the run have few time origins.
    enough = arrays["msd_lags_ps"] <= 0.5 * arrays["msd_origins"][0] * arrays["msd_lags_ps"][0]
    lags = arrays["msd_lags_ps"][enough]
    if len(lags) == 0 or lags[-1] < SETTLED_PS:
        return []
    # No packing of points is denser than the face-centred one: some pair is as near as there, 2^(1/6) v^(1/3).
    farthest = 1.13 * (supercell.cell.volume / len(supercell)) ** (1 / 3)
    nearest = float(neighbor_list("d", supercell, farthest).min())
    found = []
    for symbol in sorted(set(supercell.get_chemical_symbols()) - {mobile}):
        displacements = arrays[f"msd_{symbol}"].sum(axis=-1)
        displacements = displacements.reshape(-1, displacements.shape[-1]).mean(axis=0)[enough]
        if framework_diffuses(lags, displacements, nearest):
            found.append(symbol)
    if not found:
        return []
    return [
        f"{' and '.join(found)} leave their sites: the crystal melts, or they are mobile ions too; what is said of "
        "sites, phonons and diffusion relative to a framework does not hold"
    ]


def _mean_cell(cells: np.ndarray, settings: MdSettings) -> dict[str, Any]:
    if settings.ensemble != "npt" or not len(cells):
        return {}
    volumes = np.abs(np.linalg.det(cells))
    blocks = [part.mean() for part in np.array_split(volumes, min(8, len(volumes)))]
    error = np.std(blocks, ddof=1) / np.sqrt(len(blocks)) if len(blocks) > 1 else np.nan
    return {
        "mean_volume_angstrom3": float(volumes.mean()),
        "mean_volume_uncertainty_angstrom3": _finite(error),
        "mean_cell_angstrom": cells.mean(axis=0).tolist(),
    }


def _currents(
    stored: dict[str, np.ndarray], thermo: np.ndarray, settings: MdSettings, dynamics: BlockedRun
) -> dict[str, np.ndarray]:
    """Heat current by parts and mass currents by species [frames, 3] (of replicas [replicas, frames, 3])."""
    produced = thermo[..., settings.equilibration_blocks :, 1]
    arrays = {
        "virial": stored["heat_virial"].sum(axis=-2),
        "convective": stored["heat_convective"].sum(axis=-2),
        "timestep_fs": np.array(settings.current_stride * settings.timestep_fs),
        "temperature": np.array(np.mean(produced) if produced.size else settings.temperature_k),
        "volume": np.array(dynamics.atoms.cell.volume),
    }
    for index, symbol in enumerate(dynamics.current_species):
        arrays[f"virial_{symbol}"] = stored["heat_virial"][..., index, :]
        arrays[f"convective_{symbol}"] = stored["heat_convective"][..., index, :]
        arrays[f"mass_{symbol}"] = stored["mass_currents"][..., index, :]
    return arrays


def _grading(task: Task, dynamics: BlockedRun) -> dict[str, Any]:
    """Write the candidates of a graded run and tell how far it could be trusted."""
    watch, settings = dynamics.watch, dynamics.settings
    if watch is None:
        return {}
    frames = []
    for candidate in watch.candidates:
        frame = _frame(dynamics.atoms, candidate.positions)
        frame.info = {
            "step": candidate.step,
            "time_ps": candidate.step * settings.timestep_fs / 1000,
            "temperature": settings.temperature_k,
            "kinetic_temperature": candidate.temperature,
            "grade": candidate.grade,
        }
        frames.append(frame)
    if frames:
        write_structures(task.folder / "candidates.extxyz", frames)
    broken = dynamics.broken
    return {
        "gradings": len(watch.series),
        "max_grade": _finite(watch.series[:, 1].max(initial=0.0)),
        "mean_grade": _finite(watch.series[:, 2].mean()) if len(watch.series) else None,
        "candidates": len(frames),
        "broke_at_ps": None if broken is None else broken.step * settings.timestep_fs / 1000,
        "break_reason": None if broken is None else broken.reason,
    }


def _frame(supercell: Atoms, positions: np.ndarray) -> Atoms:
    return Atoms(numbers=supercell.numbers, positions=positions, cell=supercell.cell, pbc=True)


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold, or none."""
    return float(value) if np.isfinite(value) else None
