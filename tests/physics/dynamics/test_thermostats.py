"""Heat baths of the compiled loop: canonical distributions, conserved quantity, centre of mass, repeatable numbers."""

import numpy as np
import pytest
from ase import units
from scipy import stats

FS = units.fs
TEMPERATURE_K = 300.0
KT = units.kB * TEMPERATURE_K
BATHS = {
    "langevin": {"name": "langevin", "kt": KT, "time": 100 * FS, "seed": 7},
    "bussi": {"name": "bussi", "kt": KT, "time": 50 * FS, "seed": 7},
    "nose-hoover": {"name": "nose-hoover", "kt": KT, "time": 20 * FS},
}


@pytest.fixture(params=BATHS)
def bath(request):
    return BATHS[request.param]


@pytest.mark.parametrize("frozen", [(), (1, 4)])
def test_kinetic_energy_has_the_canonical_distribution(binding_potential, moving, make_loop, sample, bath, frozen):
    """A gamma distribution of half the degrees of freedom: its mean, its variance and its shape."""
    loop = make_loop(binding_potential, moving, 2.0, frozen=frozen, thermostat=bath)
    sample(loop, 2000)
    # One sample in 0.4 ps, several times the memory of the kinetic energy.
    kinetic = sample(loop, 100_000, thermo=200)["thermo"][:, 0]
    assert loop.degrees == (21 if frozen == () else 18)
    # Seeds are fixed, so passing is no matter of luck. Of 500 samples a mean that is 3 % off has p < 0.01; three
    # degrees of freedom more would be 14 %. The bias of the integrator is (timestep times frequency)^2 / 4, some 0.2 %.
    assert stats.kstest(kinetic, stats.gamma(loop.degrees / 2, scale=KT).cdf).pvalue > 0.02


def test_every_component_is_normal_with_friction(binding_potential, moving, make_loop, sample):
    """Velocities of each atom and direction, of two masses, with the share of the centre of mass taken out."""
    strong = {"name": "langevin", "kt": KT, "time": 5 * FS, "seed": 3}
    rows = sample(make_loop(binding_potential, moving, 1.0, thermostat=strong), 60_000, velocities=60)
    masses = moving.get_masses()
    left = 1 - masses / masses.sum()
    scaled = rows["velocities"] * np.sqrt(masses / (KT * left))[:, None]
    for component in scaled.reshape(len(scaled), -1).T:
        # 24 tests with fixed seeds: the least p of so many is expected at 0.04.
        assert stats.kstest(component, stats.norm.cdf).pvalue > 1e-3
    correlations = np.corrcoef(scaled[:, :, 0].T)
    expected = -np.sqrt(np.outer(masses, masses)) / masses.sum() / np.sqrt(np.outer(left, left))
    np.fill_diagonal(expected, 1.0)
    # Four standard errors of 1000 samples.
    np.testing.assert_allclose(correlations, expected, atol=4 / np.sqrt(1000))


def test_potential_energy_of_a_harmonic_crystal(binding_potential, crystal, make_loop, sample, bath):
    """Cold enough to be harmonic: half kT for each of the 21 modes, and the gamma distribution of their sum."""
    kt = units.kB * 30
    cold = {"name": "langevin", "kt": kt, "time": 100 * FS, "seed": 11}
    loop = make_loop(binding_potential, crystal, 2.0, thermostat=cold)
    sample(loop, 4000)  # Langevin's heats all modes, also for the others
    loop.set_thermostat(**(bath | {"kt": kt}))
    potential = sample(loop, 100_000, thermo=200)["thermo"][:, 1]
    above = potential - binding_potential.evaluate(crystal).energy
    # 500 samples of a relative spread of 31 %: a standard error of 1.4 %, three of them.
    assert above.mean() == pytest.approx(21 / 2 * kt, rel=0.042)
    # Fixed seeds again; anharmonic terms are some 1e-3 of the energy at this temperature.
    assert stats.kstest(above, stats.gamma(21 / 2, scale=kt).cdf).pvalue > 0.02


def test_energy_with_that_of_the_bath_is_conserved(binding_potential, moving, make_loop, sample, bath):
    """Not the sum of the atoms', which the bath changes by a thousand times as much."""
    spread = []
    for timestep, steps in ((2.0, 1000), (1.0, 2000)):
        thermo = sample(make_loop(binding_potential, moving, timestep, thermostat=bath), steps, thermo=1)["thermo"]
        assert thermo[:, 2].std() < 0.03 * (thermo[:, 0] + thermo[:, 1]).std()
        spread.append(thermo[:, 2].std())
    # Of second order, as Verlet's error; with noise it walks at random, other numbers in the two runs.
    assert 1.5 < spread[0] / spread[1] < 12


def test_centre_of_mass_stays_at_rest(binding_potential, moving, make_loop, sample, bath):
    rows = sample(make_loop(binding_potential, moving, 2.0, thermostat=bath), 500, positions=50, velocities=50)
    # Rounding of 500 steps.
    np.testing.assert_allclose(rows["centres"], np.tile(moving.get_center_of_mass(), (10, 1)), atol=1e-11)
    np.testing.assert_allclose(moving.get_masses() @ rows["velocities"], 0, atol=1e-11)


def test_chain_can_be_turned_round(binding_potential, moving, make_loop, sample):
    """Nose and Hoover's equations know no direction of time if the velocities of the bath turn too."""
    loop = make_loop(binding_potential, moving, 2.0, thermostat=BATHS["nose-hoover"])
    sample(loop, 100)
    loop.set_state(loop.positions, -loop.velocities, 0)
    loop.thermostat_memory = loop.thermostat_memory * [1, 1, 1, -1, -1, -1]
    sample(loop, 100)
    # Rounding, there and back.
    np.testing.assert_allclose(loop.positions, moving.positions, atol=1e-9)
    np.testing.assert_allclose(loop.thermostat_memory, 0, atol=1e-8)


@pytest.mark.parametrize("name", ["langevin", "bussi"])
def test_seeds(binding_potential, moving, make_loop, sample, name):
    def last(seed):
        loop = make_loop(binding_potential, moving, 2.0, thermostat=BATHS[name] | {"seed": seed})
        sample(loop, 20)
        return loop.positions

    np.testing.assert_array_equal(last(1), last(1))
    # The upper half of the seed counts too.
    for other in (2, 1 + 2**32):
        assert np.abs(last(1) - last(other)).max() > 1e-4


def test_memory_of_another_bath_is_refused(binding_potential, moving, make_loop):
    loop = make_loop(binding_potential, moving, 2.0, thermostat=BATHS["nose-hoover"])
    with pytest.raises(ValueError, match="memory of the thermostat has another length"):
        loop.thermostat_memory = np.zeros(1)
