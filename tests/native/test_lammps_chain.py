"""Chains whose atoms are moved by LAMMPS: the records are those of our own loop, and mistakes are told beforehand."""

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.orm import Computer, Dict, InstalledCode, StructureData
from pair_argon import argon, pair_argon
from soft_crystal import SPECIES, cubic_crystal, soft_potential

from aiida_iontherm.data import PotentialData
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain, program_problem
from aiida_iontherm.workchains.green_kubo import GreenKuboWorkChain
from aiida_iontherm.workchains.nemd import NemdWorkChain

RANKS = 2


@pytest.fixture(scope="module")
def computer(aiida_profile, installed_lammps, tmp_path_factory):
    """This machine with the mpiexec of LAMMPS."""
    computer = Computer(
        label="ranks",
        hostname="localhost",
        transport_type="core.local",
        scheduler_type="core.direct",
        workdir=str(tmp_path_factory.mktemp("scratch")),
    )
    computer.set_mpirun_command([str(installed_lammps.mpiexec), "-n", "{tot_num_mpiprocs}"])
    computer.set_minimum_job_poll_interval(0.2)
    computer.set_default_mpiprocs_per_machine(1)
    computer.store()
    computer.configure(safe_interval=0, use_login_shell=False)
    return computer


@pytest.fixture(scope="module")
def tasks(computer):
    executable = Path(sys.executable).with_name("iontherm-task")
    return InstalledCode(label="tasks", computer=computer, filepath_executable=str(executable)).store()


@pytest.fixture(scope="module")
def lmp(computer, installed_lammps):
    return InstalledCode(
        label="lmp",
        computer=computer,
        filepath_executable=str(installed_lammps.lmp),
        prepend_text=f"export LD_LIBRARY_PATH={installed_lammps.library}",
    ).store()


@pytest.fixture(scope="module")
def crystal(aiida_profile):
    atoms = cubic_crystal()
    atoms.set_cell(np.diag([5.7, 5.7, 5.6]), scale_atoms=True)
    return StructureData(ase=atoms)


@pytest.fixture(scope="module")
def potential(aiida_profile, tmp_path_factory):
    path = tmp_path_factory.mktemp("soft") / "p.mtp"
    soft_potential(level=6).write(path)
    return PotentialData(path, species=SPECIES)


GREEN_KUBO = {
    "temperature": 300.0,
    "mobile": "Cu",
    "min_extent": 34.0,
    "max_atoms": 1100,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.0,
    "production_ps": 1.2,
    "current_interval_fs": 4.0,
    "runs": 1,
    "target_error": 0.0,
    "axes": "x,y,z",
}


@pytest.mark.slow
def test_conductivity_of_a_thousand_atoms_on_two_ranks(run_process, tasks, lmp, plugin, crystal, potential):
    """Without a bath both programs follow the same atoms for a picosecond: all that is made of them is the same."""
    inputs = {"code": tasks, "structure": crystal, "potential": potential}
    ours = run_process(GreenKuboWorkChain, settings=Dict(GREEN_KUBO), **inputs)
    theirs = run_process(
        GreenKuboWorkChain,
        settings=Dict(GREEN_KUBO | {"program": "lammps", "code": lmp.full_label, "lammps": {"plugin": str(plugin)}}),
        options=Dict({"tasks": {"lammps": {"cpus": RANKS}}}),
        **inputs,
    )
    assert ours.is_finished_ok, ours.exit_message
    assert theirs.is_finished_ok, theirs.exit_message
    (job,) = (node for node in theirs.called_descendants if node.process_label == "LammpsMdCalculation")
    figures = job.outputs.output_parameters.get_dict()
    assert figures["atoms"] == 1008
    assert figures["program"].startswith("LAMMPS ")
    assert "1 by 1 by 2 MPI processor grid" in job.outputs.retrieved.base.repository.get_object_content("log.lammps")
    one, other = ours.outputs.currents.run_0, theirs.outputs.currents.run_0
    with one.open(mode="rb") as stream, np.load(stream) as archive:
        expected = dict(archive)
    with other.open(mode="rb") as stream, np.load(stream) as archive:
        found = dict(archive)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        # See tests/native/test_lammps_runs.py.
        np.testing.assert_allclose(found[name], values, atol=1e-5 * np.abs(values).max(), rtol=0, err_msg=name)
    pairs = list(zip(ours.outputs.result.quantities, theirs.outputs.result.quantities, strict=True))
    assert {quantity.name for quantity, _ in pairs} >= {"kappa_cepstral", "kappa_onsager", "kappa_green_kubo"}
    for mine, its in pairs:
        assert (its.name, its.direction, its.converged) == (mine.name, mine.direction, mine.converged)
        # What is left of the difference where parts of the currents cancel.
        assert its.value == pytest.approx(mine.value, rel=1e-3), mine.name


NEMD = {
    "lengths": [12],
    "cross_section": [2, 2],
    "temperature": 30.0,
    "timestep_fs": 10.0,
    "equilibration_ps": 0.0,
    "production_ps": 4.0,
    "profile_interval_fs": 100.0,
    "power_ev_per_ps": 0.02,
}


