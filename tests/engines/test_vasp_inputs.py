"""VASP's input files, to the letter, and what is refused before a job is written."""

import textwrap
from pathlib import Path

import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import StructureData
from aiida.plugins import CalculationFactory
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.calculations.reference_sets import sorted_cell
from aiida_iontherm.engines.builders import EngineError, engine_class, make_engine
from aiida_iontherm.engines.dft import DftSettings

SAMPLE = {
    "temperatures": [300.0, 600.0],
    "frames_per_run": 10,
    "stride": 6,
    "timestep_fs": 1.0,
    "friction_per_ps": 20.0,
    "seed": 7,
}


@pytest.fixture
def interleaved(aiida_profile):
    """Copper iodide in a cubic cell, its species in turn: Cu I Cu I ..."""
    return StructureData(ase=bulk("CuI", "zincblende", a=6.05, cubic=True))


@pytest.fixture
def engine(vasp, task_code):
    def make(**changes):
        section = vasp | {key: value for key, value in changes.items() if key != "dft"}
        section["dft"] = vasp["dft"] | changes.get("dft", {})
        return make_engine(section, {"code": task_code})

    return make


def files_of(inputs):
    """The files that aiida-vasp writes for the inputs of its work chain."""
    job = {key: value for key, value in inputs.items() if key in ("code", "structure", "kpoints", "settings")}
    from aiida_vasp.data.potcar import PotcarData

    potentials = PotcarData.get_potcars_from_structure(
        inputs["structure"], inputs["potential_family"].value, inputs["potential_mapping"].get_dict()
    )
    process = instantiate_process(
        get_manager().get_runner(),
        CalculationFactory("vasp.vasp"),
        **job,
        parameters=type(inputs["parameters"])(inputs["parameters"].get_dict()["incar"]),
        potential=potentials,
        metadata=inputs["calc"]["metadata"],
    )
    with SandboxFolder() as folder:
        process.prepare_for_submission(folder)
        return {name: Path(folder.get_abs_path(name)).read_text() for name in ("INCAR", "KPOINTS", "POSCAR", "POTCAR")}


def test_single_point(engine, interleaved):
    files = files_of(engine().single_point(sorted_cell(interleaved)).inputs)
    assert files["INCAR"] == textwrap.dedent("""\
        EDIFF = 1e-06
        ENCUT = 400.0
        GGA = PS
        ISIF = 2
        ISMEAR = 0
        ISYM = 0
        LASPH = .TRUE.
        LCHARG = .FALSE.
        LREAL = .FALSE.
        LWAVE = .FALSE.
        NELM = 100
        PREC = accurate
        SIGMA = 0.05
        """)
    # 2 pi / 6.05 Angstrom over 0.5: three divisions.
    assert [" ".join(line.split()) for line in files["KPOINTS"].splitlines()[1:]] == [
        "0",
        "Gamma",
        "3 3 3",
        "0.000000000 0.000000000 0.000000000",
    ]
    lines = files["POSCAR"].splitlines()
    assert [line.split() for line in lines[5:7]] == [["Cu", "I"], ["4", "4"]]
    titles = [line.split()[3] for line in files["POTCAR"].splitlines() if "TITEL" in line]
    assert titles == ["Cu", "I"]


def test_dynamics(engine, interleaved):
    files = files_of(engine().dynamics(sorted_cell(interleaved), SAMPLE, 1).inputs)
    tags = dict(line.split(" = ") for line in files["INCAR"].splitlines())
    assert tags["IBRION"] == "0"
    assert tags["NSW"] == "61"  # ten frames six steps apart, and the start
    assert (tags["TEBEG"], tags["TEEND"], tags["POTIM"]) == ("600.0", "600.0", "1.0")
    assert (tags["MDALGO"], tags["LANGEVIN_GAMMA"]) == ("3", "20.0 20.0")
    assert tags["RANDOM_SEED"] == "8 0 0"
    assert (tags["ISIF"], tags["ISYM"]) == ("2", "0")


def test_relaxation_has_settings_of_its_own(engine, interleaved):
    changed = engine(dft={"relax": {"cutoff_ev": 700.0, "k_mesh": [6, 6, 8], "energy_tolerance_ev": 1e-8}})
    job = changed.relaxation(sorted_cell(interleaved), {"relax_cell": True, "force_tolerance": 0.001, "max_steps": 80})
    assert job.process == "vasp.relax"
    tags = job.inputs["vasp"]["parameters"]["incar"]
    assert (tags["encut"], tags["ediff"]) == (700.0, 1e-8)
    assert job.inputs["vasp"]["kpoints"].get_kpoints_mesh()[0] == [6, 6, 8]
    settings = job.inputs["relax_settings"].get_dict()
    assert (settings["force_cutoff"], settings["steps"]) == (0.001, 80)
    assert settings["positions"] and settings["shape"] and settings["volume"]
    # What is computed is said there, not in the INCAR.
    assert not {"ibrion", "nsw", "isif", "ediffg"} & set(tags)


