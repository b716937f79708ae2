"""Linewidths of ShengBTE and FourPhonon in the two channels: with a stand-in, and with the programs where they are."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import shengbte_stand_in
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Bool, Dict, InstalledCode, Int, SinglefileData, Str, load_computer
from aiida.plugins import WorkflowFactory
from shengbte_crystal import MESH, force_constants

from aiida_iontherm.data import ForceConstantsData, LinewidthsData
from aiida_iontherm.physics.lattice import Phonons, ThreePhononScattering, three_phonon_gamma, two_channel
from aiida_iontherm.tasks.crystal import phono3py_of, phonopy_of
from aiida_iontherm.tasks.shengbte_files import ShengBteSettings, crystal_of
from aiida_iontherm.workchains.lattice_conductivity import LatticeConductivityWorkChain

KELVIN = [200.0, 300.0]

EXECUTABLES = {"stand-in": True, "IONTHERM_TEST_SHENGBTE": False, "IONTHERM_TEST_FOURPHONON": True}
"""The stand-in, or variables that name an executable; whether it knows four phonons."""


@pytest.fixture(scope="module")
def make_code(task_code: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], InstalledCode]:
    def make(name: str) -> InstalledCode:
        if name == "stand-in":
            path = tmp_path_factory.mktemp("bin") / "ShengBTE"
            path.write_text(f"#!/bin/sh\nexec {sys.executable} {shengbte_stand_in.__file__}\n")
            path.chmod(0o755)
        elif name in os.environ:
            path = Path(os.environ[name])
        else:
            pytest.skip(f"set {name} to the path of an executable")
        label = f"shengbte-{len(name)}"
        return InstalledCode(label=label, computer=load_computer("localhost"), filepath_executable=str(path)).store()

    return make


@pytest.fixture(scope="module", params=EXECUTABLES)
def finished(request: Any, make_code: Callable[[str], InstalledCode], run_process: Any, task_code: Any) -> Any:
    """Name of the executable, and the whole chain with it."""
    inputs = {
        "code": task_code,
        "force_constants": ForceConstantsData.from_arrays(force_constants()),
        "settings": Dict({"temperatures": KELVIN, "mesh": list(MESH), "mobile": "Cu"}),
        "origin": Str("force constants of EMT"),
        "shengbte": {
            "code": make_code(request.param),
            "parameters": Dict({"four_phonon": EXECUTABLES[request.param]}),
            "options": Dict({"withmpi": False}),
        },
    }
    return request.param, run_process(LatticeConductivityWorkChain, **inputs)


def values(node: Any, channel: str) -> np.ndarray:
    """Diagonal of a channel [T, 3]."""
    known = {(q.name, q.temperature, q.direction): q.value for q in node.outputs.result.quantities}
    return np.array([[known[f"kappa_{channel}", kelvin, axis] for axis in "xyz"] for kelvin in KELVIN])


@pytest.mark.slow
def test_both_channels_are_those_of_the_linewidths(finished: Any) -> None:
    name, node = finished
    assert node.is_finished_ok, node.exit_message
    phonons = Phonons.from_phonopy(phonopy_of(force_constants()), MESH)
    table = node.outputs.shengbte.linewidths.arrays()
    kappa = two_channel(phonons, table["gamma_thz"], KELVIN)
    for channel in ("particle", "wave", "total"):
        # velocity products are stored in single precision
        expected = np.diagonal(getattr(kappa, channel), axis1=1, axis2=2)
        np.testing.assert_allclose(values(node, channel), expected, rtol=1e-6)
    # The program sums the same modes with its own velocities, to five digits. Two channels leave out modes below
    # 0.05 THz and take the means of degenerate ones, whose rates a real program makes unequal.
    theirs = np.array(node.outputs.shengbte.output_parameters["kappa_rta_w_per_m_k"])
    theirs = np.diagonal(theirs, axis1=1, axis2=2)
    np.testing.assert_allclose(values(node, "particle"), theirs, rtol=2e-5 if name == "stand-in" else 0.02)


@pytest.mark.slow
def test_linewidths_of_the_stand_in_are_phono3pys(finished: Any) -> None:
    """The whole way round files in text and another order of modes, against phono3py called directly."""
    name, node = finished
    if name != "stand-in":
        pytest.skip("a real program has linewidths of its own")
    scattering = ThreePhononScattering(phono3py_of(force_constants()), MESH, KELVIN)
    settings = ShengBteSettings.of({"temperatures": KELVIN, "mesh": list(MESH), "four_phonon": True})
    strength = crystal_of(force_constants(), settings).constants.fourth.largest()
    model = shengbte_stand_in.MODEL_OF_FOUR_PHONONS * strength / 2 * scattering.frequencies_thz.clip(min=0)
    gamma = three_phonon_gamma(scattering) + (np.array(KELVIN) / 300)[:, None, None] ** 2 * model
    phonons = Phonons.from_phonopy(
        phonopy_of(force_constants()), qpoints=scattering.qpoints, weights=scattering.weights
    )
    expected = np.diagonal(two_channel(phonons, gamma, KELVIN).total, axis1=1, axis2=2)
    # velocity products in single precision, rates with ten digits
    np.testing.assert_allclose(values(node, "total"), expected, rtol=1e-6)


@pytest.mark.slow
def test_record_says_where_the_linewidths_come_from(finished: Any) -> None:
    name, node = finished
    four = ", four phonons" if EXECUTABLES[name] else ""
    program = "FourPhonon" if EXECUTABLES[name] else "ShengBTE"
    quantities = node.outputs.result.quantities
    words = f"two-channel sum, force constants of EMT, linewidths of {program} (RTA): three phonons{four}"
    assert {q.method for q in quantities} == {words}
    # one mesh: no error bar, and the record says so
    assert "one mesh only" in next(q.reason for q in quantities if q.name == "kappa_total")
    labels = [child.process_label for child in node.called]
    assert labels == ["ShengBteWorkChain", "LatticeConductivityCalculation", "two_channel_conductivity"]


@pytest.fixture
def chain(task_code: Any) -> Any:
    """A work chain of ShengBTE that has been set up for eight ranks and whose first job has just ended."""
    process = instantiate_process(
        get_manager().get_runner(),
        WorkflowFactory("iontherm.shengbte"),
        code=InstalledCode(label="any", computer=load_computer("localhost"), filepath_executable="/bin/ShengBTE"),
        parameters=Dict({"temperatures": [300], "mesh": 9.0}),  # a length needs no look at the crystal
        force_constants=ForceConstantsData.from_arrays(force_constants()),
        options=Dict({"tasks": {"shengbte": {"cpus": 8, "nodes": 2}}, "max_wallclock_seconds": 60}),
    )
    process.setup()
    process.ctx.children = []
    return process


@pytest.fixture
def ended(chain: Any, make_job: Callable[..., Any]) -> Callable[..., Any]:
    """End a job of the chain; the exit code is ``None`` while the chain goes on."""

    def end(status: int, message: str = "") -> Any:
        chain.ctx.children.append(make_job("iontherm.shengbte", exit_status=status, exit_message=message))
        chain.ctx.iteration = len(chain.ctx.children)
        code = chain.inspect_process()
        return code if code and code.status else None

    return end


def test_lost_job_is_tried_once_more(chain: Any, ended: Callable[..., Any]) -> None:
    assert ended(300) is None
    assert chain.should_run_process()
    code = ended(300, "The program left no output")
    assert (code.status, code.message) == (410, "The program left no output")


def test_memory_is_shared_by_fewer_ranks(chain: Any, ended: Callable[..., Any]) -> None:
    assert chain.ctx.inputs["metadata"]["options"]["resources"]["num_mpiprocs_per_machine"] == 4
    for ranks in (2, 1):
        assert ended(312) is None
        options = chain.ctx.inputs["metadata"]["options"]
        assert options["resources"] == {"num_machines": 2, "num_mpiprocs_per_machine": ranks}
        assert options["max_wallclock_seconds"] == 60
    code = ended(312, "The memory ran out")
    assert (code.status, code.message) == (410, "The memory ran out")
    # what the user gave is not changed
    assert chain.inputs.options["tasks"]["shengbte"]["cpus"] == 8


def test_hopeless_job_is_not_repeated(ended: Callable[..., Any]) -> None:
    for status in (313, 330, 340, 341, 342):
        found = ended(status, "what happened")
        assert (found.status, found.message) == (410, "what happened")


def test_unconverged_iterations_are_a_warning(chain: Any, ended: Callable[..., Any]) -> None:
    code = ended(710, "did not converge")
    assert (code.status, code.message) == (710, "did not converge")
    assert chain.ctx.is_finished


def test_handlers_say_what_they_are_for(chain: Any) -> None:
    handlers = {handler.__name__: handler for handler in chain.get_process_handlers()}
    assert set(handlers) == {
        "handle_lost",
        "handle_memory",
        "handle_walltime",
        "handle_not_converged",
        "handle_failure",
    }
    assert all(handler.enabled and handler.__doc__ for handler in handlers.values())


@pytest.mark.parametrize(
    ("settings", "own", "words"),
    [
        ({"coarse_mesh": [2, 2, 2]}, {}, "leave coarse_mesh out"),
        ({"linewidths": {"source": "model"}}, {}, "leave source out"),
        ({}, {"mesh": [2, 2, 2]}, "shengbte takes mesh from the settings"),
        ({}, {"onlyharmonic": True}, "onlyharmonic gives no linewidths"),
        ({"linewidths": {"isotopes": True}}, {"isotopes": True}, "isotopes would count twice"),
        ({"temperatures": [100, 200, 400]}, {}, "at equal distances"),
        ({}, {"scalbroad": 1.0}, "did you mean scalebroad"),
    ],
)
def test_settings_that_do_not_go_together(
    settings: dict, own: dict, words: str, make_process: Callable[..., Any], task_code: Any
) -> None:
    with pytest.raises(ValueError, match=words):
        make_process(
            "iontherm.lattice_conductivity",
            force_constants=ForceConstantsData.from_arrays(force_constants()),
            settings=Dict({"temperatures": [300.0], "mesh": [3, 3, 3]} | settings),
            shengbte={"code": task_code, "parameters": Dict(own)},
        )


def test_orders_that_the_force_constants_lack(make_process: Callable[..., Any], task_code: Any) -> None:
    """Found before anything runs where they are given, and before ShengBTE where they were fitted on the way."""
    arrays = {name: array for name, array in force_constants().items() if not name.startswith("fc4")}
    inputs = {
        "settings": Dict({"temperatures": [300.0], "mesh": [3, 3, 3]}),
        "shengbte": {"code": task_code, "parameters": Dict({"four_phonon": True})},
    }
    with pytest.raises(ValueError, match="four_phonon needs a fourth order"):
        make_process("iontherm.lattice_conductivity", force_constants=ForceConstantsData.from_arrays(arrays), **inputs)
    chain = make_process(
        "iontherm.lattice_conductivity", force_constants=ForceConstantsData.from_arrays(force_constants()), **inputs
    )
    chain._source = lambda: SimpleNamespace(force_constants=ForceConstantsData.from_arrays(arrays))
    code = chain.run_shengbte()
    assert code.status == 210
    assert "four_phonon needs a fourth order" in code.message


def test_linewidths_come_from_one_place(make_process: Callable[..., Any], task_code: Any, tmp_path: Path) -> None:
    (tmp_path / "table.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match="not from both"):
        make_process(
            "iontherm.lattice_conductivity",
            force_constants=ForceConstantsData.from_arrays(force_constants()),
            linewidths=SinglefileData(tmp_path / "table.npz"),
            settings=Dict({"temperatures": [300.0], "mesh": [3, 3, 3]}),
            shengbte={"code": task_code},
        )


def test_without_shengbte_nothing_is_asked_of_it(make_process: Callable[..., Any]) -> None:
    chain = make_process(
        "iontherm.lattice_conductivity",
        force_constants=ForceConstantsData.from_arrays(force_constants()),
        settings=Dict({"temperatures": [300.0], "mesh": [3, 3, 3]}),
    )
    assert not chain.wants_shengbte()
    assert "shengbte" not in chain.inputs


@pytest.mark.parametrize(("difference", "doubted"), [(1e-6, False), (0.3, True)])
def test_frequencies_of_polar_crystals_are_doubted(
    difference: float, doubted: bool, make_process: Callable[..., Any], task_code: Any
) -> None:
    """Linewidths of modes that the other program has elsewhere do not make a converged result."""
    chain = make_process(
        "iontherm.lattice_conductivity",
        force_constants=ForceConstantsData.from_arrays(force_constants()),
        settings=Dict({"temperatures": [300.0], "mesh": [3, 3, 3]}),
        shengbte={"code": task_code, "clean_workdir": Bool(False), "max_iterations": Int(2)},
    )
    figures = Dict({"max_frequency_difference_thz": difference})
    parameters = Dict({"temperatures": [300.0], "mesh": [3, 3, 3]})
    chain.ctx.shengbte = SimpleNamespace(
        outputs=SimpleNamespace(output_parameters=figures), inputs=SimpleNamespace(parameters=parameters)
    )
    doubt = chain._doubt_about_frequencies()
    assert (doubt is not None) == doubted
    if doubted:
        assert "0.3 THz" in doubt


def test_node_of_linewidths_is_what_the_chain_takes() -> None:
    port = LatticeConductivityWorkChain.spec().inputs["linewidths"]
    assert issubclass(LinewidthsData, port.valid_type)
