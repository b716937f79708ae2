"""CONTROL: the text, letter by letter, and read back; settings that make no sense."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm.tasks.shengbte_files import Control, ShengBteSettings, control_text, read_control

VARIANCES = {"Cu": 2e-4, "I": 0.0}

CELL = [[0.0, 3.0, 3.0], [3.0, 0.0, 3.0], [3.0, 3.0, 0.0]]

EXPECTED = """\
&allocations
  nelements = 2
  natoms = 2
  ngrid(:) = 6 6 4
&end
&crystal
  lfactor = 0.1
  lattvec(:,1) = 0.0 3.0 3.0
  lattvec(:,2) = 3.0 0.0 3.0
  lattvec(:,3) = 3.0 3.0 0.0
  elements = "Cu" "I"
  types = 1 2
  positions(:,1) = 0.0 0.0 0.0
  positions(:,2) = 0.25 0.25 0.25
  masses = 63.5 126.9
  gfactors = 0.0002 0.0
  scell(:) = 4 4 3
  epsilon(:,1) = 5.0 0.0 0.0
  epsilon(:,2) = 0.0 5.0 0.0
  epsilon(:,3) = 0.0 0.0 6.0
  born(:,1,1) = 0.0 1.0 2.0
  born(:,2,1) = 3.0 4.0 5.0
  born(:,3,1) = 6.0 7.0 8.0
  born(:,1,2) = 0.0 -1.0 -2.0
  born(:,2,2) = -3.0 -4.0 -5.0
  born(:,3,2) = -6.0 -7.0 -8.0
&end
&parameters
  T_min = 100.0
  T_max = 300.0
  T_step = 100.0
  scalebroad = 0.1
  maxiter = 1000
  eps = 1e-05
  omega_max = 50.0
  num_sample_process_4ph = 100000
  num_sample_process_4ph_phase_space = 100000
&end
&flags
  nonanalytic = .true.
  autoisotopes = .false.
  convergence = .true.
  isotopes = .true.
  onlyharmonic = .false.
  four_phonon = .true.
&end
"""


@pytest.fixture
def control() -> Control:
    primitive = Atoms("CuI", cell=CELL, scaled_positions=[(0, 0, 0), (0.25, 0.25, 0.25)], pbc=True)
    primitive.set_masses([63.5, 126.9])
    born = np.arange(9.0).reshape(3, 3)
    nac = {"born": np.array([born, 0.0 - born]), "dielectric": np.diag([5.0, 5.0, 6.0]), "factor": 14.4}
    return Control(primitive, (4, 4, 3), (6, 6, 4), nac)


SETTINGS = {
    "temperatures": [300, 100, 200],
    "mesh": [6, 6, 4],
    "scalebroad": 0.1,
    "omega_max": 50,
    "isotopes": True,
    "four_phonon": True,
    "num_sample_process_4ph": 100000,
}


def test_text(control: Control) -> None:
    text = control_text(control, VARIANCES, ShengBteSettings.of(SETTINGS))
    assert text == EXPECTED


def test_plain_shengbte_meets_no_name_of_fourphonon(control: Control) -> None:
    """Fortran ends at a name it does not know."""
    text = control_text(control, VARIANCES, ShengBteSettings.of({"temperatures": [300], "mesh": [2, 2, 2]}))
    assert "four" not in text
    assert "sample" not in text
    assert "  T = 300.0\n" in text


def test_back(control: Control, tmp_path: Path) -> None:
    (tmp_path / "CONTROL").write_text(control_text(control, VARIANCES, ShengBteSettings.of(SETTINGS)))
    back = read_control(tmp_path / "CONTROL")
    # 17 digits, times 0.1 and 10
    np.testing.assert_allclose(back.primitive.cell.array, CELL, rtol=1e-15)
    np.testing.assert_array_equal(back.primitive.numbers, control.primitive.numbers)
    np.testing.assert_array_equal(back.primitive.get_masses(), [63.5, 126.9])
    assert (back.supercell, back.mesh) == ((4, 4, 3), (6, 6, 4))
    np.testing.assert_array_equal(back.nac["born"], control.nac["born"])
    np.testing.assert_array_equal(back.nac["dielectric"], control.nac["dielectric"])


def test_masses_of_an_element_that_differ(control: Control, tmp_path: Path) -> None:
    """An isotope on one site: a type of its own."""
    atoms = Atoms("Cu2I", cell=np.diag([4, 4, 6]), scaled_positions=[(0, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5)], pbc=True)
    atoms.set_masses([63.5, 65.0, 126.9])
    text = control_text(Control(atoms, (2, 2, 2), (3, 3, 3)), VARIANCES, ShengBteSettings.of(SETTINGS))
    assert 'elements = "Cu" "Cu" "I"' in text
    assert "types = 1 2 3" in text
    (tmp_path / "CONTROL").write_text(text)
    np.testing.assert_array_equal(read_control(tmp_path / "CONTROL").primitive.get_masses(), [63.5, 65.0, 126.9])


def test_as_people_write_it(tmp_path: Path) -> None:
    """Comments, commas, repeated values, Fortran's exponents, a lattice constant in nm, several entries on a line."""
    (tmp_path / "CONTROL").write_text(
        """&allocations nelements=2, natoms=2, ngrid(:)=12 10 8 /
&crystal
   lfactor=0.605d0, ! a = 6.05 Angstrom
   lattvec(:,2)=0.5 0.0 0.5
   lattvec(:,1)=0.0,0.5,0.5,  lattvec(:,3)=2*0.5 0.0
   elements='Cu',"I" types=1 2,
   positions(:,1)=3*0.0
   positions(:,2)=2.5E-1 0.25 0.25
   epsilon(:,1)=5 2*0 epsilon(:,2)=0 5 0 epsilon(:,3)=0 0 5
   born(:,1,2)=-1 0 0 born(:,2,2)=0 -1 0 born(:,3,2)=0 0 -1
   born(:,1,1)=1 0 0 born(:,2,1)=0 1 0 born(:,3,1)=0 0 1
   scell(:)=5 5 4
/
&parameters T=300. scalebroad=1.0
&end
&flags nonanalytic=.TRUE. nanowires=F
/
"""
    )
    control = read_control(tmp_path / "CONTROL")
    assert control.primitive.get_chemical_formula() == "CuI"
    # a fcc cell holds a quarter of the cube; rounding
    assert control.primitive.get_volume() == pytest.approx(6.05**3 / 4, rel=1e-12)
    np.testing.assert_allclose(control.primitive.cell.array[0], [0, 3.025, 3.025], rtol=1e-12)
    assert (control.supercell, control.mesh) == ((5, 5, 4), (12, 10, 8))
    np.testing.assert_array_equal(control.nac["born"], [np.eye(3), -np.eye(3)])


