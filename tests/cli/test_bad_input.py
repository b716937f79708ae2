"""Whatever a user can get wrong is said in one line with a remedy, before anything is submitted."""

import ase.io
import pytest
from ase import Atoms

from aiida_iontherm.physics.mtp import MomentTensorPotential

PARTIAL_CIF = """data_test
_cell_length_a 5.0
_cell_length_b 5.0
_cell_length_c 5.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0.0 0.0 0.0 0.5
Cl1 Cl 0.5 0.5 0.5 1.0
"""


@pytest.fixture
def files(tmp_path, cuau):
    """Paths by name; all of them wrong in their own way but `good.xyz`, `cuau.mtp` and `agcu.mtp`."""
    ase.io.write(tmp_path / "good.xyz", cuau, format="extxyz")
    (tmp_path / "notes.txt").write_text("my notes\non copper\n")
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a five\n")
    (tmp_path / "empty.xyz").write_text("")
    overlap = Atoms("Cu2", cell=[3, 3, 3], positions=[[0, 0, 0], [0, 0, 0.3]], pbc=True)
    ase.io.write(tmp_path / "overlap.xyz", overlap, format="extxyz")
    molecule = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.3]])
    ase.io.write(tmp_path / "molecule.xyz", molecule, format="extxyz")
    (tmp_path / "partial.cif").write_text(PARTIAL_CIF)
    for name, species in (("cuau", ["Cu", "Au"]), ("agcu", ["Ag", "Cu"])):
        MomentTensorPotential.new(level=4, species=species, cutoff=4.0, radial_size=4).write(tmp_path / f"{name}.mtp")
    text = (tmp_path / "cuau.mtp").read_text()
    (tmp_path / "truncated.mtp").write_text(text[: len(text) // 2])
    (tmp_path / "broken.yaml").write_text("dynamics: [1, 2\n")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    return tmp_path


GOOD = ["good.xyz", "--engine", "emt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["notes.txt"], "is not a structure file: give a CIF, POSCAR/CONTCAR or extended XYZ file"),
        (["broken.cif"], "holds no readable structure"),
        (["empty.xyz"], "empty.xyz"),
        (["no/such/file.cif"], "no file"),
        (["overlap.xyz"], "atoms overlap; check the cell"),
        (["molecule.xyz"], "not a periodic crystal"),
        (["partial.cif"], "--order"),
        (["CsCu2I4"], "CsCu2I3"),
        (["CsCu2I3", "--engine", "emt"], "the engine emt does not know Cs, I: choose another with --engine"),
        (["good.xyz", "--engine", "emtt"], "did you mean emt?"),
        ([*GOOD, "--protocol", "demmo"], "there is no protocol demmo: did you mean demo?"),
        ([*GOOD, "--set", "dynamics.productoin_ps=5"], "did you mean production_ps?"),
        ([*GOOD, "--set", "dynamics.production_ps"], "--set wants KEY=VALUE"),
        ([*GOOD, "--set", "dynamics.production_ps=long"], "dynamics.production_ps"),
        ([*GOOD, "--set", "temperatures=[300"], "not a YAML value"),
        (["good.xyz", "--set", "engine=emt", "--engine", "emt"], "engine is a section"),
        (["good.xyz", "--set", "engine=emt", "--set", "engine.name=emt"], "section"),
        ([*GOOD, "-T", "-300"], "temperatures are in K and positive, not -300"),
        ([*GOOD, "-T", "0"], "temperatures are in K and positive, not 0"),
        ([*GOOD, "-T", "nan"], "temperatures are in K and positive, not nan"),
        ([*GOOD, "-T", "300", "-T", "300"], "each one only once"),
        ([*GOOD, "--overrides", "broken.yaml"], "is not YAML"),
        ([*GOOD, "--overrides", "list.yaml"], "must hold sections and keys"),
        ([*GOOD, "--mobile", "Li"], "there is no Li in"),
        ([*GOOD, "--set", "dynamics.production_ps=3"], "too few for a diffusivity"),
        (["good.xyz", "--potential", "agcu.mtp", "--species", "Ag,Cu"], "not Au"),
        (["good.xyz", "--potential", "cuau.mtp", "--species", "Cu"], "species"),
        (["good.xyz", "--potential", "cuau.mtp", "--species", ""], "species"),
        (["good.xyz", "--potential", "cuau.mtp"], "--potential and --species belong together"),
        (["good.xyz", "--species", "Cu,Au"], "--potential and --species belong together"),
        (["good.xyz", "--potential", "truncated.mtp", "--species", "Cu,Au"], "truncated.mtp"),
        (["good.xyz", "--potential", "notes.txt", "--species", "Cu,Au"], "notes.txt"),
        ([*GOOD, "--code", "nothing@localhost"], "there is no code nothing@localhost in this profile: run `iontherm"),
        ([*GOOD, "--option", "queue=long"], "there is no scheduler option queue: did you mean queue_name?"),
        ([*GOOD, "--submit"], "start it with `verdi daemon start`, or leave --submit out"),
        ([*GOOD, "-p", "nobody"], "there is no AiiDA profile nobody: there are tests"),
        (["99999999"], "there is no AiiDA node 99999999"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_run_refuses(arguments, words, files, refuse, monkeypatch):
    monkeypatch.chdir(files)
    profile = [] if "-p" in arguments else ["-p", "tests"]
    assert words in refuse("run", *arguments, *profile)


def test_run_refuses_nodes_that_are_no_structure(refuse, task_code):
    assert f"node {task_code.pk} is a InstalledCode, not a structure" in refuse("run", task_code.pk, "-p", "tests")


@pytest.mark.parametrize("command", ["why", "watch", "results", "report"])
@pytest.mark.parametrize("identifier", ["99999999", "no-such-uuid"])
def test_unknown_process(command, identifier, refuse):
    assert f"there is no process {identifier}" in refuse(command, identifier, "-p", "tests")


@pytest.mark.parametrize("command", ["why", "watch", "results", "report"])
def test_node_that_is_no_process(command, refuse, task_code):
    assert "not a process" in refuse(command, task_code.pk, "-p", "tests")
