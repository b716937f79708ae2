"""What is looked after while a trajectory is read frame by frame."""

import re

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm.tasks.ase_frames import iterate_frames, iterate_run, iterate_unwrapped
from aiida_iontherm.tasks.framework_files import read_framework
from aiida_iontherm.tasks.ion_trajectory_files import read_ion_trajectory
from aiida_iontherm.tasks.position_files import open_positions
from aiida_iontherm.tasks.velocity_files import read_velocities

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, -1.0, 6.0]])


REST = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])


@pytest.fixture
def written(tmp_path):
    """Write frames to a file."""

    def write(frames):
        ase.io.write(tmp_path / "run.extxyz", frames)
        return tmp_path / "run.extxyz"

    return write


def frames_of(positions, cells=None):
    return [
        Atoms("CuI", positions=row, cell=CELL if cells is None else cells[n], pbc=True)
        for n, row in enumerate(positions)
    ]


def test_atoms_are_followed_across_the_faces(written):
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 0.4, (60, 2, 3)), axis=0)
    wrapped = frames_of(path)
    for atoms in wrapped:
        atoms.wrap()
    found = np.array([here for _, here in iterate_unwrapped(written(wrapped), 5, "hops need")])
    # eight decimals in the file; several faces are crossed
    np.testing.assert_allclose(found - found[0], path[5:] - path[5], atol=1e-6)
    assert np.abs((path[-1] - path[5]) @ np.linalg.inv(CELL)).max() > 0.5


def test_frames_that_are_left_out_are_not_looked_at(written):
    frames = frames_of(np.tile(REST, (4, 1, 1)), [2 * CELL, CELL, CELL, CELL])
    path = written(frames)
    assert [number for number, _ in iterate_run(path, 1, "hops need")] == [1, 2, 3]
    assert list(iterate_run(path, 4, "hops need")) == []
    assert len(list(iterate_frames(path))) == 4


READERS = {
    "hops need": lambda path: read_ion_trajectory(path, "Cu", 2.0),
    "rotations need": lambda path: read_framework(path, "Cu", 2.0),
    "S(Q, E) needs": lambda path: list(open_positions(path, 2.0).chunks),
    "linewidths need": lambda path: read_velocities(path, 2.0),
}


@pytest.mark.parametrize("needed", READERS)
def test_runs_that_no_reader_takes(needed, written):
    rest = np.tile(REST, (3, 1, 1))
    read = READERS[needed]
    read(written(frames_of(rest)))
    breathing = frames_of(rest, [CELL, CELL, 1.01 * CELL])
    message = f"the cell changes along run.extxyz: {needed} a run at constant volume"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(written(breathing))
    swapped = frames_of(rest)
    swapped[1] = swapped[1][[1, 0]]
    with pytest.raises(ValueError, match=r"frame 1 of run\.extxyz has other atoms than the first"):
        read(written(swapped))
    with pytest.raises(ValueError, match="no three-dimensional cell"):
        read(written([Atoms("CuI", positions=row) for row in rest]))


@pytest.mark.parametrize("needed", ["hops need", "rotations need"])
def test_steps_that_cannot_be_followed(needed, written):
    far = np.tile(REST, (3, 1, 1))
    far[2, 0] = 0.45 * CELL[1]
    with pytest.raises(ValueError, match="an atom moves by 45% of the cell before frame 2"):
        READERS[needed](written(frames_of(far)))


def test_lines_want_a_steadier_cell_than_sites(written):
    path = written(frames_of(np.tile(REST, (2, 1, 1)), [CELL, (1 + 3e-4) * CELL]))
    READERS["hops need"](path)
    with pytest.raises(ValueError, match="the cell changes"):
        READERS["linewidths need"](path)
