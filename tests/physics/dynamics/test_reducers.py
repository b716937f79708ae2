"""Sums over frames as they come: the same as from all frames at once, however they are dealt out."""

import itertools

import numpy as np
import pytest

from aiida_iontherm.physics.compiled import _native
from aiida_iontherm.physics.dynamics import CompiledDynamics, MdSettings, MolecularDynamics
from aiida_iontherm.physics.dynamics.reducers import DensityReducer, DisplacementReducer, RelativeTo, VelocityReducer
from aiida_iontherm.physics.ions import density_map
from aiida_iontherm.physics.ions.msd import mean_square_displacement
from aiida_iontherm.physics.spectra import vibrational_dos
from aiida_iontherm.physics.spectra.vdos import dos_from_correlations

FRAMES = 700
GROUPS = {"I": np.array([0, 2, 4]), "Cu": np.array([1, 3, 5, 6])}


@pytest.fixture(scope="module")
def walk():
    """Atoms that walk at random, far from the origin."""
    return 50 + np.cumsum(np.random.default_rng(0).normal(scale=[0.1, 0.2, 0.05], size=(FRAMES, 7, 3)), axis=0)


def reducers():
    masses = np.linspace(20, 100, 7)
    return {
        "msd": DisplacementReducer(GROUPS, 0.04),
        "vacf": VelocityReducer(GROUPS, masses, 0.008, 90),
        "density": DensityReducer(GROUPS["I"], 9.0 * np.eye(3), (1, 1, 2)),
    }


@pytest.mark.parametrize("name", reducers())
def test_however_frames_are_dealt_out(walk, name):
    whole = reducers()[name]
    whole.add(walk)
    dealt = reducers()[name]
    edges = [0, 1, 2, 5, 33, 33, 200, 481, FRAMES]
    for first, last in itertools.pairwise(edges):
        dealt.add(walk[first:last])
        kept = {key: np.array(values) for key, values in dealt.state().items()}
        dealt.add(walk[:40] + 1)  # what comes after the state was taken must not leak into it
        dealt = reducers()[name]
        dealt.restore(kept)
    exact = 1e-5 if name == "vacf" else 1e-9  # float32 of squares of 50 Angstrom/ps; sums in another order
    for key, values in whole.results().items():
        np.testing.assert_allclose(dealt.results()[key], values, rtol=exact, atol=1e-9, err_msg=key)


