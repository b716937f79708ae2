"""What the program that stands in for VASP makes of its input files, good and bad."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.cell import Cell
from ase.constraints import FixAtoms
from ase.io import read
from mock_vasp_folder import EMT, KPOINTS, MD, RELAX, prepare
from pymatgen.io.vasp import Vasprun

from aiida_iontherm.engines.mock_vasp import cli, run
from aiida_iontherm.engines.mock_vasp.electronic import electronic_steps
from aiida_iontherm.engines.mock_vasp.errors import VaspStop
from aiida_iontherm.engines.mock_vasp.formats import exponential
from aiida_iontherm.engines.mock_vasp.incar import Incar
from aiida_iontherm.engines.mock_vasp.inputs import read_inputs
from aiida_iontherm.engines.mock_vasp.kpoints import mesh_from_spacing, read_kpoints
from aiida_iontherm.engines.mock_vasp.potcar import read_potcars, valence_electrons, write_potcars
from aiida_iontherm.engines.mock_vasp.settings import read_settings


def test_incar_is_read_as_fortran_reads_it():
    incar = Incar.parse(
        "encut = 400 ; nsw=3 # steps\n! NSW = 9\nEDIFF = 1.0D-6\nLWAVE = .FALSE.\nMAGMOM = 2*1.0 \\\n 0.5\n"
    )
    assert incar.number("ENCUT", 0) == 400.0
    assert incar.integer("NSW", 0) == 3
    assert incar.number("EDIFF", 0) == 1e-6
    assert incar.logical("LWAVE", True) is False
    assert incar.numbers("MAGMOM") == [1.0, 1.0, 0.5]
    with pytest.raises(VaspStop, match="Error reading item 'NSW' from file INCAR"):
        Incar.parse("NSW = many").integer("NSW", 0)


def test_defaults_are_those_of_vasp():
    static = read_settings(Incar.parse(""), 1, 245.0)
    assert (static.encut, static.ediff, static.nelm, static.ibrion, static.isif) == (245.0, 1e-4, 60, -1, 2)
    assert static.ionic_steps == 1
    relax = read_settings(Incar.parse("NSW = 5\nIBRION = 2\nEDIFF = 1e-6"), 1, 245.0)
    assert (relax.ediffg, relax.isif, relax.isym, relax.ionic_steps) == (pytest.approx(1e-5), 2, 2, 5)
    md = read_settings(Incar.parse("NSW = 5\nPOTIM = 1\nTEBEG = 300"), 2, 245.0)
    assert (md.ibrion, md.isif, md.isym, md.teend, md.smass) == (0, 0, 0, 300.0, -3.0)
    assert md.langevin_gamma == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("NSW = 5\nIBRION = 0", "IBRION=0, but no entry for POTIM"),
        ("NSW = 5\nIBRION = 6", "IBRION = 6 is beyond"),
        ("NSW = 5\nIBRION = 2\nISIF = 7", "ISIF = 7 is beyond"),
        ("NSW = 5\nPOTIM = 1\nISIF = 3", "ISIF = 3 with IBRION = 0 is beyond"),
        ("NSW = 5\nPOTIM = -1", "POTIM = -1.0 is no time step"),
        ("NSW = 5\nPOTIM = 1\nMDALGO = 13", "MDALGO = 13 is beyond"),
        ("NSW = 5\nPOTIM = 1\nMDALGO = 3\nLANGEVIN_GAMMA = 1 2 3", "3 values for 2 species"),
        ("NSW = 5\nPOTIM = 1\nMDALGO = 1\nANDERSEN_PROB = 0.1", "ANDERSEN_PROB = 0.1 is beyond"),
        ("NSW = 5\nPOTIM = 1\nSMASS = 0\nTEBEG = 100\nTEEND = 200", "a ramp"),
        ("NSW = 5\nPOTIM = 1\nSMASS = -2", "SMASS = -2.0 is beyond"),
        ("PSTRESS = 10", "PSTRESS = 10.0 is beyond"),
    ],
)
def test_what_cannot_be_done_is_refused(tags, message):
    with pytest.raises(VaspStop, match=message):
        read_settings(Incar.parse(tags), 2, 245.0)


def test_meshes_are_halved_by_time_reversal():
    cubic = Cell.fromcellpar([4, 4, 4, 90, 90, 90])
    gamma = read_kpoints(KPOINTS.replace("2 2 2", "3 3 3"), cubic)
    assert len(gamma.points) == 14  # 27 points: Gamma and 13 pairs
    assert gamma.weights.sum() == pytest.approx(1.0)
    assert gamma.weights.min() == pytest.approx(1 / 27)
    shifted = read_kpoints(KPOINTS.replace("Gamma", "Monkhorst"), cubic)
    assert len(shifted.points) == 4
    assert np.abs(shifted.points).tolist() == [[0.25] * 3] * 4
    # VASP: the next integer of |b| / KSPACING, with 2 pi in b: 2 pi / 4 / 0.5 = 3.14.
    assert mesh_from_spacing(0.5, True, cubic).divisions == (4, 4, 4)
    explicit = read_kpoints("two\n2\nReciprocal\n0 0 0 1\n0.5 0 0 3\n", cubic)
    assert explicit.weights.tolist() == [0.25, 0.75]
    cartesian = read_kpoints("one\n1\nCartesian\n0.125 0 0 1\n", cubic)
    assert cartesian.points.tolist() == [[0.5, 0.0, 0.0]]
    with pytest.raises(VaspStop, match="band path"):
        read_kpoints("path\n10\nLine-mode\nreciprocal\n0 0 0\n0.5 0 0\n", cubic)
    with pytest.raises(VaspStop, match="ends early"):
        read_kpoints("two\n2\nReciprocal\n0 0 0 1\n", cubic)


def test_kspacing_serves_without_kpoints(cuau, tmp_path):
    folder = prepare(tmp_path / "run", cuau, {"KSPACING": 0.8}, kpoints=None)
    assert run(folder, EMT) == 0
    found = Vasprun(folder / "vasprun.xml", parse_potcar_file=False)
    assert found.kpoints.kpts == [(3, 3, 3)]  # 2 pi / 2.80 / 0.8 = 2.8, 2 pi / 3.68 / 0.8 = 2.1
    assert len(found.actual_kpoints) == 14


@pytest.mark.parametrize(("ediff", "steps"), [(1e-2, 5), (1e-6, 9)])
def test_electronic_steps_close_in_until_ediff(ediff, steps):
    found = electronic_steps(-3.0, atoms=2, first=True, ediff=ediff, nelm=60, nelmin=2)
    assert found.converged
    assert len(found.energies) == steps
    assert found.energies[-1] == -3.0
    changes = np.abs(np.diff(found.energies))
    assert changes[-1] < ediff <= changes[-3]
    cut = electronic_steps(-3.0, atoms=2, first=True, ediff=ediff, nelm=3, nelmin=2)
    assert (len(cut.energies), cut.converged) == (3, False)
    assert cut.energies[-1] != -3.0


@pytest.mark.parametrize(
    ("number", "text"),
    [(-10.794496, "-0.10794E+02"), (0.0, "0.00000E+00"), (9.999999, "0.10000E+02"), (4.2e-7, "0.42000E-06")],
)
def test_numbers_look_like_fortrans(number, text):
    assert exponential(number, 5) == text
    assert float(text) == pytest.approx(number, rel=5e-5)  # five digits
    assert exponential(number, 5, leading_zero=False) == text.replace("0.", ".", 1)


def test_old_poscars_without_names_take_their_species_from_potcar(cuau, tmp_path):
    folder = prepare(tmp_path / "run", cuau)
    lines = (folder / "POSCAR").read_text().splitlines()
    (folder / "POSCAR").write_text("\n".join(lines[:5] + lines[6:]) + "\n")
    assert read_inputs(folder).atoms.get_chemical_symbols() == ["Cu", "Au"]


@pytest.mark.parametrize("names", ["Cu1 Au2", "Cu_pv/6a2f546d Au"])
def test_kinds_and_labels_of_poscar_are_understood(cuau, tmp_path, names):
    folder = prepare(tmp_path / "run", cuau)
    lines = (folder / "POSCAR").read_text().splitlines()
    (folder / "POSCAR").write_text("\n".join([*lines[:5], names, *lines[6:]]) + "\n")
    assert read_inputs(folder).atoms.get_chemical_symbols() == ["Cu", "Au"]


def _swapped(folder: Path) -> None:
    files = [folder.parent / "potcars" / name / "POTCAR" for name in ("Au", "Cu")]
    (folder / "POTCAR").write_text("".join(file.read_text() for file in files))


def _poscar(folder: Path, number: int, line: str) -> None:
    lines = (folder / "POSCAR").read_text().splitlines()
    lines[number] = line
    (folder / "POSCAR").write_text("\n".join(lines) + "\n")


def _one(folder: Path) -> None:
    (folder / "POTCAR").write_text((folder.parent / "potcars" / "Cu" / "POTCAR").read_text())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "POTCAR").unlink(), "No POTCAR found, STOPPING"),
        (lambda folder: (folder / "INCAR").unlink(), "No INCAR found, STOPPING"),
        (_one, "number of potentials on File POTCAR incompatible with number of species"),
        (_swapped, "POSCAR has Cu where POTCAR has Au"),
        (lambda folder: (folder / "POTCAR").write_text("rubbish\n End of Dataset\n" * 2), "no TITEL"),
        (lambda folder: (folder / "POSCAR").write_text(""), "the file POSCAR is empty"),
        (lambda folder: (folder / "POSCAR").write_text("x\n1\n1 0 0\n"), "1 or more atoms"),
        (lambda folder: _poscar(folder, 5, "Cu"), "1 names for 2 numbers of atoms"),
        (lambda folder: _poscar(folder, 8, "0.5 0.5"), "POSCAR ends early or holds what is no number"),
        (lambda folder: _poscar(folder, 2, "-2.8 0 0"), "triple product of the basis vectors"),
        (lambda folder: (folder / "KPOINTS").write_text("x\n"), "Error reading KPOINTS"),
    ],
)
def test_bad_input_ends_the_run_and_says_why(cuau, tmp_path, capsys, spoil, message):
    folder = prepare(tmp_path / "run", cuau)
    spoil(folder)
    assert run(folder, EMT) == 1
    assert message in capsys.readouterr().out
    # VASP has opened its files by then; plugins look for them.
    assert (folder / "OUTCAR").read_text().startswith(" vasp.6.3.0")
    assert (folder / "CONTCAR").read_text() == (folder / "vasprun.xml").read_text() == ""


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "IONTHERM_MOCK_VASP_ENGINE is not set"),
        ({"IONTHERM_MOCK_VASP_ENGINE": "emd"}, "did you mean emt"),
        ({"IONTHERM_MOCK_VASP_ENGINE": "lj"}, "lj does not know Au, Cu"),
        (EMT | {"IONTHERM_MOCK_VASP_OPTIONS": "{"}, "is no JSON"),
        (EMT | {"IONTHERM_MOCK_VASP_OPTIONS": "[1]"}, "must be a JSON object"),
        (EMT | {"IONTHERM_MOCK_VASP_FAIL": "scff"}, "did you mean scf"),
        (EMT | {"IONTHERM_MOCK_VASP_FAIL": "scf:1"}, "IONTHERM_MOCK_VASP_STATE a file"),
    ],
)
def test_bad_environments_end_the_run_and_say_why(cuau, tmp_path, capsys, environment, message):
    assert run(prepare(tmp_path / "run", cuau), environment) == 1
    assert message in capsys.readouterr().out


def test_options_reach_the_engine(tmp_path):
    argon = bulk("Ar", a=5.3, cubic=True)
    energies = []
    for epsilon in (0.01, 0.02):
        folder = prepare(tmp_path / "run", argon)
        environment = {"IONTHERM_MOCK_VASP_ENGINE": "lj", "IONTHERM_MOCK_VASP_OPTIONS": f'{{"epsilon": {epsilon}}}'}
        assert run(folder, environment) == 0
        energies.append(read(folder / "vasprun.xml").get_potential_energy())
    assert energies[1] == pytest.approx(2 * energies[0], abs=2e-8)  # printed digits
    assert energies[0] < -0.1


def test_without_isif_dynamics_has_no_stress(cuau, tmp_path):
    """The default of ISIF is 0 there: easily forgotten, and then labels lack stresses."""
    tags = {name: value for name, value in MD.items() if name != "ISIF"}
    folder = prepare(tmp_path / "run", cuau, tags | {"NSW": 2})
    assert run(folder, EMT) == 0
    assert 'name="stress"' not in (folder / "vasprun.xml").read_text()
    assert "in kB" not in (folder / "OUTCAR").read_text()
    assert read(folder / "vasprun.xml").get_forces().shape == (2, 3)


def test_one_atom_alone_and_fixed_atoms_cannot_have_dynamics(cuau, tmp_path, capsys):
    assert run(prepare(tmp_path / "one", cuau[:1], MD), EMT) == 1
    assert "one atom alone" in capsys.readouterr().out
    cuau.set_constraint(FixAtoms([0]))
    assert run(prepare(tmp_path / "fixed", cuau, MD), EMT) == 1
    assert "selective dynamics" in capsys.readouterr().out


def test_the_hash_knows_what_matters(cuau, tmp_path):
    def key(change=None, incar=None, **options):
        folder = prepare(tmp_path / "run", cuau, incar, **options)
        if change:
            change(folder)
        return read_inputs(folder).key

    first = key()
    assert (
        key(lambda folder: (folder / "INCAR").write_text("! note\nEDIFF=1D-6 ;  SYSTEM = x\nencut = 300.\n")) == first
    )
    assert key(incar={"LASPH": "T"}) == key(incar={"LASPH": ".TRUE."}) != first
    assert key(incar={"NCORE": 4, "LWAVE": ".FALSE."}) == first
    assert key(incar={"ENCUT": 301}) != first
    assert key(incar=RELAX) != first
    assert key(kpoints=KPOINTS.replace("a mesh", "another comment")) == first
    assert key(kpoints=KPOINTS.replace("2 2 2", "2 2 3")) != first
    poscar = (tmp_path / "run" / "POSCAR").read_text()
    assert key(lambda folder: (folder / "POSCAR").write_text(poscar.replace("Cu Au", "label", 1))) == first
    assert key(lambda folder: (folder / "POSCAR").write_text(poscar.replace("0.5", "0.501", 1))) != first


def test_synthetic_potcars_say_what_they_are(tmp_path):
    files = write_potcars(tmp_path / "family", ["Cu_pv", "I", "Cs"])
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "family/Cu_pv/POTCAR",
        "family/I/POTCAR",
        "family/Cs/POTCAR",
    ]
    text = "".join(file.read_text() for file in files)
    assert text.count("not for computing") == 3
    copper, iodine, caesium = read_potcars(text)
    assert (copper.title, copper.element, copper.valence) == ("PAW_PBE Cu_pv synthetic", "Cu", 11.0)
    assert (iodine.valence, iodine.mass) == (7.0, 126.904)
    assert caesium.valence == 1.0
    with pytest.raises(ValueError, match="Xx is no element"):
        write_potcars(tmp_path / "none", ["Cu", "Xx"])
    assert not (tmp_path / "none").exists()


def test_heads_without_numbers_suffice():
    """A head of TITEL, VRHFIN and LEXCH is all that aiida-vasp wants."""
    (found,) = read_potcars("TITEL  = PAW_PBE Ag_pv 09Dec2005\n VRHFIN =Ag: 4p5s4d\n LEXCH = PE\n End of Dataset\n")
    assert (found.element, found.valence) == ("Ag", 11.0)
    assert found.mass == pytest.approx(107.87, abs=0.01)


def test_valences_of_synthetic_potcars():
    """Electrons outside the core as the smallest PAW data sets of VASP have them."""
    light = {"H": 1, "He": 2, "Li": 1, "Al": 3, "S": 6, "Cl": 7, "Ca": 2, "Fe": 8, "Cu": 11, "Zn": 12, "Ga": 3, "Ge": 4}
    heavy = {"Br": 7, "Ag": 11, "Sn": 4, "I": 7, "Cs": 1, "Au": 11, "Hg": 12, "Pb": 4}
    for element, electrons in (light | heavy).items():
        assert valence_electrons(element) == electrons, element


def test_command_line_writes_potcars(tmp_path, capsys):
    assert cli.main(["--potcars", str(tmp_path / "family"), "Cu", "I"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "family" / name / "POTCAR") for name in ("Cu", "I")]
    for arguments, message in ((["--potcars", "x"], "at least one element"), (["--potcars", "x", "Q"], "no element")):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert message in capsys.readouterr().err


def test_executable_runs_where_it_is_started(cuau, tmp_path, monkeypatch):
    folder = prepare(tmp_path / "run", cuau)
    monkeypatch.chdir(folder)
    for name, value in EMT.items():
        monkeypatch.setenv(name, value)
    # The second process of an MPI launcher leaves the work to the first.
    monkeypatch.setenv("PMI_RANK", "1")
    assert cli.main([]) == 0
    assert not (folder / "OUTCAR").exists()
    monkeypatch.setenv("PMI_RANK", "0")
    program = Path(sys.executable).with_name("iontherm-mock-vasp")
    done = subprocess.run([program], cwd=folder, capture_output=True, check=True, text=True)
    assert "entering main loop" in done.stdout
    assert "General timing and accounting" in (folder / "OUTCAR").read_text()
