"""The command ``iontherm framework`` on models whose diffusion and rotations are known."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.units import AMU, KB
from aiida_iontherm.tasks.files import write_npz
from aiida_iontherm.tasks.framework_files import read_framework, read_ions

FRAMES, STEP_FS, BOX, GROUPS, TEMPERATURE, FRICTION = 3000, 20.0, 20.0, 8, 600.0, 5.0
STEP_PS = STEP_FS * 1e-3
CORNERS = 2.05 / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
CENTRES = 10.0 * np.stack(np.unravel_index(range(GROUPS), (2, 2, 2)), axis=1) + 5.0
ATOMS = Atoms("Li8" + "PS4" * GROUPS, cell=BOX * np.eye(3), pbc=True)
EXACT = KB * TEMPERATURE / (6.94 * AMU) * 1e-4 / FRICTION * 1e-4
"""D = k_B T/(m gamma), cm^2/s."""

KNOWN = ("-T", 600, "--mobile", "Li", "--interval-fs", 20)


def brownian(friction, seed):
    """Free Langevin ions: positions and velocities [frames, 8, 3]."""
    phi = np.exp(-friction * STEP_PS)
    noise = np.random.default_rng(seed).normal(size=(FRAMES, 8, 3))
    noise[1:] *= np.sqrt(1 - phi**2)
    velocities = np.sqrt(KB * TEMPERATURE / (6.94 * AMU)) * 1e-2 * lfilter([1.0], [1.0, -phi], noise, axis=0)
    return np.cumsum(velocities, axis=0) * STEP_PS, velocities


def tetrahedra(rate, seed, degrees=5.0):
    """Positions [frames, 40, 3] of PS4 that librate and exchange ligands, and the frames at which each does."""
    rng = np.random.default_rng(seed)
    happens = rng.random((FRAMES, GROUPS)) < rate * STEP_PS
    happens[:50] = False
    swings = Rotation.from_rotvec(rng.normal(0, np.radians(degrees), (FRAMES * GROUPS, 3))).as_matrix()
    swings = swings.reshape(FRAMES, GROUPS, 3, 3)
    threefold = [Rotation.from_rotvec(2 * np.pi / 3 * corner / 2.05).as_matrix() for corner in CORNERS]
    state, positions = np.tile(np.eye(3), (GROUPS, 1, 1)), np.empty((FRAMES, GROUPS, 5, 3))
    for frame in range(FRAMES):
        for group in np.flatnonzero(happens[frame]):
            state[group] = state[group] @ threefold[rng.integers(4)]
        positions[frame, :, 0] = CENTRES
        positions[frame, :, 1:] = CENTRES[:, None] + np.einsum("gab,gbc,kc->gka", swings[frame], state, CORNERS)
    return positions.reshape(FRAMES, -1, 3), [np.flatnonzero(happens[:, group]) for group in range(GROUPS)]


def write(path, ions, framework, velocities=None, drift=0.0):
    """Wrapped, as other programs write, with or without velocities."""
    frames = []
    for frame in range(FRAMES):
        atoms = ATOMS.copy()
        atoms.positions = np.concatenate([ions[frame], framework[frame]]) + drift * frame
        if velocities is not None:
            atoms.set_velocities(velocities[frame] / (1000 * units.fs))
        atoms.wrap()
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def free(folder):
    """Brownian ions among librating tetrahedra that drift, with velocities."""
    ions, moving = brownian(FRICTION, 1)
    framework, _ = tetrahedra(0.0, 1)
    velocities = np.concatenate([moving, np.gradient(framework, STEP_PS, axis=0)], axis=1)
    return write(folder / "free.traj", ions, framework, velocities, drift=1e-3)


@pytest.fixture(scope="module")
def frozen(folder):
    """Five times the friction, a framework at rest, no velocities."""
    framework, _ = tetrahedra(0.0, 2, degrees=0.0)
    return write(folder / "frozen.traj", brownian(5 * FRICTION, 2)[0], framework)


@pytest.fixture(scope="module")
def coupled():
    """Each ion changes its side of a tetrahedron whenever that exchanges ligands."""
    framework, when = tetrahedra(0.05, 3)
    rng = np.random.default_rng(3)
    side = np.zeros((FRAMES, GROUPS))
    for group, frames in enumerate(when):
        side[frames, group] = 1
    side = 2 * (np.cumsum(side, axis=0) % 2) - 1
    ions = CENTRES + side[..., None] * np.array([3.5, 0, 0]) + rng.normal(0, 0.1, (FRAMES, GROUPS, 3))
    return ions, framework, sum(len(frames) for frames in when)


def read(call, *arguments):
    result = call("framework", *arguments, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    return record, {quantity["name"]: quantity for quantity in record["results"]}


def test_free_against_frozen(call, free, frozen):
    record, by = read(call, free, *KNOWN, "--frozen", frozen)
    run = record["runs"][0]
    assert run["polyanions"] == {"PS4": 8}
    assert run["rotations"][0]["state"] == "librates"
    assert by["reorientation_rate_PS4"]["bound"] == "upper"
    assert by["libration_PS4"]["value"] == pytest.approx(5 * np.sqrt(3), rel=0.02)  # 24 000 angles, less a mean shape
    # 24 coordinates for 60 ps: 15 %
    assert by["D_Li"]["value"] == pytest.approx(EXACT, abs=3 * by["D_Li"]["uncertainty"])
    assert by["D_from_vdos_Li"]["value"] == pytest.approx(EXACT, abs=3.5 * by["D_from_vdos_Li"]["uncertainty"])
    assert by["D_from_vdos_Li"]["uncertainty"] < 0.3 * EXACT
    point = record["enhancement"][0]["points"][0]
    assert point["effect"] == "enhances"
    assert point["lower"] < 5 < point["upper"]
    assert by["phonon_enhancement_Li_frozen"]["value"] == point["factor"]
    assert by["D_Li_frozen"]["value"] == pytest.approx(EXACT / 5, abs=3 * by["D_Li_frozen"]["uncertainty"])
    table = call("framework", free, *KNOWN, "--frozen", frozen)
    assert table.exit_code == 0, table.output
    for words in ("8 PS4", "librates", "from g(0)", "VDOS Li", "with the framework frozen", "enhances"):
        assert words in table.stdout


def test_frozen_run_alone(call, frozen):
    """No velocities and no turning are no errors, but said."""
    record, by = read(call, frozen, *KNOWN)
    assert record["runs"][0]["rotations"][0]["state"] == "held"
    assert record["runs"][0]["densities"] == []
    assert any("no velocities" in remark for remark in record["remarks"])
    assert "D_from_vdos_Li" not in by


def test_rotations_that_come_with_hops(call, coupled, folder):
    ions, framework, events = coupled
    path = write(folder / "coupled.traj", ions, framework)
    record, by = read(call, path, *KNOWN)
    run = record["runs"][0]
    assert run["rotations"][0]["reorientations"] == pytest.approx(events, abs=2)  # two within the dwell time are one
    assert run["hops"] == pytest.approx(events, abs=2)
    result = next(entry for entry in run["coincidences"] if entry["activity"] == "reorientation")
    assert result["verdict"] == "coincide"
    # one of each comes with one of the other
    assert result["excess"] == pytest.approx(events, abs=3 * result["excess_uncertainty"])
    lags, ratios = np.array(result["lags_ps"]), np.array(result["ratio_by_lag"])
    # both times lie half way between two frames, but for libration and vibration
    assert np.abs(lags[np.argmax(ratios)]) <= 2 * STEP_PS
    assert by["reorientation_near_hops_PS4"]["value"] > 5


def test_files_of_the_task(call, coupled, folder):
    """trajectory.npz with snapshots every tenth position, and velocities.npz beside it."""
    ions, framework, events = coupled
    everything = np.concatenate([ions, framework], axis=1)
    drift = np.linspace(0, 2, FRAMES)[:, None] * np.array([1.0, 0.5, 0])
    mass = np.where(ATOMS.symbols == "Li", 0.0, ATOMS.get_masses())  # the framework
    centre = np.einsum("i,fia->fa", mass, everything) / mass.sum()
    write_npz(
        folder / "trajectory.npz",
        {
            "mobile_positions": (ions + drift[:, None]).astype(np.float32),
            "drift": centre + drift,
            "snapshots": (everything + drift[:, None])[9::10],
            "frame_interval_fs": np.array(STEP_FS),
            "cell": ATOMS.cell.array,
            "numbers": ATOMS.numbers,
        },
    )
    velocities = np.random.default_rng(4).normal(size=(FRAMES, len(ATOMS), 3)).astype(np.float32)
    arrays = {
        "velocities": velocities,
        "positions": everything[:1],
        "cell": ATOMS.cell.array,
        "numbers": ATOMS.numbers,
        "frame_interval_fs": np.array(STEP_FS),
    }
    write_npz(folder / "velocities.npz", arrays)
    files = (folder / "trajectory.npz", "-T", 600, "--mobile", "Li", "--velocities")
    record, _ = read(call, *files, folder / "velocities.npz")
    run = record["runs"][0]
    assert run["mobile"] == "Li"
    # a turn and the next within the dwell time, or undone between two snapshots
    assert run["rotations"][0]["reorientations"] == pytest.approx(events, rel=0.08)
    result = next(entry for entry in run["coincidences"] if entry["activity"] == "reorientation")
    assert result["verdict"] == "coincide"
    lags, ratios = np.array(result["lags_ps"]), np.array(result["ratio_by_lag"])
    assert np.abs(lags[np.argmax(ratios)]) <= 0.2  # one snapshot
    assert len(run["densities"]) == 2
    # the same in time and place, whatever is left out
    whole = read_framework(folder / "trajectory.npz", "Li")
    later = read_framework(folder / "trajectory.npz", "Li", discard_ps=7.3)
    # frames 9, 19, ... after the first; 365 are left out, hence frame 369 comes first
    assert (whole.start_ps, later.start_ps) == pytest.approx((9 * STEP_PS, 4 * STEP_PS))
    np.testing.assert_allclose(later.positions, whole.positions[36:], atol=1e-5)  # single precision
    np.testing.assert_allclose(whole.ion_positions[9::10], whole.positions[:, :8], atol=0.02)  # start of the framework
    arrays["numbers"] = arrays["numbers"][::-1]
    write_npz(folder / "others.npz", arrays)
    result = call("framework", *files, folder / "others.npz")
    assert "other atoms" in result.stderr


def test_ions_relative_to_the_framework(frozen):
    """With the framework at rest positions are those in the cell, though the centre of mass moves."""
    positions, interval = read_ions(frozen, "Li", STEP_FS)
    exact = brownian(5 * FRICTION, 2)[0]
    assert interval == STEP_FS
    np.testing.assert_allclose(positions - positions[0], exact - exact[0], atol=2e-4)  # single precision
    run = read_framework(frozen, "Li", STEP_FS)
    np.testing.assert_allclose(run.ion_positions - run.ion_positions[0], exact - exact[0], atol=2e-4)


def test_several_temperatures(call, free, frozen):
    """Files of the same run called 600 and 700 K: no barrier, the same factor twice."""
    hotter = ("-T", 700, *KNOWN, "--rigid", frozen, "--rigid", frozen)
    record, _ = read(call, free, free, *hotter)
    series = record["enhancement"][0]
    assert series["kind"] == "rigid"
    assert [point["temperature"] for point in series["points"]] == [600, 700]
    assert series["barrier_change_ev"] == pytest.approx(0, abs=1e-9)
    assert "neither" in series["reason"]


def test_several_frozen_runs_at_one_temperature(call, free, frozen):
    """The free run in the place of a second frozen one: the mean lies between, with the scatter as its error."""
    record, by = read(call, free, *KNOWN, "--frozen", frozen, "--frozen", free)
    _, alone = read(call, free, *KNOWN, "--frozen", frozen)
    one, two = alone["D_Li_frozen"]["value"], by["D_Li"]["value"]
    assert by["D_Li_frozen"]["value"] == pytest.approx((one + two) / 2)
    assert by["D_Li_frozen"]["uncertainty"] == pytest.approx((two - one) / 2)
    assert record["enhancement"][0]["points"][0]["factor"] == pytest.approx(2 * two / (one + two))


def test_bad_input(call, free, frozen, folder):
    def message(*arguments):
        result = call("framework", *arguments)
        assert result.exit_code == 1, result.output
        line = result.stderr.strip().splitlines()[-1]
        assert line.startswith("Error: ")
        return line

    assert "-T for each" in message(free, *KNOWN, "-T", 700)
    assert "positive" in message(free, "-T", -1)
    hotter = (free, free, *KNOWN, "-T", 700)
    assert "equally often for each" in message(*hotter, "--frozen", frozen, "--frozen", frozen, "--frozen", frozen)
    assert "needed once for each" in message(*hotter, "--velocities", free)
    assert "does not tell" in message(free, "-T", 600, "--mobile", "Li")
    assert "which ions" in message(free, "-T", 600, "--interval-fs", 20)
    assert "no Ag" in message(free, "-T", 600, "--interval-fs", 20, "--mobile", "Ag")
    assert "mobile and cannot" in message(frozen, *KNOWN, "--centre", "P", "--ligand", "Li")
    assert "nothing is left" in message(frozen, *KNOWN, "--discard", 600)
    text = folder / "notes.xyz"
    text.write_text("nothing\n")
    assert "ASE can read" in message(text, *KNOWN)


def test_without_polyanions(call, folder):
    """A halide: said, and the rest goes on."""
    rng = np.random.default_rng(6)
    atoms = Atoms("Cu8I8", cell=12 * np.eye(3), pbc=True)
    grid = np.stack(np.unravel_index(range(8), (2, 2, 2)), axis=1) * 6.0
    frames = []
    for _ in range(400):
        frame = atoms.copy()
        frame.positions = np.concatenate([grid + 3, grid]) + rng.normal(0, 0.1, (16, 3))
        frames.append(frame)
    ase.io.write(folder / "halide.traj", frames)
    record, by = read(call, folder / "halide.traj", "-T", 600, "--mobile", "Cu", "--interval-fs", 20)
    assert record["runs"][0]["polyanions"] == {}
    assert record["runs"][0]["rotations"] == []
    assert any("no polyanions were found in Cu8I8" in remark for remark in record["remarks"])
    assert by["D_Cu"]["bound"] == "upper"
