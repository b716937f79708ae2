"""Bond-valence sums against pymatgen's own, formal valences, and what a landscape must obey."""

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from aiida_iontherm.physics.ions import (
    bond_parameters,
    bond_valence_profile,
    bond_valence_sums,
    formal_charges,
)

CRYSTALS = {
    "NaCl": crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64] * 3 + [90] * 3),
    "MgO": crystal(["Mg", "O"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[4.212] * 3 + [90] * 3),
    "CsCl": crystal(["Cs", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=221, cellpar=[4.123] * 3 + [90] * 3),
    "SrTiO3": crystal(
        ["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
    ),
    "Li2O": crystal(["O", "Li"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=[4.619] * 3 + [90] * 3),
}


def sum_at(atoms: Atoms, ion: str, place, **options) -> float:
    parameters = bond_parameters(ion, formal_charges(atoms.get_chemical_symbols()), **options)
    return bond_valence_sums(place, atoms.positions, atoms.get_chemical_symbols(), atoms.cell.array, parameters)[0]


@pytest.mark.parametrize(("name", "ion"), [("NaCl", "Na"), ("MgO", "O"), ("SrTiO3", "Ti"), ("SrTiO3", "Sr")])
def test_the_sums_are_those_of_pymatgen(name, ion):
    from pymatgen.analysis.bond_valence import calculate_bv_sum
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = CRYSTALS[name]
    structure = AseAtomsAdaptor.get_structure(atoms)
    index = atoms.get_chemical_symbols().index(ion)
    theirs = abs(calculate_bv_sum(structure[index], structure.get_neighbors(structure[index], 6.0)))
    # pymatgen takes b = 0.31; its bonds end at 6 Angstrom, ours fade out over the last one, where one is 1e-5 long
    assert sum_at(atoms, ion, atoms.positions[index], softness_A=0.31) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "ion"), [("NaCl", "Na"), ("MgO", "Mg"), ("CsCl", "Cs"), ("SrTiO3", "Ti"), ("SrTiO3", "Sr"), ("Li2O", "Li")]
)
def test_ions_on_their_sites_have_about_their_formal_valence(name, ion):
    atoms = CRYSTALS[name]
    charge = formal_charges(atoms.get_chemical_symbols())[ion]
    place = atoms.positions[atoms.get_chemical_symbols().index(ion)]
    # O'Keeffe and Brese's radii give bond lengths to 0.03 Angstrom or so, 10 %; far shells add what they did not count
    assert sum_at(atoms, ion, place) == pytest.approx(charge, rel=0.2)


def test_repeating_moving_and_turning_the_crystal_change_nothing():
    atoms = CRYSTALS["NaCl"]
    point = np.array([[0.7, 0.3, 1.1], [-3.0, 9.0, 0.2]])
    parameters = bond_parameters("Na", {"Na": 1, "Cl": -1})

    def sums(crystal, points):
        return bond_valence_sums(
            points, crystal.positions, crystal.get_chemical_symbols(), crystal.cell.array, parameters
        )

    expected = sums(atoms, point)
    assert abs(expected[0] - expected[1]) > 0.01
    turned, place = atoms.copy(), Atoms("H2", positions=point)
    for a in (turned, place):
        a.rotate(40, (1, 2, 3), rotate_cell=a is turned)
    shifted = atoms.copy()
    shifted.positions += [1.0, -20.0, 3.0]
    # sums of some twenty numbers of order one: rounding
    np.testing.assert_allclose(sums(atoms.repeat((2, 1, 3)), point), expected, rtol=1e-12)
    np.testing.assert_allclose(sums(shifted, point + np.array([1.0, -20.0, 3.0])), expected, rtol=1e-11)
    np.testing.assert_allclose(sums(turned, place.positions), expected, rtol=1e-11)


def test_the_landscape_has_no_steps():
    """Along a line that anions enter and leave the cutoff on: third differences shrink as the third power of the step.

    A step of height h would leave differences of h whatever the spacing.
    """
    atoms = CRYSTALS["NaCl"]
    parameters = bond_parameters("Na", {"Na": 1, "Cl": -1})

    def roughness(n):
        line = np.linspace([0.0, 0.1, 0.2], [2.0, 0.3, 0.1], n)
        values = bond_valence_sums(line, atoms.positions, atoms.get_chemical_symbols(), atoms.cell.array, parameters)
        return np.abs(np.diff(values, 3)).max()

    assert roughness(401) < roughness(201) / 7  # 2^3 but for higher orders
    assert roughness(201) > 0


def test_one_bond():
    """A single counter-ion in a large cell at the length R of one valence unit, and a softness further."""
    parameters = bond_parameters("Li", {"Li": 1, "F": -1})
    length = parameters.lengths_A["F"]
    points = [[length, 0, 0], [length + parameters.softness_A, 0, 0]]
    sums = bond_valence_sums(points, [[0, 0, 0]], ["F"], 30 * np.eye(3), parameters)
    np.testing.assert_allclose(sums, [1.0, np.exp(-1)], rtol=1e-14)  # by definition
    assert bond_valence_sums([[15, 15, 15]], [[0, 0, 0]], ["F"], 30 * np.eye(3), parameters) == 0


def test_sodium_goes_through_the_tetrahedron_more_easily_than_between_two_anions():
    """The known way of cation vacancies in rock salt: the straight line squeezes between two anions."""
    atoms = CRYSTALS["NaCl"]
    parameters = bond_parameters("Na", {"Na": 1, "Cl": -1})
    straight = np.linspace([0, 0, 0], [0.5, 0.5, 0], 11)
    bent = np.concatenate(
        [np.linspace([0, 0, 0], [0.25, 0.25, 0.25], 6), np.linspace([0.25, 0.25, 0.25], [0.5, 0.5, 0], 6)[1:]]
    )
    barriers = []
    for path in (straight, bent):
        sums = bond_valence_sums(
            path @ atoms.cell.array, atoms.positions, atoms.get_chemical_symbols(), atoms.cell.array, parameters
        )
        profile = bond_valence_profile(sums, 1.0)
        assert profile.forward == pytest.approx(profile.backward, abs=1e-10)  # both ends are equal by symmetry
        barriers.append(profile.forward)
    assert barriers[1] < barriers[0]


def test_profile_figures():
    profile = bond_valence_profile([1.1, 0.7, 1.9, 1.3], -1.0)
    np.testing.assert_allclose(profile.mismatch, [0.1, 0.3, 0.9, 0.3], rtol=1e-12)
    assert profile.highest == 2
    assert profile.forward == pytest.approx(0.8)
    assert profile.backward == pytest.approx(0.6)
    assert profile.change == pytest.approx(0.8)


def test_charges():
    assert formal_charges(["Cu", "I"]) == {"Cu": 1.0, "I": -1.0}
    # phosphorus is not among the charges of binary compounds: pymatgen's guess
    assert formal_charges(["Li"] * 6 + ["P"] + ["S"] * 5 + ["Cl"])["P"] == 5.0
    assert formal_charges(["Cu", "I"], {"Cu": 2, "I": -2}) == {"Cu": 2.0, "I": -2.0}
    with pytest.raises(ValueError, match="no charge is given for I"):
        formal_charges(["Cu", "I"], {"Cu": 1})
    with pytest.raises(ValueError, match="balance in CuAu"):
        formal_charges(["Cu", "Au"])


def test_bad_input():
    with pytest.raises(ValueError, match="for Cu-Au"):
        bond_parameters("Cu", {"Cu": 1, "Au": -1})
    with pytest.raises(ValueError, match="no formal charge"):
        bond_parameters("Cu", {"Ag": 1, "I": -1})
    with pytest.raises(ValueError, match="opposite charge"):
        bond_parameters("Cu", {"Cu": 1, "Ag": 1})
    with pytest.raises(ValueError, match="softness"):
        bond_parameters("Cu", {"Cu": 1, "I": -1}, softness_A=0.0)
    parameters = bond_parameters("Na", {"Na": 1, "Cl": -1})
    atoms = CRYSTALS["NaCl"]
    arguments = (atoms.positions, atoms.get_chemical_symbols(), atoms.cell.array, parameters)
    with pytest.raises(ValueError, match="lies on an atom of Cl"):
        bond_valence_sums([atoms.positions[atoms.symbols == "Cl"][0] + [0.01, 0, 0]], *arguments)
    with pytest.raises(ValueError, match="leaves out bonds"):
        bond_valence_sums([[1, 1, 1]], *arguments, cutoff_A=2.0)
    with pytest.raises(ValueError, match="holds no Cl"):
        bond_valence_sums([[1, 1, 1]], [[0, 0, 0]], ["Na"], np.eye(3) * 5, parameters)
    with pytest.raises(ValueError, match="three points"):
        bond_valence_profile([1.0, 2.0], 1.0)
