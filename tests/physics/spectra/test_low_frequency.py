import numpy as np
import pytest
from scipy.signal import lfilter

from aiida_iontherm.physics.spectra import (
    diffusion_from_zero,
    finest_resolution,
    kinetic_temperature,
    low_frequency_dos,
    low_frequency_quantities,
    vibrational_dos,
    zero_frequency_quantity,
)
from aiida_iontherm.physics.units import AMU, KB

MASS, TEMPERATURE = 6.94, 600.0
THERMAL = np.sqrt(KB * TEMPERATURE / (MASS * AMU)) * 1e-2
"""Standard deviation of a velocity component, Angstrom/ps."""

CUTOFF = 5.0


def gaussian_process(shape, seed, frames=8000, dt_ps=0.04, atoms=80):
    """Velocities [frames, atoms, 3] whose density of states is exactly proportional to shape(nu) below the cutoff."""
    rng = np.random.default_rng(seed)
    nu = np.fft.rfftfreq(4 * frames, dt_ps)
    amplitude = np.sqrt(np.where(nu <= CUTOFF, shape(nu), 0.0))
    draws = rng.normal(size=(2, len(nu), 3 * atoms))
    # the quarter that is kept of a periodic series is not periodic
    series = np.fft.irfft((draws[0] + 1j * draws[1]) * amplitude[:, None], axis=0)[:frames]
    return series.reshape(frames, atoms, 3)


def fitted(shape, seed):
    velocities = gaussian_process(shape, seed)
    return low_frequency_dos(velocities, 40.0, np.ones(80), ["I"] * 80)["all"]


def area(shape):
    nu = np.linspace(0, CUTOFF, 50_001)
    return np.trapezoid(shape(nu), nu)


def langevin(friction_per_ps, seed, ions=30, frames=20_000, dt_ps=0.02):
    """Velocities of free Langevin particles in Angstrom/ps: D = k_B T/(m gamma)."""
    phi = np.exp(-friction_per_ps * dt_ps)
    noise = np.random.default_rng(seed).normal(size=(frames, ions, 3))
    # the first one is in equilibrium already
    noise[1:] *= np.sqrt(1 - phi**2)
    return THERMAL * lfilter([1.0], [1.0, -phi], noise, axis=0)


def test_a_debye_crystal():
    """g = 9 nu^2/nu_D^3 per atom: nothing at zero, nothing linear, exponent 2."""
    for seed in range(3):
        fit = fitted(lambda nu: nu**2, seed)
        assert fit.shape == "quadratic"
        assert fit.vanishes
        assert fit.exponent == pytest.approx(2, abs=4 * fit.exponent_uncertainty)
        assert fit.exponent_uncertainty < 0.02
        assert abs(fit.linear) < 4 * fit.linear_uncertainty
        assert fit.quadratic == pytest.approx(9 / CUTOFF**3, rel=0.02)  # 1 % of noise in the area
        # below half of the cutoff, where the density ends, with the window of half of that
        assert 0.3 * CUTOFF < fit.window_thz < 0.6 * CUTOFF


def test_a_linear_density_with_a_rest_at_zero():
    """What Ding et al. found for Li6PS5Cl: linear, and not zero at zero."""

    def shape(nu):
        return nu + 0.3

    scale = 3 / area(shape)
    for seed in range(3):
        fit = fitted(shape, seed)
        assert fit.shape == "linear"
        assert not fit.vanishes
        assert fit.at_zero == pytest.approx(0.3 * scale, abs=4 * fit.at_zero_uncertainty)
        assert fit.linear == pytest.approx(scale, abs=4 * fit.linear_uncertainty)
        assert fit.at_zero_uncertainty < 0.05 * fit.at_zero
        assert fit.linear_uncertainty < 0.1 * fit.linear
    assert "does not vanish, g rises linearly" in fit.reason


@pytest.mark.parametrize(
    ("power", "rest", "name"),
    [(1.0, 0.0, "linear"), (1.5, 0.0, "between"), (3.0, 0.0, "steeper"), (2.0, 0.3, "quadratic")],
)
def test_exponents(power, rest, name):
    fit = fitted(lambda nu: nu**power + rest, 5)
    assert fit.shape == name
    assert fit.exponent == pytest.approx(power, abs=max(4 * fit.exponent_uncertainty, 0.05))
    assert fit.vanishes == (rest == 0)


