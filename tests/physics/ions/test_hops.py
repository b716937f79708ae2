"""Stays and hops of walkers whose hops are known."""

import numpy as np
import pytest
from lattice_walkers import STEP_FS, STEP_PS, TRICLINIC, walkers

from aiida_iontherm.physics.ions import (
    analyse_hops,
    find_hops,
    find_stays,
    hop_quantities,
    join_stays,
    sites_from_crystal,
)
from aiida_iontherm.physics.ions.hop_statistics import (
    double_occupancy,
    hop_correlation,
    hop_rates,
    jump_diffusivity,
    residence_times,
)
from aiida_iontherm.physics.ions.periodic_points import SiteLookup, periodic_copies

CUBIC = 3.0 * np.eye(3)
RATE = 0.05


def records_of(positions, temperature, sites):
    analysis = analyse_hops(positions, STEP_FS, sites)
    return {(q.name, q.direction): q for q in hop_quantities(analysis, "Cu", temperature)}


def lattice(cell, box=8):
    return sites_from_crystal([[0, 0, 0]], cell, cell=box * cell)


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_every_hop_is_found_through_the_boundary_and_none_else(cell):
    positions, made = walkers(0, 1500, 40, RATE, cell=cell, vibration=0.2)
    # walkers leave the box through all faces: positions far outside must still be found on sites
    assert np.abs(np.rint(positions[-1] @ np.linalg.inv(8 * cell))).max() >= 1
    stays = find_stays(positions, STEP_FS, lattice(cell))
    hops = find_hops(stays)
    # vibrations of 0.2 A are 4.5 standard deviations from the cores 0.9 A away; two hops between frames are made of one
    # in 1000, hence not more than these few may be missed (a hop there and back in neighbouring frames is seen)
    assert len(hops) == made
    lengths = np.linalg.norm(hops.vector_A, axis=1)
    expected = np.linalg.norm(cell, axis=1)
    assert np.all(np.min(np.abs(lengths[:, None] - expected), axis=1) < 1e-9)  # vectors of the lattice, to rounding
    # the sum of hops is where each ion went, sites and cells together
    for ion in range(40):
        end = hops.vector_A[hops.ion == ion].sum(axis=0)
        assert np.linalg.norm(positions[-1, ion] - positions[0, ion] - end) < 2.5  # two vibrations: 8 sigma


def test_lookup_is_the_search():
    """The grid must give what a plain search over all copies of all sites gives."""
    rng = np.random.default_rng(3)
    fractional, cell = rng.random((17, 3)), TRICLINIC * 3.1
    margins = rng.uniform(0.1, 0.8, 17)
    lookup = SiteLookup(fractional, cell, margins)
    points = rng.uniform(-20, 20, (4000, 3))
    found, cells = lookup.find(points)
    wrapped = points - cells @ cell
    copies = periodic_copies(fractional, cell, 12.0)
    distances = np.linalg.norm(wrapped[:, None] - copies.positions, axis=2)
    nearest = np.argmin(distances, axis=1)
    two = np.partition(distances, 1, axis=1)
    core = two[:, 1] - two[:, 0] >= margins[copies.point[nearest]]
    np.testing.assert_array_equal(found >= 0, core)
    np.testing.assert_array_equal(lookup.copies.point[found[core]], copies.point[nearest[core]])
    np.testing.assert_array_equal(lookup.copies.image[found[core]], copies.image[nearest[core]])


def test_rate_and_error_bars_over_seeds():
    scores = []
    for seed in range(45):
        positions, _ = walkers(seed, 800, 12, RATE, cell=CUBIC, box=5)
        rate = hop_rates(stays := find_stays(positions, STEP_FS, lattice(CUBIC, 5)), find_hops(stays))[0]
        # a hop in two steps at once would be a hop of its own: the rate per frame is 1 - exp(-rate dt)
        true = (1 - np.exp(-RATE * STEP_PS)) / STEP_PS
        scores.append((rate.rate_per_ps - true) / rate.uncertainty_per_ps)
    # 68 % and 95 % of a normal distribution; 45 values leave standard errors of 7 % and 3.2 %, nearly three of each
    assert 0.5 < np.mean(np.abs(scores) < 1) < 0.87
    assert np.mean(np.abs(scores) < 1.96) > 0.86
    assert abs(np.mean(scores)) < 3 / np.sqrt(45)