def test_charges_that_are_not_used(tmp_path: Path, control: Control) -> None:
    text = control_text(control, VARIANCES, ShengBteSettings.of(SETTINGS))
    (tmp_path / "CONTROL").write_text(text.replace("nonanalytic = .true.", "nonanalytic = .false."))
    assert read_control(tmp_path / "CONTROL").nac is None


@pytest.mark.parametrize(
    ("change", "words"),
    [(("  natoms = 2\n", ""), "natoms"), (("scell(:) = 4 4 3", "scell(:) = 4 4"), "scell has 2 numbers, needs 3")],
)
def test_what_is_missing_is_named(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "CONTROL").write_text(EXPECTED.replace(*change))
    with pytest.raises(ValueError, match=words):
        read_control(tmp_path / "CONTROL")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scalbroad": 0.1}, "unknown key scalbroad; did you mean scalebroad?"),
        ({"temperatures": [100, 200, 400]}, "at equal distances"),
        ({"temperatures": [300, 300]}, "at equal distances"),
        ({"temperatures": [77.5]}, "whole kelvins"),
        ({"temperatures": []}, "temperatures"),
        ({"mesh": [4, 4]}, "mesh"),
        ({"four_phonon_iteration": True}, "needs four_phonon"),
        ({"four_phonon": True, "four_phonon_iteration": True, "convergence": False}, "needs four_phonon and conv"),
        ({"num_sample_process_4ph": 1000}, "num_sample_process_4ph needs four_phonon"),
        ({"num_sample_process_3ph": 1000}, "set convergence false"),
        (
            {"four_phonon": True, "four_phonon_iteration": True, "num_sample_process_4ph": 9},
            "not with iteration",
        ),
    ],
)
def test_settings_that_make_no_sense(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        ShengBteSettings.of({"temperatures": [300], "mesh": [2, 2, 2]} | settings)


def test_words() -> None:
    settings = ShengBteSettings.of(SETTINGS)
    assert settings.words() == (
        "linewidths of FourPhonon (RTA): three phonons, four phonons (100000 processes of each mode sampled), natural "
        "isotopes"
    )
