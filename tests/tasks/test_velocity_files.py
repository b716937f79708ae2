"""Runs from files: the same velocities, whoever wrote them."""

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from aiida_iontherm.tasks.velocity_files import difference_power, read_velocities

FRAMES, INTERVAL_FS = 120, 5.0


@pytest.fixture
def frames():
    """Copper shaken by waves of 4 THz, its atoms wrapped into the cell."""
    start = bulk("Cu", cubic=True) * (2, 2, 2)
    rng = np.random.default_rng(0)
    phases = 2 * np.pi * rng.random((len(start), 3))
    frequency = 2 * np.pi * 4e-3  # per fs
    result = []
    for number in range(FRAMES):
        atoms = start.copy()
        atoms.positions += 0.05 * np.sin(frequency * number * INTERVAL_FS + phases)
        atoms.set_velocities(0.05 * frequency * np.cos(frequency * number * INTERVAL_FS + phases) / units.fs)
        atoms.wrap()
        result.append(atoms)
    return result


def velocities(frames):
    return np.array([atoms.get_velocities() for atoms in frames]) * 1000 * units.fs


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj"])
def test_formats_of_ase(frames, name, tmp_path):
    ase.io.write(tmp_path / name, frames)
    run = read_velocities(tmp_path / name, INTERVAL_FS)
    # single precision; extended XYZ has eight decimals
    np.testing.assert_allclose(run.velocities, velocities(frames), atol=1e-4 * velocities(frames).max())
    assert run.symbols == ["Cu"] * 32
    assert not run.from_positions
    assert np.ptp(run.stretches, axis=0).max() < 0.05  # unwrapped: means of half a period or more


def test_columns_in_angstrom_per_fs(frames, tmp_path):
    for atoms in frames:
        atoms.arrays["vel"] = atoms.get_velocities() * units.fs
        del atoms.arrays["momenta"]
    ase.io.write(tmp_path / "run.extxyz", frames)
    run = read_velocities(tmp_path / "run.extxyz", INTERVAL_FS)
    assert np.abs(run.velocities).max() == pytest.approx(0.05 * 2 * np.pi * 4, rel=0.01)  # Angstrom/ps; extrema missed


def test_positions_alone(frames, tmp_path):
    for atoms in frames:
        del atoms.arrays["momenta"]
    ase.io.write(tmp_path / "run.extxyz", frames)
    run = read_velocities(tmp_path / "run.extxyz", INTERVAL_FS)
    assert run.from_positions
    assert len(run.velocities) == FRAMES - 1
    power = np.mean(run.velocities.astype(float) ** 2)
    # 120 frames hold 2.4 periods: the mean square is good to some per cent; the power passed is 0.9988
    assert power == pytest.approx(0.5 * (0.05 * 2 * np.pi * 4) ** 2, rel=0.1)
    passed = difference_power(np.array([0.0, 4.0]), INTERVAL_FS)
    assert passed == pytest.approx([1, 1 - (np.pi * 0.02) ** 2 / 3], rel=1e-5)  # next term: x^4/45


def test_start_is_left_out(frames, tmp_path):
    ase.io.write(tmp_path / "run.traj", frames)
    run = read_velocities(tmp_path / "run.traj", INTERVAL_FS, discard_ps=0.2)
    np.testing.assert_allclose(run.velocities, velocities(frames)[40:], atol=1e-4)
    with pytest.raises(ValueError, match="nothing is left"):
        read_velocities(tmp_path / "run.traj", INTERVAL_FS, discard_ps=5.0)


def test_arrays(frames, tmp_path):
    arrays = {
        "velocities": velocities(frames),
        "positions": frames[0].positions,
        "cell": frames[0].cell.array,
        "numbers": frames[0].numbers,
    }
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match="does not tell the time"):
        read_velocities(tmp_path / "run.npz")
    assert read_velocities(tmp_path / "run.npz", 5.0).interval_fs == 5.0
    np.savez(tmp_path / "run.npz", **arrays, frame_interval_fs=4.0)
    assert read_velocities(tmp_path / "run.npz").interval_fs == 4.0
    with pytest.raises(ValueError, match="4 fs apart, not 5 fs"):
        read_velocities(tmp_path / "run.npz", 5.0)
    np.savez(tmp_path / "run.npz", **(arrays | {"numbers": np.ones(3)}), frame_interval_fs=4.0)
    with pytest.raises(ValueError, match="do not fit 3 atoms"):
        read_velocities(tmp_path / "run.npz")
    np.savez(tmp_path / "trajectory.npz", thermo=np.zeros((3, 5)))
    with pytest.raises(ValueError, match="store_velocities"):
        read_velocities(tmp_path / "trajectory.npz")


def test_bad_files(frames, tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        read_velocities(tmp_path / "none.traj", 5.0)
    (tmp_path / "text.extxyz").write_text("no numbers here\n")
    with pytest.raises(ValueError, match="not a trajectory"):
        read_velocities(tmp_path / "text.extxyz", 5.0)
    ase.io.write(tmp_path / "run.traj", frames)
    with pytest.raises(ValueError, match="does not tell the time"):
        read_velocities(tmp_path / "run.traj")
    with pytest.raises(ValueError, match="must be positive"):
        read_velocities(tmp_path / "run.traj", -1.0)
    grown = frames[1].copy()
    grown.set_cell(grown.cell.array * 1.01, scale_atoms=True)
    ase.io.write(tmp_path / "npt.traj", [frames[0], grown])
    with pytest.raises(ValueError, match="constant volume"):
        read_velocities(tmp_path / "npt.traj", 5.0)
    ase.io.write(tmp_path / "other.traj", [frames[0], Atoms("Ag4", cell=frames[0].cell, pbc=True)])
    with pytest.raises(ValueError, match="other atoms"):
        read_velocities(tmp_path / "other.traj", 5.0)