def test_vibrations_and_recrossings_are_no_hops():
    """An ion that swings over the middle again and again without arriving stays where it is."""
    time = np.arange(4000) * STEP_PS
    sites = lattice(CUBIC)
    ions = np.zeros((4000, 2, 3))
    ions[:, 0, 0] = 1.05 + 0.7 * np.sin(2 * np.pi * 1.7 * time)  # to 1.75 A, beyond the middle at 1.5 A
    ions[:, 1, 0] = 9.0
    stays = find_stays(ions, STEP_FS, sites)
    assert len(find_hops(stays)) == 0
    # as nearest sites they would be hops, and many
    assert len(find_hops(find_stays(ions, STEP_FS, sites, margin=1e-6))) > 200


def test_short_visits_can_be_left_out():
    ions = np.zeros((3000, 1, 3))
    ions[500:503, 0, 0] = 3.0  # three frames at the neighbour
    ions[1000:2000, 0, 0] = 3.0  # a real visit
    ions[2000:2002, 0, 0] = 6.0  # through the next site
    ions[2002:, 0, 0] = 9.0
    sites = lattice(CUBIC)
    assert len(find_hops(find_stays(ions, STEP_FS, sites))) == 5
    stays = find_stays(ions, STEP_FS, sites, min_stay_ps=0.2)
    hops = find_hops(stays)
    np.testing.assert_allclose(hops.vector_A[:, 0], [3.0, 6.0], atol=1e-12)
    # half way between the frames before and after the arrival: the last two hops are one, to the last arrival
    np.testing.assert_allclose(hops.time_ps, [999.5 * STEP_PS, (1999 + 2002) / 2 * STEP_PS], atol=1e-9)
    assert stays.durations_ps.sum() == pytest.approx(2999 * STEP_PS)


def test_residence_time_of_censored_stays():
    """Runs as short as the stays: the mean of what ended is far too short, time at risk over departures is not."""
    true = 1 / RATE
    scores, plain = [], []
    for seed in range(30):
        positions, _ = walkers(100 + seed, 700, 20, RATE, cell=CUBIC, box=5)  # 28 ps, stays of 20 ps
        stays = find_stays(positions, STEP_FS, lattice(CUBIC, 5))
        (residence,) = residence_times(stays, find_hops(stays))
        scores.append((residence.residence_ps - true) / residence.uncertainty_ps)
        plain.append(residence.mean_completed_ps)
        assert residence.lower_bound_ps < residence.residence_ps
    # about 27 departures each: the ratio is skewed by a few per cent, so a wide limit on the mean score
    assert abs(np.mean(scores)) < 0.6
    assert np.mean(np.abs(scores) < 1.96) > 0.85  # 95 %, standard error 4 %
    assert np.mean(plain) < 0.65 * true


def test_exponential_stays_have_no_memory_and_back_jumps_do():
    positions, _ = walkers(7, 5000, 40, 0.1, cell=CUBIC)
    stays = find_stays(positions, STEP_FS, lattice(CUBIC))
    (residence,) = residence_times(stays, find_hops(stays))
    assert residence.memory_p > 0.01  # the law is exponential: a chance of 1 % to fail, seed fixed
    # 800 departures: tail of half of them, 5 %; three of them
    assert residence.tail_residence_ps == pytest.approx(10.0, rel=0.15)

    # ions that return within 1 ps after two of three hops: young stays end more often
    rng = np.random.default_rng(1)
    x = np.zeros((5000, 30, 3))
    for ion in range(30):
        frame, here = 0, 0.0
        while frame < 5000:
            here = 3.0 - here
            stay = rng.exponential(0.4) if here == 3.0 and rng.random() < 0.67 else rng.exponential(12.0)
            last, frame = frame, frame + max(1, round(stay / STEP_PS))
            x[last:frame, ion, 0] = here
    x[:, :, 1:] = 3.0 * np.stack(np.unravel_index(np.arange(30), (6, 5)), axis=1)
    stays = find_stays(x, STEP_FS, lattice(CUBIC))
    (residence,) = residence_times(stays, find_hops(stays))
    assert residence.memory_p < 1e-6
    assert residence.tail_residence_ps > 1.2 * residence.residence_ps


