"""The chains through aiida-vasp and back, with a program that stands in for VASP and computes with EMT.

The chain does not know the difference, and EMT itself tells what must come out.
"""

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from aiida_iontherm.data import ConfigurationsData

pytestmark = pytest.mark.slow

SAMPLE = {
    "min_extent": 5.0,
    "max_atoms": 40,
    "temperatures": [300.0, 500.0],
    "volume_scalings": [1.0, 1.03],
    "frames_per_run": 2,
    "stride": 3,
    "timestep_fs": 4.0,
    "friction_per_ps": 20.0,
    "strain": 0.01,
    "rattled_frames": 1,
    "rattle": 0.05,
    "seed": 5,
}


def against_emt(frames):
    """Largest deviations of forces, stresses and energies from EMT on the same positions."""
    forces, stresses, energies = [], [], []
    for frame in frames:
        own = frame.copy()
        own.calc = EMT()
        forces.append(np.abs(own.get_forces() - frame.get_forces()).max())
        stresses.append(np.abs(own.get_stress() - frame.get_stress()).max())
        energies.append(abs(own.get_potential_energy() - frame.get_potential_energy()))
    return max(forces), max(stresses), max(energies)


def test_labels_come_back_in_the_order_they_were_asked_for(vasp, run_chain, cuau):
    """Copper and gold in turn, which POSCAR and POTCAR have one after the other."""
    frames = []
    for seed in range(3):
        frame = cuau.repeat((2, 1, 1))
        frame.rattle(0.05, seed=seed)
        frames.append(frame)
    engine = Dict(vasp | {"jobs_at_once": 2})
    node = run_chain("iontherm.reference_set", configurations=ConfigurationsData.from_frames(frames), engine=engine)
    assert node.is_finished_ok, node.exit_message
    labelled = node.outputs.configurations.frames()
    for frame, back in zip(frames, labelled, strict=True):
        assert back.get_chemical_symbols() == frame.get_chemical_symbols() == ["Cu", "Au"] * 2
        assert np.abs(back.positions - frame.positions).max() < 1e-7  # digits of extended XYZ
    forces, stresses, energies = against_emt(labelled)
    # Eight digits after the point in vasprun.xml, ten in POSCAR; stresses in kB, 6e-4 eV/Angstrom^3 each.
    assert forces < 1e-6
    assert stresses < 1e-7
    assert energies < 1e-6


def test_sample(vasp, run_chain, cuau):
    node = run_chain(
        "iontherm.reference_set", structure=StructureData(ase=cuau), engine=Dict(vasp), settings=Dict(SAMPLE)
    )
    assert node.is_finished_ok, node.exit_message
    frames = node.outputs.configurations.frames()
    assert len(frames) == 2 * 2 + 1
    assert node.outputs.output_parameters["frames"] == 5
    forces, stresses, energies = against_emt(frames)
    assert (forces < 1e-5, stresses < 1e-6, energies < 1e-5) == (True, True, True)
    # Two runs at two volumes, each of one cell throughout.
    volumes = [frame.cell.volume for frame in frames]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-7)
    assert volumes[2] / volumes[0] == pytest.approx(1.03, rel=0.01)  # the random strain is traceless to first order
    assert np.abs(frames[1].positions - frames[0].positions).max() > 0.01


def test_relaxation_finds_the_cell_that_ase_finds(vasp, run_chain, cuau):
    settings = Dict({"relax_cell": True, "force_tolerance": 0.001, "max_steps": 60})
    node = run_chain("iontherm.relax", structure=StructureData(ase=cuau), engine=Dict(vasp), settings=settings)
    assert node.is_finished_ok, node.exit_message
    own = cuau.copy()
    own.calc = EMT()
    BFGS(FrechetCellFilter(own), logfile=None).run(fmax=1e-4)
    # A force on the cell of 0.001 eV/Angstrom, over a stiffness of 10 eV/Angstrom^2, is 1e-4 Angstrom; ten times that.
    assert node.outputs.structure.get_ase().cell.lengths() == pytest.approx(own.cell.lengths(), abs=2e-3)
    assert node.outputs.structure.get_ase().get_chemical_symbols() == ["Cu", "Au"]
    assert node.outputs.output_parameters["max_force_ev_per_angstrom"] < 0.002
