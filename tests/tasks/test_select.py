"""Graded MD and the selection from it: tasks in a row, as a work chain puts them."""

import signal

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import (
    active_set_from_arrays,
    active_set_of,
    active_set_to_arrays,
    grades,
    gradient_rows,
    update,
)
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK

# The toy potential lets ions come close when they are hot; what it says there is of no interest.
pytestmark = pytest.mark.filterwarnings("ignore::aiida_iontherm.physics.mtp.kernel.ShortDistanceWarning")

SPECIES = ["Cu", "I"]
MD = {
    "potential": "potential.mtp",
    "species": SPECIES,
    "active_set": "active_set.npz",
    "grade_interval": 10,
    "temperature": 200.0,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.0,
    "ensemble": "nvt",
    "friction_per_ps": 20.0,
    "production_ps": 1.2,
    "position_interval_fs": 20.0,
    "snapshots": 6,
    "seed": 3,
}
SELECT = {"candidates": {"hot": "hot.extxyz", "wide": "wide.extxyz"}, "species": SPECIES}


def salt() -> Atoms:
    return bulk("CuI", "rocksalt", a=5.4, cubic=True)


def rattled(count, amplitude, start=0):
    frames = []
    for seed in range(start, start + count):
        atoms = salt()
        atoms.rattle(amplitude, seed=seed)
        frames.append(atoms)
    return frames


def write_potential(folder, training) -> MomentTensorPotential:
    """A potential that holds the salt together, with the active set of some configurations."""
    blank = MomentTensorPotential.new(level=2, species=SPECIES, cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    blank.replace(moment_coeffs=np.array([2.0])).write(folder.path / "potential.mtp")
    potential = MomentTensorPotential.read(folder.path / "potential.mtp", SPECIES)
    np.savez(folder.path / "active_set.npz", **active_set_to_arrays(active_set_of(potential, training)))
    return potential


@pytest.fixture
def training():
    return rattled(12, 0.1)


def test_graded_run(folder, training):
    """Grades against those computed afterwards from the frames."""
    folder.give(MD | {"grade_break": 1e9, "grade_select": 2.0}, structure=salt())
    potential = write_potential(folder, training)
    assert folder.run("md") == EXIT_OK
    results, arrays = folder.output["results"], folder.arrays("trajectory.npz")
    active_set = active_set_from_arrays(folder.arrays("active_set.npz"), potential)
    assert results["broke_at_ps"] is None
    assert results["break_reason"] is None
    assert results["gradings"] == len(arrays["grades"]) == 60
    np.testing.assert_allclose(arrays["grades"][:, 0], 0.02 * np.arange(1, 61))
    assert results["max_grade"] == arrays["grades"][:, 1].max()
    assert results["mean_grade"] == pytest.approx(arrays["grades"][:, 2].mean())
    times = 0.2 * np.arange(1, 7)
    for positions, time in zip(arrays["snapshots"], times, strict=True):
        atoms = Atoms(arrays["numbers"], positions, cell=arrays["cell"], pbc=True)
        found = grades(active_set, gradient_rows(potential, atoms))
        (row,) = np.flatnonzero(np.isclose(arrays["grades"][:, 0], time))
        np.testing.assert_allclose(arrays["grades"][row, 1:], [found.max(), found.mean()], rtol=1e-9)
    frames = folder.frames("candidates.extxyz")
    assert len(frames) == results["candidates"] > 2
    for atoms in frames:
        # Extended XYZ carries eight decimals; grades change by some units per Angstrom and more.
        found = grades(active_set, gradient_rows(potential, atoms)).max()
        assert atoms.info["grade"] == pytest.approx(found, rel=1e-4)
        assert atoms.info["grade"] > 2.0
        assert atoms.info["temperature"] == 200.0
        assert atoms.info["time_ps"] == pytest.approx(0.002 * atoms.info["step"])
    assert folder.progress[-1]["figures"].keys() == {"temperature", "grade"}


def test_a_break_is_a_result(folder, training):
    folder.give(MD | {"temperature": 3000.0, "vdos": True, "vdos_resolution_thz": 3.0}, structure=salt())
    write_potential(folder, training)
    assert folder.run("md") == EXIT_OK
    results, arrays = folder.output["results"], folder.arrays("trajectory.npz")
    assert 0 < results["broke_at_ps"] < 1.2
    assert "extrapolation grade" in results["break_reason"]
    assert results["max_grade"] > 10
    assert results["production_ps"] == results["broke_at_ps"]
    assert results["steps"] == round(results["broke_at_ps"] / 0.002)
    # The state of the break: the frame with the highest grade is the last one.
    last = max(folder.frames("candidates.extxyz"), key=lambda atoms: atoms.info["grade"])
    np.testing.assert_allclose(last.positions, arrays["last_positions"], atol=1e-8)
    assert arrays["last_velocities"].shape == (8, 3)
    assert not any(name.startswith("vdos") for name in arrays)


def test_volume_is_scaled(folder, training):
    folder.give(MD | {"grade_interval": 0, "volume_scaling": 0.95}, structure=salt())
    write_potential(folder, training)
    assert folder.run("md") == EXIT_OK
    assert np.linalg.det(folder.arrays("trajectory.npz")["cell"]) == pytest.approx(0.95 * 5.4**3, rel=1e-7)
    assert "max_grade" not in folder.output["results"]
    assert not (folder.path / "candidates.extxyz").exists()


@pytest.mark.slow
def test_graded_run_goes_on_after_a_kill(make_folder, training, same_arrays):
    task_input = MD | {"grade_break": 1e9, "production_ps": 5.0}
    whole, parts = (make_folder(name).give(task_input, structure=salt()) for name in ("whole", "parts"))
    for folder in (whole, parts):
        write_potential(folder, training)
    assert whole.run("md") == EXIT_OK
    code, errors = parts.stop_after("md", 3, signal.SIGTERM)
    # Exit code 0 here would mean that the run was over before the signal: the test then needs a longer run.
    assert code == EXIT_INTERRUPTED, errors
    assert parts.finish("md")[0] == EXIT_OK
    same_arrays(parts.arrays("trajectory.npz"), whole.arrays("trajectory.npz"))
    assert (parts.path / "candidates.extxyz").read_bytes() == (whole.path / "candidates.extxyz").read_bytes()
    assert parts.output["results"] == whole.output["results"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"active_set": None}, "grades need a potential and its active_set"),
        ({"active_set": "absent.npz"}, "no file absent.npz"),
        ({"potential": "other.mtp"}, "belongs to another potential"),
        ({"grade_select": 20.0}, "1 < select < stop"),
        ({"volume_scaling": 0.0}, "volume_scaling"),
    ],
)
def test_wrong_inputs_of_a_graded_run(folder, training, change, words):
    folder.give(MD | change, structure=salt())
    potential = write_potential(folder, training)
    potential.replace(cutoff=4.6).write(folder.path / "other.mtp")
    assert folder.run("md") == EXIT_INPUT
    assert words in folder.output["message"]


