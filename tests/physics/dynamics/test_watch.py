"""Watched runs: what is kept, when they end, and that nobody who is not asked knows of the watch."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones

from aiida_iontherm.physics.dynamics import ExtrapolationWatch, MdSettings, MolecularDynamics, WatchSettings

MOBILE = np.arange(4)


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.3, cubic=True)


def lennard_jones() -> LennardJones:
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=5.0, ro=4.0, smooth=True)


def settings(**changes) -> MdSettings:
    defaults = {
        "temperature_k": 40.0,
        "timestep_fs": 4.0,
        "equilibration_steps": 40,
        "production_steps": 60,
        "position_stride": 5,
        "snapshot_stride": 10,
        "block_steps": 20,
        "seed": 3,
    }
    return MdSettings(**(defaults | changes))


def scripted(values):
    """Grades of the atoms from a list: the last atom gets the value, the others half of it."""
    remaining = iter(values)

    def grader(atoms):
        found = np.full(len(atoms), 0.5)
        found[-1] = 1.0
        return found * next(remaining)

    return grader


def watch(grader, **changes) -> ExtrapolationWatch:
    return ExtrapolationWatch(grader, WatchSettings(**({"stride": 10, "spacing": 1} | changes)))


def watched(grader, plan=None, calculator=None, **changes) -> MolecularDynamics:
    return MolecularDynamics(
        argon(), calculator or lennard_jones(), plan or settings(), MOBILE, watch(grader, **changes)
    )


def run(dynamics, blocks=None):
    while not dynamics.finished and blocks != 0:
        dynamics.run_block()
        blocks = None if blocks is None else blocks - 1
    return dynamics


def moved(atoms):
    """A grade that follows the run: the largest displacement, in units that make it pass the thresholds."""
    return 8.0 * np.linalg.norm(atoms.positions - argon().positions, axis=1)


def test_grades_are_recorded_with_step_maximum_and_mean():
    values = [0.5, 1.0, 2.9, 3.1, 0.1, 9.9, 0.0, 1.0, 1.0, 1.0]
    dynamics = run(watched(scripted(values)))
    assert dynamics.broken is None
    assert dynamics.steps == 100
    series = dynamics.watch.series
    np.testing.assert_array_equal(series[:, 0], np.arange(10, 101, 10))
    np.testing.assert_allclose(series[:, 1], values)
    np.testing.assert_allclose(series[:, 2], 0.625 * np.array(values))  # four atoms: (3 x 1/2 + 1) / 4
    assert [(c.step, c.grade) for c in dynamics.watch.candidates] == [(40, 3.1), (60, 9.9)]


def test_watching_does_not_change_the_run():
    plain = run(MolecularDynamics(argon(), lennard_jones(), settings(ensemble="nvt"), MOBILE))
    seen = run(watched(lambda atoms: np.ones(4), settings(ensemble="nvt")))
    for name, values in plain.observables().items():
        np.testing.assert_array_equal(seen.observables()[name], values, err_msg=name)


def test_candidates_are_the_frames_of_the_run():
    dynamics = run(watched(scripted([1, 1, 1, 1, 4, 1, 1, 5, 1, 1])))
    snapshots = dynamics.observables()["snapshots"]
    # Snapshots every ten steps of the production, which begins at step 40.
    for candidate, index in zip(dynamics.watch.candidates, (0, 3), strict=True):
        np.testing.assert_array_equal(candidate.positions, snapshots[index])
        assert 0 < candidate.temperature < 200


@pytest.mark.parametrize(("at", "blocks"), [(2, 1), (7, 4)])
def test_run_ends_at_the_break(at, blocks):
    """In the equilibration and within a block of the production; the state is that of the step."""
    values = [1.0] * (at - 1) + [10.5] + [1.0] * 10
    dynamics = run(watched(scripted(values)))
    assert dynamics.finished
    assert dynamics.broken.step == dynamics.steps == 10 * at
    assert dynamics.broken.reason == "an extrapolation grade of 10.5 is above 10"
    thermo = dynamics.observables()["thermo"]
    assert len(thermo) == blocks
    assert thermo[-1, 0] == pytest.approx(0.04 * at)  # ten steps of 4 fs
    assert len(dynamics.watch.series) == at
    (candidate,) = dynamics.watch.candidates
    np.testing.assert_array_equal(candidate.positions, dynamics.atoms.positions)
    # The same run without a watch passes through this state.
    plain = MolecularDynamics(argon(), lennard_jones(), settings(position_stride=10), MOBILE)
    run(plain)
    if at > 4:
        np.testing.assert_array_equal(plain.observables()["snapshots"][at - 5], dynamics.atoms.positions)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_grade_that_is_no_number_ends_the_run_and_is_no_candidate(value):
    dynamics = run(watched(scripted([1, 1, 1, 1, value])))
    assert dynamics.broken.step == 50
    assert dynamics.watch.candidates == []


class Exploding(Calculator):
    """Lennard-Jones until a number of calls, then a kick that throws the atoms out of any cell."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, calls):
        super().__init__()
        self.left, self.inner = calls, lennard_jones()

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.left -= 1
        self.inner.calculate(atoms, ["energy", "forces"], system_changes)
        self.results = dict(self.inner.results)
        if self.left < 0:
            self.results["forces"] = 1e6 * np.ones((len(atoms), 3)) * np.arange(1, 5)[:, None]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow in the neighbour search on the way
