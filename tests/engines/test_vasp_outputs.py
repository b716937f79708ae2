"""Real runs of VASP through aiida-vasp's parser into labelled frames: units, signs, and what does not count."""

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Dict, FolderData
from aiida.plugins import ParserFactory
from ase.io import read

from aiida_iontherm.engines.builders.vasp import PARSING, VaspEngine


@pytest.fixture
def parse(task_code, shared_data):
    """Parse a folder as if it had been retrieved from a job; returns the outputs and the exit code."""
    pytest.importorskip("aiida_vasp")

    def run(folder, **incar):
        node = CalcJobNode(computer=task_code.computer, process_type="aiida.calculations:vasp.vasp")
        for name, content in (("parameters", incar), ("settings", PARSING)):
            node.base.links.add_incoming(Dict(content).store(), LinkType.INPUT_CALC, link_label=name)
        node.store()
        retrieved = FolderData(tree=shared_data / "vasp" / folder)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        outputs, process = ParserFactory("vasp.vasp").parse_from_node(node, store_provenance=False)
        return outputs, process.exit_status

    return run


def test_finished_single_point(parse, shared_data):
    """Against ASE's own reading of the same files."""
    outputs, status = parse("exit_codes/converged/out", nsw=0)
    assert status == 0
    (frame,) = VaspEngine.frames(outputs)
    own = read(shared_data / "vasp" / "exit_codes/converged/out/vasprun.xml", index=-1)
    assert frame.get_chemical_symbols() == own.get_chemical_symbols()
    # All digits of the file are there: eight after the point, in fractions of cells of some Angstrom.
    assert np.abs(frame.positions - own.positions).max() < 1e-6
    assert np.abs(frame.get_forces() - own.get_forces()).max() < 1e-8
    assert np.abs(frame.get_stress() - own.get_stress()).max() < 1e-8
    # The energy of the forces, not that extrapolated to no smearing.
    assert frame.get_potential_energy() == pytest.approx(own.get_potential_energy(force_consistent=True), abs=1e-7)


@pytest.mark.parametrize("folder", ["exit_codes/elec-unconverged/out"])
def test_steps_whose_electrons_did_not_converge_are_left_out(parse, folder):
    outputs, status = parse(folder, nsw=0)
    assert status == 701
    assert VaspEngine.frames(outputs) == []


def test_a_run_that_was_cut_off_in_its_first_step_leaves_nothing(parse):
    """Its parser finds no forces; `PlaneWaveEngine` asks for frames only where there is a trajectory."""
    outputs, status = parse("exit_codes/unfinished/out", nsw=60, ibrion=2)
    assert status != 0
    assert VaspEngine.OUTPUTS[0] not in outputs


def test_an_unconverged_relaxation_is_told(parse):
    outputs, status = parse("exit_codes/ionic-unconverged/out", nsw=60, ibrion=2)
    assert status == 702
    assert len(VaspEngine.frames(outputs)) >= 1
