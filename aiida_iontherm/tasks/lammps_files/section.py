"""What a user says about LAMMPS: which build, which pair style, what else."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCRIPT, LOG = "in.lammps", "log.lammps"

SCREEN = "lammps.out"
"""What LAMMPS prints, and mpiexec where it does not come so far, if it is kept."""

BEFORE = "before"
"""Folder of the run that is continued, where it is another one."""

SWITCHES = ("-k", "-kokkos", "-pk", "-package", "-sf", "-suffix", "-r", "-reorder")
"""Of the command line: which build of the styles and where processes run, not what they compute, or write."""

EXTRA_COMMANDS = ("atom_modify", "balance", "comm_modify", "comm_style", "neigh_modify", "neighbor", "thermo_modify")
"""What tunes a run and cannot change what it computes, nor touch files."""


class LammpsSection(BaseModel):
    """Section `lammps` of the input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pair: Literal["iontherm", "mlip-2", "mlip-3"] = Field(
        "iontherm",
        description="Pair style: iontherm/mtp, which alone gives a heat current, or mlip of MLIP-2 or 3.",
    )
    plugin: str | None = Field(
        None,
        description="Path of iontherm_mtp.so on the computer; null where LAMMPS_PLUGIN_PATH or the build provides it.",
    )
    accelerator: Literal["none", "kokkos", "gpu"] = Field(
        "none", description="Package whose styles are taken where there are any."
    )
    gpus: int = Field(1, gt=0, description="Of a node, with an accelerator.")
    arguments: list[str] = Field(
        default_factory=list,
        description=f"More of the command line, with {', '.join(SWITCHES)}: [-sf, omp, -pk, omp, '4'], say.",
    )
    ranks: int | None = Field(
        None, gt=0, description="MPI processes LAMMPS is started with; with another number it refuses to run."
    )
    extra: list[str] = Field(
        default_factory=list, description=f"Commands before the run; of {', '.join(EXTRA_COMMANDS)}."
    )

    @field_validator("plugin")
    @classmethod
    def _plugin_is_a_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.+-]*/[\w./+-]+\.so", value):
            raise ValueError("the path of iontherm_mtp.so, with a slash and without blanks or quotes")
        return value

    @field_validator("arguments")
    @classmethod
    def _arguments_are_switches(cls, value: list[str]) -> list[str]:
        for word in value:
            # A number may be negative.
            known = word in SWITCHES or not re.match(r"-[A-Za-z]", word)
            if not known or not re.fullmatch(r"[\w./+-]+", word):
                raise ValueError(f"{word!r} is no word of {', '.join(SWITCHES)}, one by one as the shell has them")
        if value and value[0] not in SWITCHES:
            raise ValueError(f"begin with one of {', '.join(SWITCHES)}, not with {value[0]!r}")
        return value

    @field_validator("extra")
    @classmethod
    def _extra_is_harmless(cls, value: list[str]) -> list[str]:
        for line in value:
            # No quotes, variables or continuations: what is written is one command and its arguments.
            words = line.split()
            if not re.fullmatch(r"[\w .*/+-]+", line) or words[:1] == [] or words[0] not in EXTRA_COMMANDS:
                raise ValueError(f"{line!r} is none of the commands {', '.join(EXTRA_COMMANDS)} with plain arguments")
        return value

    @model_validator(mode="after")
    def _one_accelerator(self) -> LammpsSection:
        if self.accelerator != "none" and {"-sf", "-suffix"} & set(self.arguments):
            raise ValueError("arguments name a suffix, and accelerator another: leave out one of them")
        return self

    @property
    def gives_heat_current(self) -> bool:
        """Whether the pair style gives centroid virials, without which the heat current of many-body energies is wrong.

        Conductivities were found to be 29 to 64 % off (arXiv:2411.01255).
        """
        return self.pair == "iontherm"

    def command_line(self) -> list[str]:
        """Return the arguments of ``lmp``; our pair style needs ``newton on`` under every package."""
        switches = {
            "none": [],
            "kokkos": f"-k on g {self.gpus} -sf kk -pk kokkos newton on neigh half".split(),
            "gpu": f"-sf gpu -pk gpu {self.gpus} newton on".split(),
        }
        return ["-in", SCRIPT, "-log", LOG, "-nocite", *switches[self.accelerator], *self.arguments]
