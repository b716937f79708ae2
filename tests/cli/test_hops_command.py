"""The command ``iontherm hops`` on walkers whose hops are known."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm.tasks.files import write_npz
from aiida_iontherm.tasks.ion_trajectory_files import read_ion_trajectory

A = 3.0
BOX = 4
FRAMES, IONS, RATE = 3000, 4, 0.02  # hops per frame
DRIFT = np.linspace(0, 1.5, FRAMES)[:, None] * np.array([1.0, 0.5, -0.3])


@pytest.fixture(scope="module")
def walk():
    """Ions on lines along x, apart from each other, with vibrations; positions [frames, ions, 3] and number of hops."""
    rng = np.random.default_rng(3)
    happens = rng.random((FRAMES, IONS)) < RATE
    happens[0] = False
    x = np.cumsum(happens * rng.choice([-1, 1], (FRAMES, IONS)), axis=0) * A
    start = np.array([[0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 2, 2]]) * A
    positions = start + x[..., None] * np.array([1.0, 0, 0]) + rng.normal(0, 0.15, (FRAMES, IONS, 3))
    return positions, int(happens.sum())


@pytest.fixture(scope="module")
def npz(walk, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "trajectory.npz"
    arrays = {
        "mobile_positions": (walk[0] + DRIFT[:, None]).astype(np.float32),
        "drift": DRIFT + 6.0,
        "frame_interval_fs": np.array(40.0),
        "cell": BOX * A * np.eye(3),
        "numbers": np.array([29] * IONS + [53] * BOX**3),
    }
    write_npz(path, arrays)
    return path


@pytest.fixture(scope="module")
def cif(tmp_path_factory):
    path = tmp_path_factory.mktemp("crystal") / "cui.cif"
    ase.io.write(path, Atoms("CuI", cell=A * np.eye(3), scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True))
    return path


def test_known_hops(call, npz, cif, walk, tmp_path):
    result = call(
        "hops", npz, "-T", 600, "--sites", cif, "--json", "--figures", tmp_path, "--cube", tmp_path / "cu.cube"
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["mobile"] == "Cu"
    assert record["hops"] == walk[1]
    assert len(record["sites"]["labels"]) == BOX**3
    assert set(record["sites"]["labels"]) == {"Cu"}
    rates = {(rate["kind"], rate["name"]): rate for rate in record["rates"]}
    assert rates["axis", "x"]["hops"] == walk[1]
    assert rates["axis", "y"]["hops"] == 0
    assert record["verdict"]["state"] == "superionic"
    names = {(q["name"], q["direction"]) for q in record["results"]}
    assert {("hop_rate_Cu", None), ("free_energy_barrier_Cu", "a"), ("D_Cu", "average")} <= names
    barriers = {q["direction"]: q for q in record["results"] if q["name"] == "free_energy_barrier_Cu"}
    assert barriers["b"]["bound"] == barriers["c"]["bound"] == "lower"
    for name in ("free-energy", "van-hove"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) > 100
    # density of four ions in the units of the cube file: its own volume elements are in Bohr
    data, _ = ase.io.cube.read_cube_data(str(tmp_path / "cu.cube"))
    assert data.sum() * (BOX * A) ** 3 / data.size == pytest.approx(IONS, rel=1e-3)  # digits of the file


def test_table_and_sites_from_the_density(call, npz, walk):
    result = call("hops", npz, "-T", 600, "--discard", 4)
    assert result.exit_code == 0, result.output
    assert "verdict" in result.stdout
    # along four lines there are sixteen sites
    assert "16 (16 Cu)" in result.stdout
    hops = next(line for line in result.stdout.splitlines() if line.strip().startswith("hops"))
    # 4 of 120 ps are left out
    assert int(hops.split()[1].rstrip(",")) == pytest.approx(walk[1] * 116 / 120, rel=0.1)


def test_wrapped_positions_of_other_programs(walk, tmp_path):
    """Unwrapping and the drift: the same as the unwrapped positions."""
    atoms = Atoms(f"Cu{IONS}I", cell=BOX * A * np.eye(3), pbc=True)
    frames = []
    for positions in walk[0][:300]:
        frame = atoms.copy()
        # with ions almost without mass the framework is the centre of mass, and drifts
        frame.positions = np.concatenate([positions, [[1.5, 1.5, 1.5]]])
        frame.set_masses([1e-6] * IONS + [127.0])
        frame.positions += 0.02 * len(frames)
        frame.wrap()
        frames.append(frame)
    ase.io.write(tmp_path / "run.traj", frames)
    run = read_ion_trajectory(tmp_path / "run.traj", "Cu", 40.0)
    moved = run.positions - run.positions[0]
    np.testing.assert_allclose(moved, walk[0][:300] - walk[0][0], atol=1e-4)  # single precision, masses of 1e-6
    assert run.framework[1].tolist() == [53]


def test_bad_input(call, npz, cif, tmp_path):
    def message(*arguments):
        result = call("hops", *arguments)
        assert result.exit_code == 1, result.output
        line = result.stderr.strip().splitlines()[-1]
        assert line.startswith("Error: ")
        return line

    assert "not Ag" in message(npz, "-T", 600, "--mobile", "Ag")
    assert "40 fs apart" in message(npz, "-T", 600, "--interval-fs", 10)
    assert "nothing is left" in message(npz, "-T", 600, "--discard", 500)
    assert "too few" in message(npz, "-T", 600, "--discard", 118)
    assert "--merge" in message(npz, "-T", 600, "--sites", cif, "--merge", 1.0)
    assert "no Br" in message(npz, "-T", 600, "--sites", cif, "--anions", "Br")
    assert "three positive" in message(npz, "-T", 600, "--fold", "2,2")
    broken = tmp_path / "broken.npz"
    with np.load(npz) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["mobile_positions"][7, 1, 2] = np.nan
    write_npz(broken, arrays)
    assert "NaN" in message(broken, "-T", 600)
    write_npz(broken, arrays | {"mobile_positions": np.zeros((FRAMES, 0, 3))})
    assert "no mobile ions" in message(broken, "-T", 600)
    text = tmp_path / "notes.xyz"
    text.write_text("nothing\n")
    assert "ASE can read" in message(text, "-T", 600, "--mobile", "Cu", "--interval-fs", 40)
