"""Exported trajectories come back from a job only if they were asked for."""

import pytest
from aiida.orm import Dict, RemoteData, StructureData
from aiida.plugins import ParserFactory


def test_files_are_retrieved_and_taken_along(prepare_job, task_code, cuau):
    plain = {"temperature": 300.0, "timestep_fs": 2.0, "production_ps": 1.0, "equilibration_ps": 0.0, "engine": "emt"}
    asked = Dict(plain | {"export": ["hdf5", "extxyz"], "replicas": 2})
    structure = StructureData(ase=cuau)
    _, info = prepare_job("iontherm.md", structure=structure, parameters=Dict(plain))
    assert not [name for name in info.retrieve_list if name.startswith("trajectory.") and name != "trajectory.npz"]
    before = RemoteData(remote_path="/scratch/before", computer=task_code.computer)
    _, info = prepare_job("iontherm.md", structure=structure, parameters=asked, restart_folder=before)
    names = {"trajectory.h5", "trajectory_1.h5", "trajectory.extxyz", "trajectory_1.extxyz"}
    assert names <= set(info.retrieve_list)
    assert {target for _, _, target in info.remote_copy_list} == names
    with pytest.raises(ValueError, match="no format xyz to export to"):
        prepare_job("iontherm.md", structure=structure, parameters=Dict(plain | {"export": ["xyz"]}))


def test_nodes_of_the_files_that_are_there(make_job, task_runs):
    files = task_runs["md"].files("trajectory.npz", "snapshots.extxyz") | {"trajectory.h5": b"frames"}
    parameters = Dict({"export": ["hdf5", "lammps-dump"]})
    node = make_job("iontherm.md", inputs={"parameters": parameters}, files=files)
    outputs, calculation = ParserFactory("iontherm.md")(node).parse_from_node(node, store_provenance=False)
    assert calculation.is_finished_ok, calculation.exit_message
    assert set(outputs["exports"]) == {"hdf5"}
    assert outputs["exports"]["hdf5"].get_content(mode="rb") == b"frames"
