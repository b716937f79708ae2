"""Fixtures of the whole suite. What needs AiiDA imports it when asked for: physics tests never start a profile."""

import copy
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from ase import Atoms

# AiiDA makes its folders when it is imported: not in the home of whoever runs the tests.
os.environ["AIIDA_PATH"] = tempfile.mkdtemp(prefix="iontherm-tests-")


FINISHED_RUN = {"tests/cli/test_finished_run.py", "tests/workchains/test_material_run.py"}
"""Files that look at one whole run, which takes minutes: they belong to one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that none is left to one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests, give each file to one of them: its fixtures are made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            return "finished run" if path in FINISHED_RUN else path

    return ByFile(config, log)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["AIIDA_PATH"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real input data kept beside the project; tests that need it skip where it is absent."""
    root = Path(os.environ.get("IONTHERM_SHARED", Path(__file__).parents[2] / "shared"))
    data = root / "data"
    if not data.is_dir():
        pytest.skip("real data sets not found: set IONTHERM_SHARED to the folder that holds data/phonondb")
    return data


PROFILE = "tests"


@pytest.fixture(scope="session")
def aiida_profile() -> Iterator[Any]:
    """Profile on SQLite that needs no service. That of `aiida.tools.pytest_fixtures` would start for every test."""
    from aiida.manage.configuration import create_profile, get_config, profile_context

    config = get_config(create=True)
    profile = create_profile(
        config,
        name=PROFILE,
        email="tests@localhost",
        storage_backend="core.sqlite_dos",
        storage_config={"filepath": str(Path(config.dirpath) / "storage")},
        broker_backend=None,
        broker_config=None,
        is_test_profile=True,
    )
    config.set_option("warnings.development_version", False, scope=PROFILE)
    config.set_default_profile(PROFILE)
    config.store()
    with profile_context(PROFILE, allow_switch=True):
        yield profile


