"""The command ``iontherm linewidths``, from a run of the task md to the conductivity."""

import json

import numpy as np
import pytest
from ase import Atoms
from damped_crystal import emt_crystal

from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.files import read_npz, write_structures
from aiida_iontherm.tasks.linewidth_files import read_linewidths
from aiida_iontherm.tasks.registry import TASKS


@pytest.fixture(scope="module")
def crystal_folder(cuau_cell, tmp_path_factory):
    """CuAu by EMT, as phonopy leaves it."""
    folder = tmp_path_factory.mktemp("cuau")
    emt_crystal(cuau_cell, np.diag([3, 3, 3])).save(folder / "phonopy_params.yaml", settings={"force_constants": True})
    return folder


@pytest.fixture(scope="module")
def velocities(cuau_cell, tmp_path_factory):
    """16 atoms at 300 K with EMT for 6 ps: enough for some lines, too little for numbers."""
    folder = tmp_path_factory.mktemp("md")
    write_structures(folder / "structure.extxyz", [cuau_cell])
    task_input = {
        "engine": "emt",
        "supercell": [2, 2, 2],
        "temperature": 300.0,
        "timestep_fs": 8.0,
        "equilibration_ps": 1.0,
        "production_ps": 6.0,
        "snapshots": 10,
        "store_velocities": True,
        "seed": 1,
    }
    (folder / "input.json").write_text(json.dumps(task_input))
    assert run_task("md", TASKS["md"][0], folder) == 0
    return folder / "velocities.npz"


def test_velocities_of_the_task(velocities):
    arrays = read_npz(velocities)
    frames = len(arrays["velocities"])
    assert 750 <= frames < 800  # production is rounded up to whole blocks
    assert arrays["velocities"].shape == (frames, 16, 3)
    assert arrays["velocities"].dtype == np.float32
    assert arrays["frame_interval_fs"] == 8.0
    # kinetic temperature in Angstrom/ps and amu
    masses = Atoms(numbers=arrays["numbers"]).get_masses()
    kinetic = np.einsum("fia,i->", arrays["velocities"].astype(float) ** 2, masses) * 1.0364269e-4
    assert kinetic / (frames * 45 * 8.617333e-5) == pytest.approx(300, rel=0.25)  # a small cell at constant energy


def test_from_the_run_to_the_conductivity(call, crystal_folder, velocities, tmp_path):
    table = tmp_path / "linewidths.hdf5"
    result = call("linewidths", crystal_folder, velocities, "-T", 300, "-o", table)
    assert result.exit_code == 0, result.output
    for words in ("1 of 6.", "6 irreducible of 8, mesh 2 x 2 x 2", "33: ", "median γ", "chi-squared", str(table)):
        assert words in result.stdout
    arrays = read_linewidths(table)
    assert arrays["temperatures"].tolist() == [300.0]
    assert arrays["gamma_thz"].shape == (1, 6, 6)
    assert np.count_nonzero(arrays["gamma_thz"] == 0) == 3
    options = [crystal_folder, "--linewidths", table, "-T", 300, "--classical", "--json", "-o", tmp_path / "kappa"]
    kappa = call("kappa", *options)
    assert kappa.exit_code == 0, kappa.output
    total = next(q for q in json.loads(kappa.stdout)["results"] if q["name"] == "kappa_total")
    assert total["value"] > 0
    assert json.loads((tmp_path / "kappa" / "output.json").read_text())["results"]["mesh"] == [2, 2, 2]


def test_json_and_two_runs(call, crystal_folder, velocities, tmp_path):
    options = ["-T", 300, "--discard", 1, "-o", tmp_path / "a" / "table.npz", "--json"]
    result = call("linewidths", crystal_folder, velocities, velocities, *options)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["results"]["run_time_ps"] == pytest.approx(0.008 * (len(read_npz(velocities)["velocities"]) - 125))
    assert record["results"]["resolved"] + record["results"]["unresolved"] > 0.5
    assert (tmp_path / "a" / "table.npz").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["-T", "600"], "not 600 K"),
        (["-T", "-1"], "temperature must be positive"),
        (["--interval", "4"], "8 fs apart, not 4 fs"),
        (["--discard", "5.5"], "too short"),
        (["--discard", "20"], "nothing is left"),
        (["-o", "table.txt"], "must end in .hdf5 or .npz"),
        (["--supercell", "2,2"], "three positive whole divisions"),
        (["--nac"], "BORN"),
    ],
)
def test_what_is_refused(call, crystal_folder, velocities, tmp_path, change, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("linewidths", crystal_folder, velocities, "-T", "300", *change)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_temperature_is_needed(call, crystal_folder, velocities):
    result = call("linewidths", crystal_folder, velocities)
    assert result.exit_code == 2
    assert "--temperature" in result.stderr


def test_another_crystal(call, crystal_folder, velocities, tmp_path):
    arrays = read_npz(velocities)
    exchanged = arrays["numbers"].copy()
    exchanged[[np.argmax(exchanged == 29), np.argmax(exchanged == 79)]] = 79, 29
    for change, words in (
        ({"cell": arrays["cell"] * 1.1, "positions": arrays["positions"] * 1.1}, "does not fit the crystal"),
        ({"numbers": exchanged}, "one by one"),
    ):
        np.savez(tmp_path / "other.npz", **(arrays | change))
        result = call("linewidths", crystal_folder, tmp_path / "other.npz", "-T", 300, "-o", tmp_path / "table.npz")
        assert result.exit_code == 1
        assert words in result.stderr
