"""Protocols: all valid, overrides merged key by key, and whatever is wrong said in one line that names the right."""

from itertools import pairwise

import pytest
import yaml

from aiida_iontherm.workchains.protocols import ProtocolError, available_protocols, load_protocol

NAMES = ("demo", "fast", "balanced", "precise")


def test_names_and_descriptions():
    protocols = available_protocols()
    assert tuple(protocols) == NAMES  # coarsest first
    assert all(len(description) > 20 for description in protocols.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_is_valid(name):
    settings = load_protocol(name)
    # The exploration must be able to see what the dynamics will visit.
    assert max(settings.potential.explore_temperatures) >= max(settings.temperatures)
    assert max(settings.reference.temperatures) >= max(settings.potential.explore_temperatures)
    # The first generation has seen the volumes it is sent to.
    for end in (min, max):
        explored, known = end(settings.potential.explore_volumes), end(settings.reference.volume_scalings)
        assert end(explored, known) == known
    # Enough rounds to pass through all lengths, but in the demo one to learn and one to pass.
    assert settings.potential.max_rounds >= len(settings.potential.explore_ps)
    assert settings.conductivity.coarse_mesh_length < settings.conductivity.mesh_length
    # Beyond half of the supercell an atom would meet its own image.
    assert settings.force_constants.cutoffs[0] <= settings.dynamics.min_extent / 2
    assert settings.force_constants.cutoffs[1] <= settings.force_constants.cutoffs[0]


def test_each_protocol_is_finer_than_the_one_before():
    settings = [load_protocol(name) for name in NAMES]
    for coarse, fine in pairwise(settings):
        assert coarse.potential.level <= fine.potential.level
        assert coarse.dynamics.production_ps < fine.dynamics.production_ps
        assert coarse.dynamics.min_extent < fine.dynamics.min_extent
        assert coarse.conductivity.mesh_length < fine.conductivity.mesh_length
        assert coarse.potential.force_error_target > fine.potential.force_error_target
        assert coarse.potential.force_constant_tolerance > fine.potential.force_constant_tolerance
        assert coarse.potential.explore_ps[-1] < fine.potential.explore_ps[-1]
        assert coarse.potential.max_rounds < fine.potential.max_rounds


def test_printed_protocol_can_be_used_as_overrides():
    text = yaml.safe_dump(load_protocol("fast").model_dump(mode="json"))
    assert load_protocol("demo", yaml.safe_load(text)) == load_protocol("fast")


def test_overrides_merge_key_by_key():
    settings = load_protocol("demo", {"dynamics": {"production_ps": 99.0}, "temperatures": [321]})
    base = load_protocol("demo")
    assert settings.dynamics.production_ps == 99.0
    assert settings.dynamics.snapshots == base.dynamics.snapshots
    assert settings.temperatures == [321.0]
    assert settings.potential == base.potential


def test_options_of_an_engine_replace():
    """Those of one engine would be errors for another."""
    first = {"engine": {"name": "lj", "options": {"cutoff": 5.0, "sigma": 3.4}}}
    assert load_protocol("demo", first).engine.options == {"cutoff": 5.0, "sigma": 3.4}
    second = {"engine": {"name": "emt", "options": {}}}
    assert load_protocol("demo", second).engine.options == {}


def test_the_protocol_itself_is_not_changed():
    overrides = {"dynamics": {"snapshots": 33}}
    load_protocol("demo", overrides)
    assert overrides == {"dynamics": {"snapshots": 33}}
    assert load_protocol("demo").dynamics.snapshots != 33


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("deom", None, "there is no protocol deom: did you mean demo?"),
        ("qqq", None, "there is no protocol qqq: there are demo, fast, balanced, precise"),
        ("demo", {"dynamics": {"production": 3}}, "unknown key dynamics.production; did you mean production_ps?"),
        ("demo", {"dynamisc": {}}, "unknown key dynamisc; did you mean dynamics?"),
        ("demo", {"engine": "emt"}, "sections with keys, not 'emt'"),
        ("demo", [1], "sections with keys, not"),
        ("demo", {"temperatures": [300, -5]}, "temperatures: temperatures are in K and positive, not -5"),
        ("demo", {"temperatures": [0]}, "positive, not 0"),
        ("demo", {"temperatures": [float("nan")]}, "positive, not nan"),
        ("demo", {"temperatures": [float("inf")]}, "positive, not inf"),
        ("demo", {"temperatures": [300, 300.0]}, "temperatures: each one only once"),
        ("demo", {"temperatures": []}, "temperatures"),
        ("demo", {"temperatures": ["hot"]}, "temperatures"),
        ("demo", {"reference": {"temperatures": [-1]}}, "reference.temperatures: temperatures are in K"),
        ("demo", {"potential": {"explore_temperatures": [-1]}}, "potential.explore_temperatures: temperatures"),
        ("demo", {"potential": {"explore_ps": [4.0, 1.0]}}, "potential.explore_ps: lengths must be positive and grow"),
        ("demo", {"potential": {"explore_ps": [0.0]}}, "potential.explore_ps: lengths must be positive and grow"),
        ("demo", {"potential": {"explore_ps": 4.0}}, "potential.explore_ps"),
        ("demo", {"potential": {"explore_volumes": [1.0, 1.5]}}, "potential.explore_volumes: factors of the volume"),
        ("demo", {"potential": {"explore_volumes": [1.0, 1.0]}}, "potential.explore_volumes: each one only once"),
        ("demo", {"potential": {"explore_temperatures": [300, 300]}}, "potential.explore_temperatures: each one only"),
        ("demo", {"potential": {"grade_break": 2.0}}, "potential.grade_break: 2 must be above grade_select, 3"),
        ("demo", {"potential": {"grade_select": 1.0}}, "potential.grade_select"),
        ("demo", {"potential": {"explore_frames": 4}}, "unknown key potential.explore_frames"),
        ("demo", {"reference": {"rattle": -0.1}}, "reference.rattle"),
        ("demo", {"potential": {"level": 1}}, "potential.level: Input should be greater than or equal to 2"),
        ("demo", {"dynamics": {"timestep_fs": 50}}, "dynamics.timestep_fs: Input should be less than or equal to 5"),
        ("demo", {"dynamics": {"ensemble": "npt"}}, "dynamics.ensemble"),
        ("demo", {"dynamics": {"production_ps": 4}}, "100 stored positions are too few for a diffusivity"),
        ("demo", {"force_constants": {"cutoffs": [5.0]}}, "force_constants.cutoffs"),
        ("demo", {"force_constants": {"cutoffs": [6, 5, 4, 3]}}, "force_constants.cutoffs"),
        ("demo", {"force_constants": {"cutoffs": [5.0, 6.0]}}, "not grow from order to order, not 5 / 6"),
        ("demo", {"force_constants": {"cutoffs": [6.0, 4.0, 4.5]}}, "not grow from order to order, not 6 / 4 / 4.5"),
        ("demo", {"force_constants": {"cutoffs": [6.0, 0.0]}}, "lengths must be positive"),
        ("demo", {"force_constants": {"cutoffs": [float("inf"), 4.0]}}, "lengths must be positive"),
        ("demo", {"force_constants": {"convergence": ["atoms"]}}, "force_constants.convergence"),
    ],
)
def test_wrong_settings(name, overrides, words):
    with pytest.raises(ProtocolError) as caught:
        load_protocol(name, overrides)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


