"""The reference task with EMT: relaxation, sampling, labelling, and going on after a time limit."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import SCFError
from ase.calculators.emt import EMT
from ase.eos import EquationOfState

from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_PHYSICS

SAMPLE = {
    "temperatures": [300, 600, 900],
    "volume_scalings": [0.97, 1.03],
    "frames_per_run": 2,
    "stride": 5,
    "timestep_fs": 4.0,
    "strain": 0.02,
    "seed": 8,
}


def relax(**options):
    return {"engine": "emt", "mode": "relax", "relax": {"force_tolerance": 1e-4} | options}


def keep_going(folder, task: str) -> int:
    """Start again until it no longer stops at the time limit; number of starts."""
    for starts in range(1, 100):
        code = folder.run(task)
        if code != EXIT_INTERRUPTED:
            assert code == EXIT_OK
            return starts
    raise AssertionError("a task with a short time limit does not come to an end")


def test_relaxed_copper_has_the_lattice_constant_of_its_energy_curve(folder):
    start = bulk("Cu", "fcc", a=3.7, cubic=True)
    folder.give(relax(), structures=start)
    assert folder.run("reference") == EXIT_OK
    (relaxed,) = folder.frames()
    volumes, energies = [], []
    for scale in np.linspace(0.99, 1.01, 7):
        cell = bulk("Cu", "fcc", a=3.59 * scale, cubic=True)
        cell.calc = EMT()
        volumes.append(cell.get_volume())
        energies.append(cell.get_potential_energy())
    volume = EquationOfState(volumes, energies).fit()[0]
    # The fit errs by some 1e-5; a stress left of 1e-4 eV/Angstrom^3 by the same.
    assert relaxed.get_volume() == pytest.approx(volume, rel=2e-4)
    results = folder.output["results"]
    assert results["converged"]
    assert results["volume_change"] == pytest.approx(relaxed.get_volume() / start.get_volume() - 1)
    assert results["energy_ev"] == pytest.approx(relaxed.get_potential_energy(), abs=1e-7)
    assert folder.progress[-1]["done"] == results["steps"]


def test_symmetry_and_axes_survive_the_relaxation(folder, alloy):
    folder.give(relax(), structures=alloy)
    folder.run("reference")
    cell = folder.frames()[0].cell.array
    # Rounding of a text file with eight decimals.
    np.testing.assert_allclose(cell, cell[0, 0] * np.eye(3), atol=1e-6)


def test_atoms_may_relax_in_a_fixed_cell(folder, alloy):
    alloy.rattle(0.1, seed=1)
    folder.give(relax(relax_cell=False, keep_symmetry=False), structures=alloy)
    assert folder.run("reference") == EXIT_OK
    np.testing.assert_allclose(folder.frames()[0].cell.array, alloy.cell.array, atol=1e-7)
    assert folder.output["results"]["max_force_ev_per_angstrom"] <= 1e-4


def test_unfinished_relaxation_says_so(folder, alloy):
    alloy.rattle(0.1, seed=1)
    folder.give(relax(max_steps=2, keep_symmetry=False), structures=alloy)
    assert folder.run("reference") == EXIT_OK
    assert folder.output["results"]["converged"] is False
    assert folder.output["results"]["steps"] == 2


def test_a_cell_that_falls_apart_is_a_failure_of_physics(folder):
    folder.give(relax(), structures=bulk("Cu", "fcc", a=5.2, cubic=True))
    assert folder.run("reference") == EXIT_PHYSICS
    assert "does not hold" in folder.output["message"]


@pytest.mark.parametrize("relax_cell", [True, False])
def test_relaxation_goes_on_after_a_time_limit(make_folder, alloy, relax_cell):
    alloy.rattle(0.15, seed=2)
    whole, parts = make_folder("whole"), make_folder("parts")
    options = relax(relax_cell=relax_cell, keep_symmetry=False)
    whole.give(options, structures=alloy).run("reference")
    parts.give(options | {"max_seconds": 1e-9}, structures=alloy)
    assert keep_going(parts, "reference") > 5
    assert parts.output["results"]["steps"] == whole.output["results"]["steps"]
    # EMT's sums may come in another order after a restart: rounding, which the text file hides.
    np.testing.assert_allclose(parts.frames()[0].positions, whole.frames()[0].positions, atol=2e-8)
    np.testing.assert_allclose(parts.frames()[0].cell.array, whole.frames()[0].cell.array, atol=2e-8)


def test_samples_have_the_volumes_asked_for_and_labels_of_the_engine(folder, alloy):
    folder.give({"engine": "emt", "mode": "sample", "sample": SAMPLE}, structures=alloy)
    assert folder.run("reference") == EXIT_OK
    frames = folder.frames()
    assert len(frames) == folder.output["results"]["frames"] == 6
    volumes = [atoms.get_volume() / alloy.get_volume() for atoms in frames]
    # The random strain is traceless: it changes the volume in second order, by some 0.02^2.
    np.testing.assert_allclose(volumes, [0.97, 0.97, 1.03, 1.03, 0.97, 0.97], atol=3e-3)
    for atoms in frames:
        fresh = atoms.copy()
        fresh.calc = EMT()
        # Eight decimals of positions in the file, times force constants of some eV/Angstrom^2.
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-6)
        np.testing.assert_allclose(atoms.get_stress(), fresh.get_stress(), atol=1e-7)
    # Forces of the engine, not of the constraint that holds the centre of mass: unequal masses would show.
    np.testing.assert_allclose([atoms.get_forces().sum(axis=0) for atoms in frames], 0, atol=1e-6)


def test_hotter_samples_have_larger_forces(folder, alloy):
    settings = SAMPLE | {"temperatures": [100, 1600], "volume_scalings": [1.0], "frames_per_run": 6, "strain": 0.0}
    folder.give({"engine": "emt", "mode": "sample", "sample": settings}, structures=alloy)
    folder.run("reference")
    cold, hot = np.abs([atoms.get_forces() for atoms in folder.frames()]).reshape(2, -1).mean(axis=1)
    # Forces of a harmonic crystal grow with the root of the temperature: four times.
    assert 2 < hot / cold < 8


def test_rattled_cells_have_the_displacements_and_volumes_asked_for(folder, alloy):
    settings = SAMPLE | {"temperatures": [300], "frames_per_run": 1, "rattled_frames": 30, "rattle": 0.1, "strain": 0.0}
    folder.give({"engine": "emt", "mode": "sample", "sample": settings}, structures=alloy * (2, 2, 1))
    assert folder.run("reference") == EXIT_OK
    rattled = folder.frames()[1:]
    assert folder.output["results"]["frames"] == 31
    assert [line["what"] for line in folder.progress] == ["reference MD"] + ["rattled cells"] * 30
    displacements = []
    for index, atoms in enumerate(rattled):
        scaling = (0.97, 1.03)[index % 2]
        assert atoms.get_volume() / (4 * alloy.get_volume()) == pytest.approx(scaling, rel=1e-6)
        ideal = alloy * (2, 2, 1)
        ideal.set_cell(atoms.cell, scale_atoms=True)
        displacements.append(atoms.positions - ideal.positions)
    # 30 x 48 numbers: a standard deviation within four of its standard errors, 1 / sqrt(2 n).
    assert np.std(displacements) == pytest.approx(0.1, rel=4 / np.sqrt(2 * 1440))
    assert abs(np.mean(displacements)) < 4 * 0.1 / np.sqrt(1440)
    forces = [atoms.get_forces() for atoms in rattled]
    assert np.isfinite(forces).all()
    assert np.abs(forces).max() > 0.5


@pytest.mark.parametrize("strain", [0.02, 0.0])
def test_sampling_goes_on_after_a_time_limit(make_folder, alloy, strain):
    """After every single frame, within runs and between them; without strain successive runs share a cell."""
    whole, parts = make_folder("whole"), make_folder("parts")
    task_input = {"engine": "emt", "mode": "sample", "sample": SAMPLE | {"strain": strain, "volume_scalings": [1.0]}}
    task_input["sample"] |= {"rattled_frames": 2}
    whole.give(task_input, structures=alloy).run("reference")
    parts.give(task_input | {"max_seconds": 1e-9}, structures=alloy)
    assert keep_going(parts, "reference") == 9
    assert (parts.path / "labelled.extxyz").read_text() == (whole.path / "labelled.extxyz").read_text()


def test_labels_and_going_on_after_a_time_limit(make_folder, labelled_alloys):
    whole, parts = make_folder("whole"), make_folder("parts")
    bare = [atoms.copy() for atoms in labelled_alloys]
    task_input = {"engine": "emt", "mode": "label"}
    assert whole.give(task_input, structures=bare).run("reference") == EXIT_OK
    for atoms, expected in zip(whole.frames(), labelled_alloys, strict=True):
        # Positions went through a file with eight decimals.
        assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-6)
        np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-7)
    parts.give(task_input | {"max_seconds": 1e-9}, structures=bare)
    assert keep_going(parts, "reference") == 11
    assert (parts.path / "labelled.extxyz").read_text() == (whole.path / "labelled.extxyz").read_text()


class Stubborn(EMT):
    """Does not converge for cells whose first atom is where the test has put it."""

    at = (0.25, 0.0, 0.0)

    def calculate(self, atoms=None, *arguments):
        if np.allclose(atoms.positions[0], self.at):
            raise SCFError("no convergence in 60 steps")
        super().calculate(atoms, *arguments)


def stubborn(frames, monkeypatch, *indices):
    bare = [atoms.copy() for atoms in frames]
    for index in indices:
        bare[index].positions[0] = Stubborn.at
    monkeypatch.setattr("aiida_iontherm.tasks.reference.make_calculator", lambda *_: Stubborn())
    return bare


def test_a_structure_that_does_not_converge_is_left_out(make_folder, labelled_alloys, monkeypatch):
    """Also when it lies on either side of an interruption; the others keep their labels."""
    bare = stubborn(labelled_alloys, monkeypatch, 1, 4)
    task_input = {"engine": "emt", "mode": "label"}
    whole, parts = make_folder("whole"), make_folder("parts")
    assert whole.give(task_input, structures=bare).run("reference") == EXIT_OK
    results = whole.output["results"]
    assert results["missing"] == [1, 4]
    assert results["missing_because"] == "no convergence in 60 steps"
    assert not results["converged"]
    expected = [atoms for index, atoms in enumerate(labelled_alloys) if index not in (1, 4)]
    for atoms, other in zip(whole.frames(), expected, strict=True):
        # Positions went through a file with eight decimals.
        assert atoms.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-6)
    parts.give(task_input | {"max_seconds": 1e-9}, structures=bare)
    keep_going(parts, "reference")
    assert parts.output["results"]["missing"] == [1, 4]
    assert (parts.path / "labelled.extxyz").read_text() == (whole.path / "labelled.extxyz").read_text()


def test_when_nothing_converges_the_rest_is_not_tried(folder, labelled_alloys, monkeypatch):
    bare = stubborn(labelled_alloys, monkeypatch, *range(len(labelled_alloys)))
    folder.give({"engine": "emt", "mode": "label"}, structures=bare)
    assert folder.run("reference") == EXIT_PHYSICS
    assert folder.output["message"] == (
        "the engine emt solves none of the structures, the first because: no convergence in 60 steps"
    )
    assert len((folder.path / "progress.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine": "lj"}, "does not know Ag, Cu"),
        ({"engine": "ent"}, "did you mean emt?"),
        ({"engine": "xyz"}, "there are chgnet, emt"),
        ({"engine_options": {"speed": 3}}, "does not take these options"),
        ({"mode": "sample"}, "needs the section sample"),
        ({"structures": "absent.extxyz"}, "no file absent.extxyz"),
        ({"mode": "sample", "sample": SAMPLE | {"temperatures": []}}, "sample.temperatures"),
        ({"mode": "sample", "sample": SAMPLE | {"volume_scalings": [0.0]}}, "sample.volume_scalings"),
    ],
)
def test_wrong_inputs(folder, alloy, change, words):
    folder.give({"engine": "emt", "mode": "label"} | change, structures=alloy)
    assert folder.run("reference") == EXIT_INPUT
    assert words in folder.output["message"]


def test_a_single_atom_cannot_be_sampled(folder):
    folder.give({"engine": "emt", "mode": "sample", "sample": SAMPLE}, structures=bulk("Cu"))
    assert folder.run("reference") == EXIT_INPUT
    assert "larger supercell" in folder.output["message"]