def test_error_bars_cover_the_truth():
    """g(0) of free Langevin particles is 12/gamma: scores of twenty runs have mean zero and unit width."""
    scores = []
    for seed in range(20):
        fit = low_frequency_dos(langevin(5.0, seed, frames=10_000), 20.0, np.full(30, MASS), ["Li"] * 30)["Li"]
        scores.append((fit.at_zero - 2.4) / fit.at_zero_uncertainty)
    # 1/sqrt(20) = 0.22; eight blocks make error bars uncertain by a quarter, and the scores Student's
    assert abs(np.mean(scores)) < 0.8
    assert 0.6 < np.std(scores) < 2.0


@pytest.mark.parametrize("friction", [2.0, 10.0])
def test_diffusivity_of_free_particles(friction):
    """D = k_B T/(m gamma) in cm^2/s from g(0)."""
    velocities = langevin(friction, 3)
    masses = np.full(30, MASS)
    exact = THERMAL**2 / friction * 1e-4
    fit = low_frequency_dos(velocities, 20.0, masses, ["Li"] * 30)["Li"]
    temperature = kinetic_temperature(velocities, masses)
    assert temperature == pytest.approx(TEMPERATURE, rel=0.03)  # 90 coordinates for 400 ps: 1 % with memory of 0.5 ps
    result = diffusion_from_zero(fit, MASS, temperature, reference=exact, reference_uncertainty=0.01 * exact)
    assert result.diffusivity == pytest.approx(exact, abs=3 * result.uncertainty)
    assert result.uncertainty < 0.08 * exact
    assert result.agrees
    assert fit.shape in ("falling", "flat")
    assert zero_frequency_quantity(result).converged
    wrong = diffusion_from_zero(fit, MASS, temperature, reference=2 * exact, reference_uncertainty=0.01 * exact)
    assert wrong.agrees is False
    assert not zero_frequency_quantity(wrong).converged


def test_diffusion_between_cages():
    """Particles that rattle at 4 THz and diffuse on: the same D from the displacements and from g(0)."""
    rng = np.random.default_rng(7)
    frames, ions, dt = 20_000, 24, 0.02
    positions, exact = np.zeros((frames, ions, 3)), 2.5
    # steps of the place of the cage, and a damped oscillator in it
    positions += np.cumsum(rng.normal(0, np.sqrt(2 * exact * dt), positions.shape), axis=0)
    rattle = gaussian_process(lambda nu: 1 / ((nu**2 - 16) ** 2 + (0.8 * nu) ** 2), 8, frames, dt, ions)
    positions += 0.2 * rattle / rattle.std()
    velocities = np.gradient(positions, dt, axis=0)
    masses = np.full(ions, MASS)
    resolution = finest_resolution(frames, 20.0)
    fit = low_frequency_dos(velocities, 20.0, masses, ["Li"] * ions, resolution_thz=resolution)["Li"]
    result = diffusion_from_zero(fit, MASS, kinetic_temperature(velocities, masses))
    assert result.diffusivity == pytest.approx(exact * 1e-4, abs=3 * result.uncertainty)
    assert result.uncertainty < 0.1 * exact * 1e-4


def test_normalisation_is_that_of_the_density_of_states():
    """Two species, one that rattles in a crystal: g(0) of both against the spectrum of the whole run."""
    crystal = gaussian_process(lambda nu: nu**2 + 1, 9, frames=20_000, dt_ps=0.02, atoms=30)
    crystal *= np.sqrt(MASS / 31.0) * THERMAL / crystal.std()
    velocities = np.concatenate([langevin(5.0, 9), crystal], axis=1)
    masses, species = [MASS] * 30 + [31.0] * 30, ["Li"] * 30 + ["P"] * 30
    fits = low_frequency_dos(velocities, 20.0, masses, species)
    dos = vibrational_dos(velocities, 20.0, masses, species, resolution_thz=0.15)
    assert list(fits) == ["Li", "P", "all"]
    for name, count in (("Li", 30), ("P", 30)):
        # noise of 2 % each; smoothing over 0.15 THz adds 0.18 * 0.15^2 = 0.4 %
        assert fits[name].at_zero == pytest.approx(dos.partial[name][0] / count, rel=0.08)
    assert fits["all"].at_zero == pytest.approx(dos.total[0] / 60, rel=0.08)
    assert fits["all"].at_zero == pytest.approx((fits["Li"].at_zero + fits["P"].at_zero) / 2, rel=0.08)


