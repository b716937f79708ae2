"""``iontherm kappa`` on a folder in which ShengBTE or FourPhonon has run: nothing else is needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shengbte_crystal import MESH, force_constants, run

from aiida_iontherm.physics.lattice import Phonons, two_channel
from aiida_iontherm.tasks.crystal import phonopy_of
from aiida_iontherm.tasks.crystal_directory import find_third_order, load_crystal
from aiida_iontherm.tasks.shengbte_files import linewidth_arrays, read_rates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"temperatures": [200.0, 300.0], "mesh": list(MESH), "four_phonon": True, "isotopes": True}
    return run(tmp_path_factory.mktemp("run"), **settings)


def test_conductivity_of_its_linewidths(call: Any, folder: Path, tmp_path: Path) -> None:
    options = ["--linewidths", folder, "-T", "300", "--json", "-o", tmp_path / "out"]
    result = call("kappa", folder, *options)
    assert result.exit_code == 0, result.output
    assert "three phonons, four phonons, isotopes" in result.stderr
    found = {(q["name"], q["direction"]): q for q in json.loads(result.stdout)["results"]}
    phonopy = phonopy_of(force_constants())
    table = linewidth_arrays(read_rates(folder, [300.0]), phonopy, MESH)
    expected = two_channel(Phonons.from_phonopy(phonopy, MESH), table["gamma_thz"], [300.0])
    for i, axis in enumerate("xyz"):
        for channel in ("particle", "wave"):
            # velocity products in single precision; force constants went through 15 decimals
            value = getattr(expected, channel)[0, i, i]
            assert found[f"kappa_{channel}", axis]["value"] == pytest.approx(value, rel=1e-5)
    assert f"linewidths of ShengBTE in {folder.name} (RTA)" in found["kappa_total", "x"]["method"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--isotopes"], "isotopes are in these linewidths already"),
        (["--quantity", "rate", "--unit", "1/ps"], "are rates in 1/ps"),
        (["-T", "250"], "no linewidths at 250 K, only at 200, 300 K"),
    ],
)
def test_what_is_refused(options: list[str], words: str, call: Any, folder: Path, tmp_path: Path) -> None:
    kelvin = [] if "-T" in options else ["-T", "300"]
    result = call("kappa", folder, "--linewidths", folder, *kelvin, *options, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert words in result.stderr


def test_folder_without_rates(call: Any, folder: Path, tmp_path: Path) -> None:
    result = call("kappa", folder, "--linewidths", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "there is no BTE.qpoints" in result.stderr


def test_crystal_of_its_control(folder: Path) -> None:
    """Cell, supercell and masses are in CONTROL."""
    assert find_third_order(folder)
    crystal = load_crystal(folder, third=True)
    np.testing.assert_allclose(crystal.fc3, force_constants()["fc3_0"], atol=1e-12)  # 17 digits
    text = (folder / "CONTROL").read_text()
    heavy = folder.parent / "heavy"
    heavy.mkdir(exist_ok=True)
    (heavy / "FORCE_CONSTANTS_2ND").write_bytes((folder / "FORCE_CONSTANTS_2ND").read_bytes())
    (heavy / "CONTROL").write_text(text.replace("masses = 63.546 196.966569", "masses = 65.0 200.0"))
    assert heavy.joinpath("CONTROL").read_text() != text
    np.testing.assert_array_equal(load_crystal(heavy, third=False).primitive.masses, [65.0, 200.0])
    with pytest.raises(FileNotFoundError, match="no third order"):
        load_crystal(heavy, third=True)
    with pytest.raises(FileNotFoundError, match="no Born charges"):
        load_crystal(heavy, third=False, nac=True)
