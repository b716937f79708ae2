"""Exported trajectories: other readers find the positions of the run in them, and interruptions leave no trace."""

import signal
from dataclasses import replace

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances

from aiida_iontherm.physics.mtp import MomentTensorPotential
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
BREATHING = {
    "potential": "potential.mtp",
    "species": ["Cu", "I"],
    "mobile": "Cu",
    "temperature": 200.0,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.4,
    "production_ps": 1.6,
    "position_interval_fs": 80.0,
    "ensemble": "npt",
    "barostat": "triclinic",
    "pressure_gpa": 20.0,
    "snapshots": 0,
    "export": ["extxyz", "lammps-dump", "hdf5"],
    "seed": 3,
}
FILES = ("trajectory.extxyz", "trajectory.lammpstrj", "trajectory.h5")
FRAMES = 20

# Six decimals in text, and single precision of up to 10 Angstrom (1e-6) in what they are compared with.
ROUNDING = 2e-6


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.4, cubic=True)


def give_salt(folder, changes=None):
    """A crystal whose cell changes under pressure, and a potential that is repulsive."""
    folder.give(BREATHING | (changes or {}), structure=bulk("CuI", "rocksalt", a=5.4, cubic=True))
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    blank.replace(moment_coeffs=np.array([2.0])).write(folder.path / "potential.mtp")
    return folder


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


@pytest.mark.parametrize("barostat", ["isotropic", "triclinic"])
def test_readers_find_the_cells_of_the_run(folder, barostat):
    give_salt(folder, {"barostat": barostat})
    assert folder.run("md") == EXIT_OK
    arrays = folder.arrays("trajectory.npz")
    cells = arrays["cells"][3::4]  # stored every 20 fs, and frames every 80
    assert len(cells) == FRAMES
    assert np.ptp(cells, axis=0).max() > 0.05  # far above any rounding below
    mobile = arrays["numbers"] == 29
    plain = ase.io.read(folder.path / FILES[0], ":")
    turned = ase.io.read(folder.path / FILES[1], ":", format="lammps-dump-text")
    assert len(plain) == len(turned) == FRAMES
    for one, other, cell, positions in zip(plain, turned, cells, arrays["mobile_positions"], strict=True):
        np.testing.assert_allclose(one.cell.array, cell, atol=1e-8)  # ten digits
        np.testing.assert_allclose(one.positions[mobile], positions, atol=ROUNDING)
        assert np.allclose(np.triu(other.cell.array, 1), 0)
        np.testing.assert_allclose(other.cell.cellpar(), one.cell.cellpar(), atol=1e-6)  # ten digits, degrees
        fractional = [atoms.get_scaled_positions(wrap=False) for atoms in (one, other)]
        np.testing.assert_allclose(*fractional, atol=1e-6)  # six decimals of either, in 5 Angstrom
        np.testing.assert_allclose(
            other.get_all_distances(mic=True), one.get_all_distances(mic=True), atol=4e-6
        )  # six decimals in each of six coordinates, twice
    # The last frame is of the last step.
    np.testing.assert_allclose(plain[-1].cell.array, arrays["cell"], atol=1e-8)
    np.testing.assert_allclose(plain[-1].positions, arrays["last_positions"], atol=ROUNDING)
    with h5py.File(folder.path / FILES[2]) as file:
        position, edges = file["particles/all/position"], file["particles/all/box/edges"]
        np.testing.assert_array_equal(edges["value"], cells)
        np.testing.assert_allclose(position["value"][:, mobile], arrays["mobile_positions"], atol=ROUNDING)
        assert edges["value"].attrs["unit"] == "Angstrom"
        for name in ("step", "time"):
            assert edges[name] == position[name]  # one dataset by two names, as H5MD wants it
        assert position["step"][0] == plain[0].info["step"]


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


def give_argon(folder):
    return folder.give(ARGON | {"production_ps": 4.0}, structure=argon())


def give_more_salt(folder):
    """So much that a run does not end before it is interrupted."""
    return give_salt(folder, {"supercell": [2, 2, 2], "production_ps": 12.0})


@pytest.mark.slow
@pytest.mark.parametrize("give", [give_argon, give_more_salt])
def test_interrupted_runs_leave_the_same_files(make_folder, give):
    whole, parts = (give(make_folder(name)) for name in ("whole", "parts"))
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


def breathing(atoms: Atoms, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cells, each strained in its own way."""
    strains = np.eye(3) + np.random.default_rng(4).normal(0, 0.02, (frames, 3, 3))
    return rattled(atoms, frames) @ strains, atoms.cell.array @ strains


def test_changing_cells_of_a_run_that_broke_and_of_one_that_went_on(tmp_path):
    """Frames made after the state was taken, as by a run that was killed, are written over or cut off."""
    atoms, plan = hexagonal(), replace(PLAN, cell_changes=True)
    frames, cells = breathing(atoms, 5)
    for name, arrangement in (("whole", [(0, 5)]), ("parts", [(0, 2), (2, 3), (3, 5)])):
        folder = tmp_path / name
        folder.mkdir()
        sinks = make_exports(folder, list(FORMATS), atoms, plan)
        for first, last in arrangement:
            states = {key: sink.state() for key, sink in sinks.items()}
            for sink in sinks.values():
                sink.add_in_cells(frames[first:], 1.1 * cells[first:])
            sinks = make_exports(folder, list(FORMATS), atoms, plan)
            for key, sink in sinks.items():
                sink.restore(states[key])
                sink.add_in_cells(frames[first:last], cells[first:last])
        for sink in sinks.values():
            sink.finish()
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    with h5py.File(tmp_path / "whole" / FILES[2]) as file:
        edges = file["particles/all/box/edges"]
        np.testing.assert_array_equal(edges["value"], cells)
        np.testing.assert_array_equal(edges["step"], [110, 120, 130, 140, 150])
    for one, cell in zip(ase.io.read(tmp_path / "whole" / FILES[0], ":"), cells, strict=True):
        np.testing.assert_allclose(one.cell.array, cell, atol=1e-8)  # ten digits


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
