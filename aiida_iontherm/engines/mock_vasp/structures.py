"""Write CONTCAR and XDATCAR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.constraints import FixAtoms, FixScaled

from aiida_iontherm.engines.mock_vasp import basis
from aiida_iontherm.engines.mock_vasp.settings import DYNAMICS

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.engines.mock_vasp.results import Run


def contcar(run: Run, until: int | None = None) -> str:
    """Return CONTCAR of a run, or of one that was stopped after so many ionic steps: empty before the first.

    The velocity block is in Angstrom/fs; zeros where nothing moves by Newton's law, and nothing after a stop.
    """
    if until == 0:
        return ""
    inputs = run.inputs
    step = run if until is None else run.steps[until - 1]
    free = _free_coordinates(inputs.atoms)
    flags = [""] * len(inputs.atoms)
    if not free.all():
        flags = [" " + "".join(f"   {'T' if axis else 'F'}" for axis in row) for row in free]
    positions = "".join(
        f"{''.join(f'{x:20.16f}' for x in row)}{flag}\n" for row, flag in zip(step.positions, flags, strict=True)
    )
    velocities = np.zeros_like(step.positions) if run.velocities is None else run.velocities
    block = "" if until is not None else "".join(f"{''.join(f'{x:16.8E}' for x in row)}\n" for row in velocities)
    return (
        f"{inputs.comment}\n   1.00000000000000     \n"
        + "".join(f"{''.join(f'{x:22.16f}' for x in row)}\n" for row in step.cell)
        + "".join(f"   {potcar.element:2s}" for potcar in inputs.potcars)
        + f"\n{''.join(f'{count:6d}' for count in inputs.counts)}\n"
        + ("" if free.all() else "Selective dynamics\n")
        + f"Direct\n{positions}\n{block}"
    )


def head(run: Run) -> str:
    """Return the head of XDATCAR."""
    return _frame_head(run, 0)


def electronic(run: Run, index: int) -> str:
    """Return nothing: nothing is written to XDATCAR before the ions move."""
    return ""


def ionic(run: Run, index: int) -> str:
    """Return one configuration of XDATCAR, every NBLOCK steps; the cell is written again where it changes."""
    settings = run.inputs.settings
    block = settings.nblock if settings.ibrion == DYNAMICS else 1
    if (index + 1) % block:
        return ""
    repeated = _frame_head(run, index) if settings.isif > 2 and index else ""
    rows = "".join(f"{''.join(f'{x:12.8f}' for x in row)}\n" for row in run.steps[index].positions)
    return f"{repeated}Direct configuration={index + 1:6d}\n{rows}"


def tail(run: Run) -> str:
    """Return nothing."""
    return ""


def _frame_head(run: Run, index: int) -> str:
    inputs = run.inputs
    cell = run.steps[index].cell
    return (
        f"{basis.title(inputs)}\n           1\n"
        + "".join(f" {''.join(f'{x:12.6f}' for x in row)}\n" for row in cell)
        + "".join(f"   {potcar.element:2s}" for potcar in inputs.potcars)
        + f"\n{''.join(f'{count:4d}' for count in inputs.counts)}\n"
    )


def _free_coordinates(atoms: Atoms) -> np.ndarray:
    """Which fractional coordinates may move [n, 3]."""
    free = np.ones((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            free[constraint.get_indices()] = False
        elif isinstance(constraint, FixScaled):
            free[constraint.get_indices()] &= ~np.asarray(constraint.mask)
    return free
