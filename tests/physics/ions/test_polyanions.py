import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from aiida_iontherm.materials.table import load_table
from aiida_iontherm.physics.ions import find_polyanions

COMPOUNDS = {compound.id: compound for compound in load_table()}


@pytest.mark.parametrize(
    ("compound", "mobile", "label", "count"),
    [
        ("li6ps5cl-f43m-ordered-proto", "Li", "PS4", 4),
        ("ag8gese6-pmn21-dft", "Ag", "GeSe4", 2),
        ("cu7ps6-p213-proto", "Cu", "PS4", 4),
        ("ag8sis6-pna21-dft", "Ag", "SiS4", 4),
        ("ag9gase6-p213-dft", "Ag", "GaSe4", 4),
        ("cu12sb4s13-exp", "Cu", "SbS3", 8),
    ],
)
def test_known_crystals(compound, mobile, label, count):
    """One group for each formula unit of the textbooks, wherever the boundary of the cell is."""
    atoms = COMPOUNDS[compound].to_atoms()
    for shift in (0.0, 0.37):
        atoms.set_scaled_positions(atoms.get_scaled_positions() + shift)
        atoms.wrap()
        groups = find_polyanions(atoms, mobile)
        assert {group.label for group in groups} == {label}
        assert len(groups) == count
        for group in groups:
            ligands = atoms.positions[group.ligands] + group.images @ atoms.cell.array
            lengths = np.linalg.norm(ligands - atoms.positions[group.centre], axis=1)
            # the nearest distances of the centre in the crystal are the bonds
            others = atoms.get_distances(group.centre, range(len(atoms)), mic=True)
            np.testing.assert_allclose(np.sort(lengths), np.sort(others)[1 : len(lengths) + 1], atol=1e-8)  # rounding
            assert sorted(group.molecule) == sorted(group.atoms)


@pytest.mark.parametrize(
    "compound", ["cscu2i3-cmcm-exp-300K", "cui-gamma-exp", "agcrse2-r3m-exp", "cs3cu2i5-mp-23481-pbesol"]
)
def test_no_groups_where_there_are_none(compound):
    mobile = "Cu" if "cu" in compound else "Ag"
    assert find_polyanions(COMPOUNDS[compound].to_atoms(), mobile) == ()


def test_two_centres_share_a_ligand():
    """P2S7: two tetrahedra with a common corner are one molecule."""
    first = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.18
    # the second tetrahedron is the first one inverted through the common corner
    positions = np.concatenate(
        [[[0, 0, 0]], first, 2 * first[0] - np.concatenate([[[0, 0, 0]], first[1:]]), [[8, 8, 8]]]
    )
    atoms = Atoms("PS4PS3Li", positions=positions, cell=12 * np.eye(3), pbc=True)
    groups = find_polyanions(atoms, "Li")
    assert [group.label for group in groups] == ["PS4", "PS4"]
    assert set(groups[0].ligands) & set(groups[1].ligands) == {1}
    assert [len(group.molecule) for group in groups] == [9, 9]


def test_octahedra_need_names():
    """In rock salt everything is one network; isolated octahedra are found by their centre."""
    assert (
        find_polyanions(Atoms("LiNaCl", positions=[[0, 0, 0], [2.8, 0, 0], [1.4, 5, 5]], cell=9 * np.eye(3)), "Li")
        == ()
    )
    octahedron = np.concatenate([np.zeros((1, 3)), 2.1 * np.eye(3), -2.1 * np.eye(3), [[4, 4, 4]]])
    atoms = Atoms("ZrO6Li", positions=octahedron, cell=8 * np.eye(3), pbc=True)
    lanthanides = Atoms("La3", positions=4 * np.eye(3))
    assert find_polyanions(atoms + lanthanides, "Li") == ()
    atoms += lanthanides
    (group,) = find_polyanions(atoms, "Li", centre="Zr", ligand="O", bond_length_A=2.4)
    assert group.label == "ZrO6"
    assert find_polyanions(atoms, "Li", centre="Zr", ligand="O", bond_length_A=2.0) == ()


def test_planar_and_small_groups():
    water = molecule("H2O")
    water.extend(Atoms("Li", positions=[[5, 5, 5]]))
    water.set_cell(10 * np.eye(3))
    # two ligands leave one rotation unseen
    assert find_polyanions(water, "Li") == ()
    boron = molecule("BF3")
    boron.extend(Atoms("Li", positions=[[5, 5, 5]]))
    boron.set_cell(10 * np.eye(3))
    assert [group.label for group in find_polyanions(boron, "Li")] == ["BF3"]


def test_bad_input():
    atoms = COMPOUNDS["li6ps5cl-f43m-ordered-proto"].to_atoms()
    with pytest.raises(ValueError, match="mobile and cannot"):
        find_polyanions(atoms, "Li", centre="P", ligand="Li")
    with pytest.raises(ValueError, match="no Ge"):
        find_polyanions(atoms, "Li", centre="Ge", ligand="S")
    with pytest.raises(ValueError, match="no Ag"):
        find_polyanions(atoms, "Ag")
    with pytest.raises(ValueError, match="together"):
        find_polyanions(atoms, "Li", centre="P")
    with pytest.raises(ValueError, match="together"):
        find_polyanions(atoms, "Li", bond_length_A=2.0)
    with pytest.raises(ValueError, match="positive"):
        find_polyanions(atoms, "Li", bond_tolerance=0)
    flat = bulk("Cu").copy()
    flat.set_cell(np.diag([3.0, 3.0, 0.0]))
    with pytest.raises(ValueError, match="three-dimensional"):
        find_polyanions(flat, "Cu")
