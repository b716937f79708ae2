"""The commands iontherm nemd and iontherm nemd-profiles on argon of nearest neighbours."""

import csv
import json

import ase.io
import pytest
from pair_argon import argon, pair_argon

RUN = (
    *("--species", "Ar", "-T", "30", "--cross", "2,2", "--timestep-fs", "10", "--power", "0.02"),
    *("--equilibration", "1", "--production", "6"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("argon")
    pair_argon().write(folder / "ar.mtp")
    ase.io.write(folder / "ar.cif", argon())
    return folder


@pytest.fixture(scope="module")
def finished(files):
    """Two lengths, run once."""
    from click.testing import CliRunner

    from aiida_iontherm.cli import main

    arguments = ["nemd", files / "ar.mtp", files / "ar.cif", *RUN, "--length", "16", "--length", "12"]
    arguments += ["-o", files / "run", "--json"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_records(finished, files):
    lengths = [cell["length_angstrom"] for cell in finished["cells"]]
    assert lengths == pytest.approx([6 * 5.15, 8 * 5.15])
    names = [record["name"] for record in finished["results"]]
    assert names[:2] == ["kappa_nemd_finite"] * 2
    assert "3 or more are needed" in json.dumps(finished) or finished["extrapolation"] is None
    assert finished["folder"] == str(files / "run")
    assert not any(record["converged"] for record in finished["results"])


def test_the_same_again_is_read(finished, files, call):
    outputs = [files / "run" / f"length-{n}" / "output.json" for n in (12, 16)]
    before = [path.stat().st_mtime_ns for path in outputs]
    arguments = ("nemd", files / "ar.mtp", files / "ar.cif", *RUN, "--length", "12", "--length", "16")
    again = call(*arguments, "-o", files / "run", "--plot", files / "nemd.png")
    assert again.exit_code == 0, again.output
    assert [path.stat().st_mtime_ns for path in outputs] == before
    assert "κ nemd finite" in again.stdout
    assert "middle/reservoirs" in again.stdout
    assert (files / "nemd.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((files / "nemd.csv").read_text().splitlines()))
    assert len(rows) == 12 + 16
    assert sum(row["fitted"] == "1" for row in rows) == 2 * (3 + 5)


def test_profiles_alone(finished, files, call):
    paths = [files / "run" / f"length-{n}" / "profile.npz" for n in (12, 16)]
    record = json.loads(call("nemd-profiles", *paths, "--json").stdout)
    assert record["cells"] == finished["cells"]
    one = call("nemd-profiles", paths[0], "--plot", files / "one.svg")
    assert one.exit_code == 0, one.output
    assert "<svg" in (files / "one.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cross", "4"), "--cross needs two positive whole numbers"),
        (("--plot", "p.txt"), "--plot must end in"),
        (("-T", "40"), "holds another run"),
    ],
)
def test_refused(arguments, words, finished, files, call):
    result = call("nemd", files / "ar.mtp", files / "ar.cif", *RUN, "--length", "12", "-o", files / "run", *arguments)
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())


def test_the_message_of_the_task(files, call):
    result = call("nemd", files / "ar.mtp", files / "ar.cif", *RUN, "--length", "2", "-o", files / "short")
    assert result.exit_code == 1
    assert "too few for 12 slabs" in result.output


def test_not_a_profile(files, call):
    result = call("nemd-profiles", files / "ar.cif")
    assert result.exit_code == 1
    assert "not a complete .npz archive" in result.output
