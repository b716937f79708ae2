"""What is done when a job of a task does not end well: one handler for each way to end.

Each docstring says what the handler sees and what it does; `docs/topics/robustness.md` tells the same to users, and how
to switch one off: ``handlers: {NAME: false}`` in the settings, or the input `handler_overrides`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiida.engine import ExitCode, ProcessHandlerReport, process_handler
from aiida.orm import ProcessNode

from aiida_iontherm.calculations.base import TaskCalculation

MAX_LOST = 3
"""Times a job may vanish or its node fail; more of it is no accident."""

MAX_MEMORY_DOUBLINGS = 2


class RestartHandlers:
    """Handlers of `TaskWorkChain`, by falling priority; every task writes checkpoints that a restart goes on from."""

    ctx: Any
    exit_codes: Any
    report: Callable[[str], None]
    process_class: type[TaskCalculation]

    @process_handler(priority=620)
    def handle_out_of_memory(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Ask for twice the memory, twice at most, after the scheduler killed a job for it (110); go on from there."""
        if node.exit_status != 110:
            return None
        options = self.ctx.inputs["metadata"].setdefault("options", {})
        asked = options.get("max_memory_kb")
        doublings = self.ctx.get("memory_doublings", 0)
        if asked is None or doublings >= MAX_MEMORY_DOUBLINGS:
            amount = "no amount was asked for" if asked is None else f"{asked / 1024**2:.1f} GB were not enough"
            return self._give_up(
                410,
                f"the job needs more memory than the scheduler gave ({amount}): set "
                f"resources.{self._resources_name()}.memory",
            )
        self.ctx.memory_doublings = doublings + 1
        options["max_memory_kb"] = 2 * asked
        return self._go_on(node, f"ran out of memory, asking for {2 * asked / 1024**2:.1f} GB")

    @process_handler(priority=610)
    def handle_node_failure(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Go on from the checkpoint, three times at most, after a node failed (140) or a job was seen to hang (150)."""
        if node.exit_status not in (140, 150):
            return None
        self.ctx.node_failures = self.ctx.get("node_failures", 0) + 1
        if self.ctx.node_failures > MAX_LOST:
            return self._give_up(410, f"{MAX_LOST} nodes in a row failed: {node.exit_message}")
        return self._go_on(node, "lost its node or hung")

    @process_handler(priority=600)
    def handle_interrupted(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Go on from the checkpoint after the wall time (310, 120), as long as there is progress from job to job."""
        if node.exit_status not in (310, 120):
            return None
        progress = progress_of(node)
        if progress is not None and progress == self.ctx.get("last_progress"):
            return self._give_up(
                410,
                f"no step was finished within the wall time, at {progress[0]} {progress[1]}: set "
                f"resources.{self._resources_name()}.walltime to more",
            )
        self.ctx.last_progress = progress
        return self._go_on(node, "was interrupted")

    @process_handler(priority=590)
    def handle_lost(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Run a job once more that left no output (300; killed by the system), from its checkpoint if it left one."""
        if node.exit_status != 300 or self.ctx.get("lost", 0) >= 1:
            return None
        self.ctx.lost = 1
        return self._go_on(node, "left no output")

    @process_handler(priority=510)
    def handle_unstable(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Begin again with half the timestep, once, after the dynamics flew apart (510); then hand the message up."""
        if node.exit_status != 510:
            return None
        parameters = self.ctx.inputs["parameters"].get_dict()
        timestep = parameters.get("timestep_fs")
        if timestep is None or self.ctx.get("shortened", False):
            return self._give_up(500, node.exit_message)
        self.ctx.shortened = True
        self.ctx.inputs["parameters"] = type(self.ctx.inputs["parameters"])(parameters | {"timestep_fs": timestep / 2})
        self.ctx.inputs.pop("restart_folder", None)  # a checkpoint of the other timestep
        self._say(node, f"flew apart, beginning again with a timestep of {timestep / 2:g} fs instead of {timestep:g}")
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=500)
    def handle_physics(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Hand the message of failed physics up (500): running again changes nothing."""
        return self._give_up(500, node.exit_message) if node.exit_status == 500 else None

    @process_handler(priority=490)
    def handle_input(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Hand the message about a wrong input up (210): running again changes nothing."""
        return self._give_up(210, node.exit_message) if node.exit_status == 210 else None

    @process_handler(priority=400)
    def handle_failure(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Hand up a full disk, a crash or an unusable file (320, 330, 340): at once it would end the same."""
        return self._give_up(410, node.exit_message) if node.exit_status in (320, 330, 340) else None

    def _resources_name(self) -> str:
        return self.process_class.PROGRAM or self.process_class.TASK

    def _say(self, node: ProcessNode, what: str) -> None:
        self.report(f"{node.process_label}<{node.pk}> {what}")

    def _go_on(self, node: ProcessNode, what: str) -> ProcessHandlerReport:
        self._say(node, f"{what}: going on from its checkpoint, if it left one")
        if "remote_folder" in node.outputs:
            # A checkpoint that is not there is a link to nothing, and the task begins afresh.
            self.ctx.inputs["restart_folder"] = node.outputs.remote_folder
        return ProcessHandlerReport(do_break=True)

    def _give_up(self, status: int, message: str | None) -> ProcessHandlerReport:
        codes = {
            210: self.exit_codes.ERROR_INPUT,
            410: self.exit_codes.ERROR_TASK_FAILED,
            500: self.exit_codes.ERROR_PHYSICS,
        }
        code: ExitCode = codes[status].format(message=message)
        return ProcessHandlerReport(do_break=True, exit_code=code)


def progress_of(node: ProcessNode) -> tuple[str, int] | None:
    """Return what a task was doing last, and how far it was, from its retrieved ``progress.jsonl``."""
    try:
        text = node.outputs.retrieved.base.repository.get_object_content("progress.jsonl")
        line = json.loads(text.strip().splitlines()[-1])
        return line["what"], line["done"]
    except (AttributeError, OSError, ValueError, IndexError, KeyError):
        return None
