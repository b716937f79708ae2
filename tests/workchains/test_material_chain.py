"""The chain of one compound: its builder, what it refuses, and what it makes of children that fail."""

from collections import namedtuple

import numpy as np
import pytest
from aiida.common.links import validate_link_label
from aiida.engine import ExitCode
from aiida.orm import CalcFunctionNode, Dict, StructureData
from ase import Atoms

from aiida_iontherm.data import ResultData
from aiida_iontherm.workchains.diffusion import temperature_label
from aiida_iontherm.workchains.material import MaterialWorkChain
from aiida_iontherm.workchains.protocols import ProtocolError, load_protocol


@pytest.fixture
def settings(tiny):
    return load_protocol("demo", tiny).model_dump(mode="json")


@pytest.mark.parametrize("protocol", ["demo", "fast", "balanced", "precise"])
def test_builder(protocol, task_code, structure):
    builder = MaterialWorkChain.get_builder_from_protocol(task_code, structure, protocol)
    found = builder.settings.get_dict()
    expected = load_protocol(protocol).model_dump(mode="json")
    assert found["dynamics"] == expected["dynamics"]
    assert found["mobile"] == "Cu"  # guessed from the composition
    assert builder.metadata.label == "AuCu"
    assert builder.metadata.description == f"protocol {protocol}"
    assert "potential" not in builder._inputs(prune=True)


def test_builder_takes_overrides_potential_and_options(task_code, structure, potential, tiny):
    builder = MaterialWorkChain.get_builder_from_protocol(
        task_code,
        structure,
        overrides=tiny | {"mobile": "Au"},
        potential=potential,
        options={"max_wallclock_seconds": 60},
    )
    assert builder.settings["mobile"] == "Au"
    assert builder.settings["temperatures"] == [200.0, 300.0]
    assert builder.potential is potential
    assert builder.options.get_dict() == {"max_wallclock_seconds": 60}


def test_no_mobile_ion_is_guessed_where_there_is_none(task_code, aiida_profile):
    argon = StructureData(ase=Atoms("Ar", cell=np.eye(3) * 3.7, pbc=True))
    assert MaterialWorkChain.get_builder_from_protocol(task_code, argon).settings["mobile"] is None


@pytest.mark.parametrize(
    ("protocol", "overrides", "words"),
    [
        ("demoo", None, "did you mean demo?"),
        ("demo", {"dynamics": {"productoin_ps": 3}}, "unknown key dynamics.productoin_ps; did you mean production_ps?"),
        ("demo", {"temperature": [300]}, "unknown key temperature; did you mean temperatures?"),
    ],
)
def test_builder_names_the_nearest(protocol, overrides, words, task_code, structure):
    with pytest.raises(ProtocolError) as caught:
        MaterialWorkChain.get_builder_from_protocol(task_code, structure, protocol, overrides=overrides)
    assert words in str(caught.value)


def test_settings_are_checked_without_the_builder_too(make_process, structure, settings):
    settings["dynamics"]["snapshot"] = 3
    with pytest.raises(ValueError, match=r"unknown key dynamics\.snapshot; did you mean snapshots\?"):
        make_process("iontherm.material", structure=structure, settings=Dict(settings))


def test_potential_must_know_the_elements(make_process, potential, settings):
    other = StructureData(
        ase=Atoms("AgCu", cell=np.eye(3) * 4, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)
    )
    with pytest.raises(ValueError, match="the potential does not know Ag"):
        make_process("iontherm.material", structure=other, settings=Dict(settings), potential=potential)


def test_a_ready_potential_skips_the_training(make_process, structure, potential, settings):
    process = make_process("iontherm.material", structure=structure, settings=Dict(settings), potential=potential)
    process.setup()
    assert not process.needs_potential()
    assert process.ctx.potential is potential
    without = make_process("iontherm.material", structure=structure, settings=Dict(settings))
    without.setup()
    assert without.needs_potential()


@pytest.mark.parametrize(("temperature", "label"), [(300, "T300"), (300.0, "T300"), (412.5, "T412_5")])
def test_labels_of_temperatures(temperature, label):
    assert temperature_label(temperature) == label
    validate_link_label(label)


Child = namedtuple(
    "Child", "is_finished_ok exit_message exit_status process_label pk outputs process_state", defaults=[None, None]
)
State = namedtuple("State", "value")


def good(pk=1, **outputs):
    return Child(True, None, 0, "Fake", pk, namedtuple("Outputs", outputs)(**outputs))


def failed(message, pk=2, status=500):
    return Child(False, message, status, "Fake", pk, None, State("finished"))


@pytest.fixture
def process(make_process, structure, potential, settings, monkeypatch):
    """A chain with a ready potential whose children are recorded instead of run."""
    settings |= {"temperatures": [200.0, 300.0, 412.5]}
    made = make_process("iontherm.material", structure=structure, settings=Dict(settings), potential=potential)
    made.setup()
    made.ctx.trajectories = {label: object() for label in ("T200", "T300", "T412_5")}
    submitted = []
    monkeypatch.setattr(made, "submit", lambda chain, **inputs: submitted.append((chain, inputs)))
    monkeypatch.setattr(made, "to_context", lambda **_: None)
    monkeypatch.setattr(made, "out", lambda *_: None)
    monkeypatch.setattr("aiida_iontherm.workchains.material._supercell_of", lambda _: [3, 3, 2])
    made.submitted = submitted
    return made


