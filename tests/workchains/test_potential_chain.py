"""The loop of active learning: its outline run step by step on children that never were."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from aiida.common import AttributeDict
from aiida.common.links import validate_link_label
from aiida.engine import ExitCode, ToContext
from aiida.orm import Dict
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.physics.lattice.harmonic_change import HarmonicChange
from aiida_iontherm.tasks.registry import TASKS
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain
from aiida_iontherm.workchains.potential import PotentialWorkChain
from aiida_iontherm.workchains.protocols import load_protocol
from aiida_iontherm.workchains.reference_set import ReferenceSetWorkChain
from aiida_iontherm.workchains.select import SelectWorkChain
from aiida_iontherm.workchains.train import TrainWorkChain

SETTINGS = {
    "max_rounds": 6,
    "explore_temperatures": [300.0, 412.5],
    "explore_volumes": [0.97, 1.03],
    "explore_ps": [0.5, 2.0],
    "grade_interval": 10,
    "test_frames": 2,
    "max_selected": 5,
    "force_constant_tolerance": 0.02,
}
RUNS = ("T300_V0_97", "T300_V1_03", "T412_5_V0_97", "T412_5_V1_03")
FINISHED = {"candidates": 0, "max_grade": 1.5, "mean_grade": 0.7, "broke_at_ps": None, "break_reason": None}
BROKEN = {"candidates": 3, "max_grade": 12.0, "mean_grade": 1.1, "broke_at_ps": 0.3, "break_reason": "too strange"}
SEEN = {"candidates": 3, "max_grade": 5.0, "mean_grade": 0.9, "broke_at_ps": None, "break_reason": None}


def good(**outputs):
    return SimpleNamespace(is_finished_ok=True, outputs=AttributeDict(outputs))


def failed(message="out of order"):
    return SimpleNamespace(
        is_finished_ok=False,
        exit_message=message,
        exit_status=500,
        process_label="Fake",
        pk=7,
        process_state=SimpleNamespace(value="finished"),
        outputs=AttributeDict(),
    )


class Script:
    """Answers each child that is submitted; `rounds` say how each run of a round went, or how all of them did."""

    def __init__(self, nodes, cuau, rounds, selected=2):
        self.nodes, self.cuau, self.rounds, self.selected = nodes, cuau, rounds, selected
        self.calls, self.trainings = [], 0

    def frames(self, count, labelled=False):
        frames = []
        for index in range(count):
            atoms = self.cuau.repeat((2, 1, 1))
            atoms.rattle(0.05, seed=index)
            if labelled:
                forces = np.random.default_rng(index).normal(size=(len(atoms), 3))
                atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=forces)
            frames.append(atoms)
        return ConfigurationsData.from_frames(frames)

    def submit(self, chain, **inputs):
        label = inputs["metadata"]["call_link_label"]
        validate_link_label(label)
        self.calls.append((label, inputs))
        answer = {
            ReferenceSetWorkChain: self.reference,
            TrainWorkChain: self.train,
            DynamicsWorkChain: self.explore,
            SelectWorkChain: self.select,
        }[chain]
        return answer(label, inputs)

    def reference(self, label, inputs):
        count = len(inputs["configurations"].frames()) if "configurations" in inputs else 3
        return good(configurations=self.frames(count, labelled=True), output_parameters=Dict({"frames": count}))

    def train(self, label, inputs):
        self.trainings += 1
        figures = {"configurations": len(inputs["configurations"].frames()), "converged": True}
        potential = self.nodes["graded_potential"].clone()
        return good(potential=potential, parity=self.nodes["parity"], output_parameters=Dict(figures))

    def explore(self, label, inputs):
        _, number, name = label.split("_", 2)
        script = self.rounds[min(int(number), len(self.rounds)) - 1]
        figures = script if "candidates" in script else script.get(name, FINISHED)
        if figures.get("failed"):
            return failed()
        outputs = {"output_parameters": Dict(figures | {"production_ps": inputs["settings"]["production_ps"]})}
        if figures["candidates"]:
            outputs["candidates"] = self.frames(figures["candidates"])
        return good(**outputs, snapshots=self.frames(5))

    def select(self, label, inputs):
        figures = {"selected": self.selected, "max_grade_after": 2.5}
        outputs = {"configurations": self.frames(self.selected)} if self.selected else {}
        return good(output_parameters=Dict(figures), **outputs)

    @property
    def labels(self):
        return [label for label, _ in self.calls]

    def inputs(self, label):
        return next(inputs for name, inputs in self.calls if name == label)


@pytest.fixture
def execute(make_process, nodes, cuau, tiny, monkeypatch):
    """Run the outline with scripted children; returns what came out, the exit code, and the script."""

    def run(rounds, *, changes=(0.3,), settings=None, **options):
        tiny["potential"] |= SETTINGS | (settings or {})
        sections = load_protocol("demo", tiny).model_dump(mode="json")
        process = make_process(
            "iontherm.potential",
            structure=nodes["structure"],
            engine=nodes["engine"],
            reference=Dict(sections["reference"]),
            settings=Dict(sections["potential"] | {"seed": 11}),
        )
        script = Script(nodes, cuau, rounds, **options)
        remaining = list(changes)

        def scripted_change(*_):
            value = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return HarmonicChange(force_constants=value, frequencies=value / 2, rms_change_thz=0.1)

        monkeypatch.setattr("aiida_iontherm.calculations.active_learning.harmonic_change", scripted_change)
        monkeypatch.setattr(process, "submit", script.submit)
        outputs = {}
        monkeypatch.setattr(process, "out", lambda name, node: outputs.update({name: node}))
        stepper = PotentialWorkChain.spec().get_outline().create_stepper(process)
        finished, result = False, None
        while not finished and not isinstance(result, ExitCode):
            finished, result = stepper.step()
            if isinstance(result, ToContext):
                for name, node in result.items():
                    process.ctx[name] = node
        code = result if isinstance(result, ExitCode) else None
        return outputs, code, script

    return run


def rounds_of(outputs):
    return outputs["active_learning"]["rounds"]


def test_nothing_new_at_any_length_ends_the_loop(execute):
    outputs, code, script = execute([FINISHED])
    assert code is None
    assert script.labels == [
        "reference_set",
        "train_0",
        *(f"explore_1_{name}" for name in RUNS),
        "label_1",
        *(f"explore_2_{name}" for name in RUNS),
        "label_2",
    ]
    learning = outputs["active_learning"].get_dict()
    assert learning["converged"] is True
    assert learning["reason"] == (
        "no frame above a grade of 3 was met in 2 ps at each of 300, 412.5 K and volumes 0.97, 1.03"
    )
    assert [record["length_ps"] for record in learning["rounds"]] == [0.5, 2.0]
    for record in learning["rounds"]:
        assert record["criteria"]["nothing_selected"]
        assert record["training"] is None
        assert record["force_constant_change"] is None
        assert (record["candidates"], record["selected"], record["max_grade"]) == (0, 0, 1.5)
        assert record["test"]["configurations"] == 2
        assert record["selected_error"] is None
    # The first generation stands; test frames of both rounds are there for whoever trains next.
    assert script.trainings == 1
    assert len(outputs["configurations"].frames()) == 3 + 2 + 2
    assert outputs["test"]["configurations"] == 2
    assert outputs["potential"].has_active_set


def test_break_select_label_retrain(execute):
    """One of four runs breaks: two candidates of three are learnt, and the next generation is explored with."""
    outputs, code, script = execute([{RUNS[3]: BROKEN}, FINISHED])
    assert code is None
    assert script.labels[6:9] == ["select_1", "label_1", "train_1"]
    first, second, third = rounds_of(outputs)
    assert first["max_grade"] == 12.0
    assert (first["candidates"], first["selected"], first["max_grade_after_selection"]) == (3, 2, 2.5)
    assert [run["broke_at_ps"] for run in first["runs"]] == [None, None, None, 0.3]
    assert first["runs"][3] == {
        "temperature": 412.5,
        "volume_scaling": 1.03,
        "ps": 0.5,
        **BROKEN,
    }
    assert not any(first["criteria"][name] for name in ("nothing_selected", "force_constants_settled"))
    assert first["force_constant_change"] == 0.3
    assert first["frequency_change"] == 0.15
    assert first["training"]["configurations"] == 3 + 2 + 2
    assert first["selected_error"] > 0
    # It starts again with the short runs: those have not been passed yet.
    assert [record["length_ps"] for record in (first, second, third)] == [0.5, 0.5, 2.0]
    # From generation to generation.
    train = script.inputs("train_1")
    assert "start" not in train
    assert len(train["configurations"].frames()) == 7
    explored = [script.inputs(f"explore_{n}_{RUNS[0]}")["potential"] for n in (1, 2, 3)]
    assert explored[1] is explored[2] is not explored[0]
    assert set(script.inputs("select_1")["candidates"]) == {RUNS[3]}
    assert script.inputs("select_1")["potential"] is explored[0]
    labelled = script.inputs("label_1")["configurations"].frames()
    assert len(labelled) == 2 + 2


def test_settled_force_constants_end_the_loop(execute):
    """Something is selected in every round, but learning it changes nothing any more."""
    outputs, _, script = execute([SEEN], changes=(0.3, 0.015, 0.01))
    learning = outputs["active_learning"].get_dict()
    assert learning["converged"] is True
    assert learning["reason"] == (
        "the last training changed the force constants by 1 %, at most 2 % were allowed, and no run of 2 ps broke"
    )
    assert [r["length_ps"] for r in learning["rounds"]] == [0.5, 0.5, 2.0]
    assert [r["criteria"]["force_constants_settled"] for r in learning["rounds"]] == [False, True, True]
    assert not any(r["criteria"]["nothing_selected"] for r in learning["rounds"])
    assert script.trainings == 4


def test_a_run_that_breaks_is_never_good_enough(execute):
    """Neither criterion holds for a round in which a run ended early, whatever the numbers say."""
    outputs, _, _ = execute([BROKEN], changes=(0.001,), settings={"max_rounds": 2})
    learning = outputs["active_learning"].get_dict()
    assert (learning["converged"], learning["reason"]) == (False, "the limit of 2 rounds was reached")
    assert not any(r["criteria"]["force_constants_settled"] for r in learning["rounds"])


def test_a_break_with_nothing_fit_to_label_is_not_a_pass(execute):
    """Its candidates were all unusable: the potential has not been shown to know anything."""
    outputs, _, script = execute([BROKEN], selected=0, settings={"max_rounds": 2})
    assert not outputs["active_learning"]["converged"]
    assert script.trainings == 1
    assert all(not r["criteria"]["nothing_selected"] for r in rounds_of(outputs))


def test_accuracy_is_told_but_does_not_end_the_loop(execute):
    outputs, _, _ = execute([SEEN], settings={"force_error_target": 1e9, "max_rounds": 2})
    assert all(r["criteria"]["forces_accurate"] for r in rounds_of(outputs))
    assert not outputs["active_learning"]["converged"]


def test_no_exploration(execute):
    outputs, code, script = execute([], settings={"max_rounds": 0})
    assert code is None
    assert script.labels == ["reference_set", "train_0"]
    assert outputs["active_learning"].get_dict() == {
        "converged": False,
        "reason": "no exploration was asked for",
        "rounds": [],
    }
    assert "test" not in outputs


def test_a_failed_run_is_told_and_the_round_does_not_count_as_passed(execute):
    outputs, code, _ = execute([{RUNS[1]: {"failed": True}}], settings={"max_rounds": 1})
    assert code is None
    (record,) = rounds_of(outputs)
    assert (len(record["runs"]), record["failed_runs"]) == (3, 1)
    assert not record["criteria"]["nothing_selected"]


def test_all_runs_failed(execute):
    _, code, _ = execute([{name: {"failed": True} for name in RUNS}])
    assert (code.status, code.message) == (400, "exploration <7> failed: out of order")


@pytest.mark.parametrize(
    ("child", "words"),
    [
        ("reference_set", "the reference set <7> failed"),
        ("train_0", "training <7> failed"),
        ("select_1", "the selection <7> failed"),
        ("label_1", "labelling <7> failed"),
        ("train_1", "training <7> failed"),
    ],
)
def test_a_failing_child_ends_the_chain_with_its_message(child, words, execute, monkeypatch):
    submit = Script.submit
    monkeypatch.setattr(
        Script,
        "submit",
        lambda self, chain, **inputs: (
            failed() if inputs["metadata"]["call_link_label"] == child else submit(self, chain, **inputs)
        ),
    )
    outputs, code, _ = execute([SEEN])
    assert code.status == 400
    assert code.message == f"{words}: out of order"
    assert not outputs


def test_exploration_covers_temperatures_and_volumes(execute):
    _, _, script = execute([FINISHED])
    assert len(set(script.labels)) == len(script.labels)
    settings = [inputs["settings"].get_dict() for label, inputs in script.calls if label.startswith("explore_1")]
    assert [(s["temperature"], s["volume_scaling"]) for s in settings] == [
        (300.0, 0.97),
        (300.0, 1.03),
        (412.5, 0.97),
        (412.5, 1.03),
    ]
    later = [inputs["settings"]["seed"] for label, inputs in script.calls if label.startswith("explore_2")]
    assert len({s["seed"] for s in settings} | set(later)) == 8
    module = importlib.import_module(TASKS["md"][0])
    for one in settings:
        task_input = module.Input.model_validate(one)
        assert task_input.grade_interval == 10
        assert (task_input.grade_select, task_input.grade_break) == (3.0, 10.0)
        assert task_input.production_ps == 0.5


def test_task_accepts_the_settings_of_the_selection(execute):
    _, _, script = execute([SEEN], settings={"max_rounds": 1})
    parameters = script.inputs("select_1")["settings"].get_dict()
    assert parameters == {"grade_select": 3.0, "max_selected": 5}
    task_input = importlib.import_module(TASKS["select"][0]).Input
    assert task_input.model_validate(parameters | {"candidates": {}, "species": ["Cu"]}).max_selected == 5
