"""What every task promises: exit codes, one-line messages, output.json whatever happens, whole files or none."""

import errno
import json
import os
import resource
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from aiida_iontherm.tasks import contract
from aiida_iontherm.tasks.contract import (
    EXIT_CRASH,
    EXIT_DISK,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PHYSICS,
    InputError,
    PhysicsError,
    Task,
    TaskInput,
    run_task,
)
from aiida_iontherm.tasks.files import read_npz, read_structures, write_json, write_npz, write_structures
from aiida_iontherm.tasks.registry import TASKS

TRAIN = {"level": 2, "cutoff": 4.0, "radial_size": 3, "max_iterations": 3}


class Counting(TaskInput):
    """Input of a task made for these tests."""

    steps: int = 5
    what: str = "count"


@pytest.fixture
def counting(monkeypatch):
    """A task that adds numbers and can be made to fail; returns the steps that were really done."""
    done = []

    def run(task: Task, task_input: Counting) -> dict[str, object]:
        if task_input.what == "input":
            raise InputError("the number is wrong: use another")
        if task_input.what == "physics":
            raise PhysicsError("the sum does not converge: lower it")
        if task_input.what == "bug":
            raise KeyError("oops")
        if task_input.what == "nan":
            return {"sum": float("nan")}
        if task_input.what == "array":
            return {"sum": np.arange(3)}
        saved = task.checkpoint()
        first, total = (0, 0.0) if saved is None else (saved[0]["next"], float(saved[1]["total"]))
        for index in range(first, task_input.steps):
            total += np.sqrt(index)
            done.append(index)
            task.progress("count", index + 1, task_input.steps, so_far=total, worthless=float("nan"))
            if task_input.what == f"stop at {index}":
                task._signalled = True
            task.step(lambda following=index + 1: ({"next": following}, {"total": np.array(total)}))  # noqa: B023
        return {"sum": total}

    module = types.ModuleType("counting_task")
    module.Input, module.run = Counting, run
    monkeypatch.setitem(sys.modules, "counting_task", module)
    return done


def run_counting(folder, **task_input):
    folder.give(task_input)
    return run_task("count", "counting_task", folder.path)