def test_selection(folder, training):
    hot, wide = rattled(8, 0.25, start=50), rattled(4, 0.1)
    folder.give(SELECT, hot=hot, wide=wide)
    potential = write_potential(folder, training)
    assert folder.run("select") == EXIT_OK
    results = folder.output["results"]
    assert (results["candidates"], results["unusable"], results["complete"]) == (12, 0, True)
    assert results["max_grade"] > 3 >= results["max_grade_after"]
    selected = folder.frames("selected.extxyz")
    assert 0 < len(selected) == results["selected"] < 8
    assert results["selected_by_run"] == {"hot": results["selected"], "wide": 0}  # the others are in the training set
    assert {atoms.info["run"] for atoms in selected} == {"hot"}
    active_set = active_set_from_arrays(folder.arrays("active_set.npz"), potential)
    for atoms in selected:
        active_set = update(active_set, gradient_rows(potential, atoms))
    # Added one after the other instead of all at once: another set, as good to within its own grades.
    assert max(grades(active_set, gradient_rows(potential, atoms)).max() for atoms in hot) < 2 * 3
    assert folder.progress[-1]["done"] == 12


def test_nothing_to_select(folder, training):
    folder.give(SELECT | {"candidates": {"hot": "hot.extxyz"}}, hot=training)
    write_potential(folder, training)
    assert folder.run("select") == EXIT_OK
    results = folder.output["results"]
    assert (results["selected"], results["selected_by_run"]) == (0, {"hot": 0})
    # Eight decimals in the file, against the rows of the set itself.
    assert results["max_grade"] == pytest.approx(1.0, abs=0.01)
    assert not (folder.path / "selected.extxyz").exists()


def test_the_limit_leaves_the_rest(folder, training):
    folder.give(SELECT | {"candidates": {"hot": "hot.extxyz"}, "max_selected": 1}, hot=rattled(8, 0.25, start=50))
    write_potential(folder, training)
    assert folder.run("select") == EXIT_OK
    results = folder.output["results"]
    assert results["selected"] == 1
    assert not results["complete"]
    assert results["max_grade_after"] > 3


def test_colliding_atoms_are_not_labelled(folder, training):
    """No reference calculation converges where two nuclei meet, and its forces would spoil the training."""
    collided = salt()
    collided.positions[1] = collided.positions[0] + [0.9, 0.0, 0.0]
    close = salt()
    close.positions[1] = close.positions[0] + [1.6, 0.0, 0.0]  # half of 1.32 + 1.39 Angstrom is 1.36
    folder.give(SELECT | {"candidates": {"hot": "hot.extxyz"}}, hot=[collided, close])
    write_potential(folder, training)
    assert folder.run("select") == EXIT_OK
    assert folder.output["results"]["unusable"] == 1
    (selected,) = folder.frames("selected.extxyz")
    np.testing.assert_allclose(selected.positions, close.positions, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"candidates": {"hot": "absent.extxyz"}}, "no file absent.extxyz"),
        ({"species": ["Cu"]}, "holds 2 species"),
        ({"potential": "other.mtp"}, "belongs to another potential"),
        ({"active_set": "potential.mtp"}, "not a complete .npz archive"),
        ({"grade_select": 1.0}, "grade_select"),
        ({"grade_selected": 3.0}, "did you mean grade_select?"),
        ({"candidates": {"hot": "strange.extxyz"}}, "knows Cu, I but not Br"),
    ],
)
def test_wrong_inputs_of_a_selection(folder, training, change, words):
    strange = salt()
    strange.symbols[1] = "Br"
    folder.give(SELECT | change, hot=training, wide=training, strange=strange)
    potential = write_potential(folder, training)
    potential.replace(cutoff=4.6).write(folder.path / "other.mtp")
    assert folder.run("select") == EXIT_INPUT
    assert words in folder.output["message"]
    assert ase.io.read(folder.path / "hot.extxyz", ":")  # inputs stay
