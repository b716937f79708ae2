"""MLIP as the trainer: the loop of active learning with a stand-in, and single jobs with `mlp` itself where it is."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlip_stand_in
import numpy as np
import pytest
from aiida.orm import Dict, InstalledCode, StructureData, load_computer
from aiida.plugins import CalculationFactory
from ase import Atoms
from ase.calculators.emt import EMT

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.physics.mtp.training import evaluate_errors, part_configurations
from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.registry import TASKS
from aiida_iontherm.workchains.potential import PotentialWorkChain
from aiida_iontherm.workchains.protocols import load_protocol

TRAINING = {"level": 4, "cutoff": 4.0, "radial_size": 4, "seed": 2}
LOOP = {
    "engine": {"name": "emt", "options": {}},
    "reference": {
        "min_extent": 5.0,
        "max_atoms": 60,
        "temperatures": [300],
        "volume_scalings": [1.0],
        "frames_per_run": 8,
        "stride": 8,
        "rattled_frames": 3,
    },
    "potential": {
        "program": "mlip",
        "mlip": {"generation": 3},
        "level": 4,
        "cutoff": 4.0,
        "radial_size": 4,
        "max_rounds": 1,
        "explore_temperatures": [1500],
        "explore_volumes": [1.0],
        "explore_ps": [0.2],
        "grade_interval": 5,
        "grade_select": 1.2,
        "grade_break": 50.0,
        "max_selected": 2,
        "test_frames": 2,
    },
}
"""One hot run of a potential that knows little: it meets frames to select."""

NO_MPI = {"withmpi": False}

REAL = {2: "IONTHERM_TEST_MLIP2", 3: "IONTHERM_TEST_MLIP3"}
"""Variables that name the executable `mlp` of a generation."""


@pytest.fixture(scope="module")
def make_code(task_code: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., InstalledCode]:
    """Code of the stand-in for a generation, or of an executable; each one once."""
    made: dict[tuple[int, str | None], InstalledCode] = {}

    def make(generation: int, path: str | None = None) -> InstalledCode:
        if (generation, path) not in made:
            executable = path
            if executable is None:
                script = tmp_path_factory.mktemp("bin") / "mlp"
                script.write_text(f'#!/bin/sh\nexec {sys.executable} {mlip_stand_in.__file__} {generation} "$@"\n')
                script.chmod(0o755)
                executable = str(script)
            made[generation, path] = InstalledCode(
                label=f"mlp-{len(made)}",
                computer=load_computer("localhost"),
                filepath_executable=executable,
                default_calc_job_plugin="iontherm.mlip_train",
            ).store()
        return made[generation, path]

    return make


@pytest.fixture(scope="module")
def labelled(cuau_cell: Atoms, aiida_profile: Any) -> ConfigurationsData:
    """Rattled cells with EMT's labels."""
    frames = []
    for seed in range(12):
        atoms = cuau_cell.repeat((2, 2, 1))
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return ConfigurationsData.from_frames(frames).store()


@pytest.fixture(scope="module")
def learnt(make_code: Callable[..., Any], run_process: Any, task_code: Any, cuau_cell: Atoms) -> Any:
    """A whole round with the stand-in of MLIP-3, whose selection state has to go all the way round."""
    changes = LOOP | {"potential": LOOP["potential"] | {"code": f"{make_code(3).label}@localhost"}}
    settings = load_protocol("demo", changes).model_dump(mode="json")
    return run_process(
        PotentialWorkChain,
        code=task_code,
        structure=StructureData(ase=cuau_cell),
        engine=Dict(settings["engine"]),
        reference=Dict(settings["reference"]),
        settings=Dict(settings["potential"] | {"seed": 4}),
        options=Dict(NO_MPI),
    )


def called(node: Any, *labels: str) -> Any:
    """Descend along link labels of calls."""
    for label in labels:
        node = node.base.links.get_outgoing(link_label_filter=label).first().node
    return node


@pytest.mark.slow
def test_loop_is_that_of_our_own_trainer(learnt: Any) -> None:
    """The same chain, in which training and selection have a job of `mlp` each."""
    assert learnt.is_finished_ok, learnt.exit_message
    for label, jobs in (
        ("train_0", ["MlipTrainWorkChain", "TrainCalculation"]),
        ("select_1", ["MlipSelectWorkChain", "SelectCalculation"]),
        ("train_1", ["MlipTrainWorkChain", "TrainCalculation"]),
    ):
        assert [child.process_label for child in called(learnt, label).called] == jobs
    (record,) = learnt.outputs.active_learning["rounds"]
    # At most what the protocol allows, however many MLIP names; each of them is a new configuration.
    assert 0 < record["selected"] <= LOOP["potential"]["max_selected"]
    assert record["candidates"] >= record["selected"]
    assert record["max_grade_after_selection"] < record["max_grade"]
    # Those labelled were chosen by MLIP.
    chosen = called(learnt, "select_1", "mlip").outputs
    taken = called(learnt, "select_1").outputs.configurations.frames()
    theirs = [atoms.positions for atoms in chosen.configurations.frames()]
    # extxyz has eight decimals, written twice on the way to `taken`.
    assert all(any(np.abs(atoms.positions - positions).max() < 2e-8 for positions in theirs) for atoms in taken)


