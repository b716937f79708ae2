import numpy as np
import pytest
from scipy import constants, integrate, optimize, special

from aiida_iontherm.physics.heat import (
    EINSTEIN_RATIO,
    boson_peak,
    capacity_over_cube,
    choose_debye_einstein,
    debye_einstein_fit,
    debye_heat_capacity,
    debye_temperature,
    heat_capacity,
    mode_heat_capacity,
)
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

N = 14  # atoms per formula unit, Cu7PS6
TO_THZ = KB_EV / H_EV_THZ


def curve(t, debye, *einstein, gamma=0.0):
    """C_p of pairs (temperature, modes), written with exponentials and independent of the code under test."""
    theta, modes = debye
    integrals = [
        integrate.quad(lambda u: u**4 * np.exp(-u) / np.expm1(-u) ** 2, 0, min(theta / x, 200), epsrel=1e-10)[0]
        for x in t
    ]
    total = modes * 3 * np.array(integrals) * (t / theta) ** 3
    for theta, modes in einstein:
        total = total + modes * (theta / t) ** 2 * np.exp(-theta / t) / np.expm1(-theta / t) ** 2
    return constants.R * total + gamma * t


T = np.geomspace(2, 300, 50)
ONE = curve(T, (280.0, 31.0), (60.0, 11.0))
TRUTH = np.array([280.0, 31.0, 60.0, 11.0])


@pytest.mark.parametrize("x", [0.01, 1.0, 5.0, 20.0, 59.0, 61.0, 500.0])
def test_debye_function_against_adaptive_quadrature(x):
    integral, _ = integrate.quad(
        lambda u: u**4 * np.exp(-u) / np.expm1(-u) ** 2, 0, min(x, 300), points=[min(x / 2, 5)], epsrel=1e-12, limit=200
    )
    assert debye_heat_capacity(x, 1.0) == pytest.approx(3 * integral / x**3, rel=1e-11)  # the reference to 1e-12


def test_debye_function_at_both_ends():
    # 1 - x^2/20 with x = 1e-3; 4 pi^4/(5 x^3) up to exp(-x) x^4 = 1e-15 at x = 50
    assert debye_heat_capacity(1.0, 1000.0) == pytest.approx(1 - 1e-6 / 20, rel=1e-12)
    assert debye_heat_capacity(50.0, 1.0) == pytest.approx(4 * np.pi**4 / 5 / 50**3, rel=1e-12)


def test_debye_function_is_that_of_a_mode_list():
    grid = (np.arange(20_000) + 0.5) / 20_000 * 200.0 * TO_THZ
    value = heat_capacity(grid[:, None], grid**2, [10.0, 100.0], cutoff_thz=0.0)
    # midpoint rule on 20 000 points: 1e-8
    np.testing.assert_allclose(value, constants.R * debye_heat_capacity(200.0, [10.0, 100.0]), rtol=1e-6)


def test_exact_data_return_the_planted_parameters():
    fit = debye_einstein_fit(T, ONE, N, 1, 0.01 * ONE)
    # Levenberg-Marquardt stops at 1e-8 relative change of the parameters
    np.testing.assert_allclose(fit.values, TRUTH, rtol=1e-6)
    np.testing.assert_allclose(fit.heat_capacity(T), ONE, rtol=1e-6)
    assert fit.names == ("Theta_D", "w_D", "Theta_E1", "w_E1")
    assert fit.debye_modes + fit.einstein_modes.sum() == pytest.approx(3 * N, rel=1e-12)
    assert fit.einstein_frequencies_thz == pytest.approx([60 * TO_THZ], rel=1e-6)
    assert fit.correlations[1, 3] == pytest.approx(-1, abs=1e-6)  # tied: what one gains the other loses


