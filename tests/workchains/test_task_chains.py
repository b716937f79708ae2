"""Each chain turns its inputs into a job whose parameters the task accepts."""

import importlib

import pytest
from aiida.orm import Dict
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_iontherm.tasks.registry import TASKS
from aiida_iontherm.workchains.potential import TRAINING_KEYS
from aiida_iontherm.workchains.protocols import load_protocol

MD = {"temperature": 300.0, "timestep_fs": 2.0, "equilibration_ps": 0.5, "production_ps": 1.0, "supercell": [2, 2, 1]}


def task_input(process):
    """What the task says to the parameters of the first job, files aside."""
    module = importlib.import_module(TASKS[process._process_class.TASK][0])
    return module.Input.model_validate(process.ctx.inputs["parameters"].get_dict())


@pytest.fixture
def set_up(make_process):
    def run(plugin, **inputs):
        process = make_process(f"iontherm.{plugin}", **inputs)
        process.setup()
        return process

    return run


def test_relax(set_up, nodes):
    process = set_up("relax", structure=nodes["structure"], engine=nodes["engine"], settings=nodes["relax"])
    parameters = task_input(process)
    assert (parameters.engine, parameters.mode) == ("emt", "relax")
    assert parameters.relax.relax_cell is True
    assert parameters.relax.force_tolerance == 0.02
    assert process.ctx.inputs["structure"] is nodes["structure"]


def test_sampling(set_up, nodes):
    settings = Dict(nodes["reference"].get_dict() | {"seed": 7})
    process = set_up("reference_set", structure=nodes["structure"], engine=nodes["engine"], settings=settings)
    parameters = task_input(process)
    assert parameters.mode == "sample"
    # 5 Angstrom wanted: two cells of 2.80, two of 3.68.
    assert parameters.sample.supercell == (2, 2, 2)
    assert parameters.sample.temperatures == [300.0, 500.0]
    assert parameters.sample.seed == 7


def test_labelling(set_up, nodes):
    process = set_up("reference_set", configurations=nodes["configurations"], engine=nodes["engine"])
    assert task_input(process).mode == "label"
    assert process.ctx.inputs["configurations"] is nodes["configurations"]
    assert "structure" not in process.ctx.inputs


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "give either `structure`"),
        (["structure", "configurations"], "give either `structure`"),
        (["structure"], "sampling needs `settings`"),
    ],
)
def test_reference_set_wants_the_right_inputs(names, words, make_process, nodes):
    with pytest.raises(ValueError, match=words):
        make_process("iontherm.reference_set", engine=nodes["engine"], **{name: nodes[name] for name in names})


@pytest.mark.parametrize("start", [False, True])
def test_training(start, set_up, nodes):
    section = nodes["potential"].get_dict()
    settings = {key: section[key] for key in TRAINING_KEYS} | {"seed": 3}
    inputs = {"start": nodes["potential_node"]} if start else {}
    process = set_up("train", configurations=nodes["configurations"], settings=Dict(settings), **inputs)
    parameters = task_input(process)
    assert (parameters.level, parameters.seed) == (6, 3)
    assert ("start" in process.ctx.inputs) == start


def test_dynamics(set_up, nodes):
    process = set_up("dynamics", structure=nodes["structure"], potential=nodes["potential_node"], settings=Dict(MD))
    assert task_input(process).temperature == 300.0
    assert process.ctx.inputs["potential"] is nodes["potential_node"]


def test_selection(set_up, nodes):
    inputs = {"potential": nodes["graded_potential"], "candidates": {"hot": nodes["configurations"]}}
    process = set_up("select", settings=Dict({"grade_select": 3.0, "max_selected": 5}), **inputs)
    parameters = process.ctx.inputs["parameters"].get_dict()
    assert parameters == {"grade_select": 3.0, "max_selected": 5}
    assert process.ctx.inputs["candidates"]["hot"] is nodes["configurations"]
    assert process.ctx.inputs["potential"] is nodes["graded_potential"]


def test_force_constants(set_up, nodes):
    settings = Dict(nodes["force_constants"].get_dict() | {"supercell": [3, 3, 2]})
    process = set_up("force_constants", structure=nodes["structure"], trajectory=nodes["trajectory"], settings=settings)
    assert task_input(process).supercell == (3, 3, 2)


def test_force_constants_of_the_finest_protocol(set_up, nodes):
    """Every key of the section is one of the task; the fourth order leaves the others as they are."""
    section = load_protocol("precise").force_constants.model_dump(mode="json")
    settings = Dict(section | {"supercell": [3, 3, 2]})
    process = set_up("force_constants", structure=nodes["structure"], trajectory=nodes["trajectory"], settings=settings)
    parameters = task_input(process)
    assert parameters.cutoffs == (8.0, 6.0, 5.2)
    assert parameters.convergence == ("snapshots",)
    assert parameters.expansion == "effective"


@pytest.mark.parametrize("sources", [[], ["trajectory", "configurations"]])
@pytest.mark.parametrize("kind", ["job", "chain"])
def test_force_constants_want_one_source_of_snapshots(kind, sources, make_process, nodes, task_code):
    inputs = {"structure": nodes["structure"], **{name: nodes[name] for name in sources}}
    settings = Dict(nodes["force_constants"].get_dict() | {"supercell": [3, 3, 2]})
    if kind == "chain":
        with pytest.raises(ValueError, match="give either `trajectory` or `configurations`"):
            make_process("iontherm.force_constants", settings=settings, **inputs)
        return
    builder = CalculationFactory("iontherm.force_constants").get_builder()
    message = builder._port_namespace.validate({**inputs, "code": task_code, "parameters": settings})
    assert "give either `trajectory` or `configurations`" in message.message


def test_lattice_conductivity(set_up, nodes):
    settings = Dict(
        {"mesh": 12.0, "coarse_mesh": 8.0, "temperatures": [300.0], "mobile": "Cu", "dos_smearing_thz": 0.1}
    )
    process = set_up(
        "lattice_conductivity",
        force_constants=nodes["force_constants_node"],
        fit=Dict({"r2_test": 0.9}),
        settings=settings,
    )
    assert task_input(process).mesh == 12.0


def test_options_reach_the_job(set_up, nodes):
    options = {"max_wallclock_seconds": 1800, "queue_name": "short"}
    process = set_up(
        "relax",
        structure=nodes["structure"],
        engine=nodes["engine"],
        settings=nodes["relax"],
        options=Dict(options),
    )
    assert process.ctx.inputs["metadata"]["options"] == options


@pytest.mark.parametrize(
    "name",
    [
        "diffusion",
        "barrier",
        "displaced_force_constants",
        "dynamics",
        "force_constants",
        "green_kubo",
        "lattice_conductivity",
        "material",
        "potential",
        "reference_set",
        "relax",
        "select",
        "train",
    ],
)
def test_every_port_is_explained(name):
    spec = WorkflowFactory(f"iontherm.{name}").spec()
    ports = {key: port for key, port in spec.inputs.items() if key != "metadata"}
    assert all(port.help for port in ports.values()), [key for key, port in ports.items() if not port.help]
    assert all(
        port.help for port in spec.outputs.values() if port.name not in ("remote_folder", "remote_stash", "retrieved")
    )