@pytest.fixture
def native_record(learnt: Any, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Record of our own training on the last set, by the same settings."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    potential = LOOP["potential"]
    settings = {key: potential[key] for key in ("level", "cutoff", "radial_size")} | {"seed": 4, "max_iterations": 2}
    (tmp_path / "input.json").write_text(json.dumps(settings | {"configurations": "labelled.extxyz", "n_starts": 1}))
    (tmp_path / "labelled.extxyz").write_text(learnt.outputs.configurations.get_content())
    assert run_task("train", TASKS["train"][0], tmp_path) == 0
    yield json.loads((tmp_path / "output.json").read_text())["results"]
    for number, handler in handlers.items():  # the task leaves its own behind; pytest needs its own
        signal.signal(number, handler)


@pytest.mark.slow
def test_record_is_that_of_our_own_trainer(learnt: Any, native_record: dict[str, Any]) -> None:
    """The same keys, the same part held out, and errors that our own evaluation of the potential has."""
    record = learnt.outputs.training.get_dict()
    assert set(native_record) <= set(record)
    for part in ("train", "validation"):
        assert set(record[part]) == set(native_record[part])
    assert record["configurations"] == native_record["configurations"]
    # What was held out is said in a note, and the last one says that the numbers of the training are not ours.
    split = [note for note in native_record["notes"] if note.startswith("configurations fitted")]
    assert set(split) <= set(record["notes"])
    assert len(split) == 1
    assert "trained by another program" in record["notes"][-1]
    assert record["reason"].startswith("BFGS ended after")
    potential = learnt.outputs.potential.potential()
    validation_fraction = load_protocol("demo").potential.validation_fraction
    parts = part_configurations(learnt.outputs.configurations.frames(), validation_fraction=validation_fraction, seed=4)
    errors = evaluate_errors(potential, parts.to_fit())
    # The same numbers in the same order: rounding only.
    assert record["train"]["force_rmse_ev_per_angstrom"] == pytest.approx(errors.force_rmse, rel=1e-10)
    assert record["train"]["energy_rmse_ev_per_atom"] == pytest.approx(errors.energy_rmse, rel=1e-10)


@pytest.mark.slow
def test_potential_of_mlip_goes_through_unchanged(learnt: Any) -> None:
    """Coefficients to the bit, with MLIP's selection state and our own active set."""
    theirs = called(learnt, "train_1", "mlip").outputs.potential
    ours = learnt.outputs.potential
    assert ours.has_active_set
    assert not theirs.has_active_set
    one, other = ours.potential(), theirs.potential()
    for name in ("radial_coeffs", "species_coeffs", "moment_coeffs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.species == other.species
    state = theirs.get_content(mode="rb").partition(mlip_stand_in.STATE)[2]
    assert state
    assert ours.get_content(mode="rb").partition(mlip_stand_in.STATE)[2] == state


@pytest.mark.slow
@pytest.mark.parametrize("generation", REAL)
def test_real_program(generation: int, make_code: Callable[..., Any], run_process: Any, labelled: Any) -> None:
    """Train and evaluate: what the program computes with its potential is what we compute with it.

    The same with the stand-in, without a scheduler, is in `tests/calculations/test_mlip.py`.
    """
    path = os.environ.get(REAL[generation])
    if path is None:
        pytest.skip(f"set {REAL[generation]} to the path of the executable mlp")
    code = make_code(generation, path)
    common = {"code": code, "metadata": {"options": NO_MPI}}
    mlip = {"generation": generation, "max_iterations": 20}
    parameters = Dict(TRAINING | {"mlip": mlip})
    training = run_process(
        CalculationFactory("iontherm.mlip_train"), parameters=parameters, configurations=labelled, **common
    )
    assert training.exit_status in (0, 710), training.exit_message
    potential = training.outputs.potential
    found = run_process(
        CalculationFactory("iontherm.mlip_efs"),
        parameters=Dict(mlip),
        potential=potential,
        configurations=labelled,
        **common,
    )
    assert found.is_finished_ok, found.exit_message
    for atoms in found.outputs.configurations.frames():
        expected = potential.potential().evaluate(atoms)
        # Positions of twelve digits; the program prints six decimals of the forces.
        np.testing.assert_allclose(atoms.get_forces(), expected.forces, atol=2e-6)
        assert atoms.get_potential_energy() == pytest.approx(expected.energy, abs=1e-6)
