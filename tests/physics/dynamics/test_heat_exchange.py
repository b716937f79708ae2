"""Heat carried from slab to slab: what is given is taken, momenta stay, profiles add up to the currents."""

import numpy as np
import pytest
from ase import units

FS = units.fs
POWER = 0.05 / (100 * FS)  # eV in 100 fs


@pytest.fixture
def rod(moving):
    """Ten cells long, 320 atoms."""
    rod = moving * (5, 2, 2)
    rod.rattle(0.02, seed=1)
    momenta = rod.get_momenta()
    rod.set_momenta(momenta - rod.get_masses()[:, None] * momenta.sum(axis=0) / rod.get_masses().sum())
    return rod


def test_energy_and_momentum_are_conserved(binding_potential, rod, make_loop, sample):
    """Energy wanders no more than without exchange, of which there was a thousand times as much."""
    spread = []
    for power in (0.0, POWER):
        loop = make_loop(binding_potential, rod, 2.0)
        if power:
            loop.set_heat_exchange(0, 10, 0, 5, power)
        rows = sample(loop, 10_000, thermo=10, velocities=1000)
        np.testing.assert_allclose(rod.get_masses() @ rows["velocities"], 0, atol=1e-10)  # rounding
        spread.append(np.ptp(rows["thermo"][:, 2]))
    exchanged = POWER * 10_000 * 2.0 * FS
    assert spread[1] < 2 * spread[0]
    assert spread[1] < 0.02 * exchanged


def test_correction_of_third_order(binding_potential, rod, make_loop, sample):
    """Without the correction the energy of twice the atoms at three times the power rose by 0.09 eV in 0.4 ns."""
    loop = make_loop(binding_potential, rod, 4.0)
    loop.set_heat_exchange(0, 10, 0, 5, POWER)
    total = sample(loop, 40_000, thermo=20)["thermo"][:, 2]
    quarter = len(total) // 4
    assert abs(total[-quarter:].mean() - total[:quarter].mean()) < 0.5 * total.std()


def test_heat_of_a_slab(binding_potential, rod, make_loop, sample):
    """In one step kinetic energies of the two slabs change by power times timestep, those of the others do not."""
    changes = []
    for power in (0.0, POWER):
        loop = make_loop(binding_potential, rod, 0.5)
        if power:
            loop.set_heat_exchange(0, 10, 2, 7, power)
        changes.append(sample(loop, 1, profile=1, axis=0, slabs=10)["profile"][0])
    gained = 0.5 * (changes[1] - changes[0])[:, 1]
    expected = np.zeros(10)
    expected[2], expected[7] = 0.5 * FS * POWER, -0.5 * FS * POWER
    # Atoms that differ by what they gained in half a step give and take work of second order in the timestep.
    np.testing.assert_allclose(gained, expected, atol=0.01 * 0.5 * FS * POWER)
    assert changes[1][:, 0].sum() == len(rod)


def test_profile_adds_up_to_the_currents(binding_potential, rod, make_loop, sample):
    rows = sample(make_loop(binding_potential, rod, 2.0), 20, profile=10, currents=10, thermo=10, axis=1, slabs=7)
    # Sums in another order, of energies some hundred eV.
    np.testing.assert_allclose(
        rows["profile"][:, :, 2].sum(axis=1), rows["currents"][:, 0, :, 1].sum(axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(
        rows["profile"][:, :, 3].sum(axis=1), rows["currents"][:, 1, :, 1].sum(axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(0.5 * rows["profile"][:, :, 1].sum(axis=1), rows["thermo"][:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, 10, 0, 5, POWER), "the axis is 0, 1 or 2"),
        ((0, 0, 0, 0, POWER), "at least one slab"),
        ((0, 10, 0, 10, POWER), "two of those there are"),
        ((0, 10, 4, 4, POWER), "two of those there are"),
    ],
)
def test_wrong_slabs(binding_potential, rod, make_loop, arguments, words):
    with pytest.raises(ValueError, match=words):
        make_loop(binding_potential, rod, 2.0).set_heat_exchange(*arguments)


def test_more_heat_than_there_is(binding_potential, rod, make_loop, sample):
    loop = make_loop(binding_potential, rod, 2.0)
    loop.set_heat_exchange(0, 10, 0, 5, 1e4 * POWER)
    with pytest.raises(ValueError, match="exchange less heat"):
        sample(loop, 10)


def test_empty_reservoir(binding_potential, moving, make_loop, sample):
    loop = make_loop(binding_potential, moving, 2.0)
    loop.set_heat_exchange(0, 50, 0, 25, POWER)
    with pytest.raises(ValueError, match="fewer than two atoms"):
        sample(loop, 10)
