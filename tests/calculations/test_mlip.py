"""The jobs of `mlp`: what they write, and their parsers on files of the stand-in, whole and damaged."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import mlip_stand_in
import numpy as np
import pytest
from aiida.orm import Dict
from aiida.plugins import CalculationFactory, ParserFactory
from ase import Atoms
from ase.calculators.emt import EMT

from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.files import read_cfg, read_mtp_file
from aiida_iontherm.physics.mtp.training import part_configurations
from aiida_iontherm.tasks.mlip_files import EVALUATED, SELECTED

SPECIES = ["Au", "Cu"]
TRAINING = {"level": 2, "cutoff": 4.0, "radial_size": 3, "seed": 1}


@pytest.fixture(scope="module")
def frames(cuau_cell: Atoms) -> list[Atoms]:
    found = []
    for seed in range(14):
        atoms = cuau_cell.repeat((2, 1, 1))
        atoms.rattle(0.05 if seed < 10 else 0.3, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        found.append(atoms)
    return found


@pytest.fixture(scope="module")
def labelled(frames: list[Atoms], aiida_profile: Any) -> ConfigurationsData:
    return ConfigurationsData.from_frames(frames[:10]).store()


def training_of(generation: int) -> Dict:
    return Dict(TRAINING | {"mlip": {"generation": generation}})


class Run:
    """A folder in which the stand-in has run a job, and what the job would retrieve of it."""

    def __init__(self, path: Path, info: Any) -> None:
        self.path = path
        (code,) = info.codes_info
        generation = 3 if any(path.glob("*.almtp")) else 2
        here = Path.cwd()
        os.chdir(path)
        try:
            mlip_stand_in.main(generation, code.cmdline_params[0], code.cmdline_params[1:])
        finally:
            os.chdir(here)
        patterns = [entry[0] if isinstance(entry, tuple) else entry for entry in info.retrieve_list]
        self.files = {found.name: found.read_bytes() for name in patterns for found in path.glob(name)}


@pytest.fixture
def run(prepare_job: Callable[..., Any], capfd: Any) -> Callable[..., dict[str, bytes]]:
    """Let a job write its files, run the stand-in on them, and return what comes back with what it printed."""

    def call(plugin: str, **inputs: Any) -> dict[str, bytes]:
        folder, info = prepare_job(plugin, **inputs)
        capfd.readouterr()
        files = Run(Path(folder.abspath), info).files
        out, err = capfd.readouterr()
        return files | {"mlp.out": out.encode(), "mlp.err": err.encode()}

    return call


@pytest.fixture
def parse(make_job: Callable[..., Any]) -> Callable[..., tuple[dict[str, Any], Any]]:
    def call(plugin: str, files: dict[str, bytes], scheduler: int | None = None, **inputs: Any) -> Any:
        named = {}
        for name, node in inputs.items():
            entries = node.items() if isinstance(node, dict) else [(None, node)]
            named |= {name if key is None else f"{name}__{key}": value for key, value in entries}
        job = make_job(plugin, inputs=named, files=files)
        if scheduler is not None:
            job.set_exit_status(scheduler)
        return ParserFactory(plugin)(job).parse_from_node(job, store_provenance=False)

    return call


TRAIN, SELECT, EFS = "iontherm.mlip_train", "iontherm.mlip_select", "iontherm.mlip_efs"


@pytest.fixture(scope="module")
def trained(labelled: ConfigurationsData) -> dict[int, dict[str, bytes]]:
    """What trainings of both generations left, filled by the first test that needs one."""
    return {}


@pytest.fixture
def of_training(trained: dict, run: Callable[..., Any], labelled: ConfigurationsData) -> Callable[[int], Any]:
    def get(generation: int) -> dict[str, bytes]:
        if generation not in trained:
            trained[generation] = run(TRAIN, parameters=training_of(generation), configurations=labelled)
        return trained[generation]

    return get


@pytest.fixture
def potential(of_training: Callable[[int], Any]) -> Callable[[int], PotentialData]:
    def get(generation: int) -> PotentialData:
        name = {2: "trained.mtp", 3: "trained.almtp"}[generation]
        return PotentialData(BytesIO(of_training(generation)[name]), species=SPECIES).store()

    return get


def test_files_of_a_training(prepare_job: Callable[..., Any], labelled: ConfigurationsData) -> None:
    """The part held out is the one of our own training, and the program does not see it."""
    folder, info = prepare_job(TRAIN, parameters=training_of(2), configurations=labelled)
    assert set(folder.get_content_list()) == {"potential.mtp", "train.cfg"}
    assert info.provenance_exclude_list == ["train.cfg"]
    assert set(info.retrieve_list) == {"mlp.out", "mlp.err", "trained.mtp", "current.mtp"}
    (code,) = info.codes_info
    assert code.cmdline_params[:3] == ["train", "potential.mtp", "train.cfg"]
    shown = read_cfg(folder.get_abs_path("train.cfg"), SPECIES)
    parts = part_configurations(labelled.frames(), validation_fraction=0.1, seed=1)
    assert (len(shown), len(parts.held_out)) == (9, 1)
    for atoms, entry in zip(shown, parts.to_fit(), strict=True):
        np.testing.assert_array_equal(atoms.positions, entry.atoms.positions)
        np.testing.assert_array_equal(atoms.get_forces(), entry.forces)
        assert atoms.get_potential_energy() == entry.energy
    template = read_mtp_file(folder.get_abs_path("potential.mtp"), untrained=True)
    assert not template.trained
    assert (template.species_count, template.cutoff) == (2, 4.0)
    assert CalculationFactory(TRAIN).spec().inputs["metadata"]["options"]["withmpi"].default


@pytest.mark.parametrize("generation", [2, 3])
def test_training(
    generation: int, of_training: Callable[..., Any], parse: Callable[..., Any], labelled: ConfigurationsData
) -> None:
    files = of_training(generation)
    outputs, process = parse(TRAIN, files, parameters=training_of(generation), configurations=labelled)
    assert process.is_finished_ok, process.exit_message
    figures = outputs["output_parameters"].get_dict()
    assert figures["converged"]
    assert 0 < figures["iterations"] <= mlip_stand_in.LIMIT
    assert (figures["configurations"], figures["configurations_fitted"]) == (10, 9)
    assert figures["selection_state"] == (generation == 3)
    node = outputs["potential"].store()
    assert node.species == SPECIES
    assert not node.has_active_set
    # The very file, with the state that MLIP-3 selects with.
    assert node.get_content(mode="rb") == files[{2: "trained.mtp", 3: "trained.almtp"}[generation]]
    assert np.abs(node.potential().species_coeffs).max() > 0


def test_going_on_from_a_potential(
    prepare_job: Callable[..., Any], potential: Callable[..., Any], labelled: ConfigurationsData
) -> None:
    start = potential(2)
    folder, _ = prepare_job(TRAIN, parameters=training_of(2), configurations=labelled, start=start)
    found = read_mtp_file(folder.get_abs_path("potential.mtp"))
    assert found.potential_tag == ""
    np.testing.assert_array_equal(found.radial_coeffs, start.potential().radial_coeffs)


def test_training_that_did_not_converge(
    of_training: Callable[..., Any], parse: Callable[..., Any], labelled: ConfigurationsData
) -> None:
    files = of_training(2) | {"mlp.out": b"BFGS iter 1: f=2\nBFGS iter 2: f=1\nstep limit reached\n"}
    outputs, process = parse(TRAIN, files, parameters=training_of(2), configurations=labelled)
    assert process.exit_status == 710
    assert "the limit of 1000 iterations was reached" in process.exit_message
    assert set(outputs) == {"potential", "output_parameters"}
    assert outputs["output_parameters"]["converged"] is False


BROKEN = {
    "nothing": ({}, None, 300, "did not start"),
    "no potential": ({"mlp.out": b"usage: mlp COMMAND\n"}, None, 340, "wrote no trained.mtp, but said: usage: mlp"),
    "error": ({"mlp.err": b"ERROR: unknown option max-iter\n"}, None, 330, "unknown option max-iter"),
    "memory": ({"mlp.err": b"what():  std::bad_alloc\n"}, None, 312, "resources.mlip.memory"),
    "killed for memory": ({"mlp.out": b"BFGS iter 1: f=2\n"}, 110, 312, "resources.mlip.memory"),
    "wall time": ({"mlp.out": b"BFGS iter 1: f=2\n"}, 120, 314, "ran out: set resources.mlip.walltime"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_training_that_left_nothing(name: str, parse: Callable[..., Any], labelled: ConfigurationsData) -> None:
    files, scheduler, status, words = BROKEN[name]
    outputs, process = parse(TRAIN, files, scheduler, parameters=training_of(2), configurations=labelled)
    assert process.exit_status == status
    assert words in process.exit_message
    assert not outputs


def test_wall_time_leaves_the_last_potential(
    of_training: Callable[..., Any], parse: Callable[..., Any], labelled: ConfigurationsData
) -> None:
    """The one that was being written when the job was killed is of no use; the other is."""
    whole = of_training(2)["trained.mtp"]
    files = {"mlp.out": b"BFGS iter 1: f=2\n", "current.mtp": whole, "trained.mtp": whole[:300]}
    outputs, process = parse(TRAIN, files, 120, parameters=training_of(2), configurations=labelled)
    assert process.exit_status == 314
    assert "the potential of the last iteration is kept" in process.exit_message
    assert outputs["potential"].get_content(mode="rb") == whole


def test_damaged_and_foreign_potentials(
    of_training: Callable[..., Any], parse: Callable[..., Any], labelled: ConfigurationsData, tmp_path: Path
) -> None:
    files = of_training(2)
    inputs = {"parameters": training_of(2), "configurations": labelled}
    _, process = parse(TRAIN, files | {"trained.mtp": files["trained.mtp"][:-40]}, **inputs)
    assert process.exit_status == 340
    assert "trained.mtp" in process.exit_message
    MomentTensorPotential.new(level=2, species=["Cu"], cutoff=4.0, radial_size=3).write(tmp_path / "other.mtp")
    _, process = parse(TRAIN, files | {"trained.mtp": (tmp_path / "other.mtp").read_bytes()}, **inputs)
    assert process.exit_status == 341
    assert "1 species, 2 were asked for" in process.exit_message


@pytest.fixture
def selection(
    potential: Callable[..., Any], labelled: ConfigurationsData, frames: list[Atoms]
) -> Callable[[int], dict[str, Any]]:
    def inputs(generation: int) -> dict[str, Any]:
        collapsed = frames[0].copy()
        collapsed.positions[1] = collapsed.positions[0] + 0.1
        cold = [atoms.copy() for atoms in frames[:3]]
        hot = [collapsed, *(atoms.copy() for atoms in frames[10:])]
        return {
            "parameters": Dict({"generation": generation}),
            "potential": potential(generation),
            "configurations": labelled,
            "candidates": {
                "cold": ConfigurationsData.from_frames(cold).store(),
                "hot": ConfigurationsData.from_frames(hot).store(),
            },
        }

    return inputs


@pytest.mark.parametrize("generation", [2, 3])
def test_selection(generation: int, selection: Callable[..., Any], run: Any, parse: Any) -> None:
    """What the training set knows is not chosen, nor what has collapsed, and the rest is found again by its run."""
    inputs = selection(generation)
    files = run(SELECT, **inputs)
    outputs, process = parse(SELECT, files, **inputs)
    assert process.is_finished_ok, process.exit_message
    figures = outputs["output_parameters"].get_dict()
    assert figures["candidates"] == 7
    assert figures["chosen"]["cold"] == []
    assert figures["chosen"]["hot"]
    assert 0 not in figures["chosen"]["hot"]
    assert figures["selected"] == len(figures["chosen"]["hot"]) == len(figures["mv_grades"])
    assert all(grade > mlip_stand_in.SELECT_THRESHOLD for grade in figures["mv_grades"])
    hot = inputs["candidates"]["hot"].frames()
    chosen = outputs["configurations"].frames()
    for index, atoms in zip(figures["chosen"]["hot"], chosen, strict=True):
        # All digits of what was sent, not the six that came back.
        np.testing.assert_array_equal(atoms.positions, hot[index].positions)


def test_selection_without_a_choice(selection: Any, parse: Any) -> None:
    outputs, process = parse(SELECT, {SELECTED: b"\n", "mlp.out": b"0 selected\n"}, **selection(2))
    assert process.is_finished_ok, process.exit_message
    assert outputs["output_parameters"]["chosen"] == {"cold": [], "hot": []}
    assert "configurations" not in outputs


def test_selection_of_something_else(selection: Any, run: Any, parse: Any, frames: list[Atoms]) -> None:
    """A configuration of the training set is passed over, as MLIP may name one; a strange one is an error."""
    inputs = selection(2)
    known = mlip_stand_in.cfg_text(frames[5], SPECIES)
    outputs, process = parse(SELECT, {SELECTED: known.encode()}, **inputs)
    assert process.is_finished_ok, process.exit_message
    assert outputs["output_parameters"]["selected"] == 0
    strange = frames[5].copy()
    strange.rattle(0.1, seed=99)
    text = known + mlip_stand_in.cfg_text(strange, SPECIES)
    _, process = parse(SELECT, {SELECTED: text.encode()}, **inputs)
    assert process.exit_status == 341
    assert "1 of 2 configurations that mlp chose are none of those it was sent" in process.exit_message
    _, process = parse(SELECT, {SELECTED: text[:-100].encode()}, **inputs)
    assert process.exit_status == 340
    _, process = parse(SELECT, {"mlp.err": b"ERROR: the potential has no selection state\n"}, **inputs)
    assert process.exit_status == 330


@pytest.mark.parametrize("generation", [2, 3])
def test_evaluation(generation: int, potential: Any, run: Any, parse: Any, frames: list[Atoms]) -> None:
    """Against our own evaluation of the same file, to the digits that `mlp` prints."""
    cells = ConfigurationsData.from_frames(frames[3:7]).store()
    inputs = {
        "parameters": Dict({"generation": generation}),
        "potential": potential(generation),
        "configurations": cells,
    }
    files = run(EFS, **inputs)
    outputs, process = parse(EFS, files, **inputs)
    assert process.is_finished_ok, process.exit_message
    ours = inputs["potential"].potential()
    for atoms, sent in zip(outputs["configurations"].frames(), cells.frames(), strict=True):
        np.testing.assert_array_equal(atoms.positions, sent.positions)
        expected = ours.evaluate(atoms)
        # The stand-in reads positions to all digits, and writes twelve, six and five decimals.
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, abs=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), expected.forces, atol=2e-6)
        np.testing.assert_allclose(atoms.get_stress(voigt=False), expected.stress, atol=2e-5 / atoms.cell.volume)
    # Ranks that wrote their own parts, beside the set that was sent.
    text = files[EVALUATED].decode()
    halves = text.split("BEGIN_CFG")
    ranks = {f"{EVALUATED}_{n}": "".join("BEGIN_CFG" + part for part in halves[1 + n :: 2]) for n in (0, 1)}
    bare = {EVALUATED: "".join(mlip_stand_in.cfg_text(atoms, SPECIES) for atoms in cells.frames())}
    again, process = parse(EFS, {name: part.encode() for name, part in (ranks | bare).items()}, **inputs)
    assert process.is_finished_ok, process.exit_message
    assert again["configurations"].get_content() == outputs["configurations"].get_content()
    _, process = parse(EFS, {name: part.encode() for name, part in bare.items()}, **inputs)
    assert process.exit_status == 340
    assert "evaluated 0 of 4" in process.exit_message


def test_what_is_refused(prepare_job: Callable[..., Any], labelled: ConfigurationsData, potential: Any) -> None:
    with pytest.raises(ValueError, match="did you mean cutoff"):
        prepare_job(TRAIN, parameters=Dict(TRAINING | {"cutof": 4.0}), configurations=labelled)
    with pytest.raises(ValueError, match="does not know Ag"):
        cell = labelled.frames()[0]
        cell.symbols[0] = "Ag"
        silver = ConfigurationsData.from_frames([cell])
        prepare_job(EFS, parameters=Dict({}), configurations=silver, potential=potential(2))
