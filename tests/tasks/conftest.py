"""Run tasks in this process or in one of their own, as a scheduler would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_iontherm.tasks.contract import run_task
from aiida_iontherm.tasks.registry import TASKS

ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Folder:
    """A working directory and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def give(self, task_input: dict[str, Any] | str, **structures: Atoms | list[Atoms]) -> "Folder":
        """Write input.json and NAME.extxyz for each structure."""
        text = task_input if isinstance(task_input, str) else json.dumps(task_input)
        (self.path / "input.json").write_text(text)
        for name, frames in structures.items():
            ase.io.write(self.path / f"{name}.extxyz", frames, format="extxyz")
        return self

    def run(self, task: str) -> int:
        return run_task(task, TASKS[task][0], self.path)

    def start(self, task: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "aiida_iontherm.tasks.cli", task],
            cwd=self.path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop_after(self, task: str, lines: int, how: signal.Signals) -> tuple[int, str]:
        """Start the task, send it a signal when it has reported `lines` more steps; exit code and stderr."""
        wanted = len(self.progress) + lines
        process = self.start(task)
        deadline = time.monotonic() + 60
        while len(self.progress) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def finish(self, task: str) -> tuple[int, str]:
        process = self.start(task)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    @property
    def output(self) -> dict[str, Any]:
        return json.loads((self.path / "output.json").read_text())

    @property
    def progress(self) -> list[dict[str, Any]]:
        path = self.path / "progress.jsonl"
        # The last line may be half written while the task runs.
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.path / name, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    def frames(self, name: str = "labelled.extxyz") -> list[Atoms]:
        return ase.io.read(self.path / name, ":")


def run_command(*arguments: str | Path) -> str:
    """Standard output of a command that succeeds."""
    return subprocess.run(arguments, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout


@pytest.fixture
def command() -> Callable[..., str]:
    return run_command


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "work")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[str], Folder]:
    return lambda name: Folder(tmp_path / name)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Tasks run in this process leave their signal handlers behind; pytest needs its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def assert_same_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Equal names, types and bits."""
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype, name
        np.testing.assert_array_equal(values, other[name], err_msg=name)


@pytest.fixture
def same_arrays() -> Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], None]:
    return assert_same_arrays


def argon(repeat: int = 1) -> Atoms:
    return bulk("Ar", "fcc", a=5.3, cubic=True) * (repeat, repeat, repeat)


def make_alloy() -> Atoms:
    """Cu3Ag with the copper ions on the faces: four atoms that EMT knows, a little too wide."""
    atoms = bulk("Cu", "fcc", a=3.75, cubic=True)
    atoms.symbols[0] = "Ag"
    return atoms


@pytest.fixture
def alloy() -> Atoms:
    return make_alloy()


@pytest.fixture(scope="session")
def labelled_alloys() -> list[Atoms]:
    """Ten rattled cells with EMT's energies, forces and stresses."""
    frames = []
    for seed in range(10):
        atoms = make_alloy()
        atoms.rattle(0.12, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return frames


CHAIN_CUTOFF = 4.9  # Angstrom: the nearest neighbours of argon only, well within half of the supercell

MD_OF_CHAIN = {
    "engine": "lj",
    "engine_options": {"cutoff": CHAIN_CUTOFF},
    "supercell": [2, 2, 2],
    "mobile": "Ar",
    "temperature": 4.0,
    "timestep_fs": 10.0,
    "equilibration_ps": 1.0,
    "production_ps": 6.0,
    "position_interval_fs": 100.0,
    "snapshots": 12,
    "seed": 5,
}


@pytest.fixture(scope="session")
def argon_md(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Cold argon, run once: where the snapshots of the other tasks come from."""
    folder = Folder(tmp_path_factory.mktemp("md"))
    folder.give(MD_OF_CHAIN, structure=argon())
    assert folder.run("md") == 0
    return folder


FORCE_CONSTANTS_OF_CHAIN = {"supercell": [2, 2, 2], "cutoffs": [CHAIN_CUTOFF, 4.0], "blocks": 2}


@pytest.fixture(scope="session")
def argon_force_constants(argon_md: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("fc"))
    folder.give(FORCE_CONSTANTS_OF_CHAIN, structure=argon())
    (folder.path / "trajectory.npz").symlink_to(argon_md.path / "trajectory.npz")
    assert folder.run("force-constants") == 0
    return folder
