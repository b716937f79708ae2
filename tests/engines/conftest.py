"""Run chains in this process, and codes of real programs where they are installed."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run_chain(task_code: Any) -> Callable[..., Any]:
    """Run a work chain to its end and return its node."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager
    from aiida.plugins import WorkflowFactory

    def run(plugin: str, **inputs: Any) -> Any:
        # AiiDA's own looks at jobs once in a minute.
        runner = get_manager().create_runner(communicator=None, poll_interval=0.2)
        return runner.run_get_node(instantiate_process(runner, WorkflowFactory(plugin), code=task_code, **inputs)).node

    return run


@pytest.fixture(scope="session")
def make_code(task_code: Any) -> Callable[..., Any]:
    """Make a code on this machine that runs without MPI, or load it."""
    from aiida.common.exceptions import NotExistent
    from aiida.orm import InstalledCode, load_code, load_computer

    def make(label: str, executable: str | Path, plugin: str, prepend_text: str = "") -> Any:
        try:
            return load_code(f"{label}@localhost")
        except NotExistent:
            return InstalledCode(
                label=label,
                computer=load_computer("localhost"),
                filepath_executable=str(executable),
                default_calc_job_plugin=plugin,
                with_mpi=False,
                prepend_text=prepend_text,
            ).store()

    return make


PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")
FILES = {"Si": "Si.pbe-rrkj.UPF", "Cu": "Cu.pbe-kjpaw.UPF", "I": "I.pbe-n-kjpaw_psl.1.0.0.UPF"}


@pytest.fixture(scope="session")
def espresso(make_code: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Section `engine` for the pw.x and the few pseudopotentials of Debian's packages."""
    pytest.importorskip("aiida_quantumespresso")
    executable = shutil.which("pw.x")
    if executable is None or not all((PSEUDOPOTENTIALS / name).is_file() for name in FILES.values()):
        pytest.skip("Quantum ESPRESSO is not installed: Debian's quantum-espresso and quantum-espresso-data")
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    folder = tmp_path_factory.mktemp("upf")
    for name in FILES.values():
        shutil.copy(PSEUDOPOTENTIALS / name, folder)
    CutoffsPseudoPotentialFamily.create_from_folder(folder, "debian", pseudo_type=UpfData)
    code = make_code("pw", executable, "quantumespresso.pw")
    return {
        "name": "espresso",
        "code": code.full_label,
        "options": {"pseudo_family": "debian", "density_cutoff_ratio": 4.0},
        "dft": {"functional": "PBE", "cutoff_ev": 350.0, "k_spacing": 0.8, "energy_tolerance_ev": 1e-7},
    }


POTCARS = ("Cu", "Cu_pv", "Au", "I", "Cs_sv", "Si", "Li_sv", "Cl")


@pytest.fixture(scope="session")
def vasp(make_code: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Section `engine` for the program that stands in for VASP, with a family of synthetic POTCARs."""
    pytest.importorskip("aiida_vasp")
    from aiida_vasp.data.potcar import PotcarData

    from aiida_iontherm.engines.mock_vasp.potcar import write_potcars

    folder = tmp_path_factory.mktemp("potcars") / "family"
    write_potcars(folder, POTCARS)
    PotcarData.upload_potcar_family(str(folder), "SYNTHETIC", "made up for tests", stop_if_existing=False)
    program = Path(sys.executable).with_name("iontherm-mock-vasp")
    code = make_code("vasp", program, "vasp.vasp", "export IONTHERM_MOCK_VASP_ENGINE=emt")
    return {
        "name": "vasp",
        "code": code.full_label,
        "options": {"potential_family": "SYNTHETIC"},
        "dft": {"functional": "PBEsol", "cutoff_ev": 400.0, "k_spacing": 0.5},
    }
