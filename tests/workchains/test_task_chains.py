"""Each chain turns its inputs into a job whose parameters the task accepts."""

import importlib
from typing import NamedTuple

import pytest
from aiida.orm import Dict
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_iontherm.data import ConfigurationsData
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


def job_of(submitted, name):
    """What the task says to the parameters of a job that a chain has submitted, and its other inputs."""
    process, inputs = submitted[name]
    assert process.process_class.TASK == "reference"
    return importlib.import_module(TASKS["reference"][0]).Input.model_validate(inputs["parameters"].get_dict()), inputs


@pytest.fixture
def submitted(monkeypatch):
    """Jobs that chains would submit, by their link labels."""
    from aiida.orm import WorkflowNode

    found = {}

    def submit(self, process, **inputs):
        found[inputs["metadata"]["call_link_label"]] = (JobOf(process._process_class), inputs)
        return WorkflowNode().store()

    monkeypatch.setattr("aiida_iontherm.workchains.relax.RelaxWorkChain.submit", submit)
    monkeypatch.setattr("aiida_iontherm.workchains.reference_set.ReferenceSetWorkChain.submit", submit)
    return found


class JobOf(NamedTuple):
    process_class: type


def test_relax(make_process, submitted, nodes):
    process = make_process(
        "iontherm.relax", structure=nodes["structure"], engine=nodes["engine"], settings=nodes["relax"]
    )
    process.setup()
    process.relax()
    parameters, inputs = job_of(submitted, "relaxation")
    assert (parameters.engine, parameters.mode) == ("emt", "relax")
    assert parameters.relax.relax_cell is True
    assert parameters.relax.force_tolerance == 0.02
    assert inputs["structure"] is nodes["structure"]


def test_sampling(make_process, submitted, nodes):
    settings = Dict(nodes["reference"].get_dict() | {"seed": 7})
    process = make_process(
        "iontherm.reference_set", structure=nodes["structure"], engine=nodes["engine"], settings=settings
    )
    process.setup()
    process.run_some()
    parameters, _ = job_of(submitted, "sample")
    assert parameters.mode == "sample"
    # 5 Angstrom wanted: two cells of 2.80, two of 3.68.
    assert parameters.sample.supercell == (2, 2, 2)
    assert parameters.sample.temperatures == [300.0, 500.0]
    assert parameters.sample.seed == 7
    assert not process.jobs_are_waiting()


def test_labelling(make_process, submitted, nodes):
    process = make_process("iontherm.reference_set", configurations=nodes["configurations"], engine=nodes["engine"])
    process.setup()
    process.run_some()
    parameters, inputs = job_of(submitted, "label")
    assert parameters.mode == "label"
    assert inputs["configurations"].uuid == nodes["configurations"].uuid
    assert "structure" not in inputs


def test_labelling_in_parts(make_process, submitted, nodes, cuau):
    """Two jobs may be in the queue: the third part waits."""
    engine = Dict(nodes["engine"].get_dict() | {"configurations_per_job": 2, "jobs_at_once": 2})
    five = ConfigurationsData.from_frames([cuau] * 5)
    process = make_process("iontherm.reference_set", configurations=five, engine=engine)
    process.setup()
    process.run_some()
    assert [len(inputs["configurations"].frames()) for _, inputs in submitted.values()] == [2, 2]
    assert process.jobs_are_waiting()
    process.run_some()
    assert [len(inputs["configurations"].frames()) for _, inputs in submitted.values()] == [2, 2, 1]
    assert not process.jobs_are_waiting()


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
        "dynamics",
        structure=nodes["structure"],
        potential=nodes["potential_node"],
        settings=Dict(MD),
        options=Dict(options),
    )
    assert process.ctx.inputs["metadata"]["options"] == options


def test_resources_of_a_task_come_before_those_of_all(set_up, nodes):
    tasks = {"default": {"walltime": "1 h", "queue": "normal"}, "md": {"cpus": 4, "walltime": "12:00:00"}}
    process = set_up(
        "dynamics",
        structure=nodes["structure"],
        potential=nodes["potential_node"],
        settings=Dict(MD),
        options=Dict({"account": "mine", "tasks": tasks}),
    )
    options = process.ctx.inputs["metadata"]["options"]
    assert options["resources"] == {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": 4}
    assert options["environment_variables"]["OMP_NUM_THREADS"] == "4"
    assert (options["max_wallclock_seconds"], options["queue_name"], options["account"]) == (43200, "normal", "mine")


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
        "reference",
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
