"""Potentials and choices of another program: compared, graded and given an active set like our own."""

import shutil

import numpy as np
import pytest
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of, active_set_to_arrays
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_OK

TRAIN = {
    "level": 4,
    "cutoff": 4.0,
    "radial_size": 4,
    "validation_fraction": 0.2,
    "max_iterations": 5,
    "seed": 1,
    "n_starts": 1,
}
SAID = {"iterations": 77, "loss": 0.5, "converged": False, "reason": "the limit of 77 iterations was reached"}


def test_comparison_is_that_of_our_own_training(make_folder, labelled_alloys):
    """Our own potential, handed in as that of another: the same figures, parity and active set, the same part out."""
    ours, theirs = make_folder("ours"), make_folder("theirs")
    assert ours.give(TRAIN, labelled=labelled_alloys).run("train") == EXIT_OK
    first = ours.output["results"]
    keys = {"trained": "trained.mtp", "trained_species": first["species"], "trained_by": SAID}
    theirs.give(TRAIN | keys, labelled=labelled_alloys)
    shutil.copy(ours.path / "potential.mtp", theirs.path / "trained.mtp")
    assert theirs.run("train") == EXIT_OK
    second = theirs.output["results"]
    assert set(first) <= set(second)
    assert {key: second[key] for key in ("iterations", "converged", "reason")} == {
        key: SAID[key] for key in ("iterations", "converged", "reason")
    }
    assert (theirs.path / "potential.mtp").read_bytes() == (ours.path / "potential.mtp").read_bytes()
    for name in ("parity.npz", "active_set.npz"):
        one, other = ours.arrays(name), theirs.arrays(name)
        assert set(one) == set(other)
        for key in set(one) - {"history"}:
            if one[key].dtype.kind in "US":
                np.testing.assert_array_equal(other[key], one[key])
                continue
            # Ours is compared before it goes through the file, which keeps every bit, and in the order of the search.
            np.testing.assert_allclose(np.sort(other[key], axis=None), np.sort(one[key], axis=None), rtol=1e-9)
    for part in ("train", "validation"):
        for key, value in first[part].items():
            if isinstance(value, float):
                assert second[part][key] == pytest.approx(value, rel=1e-9)


def test_potential_without_a_species_of_the_set(folder, labelled_alloys):
    MomentTensorPotential.new(level=4, species=["Ag", "Au"], cutoff=4.0).write(folder.path / "trained.mtp")
    folder.give(TRAIN | {"trained": "trained.mtp", "trained_species": ["Ag", "Au"]}, labelled=labelled_alloys)
    assert folder.run("train") == EXIT_INPUT
    assert "Cu" in folder.output["message"]


SPECIES = ["Cu", "I"]
SELECT = {"candidates": {"hot": "hot.extxyz", "wide": "wide.extxyz"}, "species": SPECIES, "grade_select": 2.0}


def rattled(count, amplitude, start=0):
    frames = []
    for seed in range(start, start + count):
        atoms = bulk("CuI", "rocksalt", a=5.4, cubic=True)
        atoms.rattle(amplitude, seed=seed)
        frames.append(atoms)
    return frames


@pytest.fixture
def selecting(folder):
    """Two runs with candidates, and the potential that graded them."""
    potential = MomentTensorPotential.new(level=4, species=SPECIES, cutoff=4.5, min_distance=1.5, radial_size=4, seed=1)
    potential.write(folder.path / "potential.mtp")
    active_set = active_set_of(potential, rattled(6, 0.05))
    np.savez(folder.path / "active_set.npz", **active_set_to_arrays(active_set))

    def run(**keys):
        folder.give(SELECT | keys, hot=rattled(4, 0.3, 20), wide=rattled(3, 0.3, 40))
        return folder.run("select")

    return run


def test_choice_of_another_program_is_graded(folder, selecting):
    assert selecting() == EXIT_OK
    ours = folder.output["results"]
    assert selecting(chosen={"hot": [3, 1], "wide": [0]}) == EXIT_OK
    results = folder.output["results"]
    assert set(results) == set(ours)
    assert results["selected_by_run"] == {"hot": 2, "wide": 1}
    # Grades before depend on the candidates alone; those chosen cannot raise what is left.
    assert results["max_grade"] == pytest.approx(ours["max_grade"], rel=1e-9)
    assert 1 < results["max_grade_after"] < results["max_grade"]
    frames, hot = folder.frames("selected.extxyz"), rattled(4, 0.3, 20)
    for atoms, expected in zip(frames, [hot[1], hot[3], rattled(1, 0.3, 40)[0]], strict=True):
        # extxyz has eight decimals.
        np.testing.assert_allclose(atoms.positions, expected.positions, atol=1e-8)


def test_no_more_than_the_limit_and_the_highest_first(folder, selecting):
    everything = {"hot": [0, 1, 2, 3], "wide": [0, 1, 2]}
    assert selecting(chosen=everything, max_selected=1) == EXIT_OK
    results = folder.output["results"]
    assert results["selected"] == 1
    largest = results["max_grade"]
    (run,) = [name for name, count in results["selected_by_run"].items() if count]
    index = next(
        number
        for number, atoms in enumerate(folder.frames(f"{run}.extxyz"))
        if np.allclose(atoms.positions, folder.frames("selected.extxyz")[0].positions, atol=1e-8)
    )
    # It is the one of the largest grade: without it the largest is smaller.
    others = {name: [] for name in everything} | {run: [index]}
    assert selecting(chosen=others) == EXIT_OK
    assert folder.output["results"]["max_grade"] == largest
    assert folder.output["results"]["max_grade_after"] < largest


def test_nothing_chosen_is_no_error(folder, selecting):
    assert selecting(chosen={"hot": [], "wide": []}) == EXIT_OK
    results = folder.output["results"]
    assert results["selected"] == 0
    assert results["max_grade_after"] == results["max_grade"]
    assert not (folder.path / "selected.extxyz").exists()


@pytest.mark.parametrize(
    ("chosen", "words"), [({"hot": [4]}, "candidate 4 of hot, which has 4"), ({"cold": [0]}, "of cold, which has 0")]
)
def test_choice_of_what_is_not_there(folder, selecting, chosen, words):
    assert selecting(chosen=chosen) == EXIT_INPUT
    assert words in folder.output["message"]
