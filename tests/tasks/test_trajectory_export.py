"""Exported trajectories: other readers find the positions of the run in them, and interruptions leave no trace."""

import signal

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances

from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.md_plan import md_settings, planned_bytes
from aiida_iontherm.tasks.trajectory_export import FORMATS, ExportPlan, Hdf5, export_files, make_exports

ARGON = {
    "engine": "lj",
    "mobile": "Ar",
    "temperature": 60.0,
    "timestep_fs": 8.0,
    "equilibration_ps": 0.8,
    "production_ps": 1.6,
    "position_interval_fs": 80.0,
    "snapshots": 0,
    "export": ["extxyz", "lammps-dump", "hdf5"],
    "seed": 11,
}
FILES = ("trajectory.extxyz", "trajectory.lammpstrj", "trajectory.h5")
FRAMES = 20

# Six decimals in text, and single precision of up to 10 Angstrom (1e-6) in what they are compared with.
ROUNDING = 2e-6


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.4, cubic=True)


def test_readers_find_the_positions_of_the_run(folder):
    atoms = argon()
    folder.give(ARGON, structure=atoms)
    assert folder.run("md") == EXIT_OK
    expected = folder.arrays("trajectory.npz")["mobile_positions"]
    assert len(expected) == FRAMES
    # argon at 60 K leaves the cell it is drawn in at once
    assert ((expected / 5.4) % 1 != expected / 5.4).any()
    for name, options in ((FILES[0], {}), (FILES[1], {"format": "lammps-dump-text"})):
        frames = ase.io.read(folder.path / name, ":", **options)
        assert len(frames) == FRAMES
        for frame, positions in zip(frames, expected, strict=True):
            np.testing.assert_allclose(frame.positions, positions, atol=ROUNDING)
            np.testing.assert_allclose(frame.cell.array, atoms.cell.array, atol=1e-9)
            assert frame.get_chemical_symbols() == ["Ar"] * 4
    assert frames[0].pbc.all()
    first, second = ase.io.read(folder.path / FILES[0], ":2")
    # the equilibration took 0.8 ps, rounded to whole blocks
    assert second.info["step"] - first.info["step"] == 10
    assert first.info["time_ps"] == pytest.approx(first.info["step"] * 0.008)
    with h5py.File(folder.path / FILES[2]) as file:
        particles = file["particles/all"]
        np.testing.assert_allclose(particles["position/value"], expected, atol=ROUNDING)
        np.testing.assert_allclose(particles["box/edges"], atoms.cell.array)
        np.testing.assert_array_equal(particles["species"], atoms.numbers)
        assert particles["position/step"][0] == first.info["step"]
        np.testing.assert_allclose(np.diff(particles["position/time"]), 0.08)
        assert list(file["h5md"].attrs["version"]) == [1, 1]


def test_what_is_planned_is_what_is_written(tmp_path):
    """A cell of some size, so that headers of frames do not count."""
    atoms = argon() * (5, 5, 5)
    asked = Input(**ARGON)
    settings = md_settings(asked)
    planned = planned_bytes(settings, asked, len(atoms), 0, 1)
    plan = ExportPlan(frames=FRAMES, first_step=110, stride=settings.position_stride, timestep_fs=8.0)
    for name, sink in zip(FORMATS, make_exports(tmp_path, list(FORMATS), atoms, plan).values(), strict=True):
        sink.add(rattled(atoms, FRAMES))
        if name == "hdf5":
            with h5py.File(sink.path) as file:
                written = file["particles/all/position/value"].id.get_storage_size()
        else:
            written = sink.path.stat().st_size
        # numbers have one or two digits before the point, and one to three to number the atoms
        assert written == pytest.approx(planned[f"export as {name}"], rel=0.15)


def test_without_being_asked_nothing_is_written(folder):
    folder.give(ARGON | {"export": []}, structure=argon())
    assert folder.run("md") == EXIT_OK
    assert not [name for name in FILES if (folder.path / name).exists()]


