"""Quantum ESPRESSO (P. Giannozzi et al., J. Phys.: Condens. Matter 29, 465901 (2017)) by aiida-quantumespresso."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.orm import Dict, Node, QueryBuilder, StructureData
from aiida.plugins import GroupFactory
from ase import Atoms, units
from pydantic import BaseModel, ConfigDict, Field

from aiida_iontherm.calculations.reference_sets import labelled
from aiida_iontherm.engines.builders.interface import Job
from aiida_iontherm.engines.builders.plane_waves import PlaneWaveEngine
from aiida_iontherm.engines.builders.stress import voigt
from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.engines.embedded import EngineError

RYDBERG = units.Ry
ATOMIC_TIME_FS = 0.0483776865
"""The unit of time of pw.x, hbar / Ry, in fs (CODATA 2018)."""

CHAIN = "quantumespresso.pw.base"

FUNCTIONALS = {"LDA": "pz", "PBE": "pbe", "PBEsol": "pbesol"}
SMEARINGS = {"gaussian": "gaussian", "fermi-dirac": "fermi-dirac", "methfessel-paxton": "methfessel-paxton"}
DISPERSIONS = {"d3": 3, "d3-bj": 4}
"""Tag dftd3_version: damped to zero, and as by Becke and Johnson."""


class EspressoOptions(BaseModel):
    """Section `engine.options` of Quantum ESPRESSO."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pseudo_family: str = Field("SSSP/1.3/PBEsol/precision", description="Family of aiida-pseudo, by its label.")
    density_cutoff_ratio: float | None = Field(
        None,
        ge=4,
        description="Cutoff of the density over that of the waves: 4 for norm-conserving, 8 to 12 for others.",
    )
    parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Namelists of pw.x, over all that is set here."
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="Input `settings` of PwCalculation.")
    handler_overrides: dict[str, Any] = Field(
        default_factory=dict, description="Handlers of PwBaseWorkChain to switch off: NAME: {enabled: false}."
    )


