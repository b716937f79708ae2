import numpy as np
import pytest

from aiida_iontherm.physics.lattice.between_hops import between_hops


def vibrating(count, seed=0, amplitude=0.3):
    """Displacements of atoms that do not move on."""
    return np.random.default_rng(seed).normal(scale=amplitude, size=(count, 4, 3))


def test_all_of_a_crystal_without_hops():
    assert between_hops(vibrating(100), 1.2) == slice(0, 100)
    assert between_hops(vibrating(3), 1.2) == slice(0, 3)


@pytest.mark.parametrize("when", [30, 70])
def test_the_longer_side_of_a_hop(when):
    shifts = vibrating(100)
    shifts[when:, 1] += [0.0, 3.0, 0.0]
    stretch = between_hops(shifts, 1.2)
    if when == 70:
        assert stretch.start == 0
        # None after the hop; before it at most the seven that share a mean with one after it.
        assert when - 7 <= stretch.stop <= when
    else:
        # Away for good: what comes later is another crystal, even if it is longer.
        assert stretch == slice(0, stretch.stop)
        assert when - 7 <= stretch.stop <= when


def test_an_excursion_and_the_way_back():
    shifts = vibrating(100)
    shifts[20:40, 0, 2] += 2.6
    stretch = between_hops(shifts, 1.2)
    assert stretch.stop == 100
    assert 40 <= stretch.start <= 47


def test_never_on_site():
    shifts = vibrating(50)
    shifts[:, 0] += 3.0
    assert between_hops(shifts, 1.2) == slice(0, 0)
