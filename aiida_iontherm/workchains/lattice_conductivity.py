"""Work chain ``iontherm.lattice_conductivity``: from force constants to two-channel conductivity."""

from __future__ import annotations

from aiida.engine import ProcessSpec, while_
from aiida.orm import ArrayData, Dict, Str

from aiida_iontherm.calculations.functions import two_channel_conductivity
from aiida_iontherm.calculations.lattice_conductivity import LatticeConductivityCalculation
from aiida_iontherm.data import ForceConstantsData, ResultData
from aiida_iontherm.workchains.base import TaskWorkChain


class LatticeConductivityWorkChain(TaskWorkChain):
    """Phonons and linewidths on a mesh, then the two-channel sum."""

    _process_class = LatticeConductivityCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports and outline."""
        super().define(spec)
        spec.input("force_constants", valid_type=ForceConstantsData, help="Second and third order.")
        spec.input("fit", valid_type=Dict, help="Figures of the fit of the force constants; `r2_test` is used.")
        spec.input("settings", valid_type=Dict, help="Meshes, temperatures (K), mobile ion.")
        spec.input(
            "caveat",
            valid_type=Str,
            required=False,
            help="Why the result cannot count as converged, where that is known beforehand.",
        )
        spec.input(
            "origin", valid_type=Str, required=False, help="Where the force constants come from, where not from MD."
        )
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
            cls.sum_channels,
        )
        spec.output("result", valid_type=ResultData, help="kappa of each channel in W/(m K) with verdicts.")
        spec.output("conductivity", valid_type=ArrayData, help="Tensors, error bars and spectra.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(self.inputs.settings.get_dict(), force_constants=self.inputs.force_constants)

    def sum_channels(self) -> None:
        """Sum both channels with error bars and verdicts."""
        phonons = self.ctx.children[-1].outputs.phonons
        words = {name: self.inputs[name] for name in ("caveat", "origin") if name in self.inputs}
        analysis = two_channel_conductivity(phonons, self.inputs.fit, **words)
        self.out("result", analysis["result"])
        self.out("conductivity", analysis["conductivity"])
