"""VASP (G. Kresse and J. Furthmueller, Phys. Rev. B 54, 11169 (1996)) by the work chains of aiida-vasp 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.orm import Dict, Node, ProcessNode, Str, StructureData
from ase import Atoms, units
from pydantic import BaseModel, ConfigDict, Field

from aiida_iontherm.calculations.reference_sets import labelled
from aiida_iontherm.engines.builders.interface import Job
from aiida_iontherm.engines.builders.plane_waves import PlaneWaveEngine
from aiida_iontherm.engines.builders.stress import voigt
from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.engines.embedded import EngineError

FUNCTIONALS = {"PBE": "PE", "PBEsol": "PS"}
"""Tag GGA; without it VASP takes the functional of its potentials, which for LDA ones is LDA."""

SMEARINGS = {"gaussian": 0, "fermi-dirac": -1, "methfessel-paxton": 1}
DISPERSIONS = {"d3": 11, "d3-bj": 12}

CONTROLLED = frozenset({"ibrion", "nsw", "isif", "potim", "tebeg", "teend", "mdalgo", "ediffg", "kspacing"})
"""Tags that say what is computed: the engine sets them. Those of the thermostat may be changed under `md_incar`."""

PARSING = {
    "parser_settings": {
        "include_node": ["trajectory", "structure"],
        "energy_type": ["energy_free", "energy_extrapolated"],
        # The number of electronic steps of each ionic one tells whether it converged.
        "electronic_step_energies": True,
        # What a run left that was cut off is still to be read.
        "check_completeness": False,
    },
    # One of them ends jobs whose output is longer than five megabytes, which that of MD is.
    "no_default_monitors": True,
}


class VaspOptions(BaseModel):
    """Section `engine.options` of VASP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    potential_family: str = Field(
        "PBE.54", description="Family of POTCARs in aiida-vasp, `aiida-vasp potcar listfamilies`."
    )
    potential_mapping: dict[str, str] = Field(
        default_factory=dict, description="POTCAR of an element, Cu: Cu_pv; of the others the recommended one."
    )
    incar: dict[str, Any] = Field(default_factory=dict, description="Further tags, over all that is set here.")
    md_incar: dict[str, Any] = Field(
        default_factory=dict, description="The same for MD alone, the thermostat's among them."
    )
    handler_overrides: dict[str, Any] = Field(
        default_factory=dict, description="Handlers of aiida-vasp to switch off: NAME: {enabled: false}."
    )


def incar(dft: DftSettings) -> dict[str, Any]:
    """Translate the settings into tags of the INCAR, but for those of the task at hand.

    The names are lower-case, as aiida-vasp wants them.
    """
    tags: dict[str, Any] = {
        "prec": "accurate",
        "ediff": dft.energy_tolerance_ev,
        "nelm": dft.max_scf_steps,
        "ismear": SMEARINGS.get(dft.smearing, 0),
        # VASP has no fixed occupations but by hand: a width far below any gap.
        "sigma": 1e-3 if dft.smearing == "fixed" else dft.smearing_ev,
        "lreal": False,
        "lasph": True,
        "lwave": False,
        "lcharg": False,
    }
    if dft.cutoff_ev is not None:
        tags["encut"] = dft.cutoff_ev
    if dft.functional in FUNCTIONALS:
        tags["gga"] = FUNCTIONALS[dft.functional]
    if dft.dispersion != "none":
        tags["ivdw"] = DISPERSIONS[dft.dispersion]
    return tags


def dynamics_tags(settings: Mapping[str, Any], index: int, blocks: int) -> dict[str, Any]:
    """Return the tags of MD run `index`: Langevin at fixed cell, `blocks` species.

    `settings` as the task ``reference`` takes them. The first ionic step is the start itself.
    """
    temperature = settings["temperatures"][index]
    return {
        "ibrion": 0,
        "nsw": settings["frames_per_run"] * settings["stride"] + 1,
        "potim": settings["timestep_fs"],
        "tebeg": temperature,
        "teend": temperature,
        "mdalgo": 3,
        "langevin_gamma": [settings["friction_per_ps"]] * blocks,
        "random_seed": [settings["seed"] + index, 0, 0],
        # Without it VASP gives no stress in MD.
        "isif": 2,
        "isym": 0,
    }


