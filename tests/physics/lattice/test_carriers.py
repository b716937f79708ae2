"""Who carries the heat: sums that must come out whole, and the limit of Allen and Feldman."""

import numpy as np
import pytest

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.carriers import (
    allen_feldman,
    average_diffuson_frequency,
    by_species,
    cumulative,
    mean_free_paths_nm,
)
from aiida_iontherm.physics.lattice.modes import atom_shares
from aiida_iontherm.physics.lattice.pair_sum import PairSum
from aiida_iontherm.physics.units import KB

TEMPERATURE = 300.0


@pytest.fixture(scope="module")
def phonons(cucl) -> Phonons:
    return Phonons.from_phonopy(cucl, (5, 5, 5))


@pytest.fixture(scope="module")
def pairs(phonons) -> PairSum:
    return PairSum.of(phonons)


@pytest.fixture(scope="module")
def contributions(phonons, pairs):
    return pairs.by_mode(0.02 * np.abs(phonons.frequencies_thz), TEMPERATURE)


def test_cumulative_ends_at_the_whole_and_its_steps_are_the_modes(phonons, pairs, contributions):
    frequencies = phonons.frequencies_thz
    particle, wave = pairs.channels(0.02 * np.abs(frequencies), TEMPERATURE)
    limits = np.linspace(0, frequencies.max(), 50)
    total = cumulative(frequencies, contributions[0] + contributions[1], limits)
    # the same numbers added in another order
    np.testing.assert_allclose(total[-1], particle + wave, rtol=1e-12, atol=1e-12)
    below = frequencies <= limits[20]
    np.testing.assert_allclose(
        total[20, 0, 0], (contributions[0] + contributions[1])[below][:, 0].sum(), rtol=1e-12, atol=1e-15
    )
    assert np.all(np.diff(cumulative(frequencies, contributions[0], limits)[:, 0, 0]) >= 0)


def test_mean_free_path_times_velocity_and_capacity_is_the_phonon_gas(phonons, contributions):
    """kappa = 1/3 sum C v Lambda for a cubic crystal, where no two modes are degenerate."""
    frequencies = phonons.frequencies_thz
    gamma = 0.02 * np.abs(frequencies)
    paths = mean_free_paths_nm(phonons, gamma)
    q = int(np.argmax(np.diff(frequencies, axis=1).min(axis=1)))
    speeds = np.linalg.norm(np.einsum("ass->sa", phonons.velocity_operator[q]).real, axis=1)
    from aiida_iontherm.physics.heat import mode_heat_capacity

    capacity = KB * mode_heat_capacity(frequencies[q], TEMPERATURE)
    scale = phonons.weights[q] / phonons.weights.sum() / (phonons.volume_A3 * 1e-30)
    expected = scale * capacity * speeds * paths[q] * 1e-9 / 3
    trace = contributions[0][q, :, :3].sum(axis=1) / 3
    np.testing.assert_allclose(trace, expected, rtol=1e-9)  # rounding alone


def test_modes_without_a_linewidth_have_no_path(phonons):
    gamma = 0.02 * np.abs(phonons.frequencies_thz)
    gamma[3, 2] = 0.0
    assert np.isnan(mean_free_paths_nm(phonons, gamma)[3, 2])


def test_species_add_up_and_a_species_that_does_not_move_carries_nothing(phonons, contributions):
    shares = atom_shares(phonons.eigenvectors)
    part = by_species(contributions[1], {"Cu": shares[:, 0], "Cl": shares[:, 1], "none": 0 * shares[:, 0]})
    whole = np.array([[contributions[1][..., 0].sum()]])
    np.testing.assert_allclose(part["Cu"][0, 0] + part["Cl"][0, 0], whole[0, 0], rtol=1e-12)
    assert np.all(part["none"] == 0)
    assert part["Cu"][0, 0] > 0 < part["Cl"][0, 0]


def test_average_frequency_of_planted_contributions():
    frequencies = np.array([[1.0, 2.0], [3.0, 4.0]])
    wave = np.zeros((2, 2, 6))
    wave[0, 1, :3], wave[1, 1, 0] = 1.0, 3.0
    wave[..., 4] = 100.0  # off the diagonal: no part of the trace
    assert average_diffuson_frequency(frequencies, wave) == pytest.approx((2 * 3 + 4 * 3) / 6)
    with pytest.raises(ValueError, match="empty"):
        average_diffuson_frequency(frequencies, 0 * wave)


def test_allen_feldman_of_two_bands():
    """One pair of modes at the same wave vector: kappa = C D / V, all in closed form.

    With V in m/s and a Lorentzian in angular frequency, D_s = |V|^2 eta_w/(dw^2 + eta_w^2) for each of the two modes.
    """
    frequencies = np.array([[2.0, 2.3]])
    velocity = np.zeros((1, 3, 2, 2), complex)
    velocity[0, 0] = [[0, 400j], [-400j, 0]]
    pairs = PairSum(frequencies, [1.0], 50.0, velocity_operator=velocity)
    kappa, diffusivity = allen_feldman(pairs, 0.2, 1e5)
    eta, apart = 2e12 * np.pi * 0.2, 2e12 * np.pi * 0.3
    expected = 400**2 * eta / (apart**2 + eta**2)
    # along x only: a third of the trace. At 1e5 K both heat capacities are k_B to 1e-7, and C_ss' has the frequencies
    # of both modes, (f1 + f2)^2/(4 f1 f2) = 1.0049
    ratio = 4.3**2 / (4 * 2.0 * 2.3)
    np.testing.assert_allclose(diffusivity, ratio * expected / 3 * 1e6, rtol=1e-6)
    assert kappa[0, 0] == pytest.approx(2 * KB * ratio * expected / 50e-30, rel=1e-6)
    assert kappa[1, 1] == 0


def test_allen_feldman_needs_a_width(pairs):
    with pytest.raises(ValueError, match="broadening"):
        allen_feldman(pairs, 0.0, TEMPERATURE)


def test_wrong_shapes(phonons, contributions):
    with pytest.raises(ValueError, match="do not match"):
        cumulative(phonons.frequencies_thz[:3], contributions[0], [1.0])
    with pytest.raises(ValueError, match="ascend"):
        cumulative(phonons.frequencies_thz, contributions[0], [2.0, 1.0])
