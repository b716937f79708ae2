"""MLIP as the trainer: what is looked at before a job runs, and what is done when one ends. No job runs here."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlip_stand_in
import pytest
from aiida.common.links import LinkType
from aiida.engine import Process
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Computer, Dict, InstalledCode, Node, StructureData, load_computer
from aiida.plugins import WorkflowFactory
from ase import Atoms
from ase.calculators.emt import EMT

from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.workchains.mlip import program_problem
from aiida_iontherm.workchains.protocols import ProtocolError, load_protocol

TRAINING = {"level": 4, "cutoff": 4.0, "radial_size": 4, "seed": 2}


@pytest.fixture(scope="module")
def mlp(task_code: Any) -> InstalledCode:
    """A code that nothing is run with."""
    return InstalledCode(
        label="mlp",
        computer=load_computer("localhost"),
        filepath_executable="/bin/mlp",
        default_calc_job_plugin="iontherm.mlip_train",
    ).store()


@pytest.fixture(scope="module")
def labelled(cuau_cell: Atoms, aiida_profile: Any) -> ConfigurationsData:
    """Rattled cells with EMT's labels."""
    frames = []
    for seed in range(5):
        atoms = cuau_cell.repeat((2, 1, 1))
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return ConfigurationsData.from_frames(frames).store()


def mtp(tmp_path: Path, species: list[str], state: bytes = b"") -> PotentialData:
    MomentTensorPotential.new(level=4, species=species, cutoff=4.0, radial_size=4).write(tmp_path / "p.mtp")
    content = (tmp_path / "p.mtp").read_bytes() + state
    return PotentialData(BytesIO(content), species=species, filename="potential.mtp")


@pytest.fixture
def make(mlp: InstalledCode) -> Callable[..., Process]:
    """Make a chain of one command of `mlp`, set up."""

    def call(plugin: str, **inputs: Any) -> Process:
        runner = get_manager().get_runner()
        process = instantiate_process(runner, WorkflowFactory(plugin), code=mlp, **inputs)
        process.setup()
        process.ctx.children = []
        return process

    return call


@pytest.fixture
def training(make: Callable[..., Process], labelled: ConfigurationsData) -> Process:
    options = {"tasks": {"mlip": {"cpus": 8, "walltime": "1 h"}}, "queue_name": "long"}
    parameters = Dict(TRAINING | {"mlip": {"max_iterations": 5}})
    return make("iontherm.mlip_train", parameters=parameters, configurations=labelled, options=Dict(options))


@pytest.fixture
def ended(training: Process, make_job: Callable[..., CalcJobNode]) -> Callable[..., Any]:
    """End a job of the training; the exit code is ``None`` while the chain goes on."""

    def end(status: int, message: str = "", **outputs: Node) -> Any:
        node = make_job("iontherm.mlip_train", exit_status=status, exit_message=message)
        for label, output in outputs.items():
            output.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=label)
            output.store()
        training.ctx.children.append(node)
        training.ctx.iteration = len(training.ctx.children)
        code = training.inspect_process()
        return code if code and code.status else None

    return end


