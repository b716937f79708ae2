"""Restart logic common to all work chains that run one task, and the inspection of children common to the others."""

from __future__ import annotations

import difflib
from typing import Any, ClassVar

from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessSpec,
    WorkChain,
    while_,
)
from aiida.orm import AbstractCode, Dict, Int, ProcessNode
from pydantic import ValidationError

from aiida_iontherm.calculations.base import TaskCalculation
from aiida_iontherm.calculations.resources import HANDLERS, PER_TASK, Resources, options_for, stalled_minutes
from aiida_iontherm.engines.builders import Engine, make_engine
from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.workchains.restarts import RestartHandlers


def _validate_options(node: Dict | None, _port: Any) -> str | None:
    """Name the nearest right key for one that AiiDA does not know: the first job would fail on it."""
    if node is None:
        return None
    known = list(TaskCalculation.spec().inputs["metadata"]["options"])
    options = node.get_dict()
    for task, resources in (options.pop(PER_TASK, None) or {}).items():
        try:
            Resources.model_validate(resources)
        except ValidationError as error:
            return f"resources of {task}: {explain(error, Resources)}"
    options.pop(HANDLERS, None)
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            return f"there is no scheduler option {key}: {hint}"
    return None


def define_code(spec: ProcessSpec) -> None:
    """Declare the two inputs that every chain hands down to its jobs."""
    spec.input("code", valid_type=AbstractCode, help="Code of the executable iontherm-task.")
    spec.input(
        "options",
        valid_type=Dict,
        required=False,
        validator=_validate_options,
        help="Scheduler options of all jobs: resources, max_wallclock_seconds, queue_name, account ...",
    )


def job_options(inputs: Any, name: str, *, ranks: bool = False) -> dict[str, Any]:
    """Metadata of a job of a task, or of a program that runs with MPI, from the optional input `options`."""
    return {"options": options_for(inputs.options.get_dict(), name, ranks=ranks)} if "options" in inputs else {}


def job_monitors(inputs: Any, task: str) -> dict[str, Any]:
    """Return the monitors of a job of a task from the optional input `options`."""
    minutes = stalled_minutes(inputs.options.get_dict(), task) if "options" in inputs else None
    if minutes is None:
        return {}
    monitor = {
        "entry_point": "iontherm.stalled",
        "kwargs": {"minutes": minutes},
        "minimum_poll_interval": max(1, round(6 * minutes)),
    }
    return {"monitors": {"stalled": Dict(monitor).store()}}


def engine_of(inputs: Any) -> Engine:
    """Return the engine that the inputs of a chain name."""
    common = {"code": inputs.code}
    if "options" in inputs:
        common["options"] = inputs.options
    return make_engine(inputs.engine.get_dict(), common)


class TaskWorkChain(RestartHandlers, BaseRestartWorkChain):
    """Run one task until it finishes: go on from its checkpoint when it was interrupted.

    Subclasses name the CalcJob, declare its inputs and fill `self.ctx.inputs` in `setup`.
    """

    _process_class: ClassVar[type[TaskCalculation]]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports and outline."""
        super().define(spec)
        define_code(spec)
        # A long MD run under a short wall time is continued many times; each time it has made progress.
        spec.inputs["max_iterations"].default = lambda: Int(100)
        spec.expose_outputs(cls._process_class)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)
        spec.exit_code(500, "ERROR_PHYSICS", message="{message}")
        spec.exit_code(210, "ERROR_INPUT", message="{message}")
        spec.exit_code(410, "ERROR_TASK_FAILED", message="{message}")

    def setup(self) -> None:
        """Switch off the handlers that the options name."""
        super().setup()
        if "options" in self.inputs:
            known = {handler.__name__ for handler in self.get_process_handlers()}
            for name, enabled in (self.inputs.options.get_dict().get(HANDLERS) or {}).items():
                if name in known:
                    self.ctx.handler_overrides.setdefault(name, {"enabled": enabled})

    def start(self, parameters: dict[str, Any], **nodes: Any) -> None:
        """Fill the inputs of the first job; nodes that are ``None`` are left out."""
        name = self._resources_name()
        self.ctx.inputs = {
            "code": self.inputs.code,
            "parameters": Dict(parameters),
            "metadata": job_options(self.inputs, name, ranks=self.process_class.PROGRAM is not None),
            **job_monitors(self.inputs, name),
            **{name: node for name, node in nodes.items() if node is not None},
        }


class Parent:
    """What a work chain needs that has sub-chains; its exit code 400 is for theirs."""

    def common_inputs(self) -> dict[str, Any]:
        """Return the inputs handed down to every sub-chain."""
        inputs: dict[str, Any] = {"code": self.inputs.code}
        if "options" in self.inputs:
            inputs["options"] = self.inputs.options
        return inputs

    def failure(self, step: str, node: ProcessNode) -> ExitCode | None:
        """Exit code for a child that did not finish well, or ``None``."""
        if node.is_finished_ok:
            return None
        message = node.exit_message or f"it ended as {node.process_state.value}"
        self.report(f"{step}: {node.process_label}<{node.pk}> [{node.exit_status}] {message}")
        return self.exit_codes.ERROR_CHILD_FAILED.format(step=f"{step} <{node.pk}>", message=message)


class Chain(Parent, WorkChain):
    """A work chain of sub-chains: every child is inspected, a failure names the child and its message."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs and the exit code that all chains share."""
        super().define(spec)
        define_code(spec)
        spec.exit_code(400, "ERROR_CHILD_FAILED", message="{step} failed: {message}")
        spec.exit_code(420, "ERROR_RESULTS", message="What an engine computed cannot be used: {message}")