def namelists(
    dft: DftSettings, calculation: str, cutoffs_ry: tuple[float, float], extra: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Translate the settings into namelists of pw.x.

    Parameters
    ----------
    calculation : str
        ``scf``, ``relax``, ``vc-relax`` or ``md``.
    cutoffs_ry : tuple of float
        Of the waves and of the density, Ry.
    extra : mapping
        Namelists that come last.
    """
    system: dict[str, Any] = {
        "ecutwfc": cutoffs_ry[0],
        "ecutrho": cutoffs_ry[1],
        "input_dft": FUNCTIONALS[dft.functional],
    }
    if dft.smearing == "fixed":
        system["occupations"] = "fixed"
    else:
        system |= {
            "occupations": "smearing",
            "smearing": SMEARINGS[dft.smearing],
            "degauss": round(dft.smearing_ev / RYDBERG, 10),
        }
    if dft.dispersion != "none":
        system |= {"vdw_corr": "grimme-d3", "dftd3_version": DISPERSIONS[dft.dispersion]}
    lists: dict[str, dict[str, Any]] = {
        "CONTROL": {"calculation": calculation, "tstress": True, "tprnfor": True},
        "SYSTEM": system,
        "ELECTRONS": {
            "conv_thr": round(dft.energy_tolerance_ev / RYDBERG, 14),
            "electron_maxstep": dft.max_scf_steps,
        },
    }
    for name, values in extra.items():
        lists[name] = lists.get(name, {}) | dict(values)
    return lists


class EspressoEngine(PlaneWaveEngine):
    """pw.x through PwBaseWorkChain and its error handlers."""

    NAME = "espresso"
    PLUGIN = "quantumespresso.pw"
    PACKAGE = "aiida-quantumespresso"
    OUTPUTS = ("output_trajectory", "output_parameters")
    Options = EspressoOptions

    @classmethod
    def check_potentials(cls, options: EspressoOptions, symbols: Sequence[str]) -> None:
        """Look for the family and its elements."""
        family = _family(options.pseudo_family)
        known = set(family.elements)
        missing = [symbol for symbol in symbols if symbol not in known]
        if missing:
            raise EngineError(
                f"engine.options.pseudo_family: {options.pseudo_family} has no pseudopotential for "
                f"{', '.join(missing)}; `aiida-pseudo install sssp` or `pseudo-dojo` brings a family for nearly all "
                "elements, `aiida-pseudo list` shows those that are there"
            )

    def relaxation(self, cell: StructureData, settings: Mapping[str, Any]) -> Job:
        """Relax by BFGS; with the cell, pw.x ends with a self-consistent run in the basis of the last cell."""
        dft = self.dft.for_relaxation()
        kind = "vc-relax" if settings["relax_cell"] else "relax"
        tolerance = settings["force_tolerance"] / (RYDBERG / units.Bohr)
        extra = {
            "CONTROL": {"forc_conv_thr": round(tolerance, 10), "etot_conv_thr": 1e-5, "nstep": settings["max_steps"]},
        }
        if not settings.get("keep_symmetry", True):
            extra["SYSTEM"] = {"nosym": True}
        if settings["relax_cell"]:
            extra["CELL"] = {"press_conv_thr": 0.1}
        return self._job(cell, dft, kind, extra)

    def single_point(self, cell: StructureData) -> Job:
        """Compute one cell; displaced atoms have no symmetry worth looking for."""
        return self._job(cell, self.dft, "scf", {"SYSTEM": {"nosym": True}})

    def dynamics(self, cell: StructureData, settings: Mapping[str, Any], index: int) -> Job:
        """Run Verlet dynamics, velocities rescaled at random (G. Bussi et al., J. Chem. Phys. 126, 014101 (2007))."""
        timestep = settings["timestep_fs"]
        extra = {
            "CONTROL": {
                "dt": round(timestep / ATOMIC_TIME_FS, 6),
                # The first step is the start itself.
                "nstep": settings["frames_per_run"] * settings["stride"] + 1,
            },
            "SYSTEM": {"nosym": True},
            "IONS": {
                "ion_dynamics": "verlet",
                "ion_temperature": "svr",
                "tempw": settings["temperatures"][index],
                "nraise": max(1, round(1000 / (settings["friction_per_ps"] * timestep))),
            },
        }
        return self._job(cell, self.dft, "md", extra)

    @staticmethod
    def frames(outputs: Mapping[str, Node]) -> list[Atoms]:
        """Read a trajectory: eV, eV/Angstrom, and GPa with the sign of a pressure."""
        trajectory = outputs["output_trajectory"]
        arrays = {name: trajectory.get_array(name) for name in trajectory.get_arraynames()}
        symbols = [str(symbol) for symbol in trajectory.symbols]
        energies, forces, stresses = arrays["energy"], arrays["forces"], arrays.get("stress")
        complete = min(len(energies), len(forces), len(arrays["positions"]))
        frames = []
        for step in range(complete):
            atoms = Atoms(symbols, positions=arrays["positions"][step], cell=arrays["cells"][step], pbc=True)
            stress = None
            if stresses is not None and len(stresses) >= complete:
                stress = voigt(-stresses[step] * units.GPa)
            frames.append(labelled(atoms, energies[step], forces[step], stress))
        return frames

    def _job(self, cell: StructureData, dft: DftSettings, calculation: str, extra: dict[str, dict[str, Any]]) -> Job:
        family = _family(self.options.pseudo_family)
        for name, values in self.options.parameters.items():
            extra[name.upper()] = extra.get(name.upper(), {}) | values
        lists = namelists(dft, calculation, self._cutoffs(family, cell, dft), extra)
        pw = {
            "code": self.code,
            "structure": cell,
            "parameters": self.shared_dict(lists),
            "pseudos": family.get_pseudos(structure=cell),
            "metadata": {"options": self.job_options()},
        }
        if self.options.settings:
            pw["settings"] = Dict(self.options.settings)
        inputs: dict[str, Any] = {"pw": pw, "kpoints": self.kpoints(cell, dft)}
        if self.options.handler_overrides:
            inputs["handler_overrides"] = Dict(self.options.handler_overrides)
        return Job(CHAIN, inputs)

    def _cutoffs(self, family: Any, cell: StructureData, dft: DftSettings) -> tuple[float, float]:
        ratio = self.options.density_cutoff_ratio
        recommended = None
        if dft.cutoff_ev is None or ratio is None:
            try:
                recommended = family.get_recommended_cutoffs(structure=cell, unit="Ry")
            except (AttributeError, ValueError):
                recommended = None
        if recommended is None and (dft.cutoff_ev is None or ratio is None):
            raise EngineError(
                f"the family {self.options.pseudo_family} recommends no cutoffs: set engine.dft.cutoff_ev and "
                "engine.options.density_cutoff_ratio"
            )
        waves = recommended[0] if dft.cutoff_ev is None else dft.cutoff_ev / RYDBERG
        density = recommended[1] / recommended[0] * waves if ratio is None else ratio * waves
        return round(waves, 6), round(density, 6)


def _family(label: str) -> Any:
    query = QueryBuilder().append(GroupFactory("pseudo.family"), filters={"label": label})
    try:
        return query.one()[0]
    except (NotExistent, MultipleObjectsError) as error:
        raise EngineError(
            f"engine.options.pseudo_family: there is no one family {label} in this profile; `aiida-pseudo install` "
            "brings one, `aiida-pseudo list` shows those that are there"
        ) from error
