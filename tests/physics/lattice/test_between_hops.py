import numpy as np
import pytest

from aiida_iontherm.physics.lattice.between_hops import between_hops


def vibrating(count, seed=0, amplitude=0.3):
    """Displacements of atoms that do not move on."""
    return np.random.default_rng(seed).normal(scale=amplitude, size=(count, 4, 3))


def test_all_of_a_crystal_without_hops():
    assert between_hops(vibrating(100), 1.2).all()
    assert between_hops(vibrating(3), 1.2).all()


@pytest.mark.parametrize("when", [30, 70])
def test_one_side_of_a_hop(when):
    """None after it; before it all but those few whose surroundings are half behind it."""
    shifts = vibrating(100)
    shifts[when:, 1] += [0.0, 3.0, 0.0]
    kept = between_hops(shifts, 1.2)
    assert not kept[when:].any()
    assert kept[: when - 2].all()


def test_an_excursion_and_the_way_back():
    """Both stretches around it are used."""
    shifts = vibrating(100)
    shifts[20:40, 0, 2] += 2.6
    kept = between_hops(shifts, 1.2)
    assert not kept[20:39].any()
    assert kept[:18].all()
    assert kept[42:].all()


def test_never_on_site():
    shifts = vibrating(50)
    shifts[:, 0] += 3.0
    assert not between_hops(shifts, 1.2).any()
