"""What each CalcJob hands to its task: an input.json it accepts, the files it names, the command, the limits."""

import importlib
import json
from importlib.metadata import entry_points
from io import BytesIO

import ase.io
import numpy as np
import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, RemoteData, StructureData
from aiida.plugins import CalculationFactory, ParserFactory

from aiida_iontherm.calculations.force_constants import ForceConstantsCalculation, ForceConstantsParser
from aiida_iontherm.calculations.lattice_conductivity import LatticeConductivityCalculation, LatticeConductivityParser
from aiida_iontherm.calculations.md import MdCalculation, MdParser
from aiida_iontherm.calculations.reference import ReferenceCalculation, ReferenceParser
from aiida_iontherm.calculations.select import SelectCalculation, SelectParser
from aiida_iontherm.calculations.train import TrainCalculation, TrainParser
from aiida_iontherm.data import ConfigurationsData, ForceConstantsData, PotentialData, TrajectoryData
from aiida_iontherm.engines.builders import engine_class
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of, active_set_to_arrays
from aiida_iontherm.tasks.registry import TASKS
from aiida_iontherm.workchains.protocols import load_protocol

DEMO = load_protocol("demo").model_dump(mode="json")
ENGINE = {"engine": "emt", "engine_options": {}}
CLASSES = {
    "reference": (ReferenceCalculation, ReferenceParser),
    "train": (TrainCalculation, TrainParser),
    "md": (MdCalculation, MdParser),
    "select": (SelectCalculation, SelectParser),
    "force_constants": (ForceConstantsCalculation, ForceConstantsParser),
    "lattice_conductivity": (LatticeConductivityCalculation, LatticeConductivityParser),
}


def archive(node_class):
    stream = BytesIO()
    np.savez(stream, **{name: np.ones(2) for name in node_class.REQUIRED})
    stream.seek(0)
    return node_class(stream, filename="file.npz")


@pytest.fixture
def structure(aiida_profile, cuau):
    return StructureData(ase=cuau)


@pytest.fixture
def potential(aiida_profile, tmp_path, cuau):
    species, stream = ["Cu", "Au"], BytesIO()
    MomentTensorPotential.new(level=4, species=species, cutoff=4.0, radial_size=4).write(tmp_path / "p.mtp")
    active_set = active_set_of(MomentTensorPotential.read(tmp_path / "p.mtp", species), [cuau])
    np.savez(stream, **active_set_to_arrays(active_set))
    stream.seek(0)
    return PotentialData(tmp_path / "p.mtp", species=species, active_set=stream)


@pytest.fixture
def configurations(aiida_profile, cuau):
    return ConfigurationsData.from_frames([cuau, cuau.repeat((2, 1, 1))])


MD = {"temperature": 300.0, "timestep_fs": 2.0, "equilibration_ps": 1.0, "production_ps": 2.0, "supercell": [2, 2, 1]}
SAMPLE = {key: value for key, value in DEMO["reference"].items() if key not in ("min_extent", "max_atoms")}
RELAX = {key: DEMO["relax"][key] for key in ("relax_cell", "force_tolerance", "max_steps")}
TRAIN = {key: DEMO["potential"][key] for key in ("level", "cutoff", "radial_size", "weights", "max_iterations")}
FIT = DEMO["force_constants"] | {"supercell": [3, 3, 2]}
MESH = {"mesh": 20.0, "coarse_mesh": 10.0, "temperatures": [300.0], "mobile": "Cu"}

# plugin, parameters, names of the node inputs, files they become
JOBS = {
    "relax": (
        "reference",
        ENGINE | {"mode": "relax", "relax": RELAX},
        ["structure"],
        {"structures": "structure.extxyz"},
    ),
    "sample": (
        "reference",
        ENGINE | {"mode": "sample", "sample": SAMPLE | {"supercell": [2, 2, 1]}},
        ["structure"],
        {"structures": "structure.extxyz"},
    ),
    "label": ("reference", ENGINE | {"mode": "label"}, ["configurations"], {"structures": "structures.extxyz"}),
    "train": ("train", TRAIN, ["configurations"], {"configurations": "labelled.extxyz"}),
    "retrain": (
        "train",
        TRAIN,
        ["configurations", "start"],
        {"configurations": "labelled.extxyz", "start": "start.mtp"},
    ),
    "md": (
        "md",
        MD,
        ["structure", "potential"],
        {"structure": "structure.extxyz", "potential": "potential.mtp"},
    ),
    "graded_md": (
        "md",
        MD | {"grade_interval": 10},
        ["structure", "potential"],
        {"structure": "structure.extxyz", "potential": "potential.mtp", "active_set": "active_set.npz"},
    ),
    "md_engine": ("md", MD | {"engine": "emt"}, ["structure"], {"structure": "structure.extxyz"}),
    "force_constants": (
        "force_constants",
        FIT,
        ["structure", "trajectory"],
        {"structure": "structure.extxyz", "trajectory": "trajectory.npz"},
    ),
    "lattice_conductivity": (
        "lattice_conductivity",
        MESH,
        ["force_constants"],
        {"force_constants": "force_constants.npz"},
    ),
}
RETRIEVED = {
    "reference": {"labelled.extxyz"},
    "train": {"potential.mtp", "active_set.npz", "parity.npz"},
    "md": {"trajectory.npz", "snapshots.extxyz", "candidates.extxyz", "currents.npz"},
    "force_constants": {"force_constants.npz"},
    "lattice_conductivity": {"phonons.npz"},
}