@pytest.mark.parametrize(
    ("tied", "electronic"), [(True, False), (False, False), (True, True)], ids=["tied", "free", "electronic"]
)
def test_error_bars_have_the_right_coverage(tied, electronic):
    gamma = 0.02
    c = curve(T, (280.0, 31.0), (60.0, 11.0), gamma=gamma * electronic)
    truth = np.append(TRUTH, gamma) if electronic else TRUTH
    rng = np.random.default_rng(1)
    pulls, chi2 = [], []
    for _ in range(30):
        y = c + 0.01 * c * rng.normal(size=len(T))
        fit = debye_einstein_fit(T, y, N, 1, 0.01 * c, tied=tied, electronic=electronic)
        pulls.append((fit.values - truth) / fit.uncertainties)
        chi2.append(fit.chi2)
        # no fit may be worse than the truth: then it would be a local minimum
        assert fit.chi2 <= np.sum(((y - c) / (0.01 * c)) ** 2)
    pulls = np.array(pulls)
    # 30 repeats: mean known to 0.18, spread to 13 %; three of each
    assert np.all(np.abs(pulls.mean(axis=0)) < 0.55)
    assert np.all(np.abs(pulls.std(axis=0, ddof=1) - 1) < 0.4)
    # chi2 of n degrees of freedom: mean n, spread sqrt(2n), 30 repeats; four of it
    dof = len(T) - 3 - (not tied) - electronic
    assert fit.degrees_of_freedom == dof
    assert np.mean(chi2) == pytest.approx(dof, abs=4 * np.sqrt(2 * dof / 30))


def test_three_einstein_terms_as_in_cu7ps6():
    """Einstein temperatures of Shen et al., Table S3 like weights: found, chosen, within three standard errors."""
    t = np.geomspace(2, 300, 80)
    c = curve(t, (280.0, 25.0), (33.0, 1.2), (61.0, 4.8), (114.0, 11.0))
    y = c * (1 + 0.01 * np.random.default_rng(2).normal(size=80))
    choice = choose_debye_einstein(t, y, N, 0.01 * c)
    assert choice.best.n_einstein == 3 and choice.best.converged
    pulls = (choice.best.values - [280.0, 25.0, 33.0, 1.2, 61.0, 4.8, 114.0, 11.0]) / choice.best.uncertainties
    assert np.all(np.abs(pulls) < 3)
    # a further term never makes chi2 worse; fewer than three do not describe the data
    chi2 = [fit.chi2 for fit in choice.fits]
    assert np.all(np.diff(chi2) < 1e-6)
    assert not any(fit.converged for fit in choice.fits[:3])
    assert "does not describe" in choice.fits[1].reason


@pytest.mark.parametrize("criterion", ["bic", "aicc"])
def test_no_more_terms_than_there_are(criterion):
    rng = np.random.default_rng(3)
    chosen = []
    for _ in range(5):
        y = ONE * (1 + 0.01 * rng.normal(size=len(T)))
        best = choose_debye_einstein(T, y, N, 0.01 * ONE, max_einstein=2, criterion=criterion).best
        chosen.append(best.n_einstein)
    # two parameters too many pass BIC in 2 % of cases and AICc in 15 %, fewer since they must be constrained too
    assert sorted(chosen)[2] == 1 and min(chosen) == 1


def test_errors_from_scatter():
    noise = np.random.default_rng(4).normal(size=len(T))
    y = ONE * (1 + 0.02 * noise)
    given, scatter = debye_einstein_fit(T, y, N, 1, 0.02 * y), debye_einstein_fit(T, y, N, 1)
    # the same weights up to a factor: the same minimum, to the tolerance of the optimiser
    np.testing.assert_allclose(given.values, scatter.values, rtol=1e-5)
    assert scatter.relative_scatter == pytest.approx(0.02 * np.sqrt(given.reduced_chi2), rel=1e-4)
    np.testing.assert_allclose(
        scatter.uncertainties, given.uncertainties * np.sqrt(given.reduced_chi2), rtol=1e-3
    )  # derivatives at the two minima
    assert scatter.reduced_chi2 == pytest.approx(1, rel=1e-12)
    assert scatter.converged and "not tested" in scatter.reason


def test_debye_temperature_of_sound_counts_all_modes():
    """The T^3 law of the fit is that of an elastic solid with the acoustic Debye temperature."""
    y = ONE * (1 + 0.01 * np.random.default_rng(5).normal(size=len(T)))
    fit = debye_einstein_fit(T, y, N, 1, 0.01 * ONE)
    theta, error = fit.acoustic_debye_temperature
    cold = 1.0  # below Theta/50, and exp(-60) of the Einstein term
    law = 12 * np.pi**4 / 5 * N * constants.R * (cold / theta) ** 3
    assert fit.heat_capacity(cold) == pytest.approx(law, rel=1e-9)  # the next term is exp(-280)
    assert abs(theta - 280 * (42 / 31) ** (1 / 3)) < 3 * error
    velocity, spread = fit.sound_velocity(0.06)
    assert debye_temperature(velocity, 0.06) == pytest.approx(theta, rel=1e-12)
    assert spread / velocity == pytest.approx(error / theta, rel=1e-12)
    # by brute force: draw parameters from the covariance (tied, so from its three independent ones)
    draws = np.random.default_rng(6).multivariate_normal(fit.values[:2], fit.covariance[:2, :2], 20_000)
    assert error == pytest.approx(np.std(draws[:, 0] * np.cbrt(42 / draws[:, 1])), rel=0.02)  # 20 000 draws: 0.5 %


