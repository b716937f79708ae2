"""Ordering by Ewald energy: known ground states, neutrality, composition, axes."""

from collections import Counter

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Lattice, Structure

from aiida_iontherm.materials.ordering import ordered_cell
from aiida_iontherm.materials.table import find

MADELUNG_ROCKSALT = 1.7475645946
COULOMB_EV_A = 14.399645


def simple_cubic(n: int, spacing: float = 2.8) -> Structure:
    grid = np.array(list(np.ndindex(n, n, n))) / n
    return Structure(Lattice.cubic(n * spacing), [{"Na": 0.5, "Cl": 0.5}] * n**3, grid)


@pytest.mark.parametrize("n", [2, 4])
def test_half_and_half_on_a_cubic_lattice_becomes_rock_salt(n):
    ordered = ordered_cell(simple_cubic(n), max_atoms=n**3, seed=1)
    # A one-atom primitive cell cannot be neutral and a 2x2x2 cell is the smallest given here that holds rock salt.
    assert ordered.atoms.get_chemical_formula(empirical=True) == "ClNa"
    first, second = neighbor_list("ij", ordered.atoms, 3.0)
    assert np.all(ordered.atoms.numbers[first] != ordered.atoms.numbers[second])
    per_pair = ordered.energy_eV / (len(ordered.atoms) / 2)
    # pymatgen sums to an accuracy of 1e-12 relative but with its own Coulomb constant; 1e-6 covers the difference.
    assert per_pair == pytest.approx(-MADELUNG_ROCKSALT * COULOMB_EV_A / 2.8, rel=1e-6)
    assert sum(ordered.charges[symbol] for symbol in ordered.atoms.symbols) == 0


def test_energy_is_that_of_an_ewald_sum_on_the_result():
    ordered = ordered_cell(find("li6ps5cl-f43m-neutron").to_pymatgen(), max_atoms=20)
    structure = Structure(ordered.atoms.cell[:], list(ordered.atoms.symbols), ordered.atoms.get_scaled_positions())
    structure.add_oxidation_state_by_element(ordered.charges)
    # Both sums converge to about 1e-8 of 250 eV; the incremental updates add rounding below that.
    assert ordered.energy_eV == pytest.approx(EwaldSummation(structure).total_energy, rel=1e-7)


def test_small_case_equals_exhaustive_search():
    # 12 half-filled Li places in the primitive cell, 924 arrangements: all of them summed here.
    from itertools import combinations

    ordered = ordered_cell(find("li6ps5cl-f43m-neutron").to_pymatgen(), max_atoms=20)
    structure = find("li6ps5cl-f43m-neutron").to_pymatgen().get_primitive_structure()
    places = [i for i, site in enumerate(structure) if site.species.elements[0].symbol == "Li"]
    fixed_charges = np.zeros(len(structure))
    for i, site in enumerate(structure):
        majority = max(site.species.items(), key=lambda item: item[1])[0].symbol
        fixed_charges[i] = 0.0 if i in places else {"S": -2, "Cl": -1, "P": 5}[majority]
    unit = Structure(structure.lattice, ["H+"] * len(structure), structure.frac_coords)
    matrix = EwaldSummation(unit).total_energy_matrix
    energies = []
    for chosen in combinations(places, 6):
        q = fixed_charges.copy()
        q[list(chosen)] = 1.0
        # Pairs across a split site (1.96 Angstrom) are allowed here; the lowest has none.
        energies.append(q @ matrix @ q)
    assert len(places) == 12
    # Two different Ewald splittings (cells of another shape): 1e-7 relative as above.
    assert ordered.energy_eV == pytest.approx(min(energies), rel=1e-7)


