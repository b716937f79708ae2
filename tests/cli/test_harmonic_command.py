"""``iontherm harmonic`` over real folders, one of them bad."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aiida_iontherm.cli import main

GOOD = ("mp-22895", "mp-985582")
"""CuI, stable, and cubic Li6PS5I, which is not."""


@pytest.fixture(scope="module")
def data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in GOOD:
        shutil.copytree(shared_data / "phonondb" / name, root / name)
    shutil.copytree(root / GOOD[0], root / "bad")
    (root / "bad" / "FORCE_SETS").unlink()
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("campaign")


def call(data: Path, out: Path, *options: str, names: tuple[str, ...] = (*GOOD, "bad")) -> Result:
    folders = [str(data / name) for name in names]
    return CliRunner().invoke(main, ["harmonic", *folders, "-o", str(out / "results"), "--mesh", "3,3,3", *options])


@pytest.fixture(scope="module")
def first(data: Path, out: Path) -> Result:
    return call(data, out, "--csv", str(out / "table.csv"), "--dos", str(out / "dos"), "--jobs", "2")


def test_goes_on_past_a_bad_folder_and_says_so(first: Result, data: Path) -> None:
    assert first.exit_code == 1
    assert f"failed: {data / 'bad'}: bad holds a cell but no forces or force constants" in first.stderr
    assert "1 of 3 folders failed" in first.stderr
    assert "[3/3]" in first.stderr
    assert "Traceback" not in first.output
    rows = {line.split()[0]: line.split() for line in first.stdout.splitlines() if line.strip().startswith("mp-")}
    assert rows["mp-22895"][1] == "CuI"
    assert rows["mp-22895"][-1] == "stable"
    assert rows["mp-985582"][-1] == "unstable*"
    assert "-" in rows["mp-985582"]  # no heat capacity of an unstable crystal
    assert "without Born charges" in first.stdout


def test_what_is_done_is_not_done_again(first: Result, data: Path, out: Path) -> None:
    written = {name: (out / "results" / name / "output.json").stat().st_mtime_ns for name in GOOD}
    again = call(data, out, "--json", names=GOOD)
    assert again.exit_code == 0, again.output
    assert "2 of 2 were done before" in again.stderr
    assert {name: (out / "results" / name / "output.json").stat().st_mtime_ns for name in GOOD} == written
    report = json.loads(again.stdout)
    assert report["failed"] == []
    copper, lithium = report["results"]
    assert copper["name"] == "mp-22895"
    assert copper["mesh"] == [3, 3, 3]
    assert copper["summary"]["trusted"]
    # the three modes at Gamma of the 162 are left out of 3R
    assert 23.5 < copper["summary"]["heat_capacity"] < 24.94
    assert lithium["summary"]["heat_capacity"] is None
    assert "imaginary" in lithium["summary"]["reasons"]["heat_capacity"]
    assert any("no Born charges" in remark for remark in lithium["remarks"])


def test_other_settings_or_newer_data_are_computed(first: Result, data: Path, out: Path) -> None:
    name = GOOD[0]
    output = out / "results" / name / "output.json"
    assert call(data, out, "--no-nac", "--json", names=(name,)).exit_code == 0
    assert json.loads(output.read_text())["results"]["summary"]["nac"] is False
    written = output.stat().st_mtime_ns
    (data / name / "phonopy.conf").touch()
    again = call(data, out, "--no-nac", "--json", names=(name,))
    assert "done before" not in again.stderr
    assert output.stat().st_mtime_ns > written


def test_table_and_pictures(first: Result, out: Path) -> None:
    with (out / "table.csv").open() as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert list(rows) == list(GOOD)
    assert float(rows["mp-22895"]["heat_capacity"]) > 23.5
    assert rows["mp-985582"]["heat_capacity"] == ""
    assert float(rows["mp-22895"]["average_frequency_Cu_thz"]) > 0
    assert "Cu 3a <f>=" in rows["mp-22895"]["sites"]
    species = {"mp-22895": ["Cu", "I"], "mp-985582": ["Li", "P", "S", "I"]}
    for name in GOOD:
        assert (out / "dos" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        with (out / "dos" / f"{name}.csv").open() as stream:
            columns = next(csv.reader(stream))
        assert columns[0] == "frequency_THz"
        assert columns[1 : 1 + len(species[name])] == [f"{symbol}_states_per_THz" for symbol in species[name]]


def test_a_process_that_dies_is_one_failure(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the system had killed it for its memory."""
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\nkill -9 $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    result = call(data, tmp_path, names=GOOD[:1])
    assert result.exit_code == 1
    assert "its process ended with code -9" in result.stderr
    assert "1 of 1 folders failed" in result.stderr


def test_folders_of_the_same_name(data: Path, tmp_path: Path) -> None:
    from aiida_iontherm.cli.harmonic import _names

    other = tmp_path / "elsewhere" / GOOD[0]
    other.mkdir(parents=True)
    names = _names([data / GOOD[0], other, data / GOOD[1]])
    assert len(set(names)) == 3
    assert names[2] == GOOD[1]
    assert all(name.startswith(GOOD[0] + "-") for name in names[:2])
    with pytest.raises(ValueError, match="is given twice"):
        _names([other, tmp_path / "elsewhere" / ".." / "elsewhere" / GOOD[0]])


@pytest.mark.parametrize("mesh", ["a", "1,2", "2,2,2.5", "-3", "0,1,1", "nan", "inf"])
def test_meshes_that_are_refused(mesh: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["harmonic", str(tmp_path), "--mesh", mesh, "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "--mesh needs" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["harmonic", str(tmp_path / "none"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "there is no folder" in result.stderr