def test_orders_and_comparisons_of_the_force_constants():
    assert load_protocol("precise").force_constants.cutoffs == (8.0, 6.0, 5.2)  # doi 10.1002/adma.202513381
    assert all(len(load_protocol(name).force_constants.cutoffs) == 2 for name in ("demo", "fast", "balanced"))
    compared = {name: load_protocol(name).force_constants.convergence for name in NAMES}
    assert compared == {"demo": (), "fast": (), "balanced": ("snapshots",), "precise": ("snapshots",)}
    equal = load_protocol("demo", {"force_constants": {"cutoffs": [5.0, 5.0, 5.0]}})
    assert equal.force_constants.cutoffs == (5.0, 5.0, 5.0)


def test_a_protocol_error_is_a_value_error():
    """That is what the command line turns into one line."""
    assert issubclass(ProtocolError, ValueError)


def test_linewidths_of_another_program_want_its_code_and_enough_force_constants():
    shengbte = {"program": "shengbte", "code": "fourphonon@cluster", "shengbte": {"four_phonon": True}}
    with pytest.raises(ProtocolError, match="name its code LABEL@COMPUTER"):
        load_protocol("demo", {"conductivity": {"program": "shengbte"}})
    with pytest.raises(ProtocolError, match="set it to shengbte"):
        load_protocol("demo", {"conductivity": {"code": "fourphonon@cluster"}})
    with pytest.raises(ProtocolError, match="needs a fourth order"):
        load_protocol("demo", {"conductivity": shengbte})
    settings = load_protocol("precise", {"conductivity": shengbte})
    assert settings.conductivity.shengbte == {"four_phonon": True}


def test_resources_are_of_tasks_and_programs_that_there_are():
    settings = load_protocol("demo", {"resources": {"md": {"cpus": 4}, "vasp": {"memory": "64 GB"}}})
    assert settings.resources["md"].cpus == 4
    with pytest.raises(ProtocolError, match=r"no task or program mds: did you mean md\?"):
        load_protocol("demo", {"resources": {"mds": {"cpus": 4}}})
    with pytest.raises(ProtocolError, match="write 500 MB or 16 GB"):
        load_protocol("demo", {"resources": {"md": {"memory": "a lot"}}})
