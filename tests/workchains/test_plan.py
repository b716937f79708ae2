"""The plan: what will be done and what it costs, before anything starts."""

import pytest

from aiida_iontherm.materials.table import find
from aiida_iontherm.workchains.plan import make_plan
from aiida_iontherm.workchains.protocols import load_protocol

TRAINED = ["relax", "potential", "diffusion", "force_constants", "lattice_conductivity"]


@pytest.fixture(scope="module")
def cscu2i3():
    return find("CsCu2I3").to_atoms()


@pytest.mark.parametrize("name", ["demo", "fast", "balanced"])
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

    assert seconds("diffusion", dynamics={"production_ps": 300.0}) > 5 * seconds("diffusion")
    assert seconds("potential", potential={"max_rounds": 6}) > 1.5 * seconds("potential")
    longer = {"explore_ps": [400.0, 4000.0]}
    assert seconds("potential", potential=longer) > 2 * seconds("potential")
    assert seconds("potential", potential=longer | {"grade_interval": 1}) > seconds("potential", potential=longer)
    assert seconds("diffusion", temperatures=[300]) < 0.6 * seconds("diffusion")
    assert seconds("potential", engine={"name": "tblite", "options": {}}) > 2 * seconds("potential")
    assert seconds("lattice_conductivity", conductivity={"mesh_length": 60.0}) > 5 * seconds("lattice_conductivity")


def test_finer_protocols_cost_more(cscu2i3):
    totals = [
        sum(s.seconds for s in make_plan(cscu2i3, load_protocol(name), with_training=True))
        for name in ("demo", "fast", "balanced")
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