def test_displacements_of_all_frames(walk):
    """Every lag there is, against another algorithm where all frames are origins, and by hand at longer ones."""
    reducer = DisplacementReducer(GROUPS, 0.04)
    reducer.add(walk)
    found = reducer.results()
    lags = np.rint(found["msd_lags_ps"] / 0.04).astype(int)
    assert lags[:16].tolist() == list(range(1, 17))
    assert (np.diff(lags) > 0).all()
    assert lags[-1] > FRAMES / 2
    for name, members in GROUPS.items():
        everything = np.diagonal(mean_square_displacement(walk[:, members]), axis1=1, axis2=2)
        np.testing.assert_allclose(found[f"msd_{name}"][:16], everything[1:17], rtol=1e-9)
        for row, lag in enumerate(lags):
            stride = 1 if lag <= 16 else 2 ** int(np.ceil(np.log2(lag / 16)))
            thinned = walk[::stride][:, members]
            moved = thinned[lag // stride :] - thinned[: -lag // stride]
            np.testing.assert_allclose(found[f"msd_{name}"][row], np.mean(moved**2, axis=(0, 1)), rtol=1e-9)
            assert found["msd_origins"][row] == len(moved)


@pytest.mark.parametrize("instructions", _native.instruction_sets())
def test_squares_of_every_instruction_set(instructions):
    """Segments shorter and longer than a vector and than what is summed at once, and one that is empty."""
    rows = np.random.default_rng(3).normal(size=(11, 300))
    ends = np.array([3, 3, 20, 291, 300], dtype=np.int32)
    for origin, first, lags in ((0, 0, 4), (2, 5, 6), (0, 9, 20), (3, 11, 1)):
        found = _native.squared_displacements(rows, ends, lags, origin, first, instructions)
        expected = np.zeros((lags, len(ends)))
        for lag in range(1, lags + 1):
            later = np.arange(max(first, origin + lag), len(rows))
            squares = ((rows[later] - rows[later - lag]) ** 2).sum(axis=0)
            expected[lag - 1] = [part.sum() for part in np.split(squares, ends)[:-1]]
        np.testing.assert_allclose(found, expected, rtol=1e-12)  # sums of at most 3000 squares in another order


@pytest.mark.parametrize(("ends", "first"), [([20, 10], 3), ([301], 3), ([300], 12), ([300], 1)])
def test_squares_refuse_what_is_not_there(ends, first):
    with pytest.raises(ValueError, match=r"need lags|ends of segments"):
        _native.squared_displacements(np.zeros((11, 300)), np.array(ends, dtype=np.int32), 4, 2, first)


def test_velocities_of_all_frames():
    """The density of states from the sums is that of the whole series, and directions add up."""
    velocities = np.random.default_rng(1).normal(size=(FRAMES, 7, 3)).astype(np.float32)
    masses, species = np.linspace(20, 100, 7), ["I", "Cu", "I", "Cu", "I", "Cu", "Cu"]
    whole = vibrational_dos(velocities, 8.0, masses, species, resolution_thz=1.8)
    max_lag = int(np.ceil(1.276 / (1.8 * 0.008)))
    reducer = VelocityReducer(GROUPS, masses, 0.008, max_lag)
    for first in range(0, FRAMES, 33):
        reducer.add(velocities[first : first + 33])
    sums = {name: values.sum(axis=0) for name, values in reducer.correlations().items()}
    dos = dos_from_correlations(sums, 0.008, 7)
    np.testing.assert_allclose(dos.frequencies_thz, whole.frequencies_thz)
    for name in GROUPS:
        np.testing.assert_allclose(dos.partial[name], whole.partial[name], rtol=1e-6)  # float32
    at_rest = reducer.results()["vacf_Cu"][:, 0]
    members = GROUPS["Cu"]
    expected = np.mean(masses[members, None] * velocities[:, members].astype(float) ** 2, axis=(0, 1))
    np.testing.assert_allclose(at_rest, expected, rtol=1e-6)


def test_density_of_all_frames(walk):
    reducer = DensityReducer(GROUPS["I"], 9.0 * np.eye(3), (1, 1, 2))
    reducer.add(walk)
    whole = density_map(walk[:, GROUPS["I"]], 9.0 * np.eye(3), repeats=(1, 1, 2))
    np.testing.assert_array_equal(reducer.results()["density_counts"], whole.counts)
    assert reducer.results()["density_frames"] == whole.frames


def test_nothing_yet():
    for reducer in reducers().values():
        assert all(values.size == 0 for values in reducer.results().values())


@pytest.mark.parametrize("compiled", [True, False])
def test_of_a_run(binding_potential, crystal, compiled):
    """They see what is stored, also of a run that was continued, and what is discarded is not stored."""
    plan = MdSettings(
        temperature_k=300.0,
        timestep_fs=2.0,
        equilibration_steps=40,
        production_steps=200,
        position_stride=2,
        velocity_stride=4,
        snapshot_stride=0,
        block_steps=20,
    )
    mobile = np.array([1, 3])
    everyone = {"all": np.arange(8)}

    def fresh(**more):
        made = {
            "msd": DisplacementReducer({"mobile": mobile}, 0.004),
            "vacf": VelocityReducer(everyone, crystal.get_masses(), 0.008, 10),
        }
        if compiled:
            return CompiledDynamics(crystal, binding_potential, plan, mobile, reducers=made, **more)
        return MolecularDynamics(crystal, binding_potential.calculator(), plan, mobile, reducers=made, **more)

    run = fresh()
    while not run.finished:
        run.run_block()
    stored, reduced = run.observables(), run.reduced()
    positions = stored["mobile_positions"]
    expected = np.diagonal(mean_square_displacement(positions), axis1=1, axis2=2)[1:17]
    np.testing.assert_allclose(reduced["msd_mobile"][:16], expected, atol=2e-6)  # float32 of some Angstrom
    again = VelocityReducer(everyone, crystal.get_masses(), 0.008, 10)
    again.add(stored["velocities"])
    np.testing.assert_allclose(reduced["vacf_all"], again.results()["vacf_all"], rtol=1e-6)  # float32
    continued = fresh(discard={"velocities"})
    for _ in range(7):
        continued.run_block()
    state = continued.state()
    last = fresh(discard={"velocities"})
    last.restore(*state)
    while not last.finished:
        last.run_block()
    assert len(last.observables()["velocities"]) == 0
    for name, values in reduced.items():
        np.testing.assert_array_equal(last.reduced()[name], values)


def test_relative_to_a_framework(walk):
    """Displacements are those of positions less the mean of the framework, however all of it moves."""
    masses = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    reducer = RelativeTo(DisplacementReducer(GROUPS, 0.04), GROUPS["Cu"], masses)
    reducer.add(walk[:300])
    kept = {key: np.array(values) for key, values in reducer.state().items()}
    reducer = RelativeTo(DisplacementReducer(GROUPS, 0.04), GROUPS["Cu"], masses)
    reducer.restore(kept)
    reducer.add(walk[300:])
    centre = np.average(walk[:, GROUPS["Cu"]], axis=1, weights=masses[GROUPS["Cu"]])
    plain = DisplacementReducer(GROUPS, 0.04)
    plain.add(walk - centre[:, None])
    for key, values in plain.results().items():
        np.testing.assert_allclose(reducer.results()[key], values, rtol=1e-9)  # rounding
    with pytest.raises(ValueError, match="only positions"):
        RelativeTo(VelocityReducer(GROUPS, masses, 0.008, 5), GROUPS["Cu"], masses)
