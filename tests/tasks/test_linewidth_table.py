"""Linewidths from runs in files, as a table for the conductivity."""

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from damped_crystal import emt_crystal, langevin

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.linewidth_tables import check_linewidths, linewidths_on_mesh, reciprocal_operations
from aiida_iontherm.tasks.linewidth_files import read_linewidths
from aiida_iontherm.tasks.mode_linewidths import linewidth_table
from aiida_iontherm.tasks.velocity_files import VelocityRun, read_velocities


def damping(frequencies):
    return np.full(frequencies.shape, 0.8)


GAMMA = 0.8 / (4 * np.pi)


@pytest.fixture(scope="module")
def crystal(cuau_cell):
    return emt_crystal(cuau_cell, np.diag([2, 2, 2]))


@pytest.fixture(scope="module")
def damped(crystal):
    return langevin(crystal, damping, frames=4000)


@pytest.fixture
def run(crystal, damped):
    supercell = crystal.supercell
    return VelocityRun(
        damped.velocities.astype(np.float32),
        supercell.positions[None] + damped.displacements[::400],
        np.array(supercell.cell),
        list(supercell.symbols),
        damped.interval_fs,
        False,
    )


def changed(run, **fields):
    return VelocityRun(**{**run.__dict__, **fields})


@pytest.mark.parametrize("name", ["table.npz", "table.hdf5"])
def test_table_is_read_on_its_mesh(crystal, run, name, tmp_path):
    remarks = []
    table = linewidth_table(crystal, [run], 300.0, remark=remarks.append)
    assert remarks == []
    table.write(tmp_path / name)
    arrays = read_linewidths(tmp_path / name)
    assert arrays["mesh"].tolist() == [2, 2, 2]
    phonons = Phonons.from_phonopy(crystal, tuple(arrays["mesh"]))
    operations = reciprocal_operations(crystal.primitive.cell, phonons.rotations)
    gamma = linewidths_on_mesh(
        phonons.qpoints,
        phonons.frequencies_thz,
        operations,
        *(arrays[key] for key in ("qpoints", "gamma_thz", "frequencies_thz")),
    )
    check_linewidths(gamma, phonons.frequencies_thz, [300.0])
    vibrations = phonons.frequencies_thz > 0.1
    # 33 lines known to some 12 % each: their mean to 3 %
    assert np.mean(gamma[0][vibrations]) == pytest.approx(GAMMA, rel=0.08)
    assert np.all(gamma[0][~vibrations] == 0)
    summary = table.summary()
    assert summary["resolved"] == 1
    assert summary["modes"] == 33


def test_positions_alone_give_the_same_widths(crystal, damped, tmp_path):
    """Written by ASE without velocities and in another order."""
    supercell = crystal.supercell
    order = np.random.default_rng(1).permutation(len(supercell))
    atoms = Atoms(supercell.symbols, supercell.positions, cell=supercell.cell, pbc=True)[order]
    frames = []
    for displacement in damped.displacements:
        frame = atoms.copy()
        frame.positions += displacement[order]
        frame.wrap()
        frames.append(frame)
    ase.io.write(tmp_path / "run.traj", frames)
    remarks = []
    table = linewidth_table(
        crystal, [read_velocities(tmp_path / "run.traj", damped.interval_fs)], 300.0, remark=remarks.append
    )
    assert any("differences of positions" in remark for remark in remarks)
    vibrations = table.lines.gamma_thz > 0
    assert np.mean(table.lines.gamma_thz[vibrations]) == pytest.approx(GAMMA, rel=0.08)  # as above
    # what differences lose at 5 THz, 3 %, is given back
    assert table.lines.temperature_K == pytest.approx(300, rel=0.05)  # 45 modes of about 60 lifetimes: 2 %


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1e-3, "Angstrom/fs"), (1 / (1000 * units.fs), "ASE's units"), (100.0, "m/s"), (3.0, "time between frames right")],
)
def test_units_are_asked_for(crystal, run, factor, words):
    with pytest.raises(ValueError, match=words):
        linewidth_table(crystal, [changed(run, velocities=run.velocities * np.float32(factor))], 300.0)


def test_what_is_minded(crystal, run):
    remarks = []
    hot = changed(
        run, velocities=run.velocities * np.float32(1.1), cell=run.cell * 1.01, stretches=run.stretches * 1.01
    )
    short = changed(hot, velocities=hot.velocities[:3000])
    table = linewidth_table(crystal, [hot, short], 300.0, remark=remarks.append)
    text = " ".join(remarks)
    assert "K, not 300 K" in text
    assert "strained by 1.00%" in text
    assert "the last 60 ps" in text
    assert table.lines.run_time_ps == pytest.approx(60)


def test_what_is_refused(crystal, run, tmp_path):
    with pytest.raises(ValueError, match="temperature must be positive"):
        linewidth_table(crystal, [run], 0.0)
    with pytest.raises(ValueError, match="at least one trajectory"):
        linewidth_table(crystal, [], 300.0)
    with pytest.raises(ValueError, match="another supercell"):
        linewidth_table(crystal, [run, changed(run, cell=run.cell * 1.1)], 300.0)
    with pytest.raises(ValueError, match="another time between frames"):
        linewidth_table(crystal, [run, changed(run, interval_fs=5.0)], 300.0)
    with pytest.raises(ValueError, match="too short"):
        linewidth_table(crystal, [changed(run, velocities=run.velocities[:100])], 300.0)
    table = linewidth_table(crystal, [run], 300.0)
    with pytest.raises(ValueError, match=r"not \.txt"):
        table.write(tmp_path / "table.txt")


def test_a_run_that_resolves_nothing_is_refused(crystal):
    undamped = langevin(crystal, lambda f: np.full(f.shape, 1e-5), frames=1000, seed=2)
    supercell = crystal.supercell
    run = VelocityRun(
        undamped.velocities.astype(np.float32),
        supercell.positions[None],
        np.array(supercell.cell),
        list(supercell.symbols),
        undamped.interval_fs,
        False,
    )
    remarks = []
    try:
        table = linewidth_table(crystal, [run], 300.0, remark=remarks.append)
    except ValueError as error:
        # The energy of few modes that never change may miss the temperature before widths are looked at.
        assert "no line is resolved" in str(error)
        return
    # By chance single modes look broad (8 %); all others are told to be upper bounds.
    assert table.summary()["resolved"] < 0.2
    assert any("upper bounds" in remark for remark in remarks)
