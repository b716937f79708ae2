import numpy as np
import pytest
from scipy import constants, stats

from aiida_iontherm.physics.heat import mode_heat_capacity
from aiida_iontherm.physics.lattice import Phonons, two_channel
from aiida_iontherm.physics.lattice.conductivity_fit import fit_conductivity, starting_values, two_channel_total
from aiida_iontherm.physics.lattice.scattering_models import (
    ConstantScattering,
    UmklappScattering,
    umklapp_and_proportional,
)

PLANTED = {"c1": 2e-16, "c2": 12.0, "a": 0.02}
START = {"c1": 1e-17, "c2": 50.0, "a": 0.1}
TEMPERATURES = np.array([4.0, 6, 9, 13, 20, 30, 45, 70, 100, 150, 220, 300])


@pytest.fixture(scope="module")
def phonons() -> Phonons:
    """Acoustic branches that carry and a dense bunch of optical ones, as in a complex cell; velocities at random."""
    rng = np.random.default_rng(0)
    acoustic = np.array([[0.15, 0.2, 0.3], [0.4, 0.5, 0.8]])
    frequencies = np.sort(np.concatenate([acoustic, rng.uniform(0.8, 4.0, (2, 9))], axis=1), axis=1)
    matrix = rng.normal(size=(2, 3, 12, 12)) + 1j * rng.normal(size=(2, 3, 12, 12))
    operator = 400 * (matrix + matrix.conj().swapaxes(2, 3))
    operator[:, :, np.arange(3), np.arange(3)] += rng.choice([-1500.0, 1500.0], (2, 3, 3))
    return Phonons(
        frequencies_thz=frequencies,
        eigenvectors=np.broadcast_to(np.eye(12, dtype=complex), (2, 12, 12)),
        velocity_operator=operator,
        weights=np.array([1.0, 7.0]),
        qpoints=np.array([[0.1, 0, 0], [0.4, 0, 0]]),
        volume_A3=200.0,
        rotations=np.eye(3)[None],
        symbols=["Ag"] * 4,
        masses=np.full(4, 107.9),
    )


@pytest.fixture(scope="module")
def exact(phonons) -> np.ndarray:
    gamma = umklapp_and_proportional(**PLANTED).gamma_thz(phonons.frequencies_thz, TEMPERATURES)
    return two_channel(phonons, gamma, TEMPERATURES).total


def average(tensors: np.ndarray) -> np.ndarray:
    return np.trace(tensors, axis1=1, axis2=2) / 3


