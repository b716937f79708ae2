"""Task ``train``: a moment tensor potential from labelled configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat

from aiida_iontherm.physics.mtp import MomentTensorPotential, TrainingState, train
from aiida_iontherm.physics.mtp.lbfgs import LbfgsState
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput
from aiida_iontherm.tasks.files import read_structures, write_npz


class Input(TaskInput):
    """Input of the task."""

    configurations: str = "labelled.extxyz"
    start: str | None = Field(None, description="Potential of the previous generation, .mtp.")
    start_species: list[str] = Field(default_factory=list)
    level: int = Field(8, ge=2)
    cutoff: float = Field(5.0, gt=0, description="Angstrom.")
    radial_size: int = Field(8, ge=2)
    weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        (1.0, 0.1, 0.01), description="Of energies, forces and stresses."
    )
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    max_iterations: int = Field(100, gt=0)
    tolerance: float = Field(1e-3, gt=0)
    seed: int = 0


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Train, write ``potential.mtp`` and the comparison with the reference in ``parity.npz``."""

    def on_step(state: TrainingState) -> bool:
        _, loss, validation = state.history[-1]
        figures = {"loss": loss} if np.isnan(validation) else {"loss": loss, "validation_loss": validation}
        task.progress("train", state.optimiser.iteration, task_input.max_iterations, **figures)
        task.step(lambda: _to_checkpoint(state))
        return True

    saved = task.checkpoint()
    try:
        frames = read_structures(task.folder / task_input.configurations)
        start = None
        if task_input.start is not None:
            start = MomentTensorPotential.read(task.folder / task_input.start, task_input.start_species)
        training = train(
            frames,
            level=task_input.level,
            cutoff=task_input.cutoff,
            weights=task_input.weights,
            seed=task_input.seed,
            radial_size=task_input.radial_size,
            validation_fraction=task_input.validation_fraction,
            max_iterations=task_input.max_iterations,
            tolerance=task_input.tolerance,
            start=start,
            state=None if saved is None else _from_checkpoint(*saved),
            on_step=on_step,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    training.potential.write(task.folder / "potential.mtp")
    parity = {
        "energies_train": training.errors.energies,
        "forces_train": training.errors.forces,
        "history": training.history,
    }
    if training.validation_errors is not None:
        parity["energies_validation"] = training.validation_errors.energies
        parity["forces_validation"] = training.validation_errors.forces
    write_npz(task.folder / "parity.npz", parity)
    return {
        "species": list(training.potential.species),
        "cutoff": training.potential.cutoff,
        "min_distance": training.potential.min_distance,
        "basis_scalars": len(training.potential.moment_coeffs),
        "configurations": len(frames),
        "iterations": int(training.history[-1, 0]),
        "converged": training.converged,
        "reason": training.reason,
        "train": _error_figures(training.errors),
        "validation": None if training.validation_errors is None else _error_figures(training.validation_errors),
    }


def _error_figures(errors: Any) -> dict[str, float | None]:
    return {
        "energy_rmse_ev_per_atom": errors.energy_rmse,
        "force_rmse_ev_per_angstrom": errors.force_rmse,
        "force_rms_ev_per_angstrom": float(np.sqrt(np.mean(errors.forces[:, 0] ** 2))),
        "stress_rmse_ev_per_angstrom3": errors.stress_rmse,
    }


def _to_checkpoint(state: TrainingState) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    optimiser = state.optimiser
    meta = {"iteration": optimiser.iteration, "value": optimiser.value, "stalled": optimiser.stalled}
    return meta, {
        "x": optimiser.x,
        "gradient": optimiser.gradient,
        "steps": optimiser.steps,
        "gradient_changes": optimiser.gradient_changes,
        "best_radial": state.best_radial,
        "best_validation": np.array(state.best_validation),
        "history": state.history,
    }


def _from_checkpoint(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> TrainingState:
    return TrainingState(
        optimiser=LbfgsState(
            x=arrays["x"],
            value=meta["value"],
            gradient=arrays["gradient"],
            steps=arrays["steps"],
            gradient_changes=arrays["gradient_changes"],
            iteration=meta["iteration"],
            stalled=meta["stalled"],
        ),
        best_radial=arrays["best_radial"],
        best_validation=float(arrays["best_validation"]),
        history=arrays["history"],
    )
