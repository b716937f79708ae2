"""CalcJob of the task ``lammps-nemd``: the runs of the task ``nemd`` by LAMMPS over MPI, with the same outputs."""

from __future__ import annotations

from aiida.engine import CalcJobProcessSpec

from aiida_iontherm.calculations.lammps_turns import LAMMPS_FILES, LammpsTurns, LammpsTurnsParser
from aiida_iontherm.calculations.nemd import NemdCalculation, NemdParser


class LammpsNemdCalculation(LammpsTurns, NemdCalculation):
    """Heat exchange in a supercell of one length at one temperature (K) by LAMMPS, times in ps."""

    TASK = "lammps-nemd"
    RETRIEVE = (*NemdCalculation.RETRIEVE, *LAMMPS_FILES)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Name the parser."""
        super().define(spec)
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.lammps_nemd"


class LammpsNemdParser(LammpsTurnsParser, NemdParser):
    """Conductivity and profile."""
