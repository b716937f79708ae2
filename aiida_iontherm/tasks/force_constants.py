"""Task ``force-constants``: effective force constants of second to fourth order from MD snapshots."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import Field, PositiveInt

from aiida_iontherm.materials.supercells import max_cutoff
from aiida_iontherm.physics.lattice.between_hops import between_hops
from aiida_iontherm.physics.lattice.cells import (
    SYMMETRY_TOLERANCE,
    build_supercell,
    displacements_from_sites,
    make_phonopy,
    mean_structure,
    to_atoms,
)
from aiida_iontherm.physics.lattice.force_constant_convergence import (
    FREQUENCY_TOLERANCE_THZ,
    ForceConstantConvergence,
    convergence_with_cutoffs,
    convergence_with_snapshots,
)
from aiida_iontherm.physics.lattice.force_constants import (
    EffectiveForceConstants,
    FitQuality,
    fit_force_constants,
    reference_displacements,
)
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task, TaskInput
from aiida_iontherm.tasks.files import read_npz, read_structures, write_npz

HOP_DISTANCE = 1.2
"""In Angstrom: an atom whose mean is farther than this from its site has left it."""

MAX_LEFT_OUT = 0.8
"""Of the snapshots. Between hops the crystal vibrates around its sites; where it hardly does so there are none."""

SHORTER = (0.8, 0.9)
"""Of all cutoffs: the settings that the full ones are compared with. Fits to these cost a fraction of the full one."""


class Input(TaskInput):
    """Input of the task."""

    structure: str = Field("structure.extxyz", description="Unit cell.")
    trajectory: str = Field("trajectory.npz", description="With snapshots and snapshot_forces.")
    configurations: str | None = Field(
        None, description="Instead of it: labelled supercells in extended XYZ, atoms in phonopy's order."
    )
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt]
    cutoffs: tuple[float, ...] = Field(
        min_length=1, max_length=3, description="Second, third (if wanted) and fourth (if wanted) order, Angstrom."
    )
    fit_method: Literal["ridge", "least-squares"] = "ridge"
    expansion: Literal["effective", "taylor"] = Field(
        "effective",
        description="What a fourth order does to the others: 'effective' nothing, second and third are those of a fit "
        "without it; 'taylor': all orders are one model of the forces.",
    )
    blocks: int = Field(4, ge=2, description="Contiguous blocks of snapshots for cross-validation and jackknife.")
    reference: Literal["mean", "ideal"] = Field("mean", description="Positions to expand around.")
    convergence: tuple[Literal["snapshots", "cutoffs"], ...] = Field(
        (), description="What the fit is to be compared with: fits to fewer snapshots, with shorter cutoffs."
    )


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Fit, and write ``force_constants.npz``: the fit to all snapshots first, then one for each block left out.

    The figures are those of second and third order, which phonons and linewidths are made of; those of the fit that
    the fourth comes from are under ``with_fourth_order`` where it is another one.

    The fourth order is a list: ``fc4_clusters`` [c, 4], and ``fc4_i`` [c, 3, 3, 3, 3] in eV/Angstrom^4 for each fit.
    """
    try:
        unitcell = read_structures(task.folder / task_input.structure)[0]
        snapshots, forces = _snapshots(task, task_input, unitcell)
    except (KeyError, ValueError) as error:
        source = "trajectory" if task_input.configurations is None else "configurations"
        raise InputError(f"the {source} holds no snapshots to fit: {error}") from error
    everything = len(snapshots)
    try:
        if task_input.configurations is None:  # a trajectory: one after the other in time
            displaced = displacements_from_sites(unitcell, task_input.supercell, snapshots)
            quiet = between_hops(displaced, HOP_DISTANCE)
            snapshots, forces = snapshots[quiet], forces[quiet]
        left_out = everything - len(snapshots)
        if left_out > MAX_LEFT_OUT * everything:
            raise PhysicsError(
                f"ions hop at this temperature: only {len(snapshots)} of {everything} snapshots have all atoms on "
                "their sites, too few to expand around these; take snapshots at a lower temperature"
            )
        mean, farthest = mean_structure(unitcell, task_input.supercell, snapshots)
    except ValueError as error:
        raise InputError(str(error)) from error
    if farthest > HOP_DISTANCE:
        raise PhysicsError(
            f"an atom strayed {farthest:.1f} Angstrom from its site on average: ions hop at this temperature and there "
            "are no sites to expand around; take snapshots at a lower temperature"
        )
    cell = mean if task_input.reference == "mean" else unitcell
    phonopy = make_phonopy(cell, task_input.supercell)
    supercell = to_atoms(phonopy.supercell)
    # hiphive counts an atom and its image as one beyond half the cell; 0.05 Angstrom keep clear of that edge.
    largest = max_cutoff(supercell.cell.array) - 0.05
    cutoffs = tuple(min(cutoff, largest) for cutoff in task_input.cutoffs)
    displacements = reference_displacements(snapshots, supercell.positions, supercell.cell.array)
    task.progress("fit force constants", 0, len(snapshots), max_displacement=float(np.abs(displacements).max()))

    def report(done: int, total: int) -> None:
        task.progress("fit force constants", done, total)
        task.step(lambda: ({}, {}))  # nothing to keep: a fit that was stopped begins anew

    primitive = to_atoms(phonopy.primitive)
    try:
        fit = fit_force_constants(
            primitive,
            supercell,
            displacements,
            forces,
            cutoffs,
            fit_method=task_input.fit_method,
            expansion=task_input.expansion,
            blocks=task_input.blocks,
            partial="snapshots" in task_input.convergence,
            symprec=SYMMETRY_TOLERANCE,
            progress=report,
        )
        series = _convergence(task_input, fit, primitive, supercell, displacements, forces)
    except ValueError as error:
        raise InputError(str(error)) from error
    arrays: dict[str, np.ndarray] = {}
    for index, parameters in enumerate((fit.parameters, *fit.replicas)):
        arrays[f"fc2_{index}"], third = fit.basis.arrays(parameters)
        if third is not None:
            arrays[f"fc3_{index}"] = third
        fourth = fit.basis.fourth_order(parameters)
        if fourth is not None:
            arrays["fc4_clusters"], arrays[f"fc4_{index}"] = fourth.clusters, fourth.tensors
    arrays |= {
        "fits": np.array(1 + len(fit.replicas)),
        "unitcell": cell.cell.array,
        "positions": cell.positions,
        "numbers": cell.numbers,
        "supercell": np.array(task_input.supercell),
        "p2s": fit.p2s,
    }
    write_npz(task.folder / "force_constants.npz", arrays, compressed=True)
    return {
        "cutoffs": list(cutoffs),
        "snapshots": len(snapshots),
        "snapshots_left_out": left_out,
        **_figures(fit.quality),
        "with_fourth_order": _figures(fit.quality_with_fourth) if fit.quality_with_fourth else None,
        "max_mean_shift_angstrom": farthest,
        "rms_displacement_angstrom": float(np.sqrt(np.mean(np.sum(displacements**2, axis=2)))),
        **_verdict(series),
    }