@pytest.mark.parametrize("back", [0.05, 0.5, 0.8])
def test_back_jumps_and_correlation_factor(back):
    """A walk that undoes its last hop with probability p and else goes anywhere: <cos> = -p + (1 - p)/5."""
    positions, _ = walkers(11, 6000, 30, 0.8, cell=CUBIC, back=back, vibration=0.15)
    stays = find_stays(positions, STEP_FS, lattice(CUBIC))
    hops = find_hops(stays)
    c = hop_correlation(stays, hops)
    cosine = -back + (1 - back) / 5  # of the five others one goes straight on, four sideways
    assert c.pairs > 5000
    # three standard errors, which are 1 to 2 %
    assert abs(c.back_jump - back) < 3 * c.back_jump_uncertainty < 0.05
    assert abs(c.mean_cosine - cosine) < 3 * c.mean_cosine_uncertainty < 0.08
    factor = (1 + cosine) / (1 - cosine)
    assert abs(c.factor - factor) < 3 * c.factor_uncertainty
    assert c.back_jump_uncorrelated == pytest.approx(1 / 6, rel=1e-6)  # six neighbours of one kind
    # and it is D over the jump diffusivity: lags end at 15 ps or 12 hops, where 0.76^12 = 4 % of memory is left
    analysis = analyse_hops(positions, STEP_FS, lattice(CUBIC))
    assert abs(analysis.tracer_factor - factor) < 3 * analysis.tracer_factor_uncertainty


def test_back_jump_error_bars_over_seeds():
    scores = []
    for seed in range(30):
        positions, _ = walkers(200 + seed, 900, 15, 0.3, cell=CUBIC, back=0.4, vibration=0.1, box=5)
        stays = find_stays(positions, STEP_FS, lattice(CUBIC, 5))
        c = hop_correlation(stays, find_hops(stays))
        scores.append(
            [(c.back_jump - 0.4) / c.back_jump_uncertainty, (c.mean_cosine + 0.28) / c.mean_cosine_uncertainty]
        )
    # the larger of two estimates of the error is taken, so more than 95 % are allowed; standard error 4 %
    assert np.all(np.mean(np.abs(scores) < 1.96, axis=0) > 0.85)
    assert np.all(np.median(np.abs(scores), axis=0) > 0.35)  # 0.67 for exact ones: not absurdly wide


def test_jump_diffusivity_tensor_along_a_tilted_axis():
    axis = TRICLINIC[2]
    rng = np.random.default_rng(5)
    happens = rng.random((6000, 20)) < 0.004
    place = np.cumsum(happens * rng.choice([-1, 1], (6000, 20)), axis=0)
    starts = np.stack(np.unravel_index(np.arange(20), (5, 4)), axis=1)
    positions = place[..., None] * axis + starts @ TRICLINIC[:2] + rng.normal(0, 0.15, (6000, 20, 3))
    stays = find_stays(positions, STEP_FS, lattice(TRICLINIC))
    hops = find_hops(stays)
    jumps = jump_diffusivity(stays, hops)
    # all hops are plus or minus one vector: exact but for the time before the first arrival (below 1e-3)
    exact = happens[1:].sum() * np.outer(axis, axis) / (2 * 20 * 5999 * STEP_PS) * 1e-4
    np.testing.assert_allclose(jumps.tensor, exact, rtol=2e-3)
    assert jumps.trace_third == pytest.approx(np.trace(jumps.tensor) / 3, rel=1e-12)
    assert jumps.trace_third_uncertainty / jumps.trace_third == pytest.approx(
        np.sqrt(hops.spread / len(hops)), rel=1e-9
    )


