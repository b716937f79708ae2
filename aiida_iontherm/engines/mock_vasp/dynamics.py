"""Molecular dynamics (IBRION = 0) with ASE's integrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet

from aiida_iontherm.engines.mock_vasp.errors import VaspStop
from aiida_iontherm.engines.mock_vasp.results import IonicStep, Motion, Run, observe
from aiida_iontherm.engines.mock_vasp.settings import RESCALING

if TYPE_CHECKING:
    from ase.md.md import MolecularDynamics

    from aiida_iontherm.engines.mock_vasp.inputs import Inputs
    from aiida_iontherm.engines.mock_vasp.settings import Settings


def molecular_dynamics(atoms: Atoms, inputs: Inputs, stuck: bool) -> Run:
    """Run NSW steps: the forces of each configuration, its kinetic energy, then the move to the next.

    The structure left behind is the one after the last move, with its velocities: a run started from it goes on where
    this one stopped. The centre of mass rests. Every random number comes from RANDOM_SEED, or from the hash of the
    inputs.

    Raises
    ------
    VaspStop
        If there is one atom alone, or POSCAR fixes coordinates.
    """
    settings = inputs.settings
    if len(atoms) < 2:
        raise VaspStop("ERROR: one atom alone cannot move: molecular dynamics needs two.")
    if atoms.constraints:
        raise VaspStop("ERROR: selective dynamics with IBRION = 0 is beyond this stand-in for VASP.")
    rng = np.random.default_rng(settings.random_seed or int(inputs.key[:16], 16))
    if not np.any(atoms.get_momenta()):
        _thermalise(atoms, settings.tebeg, rng)
    integrator = _integrator(atoms, settings, inputs.counts, rng)
    steps: list[IonicStep] = []
    for index in range(settings.nsw):
        target = settings.tebeg + (settings.teend - settings.tebeg) * index / max(1, settings.nsw - 1)
        if isinstance(integrator, Langevin):
            integrator.set_temperature(temperature_K=target)
        elif settings.smass == RESCALING and index % settings.nblock == 0:
            _scale(atoms, target)
        steps.append(observe(atoms, inputs, not steps, stuck, _motion(atoms, integrator), wrap=True))
        integrator.run(1)
    velocities = atoms.get_velocities() * units.fs
    return Run(inputs, tuple(steps), atoms.cell.array.copy(), atoms.get_scaled_positions(wrap=True), velocities)


def temperature(atoms: Atoms) -> float:
    """Return the temperature of 3 n - 3 degrees of freedom, the centre of mass being at rest, K."""
    return 2 * float(atoms.get_kinetic_energy()) / (3 * (len(atoms) - 1) * units.kB)


def _thermalise(atoms: Atoms, kelvin: float, rng: np.random.Generator) -> None:
    """Maxwell-Boltzmann velocities without drift, scaled to the temperature exactly."""
    masses = atoms.get_masses()[:, None]
    velocities = rng.standard_normal((len(atoms), 3)) / np.sqrt(masses)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    atoms.set_velocities(velocities)
    _scale(atoms, kelvin)


def _scale(atoms: Atoms, kelvin: float) -> None:
    atoms.set_momenta(atoms.get_momenta() * np.sqrt(kelvin / temperature(atoms)), apply_constraint=False)


def _integrator(
    atoms: Atoms, settings: Settings, counts: tuple[int, ...], rng: np.random.Generator
) -> MolecularDynamics:
    timestep = settings.potim * units.fs
    if settings.mdalgo == 3:
        atoms.set_constraint(FixCom())
        friction = np.repeat(settings.langevin_gamma, counts)[:, None] / (1000 * units.fs)
        return Langevin(atoms, timestep, temperature_K=settings.tebeg, friction=friction, fixcm=False, rng=rng)
    if settings.mdalgo in (0, 2) and settings.smass >= 0:
        # ASE counts 3 n degrees of freedom, the centre of mass takes three of them away.
        kelvin = settings.tebeg * (len(atoms) - 1) / len(atoms)
        damping = _nose_time(atoms, settings, kelvin) * units.fs
        return NoseHooverChainNVT(atoms, timestep, temperature_K=kelvin, tdamp=damping, tchain=1)
    return VelocityVerlet(atoms, timestep)


def _nose_time(atoms: Atoms, settings: Settings, kelvin: float) -> float:
    """Time scale sqrt(Q / (3 n k T)) of the thermostat, fs.

    SMASS = 0 asks for oscillations of 40 time steps; their angular frequency is sqrt(2) over this time scale. Else the
    mass Q is SMASS, in u times the square of the first lattice vector.
    """
    if settings.smass == 0:
        return float(np.sqrt(2) * 40 * settings.potim / (2 * np.pi))
    mass = settings.smass * float(atoms.cell.lengths()[0]) ** 2
    return float(np.sqrt(mass / (3 * len(atoms) * units.kB * kelvin)) / units.fs)


def _motion(atoms: Atoms, integrator: Any) -> Motion:
    kinetic = float(atoms.get_kinetic_energy())
    thermostat = 0.0
    if isinstance(integrator, NoseHooverChainNVT):
        # Its `get_conserved_energy` wants calculators to give a free energy, which not all do.
        thermostat = float(integrator._thermostat.get_thermostat_energy())
    return Motion(kinetic, temperature(atoms), thermostat)
