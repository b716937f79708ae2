"""Prepare jobs in a sandbox, parse jobs that never ran, and real files of every task for the parsers."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import pytest
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder, SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.registry import TASKS


@pytest.fixture
def prepare_job(task_code: Any) -> Iterator[Callable[..., tuple[Folder, CalcInfo]]]:
    """Let a CalcJob write its files; returns the folder and what AiiDA is told."""
    with SandboxFolder() as folder:

        def prepare(plugin: str, **inputs: Any) -> tuple[Folder, CalcInfo]:
            process = instantiate_process(
                get_manager().get_runner(), CalculationFactory(plugin), code=task_code, **inputs
            )
            return folder, process.prepare_for_submission(folder)

        yield prepare


@dataclass
class TaskRun:
    """A folder in which a task has run."""

    path: Path

    @property
    def output(self) -> dict[str, Any]:
        return json.loads((self.path / "output.json").read_text())

    def files(self, *names: str) -> dict[str, bytes]:
        return {name: (self.path / name).read_bytes() for name in ("output.json", *names)}


REFERENCE = {"engine": "emt", "engine_options": {}}
SUPERCELL = [3, 3, 2]


@pytest.fixture(scope="session")
def task_runs(tmp_path_factory: pytest.TempPathFactory, cuau_cell: Atoms) -> dict[str, TaskRun]:
    """Every task once on CuAu with EMT, in this process: real files in a few seconds."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    runs: dict[str, TaskRun] = {}

    def run(name: str, task: str, settings: dict[str, Any], **files: Path) -> None:
        path = tmp_path_factory.mktemp(name)
        (path / "input.json").write_text(json.dumps(settings))
        for filename, source in files.items():
            (path / filename.replace("__", ".")).symlink_to(source)
        assert run_task(task, TASKS[task][0], path) == 0, (path / "output.json").read_text()
        runs[name] = TaskRun(path)

    cell = tmp_path_factory.mktemp("cell") / "structure.extxyz"
    ase.io.write(cell, cuau_cell)
    sample = {
        "temperatures": [300.0],
        "volume_scalings": [1.0],
        "frames_per_run": 8,
        "stride": 5,
        "timestep_fs": 4.0,
        "supercell": [2, 2, 1],
    }
    train = {"level": 4, "cutoff": 4.0, "radial_size": 4, "max_iterations": 5}
    md = {
        "supercell": SUPERCELL,
        "mobile": "Cu",
        "temperature": 300.0,
        "timestep_fs": 4.0,
        "equilibration_ps": 0.2,
        "production_ps": 1.6,
        "position_interval_fs": 8.0,
        "snapshots": 8,
    }
    run("relax", "reference", REFERENCE | {"mode": "relax"}, structures__extxyz=cell)
    run("sample", "reference", REFERENCE | {"mode": "sample", "sample": sample}, structures__extxyz=cell)
    run("label", "reference", REFERENCE | {"mode": "label"}, structures__extxyz=cell)
    run("train", "train", train, labelled__extxyz=runs["sample"].path / "labelled.extxyz")
    run("md", "md", REFERENCE | md, structure__extxyz=cell)
    trained = {f"{name.replace('.', '__')}": runs["train"].path / name for name in ("potential.mtp", "active_set.npz")}
    species = {"species": runs["train"].output["results"]["species"]}
    graded = md | species | {"potential": "potential.mtp", "active_set": "active_set.npz", "temperature": 600.0}
    graded |= {"grade_interval": 10, "grade_break": 1e9, "equilibration_ps": 0.0, "ensemble": "nvt"}
    run("graded_md", "md", graded, structure__extxyz=cell, **trained)
    candidates = {"hot__extxyz": runs["graded_md"].path / "candidates.extxyz"}
    run("select", "select", species | {"candidates": {"hot": "hot.extxyz"}}, **candidates, **trained)
    trajectory = runs["md"].path / "trajectory.npz"
    fit = {"supercell": SUPERCELL, "cutoffs": [3.6, 3.0], "blocks": 2}
    run("force_constants", "force-constants", fit, structure__extxyz=cell, trajectory__npz=trajectory)
    constants = runs["force_constants"].path / "force_constants.npz"
    mesh = {"temperatures": [300.0], "mesh": [3, 3, 3], "coarse_mesh": [2, 2, 2], "mobile": "Cu"}
    run("lattice_conductivity", "lattice-conductivity", mesh, force_constants__npz=constants)
    for number, handler in handlers.items():  # the tasks leave theirs behind; pytest needs its own
        signal.signal(number, handler)
    return runs
