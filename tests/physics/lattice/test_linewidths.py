import dataclasses

import numpy as np
import pytest
from scipy import constants

from aiida_iontherm.physics.heat import mode_heat_capacity
from aiida_iontherm.physics.lattice import (
    Phonons,
    average_degenerate,
    boundary_gamma,
    degenerate_sets,
    matthiessen,
    two_channel,
)


@pytest.fixture
def one_band() -> Phonons:
    operator = np.zeros((1, 3, 1, 1), complex)
    operator[0, 2] = 1500.0
    return Phonons(
        frequencies_thz=np.array([[2.0]]),
        eigenvectors=np.ones((1, 1, 1), complex),
        velocity_operator=operator,
        weights=np.ones(1),
        qpoints=np.zeros((1, 3)),
        volume_A3=50.0,
        rotations=np.eye(3)[None],
        symbols=["Ar"],
        masses=np.array([39.9]),
    )


def test_boundary_alone_gives_heat_capacity_times_velocity_times_length(one_band):
    """Casimir's limit, kappa = C v L / V along the only velocity: pins gamma = v / (4 pi L) and its units."""
    length = 1e-7
    kappa = two_channel(one_band, boundary_gamma(one_band, length)[None], [300.0])
    expected = constants.k * mode_heat_capacity(2.0, 300.0) * 1500.0 * length / (50.0 * 1e-30)
    assert kappa.particle[0, 2, 2] == pytest.approx(expected, rel=1e-12)  # rounding
    with pytest.raises(ValueError, match="boundary length must be positive"):
        boundary_gamma(one_band, 0.0)


def test_boundary_does_not_depend_on_the_basis_of_degenerate_modes(one_band):
    operator = np.zeros((1, 3, 2, 2), complex)
    operator[0, 0] = np.diag([1000.0, 1000.0])
    operator[0, 1] = np.diag([1000.0, 3000.0])
    two = dataclasses.replace(one_band, frequencies_thz=np.array([[2.0, 2.0]]), velocity_operator=operator)
    gamma = boundary_gamma(two, 1e-6)
    assert gamma[0, 0] == gamma[0, 1]


def test_linewidths_of_separate_processes_add():
    three_phonon, isotope = np.ones((2, 3, 4)), np.full((3, 4), 0.5)
    np.testing.assert_array_equal(matthiessen(three_phonon, isotope), np.full((2, 3, 4), 1.5))
    with pytest.raises(ValueError, match="at least one"):
        matthiessen()


def test_degenerate_modes_share_their_mean():
    frequencies = np.array([[3.0, 1.0, 1.00005, 1.0001, 2.0]])
    # 1.0 and 1.0001 are apart by the tolerance but linked by the mode between them.
    np.testing.assert_array_equal(degenerate_sets(frequencies, 9e-5), [[2, 0, 0, 0, 1]])
    values = np.array([[[5.0, 1.0, 2.0, 6.0, 7.0]], [[0.0, 0.0, 0.0, 3.0, 0.0]]])
    expected = [[[5.0, 3.0, 3.0, 3.0, 7.0]], [[0.0, 1.0, 1.0, 1.0, 0.0]]]
    np.testing.assert_allclose(average_degenerate(frequencies, values, 9e-5), expected, rtol=1e-14)
