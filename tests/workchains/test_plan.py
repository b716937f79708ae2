"""The plan: what will be done and what it costs, before anything starts."""

import numpy as np
import pytest

from aiida_iontherm.materials.table import find
from aiida_iontherm.physics.lattice.cells import make_phonopy
from aiida_iontherm.workchains.fit_cost import expected_parameters, fit_seconds
from aiida_iontherm.workchains.plan import make_plan
from aiida_iontherm.workchains.protocols import load_protocol
from aiida_iontherm.workchains.reference_cost import evaluation_seconds

MEASURED_SECONDS = {
    "relax": 15,
    "potential": 332,
    "diffusion": 15,
    "force_constants": 16,
    "lattice_conductivity": 149,
}
"""Of an undisturbed run of CsCu2I3, protocol demo, on two cores, from the start of a step to that of the next."""

TRAINED = ["relax", "potential", "diffusion", "force_constants", "lattice_conductivity"]


@pytest.fixture(scope="module")
def cscu2i3():
    return find("CsCu2I3").to_atoms()


@pytest.mark.parametrize("name", ["demo", "fast", "balanced", "precise"])
def test_numbers_are_positive(name, cscu2i3):
    plan = make_plan(cscu2i3, load_protocol(name), with_training=True)
    assert [step.name for step in plan] == TRAINED
    for step in plan:
        assert step.jobs > 0
        assert step.seconds > 0
        assert step.megabytes > 0
        assert step.parallel >= 1
        assert step.what
        assert 0 < step.wall_seconds(4) <= step.wall_seconds(1) == step.seconds


def test_each_step_is_near_what_it_took(cscu2i3):
    for step in make_plan(cscu2i3, load_protocol("demo"), with_training=True):
        # In that run exploration broke off early and half of the labels were needed: a quarter of the step `potential`.
        # A short step waits for AiiDA to look at its jobs, every few seconds.
        measured = MEASURED_SECONDS[step.name]
        assert step.wall_seconds(2) == pytest.approx(measured, rel=0.3, abs=6)


def test_only_exploration_shares_the_cores_with_itself(cscu2i3):
    plan = make_plan(cscu2i3, load_protocol("demo"), with_training=True)
    (potential,) = [step for step in plan if step.name == "potential"]
    shared = potential.seconds - potential.alone
    assert 0 < shared < potential.seconds / 2
    assert potential.wall_seconds(2) == pytest.approx(potential.alone + shared / 2)
    assert potential.wall_seconds(100) == pytest.approx(potential.alone + shared / potential.parallel)


def test_a_ready_potential_saves_the_training(cscu2i3):
    settings = load_protocol("demo")
    everything = make_plan(cscu2i3, settings, with_training=True)
    rest = make_plan(cscu2i3, settings, with_training=False)
    assert [step.name for step in rest] == TRAINED[2:]
    assert rest == everything[2:]


def test_cost_follows_the_settings(cscu2i3):
    def seconds(step, **overrides):
        plan = make_plan(cscu2i3, load_protocol("demo", overrides), with_training=True)
        return next(s.seconds for s in plan if s.name == step)

    # Ten times the steps; most of a short run is the job around it.
    assert seconds("diffusion", dynamics={"production_ps": 300.0}) > 3 * seconds("diffusion")
    assert seconds("diffusion", dynamics={"production_ps": 3000.0}) > 20 * seconds("diffusion")
    assert seconds("potential", potential={"max_rounds": 6}) > 1.5 * seconds("potential")
    longer = {"explore_ps": [400.0, 4000.0]}
    assert seconds("potential", potential=longer) > 2 * seconds("potential")
    assert seconds("potential", potential=longer | {"grade_interval": 1}) > seconds("potential", potential=longer)
    assert seconds("diffusion", temperatures=[300]) < 0.6 * seconds("diffusion")
    assert seconds("potential", engine={"name": "tblite", "options": {}}) > 2 * seconds("potential")
    assert seconds("lattice_conductivity", conductivity={"mesh_length": 60.0}) > 5 * seconds("lattice_conductivity")


def test_parameters_of_a_fit_are_expected_rightly(cscu2i3):
    """Against hiphive's clusters with the sum rules: 158 / 388 / 189 and 2060 + 7471 (docs/topics/force-constants)."""
    phonopy = make_phonopy(cscu2i3, (1, 1, 1))
    # Counted with the identity of the point group alone: atoms on mirror planes leave a little more.
    for cutoffs, known in (((5.5, 4.5, 4.0), [158, 388, 189]), ((8.0, 6.0, 5.2), [None, None, 7471])):
        for expected, number in zip(expected_parameters(phonopy, cutoffs), known, strict=True):
            assert number is None or expected == pytest.approx(number, rel=0.12)
    assert sum(expected_parameters(phonopy, (8.0, 6.0))) == pytest.approx(2060, rel=0.12)