def test_resources_of_mlip(training: Process, make: Callable[..., Process], labelled: Any, tmp_path: Path) -> None:
    """Ranks for trainings; a selection has one, because each rank would write a file of its own."""
    options = training.ctx.inputs["metadata"]["options"]
    assert options["resources"] == {"num_machines": 1, "num_mpiprocs_per_machine": 8}
    assert (options["max_wallclock_seconds"], options["queue_name"]) == (3600, "long")
    selection = make(
        "iontherm.mlip_select",
        parameters=Dict({}),
        potential=mtp(tmp_path, ["Au", "Cu"]),
        configurations=labelled,
        candidates={"hot": labelled},
        options=training.inputs.options,
    )
    options = selection.ctx.inputs["metadata"]["options"]
    assert options["resources"] == {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    assert options["max_wallclock_seconds"] == 3600


def test_wall_time_goes_on_from_the_last_potential(training: Process, ended: Any, tmp_path: Path) -> None:
    kept = mtp(tmp_path, ["Au", "Cu"])
    assert ended(314, "The wall time ran out", potential=kept) is None
    assert training.ctx.inputs["start"] == kept
    assert training.should_run_process()
    # Without one, the same again would end the same.
    code = ended(314, "The wall time ran out")
    assert (code.status, code.message) == (410, "The wall time ran out")


def test_lost_job_is_tried_once_more(ended: Any) -> None:
    assert ended(300) is None
    assert ended(300, "no output").status == 410


@pytest.mark.parametrize("status", [312, 330, 340, 341])
def test_hopeless_job_is_not_repeated(status: int, ended: Any) -> None:
    code = ended(status, "what happened")
    assert (code.status, code.message) == (410, "what happened")


def test_unsettled_loss_is_a_warning(ended: Any, tmp_path: Path) -> None:
    code = ended(710, "five iterations", potential=mtp(tmp_path, ["Au", "Cu"]), output_parameters=Dict({}))
    assert (code.status, code.message) == (710, "five iterations")


def test_training_is_checked_before_it_is_submitted(
    make: Callable[..., Process], labelled: ConfigurationsData, tmp_path: Path
) -> None:
    def code_of(configurations: ConfigurationsData, **inputs: Any) -> Any:
        return make("iontherm.mlip_train", parameters=Dict(TRAINING), configurations=configurations, **inputs).check()

    assert code_of(labelled) is None
    code = code_of(labelled, start=mtp(tmp_path, ["Ag", "Cu"]))
    assert code.status == 210
    assert "Au" in code.message
    weighted = labelled.frames()[:4]
    weighted[1].info["weight"] = 2.0
    assert "remove the weights" in code_of(ConfigurationsData.from_frames(weighted)).message
    bare = [Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True) for atoms in weighted]
    assert code_of(ConfigurationsData.from_frames(bare)).status == 210


def test_selection_is_checked_before_it_is_submitted(
    make: Callable[..., Process], labelled: ConfigurationsData, tmp_path: Path
) -> None:
    def code_of(generation: int, potential: PotentialData) -> Any:
        sets = {"configurations": labelled, "candidates": {"hot": labelled}}
        parameters = Dict({"generation": generation})
        return make("iontherm.mlip_select", parameters=parameters, potential=potential, **sets).check()

    assert code_of(2, mtp(tmp_path, ["Au", "Cu"])) is None
    assert code_of(3, mtp(tmp_path, ["Au", "Cu"], state=mlip_stand_in.STATE + b"\x00\xff")) is None
    code = code_of(3, mtp(tmp_path, ["Au", "Cu"]))
    assert code.status == 210
    assert "no selection state" in code.message
    assert "al_mode" in code.message
    code = code_of(2, mtp(tmp_path, ["Ag", "Cu"]))
    assert code.status == 210
    assert "Au" in code.message


def test_what_mlip_could_not_train_ends_the_training(make_process: Callable[..., Process], mlp: InstalledCode) -> None:
    """Its message goes up; a loss that had not settled does not keep the potential from being compared."""
    settings = {"program": "mlip", "code": "mlp@localhost", **TRAINING}
    frames = ConfigurationsData.from_frames([Atoms("Cu", cell=[3, 3, 3], pbc=True)])
    process = make_process("iontherm.train", configurations=frames, settings=Dict(settings))
    process.setup()
    assert process.has_another_trainer()
    assert not {"program", "code", "mlip"} & set(process.ctx.inputs["parameters"].get_dict())
    finished = SimpleNamespace(value="finished")
    ended = {"pk": 7, "process_state": finished, "is_finished_ok": False}
    for status, expected in ((210, 210), (410, 410)):
        process.ctx.mlip = SimpleNamespace(exit_status=status, exit_message="no memory", **ended)
        code = process.inspect_mlip()
        assert (code.status, code.message) == (expected, "training by MLIP <7>: no memory")
    outputs = SimpleNamespace(potential="potential", output_parameters="figures")
    process.ctx.mlip = SimpleNamespace(exit_status=710, exit_message="", outputs=outputs, **ended)
    assert process.inspect_mlip() is None
    assert (process.ctx.inputs["trained"], process.ctx.inputs["trained_by"]) == ("potential", "figures")


def test_mlip_selects_against_a_set(
    make_process: Callable[..., Process], mlp: InstalledCode, graded_potential: PotentialData
) -> None:
    frames = ConfigurationsData.from_frames([Atoms("Cu", cell=[3, 3, 3], pbc=True)])
    settings = {"program": "mlip", "code": "mlp@localhost", "grade_select": 2.0}
    process = make_process(
        "iontherm.select", potential=graded_potential, candidates={"hot": frames}, settings=Dict(settings)
    )
    process.setup()
    code = process.select_by_mlip()
    assert code.status == 210
    assert "`configurations`" in code.message