class VaspEngine(PlaneWaveEngine):
    """VASP through VaspWorkChain and VaspRelaxWorkChain with their error handlers."""

    NAME = "vasp"
    PLUGIN = "vasp.vasp"
    PACKAGE = "aiida-vasp"
    OUTPUTS = ("trajectory", "misc")
    Options = VaspOptions

    @classmethod
    def check_potentials(cls, options: VaspOptions, symbols: Sequence[str]) -> None:
        """Look for the family and the POTCAR of each element; check the tags."""
        for name, tags in (("incar", options.incar), ("md_incar", options.md_incar)):
            allowed = {"mdalgo", "tebeg", "teend", "potim"} if name == "md_incar" else set()
            clash = sorted({tag.lower() for tag in tags} & (CONTROLLED - allowed))
            if clash:
                raise EngineError(
                    f"engine.options.{name}: {', '.join(tag.upper() for tag in clash)} say what is computed, which the "
                    "sections relax and reference do; leave them out"
                )
        from aiida_vasp.data.potcar import PotcarData

        family = options.potential_family
        group = PotcarData.get_potcar_group(family)
        if group is None:
            raise EngineError(
                f"engine.options.potential_family: there is no POTCAR family {family} in this profile; with a licence: "
                f"`aiida-vasp potcar uploadfamily --path FOLDER --name {family} --description TEXT`, FOLDER holding "
                "Cu/POTCAR, I/POTCAR and so on as VASP delivers them; `aiida-vasp potcar listfamilies` shows those "
                "that are there"
            )
        names = {node.full_name for node in group.nodes}
        missing = {symbol: name for symbol, name in _mapping(options, symbols).items() if name not in names}
        if missing:
            listed = ", ".join(f"{name} for {symbol}" for symbol, name in missing.items())
            alike = sorted(name for name in names for symbol in missing if name.split("_")[0] == symbol)
            raise EngineError(
                f"the POTCAR family {family} has no {listed}"
                + (f"; it has {', '.join(alike)}: choose with engine.options.potential_mapping" if alike else "")
            )

    def relaxation(self, cell: StructureData, settings: Mapping[str, Any]) -> Job:
        """Relax by conjugate gradients, again from the last cell until it stays, then compute that cell once more."""
        dft = self.dft.for_relaxation()
        inputs = self._inputs(cell, dft, {} if settings.get("keep_symmetry", True) else {"isym": 0})
        del inputs["structure"]
        from aiida_vasp.utils.opthold import RelaxOptions

        moving = RelaxOptions(
            algo="cg",
            force_cutoff=settings["force_tolerance"],
            steps=settings["max_steps"],
            positions=True,
            shape=settings["relax_cell"],
            volume=settings["relax_cell"],
            # Against the cell a round began with: the basis set is that cell's.
            convergence_mode="inout",
        )
        return Job("vasp.relax", {"structure": cell, "vasp": inputs, "relax_settings": moving.aiida_dict()})

    def single_point(self, cell: StructureData) -> Job:
        """Compute one cell."""
        return Job("vasp.vasp", self._inputs(cell, self.dft, {"isym": 0, "isif": 2}))

    def dynamics(self, cell: StructureData, settings: Mapping[str, Any], index: int) -> Job:
        """Run Langevin dynamics with VASP's own integrator."""
        blocks = len(set(cell.get_kind_names()))
        tags = dynamics_tags(settings, index, blocks) | {
            key.lower(): value for key, value in self.options.md_incar.items()
        }
        if tags["mdalgo"] != 3:
            tags.pop("langevin_gamma")
        return Job("vasp.vasp", self._inputs(cell, self.dft, tags))

    @staticmethod
    def frames(outputs: Mapping[str, Node]) -> list[Atoms]:
        """Read the ionic steps: free energy in eV, forces in eV/Angstrom, and kB with the sign of a pressure."""
        trajectory, status = outputs["trajectory"], outputs["misc"]["run_status"]
        arrays = {name: trajectory.get_array(name) for name in trajectory.get_arraynames()}
        if "energy_free" not in arrays:
            return []
        # One step alone comes twice in all arrays but those of the energies.
        steps = min(len(arrays["energy_free"]), len(arrays["forces"]), len(arrays["positions"]))
        electronic = arrays.get("electronic_steps", np.zeros(steps))
        frames = []
        for step in range(steps):
            if status.get("nelm") and electronic[step] >= status["nelm"]:
                continue
            atoms = Atoms(
                [str(symbol) for symbol in trajectory.symbols],
                scaled_positions=arrays["positions"][step],
                cell=arrays["cells"][step],
                pbc=True,
            )
            stress = voigt(-arrays["stress"][step] * 0.1 * units.GPa) if "stress" in arrays else None
            frames.append(labelled(atoms, arrays["energy_free"][step], arrays["forces"][step], stress))
        return frames

    def keeps_partial(self, node: ProcessNode) -> bool:
        """Keep the steps of an MD run that was cut off."""
        return "parameters" in node.inputs and node.inputs.parameters["incar"].get("ibrion") == 0

    def _inputs(self, cell: StructureData, dft: DftSettings, tags: Mapping[str, Any]) -> dict[str, Any]:
        extra = {key.lower(): value for key, value in self.options.incar.items()}
        inputs = {
            "code": self.code,
            "structure": cell,
            "parameters": self.shared_dict({"incar": incar(dft) | dict(tags) | extra}),
            "kpoints": self.kpoints(cell, dft),
            "potential_family": self.shared("family", lambda: Str(self.options.potential_family)),
            "potential_mapping": self.shared_dict(_mapping(self.options, sorted(set(cell.get_kind_names())))),
            "settings": self.shared_dict(PARSING),
            "calc": {"metadata": {"options": self.job_options()}},
        }
        if self.options.handler_overrides:
            inputs["handler_overrides"] = Dict(self.options.handler_overrides)
        return inputs


def _mapping(options: VaspOptions, symbols: Sequence[str]) -> dict[str, str]:
    """POTCAR of each element: the one chosen, else the one that VASP's manual recommends."""
    from aiida_vasp.utils.default_paws import DEFAULT_LDA

    return {symbol: options.potential_mapping.get(symbol, DEFAULT_LDA.get(symbol, symbol)) for symbol in symbols}
