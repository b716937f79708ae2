"""Heat and mass currents of the compiled loop: their definition in NumPy, and d/dt sum_i r_i E_i of a free cluster."""

import numpy as np
import pytest
from ase import Atoms, units

FS = units.fs


@pytest.fixture
def cluster(moving) -> Atoms:
    """The eight atoms in a vacuum, flying apart."""
    moving.set_pbc(False)
    return moving


@pytest.fixture
def many_body_potential(binding_potential):
    """Nothing binds and nothing is negligible: good for some femtoseconds."""
    rng = np.random.default_rng(6)
    return binding_potential.replace(moment_coeffs=0.05 * rng.normal(size=binding_potential.moment_coeffs.shape))


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def currents_of(potential, atoms):
    """Definition: [kind, species, axis]."""
    evaluation = potential.evaluate(atoms)
    velocities, masses = atoms.get_velocities(), atoms.get_masses()
    energies = evaluation.energies + 0.5 * masses * np.sum(velocities**2, axis=1)
    result = np.zeros((3, len(potential.species), 3))
    for k, symbol in enumerate(potential.species):
        of = np.array(atoms.get_chemical_symbols()) == symbol
        result[0, k] = np.einsum("jab,jb->a", evaluation.virials[of], velocities[of])
        result[1, k] = energies[of] @ velocities[of]
        result[2, k] = masses[of] @ velocities[of]
    return result


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("thermostat", [None, {"name": "langevin", "kt": 0.03, "time": 50 * FS, "seed": 2}])
def test_currents_are_those_of_their_definition(binding_potential, moving, make_loop, sample, threads, thermostat):
    loop = make_loop(binding_potential, moving, 2.0, threads=threads, thermostat=thermostat)
    rows = sample(loop, 30, positions=10, velocities=10, currents=10)
    for positions, velocities, currents in zip(rows["positions"], rows["velocities"], rows["currents"], strict=True):
        moving.positions = positions
        moving.set_velocities(velocities)
        # Another order of sums; velocities go through momenta.
        np.testing.assert_allclose(currents, currents_of(binding_potential, moving), atol=1e-11)
        # All mass together rests.
        np.testing.assert_allclose(currents[2].sum(axis=0), 0, atol=1e-11)


def test_heat_current_of_a_free_cluster(many_body_potential, cluster, make_loop, sample):
    """J = d/dt sum_i r_i E_i, by central differences along the trajectory.

    This is what singles out the virials of `Evaluation.virials`: with the transposed ones it fails.
    """
    errors = []
    for timestep, steps in ((0.1, 41), (0.05, 82)):
        loop = make_loop(many_body_potential, cluster, timestep)
        rows = sample(loop, steps, positions=1, velocities=1, currents=1)
        moments, transposed = [], []
        for positions, velocities in zip(rows["positions"], rows["velocities"], strict=True):
            cluster.positions = positions
            evaluation = many_body_potential.evaluate(cluster)
            energies = evaluation.energies + 0.5 * cluster.get_masses() * np.sum(velocities**2, axis=1)
            moments.append(energies @ positions)
            transposed.append(energies @ velocities + np.einsum("jba,jb->a", evaluation.virials, velocities))
        rates = (np.array(moments[2:]) - moments[:-2]) / (2 * timestep * FS)
        heat = rows["currents"][1:-1, :2].sum(axis=(1, 2))
        errors.append(rms(heat - rates) / rms(heat))
        assert rms(transposed[1:-1] - rates) > 100 * rms(heat - rates)
    # Relative to the current; difference quotient and trajectory are both of second order.
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_energy_offsets_of_species_add_their_mass_current(binding_potential, moving, make_loop, sample):
    """What the reduction to zero mass flux takes out: only the convective part knows it, and only of that species."""
    shift = np.array([1.0, 0.0])
    shifted = binding_potential.replace(species_coeffs=binding_potential.species_coeffs + shift)
    first, second = (
        sample(make_loop(potential, moving, 2.0), 20, currents=5)["currents"]
        for potential in (binding_potential, shifted)
    )
    copper = moving.get_masses()[1]
    # Rounding: of energies of 30 eV and currents of 10.
    np.testing.assert_allclose(second[:, 0], first[:, 0], atol=1e-11)
    np.testing.assert_allclose(second[:, 1, 0] - first[:, 1, 0], shift[0] * first[:, 2, 0] / copper, atol=1e-11)
    np.testing.assert_allclose(second[:, 1, 1], first[:, 1, 1], atol=1e-11)


def test_frozen_atoms_carry_nothing(binding_potential, moving, make_loop, sample):
    copper = tuple(np.flatnonzero(moving.numbers == 29).tolist())
    currents = sample(make_loop(binding_potential, moving, 2.0, frozen=copper), 10, currents=5)["currents"]
    np.testing.assert_array_equal(currents[:, :, 0], 0.0)
    assert np.abs(currents[:, :, 1]).min() > 0