def _figures(quality: FitQuality) -> dict[str, Any]:
    return {
        "parameters": quality.n_parameters,
        "ridge_strength": quality.ridge_strength,
        "rmse_train_ev_per_angstrom": quality.rmse_train,
        "rmse_test_ev_per_angstrom": quality.rmse_test,
        "r2_train": quality.r2_train,
        "r2_test": quality.r2_test,
    }


def _convergence(
    task_input: Input,
    fit: EffectiveForceConstants,
    primitive: Atoms,
    supercell: Atoms,
    displacements: np.ndarray,
    forces: np.ndarray,
) -> dict[str, ForceConstantConvergence]:
    """Make the series that were asked for."""
    series = {}
    if "snapshots" in task_input.convergence:
        series["snapshots"] = convergence_with_snapshots(fit, primitive, supercell)
    if "cutoffs" in task_input.convergence:
        lengths = fit.basis.cutoffs[:2] if fit.quality_with_fourth else fit.basis.cutoffs
        series["cutoffs"] = convergence_with_cutoffs(
            fit,
            primitive,
            supercell,
            displacements,
            forces,
            [[share * length for length in lengths] for share in SHORTER],
            fit_method=task_input.fit_method,
            symprec=SYMMETRY_TOLERANCE,
            blocks=task_input.blocks,
        )
    return series


def _verdict(series: dict[str, ForceConstantConvergence]) -> dict[str, Any]:
    """Series as plain lists, and one verdict on all of them; nothing where there is none."""
    if not series:
        return {}
    failed = [found.reason for found in series.values() if not found.converged]
    return {
        "convergence": {
            name: {
                "settings": [list(setting) if isinstance(setting, tuple) else setting for setting in found.settings],
                "parameters": found.n_parameters.tolist(),
                "rmse_test_ev_per_angstrom": found.rmse_test_ev_per_angstrom.tolist(),
                "frequency_change_thz": found.change_thz.tolist(),
                "tolerance_thz": FREQUENCY_TOLERANCE_THZ,
                "converged": found.converged,
                "reason": found.reason,
            }
            for name, found in series.items()
        },
        "convergence_converged": not failed,
        "convergence_reason": "; ".join(failed or [found.reason for found in series.values()]),
    }


def _snapshots(task: Task, task_input: Input, unitcell: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Positions and forces [m, N, 3] of a trajectory, or of labelled supercells.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or a configuration is another supercell or has no forces.
    KeyError
        If the trajectory has no snapshots.
    """
    if task_input.configurations is None:
        trajectory = read_npz(task.folder / task_input.trajectory)
        return trajectory["snapshots"], trajectory["snapshot_forces"]
    frames = read_structures(task.folder / task_input.configurations)
    supercell = build_supercell(unitcell, task_input.supercell)
    for index, atoms in enumerate(frames):
        # A millionth of the cell: coordinates went through a text file.
        same = len(atoms) == len(supercell) and np.array_equal(atoms.numbers, supercell.numbers)
        if not same or np.abs(atoms.cell.array - supercell.cell.array).max() > 1e-6 * supercell.cell.array.max():
            raise ValueError(
                f"configuration {index} is not a {task_input.supercell} supercell of this unit cell with the atoms in "
                "phonopy's order"
            )
        if atoms.calc is None or "forces" not in atoms.calc.results:
            raise ValueError(f"configuration {index} has no forces: label it first")
    return np.array([atoms.positions for atoms in frames]), np.array([atoms.get_forces() for atoms in frames])
