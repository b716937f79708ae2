"""What a report tells of molecular dynamics where there are several runs at a temperature."""

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, StructureData, WorkChainNode
from ase import Atoms
from plumpy import ProcessState

from aiida_iontherm.cli.gather import gather
from aiida_iontherm.data import TrajectoryData

SITES = 3.0 * np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) + 1.5


def trajectory(seed, hops, iodine):
    """Four copper ions for 8 ps on four of eight sites of a cube; the last hops to and fro."""
    positions = np.repeat(SITES[None, :4], 200, axis=0)
    for hop in range(hops):
        positions[20 * (hop + 1) :, 3] = SITES[7 if hop % 2 == 0 else 3]
    positions = positions + np.random.default_rng(seed).normal(0, 0.15, positions.shape)
    arrays = {name: np.zeros(1) for name in TrajectoryData.REQUIRED} | {
        "mobile_positions": positions.astype(np.float32),
        "drift": np.zeros((200, 3)),
        "cell": 6.0 * np.eye(3),
        "numbers": np.array([29] * 4 + [53] * 4),
        "frame_interval_fs": np.array(40.0),
        "msd_lags_ps": np.array([0.04, 0.08]),
        "msd_origins": np.array([199, 198]),
        "msd_Cu": np.ones((2, 3)),
        "msd_I": np.full((2, 3), iodine),
        "vdos_frequencies_thz": np.arange(4.0),
        "vdos_Cu": np.ones(4),
        "vdos_I": np.full(4, iodine),
    }
    return TrajectoryData.from_arrays(arrays)


def process(label, caller=None, inputs=None, outputs=None, exit_status=0):
    """Make a work chain node that looks as if it had run."""
    node = WorkChainNode()
    node.set_process_label(label)
    for name, data in (inputs or {}).items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_WORK, name)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK, label.lower())
    node.store()
    for name, data in (outputs or {}).items():
        data.store().base.links.add_incoming(node, LinkType.RETURN, name)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    return node


@pytest.fixture
def material(aiida_profile):
    """Make a run with these runs of dynamics: temperature, trajectory and exit status of each."""

    def make(*runs):
        structure = StructureData(ase=Atoms("Cu4I4", positions=SITES, cell=6.0 * np.eye(3), pbc=True))
        settings = {"mobile": "Cu", "description": "", "relax": {"relax_cell": True}}
        top = process("MaterialWorkChain", inputs={"structure": structure, "settings": Dict(settings)})
        diffusion = process("DiffusionWorkChain", top)
        for temperature, node, exit_status in runs:
            outputs = {"trajectory": node, "output_parameters": Dict({"warnings": []})} if exit_status == 0 else {}
            settings = Dict({"temperature": temperature})
            process("DynamicsWorkChain", diffusion, {"settings": settings}, outputs, exit_status)
        return top

    return make


def test_all_runs_at_a_temperature_count(material):
    run = material(
        (600.0, trajectory(1, 3, 1.0), 0),
        (300.0, trajectory(2, 0, 5.0), 0),
        (600.0, trajectory(3, 2, 2.0), 0),
        (600.0, trajectory(4, 4, 7.0), 300),
        (600.0, trajectory(5, 0, 6.0), 0),
    )
    report = gather(run)
    # the fourth failed; the hops of the first, third and last are 3, 2 and 0
    assert (report.hops.temperature, report.hops.runs, report.hops.hops) == (600.0, 3, 5)
    assert report.hops.duration_ps == pytest.approx(3 * 199 * 0.04)
    # four ions in three runs; ions that vibrate reach their core within the first frames
    assert report.hops.residence.residence_ps == pytest.approx(4 * 3 * 199 * 0.04 / 5, rel=0.01)
    assert [(record.ion, record.temperature) for record in report.msd] == [
        ("Cu", 300.0),
        ("I", 300.0),
        ("Cu", 600.0),
        ("I", 600.0),
    ]
    assert [record.msd[0, 0] for record in report.msd if record.ion == "I"] == pytest.approx([5.0, 3.0])
    assert [record.by_species["I"][0] for record in report.vdos] == pytest.approx([5.0, 3.0])


def test_hops_of_a_later_run_are_seen(material):
    run = material((412.5, trajectory(1, 0, 1.0), 0), (412.5, trajectory(2, 1, 1.0), 0))
    assert (gather(run).hops.temperature, gather(run).hops.hops) == (412.5, 1)
