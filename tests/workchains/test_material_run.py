"""The whole chain, run once through AiiDA on CuAu with EMT (see `first_run`)."""

import os
import subprocess
import sys

import numpy as np
import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, Dict, StructureData, WorkChainNode, load_node
from aiida.tools.archive import create_archive

from aiida_iontherm.cli.setup import CACHED
from aiida_iontherm.workchains.material import MaterialWorkChain
from aiida_iontherm.workchains.reference import ReferenceWorkChain

pytestmark = pytest.mark.slow

TEMPERATURES = (200.0, 300.0)
LABELS = {"T200", "T300"}

UNITS = {
    "kappa_particle": "W/(m K)",
    "kappa_wave": "W/(m K)",
    "kappa_total": "W/(m K)",
    "kappa_exponent": "1",
    "kappa_of_Au": "W/(m K)",
    "kappa_of_Cu": "W/(m K)",
    "particle_like_modes": "1",
    "wave_like_modes": "1",
    "overdamped_modes": "1",
    "average_diffuson_frequency": "THz",
    "D_Cu": "cm^2/s",
    "sigma": "S/m",
    "sigma_nernst_einstein": "S/m",
    "haven_ratio": "1",
    "activation_energy": "eV",
    "average_frequency_Cu": "THz",
    "mobile_fraction": "1",
    "critical_phonon_number": "1",
    "equilibrium_occupation": "1",
    "jump_probability": "1",
    "potential_force_error": "eV/Angstrom",
}


def jobs_of(run):
    return [node for node in run.called_descendants if isinstance(node, CalcJobNode)]


@pytest.fixture(scope="module")
def quantities(material_run):
    return material_run.outputs.result.quantities


def test_run_finished_well(material_run):
    assert material_run.is_finished_ok, material_run.exit_message
    assert all(node.is_finished_ok for node in material_run.called_descendants)


def test_all_quantities_with_their_units(quantities):
    assert {q.name: q.unit for q in quantities} == UNITS
    for q in quantities:
        assert q.method
        assert q.converged or q.reason
        assert load_node(q.uuid).is_stored
    per_temperature = {
        name: sorted({q.temperature for q in quantities if q.name == name and q.temperature}) for name in UNITS
    }
    for name in ("kappa_total", "D_Cu", "mobile_fraction", "jump_probability"):
        assert per_temperature[name] == list(TEMPERATURES)


def test_quantities_name_the_analysis_they_come_from(quantities):
    makers = {q.name: load_node(q.uuid).creator.process_label for q in quantities}
    assert makers["kappa_total"] == "two_channel_conductivity"
    assert makers["kappa_exponent"] == "conductivity_exponents"
    assert makers["mobile_fraction"] == "analyse_occupation"
    # One layer joins the temperatures; each record still names the run it was read from.
    assert makers["D_Cu"] == "analyse_diffusion"
    assert makers["potential_force_error"] == "judge_potential"


@pytest.mark.parametrize("label", sorted(LABELS))
def test_tensors_have_the_symmetry_of_the_crystal(label, material_run):
    arrays = material_run.outputs.conductivity[label]
    for tensors in (arrays.get_array("values"), arrays.get_array("spectra")):
        scale = np.abs(tensors).max()
        # Velocity products are stored in single precision.
        np.testing.assert_allclose(tensors, np.swapaxes(tensors, -1, -2), atol=1e-6 * scale)
        np.testing.assert_allclose(tensors[..., 0, 0], tensors[..., 1, 1], atol=1e-6 * scale)
        np.testing.assert_allclose(tensors[..., [0, 0, 1], [1, 2, 2]], 0, atol=1e-6 * scale)
    particle, wave, total = arrays.get_array("values")[:, 0]
    np.testing.assert_allclose(particle + wave, total)
    assert np.all(np.diag(particle) > 0)
    assert np.all(np.diag(wave) > 0)
    # c differs from a by a third: the conductivities are not equal by chance of the symmetrisation.
    assert abs(total[2, 2] - total[0, 0]) > 0.02 * total[0, 0]


def test_spectra_add_up_to_the_conductivity(material_run):
    arrays = material_run.outputs.conductivity["T300"]
    centres = arrays.get_array("frequencies_thz")
    spectra, values = arrays.get_array("spectra"), arrays.get_array("values")
    total = spectra[:, 0].sum(axis=1) * (centres[1] - centres[0])
    np.testing.assert_allclose(total, values[:2, 0], rtol=1e-6, atol=1e-6 * values.max())


def test_diffusion_was_not_seen_and_says_so(quantities):
    """Copper does not leave its site in CuAu within two picoseconds."""
    diffusivities = [q for q in quantities if q.name == "D_Cu"]
    assert {q.bound for q in diffusivities} == {"upper"}
    (energy,) = (q for q in quantities if q.name == "activation_energy")
    assert energy.bound == "lower"
    assert energy.value > 0