def test_a_watched_run_that_explodes_keeps_what_came_before():
    plan = settings(snapshot_stride=5, position_stride=5, ensemble="nvt")
    dynamics = run(watched(lambda atoms: np.full(4, 2.0), plan, Exploding(78)))
    assert dynamics.finished
    assert dynamics.broken.step == dynamics.steps == 70
    assert "instead of 40 K" in dynamics.broken.reason
    assert np.isfinite(dynamics.atoms.positions).all()
    assert np.abs(dynamics.atoms.positions - argon().positions).max() < 1.0
    stored = dynamics.observables()
    # Frames after the last grading, on the way to the explosion, are gone: six in 30 steps of production.
    assert {len(stored[name]) for name in ("snapshots", "snapshot_forces", "mobile_positions", "drift")} == {6}
    np.testing.assert_array_equal(stored["snapshots"][-1], dynamics.atoms.positions)


def test_frames_close_in_time_count_once():
    """The highest grade of each 30 steps is kept."""
    values = [4, 6, 5, 1, 7, 1, 3.5, 3.4, 1, 3.2]
    dynamics = run(watched(scripted(values), spacing=30))
    assert [(c.step, c.grade) for c in dynamics.watch.candidates] == [(20, 6), (50, 7), (70, 3.5), (100, 3.2)]


def test_the_number_of_candidates_is_bounded_and_they_cover_the_run():
    kept = watch(scripted(np.linspace(4, 9, 1000)), max_candidates=8)
    atoms = argon()
    for step in range(10, 10010, 10):
        kept.look(atoms, step, 40.0)
        assert len(kept.candidates) <= 8
    steps = np.array([c.step for c in kept.candidates])
    assert 4 < len(steps) <= 8
    assert steps[-1] == 10000  # grades rise: the last one is the highest of all
    assert np.diff(steps).max() <= 2 * 10000 / 4
    assert steps[0] <= 10000 / 4


@pytest.mark.parametrize("blocks", [1, 2])
def test_continued_run_is_the_uninterrupted_one(blocks):
    """Bit by bit, with its grades and candidates, to the same break."""
    # The first swing of the atoms away from their sites is the widest one: 3.4 at step 30.
    options = {"stride": 5, "spacing": 5, "max_candidates": 2, "select": 1.5, "stop": 3.3}
    plan = settings(equilibration_steps=10, block_steps=10, ensemble="nvt", temperature_k=60.0)
    straight = run(watched(moved, plan, **options))
    assert straight.broken is not None
    assert blocks < straight.block
    assert len(straight.watch.candidates) == 2
    first = run(watched(moved, plan, **options), blocks)
    meta, arrays = first.state()
    run(first)
    second = watched(moved, plan, **options)
    second.restore(meta, arrays)
    run(second)
    assert second.broken == straight.broken
    np.testing.assert_array_equal(second.watch.series, straight.watch.series)
    for one, other in zip(second.watch.candidates, straight.watch.candidates, strict=True):
        assert (one.step, one.temperature, one.grade) == (other.step, other.temperature, other.grade)
        np.testing.assert_array_equal(one.positions, other.positions)
    for name, values in straight.observables().items():
        np.testing.assert_array_equal(second.observables()[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, "stride must be at least 1"),
        ({"max_candidates": 0}, "max_candidates must be at least 1"),
        ({"spacing": 0}, "spacing must be at least 1"),
        ({"select": 1.0}, "1 < select < stop, not 1 and 10"),
        ({"select": 12.0}, "1 < select < stop, not 12 and 10"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        WatchSettings(**({"stride": 10} | change))


def test_stride_must_fit_the_blocks():
    with pytest.raises(ValueError, match="stride of the watch, 7, must divide block_steps = 20"):
        watched(moved, stride=7)