@pytest.mark.parametrize(
    ("entry", "max_atoms", "formula", "size"),
    [
        ("li6ps5cl-f43m-neutron", 20, "ClLi6PS5", 13),
        ("li6ps5cl-f43m-neutron", 60, "ClLi6PS5", 52),
        ("li6ps5i-f43m-neutron", 20, "ILi6PS5", 13),
        ("li6ps5br-f43m-disordered-kraft2017", 60, "BrLi6PS5", 52),
        ("agi-alpha-exp", 60, "AgI", 2),
        ("ag2s-beta-bcc", 60, "Ag2S", 3),
    ],
)
def test_partly_occupied_entries_become_neutral_cells(entry, max_atoms, formula, size):
    compound = find(entry)
    ordered = ordered_cell(compound.to_pymatgen(), max_atoms=max_atoms)
    assert len(ordered.atoms) == size
    assert ordered.atoms.get_chemical_formula(empirical=True) == formula
    assert sum(ordered.charges[symbol] for symbol in ordered.atoms.symbols) == pytest.approx(0, abs=1e-9)
    # 1.9 Angstrom is the P-S bond with its coordinates randomised; Li on both halves of a split site would be below.
    assert neighbor_list("d", ordered.atoms, 3.5).min() > 1.9
    assert len(ordered.atoms) / ordered.atoms.cell.volume == pytest.approx(
        compound.to_pymatgen().composition.num_atoms / compound.to_pymatgen().volume, rel=1e-3
    )  # Li occupancies of the bromide add up to 24.024 of 24
    changed = ordered.occupancy_error > 0.01
    assert any("occupancy" in note for note in ordered.notes) == changed


def test_occupancies_decide_the_size_of_the_cell():
    structure = find("li6ps5cl-f43m-neutron").to_pymatgen()
    # 61.5 % on one, four and eight sites: 1/1, 2/4 and 5/8.
    errors = [ordered_cell(structure, max_atoms=n).occupancy_error for n in (20, 60, 110)]
    assert errors == pytest.approx([0.3849, 0.1151, 0.0099], abs=1e-6)


def test_axes_are_those_of_the_input():
    structure = find("li6ps5cl-f43m-neutron").to_pymatgen()
    ordered = ordered_cell(structure, max_atoms=20)
    combinations = structure.lattice.matrix @ np.linalg.inv(ordered.atoms.cell[:])
    np.testing.assert_allclose(combinations, np.rint(combinations), atol=1e-6)
    # Each atom sits on a place of the input cell, after the shift of origin, which spglib leaves at zero here.
    places = np.array([site.coords for site in structure])
    for position in ordered.atoms.positions:
        difference = structure.lattice.get_fractional_coords(places - position)
        difference -= np.rint(difference)
        assert np.linalg.norm(difference @ structure.lattice.matrix, axis=1).min() < 1e-3


def test_same_seed_same_cell():
    structure = find("li6ps5br-f43m-disordered-kraft2017").to_pymatgen()
    one, two = (ordered_cell(structure, max_atoms=60, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.atoms.positions, two.atoms.positions)
    assert Counter(one.atoms.symbols) == Counter(two.atoms.symbols)


def test_charges_that_cannot_be_guessed_ask_for_them():
    alloy = Structure(Lattice.cubic(3.6), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match="give the charges yourself") as caught:
        ordered_cell(alloy)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="no charge given for Cl"):
        ordered_cell(simple_cubic(2), charges={"Na": 1})


def test_unbalanced_charges_and_too_small_cells_are_refused():
    with pytest.raises(ValueError, match="no charge-neutral cell"):
        ordered_cell(simple_cubic(2), max_atoms=8, charges={"Na": 1, "Cl": -2})
    with pytest.raises(ValueError, match="no charge-neutral cell"):
        ordered_cell(find("li6ps5cl-f43m-neutron").to_pymatgen(), max_atoms=10)


def test_split_sites_that_cannot_hold_their_atoms_are_refused():
    # Li fully on both halves of a pair 0.8 Angstrom apart, three quarters filled.
    structure = Structure(
        Lattice.cubic(4.0), [{"Li": 0.75}, {"Li": 0.75}, {"Cl": 0.75}], [[0, 0, 0], [0.2, 0, 0], [0.5, 0.5, 0.5]]
    )
    structure.make_supercell([2, 2, 1])
    with pytest.raises(ValueError, match="overlapping"):
        ordered_cell(structure, max_atoms=40, charges={"Li": 1, "Cl": -2})