def test_resolution_does_not_shift_what_is_at_zero():
    """The fit is smoothed as the data are: a Debye density has nothing at zero at any resolution."""
    velocities = gaussian_process(lambda nu: nu**2, 10)
    for resolution in (0.1, 0.3):
        fit = low_frequency_dos(velocities, 40.0, np.ones(80), ["I"] * 80, resolution_thz=resolution)["all"]
        # smoothing alone would put 0.18 resolution^2 b there
        assert abs(fit.at_zero) < max(3 * fit.at_zero_uncertainty, 0.02 * resolution**2 * fit.quadratic)


def test_a_window_that_is_given():
    velocities = gaussian_process(lambda nu: nu**2, 11)
    fit = low_frequency_dos(velocities, 40.0, np.ones(80), ["I"] * 80, window_thz=1.5)["all"]
    assert 1.2 < fit.window_thz <= 1.5
    with pytest.raises(ValueError, match="wider window"):
        low_frequency_dos(velocities, 40.0, np.ones(80), ["I"] * 80, window_thz=0.2)


def test_quantities():
    fit = fitted(lambda nu: nu**2, 12)
    quantities = {quantity.name: quantity for quantity in low_frequency_quantities(fit, 300.0)}
    assert quantities["vdos_exponent_all"].value == fit.exponent
    assert quantities["vdos_linear_all"].unit == "1/THz^2"
    assert all(quantity.converged for quantity in quantities.values())
    free = low_frequency_dos(langevin(5.0, 13), 20.0, np.full(30, MASS), ["Li"] * 30)["Li"]
    exponent = low_frequency_quantities(free)[2]
    assert exponent.value is None
    assert not exponent.converged


def test_a_reference_that_is_a_bound():
    fit = low_frequency_dos(langevin(5.0, 14), 20.0, np.full(30, MASS), ["Li"] * 30)["Li"]
    value = diffusion_from_zero(fit, MASS, TEMPERATURE).diffusivity
    assert diffusion_from_zero(fit, MASS, TEMPERATURE, reference=2 * value).agrees
    beyond = diffusion_from_zero(fit, MASS, TEMPERATURE, reference=value / 2)
    assert beyond.agrees is False
    assert "beyond the upper bound" in beyond.reason


def test_a_species_that_is_held_is_left_out():
    velocities = np.concatenate([langevin(5.0, 15), np.zeros((20_000, 2, 3))], axis=1)
    fits = low_frequency_dos(velocities, 20.0, [MASS] * 30 + [31.0] * 2, ["Li"] * 30 + ["P"] * 2)
    assert list(fits) == ["Li", "all"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocities": np.zeros((5000, 2))}, "shape"),
        ({"velocities": np.zeros((5000, 2, 3))}, "zero"),
        ({"velocities": np.full((5000, 2, 3), np.nan)}, "NaN"),
        ({"velocities": np.ones((100, 2, 3))}, "too few"),
        ({"masses": [1.0]}, "mass"),
        ({"masses": [1.0, -1.0]}, "positive"),
        ({"timestep_fs": 0.0}, "positive"),
        ({"n_blocks": 2}, "4 blocks"),
        ({"resolution_thz": 0.001}, "at best"),
    ],
)
def test_bad_input(change, message):
    arguments = {
        "velocities": np.random.default_rng(0).normal(size=(5000, 2, 3)),
        "timestep_fs": 20.0,
        "masses": [1.0, 1.0],
        "species": ["a", "b"],
    }
    with pytest.raises(ValueError, match=message):
        low_frequency_dos(**{**arguments, **change})


def test_bad_mass():
    fit = low_frequency_dos(langevin(5.0, 16, frames=5000), 20.0, np.full(30, MASS), ["Li"] * 30)["Li"]
    with pytest.raises(ValueError, match="positive"):
        diffusion_from_zero(fit, 0.0, TEMPERATURE)
