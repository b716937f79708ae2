import numpy as np
import pytest
from processes import RESONANT, STEP_FS, TEMPERATURE, VOLUME, WHERE, ar1, filtered, kappa_of, zero_power
from scipy import constants, special, stats

from aiida_iontherm.physics.heat import cepstral, cepstral_quantities, flux_series, resampled
from aiida_iontherm.physics.heat.spectrum import cross_spectrum, log_bias, log_variance, reduced_power

SEEDS = 200


def pulls(generate, power, **options):
    """Deviations of ln kappa in units of its error bar, over many runs."""
    estimates = [cepstral(generate(np.random.default_rng(seed)), *WHERE, **options) for seed in range(SEEDS)]
    return np.array([np.log(e.value / kappa_of(power)) / (e.uncertainty / e.value) for e in estimates])


def honest(pull):
    """Bounds: a mean and a width of 200 pulls scatter by 0.07 and 0.05; four times that."""
    return abs(pull.mean()) < 0.28 and 0.85 < pull.std() < 1.25 and np.mean(np.abs(pull) < 2) > 0.9


def test_constant_in_front():
    # S(0) of white noise is dt <J^2>; kappa in SI from scratch, without the package's constants
    rng = np.random.default_rng(0)
    current = rng.normal(size=(200, 2000, 3))
    expected = 0.5 * (constants.e * 1e-10 / 1e-12) ** 2 * 1e-15 / (constants.k * 300.0**2 * 1000e-30)
    estimate = cepstral([current], *WHERE, cutoff=1)
    assert estimate.value == pytest.approx(expected, abs=4 * estimate.uncertainty)
    # the mean of N/2 = 999 logarithms of variance psi'(600) each
    assert estimate.uncertainty / estimate.value == pytest.approx(
        np.sqrt(special.polygamma(1, 600) * 2 / 1998), rel=1e-9
    )
    assert estimate.kappa_spectrum[0] == pytest.approx(estimate.value, rel=1e-12)


@pytest.mark.parametrize(("others", "samples"), [(0, 3), (1, 3), (2, 3), (2, 8)])
def test_degrees_of_freedom(others, samples):
    rng = np.random.default_rng(others)
    mixing = rng.normal(size=(others + 1, others + 1)) + 2 * np.eye(others + 1)
    currents = np.einsum("ij,jrna->irna", mixing, rng.normal(size=(others + 1, samples, 8001, 1)))
    spectrum = cross_spectrum(currents, 1.0)
    assert spectrum.samples == samples
    expected = 1 / np.linalg.inv(mixing @ mixing.T)[0, 0]
    ratio = reduced_power(spectrum.matrices) / expected * 2 * samples
    # 4000 values of chi^2 with 2(l - q) degrees of freedom; white noise makes them independent
    assert stats.kstest(ratio, "chi2", args=(2 * (samples - others),)).pvalue > 1e-3
    logs = np.log(ratio / (2 * samples))
    # of 4000 values: five standard errors of mean, and of variance (kurtosis below 5)
    sigma = np.sqrt(log_variance(samples, others))
    assert logs.mean() == pytest.approx(log_bias(samples, others), abs=5 * sigma / np.sqrt(4000))
    assert logs.var() == pytest.approx(sigma**2, rel=5 * np.sqrt(4 / 4000))


def test_white_noise_error_bars():
    assert honest(pulls(lambda rng: rng.normal(size=(2000, 3)), zero_power([1.0])))


@pytest.mark.parametrize("phi", [0.9, 0.95])
def test_exponential_correlation(phi):
    assert honest(pulls(lambda rng: ar1(rng, phi, 4000), zero_power([1, -phi])))


def test_resonance_beside_a_slow_decay():
    def generate(rng):
        return filtered(rng, RESONANT, 4000) + ar1(rng, 0.9, 4000)

    assert honest(pulls(generate, zero_power(RESONANT) + zero_power([1, -0.9])))


def coupled(rng, n=5000):
    """Heat that goes with an ion (3 eV each) and heat of its own."""
    own, ion = ar1(rng, 0.9, n), ar1(rng, 0.95, n)
    return [own + 3 * ion, ion]