def test_help_is_quick(command):
    """0.5 s of processor time: the least of three, since the machine may be busy with other things."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = command(sys.executable, "-m", "aiida_iontherm.tasks.cli", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5
    assert all(name in text for name in TASKS)


def test_installed_command_answers(command):
    installed = Path(sys.executable).with_name("iontherm-task")
    if not installed.exists():
        pytest.skip("the package is on the path but not installed, so there is no command iontherm-task")
    assert command(installed, "--version").count(".") == 2


def test_nothing_heavy_is_imported_for_the_help(command):
    code = (
        "import sys, aiida_iontherm.tasks.cli as c; print([m for m in ('numpy', 'ase', 'aiida') if m in sys.modules])"
    )
    assert command(sys.executable, "-c", code).strip() == "[]"


def test_tasks_import_no_aiida(command):
    modules = ", ".join(module for module, _ in TASKS.values())
    assert command(sys.executable, "-c", f"import sys, {modules}; print('aiida' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("name", TASKS)
def test_every_input_is_documented_json(name):
    """The schema that the AiiDA side and the docs show can be made, and unknown keys are errors everywhere."""
    model = __import__(TASKS[name][0], fromlist=["Input"]).Input
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert "max_seconds" in schema["properties"]


def test_finished(folder, counting):
    assert run_counting(folder) == EXIT_OK
    output = folder.output
    assert output["status"] == "finished"
    assert output["exit_code"] == 0
    assert output["results"]["sum"] == pytest.approx(sum(np.sqrt(range(5))))
    assert output["seconds"] >= 0
    assert output["peak_memory_mb"] > 1
    assert [line["done"] for line in folder.progress] == [1, 2, 3, 4, 5]
    assert folder.progress[-1]["total"] == 5
    # NaN is not JSON: the figure is missing instead.
    assert set(folder.progress[-1]["figures"]) == {"so_far"}


def test_unknown_key_names_the_nearest(folder, counting, capsys):
    assert run_counting(folder, step=3) == EXIT_INPUT
    assert folder.output["message"] == "input.json: unknown key step; did you mean steps?"
    assert folder.output["status"] == "bad input"
    assert "did you mean steps?" in capsys.readouterr().err
    assert not folder.progress


def test_unknown_key_with_nothing_near_lists_all(folder, counting):
    assert run_counting(folder, qqqq=3) == EXIT_INPUT
    assert "known: max_seconds, steps, what" in folder.output["message"]


@pytest.mark.parametrize(
    ("task_input", "words"),
    [
        ({"engine": "emt", "mode": "sample", "sample": {"frames_per_rum": 3}}, "did you mean frames_per_run?"),
        ({"engine": "emt", "mode": "rlax"}, "mode"),
        ({"engine": "emt", "mode": "label", "max_seconds": -1}, "max_seconds"),
        ("{not json", "input.json"),
        ("[1, 2]", "input.json"),
    ],
)
def test_wrong_inputs_of_a_real_task(folder, task_input, words):
    folder.give(task_input)
    assert folder.run("reference") == EXIT_INPUT
    assert words in folder.output["message"]
    assert "\n" not in folder.output["message"]


def test_missing_input(folder):
    assert folder.run("train") == EXIT_INPUT
    assert "no input.json" in folder.output["message"]


def test_physics_and_crash(folder, counting, capsys):
    assert run_counting(folder, what="physics") == EXIT_PHYSICS
    assert folder.output["message"] == "the sum does not converge: lower it"
    assert run_counting(folder, what="input") == EXIT_INPUT
    assert run_counting(folder, what="bug") == EXIT_CRASH
    assert folder.output["message"] == "KeyError: 'oops'"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["nan", "array"])
def test_results_that_json_cannot_hold(folder, counting, what):
    assert run_counting(folder, what=what) == EXIT_CRASH
    assert folder.output["results"] is None
    assert folder.output["exit_code"] == EXIT_CRASH
    assert "not a finite number" in folder.output["message"]


def test_words_of_an_earlier_run_do_not_stay(folder, counting, monkeypatch):
    """Killed without a warning, a run must not leave the output.json of the one before it."""
    assert run_counting(folder) == EXIT_OK

    def die(*_args):
        raise SystemExit

    monkeypatch.setattr(contract, "_run", die)
    with pytest.raises(SystemExit):
        run_task("count", "counting_task", folder.path)
    assert not (folder.path / "output.json").exists()


def test_stopped_and_continued(folder, counting):
    run_counting(folder)
    whole = folder.output["results"]
    assert run_counting(folder, what="stop at 2") == EXIT_INTERRUPTED
    assert folder.output["status"] == "interrupted"
    assert "run the task again" in folder.output["message"]
    counting.clear()
    assert run_counting(folder, what="stop at 2") == EXIT_OK
    assert counting == [3, 4]
    assert folder.output["results"] == whole


def test_time_limit_leaves_in_time_and_makes_progress(folder, counting):
    """However short the limit, each start does a step."""
    for expected in range(4):
        counting.clear()
        assert run_counting(folder, max_seconds=1e-9) == EXIT_INTERRUPTED
        assert counting == [expected]
        assert "time limit" in folder.output["message"]


def test_no_step_is_begun_that_cannot_end_in_time(folder, monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 31.0])
    monkeypatch.setattr(contract.time, "monotonic", lambda: next(clock))
    task = Task(folder.path, "count", "{}")
    task.limit(45.0)
    task.step(lambda: ({}, {}))
    task.step(lambda: ({}, {}))
    # The last step took 11 s: another one and a half of it would end at 47.5 s.
    with pytest.raises(contract.Interrupted):
        task.step(lambda: ({}, {}))


def test_checkpoint_of_another_input_is_refused(folder, counting):
    run_counting(folder, what="stop at 2")
    assert run_counting(folder, what="stop at 2", steps=6) == EXIT_INPUT
    assert "belongs to another input" in folder.output["message"]


def test_a_run_may_go_on_with_more_time(folder, counting):
    assert run_counting(folder, max_seconds=1e-9) == EXIT_INTERRUPTED
    assert run_counting(folder, max_seconds=3600) == EXIT_OK


def test_checkpoint_of_another_task_is_refused(folder, counting):
    run_counting(folder, what="stop at 2")
    assert run_task("other", "counting_task", folder.path) == EXIT_INPUT
    assert "belongs to another input" in folder.output["message"]


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_damaged_checkpoint_is_refused(folder, counting, damage):
    run_counting(folder, what="stop at 2")
    path = folder.path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    assert run_counting(folder, what="stop at 2") == EXIT_INPUT
    assert "remove checkpoint.npz" in folder.output["message"]


def test_checkpoint_written_through_a_link_replaces_the_link(folder, make_folder, counting):
    """AiiDA links the checkpoint of the interrupted job: its folder must stay as it was."""
    first, second = make_folder("first"), make_folder("second")
    run_counting(first, what="stop at 2", max_seconds=1e-9)
    before = (first.path / "checkpoint.npz").read_bytes()
    (second.path / "checkpoint.npz").symlink_to(first.path / "checkpoint.npz")
    assert run_counting(second, what="stop at 2", max_seconds=1e-9) == EXIT_INTERRUPTED
    assert (first.path / "checkpoint.npz").read_bytes() == before
    assert not (second.path / "checkpoint.npz").is_symlink()


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_while_working(folder, labelled_alloys, monkeypatch):
    folder.give(TRAIN, labelled=labelled_alloys)
    monkeypatch.setattr("aiida_iontherm.tasks.train.write_npz", no_space)
    assert folder.run("train") == EXIT_DISK
    assert folder.output["status"] == "disk full"
    assert "no space left" in folder.output["message"]


def test_full_disk_at_the_checkpoint_keeps_the_old_one(folder, counting, monkeypatch):
    run_counting(folder, what="stop at 2", max_seconds=1e-9)
    before = (folder.path / "checkpoint.npz").read_bytes()
    monkeypatch.setattr(np, "savez", no_space)
    assert run_counting(folder, what="stop at 2", max_seconds=1e-9) == EXIT_DISK
    monkeypatch.undo()
    assert (folder.path / "checkpoint.npz").read_bytes() == before
    assert not list(folder.path.glob("*.part"))


def test_full_disk_at_the_very_end(folder, counting, monkeypatch, capsys):
    monkeypatch.setattr(contract, "write_json", no_space)
    assert run_counting(folder) == EXIT_DISK
    assert "output.json cannot be written" in capsys.readouterr().err


def test_other_input_output_errors_are_crashes(folder, counting, monkeypatch, capsys):
    def denied(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(contract, "_run", denied)
    assert run_counting(folder) == EXIT_CRASH
    assert "PermissionError" in folder.output["message"]


def test_files_are_whole_or_not_there(tmp_path, alloy):
    path = tmp_path / "data.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("inf")})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(TypeError):
        write_structures(tmp_path / "cells.extxyz", [alloy, None])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.json"]


def test_arrays_come_back_and_pickles_do_not(tmp_path, same_arrays):
    path = tmp_path / "data.npz"
    arrays = {"a": np.arange(3), "b": np.float32([[1.5]])}
    for compressed in (False, True):
        write_npz(path, arrays, compressed=compressed)
        same_arrays(read_npz(path), arrays)
    np.savez(path, a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        read_npz(path)
    with pytest.raises(ValueError, match="no file"):
        read_npz(tmp_path / "absent.npz")


@pytest.mark.parametrize("text", ["", "2\nnothing\nCu 0 0", "hello", "1\n\nCu 0 0 0\n"])
def test_files_that_hold_no_cells(tmp_path, text):
    path = tmp_path / "cells.extxyz"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cells\.extxyz"):
        read_structures(path)
