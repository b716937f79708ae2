"""The command ``iontherm structure-factor``, from files of several programs."""

import json
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm.tasks.files import read_npz
from aiida_iontherm.tasks.position_files import open_positions

OPTIONS = ["--path", "1,0,0 2,0,0", "--cells", "2,2,2", "--resolution", "3"]


@pytest.fixture(scope="module")
def atoms():
    """2 x 2 x 2 cells of CsCl with atoms of iodine and copper."""
    cell = Atoms("ICu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=3.0 * np.eye(3), pbc=True)
    return cell.repeat((2, 2, 2))


@pytest.fixture(scope="module")
def frames(atoms):
    """Einstein oscillators of 2 THz, 8.27 meV, damped in 1 ps [500, 16, 3]."""
    rng = np.random.default_rng(1)
    step, swing = np.exp((-1.0 + 2j * np.pi * 2.0) * 0.02), np.zeros((16, 3), complex)
    rows = []
    for _ in range(700):
        swing = swing * step + 0.02 * (rng.normal(size=(16, 3)) + 1j * rng.normal(size=(16, 3)))
        rows.append(atoms.positions + swing.real)
    return np.array(rows[200:])


@pytest.fixture(scope="module")
def archive(atoms, frames, tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / "run.npz"
    np.savez(file, positions=frames, cell=atoms.cell.array, numbers=atoms.numbers, frame_interval_fs=20.0)
    return file


def test_table_arrays_and_pictures(call, archive, tmp_path):
    npz, figure = tmp_path / "out" / "map.npz", tmp_path / "out" / "map.png"
    fit = ["--lines", 1, "--fit-range", "5,30", "--npz", npz, "--figure", figure, "-T", 300]
    result = call("structure-factor", archive, *OPTIONS, *fit)
    assert result.exit_code == 0, result.output
    for words in ("1 run, 10 ps: resolution 3 meV", "(1.5 0 0)", "fm^2/meV", "E0", str(npz), "map-lines.png"):
        assert words in result.stdout
    assert "MB of memory" in result.stderr
    for file in (figure, tmp_path / "out" / "map-lines.png"):
        picture = file.read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
    arrays = read_npz(npz)
    assert arrays["points_hkl"].tolist() == [[1, 0, 0], [1.5, 0, 0], [2, 0, 0]]
    energies, values = arrays["energies_mev"], arrays["coherent"]
    assert energies[0] == -energies[-1]
    # detailed balance at 300 K
    np.testing.assert_allclose(values[:, 0] / values[:, -1], np.exp(-energies[-1] / (0.0861733 * 300)), rtol=1e-4)
    assert arrays["partial_Cu_I"].shape == (3, len(arrays["classical_energies_mev"]))
    # between Bragg peaks the oscillators are highest
    near = energies > 4
    assert energies[near][np.argmax(values[1, near])] == pytest.approx(8.27, abs=1.0)


def test_json_incoherent_and_two_runs(call, archive, tmp_path):
    npz = tmp_path / "map.npz"
    fit = ["--lines", 1, "--fit-range", "4,40"]
    result = call("structure-factor", archive, archive, *OPTIONS, "--incoherent", "--npz", npz, "--json", *fit)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["time_ps"] == 20
    assert record["pairs"] == ["Cu-Cu", "Cu-I", "I-I"]
    assert record["unit"] == "fm^2"
    # Bragg peaks: (1 0 0) has the difference of the scattering lengths, (2 0 0) the sum
    weak, _, strong = (point["static"] for point in record["points"])
    assert weak / strong == pytest.approx(((7.72 - 5.28) / (7.72 + 5.28)) ** 2, rel=0.3)
    assert record["points"][1]["fit"]["lines"][0]["energy_mev"] == pytest.approx(8.27, abs=1.5)
    arrays = read_npz(npz)
    assert arrays["incoherent"].shape == arrays["coherent"].shape
    # sum rule: mean of b_inc^2 of copper and iodine, 0.55 and 0.31 barn over 4 pi
    total = arrays["incoherent"].sum(axis=1) * 2 - arrays["incoherent"][:, 0] - arrays["incoherent"][:, -1]
    expected = (0.597 + 0.314) / 2 * 100 / (4 * np.pi)
    np.testing.assert_allclose(total * arrays["energies_mev"][1], expected, rtol=2e-3)


@pytest.mark.parametrize("kind", ["extxyz", "traj", "lammps", "snapshots"])
def test_all_files_give_the_same(call, archive, atoms, frames, tmp_path, kind):
    shuffled = [Atoms(atoms.numbers, positions=row, cell=atoms.cell, pbc=True) for row in frames]
    extra = ["--interval", 20]
    if kind == "lammps":
        file = tmp_path / "run.lammpstrj"
        types = np.where(atoms.numbers == 53, 1, 2)
        with file.open("w") as stream:
            for number, row in enumerate(frames):
                stream.write(f"ITEM: TIMESTEP\n{number}\nITEM: NUMBER OF ATOMS\n16\nITEM: BOX BOUNDS pp pp pp\n")
                stream.write("0 6\n0 6\n0 6\nITEM: ATOMS id type x y z\n")
                for i, (kind_of, (x, y, z)) in enumerate(zip(types, row, strict=True), 1):
                    stream.write(f"{i} {kind_of} {x:.8f} {y:.8f} {z:.8f}\n")
        extra += ["--species", "I,Cu"]
    elif kind == "snapshots":
        file = tmp_path / "trajectory.npz"
        arrays = {"cell": atoms.cell.array, "numbers": atoms.numbers, "frame_interval_fs": 40.0}
        np.savez(file, snapshots=frames, mobile_positions=frames[:, :1], **arrays)
    else:
        file = tmp_path / f"run.{kind}"
        ase.io.write(file, shuffled)
    unit = tmp_path / "unit.cif"
    ase.io.write(unit, Atoms("ICu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=3.01 * np.eye(3), pbc=True))
    here = [*OPTIONS[:2], "--unit-cell", unit, *OPTIONS[4:], "--json"]
    wanted = json.loads(call("structure-factor", archive, *OPTIONS, "--json").stdout)
    result = call("structure-factor", file, *here, *extra)
    assert result.exit_code == 0, result.output
    for one, two in zip(json.loads(result.stdout)["points"], wanted["points"], strict=True):
        # files have eight digits
        assert one["static"] == pytest.approx(two["static"], rel=1e-5)
        assert one["highest_inelastic"]["value_per_mev"] == pytest.approx(
            two["highest_inelastic"]["value_per_mev"], rel=1e-4
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--path", "1/3,0,0 1/3,1,0"], "fits into the supercell"),
        (["--path", "1,0,0"], "two corners"),
        (["--cells", "2,2"], "three positive whole"),
        (["--resolution", "0.1"], "10 ps cannot resolve 0.1 meV: that takes"),
        (["--interval", "10"], "20 fs apart, not 10 fs"),
        (["--discard", "11"], "nothing is left"),
        (["--max-energy", "500"], "up to 103.4 meV"),
        (["--probe", "xray", "--incoherent"], "that of neutrons"),
        (["--lines", "9"], "too few for"),
        (["--lines", "1", "--fit-range", "300,400"], "no energies"),
        (["--fit-range", "5"], "needs 2 numbers"),
        (["--npz", "map.hdf5"], "must end in .npz"),
        (["--figure", "map.pdf"], "must end in .png"),
        (["-T", "-5"], "temperature must be positive"),
        (["--unit-cell", __file__], "tell the unit cell"),
        (["--species", "Qq"], "no chemical symbol"),
    ],
)
def test_what_is_refused(call, archive, tmp_path, change, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("structure-factor", archive, *OPTIONS, *change)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_dynasor_is_missing(call, archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "dynasor", None)
    result = call("structure-factor", archive, *OPTIONS)
    assert result.exit_code == 1
    assert "pip install 'aiida-iontherm[spectra]'" in result.stderr
    assert call("structure-factor", archive, *OPTIONS, "--probe", "density").exit_code == 0


def test_files_that_are_no_runs(atoms, frames, tmp_path):
    for name, arrays, words in (
        ("a.npz", {"cell": np.eye(3), "numbers": atoms.numbers}, "holds no positions"),
        ("b.npz", {"positions": frames, "cell": np.eye(3), "numbers": atoms.numbers[:3]}, "not frames of 3 atoms"),
        ("c.npz", {"snapshots": frames, "cell": np.eye(3), "numbers": atoms.numbers}, "does not tell the time"),
    ):
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(ValueError, match=words):
            open_positions(tmp_path / name, None if name == "c.npz" else 20.0)
    (tmp_path / "d.xyz").write_text("nonsense")
    with pytest.raises(ValueError, match="not a trajectory"):
        open_positions(tmp_path / "d.xyz", 20.0)
    with pytest.raises(ValueError, match="does not tell the time"):
        open_positions(tmp_path / "d.xyz")
    with pytest.raises(ValueError, match="there is no file"):
        open_positions(tmp_path / "e.xyz", 20.0)
    grown = [Atoms(atoms.numbers, row, cell=atoms.cell * (1 + 0.01 * i), pbc=True) for i, row in enumerate(frames[:3])]
    ase.io.write(tmp_path / "f.traj", grown)
    with pytest.raises(ValueError, match="cell changes"):
        list(open_positions(tmp_path / "f.traj", 20.0).chunks)
    ase.io.write(tmp_path / "g.traj", [grown[0], grown[0][:5]])
    with pytest.raises(ValueError, match=r"frame 1 .* other atoms"):
        list(open_positions(tmp_path / "g.traj", 20.0).chunks)
    with pytest.raises(ValueError, match="types up to 53"):
        open_positions(tmp_path / "g.traj", 20.0, species=["Cu", "I"])
