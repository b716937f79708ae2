"""The train task: the potential it writes is the one its figures describe."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_from_arrays, make_grader
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK

TRAIN = {
    "level": 4,
    "cutoff": 4.0,
    "radial_size": 4,
    "validation_fraction": 0.2,
    "max_iterations": 10,
    "seed": 1,
    "n_starts": 1,
}


def with_energy(atoms: Atoms, shift: float) -> Atoms:
    """A copy whose energy label is off."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **(atoms.calc.results | {"energy": atoms.get_potential_energy() + shift}))
    return copy


def test_potential_and_figures(folder, labelled_alloys):
    folder.give(TRAIN, labelled=labelled_alloys)
    assert folder.run("train") == EXIT_OK
    results, parity = folder.output["results"], folder.arrays("parity.npz")
    assert results["species"] == ["Ag", "Cu"]
    assert results["configurations"] == 10
    assert len(parity["energies_train"]) == 8
    assert len(parity["energies_validation"]) == 2
    potential = MomentTensorPotential.read(folder.path / "potential.mtp", results["species"])
    frames = folder.frames("labelled.extxyz")
    predicted = [potential.evaluate(atoms).energy / len(atoms) for atoms in frames]
    for reference, fitted in np.concatenate([parity["energies_train"], parity["energies_validation"]]):
        index = np.argmin([abs(atoms.get_potential_energy() / len(atoms) - reference) for atoms in frames])
        # The potential went through a file with 16 digits.
        assert predicted[index] == pytest.approx(fitted, abs=1e-9)
    for part in ("train", "validation"):
        difference = np.diff(parity[f"forces_{part}"], axis=1)
        rms = np.sqrt(np.mean(difference**2))
        assert results[part]["force_rmse_ev_per_angstrom"] == pytest.approx(rms)
        assert results[part]["force_rms_ev_per_angstrom"] > rms
        assert results[part]["stress_rmse_ev_per_angstrom3"] > 0
        assert results[part]["by_species"]["Cu"]["n_atoms"] == 3 * len(difference) // 12
        stress_rms = np.sqrt(np.mean(np.diff(parity[f"stresses_{part}"], axis=1) ** 2))
        assert results[part]["stress_rmse_ev_per_angstrom3"] == pytest.approx(stress_rms)
    assert [line["done"] for line in folder.progress] == list(range(1, 11))
    assert set(folder.progress[-1]["figures"]) == {"loss", "validation_loss", "configurations", "start"}
    assert any(note.startswith("minimum distance") for note in results["notes"])


def test_active_set_is_that_of_the_file_and_its_training_set(folder, labelled_alloys):
    folder.give(TRAIN, labelled=labelled_alloys)
    assert folder.run("train") == EXIT_OK
    results = folder.output["results"]
    potential = MomentTensorPotential.read(folder.path / "potential.mtp", results["species"])
    active_set = active_set_from_arrays(folder.arrays("active_set.npz"), potential)
    grader = make_grader(potential, active_set)
    frames = folder.frames("labelled.extxyz")
    assert max(grader(atoms).max() for atoms in frames) < 1.002  # the threshold of exchanges, 0.001, and rounding
    assert (results["parameters"], results["parameters_determined"]) == (len(active_set.rows), active_set.rank)
    assert active_set.rank < results["parameters"]  # the scale of a radial function is never determined
    stretched = frames[0].copy()
    stretched.rattle(0.5, seed=1)
    assert grader(stretched).max() > 10


def test_training_goes_on_from_the_potential_before(make_folder, labelled_alloys):
    first, second = make_folder("first"), make_folder("second")
    first.give(TRAIN | {"validation_fraction": 0}, labelled=labelled_alloys).run("train")
    (second.path / "start.mtp").symlink_to(first.path / "potential.mtp")
    options = {"start": "start.mtp", "start_species": ["Ag", "Cu"], "validation_fraction": 0}
    second.give(TRAIN | options, labelled=labelled_alloys)
    assert second.run("train") == EXIT_OK
    losses = [folder.arrays("parity.npz")["history"][:, 1] for folder in (first, second)]
    # The linear coefficients are solved for again, from radial ones that went through the file.
    assert losses[1][0] == pytest.approx(losses[0][-1], rel=1e-6)
    assert second.output["results"]["validation"] is None


def test_time_limit_in_small_steps_gives_the_same_potential(make_folder, labelled_alloys):
    """Each start does one iteration, however long its preparations are against the limit."""
    whole, parts = make_folder("whole"), make_folder("parts")
    whole.give(TRAIN, labelled=labelled_alloys).run("train")
    parts.give(TRAIN | {"max_seconds": 1e-9}, labelled=labelled_alloys)
    codes = [parts.run("train") for _ in range(11)]
    assert codes == [EXIT_INTERRUPTED] * 10 + [EXIT_OK]
    assert (parts.path / "potential.mtp").read_bytes() == (whole.path / "potential.mtp").read_bytes()


def test_outlier_is_left_out_on_request_and_named(folder, labelled_alloys):
    outlier = [with_energy(atoms, 1e3 * (index == 3)) for index, atoms in enumerate(labelled_alloys)]
    folder.give(TRAIN | {"outliers": "exclude", "max_iterations": 1, "cutoff": "auto"}, labelled=outlier)
    assert folder.run("train") == EXIT_OK
    results = folder.output["results"]
    assert list(results["excluded"]) == ["3"]
    assert len(folder.arrays("parity.npz")["energies_train"]) == 7
    assert 4.5 <= results["cutoff"] <= 6.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"configurations": "absent.extxyz"}, "no file absent.extxyz"),
        ({"configurations": "bare.extxyz"}, "label it with a reference engine"),
        ({"configurations": "outlier.extxyz"}, "configuration 3 has an energy"),
        ({"cutoff": "wide"}, "auto"),
        ({"level": 5}, "even number"),
        ({"weights": [1.0, -1.0, 0.1]}, "weights"),
        ({"start": "absent.mtp", "start_species": ["Cu"]}, "no potential file"),
        ({"itrations": 5}, "did you mean max_iterations?"),
    ],
)
def test_wrong_inputs(folder, labelled_alloys, alloy, change, words):
    outlier = [with_energy(atoms, 1e3 * (index == 3)) for index, atoms in enumerate(labelled_alloys)]
    folder.give(TRAIN | change, labelled=labelled_alloys, bare=[alloy, alloy], outlier=outlier)
    assert folder.run("train") == EXIT_INPUT
    assert words in folder.output["message"]
