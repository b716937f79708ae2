"""Loading structures: the good ways, and one line for each bad one."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from aiida_iontherm.materials.loaders import guess_mobile_species, load_structure
from aiida_iontherm.materials.table import find


@pytest.mark.parametrize(
    ("name", "kind"), [("c.cif", "cif"), ("POSCAR", "vasp"), ("a.vasp", "vasp"), ("a.xyz", "extxyz")]
)
def test_each_format_gives_the_cell_that_was_written(tmp_path, name, kind):
    atoms = find("CsCu2I3").to_atoms()
    write(tmp_path / name, atoms, format=kind)
    loaded = load_structure(tmp_path / name)
    assert loaded.atoms.pbc.all()
    assert loaded.mobile == "Cu"
    assert loaded.origin.endswith(name)
    # The CIF writer keeps eight digits.
    np.testing.assert_allclose(loaded.atoms.cell[:], atoms.cell[:], atol=1e-6)
    assert sorted(loaded.atoms.symbols) == sorted(atoms.symbols)
    assert set(loaded.atoms.arrays) == {"numbers", "positions"}


def test_phonon_database_poscars_load(shared_data):
    loaded = load_structure(shared_data / "phonondb" / "mp-23431" / "POSCAR-unitcell")
    assert loaded.atoms.get_chemical_formula(empirical=True) == "CsCu2I3"
    assert loaded.name == "POSCAR-unitcell"


def test_cif_keeps_the_orientation_with_a_along_x(tmp_path):
    atoms = find("ag2s-mp-610517-pbesol").to_atoms()
    assert abs(atoms.cell.angles()[1] - 90) > 5
    write(tmp_path / "monoclinic.cif", atoms)
    loaded = load_structure(tmp_path / "monoclinic.cif").atoms
    np.testing.assert_allclose(loaded.cell[:], atoms.cell[:], atol=1e-6)
    # Same crystal in the same place: every atom is found again, to the digits of the file (1e-8 of 8 Angstrom).
    difference = loaded.get_scaled_positions()[:, None] - atoms.get_scaled_positions()[None]
    difference -= np.rint(difference)
    assert np.linalg.norm(difference @ atoms.cell[:], axis=-1).min(axis=1).max() < 1e-5


def test_compounds_come_with_their_source_and_tier():
    loaded = load_structure("CsCu2I3")
    assert loaded.name == "cscu2i3-cmcm-exp-300K"
    assert "10.1002/adma.202513381" in loaded.origin
    assert "diffraction" in loaded.notes[0]
    assert loaded.compound is find("CsCu2I3")
    assert load_structure("Si").mobile is None
    assert any("relax first" in note for note in load_structure("Cu7PS6").notes)


def test_an_existing_file_wins_over_a_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_structure("CuI").compound is not None
    write("CuI", bulk("CuI", "zincblende", a=7.0), format="vasp")
    loaded = load_structure("CuI")
    assert loaded.compound is None
    # fcc primitive vectors have the length a/sqrt(2).
    assert loaded.atoms.cell.lengths()[0] == pytest.approx(7.0 / np.sqrt(2), abs=1e-9)
    (tmp_path / "AgI").mkdir()
    assert load_structure("AgI").compound is not None


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("source", ["CsCu2I4", "cscu2i3-cmcm-exp-300"])
def test_unknown_names_get_the_nearest_compounds(source):
    with pytest.raises(ValueError, match="neither a file nor a compound") as caught:
        load_structure(source)
    assert "cscu2i3" in one_line(caught).lower()


@pytest.mark.parametrize("source", ["./CsCu2I3", "missing.cif", "some/folder/POSCAR", "gone.vasp"])
def test_what_looks_like_a_path_is_one(source):
    with pytest.raises(ValueError, match="no file") as caught:
        load_structure(source)
    one_line(caught)


@pytest.mark.parametrize("name", ["note.cif", "note.vasp", "note.xyz", "POSCAR", "note.txt", "note"])
@pytest.mark.parametrize("content", ["", "hello, this is no structure\nat all\n", "\x00\x01binary\xff"])
def test_files_that_are_no_structure(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=name.split(".")[0]) as caught:
        load_structure(tmp_path / name)
    one_line(caught)


def test_unknown_elements_are_refused(tmp_path):
    (tmp_path / "POSCAR").write_text("x\n1.0\n4 0 0\n0 4 0\n0 0 4\nQq\n1\nDirect\n0 0 0\n")
    with pytest.raises(ValueError, match="POSCAR") as caught:
        load_structure(tmp_path / "POSCAR")
    one_line(caught)


def test_overlapping_atoms_are_named_with_their_distance(tmp_path):
    atoms = find("NaCl").to_atoms()
    atoms.positions[5] = atoms.positions[0] + [0.3, 0, 0]
    write(tmp_path / "POSCAR", atoms)
    with pytest.raises(ValueError, match=r"\(atom 1\) and Cl \(atom 6\) are 0\.30 Angstrom apart") as caught:
        load_structure(tmp_path / "POSCAR")
    one_line(caught)


def test_a_cell_in_the_wrong_units_overlaps_with_its_image(tmp_path):
    (tmp_path / "POSCAR").write_text("nm instead of Angstrom\n1.0\n.4 0 0\n0 .4 0\n0 0 .4\nCs\n1\nDirect\n0 0 0\n")
    with pytest.raises(ValueError, match="periodic image"):
        load_structure(tmp_path / "POSCAR")


def test_molecules_and_flat_cells_are_refused(tmp_path):
    write(tmp_path / "molecule.xyz", Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.13]]), format="extxyz")
    with pytest.raises(ValueError, match="not a periodic crystal") as caught:
        load_structure(tmp_path / "molecule.xyz")
    one_line(caught)
    (tmp_path / "POSCAR").write_text("flat\n1.0\n4 0 0\n0 4 0\n4 4 0\nCs\n1\nDirect\n0 0 0\n")
    with pytest.raises(ValueError, match="POSCAR"):
        load_structure(tmp_path / "POSCAR")


def test_the_last_frame_of_a_trajectory_is_used_and_said(tmp_path):
    first, last = find("NaCl").to_atoms(), find("CuI").to_atoms()
    write(tmp_path / "two.xyz", [first, last], format="extxyz")
    loaded = load_structure(tmp_path / "two.xyz")
    assert loaded.mobile == "Cu"
    assert any("2 structures" in note for note in loaded.notes)


ALPHA_AGI = """data_AgI
_cell_length_a 5.06
_cell_length_b 5.06
_cell_length_c 5.06
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'I m -3 m'
_symmetry_Int_Tables_number 229
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
I1 I 0 0 0 1
Ag1 Ag 0.25 0 0.5 0.1667
"""


def test_partial_occupancy_needs_order(tmp_path):
    path = tmp_path / "agi.cif"
    path.write_text(ALPHA_AGI)
    with pytest.raises(ValueError, match=r"partial occupancy .*--order") as caught:
        load_structure(path)
    assert "Ag1" in one_line(caught)
    with pytest.raises(ValueError, match=r"partial occupancy .*--order"):
        load_structure("agi-alpha-exp")
    for source in (path, "agi-alpha-exp"):
        loaded = load_structure(source, order=True)
        assert loaded.atoms.get_chemical_formula() == "AgI"
        # Ag on a 12d tetrahedral site of the bcc iodine lattice: sqrt(5)/4 of 5.06 Angstrom from I.
        assert loaded.atoms.get_distance(0, 1, mic=True) == pytest.approx(np.sqrt(5) / 4 * 5.06, abs=1e-3)
        assert loaded.ordering is not None
        assert loaded.mobile == "Ag"


def test_order_leaves_ordered_structures_alone(tmp_path):
    assert load_structure("CsCu2I3", order=True).ordering is None
    write(tmp_path / "a.cif", find("CuI").to_atoms())
    assert load_structure(tmp_path / "a.cif", order=True).ordering is None


def test_mobile_species_follows_the_documented_order():
    assert guess_mobile_species(Atoms("LiNaAg")) == "Li"
    assert guess_mobile_species(Atoms("AgCuI2")) == "Cu"
    assert guess_mobile_species(Atoms("NaCl")) == "Na"
    assert guess_mobile_species(Atoms("MgO")) is None


def test_importing_the_loaders_stays_light():
    # A compute node and the command line import this; AiiDA alone would cost more than a second.
    code = (
        "import sys, aiida_iontherm.materials.loaders, aiida_iontherm.materials.ordering,"
        " aiida_iontherm.materials.supercells;"
        "heavy = {'aiida', 'pymatgen', 'spglib', 'matplotlib', 'click', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