def test_rates_within_and_between_clusters_and_by_axis():
    """Pairs of sites 1.5 A apart along x, 4.5 A between pairs: fast within, slow between."""
    cell = np.diag([6.0, 5.0, 5.0])
    sites = sites_from_crystal([[0, 0, 0], [0.25, 0, 0]], cell, cell=cell * 4, labels=["A", "B"], clusters=[0, 0])
    rng = np.random.default_rng(2)
    frames, ions = 8000, 16
    within, between = 0.2 * STEP_PS, 0.02 * STEP_PS
    cells, side = np.zeros((frames, ions)), np.zeros((frames, ions), int)
    where, on = np.zeros(ions), np.zeros(ions, int)
    for frame in range(1, frames):
        dice = rng.random(ions)
        flip, cross = dice < within, (dice >= within) & (dice < within + between)
        # from A to the B of the cell before, from B to the A of the next
        where = where + np.where(cross, np.where(on == 0, -1, 1), 0)
        on = np.where(flip | cross, 1 - on, on)
        cells[frame], side[frame] = where, on
    starts = np.stack(np.unravel_index(np.arange(ions), (4, 4)), axis=1) * 5.0
    positions = np.stack([cells * 6 + side * 1.5, *np.broadcast_to(starts.T[:, None], (2, frames, ions))], axis=-1)
    positions = positions + rng.normal(0, 0.06, positions.shape)
    stays = find_stays(positions, STEP_FS, sites)
    rates = {(r.kind, r.name): r for r in hop_rates(stays, find_hops(stays))}
    # the true rate per frame is the probability; three standard errors
    for name, true in (("intra", 0.2), ("inter", 0.02)):
        r = rates["cluster", name]
        assert abs(r.rate_per_ps - true) < 3 * r.uncertainty_per_ps
    assert rates["cluster", "intra"].mean_length_A == pytest.approx(1.5, rel=1e-9)
    assert rates["cluster", "inter"].mean_length_A == pytest.approx(4.5, rel=1e-9)
    assert rates["axis", "y"].hops == rates["axis", "z"].hops == 0
    assert rates["axis", "y"].upper_bound_per_ps == pytest.approx(2.996 / stays.at_risk_ps, rel=1e-3)  # rule of three
    a, b = rates["pair", "A -> B"], rates["pair", "B -> A"]
    assert abs(a.rate_per_ps - 0.22) < 3 * a.uncertainty_per_ps
    assert a.at_risk_ps + b.at_risk_ps == pytest.approx(stays.at_risk_ps)


def test_bunched_hops_have_wider_error_bars():
    """Hops that come five at a time count as one: error bars grow by sqrt(5)."""
    rng = np.random.default_rng(9)
    x = np.zeros((6000, 50, 3))
    x[:, :, 1:] = 3.0 * np.stack(np.unravel_index(np.arange(50), (8, 7)), axis=1)
    for ion in range(50):
        for start in rng.choice(5900, rng.poisson(8), replace=False):
            for k in range(5):
                x[start + 5 * k :, ion, 0] += 3.0
    stays = find_stays(x, STEP_FS, lattice(CUBIC))
    # variance of numbers per ion over their mean: 5 for Poisson bunches, 20 % from 50 ions; some bunches overlap
    assert find_hops(stays).spread == pytest.approx(5, rel=0.5)