def test_own_tags_come_last_and_other_potentials_are_chosen(engine, interleaved):
    options = {"potential_family": "SYNTHETIC", "potential_mapping": {"Cu": "Cu_pv"}, "incar": {"LREAL": "Auto"}}
    files = files_of(engine(options=options).single_point(sorted_cell(interleaved)).inputs)
    assert "LREAL = Auto" in files["INCAR"]
    assert [line.split()[3] for line in files["POTCAR"].splitlines() if "TITEL" in line] == ["Cu_pv", "I"]


@pytest.mark.parametrize(
    ("dft", "expected"),
    [
        ({"functional": "LDA"}, {"GGA": None}),
        ({"functional": "PBE"}, {"GGA": "PE"}),
        ({"dispersion": "d3-bj"}, {"IVDW": "12"}),
        ({"dispersion": "d3"}, {"IVDW": "11"}),
        ({"smearing": "fermi-dirac", "smearing_ev": 0.1}, {"ISMEAR": "-1", "SIGMA": "0.1"}),
        ({"smearing": "fixed"}, {"ISMEAR": "0", "SIGMA": "0.001"}),
        ({"cutoff_ev": None}, {"ENCUT": None}),
    ],
)
def test_translation(engine, interleaved, dft, expected):
    files = files_of(engine(dft=dft).single_point(sorted_cell(interleaved)).inputs)
    tags = dict(line.split(" = ") for line in files["INCAR"].splitlines())
    assert {tag: tags.get(tag) for tag in expected} == expected


@pytest.mark.parametrize(
    ("changes", "symbols", "words"),
    [
        ({"code": None}, ["Cu"], "name its code, engine.code"),
        ({"code": "vasp@nowhere"}, ["Cu"], "there is no code vasp@nowhere"),
        ({"options": {"potential_family": "NONE"}}, ["Cu"], "no POTCAR family NONE.*uploadfamily"),
        ({}, ["Cu", "Ag"], "has no Ag for Ag"),
        (
            {"options": {"potential_family": "SYNTHETIC", "potential_mapping": {"Cu": "Cu_sv"}}},
            ["Cu"],
            "has no Cu_sv for Cu; it has Cu, Cu_pv",
        ),
        ({"options": {"potential_famly": "X"}}, ["Cu"], "unknown key potential_famly; did you mean potential_family"),
        ({"options": {"potential_family": "SYNTHETIC", "incar": {"NSW": 3}}}, ["Cu"], "NSW say what is computed"),
    ],
)
def test_what_cannot_work_is_said_before(vasp, changes, symbols, words):
    with pytest.raises(EngineError, match=words):
        engine_class("vasp").check(vasp | changes, symbols)


def test_a_code_of_another_program_is_refused(vasp, make_code):
    other = make_code("pw-by-mistake", "/bin/true", "quantumespresso.pw")
    with pytest.raises(EngineError, match=r"pw-by-mistake@localhost is a code for quantumespresso.pw, .*vasp.vasp"):
        engine_class("vasp").check(vasp | {"code": other.full_label}, ["Cu"])


def test_an_engine_that_does_not_exist_names_the_nearest(aiida_profile):
    with pytest.raises(EngineError, match=r"no engine vsap: did you mean vasp\?"):
        engine_class("vsap")


def test_mesh_as_vasp_makes_it():
    """Worked example: N_i = max(1, ceil(2 pi |b_i| / spacing)), here 2 pi / 10.04 = 0.626 over 0.11 and so on."""
    dft = DftSettings(k_spacing=0.11)
    assert dft.mesh(Atoms(cell=[10.04, 12.94, 6.05]).cell.array) == (6, 5, 10)
    assert DftSettings(k_spacing=None).mesh(Atoms(cell=[10.04, 12.94, 6.05]).cell.array) == (1, 1, 1)
    # A spacing that divides the length exactly gains no point from rounding.
    assert DftSettings(k_spacing=2 * 3.141592653589793 / 24).mesh(Atoms(cell=[8.0, 8.0, 8.0]).cell.array) == (3, 3, 3)
