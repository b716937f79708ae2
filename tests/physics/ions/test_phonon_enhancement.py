import numpy as np
import pytest

from aiida_iontherm.physics.ions import (
    enhancement_quantities,
    enhancement_series,
    mean_diffusivity,
    phonon_enhancement,
)
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import KB_EV


def d(value, error=None, temperature=600.0, bound=None, converged=True, **changes):
    return Quantity(
        **{
            "name": "D_Li",
            "value": value,
            "unit": "cm^2/s",
            "method": "slope",
            "converged": converged,
            "reason": "" if converged else "run longer",
            "uncertainty": error,
            "bound": bound,
            "temperature": temperature,
            "direction": "average",
            **changes,
        }
    )


def test_a_ratio_and_its_error():
    """ln of the ratio of two Gaussian variables, against drawing them."""
    result = phonon_enhancement(d(1e-5, 1e-6), d(1e-6, 1.5e-7))
    assert result.factor == pytest.approx(10)
    rng = np.random.default_rng(0)
    drawn = rng.normal(1e-5, 1e-6, 200_000) / rng.normal(1e-6, 1.5e-7, 200_000)
    # second order: relative errors of 0.1 and 0.15 leave 2 % in the width of the logarithm
    assert result.ln_uncertainty == pytest.approx(np.log(drawn).std(), rel=0.04)
    # the same in the quantiles, at two widths
    assert (result.lower, result.upper) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=0.06)
    assert result.effect == "enhances"
    assert result.converged