def test_two_currents():
    assert honest(pulls(coupled, zero_power([1, -0.9])))


def test_two_currents_along_one_axis():
    # one series per axis is too few for two currents: runs are cut into segments
    estimate = cepstral(coupled(np.random.default_rng(0)), *WHERE, axes="x")
    assert (estimate.samples, estimate.degrees_of_freedom) == (3, 4)
    assert honest(pulls(lambda rng: coupled(rng, 9000), zero_power([1, -0.9]), axes="x"))


def test_akaike_cutoff_alone_is_too_sure():
    """Why twice the cutoff: with P* itself, values are low by half an error bar and scatter by more than one."""
    pull = pulls(lambda rng: ar1(rng, 0.9, 4000), zero_power([1, -0.9]), cutoff_factor=1.0)
    # mean and width scatter by 0.1: they are -0.8 and 1.4
    assert pull.mean() < -0.4
    assert pull.std() > 1.2


def test_shift_of_energies_changes_nothing():
    heat, ion = coupled(np.random.default_rng(5))
    at_rest = cepstral([heat, ion], *WHERE)
    bare = cepstral(heat, *WHERE)
    for shift in (1.0, -1e4):
        moved = cepstral([heat + shift * ion, ion], *WHERE)
        assert moved.value == pytest.approx(at_rest.value, rel=1e-8)
        assert moved.uncertainty == pytest.approx(at_rest.uncertainty, rel=1e-8)
        assert moved.problems == at_rest.problems
        assert abs(cepstral(heat + shift * ion, *WHERE).value / bare.value - 1) > 0.5


def test_units_and_order_of_other_currents_do_not_matter():
    rng = np.random.default_rng(6)
    heat, one, two = ar1(rng, 0.9, 4000), ar1(rng, 0.5, 4000), ar1(rng, 0.8, 4000)
    first = cepstral([heat + one - two, one, two], *WHERE)
    second = cepstral([heat + one - two, -1e5 * two, 1e-7 * one], *WHERE)
    assert second.value == pytest.approx(first.value, rel=1e-9)
    assert first.degrees_of_freedom == 2


def test_scaling():
    heat = ar1(np.random.default_rng(7), 0.9, 4000)
    one = cepstral(heat, *WHERE)
    assert cepstral(10 * heat, *WHERE).value == pytest.approx(100 * one.value, rel=1e-12)
    assert cepstral(heat, 10 * STEP_FS, TEMPERATURE, VOLUME).value == pytest.approx(10 * one.value, rel=1e-12)
    assert cepstral(heat, STEP_FS, 2 * TEMPERATURE, VOLUME).value == pytest.approx(one.value / 4, rel=1e-12)
    assert cepstral(heat, STEP_FS, TEMPERATURE, 2 * VOLUME).value == pytest.approx(one.value / 2, rel=1e-12)
    # a constant offset, e.g. of a cell that drifts, is taken off
    assert cepstral(heat + 5, *WHERE).value == pytest.approx(one.value, rel=1e-9)


def test_resampling_is_lowering_the_highest_frequency():
    heat = filtered(np.random.default_rng(8), RESONANT, 5001)
    cut = cepstral(heat, *WHERE, max_frequency_thz=120.0)
    short = resampled(flux_series(heat, STEP_FS), 120.0)
    other = cepstral(short.currents[0, 0], short.interval_ps * 1e3, TEMPERATURE, VOLUME, max_frequency_thz=1e3)
    assert other.value == pytest.approx(cut.value, rel=1e-9)
    assert other.cutoff == cut.cutoff
    # and the highest frequency hardly matters: within the error bar, as both rest on the same low frequencies
    assert cepstral(heat, *WHERE, max_frequency_thz=60.0).value == pytest.approx(cut.value, abs=cut.uncertainty)