def test_double_occupancy():
    sites = lattice(CUBIC, box=3)
    ions = np.zeros((1001, 3, 3))
    ions[:, 1, 0] = 3.0
    ions[:, 2, 1] = 3.0
    ions[500:, 1, 0] = 9.0  # the first ion's site in the next cell: the same site
    stays = find_stays(ions, STEP_FS, sites)
    # two of three ions share for half of the time, from 499.5 to 1000
    assert double_occupancy(stays) == pytest.approx(2 * 500.5 / 3000, rel=1e-6)
    analysis = analyse_hops(ions, STEP_FS, sites)
    assert "share a site" in analysis.sites_doubt
    assert not any(q.converged for q in hop_quantities(analysis, "Cu") if q.name.startswith("hop_rate"))


def test_two_halves_of_a_walk_hop_as_the_whole():
    sites = lattice(CUBIC)
    positions, made = walkers(31, 4001, 40, RATE, cell=CUBIC)
    whole = find_stays(positions, STEP_FS, sites)
    halves = join_stays([find_stays(part, STEP_FS, sites) for part in (positions[:2001], positions[2000:])])
    assert (halves.n_ions, halves.duration_ps) == (80, pytest.approx(whole.duration_ps))
    one, two = hop_rates(whole, find_hops(whole))[0], hop_rates(halves, find_hops(halves))[0]
    # both see the hops that were made, but for those in neighbouring frames or across the cut: 1 in 500 each
    assert two.hops == pytest.approx(made, rel=5e-3)
    assert two.rate_per_ps == pytest.approx(one.rate_per_ps, abs=one.uncertainty_per_ps)
    # 320 hops: independent ones, of which single ions and parts of the time vary by chance alone, have Poisson's error
    assert two.uncertainty_per_ps == pytest.approx(one.uncertainty_per_ps, rel=0.1)
    # the law of the walk
    assert abs(two.rate_per_ps - (1 - np.exp(-RATE * STEP_PS)) / STEP_PS) < 3 * two.uncertainty_per_ps


def test_joined_stays_are_counted_by_hand():
    """Two runs of two ions for 8 ps: one hop in the first; there and back after 2 and 6 ps in the second."""
    sites = lattice(CUBIC, box=4)
    first, second = np.zeros((201, 2, 3)), np.zeros((201, 2, 3))
    first[:, 1, 1] = second[:, 1, 1] = 6.0
    first[100:, 0, 0] = 3.0
    second[50:150, 0, 0] = 3.0
    stays = join_stays([find_stays(run, STEP_FS, sites) for run in (first, second)])
    hops = find_hops(stays)
    np.testing.assert_array_equal(hops.ion, [0, 2, 2])
    # half way between two frames; the second run begins at 8 ps
    np.testing.assert_allclose(hops.time_ps, [99.5 * STEP_PS, 8 + 49.5 * STEP_PS, 8 + 149.5 * STEP_PS])
    np.testing.assert_allclose(hops.vector_A, [[3, 0, 0], [3, 0, 0], [-3, 0, 0]], atol=1e-12)
    (residence,) = residence_times(stays, hops)
    assert residence.departures == 3
    assert residence.at_risk_ps == pytest.approx(2 * 2 * 8)
    assert residence.residence_ps == pytest.approx(32 / 3)
    # one stay of 100 frames was seen from its beginning to its end
    assert residence.mean_completed_ps == pytest.approx(100 * STEP_PS)
    # in both runs ions were on the same sites, but not at one time
    assert double_occupancy(stays) == 0
    assert (stays.transit_fraction, stays.rms_A) == (0, pytest.approx(0, abs=1e-9))


def test_runs_that_differ_more_than_by_chance_have_wider_error_bars():
    """Of four runs one hops and three stand still."""
    sites = lattice(CUBIC)
    moving, _ = walkers(3, 1500, 10, 4 * RATE, cell=CUBIC)
    still = np.broadcast_to(moving[:1], moving.shape)
    hops = find_hops(join_stays([find_stays(run, STEP_FS, sites) for run in (still, moving, still, still)]))
    # of eight parts two hold n/2 hops each, the mean is n/8: variance over mean is (2 (3n/8)^2 + 6 (n/8)^2)/(7 n/8);
    # chance makes the two parts differ by sqrt(n), of n = 120
    assert hops.spread == pytest.approx(3 / 7 * len(hops), rel=0.1)