@pytest.fixture
def nodes(structure, potential, configurations):
    return {
        "structure": structure,
        "potential": potential,
        "start": potential,
        "configurations": configurations,
        "trajectory": archive(TrajectoryData),
        "force_constants": archive(ForceConstantsData),
    }


@pytest.fixture
def prepared(prepare_job, nodes):
    """Prepare one of `JOBS` with extra inputs."""

    def prepare(name, **inputs):
        plugin, parameters, names, _ = JOBS[name]
        return prepare_job(
            f"iontherm.{plugin}", parameters=Dict(parameters), **{key: nodes[key] for key in names}, **inputs
        )

    return prepare


@pytest.mark.parametrize("name", CLASSES)
def test_entry_points(name):
    assert CalculationFactory(f"iontherm.{name}") is CLASSES[name][0]
    assert ParserFactory(f"iontherm.{name}") is CLASSES[name][1]
    assert CLASSES[name][0].spec().inputs["metadata"]["options"]["parser_name"].default == f"iontherm.{name}"
    assert CLASSES[name][0].TASK in TASKS


def test_engine_is_registered():
    (point,) = entry_points(group="iontherm.engines", name="embedded")
    assert point.load() is engine_class("emt")
    assert engine_class("emt").PLUGIN == "iontherm.reference"


@pytest.mark.parametrize("name", JOBS)
def test_task_accepts_what_is_written(name, prepared):
    plugin, parameters, _, files = JOBS[name]
    folder, info = prepared(name)
    assert set(folder.get_content_list()) == {"input.json", *files.values()}
    with folder.open("input.json") as stream:
        content = stream.read()
    job_class = CLASSES[plugin][0]
    module = importlib.import_module(TASKS[job_class.TASK][0])
    task_input = module.Input.model_validate_json(content)  # unknown keys are errors
    for key, filename in files.items():
        assert getattr(task_input, key) == filename
    written = json.loads(content)
    assert {key: written[key] for key in parameters} == Dict(parameters).get_dict()
    assert set(written) == {*parameters, *files, *_species_keys(name)}
    assert [code.cmdline_params for code in info.codes_info] == [[job_class.TASK]]
    assert not info.codes_info[0].withmpi
    assert set(info.retrieve_list) == {"output.json", "progress.jsonl", *RETRIEVED[plugin]}
    assert not info.remote_symlink_list
    assert not info.local_copy_list


def _species_keys(name):
    return {"md": ["species"], "graded_md": ["species"], "retrain": ["start_species"]}.get(name, [])


def test_selection_takes_the_candidates_of_all_runs(prepare_job, potential, configurations):
    runs = {"T300_V1": configurations, "T600_V0_97": configurations}
    folder, info = prepare_job(
        "iontherm.select", parameters=Dict({"grade_select": 4.0}), potential=potential, candidates=runs
    )
    with folder.open("input.json") as stream:
        task_input = importlib.import_module(TASKS["select"][0]).Input.model_validate_json(stream.read())
    assert (task_input.grade_select, task_input.species) == (4.0, ["Cu", "Au"])
    assert set(task_input.candidates) == set(runs)
    files = {*task_input.candidates.values(), task_input.potential, task_input.active_set, "input.json"}
    assert set(folder.get_content_list()) == files
    assert set(info.retrieve_list) == {"output.json", "progress.jsonl", "selected.extxyz"}
    with folder.open("active_set.npz", "rb") as stream:
        assert stream.read() == potential.base.repository.get_object_content("active_set.npz", mode="rb")


