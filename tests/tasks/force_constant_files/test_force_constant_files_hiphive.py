"""hiphive's objects and files: there and back in memory, written for hiphive to read, never unpickled."""

import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hiphive import ForceConstants as HiphiveForceConstants

from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    from_hiphive,
    largest_difference,
    read_force_constants,
    to_hiphive,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.hiphive_files import read_supercell
from aiida_iontherm.tasks.force_constant_files.objects import full

ROUNDING = 1e-13
"""eV/Angstrom^order: some units in the last place of elements up to 240."""


def test_objects_there_and_back(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    theirs = to_hiphive(constants)
    assert theirs.orders == [2, 3, 4]
    back = from_hiphive(theirs, constants.primitive)
    assert np.abs(back.second - constants.second).max() < ROUNDING
    assert np.abs(back.third - constants.third).max() < ROUNDING
    assert largest_difference(back.fourth, clusters[4]) < ROUNDING


def test_hiphive_sees_the_same_arrays(constants: ForceConstants) -> None:
    """Against hiphive's own way in, by full arrays, and its own check of the sum rules."""
    second = full(constants.second, constants.repetition)
    ours = to_hiphive(replace(constants, fourth=None))
    theirs = HiphiveForceConstants.from_arrays(constants.supercell, second, full(constants.third, constants.repetition))
    assert ours == theirs
    assert np.abs(ours.get_fc_array(2) - second).max() < ROUNDING
    ours.assert_acoustic_sum_rules(order=3, tol=1e-10)


def test_force_constants_without_label_symmetry(constants: ForceConstants) -> None:
    """Raw force constants, as a fit without symmetry leaves them, keep every cluster as it is."""
    array = constants.second.copy()
    array[0, 5] += np.arange(9.0).reshape(3, 3)
    theirs = to_hiphive(ForceConstants(constants.repetition, second=array))
    assert type(theirs).__name__ == "RawForceConstants"
    assert np.abs(from_hiphive(theirs, constants.primitive).second - array).max() < ROUNDING


def test_hiphive_reads_what_is_written(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, constants)
    theirs = HiphiveForceConstants.read(str(path))  # our own file: its pickle is known
    assert theirs == to_hiphive(constants)
    # JSON keeps every bit of the cell.
    assert np.array_equal(read_supercell(path).positions, constants.supercell.positions)


def test_pickles_are_refused(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, constants)
    with pytest.raises(ValueError, match="over 24 atoms as a Python pickle, which can run any program"):
        read_force_constants(path, constants.primitive, constants.supercell)


def test_a_hostile_pickle_is_not_opened(constants: ForceConstants, tmp_path: Path) -> None:
    path, trace = tmp_path / "model.fc", tmp_path / "trace"
    write_force_constants(path, constants)
    (tmp_path / "fc_dict").write_bytes(pickle.dumps(Hostile(trace)))
    with tarfile.open(path) as archive:
        (tmp_path / "supercell").write_bytes(archive.extractfile("supercell").read())
    with tarfile.open(path, "w") as archive:
        for name in ("fc_dict", "supercell"):
            archive.add(tmp_path / name, arcname=name)
    with pytest.raises(ValueError, match="so it is not read"):
        read_force_constants(path)
    assert not trace.exists()


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("nothing")
    with tarfile.open(tmp_path / "model.fc", "w") as archive:
        archive.add(tmp_path / "notes", arcname="notes")
    with pytest.raises(ValueError, match=r"model\.fc is not a \.fc file of hiphive"):
        read_force_constants(tmp_path / "model.fc")


def test_other_orders_are_refused(constants: ForceConstants) -> None:
    theirs = HiphiveForceConstants.from_sparse_dict({(0,): np.ones(3)}, constants.supercell)
    with pytest.raises(ValueError, match="none of the orders two, three and four"):
        from_hiphive(theirs, constants.primitive)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)
