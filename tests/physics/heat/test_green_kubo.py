import numpy as np
import pytest
from processes import TEMPERATURE, WHERE, ar1, kappa_of, zero_power
from scipy.signal import lfilter

from aiida_iontherm.physics.heat import cepstral, green_kubo, green_kubo_quantities, onsager_kappa, onsager_quantities
from aiida_iontherm.physics.heat.cepstral import kappa_per_power
from aiida_iontherm.physics.heat.correlation_integrals import correlation_integrals, running_integrals

SEEDS = 60


def honest(values, errors, exact):
    """Bounds: ten blocks give pulls of Student's t with 9 degrees of freedom, of width 1.13.

    Mean and width of 60 of them scatter by 0.15: four times that. (The mean may be a little low: the window begins
    where the integral is flat within its noise.)
    """
    pull = (np.array(values) - exact) / np.array(errors)
    return abs(pull.mean()) < 0.6 and 0.6 < pull.std() < 1.7 and np.mean(np.abs(pull) < 2) > 0.85


def test_integrals_against_direct_sums():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 2, 100, 2))
    direct = np.zeros((21, 2, 2))
    for lag in range(21):
        for i in range(2):
            for j in range(2):
                pairs = x[i, :, : 100 - lag] * x[j, :, lag:] + x[j, :, : 100 - lag] * x[i, :, lag:]
                direct[lag, i, j] = pairs.mean() / 2
    expected = 0.5 * np.cumsum((direct[1:] + direct[:-1]) * 0.5, axis=0)
    # FFT against sums: rounding
    np.testing.assert_allclose(running_integrals(x, 0.5, 20)[1:], expected, atol=1e-12)


def test_blocks_cover_the_end_of_each_run():
    x = np.random.default_rng(1).normal(size=(1, 3, 1003, 1))
    integrals = correlation_integrals(x, 1.0, n_blocks=10)
    assert len(integrals.blocks) == 12  # four in each of three runs, of 250 samples
    centred = x - x.mean()
    np.testing.assert_allclose(integrals.blocks[-1], running_integrals(centred[:, [2], -250:], 1.0, 125), atol=1e-12)
    with pytest.raises(ValueError, match="at least 3 blocks"):
        correlation_integrals(x, 1.0, n_blocks=2)
    with pytest.raises(ValueError, match="use fewer blocks"):
        correlation_integrals(x, 1.0, n_blocks=200)


def test_exponential_correlation():
    results = [green_kubo(ar1(np.random.default_rng(seed), 0.9, 10000), *WHERE) for seed in range(SEEDS)]
    assert honest([r.value for r in results], [r.uncertainty for r in results], kappa_of(zero_power([1, -0.9])))
    assert np.mean([r.settled for r in results]) > 0.9
    records = green_kubo_quantities(results[0], TEMPERATURE, target=0.5)
    assert [r.direction for r in records] == ["x", "y", "z", "average"]
    assert all(record.converged for record in records)


def test_parts_add_up_and_have_their_own_values():
    rng = np.random.default_rng(2)
    own, ion = ar1(rng, 0.9, 50000), ar1(rng, 0.8, 50000)
    virial, convective = own + 0.5 * ion, -2 * ion
    parts = green_kubo({"virial": virial, "convective": convective}, *WHERE)
    whole = green_kubo(virial + convective, *WHERE)
    assert list(parts.parts) == ["virial", "convective", "virial x convective"]
    # bilinear: the same sums in another order
    np.testing.assert_allclose(sum(t.value for t in parts.parts.values()), whole.total.value, rtol=1e-9)
    assert parts.value == pytest.approx(whole.value, rel=1e-9)
    heat, mobile = kappa_of(zero_power([1, -0.9])), kappa_of(zero_power([1, -0.8]))
    exact = {"virial": heat + 0.25 * mobile, "convective": 4 * mobile, "virial x convective": -2 * mobile}
    for name, value in exact.items():
        # four standard errors from ten blocks
        assert parts.parts[name].average == pytest.approx(value, abs=4 * parts.parts[name].average_uncertainty)
    names = [record.name for record in green_kubo_quantities(parts, TEMPERATURE)]
    assert names[-3:] == ["kappa_virial", "kappa_convective", "kappa_virial_x_convective"]


def test_tensor_turns_with_the_axes():
    current = ar1(np.random.default_rng(3), 0.9, 5000) * [1, 2, 3]
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    before, after = green_kubo(current, *WHERE), green_kubo(current @ turn.T, *WHERE)
    np.testing.assert_allclose(after.total.value, turn @ before.total.value @ turn.T, atol=1e-9 * before.value)
    assert after.value == pytest.approx(before.value, rel=1e-9)