def test_cubic_law_as_printed():
    t = np.linspace(2, 32, 61)
    cube = 38.0 * constants.R * 4 * np.pi**4 / 5 * (t / 280.0) ** 3
    c = cube + curve(t, (1e5, 1e-9), (33.0, 0.8), (61.0, 3.2))
    fit = debye_einstein_fit(t, c, N, 2, 0.01 * c, cubic=True)
    np.testing.assert_allclose(fit.values, [280, 38, 33, 0.8, 61, 3.2], rtol=1e-5)  # stop of the optimiser
    full = debye_einstein_fit(t, c, N, 2, 0.01 * c)
    # the law is good to 1 % below Theta/12, 23 K: up to 32 K the two models are not the same
    assert full.chi2 > 20


def test_debye_alone():
    c = curve(T, (200.0, 42.0))
    fit = debye_einstein_fit(T, c, N, 0, 0.01 * c)
    assert fit.debye_temperature_K == pytest.approx(200, rel=1e-6)  # stop of the optimiser
    assert fit.acoustic_debye_temperature[0] == pytest.approx(fit.debye_temperature_K, rel=1e-12)
    np.testing.assert_array_equal(fit.correlations, np.eye(2))
    assert fit.converged


def test_order_of_the_data_does_not_matter():
    y = ONE * (1 + 0.01 * np.random.default_rng(7).normal(size=len(T)))
    shuffled = np.random.default_rng(8).permutation(len(T))
    first = debye_einstein_fit(T, y, N, 1, 0.01 * ONE)
    second = debye_einstein_fit(T[shuffled], y[shuffled], N, 1, 0.01 * ONE[shuffled])
    np.testing.assert_allclose(second.values, first.values, rtol=1e-6)  # stop of the optimiser


def test_t3_data_do_not_determine_weight_and_temperature():
    t = np.linspace(1, 4, 20)
    c = curve(t, (280.0, 42.0))
    with pytest.raises(ValueError, match="do not determine"):
        debye_einstein_fit(t, c, N, 0, 0.01 * c, tied=False)
    # tied, the temperature is known
    assert debye_einstein_fit(t, c, N, 0, 0.01 * c).converged


