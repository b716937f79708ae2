import numpy as np
import pytest

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice import Phonons, mode_contributions, two_channel_sum, velocity_products
from aiida_iontherm.physics.lattice.regimes import (
    OVERDAMPED,
    PARTICLE_LIKE,
    UNCLASSIFIED,
    WAVE_LIKE,
    classify,
    ioffe_regel_ps,
    lifetimes_ps,
    regime_shares,
    wigner_limit_ps,
)


def test_limits_by_hand():
    # Six bands up to 3 THz: spacing 0.5 THz, 1/(2 pi 0.5 THz) = 0.318 ps.
    frequencies = np.array([[0.1, 0.2, 0.3, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 1.0, 2.0, 2.5]])
    assert wigner_limit_ps(frequencies) == pytest.approx(1 / np.pi, rel=1e-14)
    np.testing.assert_allclose(ioffe_regel_ps([2.0, 0.0, -1.0]), [1 / (4 * np.pi), np.inf, np.inf], rtol=1e-14)
    # At 1 THz of half width: 1/(4 pi) ps.
    np.testing.assert_allclose(lifetimes_ps([1.0, 0.0]), [1 / (4 * np.pi), np.inf], rtol=1e-14)


def test_a_mode_at_the_wigner_limit_has_a_full_width_of_the_mean_spacing():
    """Why the limit is drawn there: with 2 gamma the full width in THz, 4 pi gamma = 2 pi (mean spacing in THz)."""
    frequencies = np.linspace(0.5, 4.0, 8)[None]
    gamma = 4.0 / 8 / 2
    assert lifetimes_ps(gamma) == pytest.approx(wigner_limit_ps(frequencies), rel=1e-14)


def test_each_regime_by_hand():
    limit = 1.0
    frequencies = np.array([[2.0, 2.0, 2.0, 0.1, -1.0, 0.0, 2.0]])
    #                   above  between below 1/w  below 1/w = 1.6 > 1   imaginary  rigid  no linewidth
    lifetimes = np.array([[3.0, 0.5, 0.05, 1.2, 3.0, 3.0, np.inf]])
    expected = [PARTICLE_LIKE, WAVE_LIKE, OVERDAMPED, OVERDAMPED, UNCLASSIFIED, UNCLASSIFIED, UNCLASSIFIED]
    assert classify(frequencies, lifetimes, limit)[0].tolist() == expected
    several = classify(frequencies, np.stack([lifetimes, 100 * lifetimes]), limit)
    assert several.shape == (2, 1, 7)
    assert several[1, 0, 2] == PARTICLE_LIKE


def test_shares_count_mesh_points():
    regimes = np.array([[PARTICLE_LIKE, WAVE_LIKE], [OVERDAMPED, UNCLASSIFIED]])
    shares = regime_shares(regimes, np.array([6.0, 2.0])[:, None])
    assert (shares.particle_like, shares.wave_like) == (0.375, 0.375)
    assert (shares.overdamped, shares.unclassified) == (0.125, 0.125)


def test_shares_of_conductivity_and_heat_capacity(cucl):
    phonons = Phonons.from_phonopy(cucl, (4, 4, 4))
    # Linewidths from far below the spacing of the bands to beyond the frequencies themselves.
    gamma = 0.02 * phonons.frequencies_thz.clip(0) ** 2
    limit = wigner_limit_ps(phonons.frequencies_thz)
    regimes = classify(phonons.frequencies_thz, lifetimes_ps(gamma), limit)
    products = velocity_products(phonons.velocity_operator)
    particle, wave = mode_contributions(
        phonons.frequencies_thz, products, phonons.weights, gamma, 300.0, phonons.volume_A3
    )
    total = np.array(
        two_channel_sum(phonons.frequencies_thz, products, phonons.weights, gamma, 300.0, phonons.volume_A3)
    ).sum(axis=0)[0, 0]
    shares = regime_shares(regimes, particle[..., 0] + wave[..., 0])
    by_hand = (particle + wave)[regimes == WAVE_LIKE][:, 0].sum() / total
    # The same terms in another order.
    assert shares.wave_like == pytest.approx(by_hand, rel=1e-12)
    assert shares.unclassified == 0
    assert min(shares.particle_like, shares.wave_like) > 0.01
    capacity = np.where(regimes == UNCLASSIFIED, 0, mode_heat_capacity(phonons.frequencies_thz.clip(0.1), 300.0))
    heat = regime_shares(regimes, phonons.weights[:, None] * capacity)
    # Fast long-lived modes carry more heat than they hold.
    assert shares.particle_like > heat.particle_like


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not below zero"):
        lifetimes_ps([0.1, -0.1])
    with pytest.raises(ValueError, match="all bands"):
        wigner_limit_ps([1.0, 2.0])
    with pytest.raises(ValueError, match="no frequency is positive"):
        wigner_limit_ps([[-1.0, 0.0]])
    with pytest.raises(ValueError, match="positive time"):
        classify([[1.0]], [[1.0]], 0.0)
    with pytest.raises(ValueError, match="nothing to divide"):
        regime_shares([[WAVE_LIKE]], [[0.0]])