def test_failure_names_step_child_and_message(process):
    assert process.failure("the relaxation", good()) is None
    code = process.failure("the relaxation", failed("the engine emt does not know Cs", pk=77, status=210))
    assert isinstance(code, ExitCode)
    assert code.status == 400
    assert code.message == "the relaxation <77> failed: the engine emt does not know Cs"


def test_failure_of_a_killed_child(process):
    code = process.failure("training", Child(False, None, None, "Fake", 5, None, State("killed")))
    assert code.message == "training <5> failed: it ended as killed"


def test_children_carry_valid_link_labels(process):
    """A temperature of 412.5 K must not end in a label that AiiDA refuses after hours of work."""
    process.fit_force_constants()
    for label in ("T200", "T300", "T412_5"):
        process.ctx[f"fit_{label}"] = good(force_constants="fc", output_parameters={"r2_test": 0.9})
    process.inspect_force_constants()
    process.run_conductivity()
    assert len(process.submitted) == 6
    for _chain, inputs in process.submitted:
        validate_link_label(inputs["metadata"]["call_link_label"])
        settings = inputs["settings"].get_dict()
        if "cutoffs" in settings:
            assert settings["supercell"] == [3, 3, 2]
    temperatures = [inputs["settings"]["temperatures"] for _, inputs in process.submitted[3:]]
    assert temperatures == [[200.0], [300.0], [412.5]]


def test_force_constants_are_borrowed_from_the_nearest_temperature(process):
    for label, reason in (("T200", None), ("T300", None), ("T412_5", "ions hop")):
        node = good(force_constants=label, output_parameters={}) if reason is None else failed(reason)
        process.ctx[f"fit_{label}"] = node
    process.inspect_force_constants()
    assert process.ctx.fits == {"T200": "T200", "T300": "T300", "T412_5": "T300"}
    assert process.ctx.caveats == {"T412_5": "force constants of 300 K, for those of 412.5 K: ions hop"}
    process.run_conductivity()
    _, inputs = process.submitted[-1]
    assert inputs["force_constants"] == "T300"
    assert "ions hop" in inputs["caveat"].value


def test_linewidths_of_shengbte(process, task_code):
    """One mesh, its code and its settings; without them phono3py on two meshes."""
    for label in ("T200", "T300", "T412_5"):
        process.ctx[f"fit_{label}"] = good(force_constants=label, output_parameters={})
    process.inspect_force_constants()
    process.run_conductivity()
    _, own = process.submitted[-1]
    assert "coarse_mesh" in own["settings"].get_dict()
    assert "shengbte" not in own
    process.ctx.settings["conductivity"] |= {
        "program": "shengbte",
        "code": task_code.full_label,
        "shengbte": {"four_phonon": True},
    }
    process.run_conductivity()
    _, inputs = process.submitted[-1]
    assert "coarse_mesh" not in inputs["settings"].get_dict()
    assert inputs["shengbte"]["code"].pk == task_code.pk
    assert inputs["shengbte"]["parameters"].get_dict() == {"four_phonon": True}


def test_ions_alone_need_no_phonons(process):
    process.ctx.settings["goal"] = "diffusivity"
    assert not process.wants_conductivity()
    process.ctx.diffusion_chain = namedtuple("Chain", "outputs")({})
    results = []
    process.out = lambda name, node: results.append((name, node))
    assert process.analyse() is None
    assert [name for name, _ in results] == ["result"]
    assert results[0][1].quantities == []


def test_no_force_constants_at_all_is_a_warning_with_results(process):
    for label in ("T200", "T300", "T412_5"):
        process.ctx[f"fit_{label}"] = failed("ions hop")
    process.inspect_force_constants()
    process.run_conductivity()
    assert not process.submitted
    process.inspect_conductivity()
    process.ctx.diffusion_chain = namedtuple("Chain", "outputs")({})
    results = []
    process.out = lambda name, node: results.append((name, node))
    code = process.analyse()
    assert code.status == 700
    assert "no conductivity at any temperature: ions hop" in code.message
    (name, result), *_ = results
    assert name == "result"
    assert isinstance(result, ResultData)
    assert isinstance(result.creator, CalcFunctionNode)
    assert [(q.temperature, q.value, q.reason) for q in result.quantities] == [
        (200.0, None, "ions hop"),
        (300.0, None, "ions hop"),
        (412.5, None, "ions hop"),
    ]


def test_handlers_that_do_not_exist_are_named(make_process, structure, settings):
    wrong = settings | {"handlers": {"handle_los": False}}
    with pytest.raises(ValueError, match=r"there is no handle_los; there are .*handle_lost"):
        make_process("iontherm.material", structure=structure, settings=Dict(wrong))


def test_resources_and_handlers_go_down_to_all_jobs(make_process, structure, settings):
    said = settings | {"handlers": {"handle_lost": False}, "resources": {"md": {"cpus": 2}}}
    process = make_process("iontherm.material", structure=structure, settings=Dict(said))
    process.setup()
    options = process.common_inputs()["options"].get_dict()
    assert options["handlers"] == {"handle_lost": False}
    assert options["tasks"]["md"]["cpus"] == 2
