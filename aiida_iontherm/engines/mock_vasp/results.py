"""What a run found, in VASP's units: the one record that all writers read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units

from aiida_iontherm.engines.mock_vasp.electronic import ElectronicSteps, electronic_steps

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs

KILOBAR = 0.1 * units.GPa
"""1 kB in eV/Angstrom^3."""


@dataclass(frozen=True)
class Motion:
    """Kinetic energy [eV], temperature [K] and energy in the thermostat [eV] of a step of molecular dynamics."""

    kinetic: float
    temperature: float
    thermostat: float


@dataclass(frozen=True)
class IonicStep:
    """One configuration: cell [3, 3] in Angstrom, fractional positions [n, 3], energies in eV, forces in eV/Angstrom.

    ``stress`` [3, 3] has VASP's sign and unit, kB: positive where the cell wants to expand. None where ISIF is 0.
    """

    cell: np.ndarray
    positions: np.ndarray
    energy_free: float
    energy_without_entropy: float
    energy_zero: float
    forces: np.ndarray
    stress: np.ndarray | None
    electronic: ElectronicSteps
    motion: Motion | None = None

    @property
    def volume(self) -> float:
        """Volume of the cell, Angstrom^3."""
        return abs(float(np.linalg.det(self.cell)))


@dataclass(frozen=True)
class Run:
    """A run: its inputs, its ionic steps, the structure it leaves behind, and whether EDIFFG was reached.

    ``velocities`` [n, 3] are in Angstrom/fs, None where no molecular dynamics was done. ``engine`` is written into the
    files, so that nobody takes them for VASP's.
    """

    inputs: Inputs
    steps: tuple[IonicStep, ...]
    cell: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None = None
    reached: bool = False
    engine: str = ""

    @property
    def electronic_step_count(self) -> int:
        """Electronic steps of all ionic steps together; what the timings are made of."""
        return sum(len(step.electronic.energies) for step in self.steps)


def observe(
    atoms: Atoms, inputs: Inputs, first: bool, stuck: bool, motion: Motion | None = None, wrap: bool = False
) -> IonicStep:
    """Turn the state of the calculator of `atoms` into an ionic step.

    The free energy is the one whose derivative the forces are; that at zero smearing is half-way between it and the
    energy without entropy. Positions leave [0, 1) in relaxations only, as in VASP.
    """
    settings = inputs.settings
    forces = atoms.get_forces(apply_constraint=False).copy()
    zero = float(atoms.calc.results["energy"])
    free = float(atoms.calc.results.get("free_energy", zero))
    stress = None
    if settings.stress:
        stress = -atoms.get_stress(voigt=False, apply_constraint=False) / KILOBAR
    steps = electronic_steps(free, len(atoms), first, settings.ediff, settings.nelm, settings.nelmin, stuck)
    return IonicStep(
        cell=atoms.cell.array.copy(),
        positions=atoms.get_scaled_positions(wrap=wrap),
        energy_free=steps.energies[-1],
        energy_without_entropy=steps.energies[-1] + 2 * (zero - free),
        energy_zero=steps.energies[-1] + zero - free,
        forces=forces,
        stress=stress,
        electronic=steps,
        motion=motion,
    )
