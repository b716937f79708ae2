"""Walkers whose conductivity and Haven ratio are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from aiida_iontherm.physics.ions import charge_transport, charge_transport_quantities

STEP_FS, VOLUME, TEMPERATURE = 100.0, 5000.0, 400.0
DEVIATION = np.array([0.3, 0.3, 0.15])
D_WALK = DEVIATION**2 / (2 * 0.1) * 1e-4  # cm^2/s


def transport(steps, **options):
    return charge_transport(np.cumsum(steps, axis=0), STEP_FS, options.pop("charge", 1), VOLUME, TEMPERATURE, **options)


def independent(seed, frames=16000, ions=16):
    return np.random.default_rng(seed).normal(size=(frames, ions, 3)) * DEVIATION


def in_pairs(seed):
    """Two ions always make the same step: H_R = 1/2."""
    return np.repeat(independent(seed, ions=8), 2, axis=1)


def against(seed):
    """Each pair of ions shares a part of its steps with opposite signs: H_R = 1/(1 - 0.5)."""
    shared, own = independent(seed, ions=8), independent(seed + 1000)
    signs = np.tile([1.0, -1.0], 8)[:, None]
    return np.sqrt(0.5) * (np.repeat(shared, 2, axis=1) * signs + own)


@pytest.mark.parametrize(("steps", "haven"), [(independent, 1.0), (in_pairs, 0.5), (against, 2.0)])
def test_planted_correlations_come_back_with_honest_errors(steps, haven):
    pulls, ratios = [], []
    for seed in range(12):
        result = transport(steps(seed))
        pulls.append((result.haven_ratio - haven) / result.haven_uncertainty)
        ratios.append(result.haven_ratio)
    # The mean of 12 runs, each known to some 5 %.
    assert np.mean(ratios) == pytest.approx(haven, rel=0.05)
    # Eight blocks: Student's t with 7 degrees of freedom has a deviation of 1.18; of 12 such numbers 0.6 to 1.9.
    assert 0.6 < np.std(pulls) < 1.9


def test_conductivity_of_independent_ions():
    result = transport(independent(3), charge=2)
    # sigma = N (z e)^2 D/(V k T)
    expected = 16 * (2 * constants.e) ** 2 * D_WALK * 1e-4 / (VOLUME * 1e-30 * constants.k * TEMPERATURE)
    for motion, sigma in ((result.tracer, result.nernst_einstein), (result.collective, result.conductivity)):
        errors = np.diag(motion.uncertainty) * result.factor
        # Student's t with 7 degrees of freedom: one of 200 is beyond four.
        assert np.all(np.abs(np.diag(sigma) - expected) < 4 * errors)
        assert np.all(errors < 0.3 * expected)
    np.testing.assert_allclose(result.conductivity, result.conductivity.T, rtol=1e-9)


def test_drift_of_the_crystal_is_no_current():
    steps, drift = independent(4), np.cumsum(np.full((16000, 3), 0.05), axis=0)
    still = charge_transport(np.cumsum(steps, axis=0), STEP_FS, 1, VOLUME, TEMPERATURE)
    moving = charge_transport(np.cumsum(steps, axis=0) + drift[:, None], STEP_FS, 1, VOLUME, TEMPERATURE, drift=drift)
    np.testing.assert_allclose(moving.conductivity, still.conductivity, rtol=1e-6)  # sums of large positions


def test_records():
    records = {(q.name, q.direction): q for q in charge_transport_quantities(transport(independent(5)), "Ag", 400.0)}
    assert {name for name, _ in records} == {"sigma", "sigma_nernst_einstein", "haven_ratio"}
    sigma, bare = records["sigma", "average"], records["sigma_nernst_einstein", "average"]
    assert sigma.unit == bare.unit == "S/m"
    for record in (sigma, bare):
        assert record.converged == (record.uncertainty <= 0.25 * record.value)
    assert "Ag together" in sigma.method
    assert records["haven_ratio", None].uncertainty > 0


def test_caged_ions_conduct_nothing():
    rng = np.random.default_rng(0)
    caged = rng.normal(scale=0.2, size=(4000, 16, 3))
    result = charge_transport(caged, STEP_FS, 1, VOLUME, TEMPERATURE)
    assert result.conductivity is None
    assert result.haven_ratio is None
    records = charge_transport_quantities(result, "Cu", TEMPERATURE)
    sigma = [q for q in records if q.name == "sigma"]
    assert all(q.bound == "upper" and q.converged and q.value > 0 and q.uncertainty is None for q in sigma)
    assert not records[-1].converged
    assert records[-1].value is None


def test_noise_of_all_ions_together_is_a_bound_where_none_of_them_diffuses():
    moving = transport(independent(5, frames=4000))
    caged = transport(np.diff(np.random.default_rng(0).normal(scale=0.2, size=(4001, 16, 3)), axis=0))
    records = charge_transport_quantities(replace(moving, tracer=caged.tracer), "Cu", TEMPERATURE)
    sigma = [q for q in records if q.name == "sigma"]
    assert all(q.bound == "upper" and q.uncertainty is None for q in sigma)
    assert sigma[-1].value > np.trace(moving.conductivity) / 3


@pytest.mark.parametrize(
    ("change", "message"),
    [({"charge": 0}, "without charge"), ({"volume_A3": 0.0}, "must be positive"), ({"temperature": -1}, "positive")],
)
def test_bad_input(change, message):
    right = {"charge": 1, "volume_A3": VOLUME, "temperature": TEMPERATURE}
    with pytest.raises(ValueError, match=message):
        charge_transport(np.zeros((400, 2, 3)), STEP_FS, **right | change)
