"""Task ``select``: which candidates of exploration runs to label, by the D-optimality of their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import primitive_neighbor_list
from pydantic import Field, PositiveInt

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import (
    active_set_from_arrays,
    configuration_rows,
    grade_choice,
    select_configurations,
)
from aiida_iontherm.tasks.contract import InputError, Task, TaskInput
from aiida_iontherm.tasks.files import read_npz, read_structures, write_structures

SHORTEST_BOND = 0.5
"""Distance, as a share of the sum of the covalent radii, below which no reference calculation is worth its time."""


class Input(TaskInput):
    """Input of the task."""

    candidates: dict[str, str] = Field(description="Extended XYZ file of the candidates of each run, by its name.")
    potential: str = "potential.mtp"
    species: list[str] = Field(description="Elements of the potential, in its order.")
    active_set: str = "active_set.npz"
    grade_select: float = Field(3.0, gt=1, description="No candidate has a larger grade once those selected are known.")
    max_selected: PositiveInt | None = Field(None, description="At most so many, those of the highest grades first.")
    chosen: dict[str, list[int]] | None = Field(
        None, description="Candidates that another program has chosen, counted from 0 by run: graded, no others taken."
    )


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Select, and write the chosen candidates to ``selected.extxyz``, if there are any."""
    frames, names = [], []
    try:
        potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
        active_set = active_set_from_arrays(read_npz(task.folder / task_input.active_set), potential)
        for name in sorted(task_input.candidates):
            found = read_structures(task.folder / task_input.candidates[name])
            frames += found
            names += [name] * len(found)
        usable = [index for index, atoms in enumerate(frames) if not atoms_collide(atoms)]
        rows = []
        for done, index in enumerate(usable, start=1):
            rows.append(configuration_rows(potential, frames[index], active_set.mode))
            task.progress("grade candidates", done, len(usable))
            task.step(lambda: ({}, {}))  # nothing to keep: a selection that was stopped begins anew
        limits = {"threshold_select": task_input.grade_select, "limit": task_input.max_selected}
        if task_input.chosen is None:
            selection = select_configurations(rows, active_set, **limits)
        else:
            wanted = _positions(task_input.chosen, names)
            choice = [place for place, index in enumerate(usable) if index in wanted]
            selection = grade_choice(rows, active_set, choice, **limits)
    except ValueError as error:
        raise InputError(str(error)) from error
    chosen = [usable[index] for index in selection.indices]
    for index in chosen:
        frames[index].info["run"] = names[index]
    if chosen:
        write_structures(task.folder / "selected.extxyz", [frames[index] for index in chosen])
    return {
        "candidates": len(frames),
        "unusable": len(frames) - len(usable),
        "selected": len(chosen),
        "selected_by_run": {name: [names[index] for index in chosen].count(name) for name in sorted(set(names))},
        "max_grade": float(selection.before.max(initial=0.0)),
        "max_grade_after": float(selection.after.max(initial=0.0)),
        "complete": selection.complete,
    }


def _positions(chosen: dict[str, list[int]], names: list[str]) -> set[int]:
    """Positions among all candidates of those that were chosen by run."""
    positions = set()
    for run_name, indices in chosen.items():
        count = names.count(run_name)
        wrong = [index for index in indices if not 0 <= index < count]
        if wrong:
            raise ValueError(f"chosen: candidate {wrong[0]} of {run_name}, which has {count}: give those of this set")
        positions |= {names.index(run_name) + index for index in indices}
    return positions


def atoms_collide(atoms: Atoms) -> bool:
    """Whether two atoms are so close that a run had lost its way before it broke."""
    radii = covalent_radii[atoms.numbers]
    first, second, distances = primitive_neighbor_list(
        "ijd", atoms.pbc, atoms.cell.array, atoms.positions, 2 * SHORTEST_BOND * radii.max()
    )
    return bool(np.any(distances < SHORTEST_BOND * (radii[first] + radii[second])))