def test_no_plateau_is_said():
    # 20 correlation times: no octave is flat
    slow = ar1(np.random.default_rng(4), 0.995, 4000)
    result = green_kubo(slow, *WHERE)
    assert not result.settled
    assert any("not flat" in problem for problem in result.problems)
    assert not green_kubo_quantities(result, TEMPERATURE, target=10.0)[-1].converged


def coupled(seed, n=10000):
    """Two Langevin currents: ions that each carry 0.7 eV, and heat of its own."""
    rng = np.random.default_rng(seed)
    own, ion = ar1(rng, 0.9, n), ar1(rng, 0.8, n)
    return own + 0.7 * ion, ion


def test_onsager_coefficients_of_coupled_currents():
    results = [onsager_kappa(coupled(seed), *WHERE) for seed in range(SEEDS)]
    own, mobile = kappa_of(zero_power([1, -0.9])), kappa_of(zero_power([1, -0.8]))
    assert honest([r.value for r in results], [r.uncertainty for r in results], own)
    assert honest([r.bare for r in results], [r.bare_uncertainty for r in results], own + 0.49 * mobile)
    carried = [(r.transported_heat[0], r.transported_heat_uncertainty[0]) for r in results]
    assert honest(*zip(*carried, strict=True), 0.7)
    record = onsager_quantities(results[:1], TEMPERATURE, target=0.5)[0]
    assert (record.name, record.direction, record.converged) == ("kappa_onsager", "average", True)


def test_shift_of_energies_changes_nothing_but_the_bare_value():
    heat, ion = coupled(5)
    at_rest = onsager_kappa([heat, ion], *WHERE)
    for shift in (1.0, -1e4):
        moved = onsager_kappa([heat + shift * ion, ion], *WHERE)
        assert moved.value == pytest.approx(at_rest.value, rel=1e-8)
        assert moved.uncertainty == pytest.approx(at_rest.uncertainty, rel=1e-8)
        # 1e-8 of a number from which 1e4 is taken
        assert moved.transported_heat[0] - shift == pytest.approx(at_rest.transported_heat[0], abs=1e-7)
        assert abs(moved.bare / at_rest.bare - 1) > 0.1
    bare = green_kubo(heat, *WHERE)
    assert onsager_kappa(heat, *WHERE).value == pytest.approx(bare.value, rel=1e-9)


def test_three_currents_against_the_inverse_matrix():
    rng = np.random.default_rng(6)
    white = rng.normal(size=(3, 40000, 3))
    mixing = np.array([[1.0, 0.6, -0.4], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    currents = np.einsum("ij,jna->ina", mixing, white)
    exact = kappa_of(1e-3 / np.linalg.inv(mixing @ mixing.T)[0, 0])
    result = onsager_kappa(list(currents), *WHERE)
    # four standard errors from ten blocks
    assert result.value == pytest.approx(exact, abs=4 * result.uncertainty)
    assert cepstral(list(currents), *WHERE).value == pytest.approx(exact, rel=0.1)


def test_running_curve_passes_the_value():
    result = onsager_kappa(coupled(7), *WHERE)
    inside = (result.lags_ps >= result.window_ps[0] - 1e-9) & (result.lags_ps <= result.window_ps[1] + 1e-9)
    assert result.running[inside].mean() == pytest.approx(result.value, rel=1e-9)


def test_ions_that_stay_are_said():
    # a current that is a time derivative of something bounded: its integral vanishes
    heat, ion = coupled(8)
    rattling = np.diff(ion, axis=0, prepend=ion[:1])
    assert any("do not diffuse" in p for p in onsager_kappa([heat, rattling], *WHERE).problems)
    assert not any("do not diffuse" in p for p in onsager_kappa([heat, ion], *WHERE).problems)


def test_constant_in_front():
    # one over kB T^2 V, the integral of exp(-t/tau) being tau
    assert kappa_per_power(300.0, 1000.0) == pytest.approx(1602.176634 / (8.617333262e-5 * 9e4 * 1e3), rel=1e-9)


def test_caged_ions_are_noticed():
    """The velocity of a damped oscillator has no zero-frequency part: nothing can be divided by it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        damping, frequency = 0.02, 0.2  # per sample, radians per sample
        decay = np.exp(-damping)
        place = lfilter([1.0], [1.0, -2 * decay * np.cos(frequency), decay**2], rng.normal(size=(20001, 3)), axis=0)
        velocity = np.diff(place, axis=0)
        heat = lfilter([1.0], [1.0, -0.9], rng.normal(size=(20000, 3)), axis=0) + 2 * velocity
        estimate = onsager_kappa([heat, velocity], 10.0, 300.0, 1000.0, axes="x")
        assert any("do not diffuse" in problem for problem in estimate.problems)
        # not read off where the integrals still oscillate, with a period of 0.31 ps
        assert estimate.window_ps[0] > 0.3
