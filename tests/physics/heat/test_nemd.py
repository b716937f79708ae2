"""Heat exchange: conductivities of made-up profiles, what is refused, and a small crystal."""

import numpy as np
import pytest
from pair_argon import argon, pair_argon
from scipy.signal import lfilter

from aiida_iontherm.physics.dynamics import CompiledDynamics, MdSettings
from aiida_iontherm.physics.dynamics.settings import HeatExchangeSettings
from aiida_iontherm.physics.heat import nemd, nemd_quantity
from aiida_iontherm.physics.heat.nemd import default_skip
from aiida_iontherm.physics.units import EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K, KB_EV

CELL = np.diag([200.0, 20.0, 20.0])
SLABS, BLOCKS, BLOCK_PS, ATOMS = 20, 400, 1.0, 100
POWER, KAPPA, TEMPERATURE = 0.2, 1.5, 300.0
FALL = POWER / (2 * 400.0) / (KAPPA / EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K)  # K/Angstrom
THICKNESS = 10.0
ROD_POWER = 0.04


def distance_from_hot():
    """Of the middle of each slab in Angstrom, both ways round."""
    numbers = np.arange(SLABS)
    return THICKNESS * np.minimum(numbers, SLABS - numbers)


def made_up(seed=0, *, noise=1.0, memory=0.8, shape=None, blocks=BLOCKS, grown=None, current=1.0):
    """Profile with the gradient of KAPPA, correlated noise of the temperature (K), and the current of the power.

    `shape` is added to the temperatures, [slabs] K; `grown` is the part of the gradient there is at each block.
    """
    rng = np.random.default_rng(seed)
    grown = np.ones(blocks) if grown is None else grown
    fall = FALL * (50.0 - distance_from_hot())
    white = rng.normal(size=(blocks + 100, SLABS))
    correlated = lfilter([np.sqrt(1 - memory**2)], [1, -memory], white, axis=0)[100:]
    temperatures = TEMPERATURE + grown[:, None] * fall + noise * correlated
    if shape is not None:
        temperatures = temperatures + shape
    atoms = np.full((blocks, SLABS), float(ATOMS))
    sign = np.where(np.arange(SLABS) < SLABS // 2, 1.0, -1.0)
    heat = current * POWER / 2 * THICKNESS * sign
    rows = np.zeros((blocks, SLABS, 4))
    rows[..., 0], rows[..., 1] = atoms, 3 * KB_EV * atoms * temperatures
    rows[..., 2] = heat + 0.3 * POWER * THICKNESS * rng.normal(size=(blocks, SLABS))
    rows[..., 3] = 0.01 * POWER * THICKNESS * rng.normal(size=(blocks, SLABS))
    return rows


def analyse(rows, **options):
    return nemd(rows, CELL, 0, POWER, BLOCK_PS, **options)


def test_known_conductivity():
    result = analyse(made_up(noise=1e-3))
    # noise of 1e-3 K on a difference of 60 K over the fitted slabs
    assert result.kappa == pytest.approx(KAPPA, rel=1e-4)
    assert (result.length_A, result.area_A2) == (pytest.approx(100.0), pytest.approx(400.0))
    assert result.temperature == pytest.approx(TEMPERATURE, abs=0.01)
    assert result.gradient == pytest.approx(FALL, rel=1e-4)
    assert result.difference == pytest.approx(FALL * 100.0, rel=1e-3)
    assert result.flux == POWER / 800
    assert result.skipped == default_skip(SLABS) == 2
    np.testing.assert_array_equal(result.fitted, [[3, 4, 5, 6, 7], [17, 16, 15, 14, 13]])
    assert (result.problems, result.remarks) == ((), ())
    density = SLABS * ATOMS / 80_000.0
    diffusivity = KAPPA / EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K / (3 * density * KB_EV)
    assert result.relaxation_ps == pytest.approx(100.0**2 / (np.pi**2 * diffusivity), rel=1e-4)
    assert result.left_out_ps == np.ceil(3 * result.relaxation_ps)
    assert result.left_out_ps + result.used_ps == BLOCKS * BLOCK_PS


def test_a_slanted_cell_counts_by_its_height():
    slanted = CELL.copy()
    slanted[0] += [0.0, 12.0, -7.0]  # atoms move along with it: the same slabs, at the same distance
    one, other = analyse(made_up()), nemd(made_up(), slanted, 0, POWER, BLOCK_PS)
    assert other.kappa == pytest.approx(one.kappa, rel=1e-12)
    moved = nemd(made_up(), np.roll(CELL, (1, 1), axis=(0, 1)), 1, POWER, BLOCK_PS)
    assert moved.kappa == pytest.approx(one.kappa, rel=1e-12)


def test_error_bars_mean_what_they_say():
    """A hundred runs with fluctuations that last nine blocks."""
    results = [analyse(made_up(seed, noise=3.0)) for seed in range(100)]
    pulls = np.array([(result.kappa - KAPPA) / result.uncertainty for result in results])
    # 0.1 is one standard error of the mean of a hundred, 0.07 that of their width
    assert abs(pulls.mean()) < 0.35
    assert 0.75 < pulls.std() < 1.25
    flux_pulls = np.array([(r.middle_flux - r.flux) / r.middle_flux_uncertainty for r in results])
    assert abs(flux_pulls.mean()) < 0.35
    assert 0.75 < flux_pulls.std() < 1.25
    # several verdicts at two or three standard errors each
    assert sum(bool(result.problems) for result in results) <= 10


def test_the_start_is_left_out():
    """The gradient begins at zero, and needs its relaxation time several times over."""
    time_constant = 40.0
    grown = 1 - np.exp(-np.arange(BLOCKS) / time_constant)
    result = analyse(made_up(grown=grown, noise=0.3))
    assert result.left_out_ps > 2 * time_constant
    # what is left out too little of is e^-2 of the rest's beginning
    assert abs(result.kappa - KAPPA) < 3 * result.uncertainty
    naive = FALL * grown.mean()
    assert result.gradient / naive > 1.05


def test_not_steady():
    still_growing = np.linspace(0.2, 1.0, BLOCKS)
    result = analyse(made_up(grown=still_growing, noise=0.1))
    assert result.problems[0].startswith("not steady: from the first to the second half")
    short = analyse(made_up(blocks=40, noise=0.1))
    assert short.problems[0].startswith("not steady: heat takes")
    needed = float(short.problems[0].split("produce ")[1].split()[0])
    enough = analyse(made_up(blocks=int(np.ceil(needed)), noise=0.1))
    assert not enough.problems


@pytest.mark.parametrize(
    ("shape", "where"),
    [
        # parabola: the gradient at the cold end is half as large again
        (lambda x: -0.25 * FALL / 40 * (x - 50) ** 2, "hot to the cold end"),
        # cubic: steep beside the reservoirs
        (lambda x: -FALL / 1200 * (x - 50) ** 3, "inner half"),
    ],
)
def test_curves_are_refused(shape, where):
    result = analyse(made_up(noise=0.1, shape=shape(distance_from_hot())))
    assert len(result.problems) == 1
    assert "no line" in result.problems[0]
    assert where in result.problems[0]
    assert not nemd_quantity(result, "a").converged


def test_two_halves_that_differ():
    tilt = np.where(np.arange(SLABS) > SLABS // 2, 0.1 * FALL * (distance_from_hot() - 50.0), 0.0)
    (problem,) = analyse(made_up(noise=0.1, shape=tilt)).problems
    assert "two halves differ by 11%" in problem or "two halves differ by 10%" in problem


def test_flux_that_is_lost():
    (problem,) = analyse(made_up(current=0.9)).problems
    assert "is not that of the reservoirs" in problem


def test_too_large_a_difference():
    rows = made_up()
    rows[..., 1] -= 3 * KB_EV * ATOMS * 260.0  # 40 K on average, 27 K between the reservoirs
    (problem,) = analyse(rows).problems
    assert "too much for one temperature" in problem


def test_convection_is_remarked():
    rows = made_up()
    moved = 0.2 * POWER / 2 * THICKNESS * np.where(np.arange(SLABS) < SLABS // 2, 1.0, -1.0)
    rows[..., 2] -= moved
    rows[..., 3] += moved
    result = analyse(rows)
    assert not result.problems
    assert "atoms carry 20% of the heat" in result.remarks[0]


def test_noise_and_the_time_it_takes():
    result = analyse(made_up(noise=6.0))
    quantity = nemd_quantity(result, "a", target=0.01)
    assert "for 1%" in quantity.reason
    needed = float(quantity.reason.split("produce ")[1].split()[0])
    # both numbers are printed with three digits
    relative = result.uncertainty / result.kappa
    assert needed == pytest.approx(result.left_out_ps + result.used_ps * (relative / 0.01) ** 2, rel=0.01)
    lost = analyse(made_up(noise=2000.0))
    assert any("lost in its noise" in problem for problem in lost.problems)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[0], "need a profile"),
        (lambda rows: rows[:, :10], "12 or more, not 10"),
        (lambda rows: rows[:20], "20 blocks are too short"),
        (lambda rows: np.where(np.arange(4) == 0, 0.0, rows), "no free atom"),
        (lambda rows: rows * np.nan, "not finite"),
    ],
)
def test_profiles_that_cannot_be(change, words):
    with pytest.raises(ValueError, match=words):
        analyse(change(made_up()))


