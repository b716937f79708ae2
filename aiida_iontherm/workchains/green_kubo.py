"""Work chain ``iontherm.green_kubo``: thermal conductivity from the heat current of equilibrium molecular dynamics."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, while_
from aiida.orm import ArrayData, Dict, StructureData

from aiida_iontherm.calculations.transport import analyse_heat_flux
from aiida_iontherm.data import CurrentsData, PotentialData, ResultData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.dynamics import PROGRAM_KEYS, DynamicsWorkChain, program_problem
from aiida_iontherm.workchains.more_runs import runs_to_add, warnings_of

DEFAULTS = {
    "temperature": None,
    "mobile": None,
    "min_extent": 18.0,
    "max_atoms": 1000,
    "timestep_fs": 2.0,
    "equilibration_ps": 20.0,
    "production_ps": 200.0,
    "current_interval_fs": 4.0,
    "runs": 4,
    "target_error": 0.1,
    "max_production_ps": 4000.0,
    "axes": "x,y,z",
    "seed": 0,
    "program": "native",
    "code": None,
    "lammps": {},
}


def _validate_settings(node: Dict, _port: Any) -> str | None:
    given = node.get_dict()
    unknown = set(given) - set(DEFAULTS)
    if unknown:
        return f"unknown keys {', '.join(sorted(unknown))}: there are {', '.join(DEFAULTS)}"
    settings = DEFAULTS | given
    if not settings["temperature"] or settings["temperature"] <= 0:
        return "temperature (K) must be given, and positive"
    if settings["runs"] < 1 or settings["production_ps"] <= 0 or settings["current_interval_fs"] <= 0:
        return "runs, production_ps and current_interval_fs must be positive"
    if settings["runs"] * settings["production_ps"] > settings["max_production_ps"]:
        return "max_production_ps is less than the first runs take: raise it, or lower runs or production_ps"
    if not 0 <= settings["target_error"] < 1:
        return "target_error is a relative standard error below 1; 0 adds no runs"
    return program_problem(settings)


class GreenKuboWorkChain(Chain):
    """Independent runs side by side, and more of them until the error is small enough or the budget is spent.

    With a mobile ion the conductivity is that at zero flux of its mass current; the bare one is told beside it.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input(
            "settings",
            valid_type=Dict,
            validator=_validate_settings,
            help="temperature (K); mobile ion; min_extent (Angstrom) and max_atoms of the supercell; timestep_fs, "
            "equilibration_ps, production_ps, current_interval_fs of each run; number of runs to begin with; "
            "target_error (relative) and max_production_ps of all runs; axes, equivalent ones together as xy,z; seed; "
            "program, code and lammps as `dynamics` has them.",
        )
        spec.outline(
            cls.setup, while_(cls.has_runs_to_make)(cls.run_dynamics, cls.inspect_dynamics, cls.analyse), cls.results
        )
        spec.output_namespace("currents", valid_type=CurrentsData, help="Of each run.")
        spec.output("integrals", valid_type=ArrayData, help="Running Green-Kubo integral of the bare conductivity.")
        spec.output("result", valid_type=ResultData, help="Conductivities in W/(m K) by all estimators.")

    def setup(self) -> None:
        """Choose the supercell."""
        settings = DEFAULTS | self.inputs.settings.get_dict()
        atoms = self.inputs.structure.get_ase()
        supercell = supercell_matrix(atoms, settings["min_extent"], max_atoms=settings["max_atoms"])
        taken = ("temperature", "timestep_fs", "equilibration_ps", "production_ps", "current_interval_fs")
        self.ctx.run_settings = {name: settings[name] for name in (*taken, *PROGRAM_KEYS)} | {
            "supercell": list(supercell),
            "ensemble": "nve",
            "snapshots": 0,
        }
        self.ctx.settings = settings
        self.ctx.runs = []
        self.ctx.to_make = settings["runs"]

    def has_runs_to_make(self) -> bool:
        """Whether more runs are needed."""
        return self.ctx.to_make > 0

    def run_dynamics(self) -> ToContext:
        """Run what is to be run, all side by side."""
        self.ctx.first = len(self.ctx.runs)
        numbers = range(self.ctx.first, self.ctx.first + self.ctx.to_make)
        return ToContext(
            **{
                f"run_{number}": self.submit(
                    DynamicsWorkChain,
                    **self.common_inputs(),
                    structure=self.inputs.structure,
                    potential=self.inputs.potential,
                    settings=Dict(self.ctx.run_settings | {"seed": self.ctx.settings["seed"] + number}),
                    metadata={"call_link_label": f"dynamics_{number}"},
                )
                for number in numbers
            }
        )

    def inspect_dynamics(self) -> ExitCode | None:
        """Keep the runs that ended well; fail if one did not: what is left would be a biased choice."""
        for number in range(self.ctx.first, self.ctx.first + self.ctx.to_make):
            node = self.ctx[f"run_{number}"]
            if (failed := self.failure(f"run {number} of the dynamics", node)) is not None:
                return failed
            self.ctx.runs.append(node)
            self.out(f"currents.run_{number}", node.outputs.currents)
        return None

    def analyse(self) -> None:
        """Conductivity from all runs, and how many more it needs."""
        settings = self.ctx.settings
        self.ctx.analysis = analyse_heat_flux(
            Dict(
                {name: settings[name] for name in ("temperature", "mobile", "axes")}
                | {"target_error": settings["target_error"] or 1.0, "warnings": warnings_of(self.ctx.runs)}
            ),
            **{f"run_{number}": node.outputs.currents for number, node in enumerate(self.ctx.runs)},
        )
        averages = [
            quantity
            for quantity in self.ctx.analysis["result"].quantities
            if quantity.name == "kappa_cepstral" and quantity.direction == "average"
        ]
        affordable = int(settings["max_production_ps"] / settings["production_ps"])
        self.ctx.to_make = runs_to_add(averages, settings["target_error"], len(self.ctx.runs), affordable)
        if self.ctx.to_make:
            self.report(f"the error is above {settings['target_error']:.0%}: {self.ctx.to_make} more runs")

    def results(self) -> None:
        """Publish the last analysis."""
        self.out("result", self.ctx.analysis["result"])
        self.out("integrals", self.ctx.analysis["integrals"])
