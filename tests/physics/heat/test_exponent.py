import numpy as np
import pytest

from aiida_iontherm.physics.heat import temperature_exponent

T = np.array([200.0, 300.0, 450.0, 600.0])


def test_two_temperatures_are_exact():
    k, u = np.array([0.6, 0.3]), np.array([0.03, 0.03])
    result = temperature_exponent([300.0, 600.0], k, u)
    # through both points: rounding only
    assert result.exponent == pytest.approx(-1, rel=1e-10)
    assert result.uncertainty == pytest.approx(np.hypot(0.05, 0.1) / np.log(2), rel=1e-10)
    assert result.converged


@pytest.mark.parametrize("n", [-1.0, -0.5, 0.0, 0.44])
def test_power_law(n):
    k = 0.5 * (T / 300) ** n
    assert temperature_exponent(T, k, 0.05 * k).exponent == pytest.approx(n, abs=1e-10)
    assert temperature_exponent(T, k).exponent == pytest.approx(n, abs=1e-10)


def test_error_bars_against_repeats():
    rng = np.random.default_rng(0)
    k = 0.5 * (T / 300) ** -0.7
    fits = [temperature_exponent(T, k * (1 + 0.02 * rng.normal(size=4)), 0.02 * k) for _ in range(1000)]
    # a standard deviation from 1000 repeats is known to 2.2 %; four times that
    assert np.std([f.exponent for f in fits]) == pytest.approx(fits[0].uncertainty, rel=0.09)
    bare = [temperature_exponent(T, k * (1 + 0.02 * rng.normal(size=4))) for _ in range(1000)]
    assert np.sqrt(np.mean([f.uncertainty**2 for f in bare])) == pytest.approx(fits[0].uncertainty, rel=0.12)


def test_kappa_with_a_maximum_is_no_power_law():
    k = np.array([0.3, 0.6, 0.6, 0.3])
    assert not temperature_exponent(T, k, 0.03 * k).converged


def test_two_points_without_errors_have_no_error():
    result = temperature_exponent([300.0, 600.0], [0.6, 0.3])
    assert result.uncertainty is None and not result.converged


@pytest.mark.parametrize(
    ("t", "k", "u"),
    [
        ([300.0], [1.0], None),
        ([300.0, 300.0], [1.0, 1.0], None),
        ([300.0, 400.0], [1.0, -1.0], None),
        ([300.0, 400.0], [1.0, 1.0], [0.1, 0.0]),
        ([0.0, 400.0], [1.0, 1.0], None),
    ],
)
def test_bad_input(t, k, u):
    with pytest.raises(ValueError):
        temperature_exponent(t, k, u)