def all_temperatures_at_once(phonons: Phonons):
    """Plain sum over all pairs, without degenerate sets or symmetry: fast, and a second opinion."""
    f = phonons.frequencies_thz
    distance = (f[:, :, None] - f[:, None, :]) ** 2
    products = np.einsum("qast,qbts->qabst", phonons.velocity_operator, phonons.velocity_operator).real
    products *= (phonons.weights / phonons.weights.sum())[:, None, None, None, None]
    products *= 1e-12 / (2 * np.pi * phonons.volume_A3 * 1e-30)

    def total(gamma: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
        capacity = constants.k * mode_heat_capacity(f[None], temperatures[:, None, None]) / f
        pair = (f[:, :, None] + f[:, None, :]) / 4 * (capacity[..., :, None] + capacity[..., None, :])
        widths = gamma[..., :, None] + gamma[..., None, :]
        return np.tensordot(pair * widths / (distance + widths**2), products, ([1, 2, 3], [0, 3, 4]))

    return total


def fit(phonons, kappa, uncertainties, **options):
    arguments = {
        "model": umklapp_and_proportional,
        "start": START,
        "frequencies_thz": phonons.frequencies_thz,
        "conductivity": two_channel_total(phonons),
        "temperatures": TEMPERATURES,
    }
    return fit_conductivity(kappa=kappa, uncertainties=uncertainties, **(arguments | options))


def test_the_wave_channel_has_its_part_in_these_tests(phonons):
    gamma = umklapp_and_proportional(**PLANTED).gamma_thz(phonons.frequencies_thz, TEMPERATURES)
    result = two_channel(phonons, gamma, TEMPERATURES)
    share = average(result.wave) / average(result.total)
    assert share[0] < 0.01
    assert share[-1] > 0.2


def test_starting_values_lead_to_the_planted_constants(phonons, exact):
    kappa = average(exact)
    start = starting_values(phonons.frequencies_thz, TEMPERATURES, kappa)
    gamma = umklapp_and_proportional(start["c1"], 0.0, 0.0).gamma_thz([[np.median(phonons.frequencies_thz)]], [300.0])
    # Ten periods at the highest temperature: tau = 1/(4 pi gamma) = 10/f.
    assert 1 / (4 * np.pi * gamma[0, 0, 0]) == pytest.approx(10 / np.median(phonons.frequencies_thz), rel=1e-12)
    result = fit(phonons, kappa, 0.03 * kappa, start=start)
    for name, value in PLANTED.items():
        assert result.parameters[name] == pytest.approx(value, rel=1e-3)
    with pytest.raises(ValueError, match="all modes are imaginary"):
        starting_values(-phonons.frequencies_thz, TEMPERATURES, kappa)


def test_total_as_a_callable_is_the_two_channel_sum(phonons):
    gamma = np.random.default_rng(1).uniform(0.01, 0.3, (3, *phonons.frequencies_thz.shape))
    temperatures = np.array([10.0, 100.0, 300.0])
    expected = two_channel(phonons, gamma, temperatures).total
    np.testing.assert_allclose(two_channel_total(phonons)(gamma, temperatures), expected, rtol=1e-12)
    # Rounding; elements off the diagonal are sums of both signs.
    np.testing.assert_allclose(all_temperatures_at_once(phonons)(gamma, temperatures), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factors", [(1 / 30, 4, 5), (30, 0.2, 0.1), (1, 1, 1)])
def test_planted_constants_come_back_from_far_away(phonons, exact, factors):
    kappa = average(exact)
    start = {name: value * factor for (name, value), factor in zip(PLANTED.items(), factors, strict=True)}
    result = fit(phonons, kappa, 0.03 * kappa, start=start)
    assert result.converged, result.reason
    for name, value in PLANTED.items():
        # scipy stops at relative changes of 1e-8 in the sum of squares: far inside the error bars of some per cent.
        assert result.parameters[name] == pytest.approx(value, rel=1e-3)


def test_error_bars_are_honest(phonons, exact):
    """Over noise seeds the constants scatter about the truth as the covariance says."""
    rng, seeds = np.random.default_rng(2), 150
    conductivity = all_temperatures_at_once(phonons)
    kappa = average(exact)
    truth = np.log(list(PLANTED.values()))
    covered, distances, chi2 = [], [], []
    for _ in range(seeds):
        noisy = kappa * (1 + 0.03 * rng.normal(size=len(kappa)))
        result = fit(phonons, noisy, 0.03 * kappa, start=PLANTED, conductivity=conductivity)
        deviation = np.log(result.values) - truth
        intervals = [result.interval(name) for name in PLANTED]
        covered.append([low < value < high for (low, high), value in zip(intervals, PLANTED.values(), strict=True)])
        distances.append(deviation @ np.linalg.solve(result.log_covariance, deviation))
        chi2.append(result.chi2)
    # 68 % of 150 seeds: binomial standard deviation 3.8 %, three of them.
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.683, atol=0.115)
    # Squared Mahalanobis distance is chi2 with three degrees of freedom; a wrong covariance fails this at once.
    assert stats.kstest(distances, stats.chi2(3).cdf).pvalue > 1e-3
    # What is left over has 12 - 3 degrees of freedom.
    assert np.mean(chi2) == pytest.approx(9, abs=3 * np.sqrt(2 * 9 / seeds))


def test_information_is_what_leaving_a_datum_out_costs(phonons, exact):
    """Share of a datum: 1/var without it over 1/var with it is one minus its share, when the others stay as free."""
    kappa = average(exact)
    result = fit(phonons, kappa, 0.03 * kappa, start=PLANTED)
    np.testing.assert_allclose(result.information.sum(axis=1), 1, rtol=1e-12)
    jacobian = (result.sensitivities * result.fitted / result.uncertainties).T
    fisher = jacobian.T @ jacobian
    np.testing.assert_allclose(np.linalg.inv(fisher), result.log_covariance, rtol=1e-8)
    # The direction of the other constants that imitates a best, held: information is then a plain sum over data.
    for a in range(3):
        others = [b for b in range(3) if b != a]
        imitation = np.linalg.solve(fisher[np.ix_(others, others)], fisher[others, a])
        own = jacobian[:, a] - jacobian[:, others] @ imitation
        np.testing.assert_allclose(result.information[a], own**2 * result.log_covariance[a, a], rtol=1e-6, atol=1e-9)
    # C2 is the onset of Umklapp scattering: the data below a few C2 fix it.
    assert result.information[1, TEMPERATURES < 50].sum() > 0.7
    assert np.all(np.abs(result.correlations) <= 1 + 1e-12)


def test_sensitivities_are_derivatives(phonons, exact):
    kappa = average(exact)
    result = fit(phonons, kappa, 0.03 * kappa, start=PLANTED)
    total = two_channel_total(phonons)
    for a, name in enumerate(result.names):
        shifted = [
            average(
                total(
                    umklapp_and_proportional(
                        **(result.parameters | {name: result.parameters[name] * np.exp(step)})
                    ).gamma_thz(phonons.frequencies_thz, TEMPERATURES),
                    TEMPERATURES,
                )
            )
            for step in (-1e-3, 1e-3)
        ]
        # Central differences with another step: its square.
        np.testing.assert_allclose(
            result.sensitivities[a], np.log(shifted[1] / shifted[0]) / 2e-3, rtol=1e-4, atol=1e-6
        )


def test_some_constants_can_be_fixed_and_any_component_fitted(phonons, exact):
    kappa = exact[:, 1, 1]
    start = {"c1": 1e-17, "a": 0.1}
    result = fit(phonons, kappa, 0.03 * kappa, start=start, fixed={"c2": PLANTED["c2"]}, component="yy")
    assert result.names == ("c1", "a")
    assert result.parameters["c1"] == pytest.approx(PLANTED["c1"], rel=1e-3)
    free = fit(phonons, kappa, 0.03 * kappa, component="yy")
    assert result.errors["c1"] < free.errors["c1"]


def test_components_can_be_mixed_and_temperatures_repeated(phonons, exact):
    kappa = np.concatenate([exact[:, 0, 0], exact[:, 2, 2]])
    both = fit(
        phonons,
        kappa,
        0.03 * kappa,
        temperatures=np.tile(TEMPERATURES, 2),
        component=["xx"] * 12 + ["zz"] * 12,
    )
    assert both.parameters["c2"] == pytest.approx(PLANTED["c2"], rel=1e-3)
    assert both.information.shape == (3, 24)


def test_constants_the_data_cannot_tell_are_named(phonons, exact):
    kappa = average(exact)
    hot = TEMPERATURES >= 150
    # Far above C2 the exponential is one: C1 and C2 cannot be told apart, and C2 hardly matters.
    result = fit(phonons, kappa[hot], 0.03 * kappa[hot], start=PLANTED, temperatures=TEMPERATURES[hot])
    assert "c2" in result.undetermined
    assert not result.converged
    assert "c2" in result.reason
    # With C2 held the same data do determine C1.
    held = fit(
        phonons,
        kappa[hot],
        0.03 * kappa[hot],
        start={"c1": 1e-16},
        fixed={"c2": PLANTED["c2"], "a": PLANTED["a"]},
        temperatures=TEMPERATURES[hot],
    )
    assert held.converged, held.reason


def test_constants_that_only_occur_together_are_named(phonons, exact):
    """Two constants whose product alone matters: the Fisher matrix is singular."""

    def product(c: float, d: float) -> UmklappScattering:
        return UmklappScattering(c * d)

    gamma = UmklappScattering(1e-16).gamma_thz(phonons.frequencies_thz, TEMPERATURES)
    kappa = average(two_channel(phonons, gamma, TEMPERATURES).total)
    result = fit(phonons, kappa, 0.03 * kappa, model=product, start={"c": 3e-17, "d": 2.0})
    assert result.undetermined == ("c", "d")
    assert "c only together with d" in result.reason
    assert not result.information.any()
    assert np.prod(result.values) == pytest.approx(1e-16, rel=1e-3)


def test_a_model_that_does_not_fit_is_said_to(phonons, exact):
    kappa = average(exact)
    result = fit(phonons, kappa, 0.03 * kappa, model=ConstantScattering, start={"width_thz": 0.1})
    assert result.undetermined == ()
    assert not result.converged
    assert "does not describe the data" in result.reason
    assert result.p_value < 1e-3


def test_without_errors_the_scatter_gives_them(phonons, exact):
    kappa = average(exact) * (1 + 0.05 * np.random.default_rng(5).normal(size=len(exact)))
    free = fit(phonons, kappa, None, start=PLANTED)
    assert free.converged
    assert "not tested" in free.reason
    # Relative errors of the data, estimated from 9 degrees of freedom: 5 % to a quarter, twice.
    np.testing.assert_allclose(free.uncertainties / kappa, free.uncertainties[0] / kappa[0], rtol=1e-12)
    assert free.uncertainties[0] / kappa[0] == pytest.approx(0.05, rel=0.5)


def test_a_flat_conductivity_tells_nothing_about_lifetimes(cucl):
    """In CuCl with these lifetimes kappa is flat above 200 K: the wave channel carries it, whatever the linewidths."""
    crystal = Phonons.from_phonopy(cucl, (6, 6, 6))
    temperatures = np.array([5.0, 8, 12, 20, 30, 50, 80, 120, 200, 300])
    planted = {"c1": 1e-16, "c2": 30.0, "a": 0.005}
    gamma = umklapp_and_proportional(**planted).gamma_thz(crystal.frequencies_thz, temperatures)
    result = two_channel(crystal, gamma, temperatures)
    kappa = average(result.total)
    assert abs(kappa[-1] / kappa[-2] - 1) < 0.1
    assert average(result.wave)[-1] > 0.5 * kappa[-1]
    fitted = fit(
        crystal,
        kappa,
        0.03 * kappa,
        start=starting_values(crystal.frequencies_thz, temperatures, kappa),
        temperatures=temperatures,
    )
    assert fitted.converged, fitted.reason
    for name, value in planted.items():
        assert fitted.parameters[name] == pytest.approx(value, rel=1e-3)
    # Two of ten data; a fair share would be 0.2 for each constant.
    assert fitted.information[:, -2:].sum(axis=1).max() < 0.12


def test_bad_input_is_refused(phonons, exact):
    kappa = average(exact)
    with pytest.raises(ValueError, match="2 data cannot determine 3 constants"):
        fit(phonons, kappa[:2], 0.1 * kappa[:2], temperatures=TEMPERATURES[:2])
    with pytest.raises(ValueError, match="and their own scatter"):
        fit(phonons, kappa[:3], None, temperatures=TEMPERATURES[:3])
    with pytest.raises(ValueError, match="do not match"):
        fit(phonons, kappa[:-1], None)
    with pytest.raises(ValueError, match="conductivities must be positive"):
        fit(phonons, -kappa, None)
    with pytest.raises(ValueError, match="uncertainties must be positive"):
        fit(phonons, kappa, 0 * kappa)
    with pytest.raises(ValueError, match="starting values must be positive"):
        fit(phonons, kappa, None, start={"c1": 1e-16, "c2": 0.0, "a": 0.01})
    with pytest.raises(ValueError, match="fitted and fixed at once"):
        fit(phonons, kappa, None, fixed={"a": 0.1})
    with pytest.raises(ValueError, match="nothing to fit"):
        fit(phonons, kappa, None, start={})
    with pytest.raises(ValueError, match="no conductivity at the starting values"):
        fit(
            phonons, kappa, None, model=lambda a, width: ConstantScattering(width), start={"a": 1.0}, fixed={"width": 0}
        )
    with pytest.raises(ValueError, match="unknown component"):
        fit(phonons, kappa, None, component="mean")