@pytest.fixture(scope="module")
def codes(mlp: InstalledCode, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Labels of codes: one of `mlp`, one of another program, one on a computer that is not configured."""
    folder = str(tmp_path_factory.mktemp("far"))
    far = Computer(
        label="far", hostname="far", transport_type="core.local", scheduler_type="core.direct", workdir=folder
    ).store()
    for label, computer, plugin in (("other", "localhost", "iontherm.md"), ("there", far, None)):
        where = load_computer(computer) if isinstance(computer, str) else computer
        InstalledCode(
            label=label, computer=where, filepath_executable="/bin/mlp", default_calc_job_plugin=plugin
        ).store()
    return {"mlp": "mlp@localhost", "other": "other@localhost", "there": "there@far"}


PROBLEMS = [
    ({"program": "gap"}, "there is no program gap for the potential: take native or mlip"),
    ({"program": "native"}, "is for `program: mlip`, leave it out"),
    ({"code": None}, "name its code, potential.code: LABEL@COMPUTER"),
    ({"code": "mlp@nowhere"}, "there is no code mlp@nowhere in this profile: `verdi code create"),
    ({"code": "other"}, "a code for iontherm.md, MLIP needs one for iontherm.mlip_train"),
    ({"code": "there"}, "`verdi computer configure core.local far`"),
    ({"level": 7}, "level: Input should be a multiple of 2"),
    ({"level": 30}, "level: Input should be less than or equal to 28"),
    ({"cutoff": "auto"}, "cutoff: Input should be a valid number"),
    ({"n_starts": 3}, "potential.n_starts is of our own training and unknown to MLIP: leave it out"),
    ({"patience": 3}, "potential.patience is of our own training"),
    ({"mlip": {"generation": 1}}, "mlip.generation: Input should be 2 or 3"),
    ({"mlip": {"max_iter": 9}}, "unknown key mlip.max_iter; did you mean max_iterations?"),
    ({"mlip": {"min_distance": 4.5}}, "mlip.min_distance: 4.5 Angstrom must be below the cutoff, 4"),
]


@pytest.mark.parametrize(("change", "words"), PROBLEMS, ids=[str(change) for change, _ in PROBLEMS])
def test_what_cannot_train_is_said_at_once(change: dict[str, Any], words: str, codes: dict[str, str]) -> None:
    settings = {**TRAINING, "program": "mlip", "code": "mlp", "max_iterations": 9, "tolerance": 0.1} | change
    settings["code"] = codes.get(settings["code"], settings["code"])
    problem = program_problem(settings)
    assert problem is not None
    assert words in problem


def test_what_can_train(codes: dict[str, str]) -> None:
    assert program_problem({**TRAINING, "program": "mlip", "code": codes["mlp"], "tolerance": 0.1}) is None
    assert program_problem({"program": "mlip", "code": codes["mlp"], "grade_select": 2.0}) is None
    assert program_problem({**TRAINING, "n_starts": 3}) is None


def test_chains_refuse_it_before_anything_runs(
    make_process: Callable[..., Process], cuau: Atoms, codes: dict[str, str]
) -> None:
    changes = {"engine": {"name": "emt", "options": {}}, "potential": {"program": "mlip", "code": "mlp@nowhere"}}
    settings = load_protocol("demo", changes).model_dump(mode="json")
    structure = StructureData(ase=cuau)
    with pytest.raises(ValueError, match="there is no code mlp@nowhere"):
        make_process("iontherm.material", structure=structure, settings=Dict(settings))
    with pytest.raises(ValueError, match="there is no code mlp@nowhere"):
        make_process(
            "iontherm.potential",
            structure=structure,
            engine=Dict(settings["engine"]),
            reference=Dict(settings["reference"]),
            settings=Dict(settings["potential"] | {"seed": 1}),
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"program": "mlip"}, "name the code of `mlp`"),
        ({"code": "mlp@cluster"}, "leave it out with `program: native`"),
        ({"program": "mlp"}, "Input should be 'native' or 'mlip'"),
        ({"level": 9}, "levels are even, not 9"),
        ({"program": "mlip", "code": "mlp@cluster", "mlip": {"tolerence": 1e-5}}, "did you mean"),
    ],
)
def test_protocols_name_the_program(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        load_protocol("demo", {"potential": change})
