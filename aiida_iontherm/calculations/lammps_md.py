"""CalcJob of the task ``lammps-md``: the runs of the task ``md`` by LAMMPS over MPI, with the same outputs."""

from __future__ import annotations

from aiida.engine import CalcJobProcessSpec

from aiida_iontherm.calculations.lammps_turns import LAMMPS_FILES, LammpsTurns, LammpsTurnsParser
from aiida_iontherm.calculations.md import MdCalculation, MdParser


class LammpsMdCalculation(LammpsTurns, MdCalculation):
    """Equilibration and production of one supercell at one temperature (K) by LAMMPS, times in ps."""

    TASK = "lammps-md"
    CACHE_VERSION = 1
    RETRIEVE = (*MdCalculation.RETRIEVE, *LAMMPS_FILES)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Name the parser."""
        super().define(spec)
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.lammps_md"


class LammpsMdParser(LammpsTurnsParser, MdParser):
    """The reduced trajectory."""
