import numpy as np
import pytest

from aiida_iontherm.physics.ions import (
    coincidence_quantity,
    event_activity,
    find_hops,
    find_stays,
    hop_coincidence,
    hop_places,
    sites_from_crystal,
)

BOX, DT_FS, FRAMES = 20.0, 20.0, 15_000
DURATION = FRAMES * DT_FS * 1e-3
CENTRES = 10.0 * np.stack(np.unravel_index(range(8), (2, 2, 2)), axis=1) + 2.0


def events(seed: int, coupled: float, hops: int = 500, turns: int = 150):
    """Random hops and turns; a part of the turns makes a hop within 2 Angstrom and 1 ps. Also how many."""
    rng = np.random.default_rng(seed)
    times, places = rng.random(hops) * DURATION, rng.random((hops, 3)) * BOX
    turn_times, turned = rng.random(turns) * DURATION, rng.integers(0, 8, turns)
    chosen = rng.random(turns) < coupled
    times = np.append(times, (turn_times[chosen] + rng.uniform(-0.8, 0.8, chosen.sum())) % DURATION)
    places = np.append(places, CENTRES[turned[chosen]] + rng.uniform(-1, 1, (chosen.sum(), 3)), axis=0)
    activity = np.array([event_activity(turn_times[turned == group], DT_FS, FRAMES) for group in range(8)])
    return (times, places, CENTRES, BOX * np.eye(3), activity, DT_FS), int(chosen.sum())


def test_independent_events():
    results = [hop_coincidence(*events(seed, 0.0)[0]) for seed in range(30)]
    scores = np.array([(result.ratio - 1) / result.uncertainty for result in results])
    assert {result.verdict for result in results} == {"independent"}
    # thirty scores of unit variance at most: their mean is known to 0.18; few counts make low ratios weigh more
    assert abs(scores.mean()) < 0.7
    assert 0.4 < scores.std() < 1.4
    # 5 % of 30 is 1.5; the Poisson chance of more than five is 0.4 %
    assert sum(result.chance < 0.05 for result in results) <= 5


def test_coupled_events_are_found_at_their_rate():
    for seed in range(5):
        arguments, coupled = events(seed, 0.4)
        result = hop_coincidence(*arguments)
        assert result.verdict == "coincide"
        assert result.excess == pytest.approx(coupled, abs=3 * result.excess_uncertainty)
        assert result.excess_uncertainty < 0.25 * coupled
        # the activity stands out at lags up to 0.8 ps, and nowhere else
        inside = np.abs(result.lags_ps) < 0.79
        outside = np.abs(result.lags_ps) > 0.85
        assert result.ratio_by_lag[inside].mean() > 2
        assert result.ratio_by_lag[outside].mean() == pytest.approx(1, abs=0.4)  # 80 pairs by chance in 8 ps: 4 sigma
    quantity = coincidence_quantity(result, "reorientation_near_hops_PS4", 600.0)
    assert quantity.converged
    assert quantity.value == result.ratio


def test_bursts_do_not_fool():
    """Hops and turns in bursts at independent times: by counting errors alone they would coincide."""
    calls = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        bursts = rng.random((2, 12)) * (DURATION - 3)
        times = (bursts[0][:, None] + rng.random((12, 40)) * 3).ravel()
        turns = (bursts[1][:, None] + rng.random((12, 15)) * 3).ravel()
        activity = event_activity(turns, DT_FS, FRAMES)[None]
        result = hop_coincidence(times, np.full((480, 3), 5.0), [[5.0, 5.0, 5.0]], BOX * np.eye(3), activity, DT_FS)
        calls += result.verdict == "coincide"
    assert calls <= 2  # 1 % each: more than two of twenty has a chance of 0.1 %


def test_a_continuous_activity():
    """Angular speeds that are twice as large for a while about hops."""
    rng = np.random.default_rng(3)
    (times, places, centres, cell, activity, step), _ = events(3, 0.0)
    speeds = rng.chisquare(3, activity.shape)
    quiet = hop_coincidence(times, places, centres, cell, speeds, step)
    assert quiet.verdict == "independent"
    near = np.linalg.norm((places[:, None] - centres + BOX / 2) % BOX - BOX / 2, axis=2) < 5
    for hop, group in zip(*np.nonzero(near), strict=True):
        frame = round(times[hop] / (step * 1e-3))
        speeds[group, max(frame - 50, 0) : frame + 51] = 2 * rng.chisquare(
            3, len(speeds[group, max(frame - 50, 0) : frame + 51])
        )
    active = hop_coincidence(times, places, centres, cell, speeds, step)
    assert active.verdict == "coincide"
    # twice as active for 2 ps about some 30 hops in 300 ps: the mean is raised by a fifth, the ratio is 2/1.2
    expected = 2 / (speeds.mean() / 3)
    assert active.ratio == pytest.approx(expected, rel=0.05)
    assert active.pairs == near.sum()
    assert active.hops_near == near.any(axis=1).sum()


def test_nearness_in_a_skew_cell():
    """A hop next to an image of the centre that rounding fractional coordinates does not find."""
    cell = np.array([[10.0, 0, 0], [9.0, 10.0, 0], [0, 0, 10.0]])
    images = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ cell
    rng = np.random.default_rng(4)
    places = rng.random((400, 3)) @ cell
    expected = np.sum(np.linalg.norm(places[:, None] - images, axis=2).min(axis=1) < 4.0)
    activity = np.ones((1, FRAMES))
    result = hop_coincidence(np.zeros(400), places, np.zeros((1, 3)), cell, activity, DT_FS, distance_A=4.0)
    assert result.pairs == expected
    assert result.ratio == pytest.approx(1)


def test_places_of_hops():
    """Half way between the sites, across the boundary too."""
    sites = sites_from_crystal([[0, 0, 0]], 3 * np.eye(3), cell=12 * np.eye(3))
    path = np.repeat(np.array([9.0, 12.0, 15.0]), 50)
    positions = np.stack([path, 0 * path, 0 * path], axis=1)[:, None]
    stays = find_stays(positions, DT_FS, sites)
    places = hop_places(stays, find_hops(stays))
    np.testing.assert_allclose(places[:, 0] % 12, [10.5, 1.5], atol=1e-9)  # rounding


def test_nothing_to_compare():
    (times, places, centres, cell, activity, step), _ = events(5, 0.0)
    far = hop_coincidence(times, places, centres, cell, activity, step, distance_A=0.01)
    assert far.ratio is None
    assert "no hop" in far.reason
    still = hop_coincidence(times, places, centres, cell, 0 * activity, step)
    assert still.verdict == "undecided"
    assert not coincidence_quantity(still, "turning_near_hops_PS4").converged


def test_bad_input():
    (times, places, centres, cell, activity, step), _ = events(6, 0.0)
    with pytest.raises(ValueError, match="too short"):
        hop_coincidence(times, places, centres, cell, activity[:, :500], step)
    with pytest.raises(ValueError, match="one time and place"):
        hop_coincidence(times[:-1], places, centres, cell, activity, step)
    with pytest.raises(ValueError, match="one centre"):
        hop_coincidence(times, places, centres[:-1], cell, activity, step)
    with pytest.raises(ValueError, match="positive"):
        hop_coincidence(times, places, centres, cell, activity, step, lag_ps=0)