def test_outputs(material_run):
    outputs = material_run.outputs
    for name in ("msd", "dynamics", "force_constants", "fits", "phonons", "lattice", "conductivity"):
        assert set(outputs[name]) == LABELS, name
    # A good potential of level 6 for a simple metal: the force constants explain the forces.
    assert all(outputs.fits[label]["r2_test"] > 0.9 for label in LABELS)
    for label in LABELS:
        fit = outputs.fits[label]
        half, whole = fit["convergence"]["snapshots"]["settings"]
        assert abs(half - whole / 2) <= 0.5  # two blocks
        assert whole == fit["snapshots"]
    assert sorted(outputs.potential.species) == ["Au", "Cu"]
    assert outputs.test["configurations"] == 4
    (record,) = outputs.active_learning["rounds"]
    assert record["selected"] > 0
    # Both runs and the rattled cells; what was explored, for the test and selected.
    assert outputs.training["configurations"] == 2 * 8 + 3 + 4 + record["selected"]
    for label, temperature in zip(("T200", "T300"), TEMPERATURES, strict=True):
        # NVE started near equilibrium; 36 atoms over 1.6 ps scatter by some ten per cent.
        assert outputs.dynamics[label]["mean_temperature_k"] == pytest.approx(temperature, rel=0.35)
        assert abs(outputs.lattice[label]["min_frequency_thz"]) < 0.1  # a stable crystal: acoustic modes at Gamma


def test_record_of_the_active_learning(material_run):
    """One round at 700 K, beyond the training set: the run meets what the potential does not know, and learns."""
    learning = material_run.outputs.active_learning.get_dict()
    assert learning["converged"] is False
    assert learning["reason"] == "the limit of 1 rounds was reached"
    (record,) = learning["rounds"]
    (run,) = record["runs"]
    assert (run["temperature"], run["volume_scaling"]) == (700.0, 1.0)
    assert 3 < run["max_grade"] == record["max_grade"]
    assert record["candidates"] >= record["selected"]
    assert record["max_grade_after_selection"] <= 3
    assert 0 < record["test_error"] < 1
    assert record["training"]["configurations"] == material_run.outputs.training["configurations"]
    assert 0 < record["force_constant_change"] < 0.5
    assert material_run.outputs.potential.has_active_set
    makers = {
        link.node.process_label
        for link in material_run.outputs.active_learning.base.links.get_incoming().all()
        if hasattr(link.node, "process_label") and link.link_type.value == "create"
    }
    assert makers == {"collect_rounds"}


def test_relaxed_cell_is_used(material_run):
    relaxed = material_run.outputs.structure
    assert relaxed.creator.process_label == "ReferenceCalculation"
    a, b, c = relaxed.get_ase().cell.lengths()
    assert a == pytest.approx(b, abs=1e-6)
    assert c / a == pytest.approx(3.68 / 2.80, abs=0.15)
    trajectories = [job.inputs.structure.uuid for job in jobs_of(material_run) if "MdCalculation" in job.process_label]
    assert set(trajectories) == {relaxed.uuid}


def test_provenance_tree(material_run):
    def tree(node):
        children = sorted((child for child in node.called if isinstance(child, WorkChainNode)), key=lambda n: n.pk)
        links = [child.base.links.get_incoming(node_class=WorkChainNode).one().link_label for child in children]
        return {link: tree(child) for link, child in zip(links, children, strict=True)}

    assert tree(material_run) == {
        "relax": {"relaxation": {}},
        "potential": {
            "reference_set": {"sample": {}},
            "train_0": {},
            "explore_1_T700_V1": {},
            "select_1": {},
            "label_1": {"label": {}},
            "train_1": {},
        },
        "diffusion": {"dynamics_T200": {}, "dynamics_T300": {}},
        "force_constants_T200": {},
        "force_constants_T300": {},
        "lattice_conductivity_T200": {},
        "lattice_conductivity_T300": {},
    }
    labels = [job.process_label for job in sorted(jobs_of(material_run), key=lambda job: job.pk)]
    assert len(labels) == 13
    assert labels[:3] == ["ReferenceCalculation", "ReferenceCalculation", "TrainCalculation"]


def test_result_leads_back_to_the_structure(material_run):
    """Where does a number come from: following its inputs upwards ends at what the user gave."""
    seen, queue = set(), [material_run.outputs.result]
    while queue:
        node = queue.pop()
        if node.pk in seen:
            continue
        seen.add(node.pk)
        queue += [link.node for link in node.base.links.get_incoming().all() if "call" not in link.link_type.value]
    assert material_run.inputs.structure.pk in seen
    assert material_run.inputs.code.pk in seen


def test_second_run_takes_all_jobs_from_the_cache(material_run, run_process, task_code):
    builder = MaterialWorkChain.get_builder_from_protocol(task_code, material_run.inputs.structure)
    builder.settings = Dict(material_run.inputs.settings.get_dict())
    with enable_caching(identifier=CACHED[0]):
        again = run_process(builder)
    assert again.is_finished_ok
    jobs = jobs_of(again)
    assert len(jobs) == 13
    assert all(job.base.caching.is_created_from_cache for job in jobs)
    first, second = (
        [(q.name, q.direction, q.temperature, q.value, q.uncertainty) for q in run.outputs.result.quantities]
        for run in (material_run, again)
    )
    assert first == second