@pytest.fixture(scope="session")
def task_code(aiida_profile: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Computer localhost and code iontherm-task as `iontherm setup` makes them, jobs in a temporary folder."""
    from aiida.orm import load_code

    from aiida_iontherm.cli.setup import CODE_LABEL, ensure_code, ensure_computer

    ensure_computer(tmp_path_factory.mktemp("scratch"))
    ensure_code()
    return load_code(f"{CODE_LABEL}@localhost")


def make_cuau() -> Atoms:
    """CuAu I (L1_0, tetragonal): two atoms that EMT knows, copper as the ion that may move, kappa_x != kappa_z."""
    cell = np.diag([2.80, 2.80, 3.68])
    return Atoms("CuAu", cell=cell, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)


@pytest.fixture(scope="session")
def cuau_cell() -> Atoms:
    return make_cuau()


@pytest.fixture
def cuau(cuau_cell: Atoms) -> Atoms:
    """A copy that a test may change."""
    return cuau_cell.copy()


TINY = {
    "temperatures": [200, 300],
    "engine": {"name": "emt", "options": {}},
    "relax": {"relax_cell": True, "force_tolerance": 0.02},
    "reference": {
        "min_extent": 5.0,
        "max_atoms": 60,
        "temperatures": [300, 500],
        "volume_scalings": [1.0, 1.02],
        "frames_per_run": 8,
        "stride": 8,
        "rattled_frames": 3,
    },
    "potential": {
        "level": 6,
        "cutoff": 4.5,
        "radial_size": 6,
        "max_iterations": 30,
        "max_rounds": 1,
        "explore_temperatures": [700],
        "explore_volumes": [1.0],
        "explore_ps": [0.4],
        "test_frames": 4,
        "force_error_target": 0.01,
    },
    "dynamics": {
        "min_extent": 7.0,
        "max_atoms": 60,
        "timestep_fs": 4.0,
        "equilibration_ps": 0.4,
        "production_ps": 1.6,
        "position_interval_fs": 8.0,
        "snapshots": 12,
    },
    "force_constants": {"cutoffs": [3.6, 3.0], "blocks": 2, "convergence": ["snapshots"]},
    "conductivity": {"mesh_length": 12.0, "coarse_mesh_length": 8.0},
}
"""Settings that take the whole chain through CuAu in a minute; no number that comes out means anything."""


@pytest.fixture
def tiny() -> dict[str, Any]:
    return copy.deepcopy(TINY)


@pytest.fixture(scope="session")
def run_process(task_code: Any) -> Callable[..., Any]:
    """Run a process or builder to its end as `iontherm run` does: no broker, no daemon."""
    from aiida.manage import get_manager

    def run(process: Any, **inputs: Any) -> Any:
        runner = get_manager().create_runner(communicator=None, poll_interval=0.3)
        return runner.run_get_node(process, **inputs)[1]

    return run


class FirstRun(NamedTuple):
    """A run of `iontherm run`: its node, what was printed, where its report lies, and the files it was made of."""

    node: Any
    output: str
    report: Path
    structure: Path
    overrides: Path


CAMPAIGN = "alloys"


@pytest.fixture(scope="session")
def first_run(task_code: Any, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """The whole chain on CuAu with EMT by `iontherm run`, once for all tests that look at a finished run."""
    import ase.io
    import yaml
    from aiida.orm import load_node
    from click.testing import CliRunner

    from aiida_iontherm.cli import main

    folder = tmp_path_factory.mktemp("run")
    structure, overrides, report = folder / "cuau.extxyz", folder / "tiny.yaml", folder / "report"
    ase.io.write(structure, make_cuau())
    overrides.write_text(yaml.safe_dump(TINY))
    command = ["run", str(structure), "--overrides", str(overrides), "--report", str(report), "--campaign", CAMPAIGN]
    result = CliRunner().invoke(main, [*command, "-p", PROFILE])
    assert result.exit_code == 0, result.output
    pk = re.search(r"Run (\d+) started", result.output).group(1)
    return FirstRun(load_node(int(pk)), result.output, report, structure, overrides)


@pytest.fixture(scope="session")
def material_run(first_run: FirstRun) -> Any:
    """Node of the finished run."""
    return first_run.node


@pytest.fixture(scope="session")
def failed_run(material_run: Any, run_process: Callable[..., Any], task_code: Any) -> Any:
    """A run with a ready potential at a temperature at which nothing holds together."""
    from aiida.orm import Dict

    from aiida_iontherm.workchains.material import MaterialWorkChain

    builder = MaterialWorkChain.get_builder_from_protocol(
        task_code, material_run.outputs.structure, potential=material_run.outputs.potential
    )
    builder.settings = Dict(material_run.inputs.settings.get_dict() | {"temperatures": [60000.0]})
    return run_process(builder)


@pytest.fixture
def make_job(task_code: Any) -> Callable[..., Any]:
    """Make a stored job that looks as if it had run: its inputs, what was retrieved, how it ended."""
    from io import BytesIO

    from aiida.common.links import LinkType
    from aiida.orm import CalcJobNode, FolderData, RemoteData
    from plumpy import ProcessState

    def make(
        plugin: str,
        inputs: dict[str, Any] | None = None,
        files: dict[str, bytes] | None = None,
        exit_status: int | None = None,
        exit_message: str = "",
    ) -> CalcJobNode:
        node = CalcJobNode(computer=task_code.computer, process_type=f"aiida.calculations:{plugin}")
        node.set_process_label("Fake")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        for name, data in (inputs or {}).items():
            node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
        node.store()
        remote = RemoteData(remote_path="/tmp/fake", computer=task_code.computer)  # noqa: S108 - nothing is written
        remote.base.links.add_incoming(node, LinkType.CREATE, "remote_folder")
        remote.store()
        retrieved = FolderData()
        for name, content in (files or {}).items():
            retrieved.base.repository.put_object_from_filelike(BytesIO(content), name)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, "retrieved")
        retrieved.store()
        if exit_status is not None:
            node.set_process_state(ProcessState.FINISHED)
            node.set_exit_status(exit_status)
            node.set_exit_message(exit_message)
        return node

    return make
