"""Work chain ``iontherm.diffusion``: MD at every temperature and the diffusivity of the mobile ions from all runs."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext, while_
from aiida.orm import ArrayData, Dict, StructureData

from aiida_iontherm.calculations.functions import collect_results
from aiida_iontherm.calculations.transport import analyse_diffusion
from aiida_iontherm.data import PotentialData, ResultData, TrajectoryData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain
from aiida_iontherm.workchains.more_runs import runs_to_add, warnings_of


def temperature_label(temperature: float) -> str:
    """Name of a temperature where a name must be an identifier: T300, T412_5."""
    return "T" + f"{temperature:g}".replace(".", "_")


class DiffusionWorkChain(Chain):
    """All temperatures side by side; where the error of D is too large, more runs from other velocities.

    The first trajectory at each temperature also holds the snapshots for force constants.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input(
            "settings", valid_type=Dict, help="Section `dynamics` of the settings, temperatures (K), mobile ion, seed."
        )
        spec.outline(
            cls.setup,
            while_(cls.has_runs_to_make)(cls.run_dynamics, cls.inspect_dynamics, cls.analyse),
            cls.results,
        )
        spec.output_namespace("trajectories", valid_type=TrajectoryData, help="First run, by temperature.")
        spec.output_namespace("dynamics", valid_type=Dict, help="Figures of the first run, by temperature.")
        spec.output_namespace("msd", valid_type=ArrayData, required=False, help="Mean square displacements.")
        spec.output("result", valid_type=ResultData, required=False, help="Diffusivities in cm^2/s or their bounds.")

    def setup(self) -> None:
        """One run at each temperature to begin with."""
        settings = self.inputs.settings.get_dict()
        atoms = self.inputs.structure.get_ase()
        supercell = supercell_matrix(atoms, settings.pop("min_extent"), max_atoms=settings.pop("max_atoms"))
        self.ctx.temperatures = settings.pop("temperatures")
        self.ctx.seed = settings.pop("seed")
        self.ctx.target = settings.pop("target_error", 0.0)
        self.ctx.affordable = int(settings.pop("max_production_ps", 0.0) / settings["production_ps"])
        self.ctx.settings = settings | {"supercell": list(supercell)}
        self.ctx.runs = {temperature_label(temperature): [] for temperature in self.ctx.temperatures}
        self.ctx.to_make = dict.fromkeys(self.ctx.runs, 1)
        self.ctx.analyses = {}

    def has_runs_to_make(self) -> bool:
        """Whether a temperature needs more runs."""
        return any(self.ctx.to_make.values())

    def run_dynamics(self) -> ToContext:
        """Run what is to be run, all side by side."""
        runs = {}
        for index, temperature in enumerate(self.ctx.temperatures):
            label = temperature_label(temperature)
            first = len(self.ctx.runs[label])
            for number in range(first, first + self.ctx.to_make[label]):
                name = label if number == 0 else f"{label}_{number}"
                own = {"temperature": temperature, "seed": self.ctx.seed + index + 1000 * number}
                if number:
                    own["snapshots"] = 0
                runs[f"run_{name}"] = self.submit(
                    DynamicsWorkChain,
                    **self.common_inputs(),
                    structure=self.inputs.structure,
                    potential=self.inputs.potential,
                    settings=Dict(self.ctx.settings | own),
                    metadata={"call_link_label": f"dynamics_{name}"},
                )
        return ToContext(**runs)

    def inspect_dynamics(self) -> ExitCode | None:
        """Keep every trajectory that is there; fail only if none is."""
        failed = None
        for temperature in self.ctx.temperatures:
            label = temperature_label(temperature)
            first = len(self.ctx.runs[label])
            for number in range(first, first + self.ctx.to_make[label]):
                node = self.ctx[f"run_{label}" if number == 0 else f"run_{label}_{number}"]
                failed = self.failure(f"the dynamics at {temperature:g} K", node) or failed
                if node.is_finished_ok:
                    self.ctx.runs[label].append(node)
                    if number == 0:
                        self.out(f"trajectories.{label}", node.outputs.trajectory)
                        self.out(f"dynamics.{label}", node.outputs.output_parameters)
        return None if any(self.ctx.runs.values()) else failed

    def analyse(self) -> None:
        """Diffusivity at each temperature from all runs there, and how many more it needs."""
        ion = self.inputs.settings["mobile"]
        for temperature in self.ctx.temperatures:
            label = temperature_label(temperature)
            runs, fresh = self.ctx.runs[label], self.ctx.to_make[label]
            self.ctx.to_make[label] = 0
            if ion is None or not runs or not fresh:
                continue
            analysis = analyse_diffusion(
                Dict({"ion": ion, "temperature": temperature, "warnings": warnings_of(runs)}),
                **{f"run_{number}": node.outputs.trajectory for number, node in enumerate(runs)},
            )
            self.ctx.analyses[label] = analysis
            diffusivities = [
                quantity
                for quantity in analysis["result"].quantities
                if quantity.name == f"D_{ion}" and quantity.direction == "average"
            ]
            more = runs_to_add(diffusivities, self.ctx.target, len(runs), self.ctx.affordable)
            self.ctx.to_make[label] = more
            if more:
                self.report(f"the error of D at {temperature:g} K is above {self.ctx.target:.0%}: {more} more runs")

    def results(self) -> None:
        """Publish the last analysis of each temperature."""
        for label, analysis in self.ctx.analyses.items():
            self.out(f"msd.{label}", analysis["msd"])
        if self.ctx.analyses:
            self.out("result", collect_results(**{k: a["result"] for k, a in self.ctx.analyses.items()}))
