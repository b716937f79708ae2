"""Single points and relaxations with ASE's optimisers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.optimize.sciopt import OptimizerConvergenceError, SciPyFminCG

from aiida_iontherm.engines.mock_vasp.dynamics import molecular_dynamics
from aiida_iontherm.engines.mock_vasp.results import IonicStep, Run, observe
from aiida_iontherm.engines.mock_vasp.settings import CONJUGATE_GRADIENTS, DYNAMICS, STATIC

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from ase.optimize.optimize import Optimizer

    from aiida_iontherm.engines.mock_vasp.inputs import Inputs

CREEP = 1e-3
"""Largest displacement a step [Angstrom] of a relaxation that is not to arrive."""


def calculate(inputs: Inputs, calculator: Calculator, stuck: bool = False, creep: bool = False) -> Run:
    """Do what INCAR asks for.

    Parameters
    ----------
    inputs : Inputs
        The checked input files.
    calculator : ase Calculator
        Supplies energies, forces and stresses.
    stuck : bool
        The electronic steps do not converge.
    creep : bool
        A relaxation makes steps too small to arrive, and does not stop before NSW.
    """
    atoms = inputs.atoms.copy()
    atoms.calc = calculator
    settings = inputs.settings
    if settings.nsw <= 0 or settings.ibrion == STATIC:
        step = observe(atoms, inputs, first=True, stuck=stuck, wrap=True)
        return Run(inputs, (step,), step.cell, step.positions)
    if settings.ibrion == DYNAMICS:
        return molecular_dynamics(atoms, inputs, stuck)
    return _relax(atoms, inputs, stuck, creep)


class _Finished(Exception):
    """EDIFFG was reached, or NSW."""


class _Recorder:
    """Makes an ionic step of every new configuration, and says when it is enough."""

    def __init__(self, target: Any, atoms: Atoms, inputs: Inputs, stuck: bool, creep: bool) -> None:
        self.target, self.atoms, self.inputs, self.stuck, self.creep = target, atoms, inputs, stuck, creep
        self.steps: list[IonicStep] = []
        self.reached = False

    def __call__(self) -> None:
        step = observe(self.atoms, self.inputs, not self.steps, self.stuck)
        # Optimisers report the end of a line search once more.
        if self.steps and all(
            np.array_equal(getattr(step, name), getattr(self.steps[-1], name)) for name in ("positions", "cell")
        ):
            return
        self.steps.append(step)
        ediffg = self.inputs.settings.ediffg
        self.reached = not self.creep and _converged(self.atoms, self.target, self.steps, ediffg)
        if self.reached or len(self.steps) == self.inputs.settings.ionic_steps:
            raise _Finished

    def rest(self) -> None:
        """Make the steps of a crystal in which nothing moves any more: the second tells VASP that it has arrived."""
        most = self.inputs.settings.ionic_steps
        while len(self.steps) < (most if self.creep else min(2, most)):
            self.steps.append(observe(self.atoms, self.inputs, False, self.stuck))
        self.reached = not self.creep


def _relax(atoms: Atoms, inputs: Inputs, stuck: bool, creep: bool) -> Run:
    """Move ions, and cell where ISIF says so; every configuration computed is an ionic step, trial steps too."""
    settings = inputs.settings
    if settings.isym > 0 and not atoms.constraints:
        atoms.set_constraint(FixSymmetry(atoms, symprec=settings.symprec))
    target: Any = atoms
    if settings.isif > 2:
        target = FrechetCellFilter(atoms, constant_volume=settings.isif == 4, hydrostatic_strain=settings.isif == 8)
    record = _Recorder(target, atoms, inputs, stuck, creep)
    try:
        if settings.ibrion == CONJUGATE_GRADIENTS and not creep:
            _follow(SciPyFminCG(target, logfile=None, callback_always=True), record)
        # Quasi-Newton is asked for, or the line search is lost in rounding.
        _follow(BFGS(target, logfile=None, maxstep=CREEP if creep else 0.2), record)
        record.rest()
    except _Finished:
        pass
    last = record.steps[-1]
    return Run(inputs, tuple(record.steps), last.cell, last.positions, reached=record.reached)


def _follow(optimiser: Optimizer, record: _Recorder) -> None:
    """Run an optimiser to the end of its wits; `record` ends it before."""
    optimiser.attach(record)
    with suppress(OptimizerConvergenceError):
        optimiser.run(fmax=1e-12, steps=10 * record.inputs.settings.nsw)


def _converged(atoms: Atoms, target: Any, steps: list[IonicStep], ediffg: float) -> bool:
    """EDIFFG < 0: all forces, on the cell too, are below it; EDIFFG > 0: the energy changed by less."""
    if ediffg < 0:
        # Filters scale the forces on the atoms by the strain: only those on the cell are taken from them.
        forces = np.concatenate([atoms.get_forces(), target.get_forces().reshape(-1, 3)[len(atoms) :]])
        return float(np.linalg.norm(forces, axis=1).max()) < -ediffg
    return len(steps) > 1 and abs(steps[-1].energy_free - steps[-2].energy_free) < ediffg