def test_high_temperatures_alone_say_nothing():
    t = np.linspace(2000, 3000, 20)
    c = curve(t, (280.0, 31.0), (60.0, 11.0))  # within 0.1 % of Dulong-Petit
    fit = debye_einstein_fit(t, c, N, 0, 0.01 * c)
    assert not fit.converged and "not constrained" in fit.reason and "Theta_D" in fit.reason
    for tied in (True, False):
        with pytest.raises(ValueError, match="wider range"):
            choose_debye_einstein(t, c, N, 0.01 * c, tied=tied)
    # noise that lifts the data above Dulong-Petit drives the temperature to zero
    with pytest.raises(ValueError, match="do not determine"):
        debye_einstein_fit(t, 1.01 * c, N, 0, 0.01 * c)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: debye_einstein_fit(T[:5], ONE[:5], N, 2), "5 temperatures cannot determine 5"),
        (lambda: debye_einstein_fit(np.repeat(T[:3], 9), np.repeat(ONE[:3], 9), N, 1), "3 temperatures"),
        (lambda: debye_einstein_fit(T, ONE[:-1], N, 1), "each temperature"),
        (lambda: debye_einstein_fit(T, ONE, N, -1), "negative"),
        (lambda: debye_einstein_fit(T - 2, ONE, N, 1), "positive"),
        (lambda: debye_einstein_fit(T, ONE, N, 1, 0 * T), "positive"),
        (lambda: debye_einstein_fit(T, np.full_like(T, np.nan), N, 1), "positive"),
        (lambda: debye_einstein_fit(T, 1000 * ONE, N, 1), "Dulong-Petit"),
        (lambda: choose_debye_einstein(T, ONE, N, criterion="r2"), "criterion"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_einstein_ratio_is_where_the_curve_is_highest():
    # h nu/(k_B T) of the maximum by another way: brute maximisation of the curve
    found = optimize.minimize_scalar(
        lambda t: -float(capacity_over_cube(t, mode_heat_capacity(1.0, t))), bracket=(5, 10, 15), tol=1e-12
    )
    assert H_EV_THZ / (KB_EV * found.x) == pytest.approx(EINSTEIN_RATIO, rel=1e-6)  # square root of rounding
    # and by the root of (5 - x) e^x = 5 + x, with Lambert's W for the leading part 5 + W(-10 e^-5 ...)
    start = 5 + float(special.lambertw(-10 * np.exp(-5)).real)
    for _ in range(50):
        start = 5 - (5 + start) * np.exp(-start)
    assert start == pytest.approx(EINSTEIN_RATIO, rel=1e-12)


def test_boson_peak_of_an_einstein_oscillator():
    t = np.linspace(4, 40, 145)
    c = constants.R * mode_heat_capacity(60.0 * TO_THZ, t)
    peak = boson_peak(t, c)
    # a cubic in ln T follows the peak to that
    assert peak.temperature_K == pytest.approx(60 / EINSTEIN_RATIO, rel=1e-3)
    assert peak.einstein_temperature_K == pytest.approx(60, rel=1e-3)
    assert peak.einstein_frequency_thz == pytest.approx(60 * TO_THZ, rel=1e-3)
    exact = constants.R * mode_heat_capacity(60.0 * TO_THZ, 60 / EINSTEIN_RATIO) / (60 / EINSTEIN_RATIO) ** 3
    assert peak.height == pytest.approx(float(exact), rel=1e-3)


def test_boson_peak_error_bars_against_repeats():
    t = np.linspace(4, 40, 37)
    c = curve(t, (280.0, 38.0), (60.0, 4.0))
    dense = np.linspace(10, 14, 4001)
    exact = capacity_over_cube(dense, curve(dense, (280.0, 38.0), (60.0, 4.0)))
    rng = np.random.default_rng(10)
    peaks = [boson_peak(t, c * (1 + 0.01 * rng.normal(size=37)), 0.01 * c) for _ in range(500)]
    temperature = np.array([(p.temperature_K - dense[np.argmax(exact)]) / p.temperature_uncertainty_K for p in peaks])
    height = np.array([(p.height - exact.max()) / p.height_uncertainty for p in peaks])
    for pulls in (temperature, height):
        # 500 repeats: spread known to 3 %; the choice of points by noisy values and the cubic shift it by a fraction
        assert np.std(pulls) == pytest.approx(1, abs=0.15)
        assert abs(np.mean(pulls)) < 0.25
        assert np.mean(np.abs(pulls) < 2) > 0.92  # 95 % expected, known to 1 %


def test_background_shifts_the_peak_down_and_can_be_subtracted():
    t = np.linspace(4, 40, 145)
    debye = constants.R * 38 * debye_heat_capacity(150.0, t)
    total = boson_peak(t, debye + constants.R * 2 * mode_heat_capacity(60.0 * TO_THZ, t))
    excess = boson_peak(t, constants.R * 2 * mode_heat_capacity(60.0 * TO_THZ, t))
    assert total.einstein_temperature_K < 59.5 < excess.einstein_temperature_K


WOBBLE = 1 + 0.01 * np.random.default_rng(11).normal(size=40)


@pytest.mark.parametrize(
    ("t", "c", "message"),
    [
        (np.linspace(20, 300, 50), curve(np.linspace(20, 300, 50), (280.0, 42.0)), "no Boson peak"),
        (np.geomspace(2, 5, 40), curve(np.geomspace(2, 5, 40), (280.0, 42.0)) * WOBBLE, "no clear maximum"),
        (np.linspace(15, 40, 50), mode_heat_capacity(60 * TO_THZ, np.linspace(15, 40, 50)), "end of the data"),
        (np.linspace(4, 40, 8), mode_heat_capacity(60 * TO_THZ, np.linspace(4, 40, 8)), "measure at least 6"),
        (T, ONE[:-1], "each temperature"),
        (-T, ONE, "positive"),
    ],
)
def test_boson_peak_refuses(t, c, message):
    with pytest.raises(ValueError, match=message):
        boson_peak(t, c)
