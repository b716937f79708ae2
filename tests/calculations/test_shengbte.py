"""The job of ShengBTE and FourPhonon: what it writes, and its parser on files of the stand-in, whole and damaged."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict
from aiida.plugins import CalculationFactory, ParserFactory
from shengbte_crystal import FOUR_PHONONS, MESH, force_constants, run

from aiida_iontherm.data import ForceConstantsData, LinewidthsData
from aiida_iontherm.physics.lattice import average_degenerate, irreducible_mesh
from aiida_iontherm.tasks.crystal import phonopy_of
from aiida_iontherm.tasks.shengbte_files import read_control, read_rates
from aiida_iontherm.tasks.shengbte_files.results import OF_ALL_TEMPERATURES, OF_EACH_TEMPERATURE

PLUGIN = "iontherm.shengbte"


@cache
def constants() -> ForceConstantsData:
    return ForceConstantsData.from_arrays(force_constants())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"), **FOUR_PHONONS)


def files_of(folder: Path) -> dict[str, bytes]:
    """Files of a run by their path, as the job retrieves them, and what it printed."""
    names = {*OF_ALL_TEMPERATURES, *OF_EACH_TEMPERATURE}
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("BTE.*") if path.name in names}
    return found | {"shengbte.out": b"Info: normal exit\n", "shengbte.err": b""}


@pytest.fixture
def parse(make_job: Callable[..., Any]) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Parse a job that left these files; returns its outputs and the process of the parser."""

    def call(
        files: dict[str, bytes], node: ForceConstantsData | None = None, scheduler: int | None = None, **settings: Any
    ) -> tuple[dict[str, Any], Any]:
        inputs = {"parameters": Dict(FOUR_PHONONS | settings), "force_constants": node or constants()}
        job = make_job(PLUGIN, inputs=inputs, files=files)
        if scheduler is not None:
            job.set_exit_status(scheduler)
        return ParserFactory(PLUGIN)(job).parse_from_node(job, store_provenance=False)

    return call


def test_files_of_the_job(prepare_job: Callable[..., Any]) -> None:
    folder, info = prepare_job(PLUGIN, parameters=Dict(FOUR_PHONONS), force_constants=constants())
    names = {"CONTROL", "FORCE_CONSTANTS_2ND", "FORCE_CONSTANTS_3RD", "FORCE_CONSTANTS_4TH"}
    assert set(folder.get_content_list()) == names
    # what follows from a node is not stored again
    assert set(info.provenance_exclude_list) == names - {"CONTROL"}
    control = read_control(Path(folder.get_abs_path("CONTROL")))
    assert (control.mesh, control.supercell) == (MESH, (3, 3, 2))
    assert "  four_phonon = .true.\n" in Path(folder.get_abs_path("CONTROL")).read_text()
    (code,) = info.codes_info
    assert (code.stdout_name, code.stderr_name, code.cmdline_params) == ("shengbte.out", "shengbte.err", None)
    assert ("T300K/BTE.w_4ph", ".", 2) in info.retrieve_list
    assert "BTE.KappaTensorVsT_CONV" in info.retrieve_list
    assert CalculationFactory(PLUGIN).spec().inputs["metadata"]["options"]["withmpi"].default


def test_length_for_a_mesh(prepare_job: Callable[..., Any]) -> None:
    """Divisions are those that phonopy makes of a length, along equal axes the same."""
    settings = {"temperatures": [300], "mesh": 12.0}
    folder, _ = prepare_job(PLUGIN, parameters=Dict(settings), force_constants=constants())
    assert read_control(Path(folder.get_abs_path("CONTROL"))).mesh == (4, 4, 3)
    assert "FORCE_CONSTANTS_4TH" not in folder.get_content_list()


