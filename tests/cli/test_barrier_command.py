"""The command ``iontherm barrier`` on copper."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

FAST = ("--engine", "emt", "--supercell", "2,2,2", "--max-distance", "3", "--images", "1", "--fmax", "0.1")


@pytest.fixture(scope="module")
def copper(tmp_path_factory):
    path = tmp_path_factory.mktemp("crystal") / "cu.cif"
    ase.io.write(path, bulk("Cu", "fcc", a=3.59, cubic=True))
    return path


def test_barriers_as_records_and_as_a_table(call, copper, tmp_path):
    result = call("barrier", copper, *FAST, "--json", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["mobile"] == "Cu"
    (hop,) = record["barriers"]
    # measured 0.70 eV, and EMT is no better than a fifth
    assert hop["forward_ev"] == pytest.approx(0.70, rel=0.2)
    assert "no bond valences" in result.stderr
    written = (tmp_path / "run" / "output.json").stat().st_mtime_ns
    again = call("barrier", copper, *FAST, "-o", tmp_path / "run")
    assert again.exit_code == 0, again.output
    # what is done is not done again
    assert (tmp_path / "run" / "output.json").stat().st_mtime_ns == written
    assert "Cu-Cu_2.54" in again.stdout
    assert f"{hop['forward_ev']:.3f}" in again.stdout
    assert "image" in again.stdout


def test_the_list_of_hops(call, copper, tmp_path):
    table = call("barrier", copper, "--mobile", "Cu", "--list", "--max-distance", "3.6")
    assert table.exit_code == 0, table.output
    assert ["2.54" in table.stdout, "3.59" in table.stdout] == [True, True]
    records = json.loads(call("barrier", copper, "--list", "--max-distance", "3", "--empty", ".5,0,0", "--json").stdout)
    assert [(r["to_vacancy"], r["multiplicity"]) for r in records] == [(False, 24), (True, 24)]


def test_a_scan(call, copper, tmp_path):
    arguments = ("--engine", "emt", "--supercell", "2,2,2", "--direction", "1,0,0", "--amplitude", "0.3")
    result = call("barrier", copper, *arguments, "-o", tmp_path / "scan")
    assert result.exit_code == 0, result.output
    assert "[1 0 0]" in result.stdout
    assert "converged (1)" in result.stdout


def test_bond_valences_stand_in_the_table(call, tmp_path):
    """Rigid hop in a crystal of ions, moved by a potential without any training: only the valences mean something."""
    from ase.spacegroup import crystal

    from aiida_iontherm.physics.ions import bond_parameters, bond_valence_sums
    from aiida_iontherm.physics.mtp import MomentTensorPotential

    cell = crystal(["Cu", "I"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[6.0] * 3 + [90] * 3)
    ase.io.write(tmp_path / "cui.cif", cell)
    potential = MomentTensorPotential.new(level=4, species=["Cu", "I"], cutoff=4.5, radial_size=4)
    potential.write(tmp_path / "p.mtp")
    result = call(
        "barrier",
        tmp_path / "cui.cif",
        *("--potential", tmp_path / "p.mtp", "--species", "Cu,I", "--supercell", "2,2,2", "--rigid"),
        *("--from", "0,0,0", "--to", "0.5,0,0", "--images", "3", "-o", tmp_path / "run"),
    )
    assert result.exit_code == 0, result.output
    assert "v.u. →" in result.stdout
    assert "not an energy" in " ".join(result.stdout.split())
    line = np.linspace([0, 0, 0], [3.0, 0, 0], 5)
    crystal_ = cell.repeat(2)
    parameters = bond_parameters("Cu", {"Cu": 1, "I": -1})
    sums = bond_valence_sums(line, crystal_.positions, crystal_.get_chemical_symbols(), crystal_.cell.array, parameters)
    for value in sums:
        assert f"{value:.3f}" in result.stdout


def test_bad_input(call, copper, tmp_path):
    def message(*arguments):
        result = call("barrier", *arguments)
        assert result.exit_code == 1, result.output
        line = result.stderr.strip().splitlines()[-1]
        assert line.startswith("Error: ")
        return line

    assert "--engine or a --potential" in message(copper)
    assert "belong together" in message(copper, "--engine", "emt", "--from", "0,0,0")
    assert "three numbers" in message(copper, "--engine", "emt", "--from", "0,0", "--to", "1,0,0")
    assert "three positive whole" in message(copper, "--engine", "emt", "--supercell", "2,2,0.5")
    assert "--charge needs" in message(copper, "--engine", "emt", "--charge", "Cu")
    assert "nearest sites are 2.54 apart" in message(
        copper, "--engine", "emt", "--max-distance", "2", "-o", tmp_path / "short"
    )
    assert "did you mean emt?" in message(copper, "--engine", "ent", "-o", tmp_path / "engine")
    assert "no Ag in Cu4" in message(copper, "--mobile", "Ag", "--engine", "emt", "-o", tmp_path / "silver")
    assert "another crystal" in message(copper, "--engine", "emt", "-o", tmp_path / "short")
    gold = tmp_path / "au.cif"
    ase.io.write(gold, Atoms("Au", cell=[3.0, 3.0, 3.0], pbc=True))
    assert "name one with --mobile" in message(gold, "--engine", "emt")
    (tmp_path / "notes.xyz").write_text("nothing\n")
    assert "ASE can read" in message(
        copper, "--engine", "emt", "--path", tmp_path / "notes.xyz", "-o", tmp_path / "path"
    )
