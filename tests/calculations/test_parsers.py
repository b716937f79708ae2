"""Parsers on the files of real task runs, and on all that can be wrong with them."""

import json

import numpy as np
import pytest
from aiida.orm import Dict
from aiida.plugins import CalculationFactory, ParserFactory

NODES = {
    "relax": ("iontherm.reference", ["labelled.extxyz"], {"configurations", "structure"}),
    "sample": ("iontherm.reference", ["labelled.extxyz"], {"configurations"}),
    "label": ("iontherm.reference", ["labelled.extxyz"], {"configurations"}),
    "train": ("iontherm.train", ["potential.mtp", "active_set.npz", "parity.npz"], {"potential", "parity"}),
    "md": ("iontherm.md", ["trajectory.npz", "snapshots.extxyz"], {"trajectory", "snapshots"}),
    "graded_md": (
        "iontherm.md",
        ["trajectory.npz", "snapshots.extxyz", "candidates.extxyz"],
        {"trajectory", "snapshots", "candidates"},
    ),
    "select": ("iontherm.select", ["selected.extxyz"], {"configurations"}),
    "force_constants": ("iontherm.force_constants", ["force_constants.npz"], {"force_constants"}),
    "lattice_conductivity": ("iontherm.lattice_conductivity", ["phonons.npz"], {"phonons"}),
}


@pytest.fixture
def parse(make_job):
    """Parse a job that left these files; returns its outputs and its exit code."""

    def run(name, files):
        plugin = NODES[name][0]
        mode = name if plugin == "iontherm.reference" else "none"
        node = make_job(plugin, inputs={"parameters": Dict({"mode": mode})}, files=files)
        parser = ParserFactory(plugin)(node)
        outputs, calcfunction = parser.parse_from_node(node, store_provenance=False)
        return outputs, calcfunction

    return run


@pytest.mark.parametrize("name", NODES)
def test_success(name, parse, task_runs):
    plugin, files, expected = NODES[name]
    outputs, node = parse(name, task_runs[name].files(*files))
    assert node.is_finished_ok, node.exit_message
    assert set(outputs) == expected | {"output_parameters"}
    output = task_runs[name].output
    parameters = outputs["output_parameters"].get_dict()
    assert parameters.items() >= Dict(output["results"]).get_dict().items()
    assert parameters["wall_seconds"] == output["seconds"] > 0
    assert parameters["peak_memory_mb"] > 1
    assert parameters["task_version"] == output["version"]
    spec = CalculationFactory(plugin).spec().outputs
    for label, data in outputs.items():
        assert isinstance(data, spec[label].valid_type)
        data.store()


def test_relaxed_cell_is_the_labelled_one(parse, task_runs):
    outputs, _ = parse("relax", task_runs["relax"].files("labelled.extxyz"))
    (labelled,) = outputs["configurations"].frames()
    relaxed = outputs["structure"].get_ase()
    np.testing.assert_allclose(relaxed.cell.array, labelled.cell.array)
    np.testing.assert_allclose(relaxed.positions, labelled.positions)
    # EMT's equilibrium cell is not the one given (2.80, 3.68), and the tetragonal symmetry is kept.
    a, b, c = relaxed.cell.lengths()
    assert a == pytest.approx(b, abs=1e-6)
    assert abs(c - 3.68) > 0.01


def test_potential_gets_its_species(parse, task_runs):
    outputs, _ = parse("train", task_runs["train"].files("potential.mtp", "active_set.npz", "parity.npz"))
    assert outputs["potential"].active_set().rank == task_runs["train"].output["results"]["parameters_determined"]
    assert outputs["potential"].species == task_runs["train"].output["results"]["species"]
    assert outputs["potential"].potential().cutoff == 4.0


def test_arrays_are_those_of_the_task(parse, task_runs):
    outputs, _ = parse("md", task_runs["md"].files("trajectory.npz", "snapshots.extxyz"))
    with np.load(task_runs["md"].path / "trajectory.npz") as archive:
        np.testing.assert_array_equal(outputs["trajectory"].arrays()["snapshots"], archive["snapshots"])
    assert len(outputs["snapshots"].frames()) == task_runs["md"].output["results"]["snapshots"]


def test_md_without_snapshots(parse, task_runs):
    files = task_runs["md"].files("trajectory.npz")
    output = json.loads(files["output.json"])
    output["results"]["snapshots"] = 0
    outputs, node = parse("md", files | {"output.json": json.dumps(output).encode()})
    assert node.is_finished_ok
    assert "snapshots" not in outputs


def test_nothing_selected(parse, task_runs):
    files = task_runs["select"].files()
    output = json.loads(files["output.json"])
    output["results"]["selected"] = 0
    outputs, node = parse("select", {"output.json": json.dumps(output).encode()})
    assert node.is_finished_ok
    assert set(outputs) == {"output_parameters"}


def test_active_set_of_another_training(parse, task_runs, tmp_path):
    files = task_runs["train"].files("potential.mtp", "active_set.npz", "parity.npz")
    with np.load(task_runs["train"].path / "active_set.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "other.npz", **(arrays | {"potential": np.array("0" * 64)}))
    _, node = parse("train", files | {"active_set.npz": (tmp_path / "other.npz").read_bytes()})
    assert node.exit_status == 340
    assert "active_set.npz is of no use" in node.exit_message


TRUNCATED = b'{"status": "fini'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name in NODES for content in (None, TRUNCATED)),
        *(("md", content) for content in (b"", b"[]", b"{}", b"null", b"\xff\xfe\x00")),
    ],
)
def test_no_usable_output_json(name, content, parse):
    outputs, node = parse(name, {} if content is None else {"output.json": content})
    assert node.exit_status == 300
    assert "Run it again" in node.exit_message
    assert not outputs


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("bad input", 210),
        ("interrupted", 310),
        ("disk full", 320),
        ("crashed", 330),
        ("physics failed", 500),
    ],
)
def test_task_failed(name, status, code, parse):
    message = "something of its own {with} braces"
    output = {"task": "t", "version": "0", "status": status, "message": message, "seconds": 1.0, "peak_memory_mb": 2.0}
    outputs, node = parse(name, {"output.json": json.dumps(output).encode()})
    assert node.exit_status == code
    if code != 310:
        assert message in node.exit_message
    assert not outputs


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "garbage"])
def test_unusable_file(name, damage, parse, task_runs):
    _, files, _ = NODES[name]
    content = task_runs[name].files(*files)
    for filename in files:
        if damage == "missing":
            del content[filename]
        else:
            whole = content[filename]
            # Not at a third of three equal frames: what is left must be no whole file.
            cut = whole[: len(whole) // 3 - 20]
            content[filename] = {"empty": b"", "truncated": cut, "garbage": b"\x00\xffno" * 9}[damage]
    _, node = parse(name, content)
    assert node.exit_status == 340
    assert files[0] in node.exit_message


def test_archive_of_another_kind(parse, task_runs):
    files = task_runs["md"].files("snapshots.extxyz") | {
        "trajectory.npz": (task_runs["train"].path / "parity.npz").read_bytes()
    }
    _, node = parse("md", files)
    assert node.exit_status == 340
    assert "lacks the arrays thermo" in node.exit_message
