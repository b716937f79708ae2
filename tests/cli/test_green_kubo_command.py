"""The command ``iontherm green-kubo``."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.signal import lfilter

from aiida_iontherm.cli import main
from aiida_iontherm.physics.heat import cepstral
from aiida_iontherm.physics.units import HEAT_CURRENT_UNITS


def currents(seed, n=8000):
    rng = np.random.default_rng(seed)
    own, ion = lfilter([1], [1, -0.9], rng.normal(size=(2, n + 100, 3)), axis=1)[:, 100:]
    return own + 0.7 * ion, ion


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heat, ion = currents(0)
    np.savez("run.npz", heat=heat, cu=ion, convective=0.7 * ion, timestep_fs=2.0, temperature=500.0, volume=4000.0)
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["green-kubo", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def values(result):
    records = json.loads(result.stdout)["results"]
    return {(record["name"], record["direction"]): record["value"] for record in records}


def test_records_are_those_of_the_estimators(folder):
    columns = ["--heat", "heat", "--current", "cu", "--convective", "convective"]
    result = run("run.npz", *columns, "--axes", "xyz", "--json")
    report = json.loads(result.stdout)
    heat, ion = currents(0)
    expected = cepstral([heat, ion], 2.0, 500.0, 4000.0)
    found = values(result)
    assert found["kappa_cepstral", "average"] == pytest.approx(expected.value, rel=1e-12)
    assert report["cepstral"][0]["akaike_value"] == pytest.approx(expected.akaike_value, rel=1e-12)
    assert report["cepstral"][0]["degrees_of_freedom"] == 4
    assert found["kappa_onsager", "average"] == pytest.approx(expected.value, rel=0.3)  # both have errors of 10 %
    parts = ["kappa_virial", "kappa_convective", "kappa_virial_x_convective"]
    assert sum(found[part, "average"] for part in parts) == pytest.approx(found["kappa_green_kubo", "average"])
    assert report["figure"] == "green-kubo.png"
    assert (folder / "green-kubo.png").read_bytes()[:4] == b"\x89PNG"
    table = np.genfromtxt(folder / "green-kubo.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert set(table["curve"]) == {"spectrum", "integral"}


def test_table_for_people(folder):
    result = run("run.npz", "--heat", "heat", "-o", "out/gk.svg")
    assert "κ cepstral" in result.stdout
    assert "average" in result.stdout
    assert "where ions diffuse" in result.stderr  # cu is in the file and was not used
    assert (folder / "out" / "gk.svg").read_text().startswith("<?xml")
    assert (folder / "out" / "gk.csv").exists()


def test_text_units_and_replicas(folder):
    for number in range(2):
        heat, _ = currents(number)
        flux = heat / HEAT_CURRENT_UNITS["real"] / 4000.0
        np.savetxt(f"run{number}.txt", flux, header="Jx Jy Jz", fmt="%.12g")
    where = ["--timestep-fs", 2, "-T", 500, "--volume", 4000, "--axes", "xyz", "--json"]
    result = run("run0.txt", "run1.txt", "--units", "real", "--per-volume", *where)
    expected = cepstral([np.stack([currents(0)[0], currents(1)[0]])], 2.0, 500.0, 4000.0)
    # twelve digits were printed
    assert values(result)["kappa_cepstral", "average"] == pytest.approx(expected.value, rel=1e-9)
    assert json.loads(result.stdout)["cepstral"][0]["samples"] == 6
    shorter = run("run0.txt", "--discard-ps", 2, *where)
    assert json.loads(shorter.stdout)["samples"] == 7000


def test_units_agree():
    # 1 eV Angstrom/ps in each unit: 23.06 kcal/mol are 1 eV, the unit of time of ASE is 10.18 fs; and Hartree bohr per
    # atomic unit of time in eV Angstrom/ps
    one = {"metal": 1, "real": 23.060548e-3, "ase": 10.1805057e-3, "si": 1.602176634e-17, "eVA/fs": 1e-3}
    for unit, number in one.items():
        assert number * HEAT_CURRENT_UNITS[unit] == pytest.approx(1, rel=1e-6)
    assert HEAT_CURRENT_UNITS["atomic"] == pytest.approx(27.211386 * 0.52917721 / 0.024188843e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run.npz", "--heat", "het"], "did you mean heat"),
        (["run.npz", "--heat", "heat", "--axes", "xx"], "--axes"),
        (["run.npz", "--heat", "heat", "-o", "a.txt"], "--figure must end"),
        (["run.npz", "--heat", "heat", "--discard-ps", "100"], "nothing is left"),
        (["run.npz", "--heat", "heat", "-T", "-5"], "--temperature must be positive"),
        (["run.npz", "--heat", "heat", "--virial", "heat", "--convective", "cu"], "do not add up"),
        (["run.npz", "--heat", "heat", "--target", "0"], "must be positive"),
        (["plain.txt"], "--timestep-fs is needed"),
        (["nan.txt", "--timestep-fs", "1", "-T", "300", "--volume", "100"], "line 71"),
    ],
)
def test_errors_in_one_line(folder, arguments, message):
    heat, _ = currents(0, 200)
    np.savetxt("plain.txt", heat)
    heat[70, 1] = np.nan
    np.savetxt("nan.txt", heat)
    result = run(*arguments, code=1)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
