"""What can be asked of a run that is over: its results, its report, its nodes, and why it failed."""

import csv
import io
import json

import pytest
from aiida.cmdline.commands.cmd_verdi import verdi
from aiida.orm import load_group
from ase.formula import Formula
from click.testing import CliRunner

from aiida_iontherm.cli.gather import dynamics_warnings, gather
from aiida_iontherm.physics.quantity import Quantity

pytestmark = pytest.mark.slow

PROFILE = ("-p", "tests")


@pytest.fixture
def data(aiida_profile):
    """Call `verdi data iontherm`; returns what it prints."""

    def run(*arguments, status=0):
        result = CliRunner().invoke(verdi, ["data", "iontherm", *(str(argument) for argument in arguments)])
        assert result.exit_code == status, result.output
        return result.output

    return run


def training_set(run):
    """Configurations that the potential of a run was trained on."""
    return run.outputs.potential.creator.inputs.configurations.frames()


def test_run_tells_what_it_does(first_run):
    """The plan, the beginning and the end of each job, the results with verdicts, the report."""
    lines = first_run.output.splitlines()
    assert lines[0].endswith(f": 2 atoms, {first_run.structure}")
    assert any(line.startswith("In all 13 jobs") for line in lines)
    done = [line.partition("] done  ")[2].partition(":")[0] for line in lines if "] done  " in line]
    assert len(done) == len(set(done)) == 13
    assert {"relax", "potential > train 1", "diffusion > dynamics T300"} <= set(done)
    assert any("not converged" in line for line in lines)
    assert any("no diffusion seen within the run" in line for line in lines)
    assert lines[-1] == f"Report: {first_run.report / 'report.html'}"


def test_run_joins_its_campaign(first_run):
    assert [run.pk for run in load_group("alloys").runs()] == [first_run.node.pk]


def test_run_remembers_where_the_structure_came_from(first_run):
    assert first_run.node.label == "cuau"
    assert first_run.node.description == f"demo: {first_run.structure}"


def test_report_has_been_written(first_run):
    page = (first_run.report / "report.html").read_text()
    assert gather(first_run.node).title in page
    assert "activation energy" in page.lower()
    records = json.loads((first_run.report / "results.json").read_text())
    assert records
    assert len(list((first_run.report / "figures").glob("*.png"))) >= 5
    assert any((first_run.report / "data").iterdir())


@pytest.fixture
def written(monkeypatch):
    """Reports that would be written: a dozen figures take longer than all else, and `first_run` has drawn them."""
    reports = []

    def write(report, folder):
        reports.append((report, folder))
        return folder / "report.html"

    monkeypatch.setattr("aiida_iontherm.report.write.write_report", write)
    return reports


def test_report_command(first_run, call, tmp_path, written):
    result = call("report", first_run.node.pk, "-o", tmp_path / "out", *PROFILE)
    assert result.exit_code == 0, result.output
    assert result.output == f"Report: {tmp_path / 'out' / 'report.html'}\n"
    ((report, folder),) = written
    assert folder == tmp_path / "out"
    assert len(report.quantities) == len(first_run.node.outputs.result.quantities)


def test_gathered_report(material_run):
    report = gather(material_run)
    assert sorted(Formula(report.formula).count()) == ["Au", "Cu"]
    assert len(report.quantities) == len(material_run.outputs.result.quantities)
    assert list(report.kappa.temperatures) == [200.0, 300.0]
    assert [data.temperature for data in report.spectral] == [200.0, 300.0]
    assert [data.temperature for data in report.convergence] == [200.0, 300.0]
    assert all(len(data.snapshots) == 2 for data in report.convergence)
    doubts = [line for line in report.warnings if "the force constants are not converged: snapshots from" in line]
    assert len(doubts) == sum(not data.converged for data in report.convergence)
    assert [(data.ion, data.temperature) for data in report.msd] == [
        ("Cu", 200.0),
        ("Au", 200.0),
        ("Cu", 300.0),
        ("Au", 300.0),
    ]
    assert [data.mobile for data in report.msd] == [True, False] * 2
    # Nothing hops in this crystal, and the dynamics has nothing to complain of.
    assert report.hops is None
    assert dynamics_warnings(material_run) == []
    assert set(report.dos.by_species) == {"Cu", "Au"}
    assert len(report.parity.reference_energies) == len(training_set(material_run))
    assert report.occupation.n_critical >= 1
    assert len(report.process_tree) == len(material_run.called_descendants) + 1
    assert len(report.provenance.nodes) == len(material_run.called_descendants) + 1
    assert not any(node.failed for node in report.provenance.nodes)
    assert any("three-phonon" in warning for warning in report.warnings)


def test_results_for_people(first_run, call):
    result = call("results", first_run.node.pk, *PROFILE)
    assert result.exit_code == 0
    assert "activation energy" in result.output
    assert "eV" in result.output
    assert "limit" in result.output


def test_results_for_programs(first_run, call):
    record = json.loads(call("results", first_run.node.uuid, "--json", *PROFILE).output)
    assert (record["run"], record["uuid"], record["material"]) == (first_run.node.pk, first_run.node.uuid, "cuau")
    quantities = [Quantity.from_dict(entry) for entry in record["results"]]
    assert quantities == first_run.node.outputs.result.quantities