@pytest.mark.parametrize(
    ("cutoffs", "atoms", "snapshots", "blocks", "series", "measured"),
    [
        ((5.5, 4.5), 96, 40, 4, False, 4.9),
        ((5.5, 4.5, 4.0), 96, 60, 4, False, 5.6),
        ((6.5, 4.8), 324, 60, 5, True, 7.8),
        ((6.5, 4.8, 4.0), 324, 60, 5, True, 12.7),
        ((8.0, 6.0), 324, 60, 5, True, 24.3),
        ((8.0, 6.0, 5.2), 324, 200, 4, False, 1494),
    ],
)
def test_a_fit_costs_what_it_took(cutoffs, atoms, snapshots, blocks, series, measured, cscu2i3):
    """CPU seconds of fits with noise on one thread, the last one wall seconds with more strengths of the ridge."""
    phonopy = make_phonopy(cscu2i3, (1, 1, 1))
    seconds = fit_seconds(phonopy, cutoffs, atoms, snapshots, blocks, ridge=True, series=series)
    assert measured / 2 < seconds < measured * 2


def test_a_fourth_order_is_named_and_priced(cscu2i3):
    def step(cutoffs, **section):
        settings = load_protocol("demo", {"force_constants": {"cutoffs": cutoffs, **section}})
        return next(s for s in make_plan(cscu2i3, settings, with_training=True) if s.name == "force_constants")

    two, three = step([6.0, 4.5]), step([6.0, 4.5, 4.5])
    assert "6 / 4.5 / 4.5 Angstrom" in three.what
    assert "from 120 snapshots" in three.what
    assert three.seconds > 2 * two.seconds
    assert two.seconds < step([6.0, 4.5], convergence=["snapshots"]).seconds < 1.3 * two.seconds
    assert step([6.0, 4.5], convergence=["cutoffs"]).seconds > 1.3 * two.seconds


def test_finer_protocols_cost_more(cscu2i3):
    totals = [
        sum(s.seconds for s in make_plan(cscu2i3, load_protocol(name), with_training=True))
        for name in ("demo", "fast", "balanced", "precise")
    ]
    assert totals == sorted(totals)


def test_a_cell_smaller_than_wanted_is_said_here(cscu2i3):
    plan = make_plan(cscu2i3, load_protocol("demo", {"dynamics": {"max_atoms": 50}}), with_training=True)
    (dynamics,) = [step for step in plan if step.name == "diffusion"]
    assert "24 atoms" in dynamics.what or "48 atoms" in dynamics.what
    assert "instead of 12" in dynamics.what


def test_text_names_engine_temperatures_and_cutoffs(cscu2i3):
    settings = load_protocol("demo", {"temperatures": [300, 412.5], "engine": {"name": "tblite", "options": {}}})
    relax, _, diffusion, constants, _ = (step.what for step in make_plan(cscu2i3, settings, with_training=True))
    assert "tblite" in relax
    assert "300, 412.5 K" in diffusion
    assert f"{settings.force_constants.cutoffs[0]:g} / {settings.force_constants.cutoffs[1]:g} Angstrom" in constants


def test_density_functionals_cost_what_their_cells_and_points_do():
    """Twice the atoms is 2^2.5 the time; a mesh of 4 x 4 x 4 has four times the points of 4 x 4 x 1, k and -k one."""
    engine = load_protocol("demo", {"engine": {"name": "gpaw", "dft": {"k_mesh": [4, 4, 1]}}}).engine
    cell = np.eye(3) * 6.0
    one = evaluation_seconds(engine, cell, 10)
    assert evaluation_seconds(engine, cell, 20) == pytest.approx(2**2.5 * one)
    finer = engine.model_copy(update={"dft": engine.dft.model_copy(update={"k_mesh": (4, 4, 4)})})
    assert evaluation_seconds(finer, cell, 10) == pytest.approx(4 * one)
    # What was measured: CsCu2I3, twelve atoms, 300 eV, 2 x 2 x 2 points, 29 s.
    measured = load_protocol(
        "demo", {"engine": {"name": "gpaw", "dft": {"k_mesh": [2, 2, 2], "cutoff_ev": 300}}}
    ).engine
    assert evaluation_seconds(measured, cell, 12) == pytest.approx(29, rel=0.25)


def test_a_program_runs_a_job_for_each_structure(cuau_cell):
    changes = {"reference": {"temperatures": [300, 600], "rattled_frames": 5}, "potential": {"max_rounds": 0}}
    jobs = {}
    for name, code in (("chgnet", None), ("vasp", "vasp@cluster")):
        settings = load_protocol("demo", changes | {"engine": {"name": name, "code": code}})
        jobs[name] = {step.name: step.jobs for step in make_plan(cuau_cell, settings, with_training=True)}
    assert jobs["chgnet"]["potential"] == 1 + 1  # the set, and a training
    assert jobs["vasp"]["potential"] == 2 + 5 + 1  # an MD run each, the rattled cells, and a training


def test_ions_alone_cost_no_phonons(cscu2i3):
    plan = make_plan(cscu2i3, load_protocol("demo", {"goal": "diffusivity"}), with_training=True)
    assert plan == make_plan(cscu2i3, load_protocol("demo"), with_training=True)[:3]
    assert plan[-1].name == "diffusion"