@pytest.mark.parametrize(
    ("settings", "left_out", "words"),
    [
        ({"scalebraod": 1}, (), "unknown key scalebraod; did you mean scalebroad"),
        ({"temperatures": [77.5]}, (), "whole kelvins"),
        ({}, ("fc4_0", "fc4_clusters"), "four_phonon needs a fourth order"),
        ({}, ("fc3_0",), "the force constants have no third order"),
        ({"mesh": [4, 5, 3]}, (), "breaks the symmetry"),
    ],
)
def test_what_is_refused(
    settings: dict, left_out: tuple[str, ...], words: str, prepare_job: Callable[..., Any]
) -> None:
    arrays = {name: array for name, array in force_constants().items() if name not in left_out}
    with pytest.raises(ValueError, match=words):
        prepare_job(
            PLUGIN, parameters=Dict(FOUR_PHONONS | settings), force_constants=ForceConstantsData.from_arrays(arrays)
        )


def test_success(parse: Callable[..., Any], finished: Path) -> None:
    outputs, process = parse(files_of(finished))
    assert process.is_finished_ok, process.exit_message
    assert set(outputs) == {"output_parameters", "linewidths"}
    figures = outputs["output_parameters"].get_dict()
    assert figures["temperatures_k"] == [200.0, 300.0]
    assert figures["mesh"] == list(MESH)
    assert figures["iterations"] == [4, 4]
    assert np.shape(figures["kappa_rta_w_per_m_k"]) == np.shape(figures["kappa_converged_w_per_m_k"]) == (2, 3, 3)
    assert figures["kappa_rta_w_per_m_k"][0][0][0] > figures["kappa_rta_w_per_m_k"][1][0][0] > 0
    # the model of the stand-in: both grow with T, those of four phonons faster
    cold, hot = figures["four_phonon_share"]
    assert 0 < cold < hot < 1
    # force constants went through 15 decimals of text
    assert 0 < figures["max_frequency_difference_thz"] < 1e-6
    assert figures["linewidths"] == "linewidths of FourPhonon (RTA): three phonons, four phonons"
    node = outputs["linewidths"].store()
    assert isinstance(node, LinewidthsData)
    table = node.arrays()
    points, weights = irreducible_mesh(phonopy_of(force_constants()), MESH)
    np.testing.assert_array_equal(table["qpoints"], points)
    np.testing.assert_array_equal(table["weights"], weights)
    # modes of one frequency got one width
    np.testing.assert_allclose(
        average_degenerate(table["frequencies_thz"], table["gamma_thz"]), table["gamma_thz"], rtol=1e-14
    )
    # the heat of all modes does not depend on how widths are shared among degenerate ones
    rates = read_rates(finished)
    theirs = np.average(rates.gamma_thz.sum(axis=2), axis=1, weights=rates.multiplicities)
    np.testing.assert_allclose(np.average(table["gamma_thz"].sum(axis=2), axis=1, weights=weights), theirs, rtol=1e-12)


def test_relaxation_time_approximation(parse: Callable[..., Any], tmp_path: Path) -> None:
    settings = {"temperatures": [300.0], "mesh": [2, 2, 2], "four_phonon": False, "convergence": False}
    outputs, process = parse(files_of(run(tmp_path, **settings)), **settings)
    assert process.is_finished_ok, process.exit_message
    figures = outputs["output_parameters"].get_dict()
    assert "kappa_converged_w_per_m_k" not in figures
    assert "four_phonon_share" not in figures
    assert "gamma_4ph_thz" not in outputs["linewidths"].arrays()


def test_harmonic_only(parse: Callable[..., Any], tmp_path: Path) -> None:
    settings = {"temperatures": [300.0], "mesh": [2, 2, 2], "four_phonon": False, "onlyharmonic": True}
    outputs, process = parse(files_of(run(tmp_path, **settings)), **settings)
    assert process.is_finished_ok, process.exit_message
    assert set(outputs) == {"output_parameters"}
    # 6 modes in a cell of 28.85 A^3: less than Dulong and Petit's value, and no less than four fifths
    classical = 6 * 1.380649e-23 / (2.8**2 * 3.68 * 1e-30)
    assert 0.8 * classical < outputs["output_parameters"]["heat_capacity_j_per_m3_k"][0] < classical


