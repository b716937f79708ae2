"""The work chains iontherm.nemd and iontherm.nemd_length: what they hand to their jobs, and a run with two lengths."""

import json

import pytest
from aiida.orm import Dict, StructureData
from aiida.plugins import CalculationFactory, ParserFactory, WorkflowFactory
from pair_argon import argon, pair_argon

from aiida_iontherm.calculations.lammps_nemd import LammpsNemdCalculation, LammpsNemdParser
from aiida_iontherm.calculations.nemd import NemdCalculation, NemdParser, extrapolate_nemd
from aiida_iontherm.data import PotentialData
from aiida_iontherm.tasks.nemd import Input
from aiida_iontherm.workchains.nemd import NemdLengthWorkChain, NemdWorkChain

SETTINGS = {
    "lengths": [12, 16],
    "cross_section": [2, 2],
    "temperature": 30.0,
    "timestep_fs": 10.0,
    "equilibration_ps": 1.0,
    "production_ps": 6.0,
    "power_ev_per_ps": 0.02,
}


@pytest.fixture
def crystal(aiida_profile):
    return StructureData(ase=argon())


@pytest.fixture
def pairs(aiida_profile, tmp_path):
    pair_argon().write(tmp_path / "ar.mtp")
    return PotentialData(tmp_path / "ar.mtp", species=["Ar"])


def test_entry_points():
    assert CalculationFactory("iontherm.nemd") is NemdCalculation
    assert CalculationFactory("iontherm.extrapolate_nemd") is extrapolate_nemd
    assert ParserFactory("iontherm.nemd") is NemdParser
    assert CalculationFactory("iontherm.lammps_nemd") is LammpsNemdCalculation
    assert ParserFactory("iontherm.lammps_nemd") is LammpsNemdParser
    assert WorkflowFactory("iontherm.nemd") is NemdWorkChain
    assert WorkflowFactory("iontherm.nemd_length") is NemdLengthWorkChain
    for chain in (NemdWorkChain, NemdLengthWorkChain):
        assert all(port.help for name, port in chain.spec().inputs.items() if name != "metadata")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lengths": []}, "lengths are different positive numbers"),
        ({"lengths": [12, 12]}, "lengths are different positive numbers"),
        ({"cross_section": [2]}, "cross_section is two positive numbers"),
        ({"supercell": [12, 2, 2]}, "instead of the supercell"),
        ({"temperature": None}, "settings need temperature"),
        ({"program": "gromacs"}, "there is no program gromacs"),
        ({"program": "lammps"}, "name its code, code: LABEL@COMPUTER"),
        ({"program": "lammps", "code": "lmp@nowhere", "lammps": {"pair": "mlip-3"}}, "no centroid virials"),
        ({"code": "lmp@nowhere"}, "^[^.]*code: lmp@nowhere is for `program: lammps`, leave it out"),
    ],
)
def test_wrong_settings(change, words, make_process, crystal, pairs):
    settings = {name: value for name, value in (SETTINGS | change).items() if value is not None}
    with pytest.raises(ValueError, match=words):
        make_process("iontherm.nemd", structure=crystal, potential=pairs, settings=Dict(settings))


def test_settings_reach_the_job(make_process, crystal, pairs):
    settings = {name: value for name, value in SETTINGS.items() if name not in ("lengths", "cross_section")}
    settings["supercell"] = [12, 2, 2]
    process = make_process("iontherm.nemd_length", structure=crystal, potential=pairs, settings=Dict(settings))
    process.setup()
    given = Input.model_validate(process.ctx.inputs["parameters"].get_dict() | {"species": ["Ar"]})
    assert given.supercell == (12, 2, 2)
    assert process.ctx.inputs["potential"] is pairs


def test_a_run(run_process, crystal, pairs, task_code):
    """Six picoseconds of two lengths: everything is there, and nothing counts as converged."""
    node = run_process(NemdWorkChain, code=task_code, structure=crystal, potential=pairs, settings=Dict(SETTINGS))
    assert node.is_finished_ok, node.exit_message
    assert set(node.outputs.figures) == set(node.outputs.profiles) == {"length_12", "length_16"}
    assert node.outputs.profiles.length_12.get_array("profile").shape[1:] == (12, 4)
    assert node.outputs.figures.length_16["length_angstrom"] == pytest.approx(8 * 5.15)
    names = [quantity.name for quantity in node.outputs.result.quantities]
    assert names.count("kappa_nemd_finite") == 2
    assert "kappa_nemd" in names
    assert not any(quantity.converged for quantity in node.outputs.result.quantities)


def figures(length, kappa, gradient=1.0, problems=()):
    return Dict(
        {
            "length_angstrom": length,
            "kappa": kappa,
            "kappa_uncertainty": 0.01 * kappa,
            "gradient_k_per_angstrom": gradient,
            "problems": list(problems),
        }
    )


def test_extrapolation(aiida_profile):
    about = Dict({"temperature": 300.0, "axis": "b", "target_error": 0.1})
    # 1/kappa = 0.5 + 50/L
    cells = {f"length_{n}": figures(100.0 * n, 1 / (0.5 + 0.5 / n)) for n in (1, 2, 4)}
    kappa, path = extrapolate_nemd(about, **cells).quantities
    assert (kappa.value, kappa.direction, kappa.converged) == (pytest.approx(2.0), "b", True)
    assert path.value == pytest.approx(50.0)
    doubtful = cells | {"length_8": figures(800.0, 1 / (0.5 + 0.5 / 8), problems=["not steady"])}
    kappa, _ = extrapolate_nemd(about, **doubtful).quantities
    assert (kappa.converged, kappa.reason) == (False, "at 800 Angstrom: not steady")
    lost = {"length_1": cells["length_1"], "length_2": figures(200.0, -3.0, gradient=-0.1)}
    (kappa,) = extrapolate_nemd(about, **lost).quantities
    assert kappa.value is None
    assert "fewer than two lengths" in kappa.reason


def test_parser_refuses_a_broken_profile(make_job):
    output = {"status": "finished", "results": {"quantities": []}, "seconds": 1, "peak_memory_mb": 1, "version": "0"}
    job = make_job("iontherm.nemd", files={"output.json": json.dumps(output).encode(), "profile.npz": b"PK"})
    _, calculation = NemdParser.parse_from_node(job, store_provenance=False)
    assert calculation.exit_status == 340