@pytest.mark.slow
def test_interrupted_runs_leave_the_same_files(make_folder):
    longer = ARGON | {"production_ps": 4.0}
    whole, parts = (make_folder(name).give(longer, structure=argon()) for name in ("whole", "parts"))
    assert whole.run("md") == EXIT_OK
    for lines, how in ((6, signal.SIGTERM), (2, signal.SIGKILL), (2, signal.SIGTERM)):
        code, errors = parts.stop_after("md", lines, how)
        assert code == (EXIT_INTERRUPTED if how is signal.SIGTERM else -signal.SIGKILL), errors
    assert (parts.path / FILES[0]).stat().st_size > 0
    code, errors = parts.finish("md")
    assert code == EXIT_OK, errors
    for name in FILES:
        assert (parts.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_a_lost_file_is_not_gone_on_with(folder):
    folder.give(ARGON | {"production_ps": 4.0}, structure=argon())
    code, errors = folder.stop_after("md", 6, signal.SIGTERM)
    assert code == EXIT_INTERRUPTED, errors
    (folder.path / FILES[1]).unlink()
    assert folder.run("md") == EXIT_INPUT
    assert "trajectory.lammpstrj of the interrupted run is missing" in folder.output["message"]


PLAN = ExportPlan(frames=6, first_step=110, stride=10, timestep_fs=2.0)


def hexagonal() -> Atoms:
    """Neither along x nor lower triangular, as LAMMPS would have it, and left-handed."""
    atoms = bulk("Mg", "hcp", a=3.2, c=5.2) * (2, 2, 1)
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell.array[[1, 0, 2]], pbc=True)


def rattled(atoms: Atoms, frames: int) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 0.3, (frames, len(atoms), 3))
    return atoms.positions + noise


def test_a_turned_cell_keeps_its_distances(tmp_path):
    atoms = hexagonal()
    sinks = make_exports(tmp_path, list(FORMATS), atoms, PLAN)
    frames = rattled(atoms, 6)
    for sink in sinks.values():
        sink.add(frames[:4])
        sink.add(frames[4:])
        sink.finish()
    turned = ase.io.read(tmp_path / FILES[1], ":", format="lammps-dump-text")
    plain = ase.io.read(tmp_path / FILES[0], ":")
    for one, other, positions in zip(turned, plain, frames, strict=True):
        np.testing.assert_allclose(other.positions, positions, atol=1e-6)
        for half, cell in ((one, one.cell), (other, other.cell)):
            _, found = get_distances(half.positions, cell=cell, pbc=True)
            _, expected = get_distances(positions, cell=atoms.cell, pbc=True)
            np.testing.assert_allclose(found, expected, atol=1e-5)  # six decimals in each coordinate
        assert np.allclose(np.triu(one.cell.array, 1), 0)


def test_a_run_that_broke_has_the_frames_it_made(tmp_path):
    atoms = hexagonal()
    sink = Hdf5(tmp_path / FILES[2], atoms, PLAN)
    sink.finish()
    assert not sink.path.exists()
    frames = rattled(atoms, 4)
    sink.add(frames)
    sink.finish()
    with h5py.File(sink.path) as file:
        position = file["particles/all/position"]
        np.testing.assert_allclose(position["value"], frames, atol=1e-6)
        np.testing.assert_array_equal(position["step"], [110, 120, 130, 140])


def test_replicas_have_files_of_their_own(folder):
    assert export_files(["lammps-dump"], 2) == {
        "lammps_dump": "trajectory.lammpstrj",
        "lammps_dump_1": "trajectory_1.lammpstrj",
    }
    folder.give(ARGON | {"replicas": 2, "export": ["extxyz"]}, structure=argon())
    assert folder.run("md") == EXIT_OK
    first, second = (folder.frames(name) for name in export_files(["extxyz"], 2).values())
    assert len(first) == len(second) == FRAMES
    assert np.abs(first[-1].positions - second[-1].positions).max() > 0.01


def test_what_cannot_be_exported(folder):
    folder.give(ARGON | {"export": ["xyz"]}, structure=argon())
    assert folder.run("md") == EXIT_INPUT
    assert "export" in folder.output["message"]
