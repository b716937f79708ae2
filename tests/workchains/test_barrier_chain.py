"""The work chain iontherm.barrier: what it hands to its job, and a run of it with EMT."""

import json
from io import BytesIO

import numpy as np
import pytest
from aiida.orm import Dict, StructureData
from aiida.plugins import CalculationFactory, ParserFactory, WorkflowFactory
from ase.build import bulk

from aiida_iontherm.calculations.barrier import BarrierCalculation, BarrierParser
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.tasks.barrier_input import Input
from aiida_iontherm.workchains.barrier import BarrierWorkChain

SETTINGS = {"mobile": "Cu", "search": {"max_distance": 3.0}, "images": 1}
ENGINE = {"name": "emt", "options": {}}


@pytest.fixture
def copper(aiida_profile):
    return StructureData(ase=bulk("Cu", "fcc", a=3.59, cubic=True))


def test_entry_points():
    assert CalculationFactory("iontherm.barrier") is BarrierCalculation
    assert ParserFactory("iontherm.barrier") is BarrierParser
    assert WorkflowFactory("iontherm.barrier") is BarrierWorkChain
    spec = BarrierWorkChain.spec()
    assert all(port.help for name, port in spec.inputs.items() if name != "metadata")


@pytest.mark.parametrize(
    ("extent", "supercell"),
    [
        # 7.18 suffices for 7, not for 8; atoms for two cells along each axis only
        ({"min_extent": 7.0}, (2, 2, 2)),
        ({"min_extent": 8.0}, (3, 3, 3)),
        ({"min_extent": 8.0, "max_atoms": 40}, (2, 2, 2)),
        ({"supercell": [2, 3, 2]}, (2, 3, 2)),
    ],
)
def test_the_supercell_is_chosen(extent, supercell, make_process, copper):
    process = make_process("iontherm.barrier", structure=copper, engine=Dict(ENGINE), settings=Dict(SETTINGS | extent))
    process.setup()
    parameters = Input.model_validate(process.ctx.inputs["parameters"].get_dict())
    assert parameters.supercell == supercell
    assert (parameters.engine, parameters.images) == ("emt", 1)
    assert "potential" not in process.ctx.inputs


def test_a_potential_and_a_path_reach_the_job(make_process, nodes):
    path = ConfigurationsData.from_frames([nodes["structure"].get_ase()] * 2)
    process = make_process(
        "iontherm.barrier",
        structure=nodes["structure"],
        potential=nodes["potential_node"],
        path=path,
        settings=Dict(SETTINGS),
    )
    process.setup()
    assert process.ctx.inputs["potential"] is nodes["potential_node"]
    assert process.ctx.inputs["path"] is path
    assert "engine" not in process.ctx.inputs["parameters"].get_dict()


def test_wrong_inputs(make_process, copper, nodes):
    with pytest.raises(ValueError, match="either `potential` or `engine`"):
        make_process("iontherm.barrier", structure=copper, settings=Dict(SETTINGS))
    with pytest.raises(ValueError, match="either `potential` or `engine`"):
        make_process(
            "iontherm.barrier",
            structure=copper,
            settings=Dict(SETTINGS),
            engine=Dict(ENGINE),
            potential=nodes["potential_node"],
        )
    both = Dict(SETTINGS | {"supercell": [2, 2, 2], "min_extent": 9.0})
    with pytest.raises(ValueError, match="either supercell or min_extent"):
        make_process("iontherm.barrier", structure=copper, settings=both, engine=Dict(ENGINE))
    path = ConfigurationsData.from_frames([copper.get_ase()] * 2)
    with pytest.raises(ValueError, match="has its supercell"):
        make_process(
            "iontherm.barrier",
            structure=copper,
            path=path,
            settings=Dict(SETTINGS | {"min_extent": 9.0}),
            engine=Dict(ENGINE),
        )


def test_a_run(run_process, copper, task_code):
    """The vacancy of copper from structure to record; its neighbours are not relaxed far, which one image allows."""
    settings = SETTINGS | {"supercell": [2, 2, 2], "fmax": 0.1}
    node = run_process(BarrierWorkChain, code=task_code, structure=copper, engine=Dict(ENGINE), settings=Dict(settings))
    assert node.is_finished_ok, node.exit_message
    there, back = node.outputs.result.quantities
    assert (there.name, there.unit, there.converged) == ("migration_barrier_Cu-Cu_2.54", "eV", True)
    # measured 0.70 eV, and EMT is no better than a fifth
    assert there.value == pytest.approx(0.70, rel=0.2)
    assert back.value == pytest.approx(there.value, abs=1e-2)  # forces of 0.1 eV/Angstrom are left
    assert len(node.outputs.paths.frames()) == 3
    energies = node.outputs.profiles.get_array("energies_ev_0")
    assert energies.max() == pytest.approx(there.value, abs=1e-3)
    figures = node.outputs.output_parameters.get_dict()
    assert figures["barriers"][0]["steps"] > 0
    assert "quantities" not in figures


def test_failures_have_the_words_of_the_task(run_process, copper, task_code):
    node = run_process(
        BarrierWorkChain,
        code=task_code,
        structure=copper,
        engine=Dict(ENGINE),
        settings=Dict(SETTINGS | {"search": {"max_distance": 2.0}}),
    )
    assert node.exit_status == 210
    assert "the nearest sites are 2.54 apart" in node.exit_message


def test_parser_of_a_scan(make_job, aiida_profile):
    """A scan along directions has no images."""
    from aiida_iontherm.physics.ions import quartic_well, scan_quantities

    x = np.linspace(-0.5, 0.5, 9)
    records = [q.to_dict() for q in scan_quantities(quartic_well(x, x**2, 63.5), "Cu", "[1 0 0]", "rigid")]
    output = {
        "status": "finished",
        "seconds": 1.0,
        "peak_memory_mb": 1.0,
        "version": "0",
        "results": {"method": "scan", "scans": [], "quantities": records},
    }
    stream = BytesIO()
    np.savez(stream, displacements_A=x, scan_energies_ev=x[None] ** 2)
    node = make_job(
        "iontherm.barrier",
        files={"output.json": json.dumps(output).encode(), "barriers.npz": stream.getvalue()},
    )
    outputs, calculation = BarrierParser.parse_from_node(node, store_provenance=False)
    assert calculation.is_finished_ok, calculation.exit_message
    assert "paths" not in outputs
    assert outputs["profiles"].get_array("displacements_A").shape == (9,)
    assert outputs["result"].quantities[0].name == "well_frequency_Cu"
    broken = make_job("iontherm.barrier", files={"output.json": json.dumps(output).encode(), "barriers.npz": b"PK"})
    _, calculation = BarrierParser.parse_from_node(broken, store_provenance=False)
    assert calculation.exit_status == 340
