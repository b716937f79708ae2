"""Bad data: each mistake is found and named by its index."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp import Configuration
from aiida_iontherm.physics.mtp.training.checks import (
    check_configurations,
    closest_approach,
    energy_outliers,
    find_twins,
)
from aiida_iontherm.physics.mtp.training.split import split


def shifted(atoms: Atoms, **changes) -> Atoms:
    """A copy whose labels are changed."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **(atoms.calc.results | changes))
    return copy


def test_sound_data_pass(data):
    checked = check_configurations(data)
    assert checked.indices == list(range(12))
    assert checked.excluded == {}
    assert checked.notes == ()


@pytest.mark.parametrize("shift", [1e3, -1e3])
def test_energy_outlier_is_named(data, shift):
    data[7] = shifted(data[7], energy=data[7].calc.results["energy"] + shift)
    with pytest.raises(ValueError, match=r"configuration 7 has an energy .*outliers='exclude'"):
        check_configurations(data)
    checked = check_configurations(data, outliers="exclude")
    assert 7 not in checked.indices
    assert list(checked.excluded) == [7]
    assert any("configuration 7 was left out" in note for note in checked.notes)


def test_several_outliers_do_not_hide_each_other():
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 20, size=(40, 3)).astype(float)
    energies = counts @ [-3.0, -800.0, -12.0] + 0.05 * counts.sum(axis=1) * rng.normal(size=40)
    wrong = [2, 11, 30]
    energies[wrong] += [1e3, 1e3, -4e3]
    residuals, suspect = energy_outliers(counts, energies)
    assert suspect.tolist() == wrong
    # 40 noisy energies fix the three of the species to about 0.05 sqrt(3/40) eV.
    assert residuals[2] == pytest.approx(1e3 / counts[2].sum(), abs=0.3)


def test_unusual_but_possible_energies_pass():
    """A free atom, and a cell squeezed to 0.4 eV/atom, among crystals at rest."""
    counts = np.array([[8.0]] * 10 + [[1.0], [8.0]])
    energies = np.concatenate([8 * (-3.5 + 1e-4 * np.arange(10)), [0.0, 8 * -3.1]])
    assert energy_outliers(counts, energies)[1].size == 0


def test_two_configurations_cannot_accuse_each_other(data):
    data[0] = shifted(data[0], energy=1e3)
    assert check_configurations(data[:2]).excluded == {}


def test_impossible_force_and_distance(data):
    data[3] = shifted(data[3], forces=1e4 * np.eye(8, 3))
    data[5].positions[1] = data[5].positions[0] + [0.2, 0, 0]
    data[5] = shifted(data[5])
    checked = check_configurations(data, outliers="exclude")
    assert checked.excluded == {
        3: "has a force of 10000 eV/Angstrom",
        5: "has two atoms at 0.07 of the sum of their covalent radii",
    }
    with pytest.raises(ValueError, match=r"configuration 3 has .*; configuration 5 has"):
        check_configurations(data)


def test_closest_approach():
    copper = bulk("Cu", "fcc", a=3.6)
    # Nearest neighbours at a/sqrt(2), twice the covalent radius of 1.32 Angstrom apart: 2.546/2.64.
    assert closest_approach(copper) == pytest.approx(3.6 / np.sqrt(2) / 2.64)
    assert closest_approach(Atoms("Ar")) == 1.0


@pytest.mark.parametrize("name", ["energy", "forces"])
def test_missing_labels_are_named(data, name):
    bare = data[4].copy()
    bare.calc = SinglePointCalculator(bare, **{k: v for k, v in data[4].calc.results.items() if k != name})
    data[4] = bare
    with pytest.raises(ValueError, match=f"configuration 4: no {name}: .*label it with a reference engine"):
        check_configurations(data)


def test_no_labels_at_all(data):
    with pytest.raises(ValueError, match="configuration 12: no energy and no forces"):
        check_configurations([*data, data[0].copy()])


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_labels_that_are_not_finite(data, name):
    data[2] = shifted(data[2], **{name: data[2].calc.results[name] * np.nan})
    with pytest.raises(ValueError, match=f"configuration 2: its {name} holds numbers that are not finite"):
        check_configurations(data)


def test_positions_that_are_not_finite(data):
    data[2].positions[0, 0] = np.inf
    with pytest.raises(ValueError, match="configuration 2: its positions"):
        check_configurations(data)


def test_atoms_that_moved_after_they_were_labelled(data):
    data[2].wrap()
    check_configurations(data)
    data[2].positions[0] += data[2].cell[1]
    check_configurations(data)
    data[2].positions[0, 0] += 0.01
    with pytest.raises(ValueError, match="configuration 2: its atoms or its cell were changed"):
        check_configurations(data)


def test_nothing_to_train_on(data):
    with pytest.raises(ValueError, match="at least one labelled configuration"):
        check_configurations([])
    with pytest.raises(ValueError, match="configuration 1 has no atoms"):
        check_configurations([data[0], Atoms()])
    with pytest.raises(ValueError, match="no configuration is left"):
        check_configurations([shifted(data[0], forces=1e4 * np.ones((8, 3)))], outliers="exclude")


def test_weight_and_group_come_from_info(data):
    data[0].info |= {"weight": 2.5, "config_type": "rattled"}
    entry = Configuration.from_atoms(data[0])
    assert (entry.weight, entry.group) == (2.5, "rattled")
    data[0].info["weight"] = -1
    with pytest.raises(ValueError, match=r"configuration 0: .*weight"):
        check_configurations(data)


def test_twins_are_reported_and_stay_together(data):
    data += [shifted(data[3]), shifted(data[3], energy=data[3].calc.results["energy"] + 8.0)]
    checked = check_configurations(data)
    assert checked.twins == [*range(12), 3, 3]
    assert any(note.startswith("2 duplicate configurations (12 of 3, 13 of 3)") for note in checked.notes)
    assert any("3 and 13 are the same but their energies differ by 1 eV/atom" in note for note in checked.notes)
    sides = set()
    for seed in range(40):
        fitted, held_out = split(checked.kept, checked.twins, 0.3, seed)
        assert sorted(fitted + held_out) == list(range(14))
        family = {3, 12, 13}
        assert family <= set(fitted) or family <= set(held_out)
        sides.add(family <= set(held_out))
    # A family of three is held out in about a third of 40 draws.
    assert sides == {True, False}


def test_moved_atoms_are_no_twins(data):
    other = shifted(data[0])
    other.positions[0, 0] += 0.01
    other = shifted(other)
    assert find_twins([Configuration.from_atoms(atoms) for atoms in (data[0], other)]) == [0, 1]


def test_last_holder_of_a_species_is_fitted(planted, labelled, make_cells):
    cells = make_cells(10)
    for atoms in cells[1:]:
        atoms.symbols[:] = "I"
    entries = [Configuration.from_atoms(labelled(atoms, planted)) for atoms in cells]
    for seed in range(20):
        assert 0 in split(entries, range(10), 0.5, seed)[0]


def test_small_sets_keep_two_to_fit(data):
    entries = [Configuration.from_atoms(atoms) for atoms in data[:3]]
    assert len(split(entries, range(3), 0.9, 0)[1]) == 1
    assert split(entries[:1], range(1), 0.9, 0) == ([0], [])
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        split(entries, range(3), 1.0, 0)