def test_results_for_spreadsheets(first_run, call):
    rows = list(csv.DictReader(io.StringIO(call("results", first_run.node.pk, "--csv", *PROFILE).output)))
    quantities = first_run.node.outputs.result.quantities
    assert [(row["name"], row["unit"]) for row in rows] == [(q.name, q.unit) for q in quantities]
    # a ratio that nothing moved for has no value
    assert [float(row["value"]) if row["value"] else None for row in rows] == [q.value for q in quantities]


def test_results_of_a_part_point_to_the_run(first_run, refuse):
    part = first_run.node.called[0]
    assert f"it belongs to run {first_run.node.pk}" in refuse("results", part.pk, *PROFILE)


def test_why_of_a_run_that_went_well(first_run, call):
    result = call("why", first_run.node.pk, *PROFILE)
    assert result.exit_code == 0
    assert result.output.strip().endswith("finished well.")


def test_watch_a_run_that_is_over(first_run, call, tmp_path, monkeypatch, written):
    """All jobs are listed once and the results follow."""
    monkeypatch.chdir(tmp_path)
    result = call("watch", first_run.node.pk, *PROFILE)
    assert result.exit_code == 0, result.output
    assert result.output.count("] done  ") == 13
    assert f"Report: {tmp_path / f'iontherm-report-{first_run.node.pk}'}" in result.output
    assert len(written) == 1


def test_why_names_the_deepest(failed_run, call):
    result = call("why", failed_run.pk, *PROFILE)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split(" <")[0] for line in lines[:4]] == [
        "MaterialWorkChain",
        "  DiffusionWorkChain",
        "    DynamicsWorkChain",
        "      MdCalculation",
    ]
    jobs = [node for node in failed_run.called_descendants if node.process_label == "MdCalculation"]
    # It flew apart, and once more with half the timestep.
    first, job = sorted(jobs, key=lambda node: node.pk)
    assert job.inputs.parameters["timestep_fs"] == first.inputs.parameters["timestep_fs"] / 2
    assert lines[3] == f"      MdCalculation <{job.pk}>: [510] {job.exit_message}"
    assert f"Last lines of <{job.pk}>:" in result.output
    assert "  | iontherm-task md: " in result.output
    assert lines[-1].startswith("The dynamics flew apart, with half the timestep too")


@pytest.mark.parametrize("command", ["results", "report"])
def test_no_results_of_a_failed_run(command, failed_run, refuse):
    line = refuse(command, failed_run.pk, *PROFILE)
    assert f"process {failed_run.pk} has no result" in line
    assert f"`iontherm why {failed_run.pk}`" in line


def test_watch_of_a_failed_run_fails(failed_run, call):
    result = call("watch", failed_run.pk, *PROFILE)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: run {failed_run.pk}: the dynamics <")


def test_list_nodes(first_run, data):
    outputs = first_run.node.outputs
    lines = [line.split() for line in data("list").splitlines()]
    kinds = {int(line[0]): line[3] for line in lines}
    assert kinds[outputs.potential.pk] == "potential"
    assert kinds[outputs.result.pk] == "result"
    assert kinds[outputs.phonons.T300.pk] == "phonons"
    only = [line.split() for line in data("list", "--kind", "potential").splitlines()]
    assert {line[3] for line in only} == {"potential"}
    assert outputs.potential.pk in {int(line[0]) for line in only}


def test_show_nodes(first_run, data):
    outputs = first_run.node.outputs
    species = ", ".join(outputs.potential.species)
    assert data("show", outputs.potential.pk).startswith(f"species {species}; cutoff 4.5 Angstrom")
    assert "gamma_thz" in data("show", outputs.phonons.T300.uuid)
    records = [json.loads(line) for line in data("show", outputs.result.pk).splitlines()]
    assert len(records) == len(outputs.result.quantities)
    configurations = outputs.potential.creator.inputs.configurations
    frames = training_set(first_run.node)
    # Two runs of reference MD, rattled cells, test frames; whether candidates were selected is the potential's matter.
    assert len(frames) >= 2 * 8 + 3 + 4
    assert data("show", configurations.pk).startswith(f"{len(frames)} configurations of")


def test_export_nodes(first_run, data, tmp_path):
    outputs = first_run.node.outputs
    path = tmp_path / "out.mtp"
    assert f"Wrote {path}." in data("export", outputs.potential.pk, "-o", path)
    assert path.read_text() == outputs.potential.get_content()
    assert "exists already" in data("export", outputs.potential.pk, "-o", path, status=1)
    data("export", outputs.result.pk, "-o", tmp_path / "result.json")
    records = json.loads((tmp_path / "result.json").read_text())
    assert [Quantity.from_dict(record) for record in records] == outputs.result.quantities


@pytest.mark.parametrize("command", ["show", "export"])
def test_nodes_that_are_not_ours(command, first_run, data):
    assert "not one of iontherm" in data(command, first_run.node.inputs.structure.pk, status=1)
    assert "there is no node 99999999" in data(command, 99999999, status=1)


def test_exported_potential_can_be_used(first_run, data, call, tmp_path):
    """What was trained in one run is ready for the next: no relaxation, no training."""
    path = tmp_path / "cuau.mtp"
    data("export", first_run.node.outputs.potential.pk, "-o", path)
    species = ",".join(first_run.node.outputs.potential.species)
    options = ["--potential", path, "--species", species, "--overrides", first_run.overrides, "--dry-run", "--json"]
    result = call("run", first_run.structure, *options, *PROFILE)
    assert [step["name"] for step in json.loads(result.output)] == [
        "diffusion",
        "force_constants",
        "lattice_conductivity",
    ]
