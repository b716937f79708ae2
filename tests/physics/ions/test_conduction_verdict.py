"""The verdict on walkers that conduct, that are confined, and that do not move."""

import numpy as np
import pytest
from lattice_walkers import STEP_FS, STEP_PS, walkers

from aiida_iontherm.physics.ions import analyse_hops, sites_from_crystal
from aiida_iontherm.physics.ions.conduction_verdict import NEGLIGIBLE_D, SUPERIONIC_D

CUBIC = 3.0 * np.eye(3)
SITES = sites_from_crystal([[0, 0, 0]], CUBIC, cell=8 * CUBIC)


def still(frames, ions, seed=0, scale=0.1):
    starts = np.stack(np.unravel_index(np.arange(ions), (8, 8, 8)), axis=1) * 3.0
    return starts + np.random.default_rng(seed).normal(0, scale, (frames, ions, 3))


def test_fast_walkers_are_superionic():
    positions, _ = walkers(0, 6000, 30, 0.5, cell=CUBIC)
    verdict = analyse_hops(positions, STEP_FS, SITES).verdict
    # D = rate a^2/6 = 7.5e-5 cm^2/s
    assert (verdict.state, verdict.decided, verdict.confined) == ("superionic", True, False)


def test_ions_that_swing_between_two_sites_are_incipient_and_confined():
    rng = np.random.default_rng(1)
    positions = still(30000, 8)
    # apart, so that nobody meets
    positions += np.arange(8)[:, None] * np.array([0.0, 6.0, 3.0])
    for ion in range(8):
        switches = np.cumsum(rng.random(30000) < 0.004) % 2
        positions[:, ion, 0] += 3.0 * switches
    analysis = analyse_hops(positions, STEP_FS, SITES)
    # 0.1 hops per ps, jump diffusivity 1.5e-5 cm^2/s, all of it undone; the bound of D is what the fit of a bounded MSD
    # leaves, and lies below a third of it
    assert analysis.verdict.confined
    assert analysis.correlation.back_jump == 1.0
    assert analysis.verdict.state == "incipient"


def test_a_still_crystal_needs_a_long_run():
    short = analyse_hops(still(600, 100), STEP_FS, SITES)
    assert (short.verdict.state, short.verdict.decided) == ("non-conducting", False)
    # 3.0 hops of 3 A in 100 x 24 ps are 1.9e-7 cm^2/s: 190 times as long is what excludes hops above the border
    bound = 2.996 * 9 / (6 * 100 * 599 * STEP_PS) * 1e-4
    assert short.jumps.upper_bound == pytest.approx(bound, rel=1e-3)
    assert f"{bound / NEGLIGIBLE_D:.2g} times as long" in short.verdict.reason
    # the same with frames 200 times as far apart
    long = analyse_hops(still(600, 100), 200 * STEP_FS, SITES)
    assert (long.verdict.state, long.verdict.decided) == ("non-conducting", True)


def test_rare_hops_of_a_long_run_are_incipient():
    # 2e-4 hops per ps, D = 3e-8 cm^2/s: between the borders, 1e-9 and 1e-6
    positions, made = walkers(5, 2000, 60, 0.01, cell=CUBIC)
    analysis = analyse_hops(positions, 50 * STEP_FS, SITES)
    assert made > 30
    assert NEGLIGIBLE_D < analysis.jumps.trace_third < SUPERIONIC_D
    assert (analysis.verdict.state, analysis.verdict.decided) == ("incipient", True)
    # the same hops in a time that puts D on the border: not to be decided
    assert not analyse_hops(positions, 1.5 * STEP_FS, SITES).verdict.decided


def test_back_jumps_that_have_not_ended_do_not_make_a_superionic_conductor():
    """With nearly all hops undone, D read off after less than a hop of each ion is none that will last."""
    positions, _ = walkers(11, 3000, 20, 0.02, cell=CUBIC, back=0.97, vibration=0.15)
    analysis = analyse_hops(positions, STEP_FS, SITES)
    # D of the jumps is 3e-6 cm^2/s; with <cos> = -0.964 two per cent of it are left
    assert analysis.jumps.trace_third > 2 * SUPERIONIC_D
    assert analysis.hops_in_window < 1
    assert not analysis.verdict.decided
