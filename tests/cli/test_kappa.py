"""The command ``iontherm kappa`` on folders of phonopy and phono3py."""

import json
import shutil

import h5py
import numpy as np
import pytest

from aiida_iontherm.physics.lattice import Phonons, two_channel, umklapp_and_proportional
from aiida_iontherm.tasks.phonopy_directory import load_phonopy_directory

MODEL = "3e-17,20,0.005"


@pytest.fixture(scope="module")
def cucl(shared_data):
    return shared_data / "phonondb" / "mp-22914"


@pytest.fixture(scope="module")
def expected(cucl):
    phonons = Phonons.from_phonopy(load_phonopy_directory(cucl), (5, 5, 5))
    gamma = umklapp_and_proportional(3e-17, 20.0, 0.005).gamma_thz(phonons.frequencies_thz, [300.0])
    return phonons, gamma, two_channel(phonons, gamma, [300.0])


def run(call, *arguments):
    result = call("kappa", *arguments)
    assert result.exit_code == 0, result.output
    return result


def records(result):
    return {(q["name"], q["direction"], q["temperature"]): q for q in json.loads(result.stdout)["results"]}


def test_model(call, cucl, expected, tmp_path):
    output = tmp_path / "out"
    options = [cucl, "--model", MODEL, "--mesh", "5,5,5", "--coarse-mesh", "4,4,4", "-o", output]
    found = records(run(call, *options, "--json"))
    total = found["kappa_total", "x", 300.0]
    # velocity products are stored in single precision
    assert total["value"] == pytest.approx(expected[2].total[0, 0, 0], rel=1e-5)
    assert total["uncertainty"] > 0
    assert "analytic linewidths" in total["method"]
    assert (output / "report.html").exists()
    assert "Only three-phonon" not in (output / "report.html").read_text()
    # Given again, it takes what is there.
    before = (output / "phonons.npz").stat().st_mtime_ns
    again = run(call, *options)
    assert "κ wave-like" in again.stdout
    assert (output / "phonons.npz").stat().st_mtime_ns == before
    # Other settings do not overwrite it.
    other = call("kappa", cucl, "--model", MODEL, "--mesh", "6,6,6", "-o", output)
    assert other.exit_code == 1
    assert "name another folder" in other.stderr


def test_table_of_phono3py_and_classical_heat_capacity(call, cucl, expected, tmp_path):
    phonons, gamma, _ = expected
    with h5py.File(tmp_path / "kappa-m555.hdf5", "w") as file:
        file["gamma"], file["qpoint"], file["frequency"] = gamma, phonons.qpoints, phonons.frequencies_thz
        file["temperature"], file["mesh"] = np.array([300.0]), np.array([5, 5, 5])
    options = ["--linewidths", tmp_path / "kappa-m555.hdf5", "--classical", "--json", "-o", tmp_path / "out"]
    total = records(run(call, cucl, *options))["kappa_total", "x", 300.0]
    assert total["value"] == pytest.approx(
        two_channel(phonons, gamma, [300.0], statistics="classical").total[0, 0, 0], rel=1e-5
    )
    assert not total["converged"]
    assert "one mesh only" in total["reason"]


@pytest.mark.slow
def test_third_order_goes_on_where_it_was_stopped(shell, shared_data, tmp_path):
    """Silicon of phono3py's example: 119.7 W/(m K) on 9 x 9 x 9; here a coarse mesh, stopped once by Ctrl-C."""
    import signal
    import time

    folder = tmp_path / "silicon"
    arguments = (
        "iontherm",
        "kappa",
        shared_data / "force_sets" / "Si-PBE",
        "--mesh",
        "5,5,5",
        "--coarse-mesh",
        "3,3,3",
        "--json",
        "-o",
        folder,
    )
    process = shell.start(*arguments)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        (folder / "progress.jsonl").exists() and (folder / "progress.jsonl").read_text().count("\n") >= 1
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "run the task again" in errors
    points = (folder / "progress.jsonl").read_text().count("\n")
    process = shell.start(*arguments)
    text, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    # 10 irreducible points of the mesh and 4 of the coarse one, none twice
    assert points < (folder / "progress.jsonl").read_text().count("\n") == 14
    total = {q["name"]: q for q in json.loads(text)["results"] if q["direction"] == "average"}["kappa_total"]
    # far from converged with the mesh, and the error bar says so
    assert total["value"] == pytest.approx(120, rel=0.5)
    assert not total["converged"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "holds no third-order force constants"),
        (["--model", "1,2"], "--model needs 3 numbers"),
        (["--model", "0,0,0"], "needs c1 or a"),
        (["--model", MODEL, "--mesh", "4,4,0"], "positive whole divisions"),
        (["--model", MODEL, "--mesh", "fine"], "--mesh needs 1 numbers"),
        (["--model", MODEL, "-T", "0"], "greater than 0"),
    ],
)
def test_what_is_refused(call, cucl, tmp_path, options, words):
    result = call("kappa", cucl, *options, "-o", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert words in result.stderr


def test_folder_with_nothing_in_it(call, tmp_path):
    result = call("kappa", tmp_path, "--model", MODEL, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "holds no cell to read" in result.stderr


def test_missing_charges_are_asked_for(call, cucl, tmp_path):
    shutil.copytree(cucl, tmp_path / "bare", ignore=shutil.ignore_patterns("BORN"))
    result = call("kappa", tmp_path / "bare", "--model", MODEL, "--nac", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "BORN" in result.stderr
