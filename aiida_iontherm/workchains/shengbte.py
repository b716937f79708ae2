"""Work chain ``iontherm.shengbte``: linewidths of three and four phonons by ShengBTE or FourPhonon."""

from __future__ import annotations

from typing import Any

from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida.orm import Int, ProcessNode

from aiida_iontherm.calculations.resources import options_for
from aiida_iontherm.calculations.shengbte import ShengBteCalculation
from aiida_iontherm.workchains.base import define_code

PROGRAM = "shengbte"
"""Its name where resources are said per task or program."""

RANKS = ("num_mpiprocs_per_machine", "tot_num_mpiprocs")
"""Resources that say how many ranks run, the first one on each machine."""


class ShengBteWorkChain(BaseRestartWorkChain):
    """Run ShengBTE or FourPhonon until it finishes, with fewer ranks where the memory does not suffice."""

    _process_class = ShengBteCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        define_code(spec)
        spec.inputs["code"].help = "Code of ShengBTE or FourPhonon."
        # From 64 ranks on a machine to one.
        spec.inputs["max_iterations"].default = lambda: Int(8)
        spec.expose_inputs(ShengBteCalculation, include=("parameters", "force_constants"))
        spec.expose_outputs(ShengBteCalculation)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)
        spec.exit_code(410, "ERROR_TASK_FAILED", message="{message}")
        spec.exit_code(710, "WARNING_NOT_CONVERGED", message="{message}")

    def setup(self) -> None:
        """Fill the inputs of the first job."""
        super().setup()
        options = options_for(self.inputs.options.get_dict(), PROGRAM, ranks=True) if "options" in self.inputs else {}
        self.ctx.inputs = {
            **self.exposed_inputs(ShengBteCalculation),
            "code": self.inputs.code,
            "metadata": {"options": options},
        }

    @process_handler(priority=590)
    def handle_lost(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """No output at all (killed by the system, node failure): run the same job again, once."""
        if node.exit_status != 300 or self.ctx.iteration > 1:
            return None
        self.report(f"{node.process_label}<{node.pk}> left no output, trying once more")
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=580)
    def handle_memory(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Out of memory: half the ranks on each machine, because each holds all force constants."""
        if node.exit_status != 312:
            return None
        resources = self.ctx.inputs["metadata"]["options"].get("resources", {})
        ranks = {name: resources[name] for name in RANKS if resources.get(name, 1) > 1}
        if not ranks:
            return self._give_up(node)
        halved = {name: number // 2 for name, number in ranks.items()}
        options = self.ctx.inputs["metadata"]["options"] | {"resources": resources | halved}
        self.ctx.inputs["metadata"] = self.ctx.inputs["metadata"] | {"options": options}
        changed = ", ".join(f"{name} {number}" for name, number in halved.items())
        self.report(f"{node.process_label}<{node.pk}> ran out of memory, trying with {changed}")
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=570)
    def handle_walltime(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Out of wall time: there is no checkpoint, and the same again would end the same; say what would not."""
        return self._give_up(node) if node.exit_status == 313 else None

    @process_handler(priority=500)
    def handle_not_converged(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Not converged: keep the results, whose linewidths do not depend on the iterations, and warn."""
        if node.exit_status != 710:
            return None
        self.ctx.is_finished = True
        self.results()
        return ProcessHandlerReport(
            do_break=True, exit_code=self.exit_codes.WARNING_NOT_CONVERGED.format(message=node.exit_message)
        )

    @process_handler(priority=400)
    def handle_failure(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Hand the message up: lost twice, an error, a damaged file, results of another crystal, no four phonons."""
        return self._give_up(node) if node.exit_status in (300, 330, 340, 341, 342) else None

    def _give_up(self, node: ProcessNode) -> ProcessHandlerReport:
        code: Any = self.exit_codes.ERROR_TASK_FAILED.format(message=node.exit_message)
        return ProcessHandlerReport(do_break=True, exit_code=code)