def test_the_interval_covers_the_truth():
    """Diffusivities with known errors: 95 % of the intervals hold the true factor."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        free, held = 4e-6 * np.exp(rng.normal(0, 0.1)), 1e-6 * np.exp(rng.normal(0, 0.2))
        result = phonon_enhancement(d(free, 0.1 * free), d(held, 0.2 * held))
        covered += result.lower < 4 < result.upper
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)  # three standard errors of 0.7 %


def test_bounds():
    free, held = d(1e-5, 1e-6), d(1e-7, bound="upper")
    result = phonon_enhancement(free, held, "rigid")
    assert result.bound == "lower"
    assert result.factor == pytest.approx(100 * np.exp(-1.6449 * 0.1), rel=1e-4)
    assert result.effect == "enhances"
    assert "at least" in result.reason
    reverse = phonon_enhancement(held, free, "rigid")
    assert reverse.bound == "upper"
    assert reverse.factor == pytest.approx(1 / result.factor)
    assert reverse.effect == "hinders"
    weak = phonon_enhancement(d(1e-7, 1e-8), d(1e-6, bound="upper"))
    assert weak.effect == "undecided"
    assert not weak.converged
    neither = phonon_enhancement(held, held)
    assert neither.factor is None
    assert neither.effect == "undecided"


def test_mean_of_several_runs():
    alike = mean_diffusivity([d(1e-6, 3e-8), d(1e-6, 4e-8)])
    assert (alike.value, alike.uncertainty) == pytest.approx((1e-6, 2.5e-8))  # sqrt(3^2 + 4^2)/2
    apart = mean_diffusivity([d(1e-6, 3e-8), d(2e-6, 3e-8), d(3e-6, 3e-8, converged=False)])
    assert (apart.value, apart.uncertainty) == pytest.approx((2e-6, 1e-6 / np.sqrt(3)))
    assert not apart.converged
    assert apart.reason == "run longer"
    assert "mean of 3 runs" in apart.method
    still = mean_diffusivity([d(1e-6, 1e-7), d(4e-7, bound="upper")])
    assert still.bound == "upper"
    assert still.value == pytest.approx((1e-6 + 1.6449e-7 + 4e-7) / 2, rel=1e-4)
    assert mean_diffusivity([d(1e-6, 1e-7)]) == d(1e-6, 1e-7)
    with pytest.raises(ValueError, match="one ion, unit"):
        mean_diffusivity([d(1e-6, 1e-7), d(1e-6, 1e-7, temperature=700.0)])
    with pytest.raises(ValueError, match="one ion, unit"):
        mean_diffusivity([])


def test_verdicts():
    assert phonon_enhancement(d(1e-6, 1e-7), d(1e-5, 1e-6)).effect == "hinders"
    assert phonon_enhancement(d(1.05e-6, 1e-7), d(1e-6, 1e-7)).effect == "no effect seen"
    assert phonon_enhancement(d(1.3e-6, 4e-7), d(1e-6, 4e-7)).effect == "undecided"
    doubtful = phonon_enhancement(d(1e-5, 1e-6), d(1e-6, 1e-7, converged=False))
    assert doubtful.effect == "enhances"
    assert not doubtful.converged
    assert "run longer" in doubtful.reason


def series(barriers, prefactors, temperatures, relative, rng):
    return [
        [
            d(value := d0 * np.exp(-e / (KB_EV * t)) * np.exp(rng.normal(0, relative)), relative * value, t)
            for t in temperatures
        ]
        for e, d0 in zip(barriers, prefactors, strict=True)
    ]


def test_barrier_and_prefactor():
    rng = np.random.default_rng(2)
    free, held = series((0.2, 0.3), (1e-3, 1e-3), (500.0, 600.0, 700.0, 800.0), 0.05, rng)
    result = enhancement_series(free, held)
    assert result.barrier_change_uncertainty_ev < 0.02
    assert result.barrier_change_ev == pytest.approx(0.1, abs=3 * result.barrier_change_uncertainty_ev)
    assert abs(result.ln_prefactor_change) < 3 * result.ln_prefactor_change_uncertainty
    assert "lower the barrier" in result.reason
    assert [point.temperature for point in result.points] == [500, 600, 700, 800]
    quantities = enhancement_quantities(result, "Li")
    assert [quantity.name for quantity in quantities] == ["phonon_enhancement_Li_frozen"] * 4 + [
        "barrier_change_Li_frozen"
    ]
    assert all(quantity.citation for quantity in quantities)
    free, held = series((0.2, 0.2), (4e-3, 1e-3), (500.0, 600.0, 700.0, 800.0), 0.02, rng)
    other = enhancement_series(free, held)
    assert "raise the pre-factor" in other.reason
    assert "barrier" not in other.reason


def test_series_with_bounds_has_no_barrier():
    result = enhancement_series([d(1e-5, 1e-6), d(2e-5, 1e-6, 700.0)], [d(1e-7, bound="upper"), d(1e-6, 1e-7, 700.0)])
    assert result.held is None
    assert result.barrier_change_ev is None
    assert result.free is not None
    assert [point.bound for point in result.points] == ["lower", None]


@pytest.mark.parametrize(
    ("free", "held", "message"),
    [
        (d(1e-5, 1e-6), d(1e-6, 1e-7, 700.0), "one temperature"),
        (d(1e-5, 1e-6, None), d(1e-6, 1e-7, None), "one temperature"),
        (d(1e-5, 1e-6), d(1e-6, 1e-7, unit="m^2/s"), "one unit"),
        (d(1e-5, 1e-6), d(0.0, 1e-7), "positive"),
        (d(1e-5, 1e-6), d(1e-6), "standard error"),
        (d(1e-5, 1e-6), d(1e-6, bound="lower"), "standard error"),
    ],
)
def test_bad_input(free, held, message):
    with pytest.raises(ValueError, match=message):
        phonon_enhancement(free, held)


def test_bad_series():
    with pytest.raises(ValueError, match="melted is not one of"):
        phonon_enhancement(d(1e-5, 1e-6), d(1e-6, 1e-7), "melted")
    with pytest.raises(ValueError, match="twice"):
        enhancement_series([d(1e-5, 1e-6)] * 2, [d(1e-6, 1e-7)])
    with pytest.raises(ValueError, match="no run with the framework free at 700"):
        enhancement_series([d(1e-5, 1e-6)], [d(1e-6, 1e-7, 700.0)])