@pytest.mark.slow
def test_heat_exchange(run_process, tasks, lmp, plugin, tmp_path):
    """From the same start velocities, for so short a time that both programs follow the same atoms."""
    pair_argon().write(tmp_path / "ar.mtp")
    pairs = PotentialData(tmp_path / "ar.mtp", species=["Ar"])
    inputs = {"code": tasks, "structure": StructureData(ase=argon()), "potential": pairs}
    ours = run_process(NemdWorkChain, settings=Dict(NEMD), **inputs)
    by_lammps = {"program": "lammps", "code": lmp.full_label, "lammps": {"plugin": str(plugin)}}
    theirs = run_process(NemdWorkChain, settings=Dict(NEMD | by_lammps), **inputs)
    assert ours.is_finished_ok, ours.exit_message
    assert theirs.is_finished_ok, theirs.exit_message
    jobs = [node for node in theirs.called_descendants if node.process_label == "LammpsNemdCalculation"]
    (script,) = (job.outputs.retrieved.base.repository.get_object_content("in.lammps") for job in jobs)
    assert "fix heat free ehex 1 0.02 region hot" in script
    expected, found = (node.outputs.profiles.length_12.get_array("profile")[..., 1] for node in (ours, theirs))
    # See tests/native/test_lammps_nemd.py, with twice the timestep and so twice the heat of half a step.
    np.testing.assert_allclose(found, expected, atol=4e-4, rtol=0)
    assert theirs.outputs.figures.length_12["program"].startswith("LAMMPS ")
    pairs = list(zip(ours.outputs.result.quantities, theirs.outputs.result.quantities, strict=True))
    assert [mine.name for mine, _ in pairs].count("kappa_nemd_finite") == 1
    for mine, its in pairs:
        assert (its.name, its.direction, its.converged) == (mine.name, mine.direction, mine.converged)


@pytest.fixture
def hasty_lmp(computer, installed_lammps, tmp_path):
    """LAMMPS whose first run in a chain believes after one block that its time is over."""
    script = tmp_path / "lmp"
    script.write_text(
        "#!/bin/sh\n"
        "test -d before || sed -i 's/{clock} > [0-9.]*/{clock} > 0/' in.lammps\n"
        f'exec {installed_lammps.lmp} "$@"\n'
    )
    script.chmod(0o755)
    return InstalledCode(
        label="hasty",
        computer=computer,
        filepath_executable=str(script),
        prepend_text=f"export LD_LIBRARY_PATH={installed_lammps.library}",
    ).store()


@pytest.mark.slow
def test_run_that_goes_on_after_the_wall_time(run_process, tasks, hasty_lmp, plugin, crystal, potential):
    settings = {
        "temperature": 300.0,
        "mobile": "Cu",
        "supercell": [3, 3, 3],
        "timestep_fs": 2.0,
        "equilibration_ps": 0.4,
        "production_ps": 0.8,
        "position_interval_fs": 40.0,
        "snapshots": 0,
        "program": "lammps",
        "code": hasty_lmp.full_label,
        "lammps": {"plugin": str(plugin)},
    }
    node = run_process(
        DynamicsWorkChain,
        code=tasks,
        structure=crystal,
        potential=potential,
        settings=Dict(settings),
        options=Dict({"max_wallclock_seconds": 3600}),
    )
    assert node.is_finished_ok, node.exit_message
    jobs = sorted(node.called, key=lambda job: job.pk)
    assert [job.exit_status for job in jobs] == [310, 0]
    assert "from block 1 of 3" in jobs[1].outputs.retrieved.base.repository.get_object_content("in.lammps")
    assert node.outputs.output_parameters["production_ps"] == pytest.approx(0.8)
    assert node.outputs.output_parameters["frames"] == 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": None}, "name its code, dynamics.code: LABEL@COMPUTER"),
        ({"code": "lmp@nowhere"}, "there is no code lmp@nowhere in this profile"),
        ({"code": "TASKS"}, "is a code for iontherm.md, not LAMMPS"),
        ({"code": "GONE"}, "is /no/where/lmp, and there is no such file"),
        ({"program": "gromacs"}, "there is no program gromacs"),
        ({"program": "native"}, "is for `program: lammps`, leave it out"),
        ({"lammps": {"plugin": "/no/where/iontherm_mtp.so"}}, "there is no /no/where/iontherm_mtp.so: `make lammps-"),
        ({"lammps": {"pai": "mlip-2"}}, "dynamics.lammps: unknown key pai"),
        ({"grade_interval": 10}, "dynamics.grade_interval: frames are graded with program = native"),
        ({"current_interval_fs": 4.0, "lammps": {"pair": "mlip-2"}}, "no centroid virials"),
    ],
)
def test_what_is_told_before_anything_runs(changes, words, lmp, computer):
    codes = {}
    for label, path, kind in (("TASKS", sys.executable, "iontherm.md"), ("GONE", "/no/where/lmp", None)):
        code = InstalledCode(
            label=f"{label}-{changes.get('code')}",
            computer=computer,
            filepath_executable=path,
            default_calc_job_plugin=kind,
        )
        codes[label] = code.store().full_label if changes.get("code") == label else label
    settings = {"program": "lammps", "code": lmp.full_label} | changes
    settings["code"] = codes.get(settings["code"], settings["code"])
    assert words in program_problem(settings)


def test_what_can_be_moved(lmp, plugin):
    assert program_problem({"program": "lammps", "code": lmp.full_label, "lammps": {"plugin": str(plugin)}}) is None
    assert program_problem({}) is None


def test_conductivity_needs_the_pair_style_that_tells_a_heat_current(run_process, tasks, lmp, crystal, potential):
    settings = GREEN_KUBO | {"program": "lammps", "code": lmp.full_label, "lammps": {"pair": "mlip-3"}}
    with pytest.raises(ValueError, match="no centroid virials"):
        run_process(GreenKuboWorkChain, code=tasks, structure=crystal, potential=potential, settings=Dict(settings))