def test_ions_alone(material_run, run_process, task_code):
    """With the potential of the whole run: its dynamics from the cache, and what that tells of ions, nothing more."""
    builder = MaterialWorkChain.get_builder_from_protocol(
        task_code, material_run.outputs.structure, potential=material_run.outputs.potential
    )
    builder.settings = Dict(material_run.inputs.settings.get_dict() | {"goal": "diffusivity"})
    with enable_caching(identifier=CACHED[0]):
        run = run_process(builder)
    assert run.is_finished_ok, run.exit_message
    jobs = jobs_of(run)
    assert {job.process_label for job in jobs} == {"MdCalculation"}
    assert all(job.base.caching.is_created_from_cache for job in jobs)
    diffusion = [link.node for link in material_run.base.links.get_outgoing(link_label_filter="diffusion").all()]
    assert [q.name for q in run.outputs.result.quantities] == [q.name for q in diffusion[0].outputs.result.quantities]


def test_an_element_that_the_engine_does_not_know_is_refused(task_code, material_run):
    cesium = material_run.inputs.structure.get_ase()
    cesium.symbols[0] = "Cs"
    builder = MaterialWorkChain.get_builder_from_protocol(task_code, StructureData(ase=cesium))
    builder.settings = Dict(material_run.inputs.settings.get_dict() | {"mobile": None})
    with pytest.raises(ValueError, match="the engine emt does not know Cs"):
        instantiate_process(get_manager().get_runner(), builder)


def test_a_failing_child_is_named(run_process, task_code, material_run):
    """An option that the engine does not take: the task says so, every chain above passes it on."""
    builder = MaterialWorkChain.get_builder_from_protocol(task_code, material_run.inputs.structure)
    settings = material_run.inputs.settings.get_dict()
    builder.settings = Dict(settings | {"engine": settings["engine"] | {"options": {"flavour": "mild"}}})
    run = run_process(builder)
    assert run.exit_status == 400
    (relax,) = run.called
    (reference,) = relax.called
    (job,) = reference.called
    assert (relax.exit_status, reference.exit_status, job.exit_status) == (400, 210, 210)
    assert run.exit_message.startswith(f"the relaxation <{relax.pk}> failed: ")
    assert "the engine emt does not take these options" in run.exit_message
    assert "result" not in run.outputs


def test_absurd_temperature_fails_with_the_physics(failed_run):
    """At 60 000 K the crystal flies apart; the run says at which temperature, and why."""
    assert failed_run.exit_status == 400
    # Once more with half the timestep, which does not help.
    first, job = sorted(jobs_of(failed_run), key=lambda node: node.pk)
    assert (first.process_label, first.exit_status, job.exit_status) == ("MdCalculation", 510, 510)
    assert failed_run.exit_message.startswith("the dynamics <")
    assert "the dynamics at 60000 K <" in failed_run.exit_message
    assert job.exit_message in failed_run.exit_message


def test_a_ready_potential_skips_relaxation_and_training(failed_run, material_run):
    (only,) = failed_run.called
    assert only.process_label == "DiffusionWorkChain"
    assert set(failed_run.outputs) == {"structure", "potential"}
    assert failed_run.outputs.potential.uuid == material_run.outputs.potential.uuid
    assert failed_run.outputs.structure.uuid == material_run.outputs.structure.uuid


def test_interrupted_job_goes_on(run_process, task_code, cuau):
    """Time for about a third of the work: several jobs, each from the checkpoint of the one before."""
    settings = {"relax_cell": True, "force_tolerance": 1e-14, "max_steps": 4000}
    run = run_process(
        ReferenceWorkChain,
        code=task_code,
        structure=StructureData(ase=cuau.repeat((2, 2, 2))),
        parameters=Dict({"engine": "emt", "engine_options": {}, "mode": "relax", "relax": settings}),
        options=Dict({"max_wallclock_seconds": 10}),
        max_iterations=2,
    )
    first, second = sorted((node for node in run.called if isinstance(node, CalcJobNode)), key=lambda node: node.pk)
    assert first.exit_status == 310
    assert second.inputs.restart_folder.uuid == first.outputs.remote_folder.uuid


def test_archive_of_the_run(material_run, tmp_path):
    """Exported, brought into an empty profile, and read there."""
    path = tmp_path / "run.aiida"
    create_archive([material_run], filename=path)
    code = f"""
from aiida.manage.configuration import create_profile, get_config, load_profile
config = get_config(create=True)
create_profile(config, name="other", email="a@b.c", storage_backend="core.sqlite_dos",
               storage_config={{"filepath": r"{tmp_path / "storage"}"}}, broker_backend=None, broker_config=None)
config.store()
load_profile("other")
from aiida.orm import load_node
from aiida.tools.archive import import_archive
import_archive(r"{path}", create_group=False)
run = load_node("{material_run.uuid}")
assert run.is_finished_ok
from aiida_iontherm.cli.gather import gather
print(len(run.called_descendants), len(run.outputs.result.quantities), len(gather(run).quantities))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"AIIDA_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    quantities = len(material_run.outputs.result.quantities)
    assert done.stdout.split() == [str(len(material_run.called_descendants)), str(quantities), str(quantities)]