def test_grades_need_an_active_set(task_code, structure, potential, configurations, tmp_path):
    bare = PotentialData(tmp_path / "p.mtp", species=["Cu", "Au"])
    runner, common = get_manager().get_runner(), {"code": task_code}
    with pytest.raises(ValueError, match="carries its active set: train it in this version"):
        instantiate_process(
            runner,
            MdCalculation,
            parameters=Dict(MD | {"grade_interval": 10}),
            structure=structure,
            potential=bare,
            **common,
        )
    with pytest.raises(ValueError, match="carries no active set to grade candidates against"):
        instantiate_process(
            runner, SelectCalculation, parameters=Dict({}), potential=bare, candidates={"a": configurations}, **common
        )


def test_potential_travels_with_its_species(prepared, potential):
    folder, _ = prepared("md")
    with folder.open("input.json") as stream:
        assert json.load(stream)["species"] == ["Cu", "Au"]
    with folder.open("potential.mtp", "rb") as stream:
        assert stream.read().decode() == potential.get_content()


def test_structure_is_written_in_full(prepared, cuau):
    folder, _ = prepared("relax")
    found = ase.io.read(folder.get_abs_path("structure.extxyz"))
    assert found.get_chemical_symbols() == cuau.get_chemical_symbols()
    assert found.pbc.all()
    # Extended XYZ carries eight decimals.
    np.testing.assert_allclose(found.cell.array, cuau.cell.array, atol=1e-8)
    np.testing.assert_allclose(found.positions, cuau.positions, atol=1e-8)


@pytest.mark.parametrize(("limit", "seconds"), [(3600, 3462.0), (100, 67.0), (20, 10.0)])
def test_task_leaves_before_the_scheduler_kills(limit, seconds, prepared):
    """30 s and 3 % are left for the checkpoint, but never more than half of the time."""
    folder, _ = prepared("relax", metadata={"options": {"max_wallclock_seconds": limit}})
    with folder.open("input.json") as stream:
        assert json.load(stream)["max_seconds"] == pytest.approx(seconds)


def test_no_limit_without_wall_time(prepared):
    folder, _ = prepared("relax")
    with folder.open("input.json") as stream:
        assert "max_seconds" not in json.load(stream)


@pytest.mark.parametrize("name", JOBS)
def test_restart_links_the_checkpoint(name, prepared, task_code):
    remote = RemoteData(remote_path="/scratch/before", computer=task_code.computer).store()
    _, info = prepared(name, restart_folder=remote)
    assert info.remote_symlink_list == [
        (task_code.computer.uuid, "/scratch/before/checkpoint.npz", "checkpoint.npz"),
    ]


def test_restart_writes_the_same_input(prepared, task_code):
    """The task refuses a checkpoint of another input: a restart must not change a byte of input.json."""
    remote = RemoteData(remote_path="/scratch/before", computer=task_code.computer).store()
    texts = []
    for extra in ({}, {"restart_folder": remote}):
        folder, _ = prepared("md", metadata={"options": {"max_wallclock_seconds": 600}}, **extra)
        with folder.open("input.json", "rb") as stream:
            texts.append(stream.read())
    assert texts[0] == texts[1]


def test_one_thread_by_default():
    options = MdCalculation.spec().inputs["metadata"]["options"]
    assert options["environment_variables"].default()["OMP_NUM_THREADS"] == "1"
    assert options["withmpi"].default is False
    assert options["resources"].default() == {"num_machines": 1, "num_mpiprocs_per_machine": 1}


@pytest.mark.parametrize("given", [[], ["structure", "configurations"]])
def test_reference_wants_one_of_two(given, nodes, task_code):
    inputs = {name: nodes[name] for name in given}
    with pytest.raises(ValueError, match="give either `structure`"):
        instantiate_process(
            get_manager().get_runner(),
            ReferenceCalculation,
            code=task_code,
            parameters=Dict(ENGINE | {"mode": "label"}),
            **inputs,
        )


@pytest.mark.parametrize("name", CLASSES)
def test_every_output_and_exit_code_is_documented(name):
    spec = CLASSES[name][0].spec()
    assert {210, 300, 310, 320, 330, 340, 500} <= {code.status for code in spec.exit_codes.values()}
    for port in spec.outputs.values():
        if port.name not in ("remote_folder", "remote_stash", "retrieved"):
            assert port.help
    for port_name in set(spec.inputs) - {"metadata", "monitors", "code"}:
        assert spec.inputs[port_name].help


def test_what_may_be_taken_from_the_cache():
    """Bad input and failed physics fail again; what the machine broke must be run anew."""
    codes = ReferenceCalculation.exit_codes
    again = ("NO_OUTPUT", "INTERRUPTED", "DISK_FULL", "CRASHED", "OUTPUT_FILE")
    assert all(codes[f"ERROR_{name}"].invalidates_cache for name in again)
    assert not codes.ERROR_INPUT.invalidates_cache
    assert not codes.ERROR_PHYSICS.invalidates_cache