def test_runs_that_cannot_be_joined():
    positions, _ = walkers(5, 200, 4, RATE, cell=CUBIC)
    stays = find_stays(positions, STEP_FS, lattice(CUBIC))
    with pytest.raises(ValueError, match="no runs"):
        join_stays([])
    for other in (positions[:100], positions[:, :3]):
        with pytest.raises(ValueError, match="one length and one number of ions"):
            join_stays([stays, find_stays(other, STEP_FS, lattice(CUBIC))])
    with pytest.raises(ValueError, match="same sites"):
        join_stays([stays, find_stays(positions, STEP_FS, lattice(CUBIC, 9))])


def test_drift_is_taken_out():
    positions, made = walkers(4, 1000, 10, RATE, cell=CUBIC)
    drift = np.linspace(0, 5, 1000)[:, None] * np.array([1.0, -0.4, 0.2]) + 7.0  # the origin of the drift is not zero
    sites = lattice(CUBIC)
    stays = find_stays(positions + (drift - drift[0])[:, None], STEP_FS, sites, drift=drift)
    assert len(find_hops(stays)) == len(find_hops(find_stays(positions, STEP_FS, sites)))
    assert abs(len(find_hops(stays)) - made) <= 1


def test_records_of_a_walk_and_of_a_still_crystal():
    sites = lattice(CUBIC, 10)
    positions, _ = walkers(21, 4000, 20, 8 * RATE, cell=CUBIC, box=10)
    records = records_of(positions, 600, sites)
    rate = records["hop_rate_Cu", None]
    assert rate.converged
    # per frame 1 - exp(-rate dt)
    assert abs(rate.value - (1 - np.exp(-8 * RATE * STEP_PS)) / STEP_PS) < 3 * rate.uncertainty
    # with one kind of site they are inverse of each other
    assert records["residence_time_Cu", None].value * rate.value == pytest.approx(1, rel=1e-9)
    assert records["back_jump_probability_Cu", None].unit == "1"
    factor = records["correlation_factor_Cu", None]
    assert abs(factor.value - 1) < 3 * factor.uncertainty
    # 10 ps of lags hold 4 hops of an ion, too few for a memory to fade
    assert not factor.converged
    assert "longest lag" in factor.reason

    still = np.broadcast_to(positions[:1], positions.shape) + np.random.default_rng(0).normal(0, 0.1, positions.shape)
    records = records_of(still, 300, sites)
    rate, residence = records["hop_rate_Cu", None], records["residence_time_Cu", None]
    assert (rate.bound, residence.bound) == ("upper", "lower")
    assert rate.value == pytest.approx(2.996 / (20 * 3999 * STEP_PS), rel=1e-3)  # 3.0 hops in the ions' time
    assert residence.value == pytest.approx(1 / rate.value)
    assert records["back_jump_probability_Cu", None].value is None
    assert not records["back_jump_probability_Cu", None].converged


def test_bad_input():
    positions, _ = walkers(0, 300, 5, RATE, cell=CUBIC)
    sites = lattice(CUBIC)
    broken = positions.copy()
    broken[17, 2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        find_stays(broken, STEP_FS, sites)
    with pytest.raises(ValueError, match="no mobile ions"):
        find_stays(positions[:, :0], STEP_FS, sites)
    with pytest.raises(ValueError, match="too few"):
        find_stays(positions[:1], STEP_FS, sites)
    with pytest.raises(ValueError, match="too few"):
        analyse_hops(positions[:50], STEP_FS, sites)
    with pytest.raises(ValueError, match="cannot hold 5 ions"):
        find_stays(positions, STEP_FS, sites_from_crystal([[0, 0, 0]], CUBIC))
    with pytest.raises(ValueError, match="margin"):
        find_stays(positions, STEP_FS, sites, margin=1.2)
    with pytest.raises(ValueError, match="drift"):
        find_stays(positions, STEP_FS, sites, drift=np.zeros((3, 3)))