def test_replicas_are_more_samples():
    rng = np.random.default_rng(9)
    heat = np.stack([ar1(rng, 0.9, 4000) for _ in range(4)])
    one, four = cepstral(heat[0], *WHERE), cepstral([heat], *WHERE)
    assert (one.samples, four.samples) == (3, 12)
    assert four.duration_ps == 4 * one.duration_ps
    same = [cepstral([h], *WHERE, cutoff=20, max_frequency_thz=150.0) for h in (heat[:1], heat)]
    relative = [e.uncertainty / e.value for e in same]
    assert relative[1] / relative[0] == pytest.approx(
        np.sqrt(special.polygamma(1, 12) / special.polygamma(1, 3)), rel=1e-9
    )


def test_anisotropic():
    sizes = np.array([1.0, 2.0, 4.0])
    heat = ar1(np.random.default_rng(10), 0.9, 20000) * sizes
    estimates = [cepstral(heat, *WHERE, axes=axis) for axis in "xyz"]
    for estimate, size in zip(estimates, sizes, strict=True):
        exact = kappa_of(zero_power([1, -0.9])) * size**2
        assert estimate.degrees_of_freedom == 2
        assert abs(np.log(estimate.value / exact)) < 3 * estimate.uncertainty / estimate.value
    records = cepstral_quantities(estimates, TEMPERATURE)
    assert [record.direction for record in records] == ["x", "y", "z", "average"]
    assert records[3].value == pytest.approx(np.mean([e.value for e in estimates]))
    assert records[3].uncertainty == pytest.approx(np.linalg.norm([e.uncertainty for e in estimates]) / 3)


def test_run_longer():
    heat = ar1(np.random.default_rng(11), 0.9, 2000)
    estimate = cepstral(heat, *WHERE)
    record = cepstral_quantities([estimate], TEMPERATURE, target=0.01)[0]
    assert not record.converged
    needed = estimate.duration_for(0.01)
    assert f"run {needed:.3g} ps in all for 1%" in record.reason
    # a longer run shows more of the spectrum, so that more coefficients are kept: up to twice the error asked for
    longer = cepstral(ar1(np.random.default_rng(12), 0.9, round(needed * 1e3)), *WHERE)
    assert 0.005 < longer.uncertainty / longer.value < 0.02

    assert cepstral_quantities([longer], TEMPERATURE, target=0.03)[0].converged


def test_verdicts():
    rng = np.random.default_rng(13)
    assert cepstral(ar1(rng, 0.9, 20000), *WHERE).problems == ()
    (folded,) = cepstral(rng.normal(size=(5000, 3)), *WHERE).problems
    assert "Nyquist" in folded
    # 20 correlation times of a slow process that carries as much as the fast one: a peak of a few frequencies
    slow = ar1(rng, 0.8, 5000) + ar1(rng, 0.998, 5000, scale=0.03)
    problems = cepstral(slow, *WHERE, cutoff=3).problems
    assert any("standard errors above the smooth curve" in problem for problem in problems)
    assert any("cutoff is not converged" in problem for problem in problems)
    # an echo after 64 samples: a comb of sharp lines all over the spectrum
    comb = filtered(rng, np.append(1.0, np.append(np.zeros(63), -0.99)), 2000)
    assert any("edge" in problem for problem in cepstral(comb, *WHERE).problems)

    drifting = ar1(rng, 0.9, 5000) * np.linspace(1, 3, 5000)[:, None]
    assert any("not in equilibrium" in problem for problem in cepstral(drifting, *WHERE).problems)


def test_numbers_out_of_range():
    heat = ar1(np.random.default_rng(14), 0.9, 500)
    with pytest.raises(ValueError, match="temperature must be positive"):
        cepstral(heat, 1.0, 0.0, VOLUME)
    with pytest.raises(ValueError, match="volume must be positive"):
        cepstral(heat, 1.0, TEMPERATURE, -1.0)
    with pytest.raises(ValueError, match="cutoff must be between"):
        cepstral(heat, *WHERE, cutoff=0)
    with pytest.raises(ValueError, match="run longer or raise"):
        cepstral(heat, *WHERE, max_frequency_thz=1.0)
    with pytest.raises(ValueError, match="too few for 2 currents"):
        cepstral(coupled(np.random.default_rng(0)), *WHERE, axes="x", segments=1)
    with pytest.raises(ValueError, match="cutoff_factor"):
        cepstral(heat, *WHERE, cutoff_factor=0.5)
