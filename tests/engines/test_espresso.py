"""Quantum ESPRESSO for real, through the chains that every engine goes through."""

from itertools import pairwise

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from ase.build import bulk

from aiida_iontherm.data import ConfigurationsData

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def displaced():
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=1)
    atoms.set_cell(atoms.cell.array * 0.99, scale_atoms=True)
    return atoms


def test_labels_forces_are_derivatives_of_energies_and_stress_of_strain(espresso, run_chain, displaced):
    """Units and signs at once: an eV, an Angstrom and a GPa mistaken would be off by factors."""
    step, strain = 0.01, 0.004
    frames = [displaced.copy() for _ in range(3)]
    for frame, sign in zip(frames[1:], (1, -1), strict=True):
        frame.set_cell(frame.cell.array @ np.diag([1, 1, 1 + sign * strain]), scale_atoms=True)
        frame.positions[1, 0] += sign * step
    node = run_chain(
        "iontherm.reference_set", configurations=ConfigurationsData.from_frames(frames), engine=Dict(espresso)
    )
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.output_parameters["missing"] == []
    first, *moved = node.outputs.configurations.frames()
    change = (moved[0].get_potential_energy() - moved[1].get_potential_energy()) / 2
    work_of_force = -first.get_forces()[1, 0] * step
    work_of_stress = first.get_stress()[2] * first.cell.volume * strain
    # Plane waves below a cutoff change with the cell, which at 350 eV is a pressure of some kbar, on this volume and
    # strain 0.5 meV; either of the two works is several times as large.
    assert min(abs(work_of_force), abs(work_of_stress)) > 1.5e-3
    assert change == pytest.approx(work_of_force + work_of_stress, abs=0.5e-3)


def test_sample_and_relax(espresso, run_chain):
    """Three steps of MD and a rattled cell make a set; a cell that is too large comes back to PBE's constant."""
    settings = {
        "min_extent": 1.0,
        "max_atoms": 2,
        "temperatures": [300.0],
        "volume_scalings": [1.0],
        "frames_per_run": 3,
        "stride": 1,
        "timestep_fs": 2.0,
        "friction_per_ps": 20.0,
        "strain": 0.01,
        "rattled_frames": 1,
        "rattle": 0.05,
        "seed": 3,
    }
    structure = StructureData(ase=bulk("Si", a=5.50))
    sample = run_chain("iontherm.reference_set", structure=structure, engine=Dict(espresso), settings=Dict(settings))
    assert sample.is_finished_ok, sample.exit_message
    frames = sample.outputs.configurations.frames()
    assert len(frames) == 4
    moves = [np.abs(after.positions - before.positions).max() for before, after in pairwise(frames[:3])]
    assert all(0 < move < 0.1 for move in moves)
    assert all({"energy", "forces", "stress"} <= set(atoms.calc.results) for atoms in frames)
    settings = {"relax_cell": True, "force_tolerance": 0.01, "max_steps": 30}
    relaxed = run_chain("iontherm.relax", structure=structure, engine=Dict(espresso), settings=Dict(settings))
    assert relaxed.is_finished_ok, relaxed.exit_message
    constant = (4 * relaxed.outputs.structure.get_cell_volume()) ** (1 / 3)
    # PBE's is 5.47; the coarse mesh of points and the low cutoff move it by at most one per cent.
    assert constant == pytest.approx(5.47, rel=0.01)
    assert relaxed.outputs.configurations.frames()[0].get_potential_energy() < 0
