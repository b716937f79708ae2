import numpy as np
import pytest
from processes import ar1
from scipy import signal

from aiida_iontherm.physics.heat import check_equal_spacing, flux_series, resampled
from aiida_iontherm.physics.heat.flux_series import decorrelated, drift


@pytest.fixture
def series():
    return ar1(np.random.default_rng(0), 0.9, 1001)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_named(series, bad):
    series[321, 1] = bad
    with pytest.raises(ValueError, match=r"frame 321 along y \(1 such"):
        flux_series(series, 1.0)
    with pytest.raises(ValueError, match=r"current 1 beside .* frame 321 of run 1 along y"):
        fine = np.random.default_rng(1).normal(size=(2, 1001, 3))
        flux_series([fine, np.stack([fine[0], series])], 1.0)


def test_what_cannot_be_used(series):
    with pytest.raises(ValueError, match="too few"):
        flux_series(series[:50], 1.0)
    with pytest.raises(ValueError, match="shape"):
        flux_series([series, series[:-1]], 1.0)
    with pytest.raises(ValueError, match="shape"):
        flux_series(series[:, :2], 1.0)
    with pytest.raises(ValueError, match="timestep_fs"):
        flux_series(series, 0.0)
    with pytest.raises(ValueError, match="never changes along z"):
        flux_series(series * [1, 1, 0], 1.0)
    other = np.random.default_rng(1).normal(size=(2, 1001, 3))
    with pytest.raises(ValueError, match="leave out one species"):
        flux_series([series, *other, -other.sum(axis=0)], 1.0)
    # as printed with five digits
    with pytest.raises(ValueError, match="leave out one species"):
        flux_series([series, *other, -np.round(other.sum(axis=0), 5)], 1.0)
    with pytest.raises(ValueError, match="nothing is left"):
        flux_series([2 * other[0], other[0]], 1.0)


def test_shapes(series):
    assert flux_series(series, 2.0).currents.shape == (1, 1, 1001, 3)
    two = flux_series([np.stack([series, -series]), np.random.default_rng(1).normal(size=(2, 1001, 3))], 2.0)
    assert (two.n_currents, two.n_replicas, two.n_samples) == (2, 2, 1001)
    assert two.duration_ps == pytest.approx(2 * 1001 * 2e-3)
    assert two.segmented(4).currents.shape == (2, 8, 250, 3)
    np.testing.assert_array_equal(two.segmented(4).currents[0, 3], series[-250:])
    np.testing.assert_array_equal(two.along("zx"), two.currents[..., [2, 0]])
    with pytest.raises(ValueError, match="axes"):
        two.along("xx")


def test_gaps_and_repeated_frames():
    steps = np.arange(0, 1000, 5)
    assert check_equal_spacing(steps) == 5
    assert check_equal_spacing(np.round(steps * 0.001, 3)) == pytest.approx(0.005)
    with pytest.raises(ValueError, match="10 between samples 49 and 50"):
        check_equal_spacing(np.delete(steps, 50))
    with pytest.raises(ValueError, match="0 between samples 50 and 51"):
        check_equal_spacing(np.insert(steps, 50, 250))


def test_drift_and_heating_are_seen():
    rng = np.random.default_rng(2)
    quiet = np.array([drift(ar1(rng, 0.9, 4000)[None, None]) != "" for _ in range(100)])
    # called at a rate of 1e-3 if blocks were independent and Gaussian; four in a hundred would be far more than that
    assert quiet.sum() < 4
    x = ar1(rng, 0.9, 4000)
    # the blocks of 250 samples have means with a standard deviation of about 0.6
    assert "mean of the heat current drifts" in drift((x + np.linspace(0, 4, 4000)[:, None])[None, None])
    assert "fluctuation of the heat current drifts" in drift((x * np.linspace(1, 3, 4000)[:, None])[None, None])


def test_resampling_is_fourier_resampling(series):
    short = resampled(flux_series(series, 1.0), 100.0)
    assert short.n_samples == 2 * 100 + 1  # frequencies up to 100 THz, 1/1.001 ps = 0.999 THz apart
    assert short.interval_ps * short.n_samples == pytest.approx(1.001)
    # the same as another code, up to rounding
    np.testing.assert_allclose(short.currents[0, 0], signal.resample(series, 201, axis=0), atol=1e-12)
    with pytest.raises(ValueError, match="Nyquist"):
        resampled(flux_series(series, 1.0), 501.0)
    with pytest.raises(ValueError, match="would be left"):
        resampled(flux_series(series, 1.0), 20.0)


def test_decorrelated_takes_off_equal_time_correlation():
    rng = np.random.default_rng(3)
    heat, ion = rng.normal(size=(2, 1, 500, 3))
    kept = decorrelated(np.stack([heat + 1e4 * ion, ion]))
    # orthogonal, and the same whatever was added: rounding of numbers of 1e4
    assert abs(np.vdot(kept[0], kept[1])) < 1e-8
    np.testing.assert_allclose(kept[0], decorrelated(np.stack([heat, ion]))[0], atol=1e-10)
