"""The line of a damped oscillator: closed forms against direct sums, fits against exact simulations."""

import numpy as np
import pytest
from scipy.linalg import expm

from aiida_iontherm.physics.spectra import expected_periodogram, fit_line, oscillator_spectrum

# underdamped, sharp, near critical, overdamped
OSCILLATORS = [(3.0, 0.2), (3.0, 0.001), (1.0, 0.999999), (1.0, 4.0)]


def correlation(times_ps, f0, gamma):
    """<v(0) v(t)> of dv/dt = -w0^2 x - eta v + noise at unit temperature, by the exponential of its matrix."""
    drift = np.array([[0.0, 1.0], [-((2 * np.pi * f0) ** 2), -4 * np.pi * gamma]])
    step = expm(drift * (times_ps[1] - times_ps[0]))
    state, values = np.array([0.0, 1.0]), []
    for _ in times_ps:
        values.append(state[1])
        state = step @ state
    return np.array(values)


def simulated_power(f0, gamma, frames, interval_ps, count, seed):
    """Mean periodograms of `count` exact runs at unit temperature, from the first frequency to below Nyquist."""
    rng = np.random.default_rng(seed)
    angular = 2 * np.pi * f0
    step = expm(np.array([[0.0, 1.0], [-(angular**2), -4 * np.pi * gamma]]) * interval_ps)
    stationary = np.diag([1 / angular**2, 1.0])
    kick = np.linalg.cholesky(stationary - step @ stationary @ step.T)
    state = np.sqrt(stationary) @ rng.normal(size=(2, count))
    velocities = np.empty((frames, count))
    for k in range(frames):
        velocities[k] = state[1]
        state = step @ state + kick @ rng.normal(size=(2, count))
    return interval_ps / frames * np.abs(np.fft.rfft(velocities, axis=0)[1 : (frames - 1) // 2 + 1]) ** 2


@pytest.mark.parametrize(("f0", "gamma"), OSCILLATORS)
def test_expected_periodogram_is_the_sum_over_lags(f0, gamma):
    frames, interval = 400, 0.02
    lags = np.arange(frames)
    weighted = (1 - lags / frames) * correlation(lags * interval, f0, gamma)
    frequencies = np.array([0.1, 0.97, 2.9, 3.0, 3.3, 11.0])
    waves = np.cos(2 * np.pi * frequencies[:, None] * lags * interval)
    direct = interval * (2 * waves @ weighted - weighted[0])
    # 400 sums of numbers of order one, near critical damping divided by 1e-3 of their size
    np.testing.assert_allclose(
        expected_periodogram(frequencies, f0, gamma, frames, interval), direct, rtol=1e-7, atol=1e-9 * direct.max()
    )


@pytest.mark.parametrize(("f0", "gamma"), [(3.0, 0.2), (1.0, 4.0)])
def test_spectrum_is_the_limit_of_a_long_run_and_has_unit_area(f0, gamma):
    near = np.linspace(0.5, 2.0, 20) * f0
    long_run = expected_periodogram(near, f0, gamma, 10**7, 1e-3)
    # leakage falls as 1/(gamma T) = 1e-3 or less, aliasing as the square of the step over the period: 1e-4
    np.testing.assert_allclose(oscillator_spectrum(near, f0, gamma), long_run, rtol=3e-3)
    grid = np.linspace(0, 4000, 4_000_001)
    # the tail beyond 4000 THz holds (4/pi) gamma/f = 1e-3 of the area at most
    assert 2 * np.trapezoid(oscillator_spectrum(grid, f0, gamma), grid) == pytest.approx(1, abs=2e-3)


def test_half_width_is_gamma():
    """Half the maximum lies gamma from it, up to the asymmetry of order (gamma/f0)^2."""
    top = oscillator_spectrum(5.0, 5.0, 0.01)
    halves = oscillator_spectrum(np.array([4.99, 5.01]), 5.0, 0.01)
    np.testing.assert_allclose(halves / top, 0.5, rtol=2 * 0.01 / 5.0)


@pytest.mark.parametrize(
    ("f0", "gamma", "count"),
    [(3.0, 0.1, 2), (3.0, 0.02, 6), (3.0, 0.005, 24), (1.0, 2.0, 4)],
    ids=["broad", "of the resolution", "below the resolution, many", "overdamped"],
)
def test_fits_are_right_within_their_errors(f0, gamma, count):
    frames, interval, repeats = 2000, 0.02, 60  # 40 ps
    power = simulated_power(f0, gamma, frames, interval, count * repeats, seed=1)
    lines = [fit_line(part.mean(axis=1), count, frames, interval) for part in np.split(power, repeats, axis=1)]
    pulls = {
        "gamma": np.array([(line.gamma_thz - gamma) / line.gamma_error_thz for line in lines]),
        "frequency": np.array([(line.frequency_thz - f0) / line.frequency_error_thz for line in lines]),
    }
    for name, values in pulls.items():
        # 60 pulls: the mean is good to 0.13 and the spread to 0.09 if errors are right; four of these
        assert abs(values.mean()) < 0.5, name
        assert 0.65 < values.std() < 1.36, name
        assert np.mean(np.abs(values) < 2) > 0.85, name
    # mean square velocity 1, each line of 40 ps knows it to about 1/sqrt(gamma T count), 0.5 at worst
    assert np.mean([line.area for line in lines]) == pytest.approx(1, abs=0.15)
    assert np.mean([line.misplaced > 0.1 and line.shape_p_value < 1e-3 for line in lines]) < 0.05


def test_two_lines_are_not_one():
    frames, interval, count = 10_000, 0.02, 8
    power = sum(simulated_power(f0, 0.02, frames, interval, count, seed) for seed, f0 in enumerate([3.0, 3.3]))
    line = fit_line(power.mean(axis=1) / 2, count, frames, interval)
    assert line.shape_p_value < 1e-6
    assert line.misplaced > 0.2


@pytest.mark.parametrize(
    ("power", "message"),
    [(np.ones(10), "at least"), (np.ones(300), "Nyquist"), (np.zeros(100), "zero"), (np.full(100, np.nan), "finite")],
)
def test_bad_input(power, message):
    with pytest.raises(ValueError, match=message):
        fit_line(power, 1, 400, 0.02)
