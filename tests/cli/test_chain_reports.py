"""Reports of single calculations: Green-Kubo, heat exchange, barriers; warnings of the dynamics in all of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from aiida.orm import ArrayData, Dict, StructureData
from ase.build import bulk

from aiida_iontherm.cli.gather import dynamics_warnings
from aiida_iontherm.cli.gather_chain import barrier_data, gather_any, nemd_data
from aiida_iontherm.data import PotentialData
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.report.figures import FIGURES
from aiida_iontherm.workchains.barrier import BarrierWorkChain
from aiida_iontherm.workchains.green_kubo import GreenKuboWorkChain

PROFILE = ("-p", "tests")


@pytest.fixture
def written(monkeypatch):
    """Reports that would be written."""
    reports = []

    def write(report, folder):
        reports.append(report)
        return folder / "report.html"

    monkeypatch.setattr("aiida_iontherm.report.write.write_report", write)
    return reports


def drawn(report):
    """Names of the figures, each drawn and described."""
    names = []
    for kind in FIGURES:
        record = getattr(report, kind.field)
        if record is None or (isinstance(record, list | tuple) and not record):
            continue
        kind.draw(record)
        assert kind.describe(record).text
        names.append(kind.name)
    return names


@pytest.mark.slow
def test_barriers(run_process, task_code, call, written):
    settings = {"mobile": "Cu", "search": {"max_distance": 3.0}, "images": 1, "supercell": [2, 2, 2], "fmax": 0.2}
    node = run_process(
        BarrierWorkChain,
        code=task_code,
        structure=StructureData(ase=bulk("Cu", "fcc", a=3.59, cubic=True)),
        engine=Dict({"name": "emt", "options": {}}),
        settings=Dict(settings),
    )
    assert node.is_finished_ok, node.exit_message
    result = call("report", node.pk, *PROFILE)
    assert result.exit_code == 0, result.output
    (report,) = written
    assert (report.about, report.formula) == ("barrier", "Cu")
    assert drawn(report) == ["barriers", "provenance"]
    (path,) = report.barriers
    found = {q.name: q.value for q in report.quantities}
    assert path.label == "Cu-Cu_2.54"
    assert path.energies_ev.max() == pytest.approx(found["migration_barrier_Cu-Cu_2.54"], abs=1e-3)
    table = call("results", node.pk, *PROFILE)
    assert f"BarrierWorkChain, run {node.pk}" in table.output


@pytest.mark.slow
def test_green_kubo_and_the_warnings_of_its_runs(run_process, task_code, call, written, tmp_path):
    """Ions that hardly see each other: the crystal melts at once, which page, table and record say."""
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    blank.replace(moment_coeffs=np.array([0.01])).write(tmp_path / "p.mtp")
    settings = {
        "temperature": 3000.0,
        "mobile": "Cu",
        "min_extent": 5.0,
        "max_atoms": 8,
        "equilibration_ps": 0.4,
        "production_ps": 8.0,
        "runs": 2,
        "target_error": 0.0,
    }
    node = run_process(
        GreenKuboWorkChain,
        code=task_code,
        structure=StructureData(ase=bulk("CuI", "rocksalt", a=5.4, cubic=True)),
        potential=PotentialData(tmp_path / "p.mtp", species=["Cu", "I"]),
        settings=Dict(settings),
    )
    assert node.is_finished_ok, node.exit_message
    (warning,) = dynamics_warnings(node)
    assert warning.startswith("At 3000 K Cu and I leave their sites")
    report = gather_any(node)
    assert drawn(report) == ["running_integral", "provenance"]
    assert warning in report.warnings
    curve, window = report.green_kubo, report.green_kubo.window_ps
    inside = (curve.lags_ps >= window[0]) & (curve.lags_ps <= window[1])
    plateau = {q.direction: q.value for q in report.quantities if q.name == "kappa_green_kubo"}
    # The value is the mean over the window, to the ends of which half a sample may count.
    assert curve.kappa[inside, 0].mean() == pytest.approx(plateau["x"], rel=0.05)
    shown = call("results", node.pk, *PROFILE)
    assert "Cu and I leave their sites" in " ".join(shown.output.split())
    assert json.loads(call("results", node.pk, "--json", *PROFILE).output)["warnings"] == [warning]


def test_wells_begin_at_zero():
    x = np.linspace(-0.5, 0.5, 7)
    arrays = {
        "displacements_A": x,
        "scan_energies_ev": (-40.0 + 2 * x**2)[None],
        "coefficients": np.array([[-40.0, 0, 2, 0, 0]]),
    }
    records = barrier_data(arrays, {"scans": [{"site": "Cu1", "direction": "[1 0 0]"}]})
    assert records["barriers"] == []
    (well,) = records["wells"]
    np.testing.assert_allclose(well.energies_ev, 2 * x**2, atol=1e-13)
    np.testing.assert_allclose(np.polynomial.Polynomial(well.coefficients)(x), well.energies_ev, atol=1e-13)


def test_a_path_that_failed_has_no_curve():
    failed = {"label": "a", "forward_ev": None, "converged": False}
    fine = {"label": "b", "forward_ev": 0.2, "converged": True}
    names = ("path_A", "energies_ev", "curve_path_A", "curve_ev")
    arrays = {f"{name}_1": np.arange(3.0) for name in names}
    (record,) = barrier_data(arrays, {"barriers": [failed, fine]})["barriers"]
    assert record.label == "b"


def test_heat_exchange_of_two_lengths(aiida_profile):
    """Profiles go through nodes; the line through both lengths is there."""
    rng = np.random.default_rng(2)
    profiles, figures = {}, {}
    for cells, gradient in ((4, 2.0), (8, 1.5)):
        slabs, length = 12, 10.0 * cells
        x = np.arange(slabs)
        distance = np.minimum(np.abs(x - slabs // 2), slabs - np.abs(x - slabs // 2)) * 2 * length / slabs
        kinetic = 3 * 8.617e-5 * 40 * (300 + gradient * distance) * (1 + rng.normal(0, 0.003, (100, slabs)))
        current = np.where(x < 6, 1, -1) * length / 12 * (1 + rng.normal(0, 0.1, (100, slabs)))
        node = ArrayData()
        node.set_array("profile", np.stack([np.full_like(kinetic, 40.0), kinetic, current, 0.01 * current], axis=-1))
        node.set_array("cell", np.diag([2 * length, 20.0, 20.0]))
        for name, value in {"axis": 0, "power_ev_per_ps": 1.0, "block_ps": 1.0, "temperature_k": 300.0}.items():
            node.set_array(name, np.array(value))
        profiles[f"length_{cells}"], figures[f"length_{cells}"] = node, {"skipped_slabs": 1}
    data = nemd_data(profiles, figures)
    assert [cell.length_A for cell in data.cells] == pytest.approx([40.0, 80.0])
    for cell, gradient in zip(data.cells, (2.0, 1.5), strict=True):
        # three parts in a thousand of noise, over ten slabs and a hundred blocks
        assert cell.gradient == pytest.approx(gradient, rel=0.02)
    assert data.extrapolation.lengths_A == pytest.approx([40.0, 80.0])
    alone = nemd_data({"length_4": profiles["length_4"]}, figures)
    assert alone.extrapolation is None


def test_warnings_name_their_temperatures_once():
    def dynamics(temperature, warnings):
        return SimpleNamespace(
            pk=int(temperature),
            process_label="DynamicsWorkChain",
            is_finished_ok=True,
            inputs=SimpleNamespace(settings={"temperature": temperature}),
            outputs=SimpleNamespace(output_parameters={"warnings": warnings}),
        )

    exploration = SimpleNamespace(pk=1, process_label="PotentialWorkChain", called=[dynamics(9.0, ["unfinished"])])
    runs = [dynamics(600.0, ["I melts"]), dynamics(600.0, ["I melts"]), dynamics(700.0, ["I melts", "steps too long"])]
    diffusion = SimpleNamespace(pk=2, process_label="DiffusionWorkChain", called=runs)
    run = SimpleNamespace(pk=0, process_label="MaterialWorkChain", called=[exploration, diffusion])
    assert dynamics_warnings(run) == ["At 600, 700 K I melts.", "At 700 K steps too long."]
