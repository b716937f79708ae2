"""Crystals that hold together, and the compiled loop without the blocks around it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp import MomentTensorPotential


@pytest.fixture(scope="session")
def binding_potential() -> MomentTensorPotential:
    """Repulsive pairs, which a fixed volume holds in a crystal, and many-body terms of two fifths of their forces.

    Angular frequencies of the crystal below are 18 to 63 per ps.
    """
    blank = MomentTensorPotential.new(level=8, species=["Cu", "I"], cutoff=3.3, min_distance=1.5, radial_size=3, seed=1)
    radial = 0.05 * np.random.default_rng(2).normal(size=blank.radial_coeffs.shape)
    radial[:, :, :, 0] += 1.0
    coefficients = -1e-3 * np.random.default_rng(3).normal(size=blank.moment_coeffs.shape)
    coefficients[0] = 1.0
    return blank.replace(moment_coeffs=coefficients, radial_coeffs=radial, species_coeffs=np.array([-1.0, 0.5]))


@pytest.fixture(scope="session")
def no_forces(binding_potential: MomentTensorPotential) -> MomentTensorPotential:
    """Of particles that do not see each other."""
    return binding_potential.replace(
        moment_coeffs=np.zeros_like(binding_potential.moment_coeffs), species_coeffs=np.zeros(2)
    )


@pytest.fixture
def crystal() -> Atoms:
    """Eight atoms of two species on a face-centred lattice."""
    atoms = bulk("Cu", "fcc", a=3.82, cubic=True) * (2, 1, 1)
    atoms.symbols[::2] = "I"
    return atoms


@pytest.fixture
def moving(crystal: Atoms) -> Atoms:
    """The crystal with displacements and velocities of a hot one, centre of mass at rest."""
    rng = np.random.default_rng(4)
    crystal.rattle(0.1, seed=5)
    momenta = rng.normal(size=(len(crystal), 3)) * np.sqrt(crystal.get_masses() * units.kB * 900)[:, None]
    crystal.set_momenta(momenta - crystal.get_masses()[:, None] * momenta.sum(axis=0) / crystal.get_masses().sum())
    return crystal


@pytest.fixture
def make_loop() -> Callable[..., _native.MolecularDynamics]:
    """Loop of some atoms from where they are, in ASE's units."""

    def make(
        potential: MomentTensorPotential,
        atoms: Atoms,
        timestep_fs: float,
        *,
        frozen: tuple[int, ...] = (),
        threads: int = 1,
        thermostat: dict[str, Any] | None = None,
    ) -> _native.MolecularDynamics:
        types = np.array([potential.species.index(symbol) for symbol in atoms.get_chemical_symbols()], dtype=np.int32)
        loop = _native.MolecularDynamics(
            potential.compiled,
            types,
            atoms.get_masses(),
            np.isin(np.arange(len(atoms)), frozen),
            atoms.cell.array,
            np.asarray(atoms.pbc),
            timestep_fs * units.fs,
            0.2,
            threads,
        )
        if thermostat is not None:
            loop.set_thermostat(**thermostat)
        loop.set_state(atoms.positions, atoms.get_velocities(), 0)
        return loop

    return make


@pytest.fixture
def sample() -> Callable[..., dict[str, np.ndarray]]:
    """Run a loop and return its rows; `strides` are those of `_native.Sampling`."""

    def run(loop: _native.MolecularDynamics, steps: int, **strides: int) -> dict[str, np.ndarray]:
        everyone = np.arange(len(loop.positions), dtype=np.int32)
        made, rows = loop.run(steps, _native.Sampling(everyone, everyone, **strides), 1e12)
        assert made == steps
        return rows

    return run
