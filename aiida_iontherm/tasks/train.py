"""Task ``train``: a moment tensor potential from labelled configurations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from aiida_iontherm.physics.mtp import MomentTensorPotential, Training, TrainingState, train
from aiida_iontherm.physics.mtp.selection import active_set_to_arrays
from aiida_iontherm.physics.mtp.training import Errors, assess, part_configurations
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput
from aiida_iontherm.tasks.files import read_structures, write_npz


class TrainedBy(BaseModel):
    """What another program says of its training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(0, ge=0)
    loss: float | None = Field(None, description="In the program's own definition.")
    converged: bool = False
    reason: str = "trained by another program"


class Input(TaskInput):
    """Input of the task."""

    configurations: str = "labelled.extxyz"
    start: str | None = Field(None, description="Potential of the previous generation, .mtp.")
    start_species: list[str] = Field(default_factory=list)
    trained: str | None = Field(
        None, description="Potential trained by another program, .mtp: compared and given its active set, not fitted."
    )
    trained_species: list[str] = Field(default_factory=list)
    trained_by: TrainedBy = TrainedBy()
    level: int = Field(8, ge=2)
    cutoff: PositiveFloat | Literal["auto"] = Field(5.0, description="Angstrom, or auto: from the data.")
    radial_size: int = Field(8, ge=2)
    weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        (1.0, 0.1, 0.01), description="Of energies, forces and stresses."
    )
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    max_iterations: int = Field(100, gt=0)
    tolerance: float = Field(1e-2, gt=0, description="Stop when 10 iterations lower the loss by less than this part.")
    patience: int = Field(10, gt=0, description="Stop when so many iterations do not help the held-out part.")
    n_starts: int = Field(2, gt=0, description="Radial coefficients to start from.")
    outliers: Literal["raise", "exclude"] = Field("raise", description="Configurations that cannot be right.")
    seed: int = 0


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Train; write ``potential.mtp``, its ``active_set.npz``, and the comparison with the reference, ``parity.npz``.

    A potential that another program has ``trained`` is only compared, with the same part held out.
    """
    saved = task.checkpoint()
    try:
        frames = read_structures(task.folder / task_input.configurations)
        if task_input.trained is None:
            training = _train(task, task_input, frames, None if saved is None else saved[1])
        else:
            training = _assess(task, task_input, frames)
    except ValueError as error:
        raise InputError(str(error)) from error
    training.potential.write(task.folder / "potential.mtp")
    active_set = training.potential.active_set
    assert active_set is not None  # noqa: S101  `train` attaches it unless told not to
    write_npz(task.folder / "active_set.npz", active_set_to_arrays(active_set))
    parity = {
        "energies_train": training.errors.energies,
        "forces_train": training.errors.forces,
        "stresses_train": training.errors.stresses,
        "history": training.history,
    }
    if training.validation_errors is not None:
        parity["energies_validation"] = training.validation_errors.energies
        parity["forces_validation"] = training.validation_errors.forces
        parity["stresses_validation"] = training.validation_errors.stresses
    write_npz(task.folder / "parity.npz", parity)
    return {
        "species": list(training.potential.species),
        "cutoff": training.potential.cutoff,
        "min_distance": training.potential.min_distance,
        "basis_scalars": len(training.potential.moment_coeffs),
        "configurations": len(frames),
        "excluded": {str(index): reason for index, reason in training.excluded.items()},
        "notes": list(training.notes),
        "iterations": int(training.history[-1, 0]),
        "converged": training.converged,
        "reason": training.reason,
        "parameters": len(active_set.rows),
        "parameters_determined": active_set.rank,
        "train": _error_figures(training.errors),
        "validation": None if training.validation_errors is None else _error_figures(training.validation_errors),
    }


def _train(task: Task, task_input: Input, frames: list[Atoms], saved: dict[str, np.ndarray] | None) -> Training:
    def on_step(state: TrainingState) -> bool:
        if not state.stalled:
            _, loss, validation, fitted, start = state.history[-1]
            figures = {"loss": loss, "validation_loss": validation, "configurations": fitted, "start": start}
            task.progress("train", state.iteration, task_input.max_iterations, **figures)
        task.step(lambda: ({}, state.to_arrays()))
        return True

    start = None
    if task_input.start is not None:
        start = MomentTensorPotential.read(task.folder / task_input.start, task_input.start_species)
    return train(
        frames,
        level=task_input.level,
        cutoff=task_input.cutoff,
        weights=task_input.weights,
        seed=task_input.seed,
        radial_size=task_input.radial_size,
        validation_fraction=task_input.validation_fraction,
        max_iterations=task_input.max_iterations,
        tolerance=task_input.tolerance,
        patience=task_input.patience,
        n_starts=task_input.n_starts,
        outliers=task_input.outliers,
        start=start,
        state=None if saved is None else TrainingState.from_arrays(saved),
        on_step=on_step,
    )


def _assess(task: Task, task_input: Input, frames: list[Atoms]) -> Training:
    potential = MomentTensorPotential.read(task.folder / task_input.trained, task_input.trained_species)
    # There are no steps: the one line tells a restart that ran into the same wall time twice.
    task.progress("compare", 0, len(frames))
    parts = part_configurations(
        frames,
        validation_fraction=task_input.validation_fraction,
        seed=task_input.seed,
        outliers=task_input.outliers,
    )
    return assess(potential, parts, **task_input.trained_by.model_dump())


def _error_figures(errors: Errors) -> dict[str, Any]:
    return {
        "energy_rmse_ev_per_atom": errors.energy_rmse,
        "energy_mae_ev_per_atom": errors.energy_mae,
        "force_rmse_ev_per_angstrom": errors.force_rmse,
        "force_mae_ev_per_angstrom": errors.force_mae,
        "force_rms_ev_per_angstrom": float(np.sqrt(np.mean(errors.forces[:, 0] ** 2))),
        "stress_rmse_ev_per_angstrom3": errors.stress_rmse,
        "by_species": {symbol: asdict(error) for symbol, error in errors.by_species.items()},
        "by_group": {group: asdict(error) for group, error in errors.by_group.items()},
    }