def test_too_many_slabs_left_out():
    with pytest.raises(ValueError, match="leaves 1 of each half"):
        analyse(made_up(), skip=4)


@pytest.fixture(scope="module")
def rod_run():
    """576 atoms for 80 ps."""
    rod = argon() * (16, 3, 3)
    rod.positions += 0.25 * 5.15  # no plane of atoms at the face of a slab
    settings = MdSettings(
        temperature_k=30,
        timestep_fs=10,
        equilibration_steps=1000,
        production_steps=8000,
        heat_exchange=HeatExchangeSettings(axis=0, slabs=16, power_ev_per_ps=ROD_POWER),
        position_stride=0,
        snapshot_stride=0,
        block_steps=40,
    )
    dynamics = CompiledDynamics(rod, pair_argon(), settings, np.empty(0, dtype=np.int64))
    while not dynamics.finished:
        dynamics.run_block()
    return dynamics.observables()["profile"], rod.cell.array


def test_what_goes_in_flows_through_the_middle(rod_run):
    profile, cell = rod_run
    result = nemd(profile, cell, 0, ROD_POWER, 0.4)
    assert result.kappa > 2 * result.uncertainty
    # three standard errors are 1 in 400; the error itself must be small enough to tell
    assert result.middle_flux_uncertainty < 0.1 * result.flux
    assert abs(result.middle_flux - result.flux) < 3 * result.middle_flux_uncertainty
    assert abs(result.convective_share) < 0.05
