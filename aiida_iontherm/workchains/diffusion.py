"""Work chain ``iontherm.diffusion``: MD at every temperature and the diffusivity of the mobile ions from each run."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext
from aiida.orm import ArrayData, Dict, StructureData

from aiida_iontherm.calculations.functions import analyse_diffusion, collect_results
from aiida_iontherm.data import PotentialData, ResultData, TrajectoryData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain


def temperature_label(temperature: float) -> str:
    """Name of a temperature where a name must be an identifier: T300, T412_5."""
    return "T" + f"{temperature:g}".replace(".", "_")


class DiffusionWorkChain(Chain):
    """All temperatures run side by side; each trajectory also holds the snapshots for force constants."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input(
            "settings", valid_type=Dict, help="Section `dynamics` of the settings, temperatures (K), mobile ion, seed."
        )
        spec.outline(cls.run_dynamics, cls.inspect_dynamics, cls.analyse)
        spec.output_namespace("trajectories", valid_type=TrajectoryData, help="By temperature.")
        spec.output_namespace("dynamics", valid_type=Dict, help="Figures of each run, by temperature.")
        spec.output_namespace("msd", valid_type=ArrayData, required=False, help="Mean square displacements.")
        spec.output("result", valid_type=ResultData, required=False, help="Diffusivities in cm^2/s or their bounds.")

    def run_dynamics(self) -> ToContext:
        """Run one MD for each temperature."""
        settings = self.inputs.settings.get_dict()
        temperatures = settings.pop("temperatures")
        seed = settings.pop("seed")
        atoms = self.inputs.structure.get_ase()
        supercell = supercell_matrix(atoms, settings.pop("min_extent"), max_atoms=settings.pop("max_atoms"))
        runs = {}
        for index, temperature in enumerate(temperatures):
            parameters = settings | {"temperature": temperature, "supercell": list(supercell), "seed": seed + index}
            runs[temperature_label(temperature)] = self.submit(
                DynamicsWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                potential=self.inputs.potential,
                settings=Dict(parameters),
                metadata={"call_link_label": f"dynamics_{temperature_label(temperature)}"},
            )
        return ToContext(**runs)

    def inspect_dynamics(self) -> ExitCode | None:
        """Keep every trajectory that is there; fail only if none is."""
        self.ctx.runs = {}
        failed = None
        for temperature in self.inputs.settings["temperatures"]:
            label = temperature_label(temperature)
            node = self.ctx[label]
            failed = self.failure(f"the dynamics at {temperature:g} K", node) or failed
            if node.is_finished_ok:
                self.ctx.runs[label] = temperature
                self.out(f"trajectories.{label}", node.outputs.trajectory)
                self.out(f"dynamics.{label}", node.outputs.output_parameters)
        return None if self.ctx.runs else failed

    def analyse(self) -> None:
        """Diffusivity at each temperature, if there is a mobile ion."""
        ion = self.inputs.settings["mobile"]
        if ion is None:
            return
        results = {}
        for label, temperature in self.ctx.runs.items():
            analysis = analyse_diffusion(
                self.ctx[label].outputs.trajectory, Dict({"ion": ion, "temperature": temperature})
            )
            results[label] = analysis["result"]
            self.out(f"msd.{label}", analysis["msd"])
        self.out("result", collect_results(**results))
