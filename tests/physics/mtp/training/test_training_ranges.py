"""Minimum distance and cutoff from crystals whose shells are known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import Configuration
from aiida_iontherm.physics.mtp.training.ranges import (
    choose_cutoff,
    choose_min_distance,
    radial_distribution,
)


def entry(atoms: Atoms) -> Configuration:
    return Configuration(atoms, 0.0, np.zeros((len(atoms), 3)), None)


def test_min_distance_is_that_of_the_closest_pair():
    value, reason = choose_min_distance([entry(bulk("Cu", "fcc", a=3.6)), entry(Atoms("Ar")), entry(bulk("Al"))])
    assert value == round(0.95 * 3.6 / np.sqrt(2), 3)
    assert "2.546 Angstrom in Cu" in reason
    with pytest.raises(ValueError, match="isolated"):
        choose_min_distance([entry(Atoms("Ar"))])


def test_cutoff_lies_between_shells():
    """Rock salt, a = 5.6: shells at a/2 sqrt(n); between 4.5 and 6.5 they are at 4.85, 5.6 and 6.26 Angstrom."""
    cutoff, reason = choose_cutoff([entry(bulk("NaCl", "rocksalt", a=5.6))] * 3)
    shells = 2.8 * np.sqrt([1, 2, 3, 4, 5, 6])
    # Half the widest gap is 0.37; smoothed over 0.1 Angstrom the middle of a gap is empty.
    assert np.min(np.abs(shells - cutoff)) > 0.2
    assert "between 4.5 and 6.5" in reason
    assert choose_cutoff([entry(Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.0]]))])[0] == 5.0


def test_radial_distribution_counts_neighbours():
    copper = bulk("Cu", "fcc", a=3.6)
    distances, g = radial_distribution([entry(copper), entry(copper * (2, 1, 1))], 4.2)
    density = 1 / copper.cell.volume
    counts = density * 4 * np.pi * distances**2 * g * (distances[1] - distances[0])
    # Twelve neighbours at 2.546, six at 3.6 Angstrom; smoothing weighs the bins of a peak unevenly by 1 %.
    assert counts[distances < 3.1].sum() == pytest.approx(12, rel=0.01)
    assert counts[(distances > 3.1) & (distances < 4.1)].sum() == pytest.approx(6, rel=0.01)
