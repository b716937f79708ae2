import numpy as np
import pytest
from scipy import constants

from aiida_iontherm.physics.heat import debye_temperature
from aiida_iontherm.physics.lattice.scattering_models import (
    ConstantScattering,
    GivenLinewidths,
    PointDefectScattering,
    ProportionalScattering,
    SumOfScattering,
    UmklappScattering,
    klemens_scattering,
    slack_scattering,
    umklapp_and_proportional,
)

FREQUENCIES = np.array([[-0.2, 0.5, 2.0], [0.0, 1.0, 6.0]])
TEMPERATURES = np.array([10.0, 300.0])
REAL = FREQUENCIES > 0


def rate(gamma_thz: np.ndarray) -> np.ndarray:
    """1/tau in 1/s: the one convention, tau = 1/(4 pi gamma)."""
    return 4e12 * np.pi * gamma_thz


def test_equation_1_as_printed():
    c1, c2, a = 3e-17, 40.0, 0.02
    gamma = umklapp_and_proportional(c1, c2, a).gamma_thz(FREQUENCIES, TEMPERATURES)
    omega = 2e12 * np.pi * FREQUENCIES[None]
    t = TEMPERATURES[:, None, None]
    expected = c1 * omega**2 * t * np.exp(-c2 / t) + a * omega
    assert gamma.shape == (2, 2, 3)
    np.testing.assert_allclose(rate(gamma)[:, REAL], expected[:, REAL], rtol=1e-13)  # rounding
    assert not gamma[:, ~REAL].any()  # imaginary and zero modes have no linewidth


def test_simplified_forms_are_limits_of_equation_1():
    whole = umklapp_and_proportional(3e-17, 0.0, 0.02).gamma_thz(FREQUENCIES, TEMPERATURES)
    umklapp = UmklappScattering(3e-17).gamma_thz(FREQUENCIES, TEMPERATURES)
    proportional = ProportionalScattering(0.02).gamma_thz(FREQUENCIES, TEMPERATURES)
    np.testing.assert_allclose(umklapp + proportional, whole, rtol=1e-14)
    # T enters as a factor, and A not at all.
    np.testing.assert_allclose(umklapp[1], 30 * umklapp[0], rtol=1e-14)
    np.testing.assert_array_equal(proportional[1], proportional[0])


def test_a_of_one_is_the_ioffe_regel_limit():
    gamma = ProportionalScattering(1.0).gamma_thz([[2.0]], [300.0])
    lifetime = 1 / rate(gamma)[0, 0, 0]
    assert lifetime == pytest.approx(1 / (2e12 * np.pi * 2.0), rel=1e-14)


def test_point_defects_and_constant_width():
    gamma = PointDefectScattering(1e-42).gamma_thz([[1.0, 2.0]], [5.0, 50.0])
    assert rate(gamma)[0, 0, 0] == pytest.approx(1e-42 * (2e12 * np.pi) ** 4, rel=1e-13)
    np.testing.assert_allclose(gamma[:, :, 1], 16 * gamma[:, :, 0], rtol=1e-14)
    constant = ConstantScattering(0.1).gamma_thz(FREQUENCIES, TEMPERATURES)
    np.testing.assert_array_equal(constant, np.broadcast_to(np.where(REAL, 0.1, 0.0), (2, 2, 3)))


def test_frozen_umklapp_still_leaves_a_width():
    """A rate of exactly zero would drop the mode from the sum although it then lives longest."""
    gamma = UmklappScattering(1e-17, 5000.0).gamma_thz([[0.1]], [1.0])
    assert 0 < gamma[0, 0, 0] < 1e-100


def test_grueneisen_rates_by_hand():
    """Germanium-like numbers, with the formulas written out in other symbols."""
    mass, speed, density, grueneisen, t = 72.6, 3900.0, 0.0442, 0.8, 600.0
    frequencies = np.array([[0.7, 3.0]])
    omega = 2e12 * np.pi * frequencies
    kilograms = mass * constants.atomic_mass
    # Toberer, Zevalkink and Snyder: tau = (6 pi^2)^(1/3)/2 M v_g v_p^2 / (k V^(1/3) g^2 w^2 T)
    edge = np.cbrt(1e-30 / density)
    tau = np.cbrt(6 * np.pi**2) / 2 * kilograms * speed**3 / (constants.k * edge * grueneisen**2 * omega**2 * t)
    klemens = klemens_scattering(grueneisen, mass, speed, density).gamma_thz(frequencies, [t])
    np.testing.assert_allclose(1 / rate(klemens)[0], tau, rtol=1e-12)
    theta = float(debye_temperature(speed, density))
    slack = constants.hbar * grueneisen**2 / (kilograms * speed**2 * theta) * omega**2 * t * np.exp(-theta / 3 / t)
    ours = slack_scattering(grueneisen, mass, speed, density).gamma_thz(frequencies, [t])
    np.testing.assert_allclose(rate(ours)[0], slack, rtol=1e-12)


def test_mode_grueneisen_parameters_enter_squared():
    parameters = np.array([[np.nan, -1.0, 2.0], [np.nan, 0.5, 1.0]])
    gamma = klemens_scattering(parameters, 60.0, 2000.0, 0.03).gamma_thz(FREQUENCIES, TEMPERATURES)
    one = klemens_scattering(1.0, 60.0, 2000.0, 0.03).gamma_thz(FREQUENCIES, TEMPERATURES)
    np.testing.assert_allclose(gamma, np.nan_to_num(parameters) ** 2 * one, rtol=1e-13)  # NaN: below the cutoff


def test_given_linewidths_take_part_in_a_sum():
    boundary = np.array([[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]])
    hot = np.stack([boundary, 10 * boundary])
    model = SumOfScattering((GivenLinewidths(boundary), GivenLinewidths(hot, np.array([10.0, 300.0]))))
    gamma = model.gamma_thz(FREQUENCIES, [300.0, 10.0, 300.0])
    np.testing.assert_allclose(gamma[:, REAL], np.outer([11, 2, 11], boundary[REAL]), rtol=1e-14)
    with pytest.raises(ValueError, match="at 200 K, only at"):
        model.gamma_thz(FREQUENCIES, [10.0, 200.0])
    with pytest.raises(ValueError, match="the given linewidths are for"):
        GivenLinewidths(boundary[:1]).gamma_thz(FREQUENCIES, TEMPERATURES)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="c1 must be finite and not negative"):
        UmklappScattering(-1e-18)
    with pytest.raises(ValueError, match="a must be finite and not negative"):
        ProportionalScattering(float("nan"))
    with pytest.raises(ValueError, match="widths_thz must be finite"):
        GivenLinewidths(np.array([[np.inf]]))
    with pytest.raises(ValueError, match="with T of them"):
        GivenLinewidths(np.ones((2, 1, 1)), np.array([300.0]))
    with pytest.raises(ValueError, match="temperatures positive"):
        ConstantScattering(0.1).gamma_thz(FREQUENCIES, [0.0])
    with pytest.raises(ValueError, match=r"need frequencies \[q, s\]"):
        ConstantScattering(0.1).gamma_thz([1.0, 2.0], [300.0])
    with pytest.raises(ValueError, match="must be positive"):
        klemens_scattering(1.0, 0.0, 2000.0, 0.03)
    with pytest.raises(ValueError, match="must not be infinite"):
        slack_scattering([[-np.inf]], 60.0, 2000.0, 0.03)