def test_not_converged(parse: Callable[..., Any], tmp_path: Path) -> None:
    """A warning: everything is there."""
    settings = {"temperatures": [200.0, 300.0], "mesh": [2, 2, 2], "four_phonon": False, "maxiter": 2}
    outputs, process = parse(files_of(run(tmp_path, **settings)), **settings)
    assert process.exit_status == 710
    assert "did not converge in 2 iterations at 200, 300 K" in process.exit_message
    assert set(outputs) == {"output_parameters", "linewidths"}


@pytest.mark.parametrize("stage", ["nothing", "harmonic", "first temperature", "last table"])
def test_stopped_on_the_way(stage: str, parse: Callable[..., Any], finished: Path) -> None:
    """Killed without a word: lost where nothing is there, else an output that is not whole is named."""
    files = files_of(finished)
    kept = {
        "nothing": (),
        "harmonic": ("shengbte", "BTE.qpoints", "BTE.omega", "BTE.cvVsT"),
        "first temperature": ("shengbte", "BTE", "T200K"),
        "last table": ("shengbte", "BTE.q", "BTE.o", "BTE.cvVsT", "BTE.w", "T"),
    }[stage]
    left = {name: content for name, content in files.items() if name.startswith(kept)}
    outputs, process = parse(left)
    assert process.exit_status == (300 if stage == "nothing" else 340)
    missing = {"harmonic": "T200K/BTE", "first temperature": "T300K/BTE", "last table": "BTE.KappaTensorVsT_RTA"}
    assert missing.get(stage, "Run it again") in process.exit_message
    assert not outputs


ERRORS = {
    "out of memory": (b"mpirun: process killed: out of memory\n", 312, "fewer ranks"),
    "time limit": (b"CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT\n", 313, "one temperature at a time"),
    "unknown name": (b"Fortran runtime error: Cannot match namelist object name four_phonon\n", 342, "FourPhonon"),
    "error": (b"Info: mesh\n Error: scell does not fit\n", 330, "Error: scell does not fit"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_the_program_says(name: str, parse: Callable[..., Any]) -> None:
    text, status, words = ERRORS[name]
    outputs, process = parse({"shengbte.out": b"", "shengbte.err": text})
    assert process.exit_status == status
    assert words in process.exit_message
    assert not outputs


@pytest.mark.parametrize(("scheduler", "status"), [(110, 312), (120, 313)])
def test_what_the_scheduler_says(scheduler: int, status: int, parse: Callable[..., Any], finished: Path) -> None:
    files = files_of(finished)
    files["T300K/BTE.w"] = files["T300K/BTE.w"][:500]
    _, process = parse(files, scheduler=scheduler)
    assert process.exit_status == status
    # with whole files it does not matter
    _, process = parse(files_of(finished), scheduler=scheduler)
    assert process.exit_status in (None, 0)


def test_program_without_four_phonons(parse: Callable[..., Any], tmp_path: Path) -> None:
    """It ran all through, and left what ShengBTE alone leaves."""
    settings = FOUR_PHONONS | {"four_phonon": False}
    _, process = parse(files_of(run(tmp_path, **settings)))
    assert process.exit_status == 342
    assert "must be FourPhonon" in process.exit_message


def test_results_of_another_crystal(parse: Callable[..., Any], finished: Path) -> None:
    stiffer = ForceConstantsData.from_arrays(force_constants() | {"fc2_0": 1.2 * force_constants()["fc2_0"]})
    _, process = parse(files_of(finished), stiffer)
    assert process.exit_status == 341
    assert "the table belongs to other force constants" in process.exit_message
    _, process = parse(files_of(finished), mesh=[3, 3, 3])
    assert process.exit_status == 341
    assert "3 x 3 x 3 has 27" in process.exit_message
