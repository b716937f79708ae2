"""What is asked of the executable ``mlp`` of MLIP-2 and MLIP-3."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from aiida_iontherm.tasks.contract import explain

Value = bool | int | float | str | None
"""Of an option: true for one without a value; null or false leaves out one that is set otherwise."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]*")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Make settings of plain values.

        Raises
        ------
        ValueError
            In one line, naming the nearest right key for a wrong one.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error, cls)) from error


class MlipOptions(_Model):
    """Further options of each command under the program's own names."""

    train: dict[str, Value] = Field(default_factory=dict, description="Of the training.")
    select: dict[str, Value] = Field(default_factory=dict, description="Of the selection.")
    efs: dict[str, Value] = Field(default_factory=dict, description="Of the evaluation.")

    @field_validator("train", "select", "efs")
    @classmethod
    def _are_options(cls, options: dict[str, Value]) -> dict[str, Value]:
        for name, value in options.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an option: leave the dashes out, as in max-iter: 500")
            if isinstance(value, str) and not value.isprintable():
                raise ValueError(f"{name}: {value!r} is no value of an option")
        return options


class MlipSettings(_Model):
    """MLIP-2 or MLIP-3 as the trainer."""

    generation: Literal[2, 3] = Field(2, description="MLIP-2 or MLIP-3, whose commands and files differ.")
    max_iterations: int = Field(1000, gt=0, description="BFGS iterations of a training, at most.")
    tolerance: PositiveFloat | None = Field(
        None, description="Where BFGS ends, in the sense of the program; null: where it does by itself."
    )
    min_distance: NonNegativeFloat | Literal["auto"] = Field(
        "auto", description="Angstrom; auto: 95 % of the shortest distance in the data, as the native trainer has it."
    )
    options: MlipOptions = Field(
        MlipOptions(),
        description="train, select, efs: further options of each command, `NAME: value`; true for one without a value, "
        "null or false leaves out one that is set here.",
    )


class MlipTraining(_Model):
    """Settings of one training."""

    level: int = Field(ge=2, le=28, multiple_of=2, description="The levels MLIP has templates of.")
    cutoff: PositiveFloat = Field(description="Angstrom.")
    radial_size: int = Field(8, ge=2)
    weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        (1.0, 0.1, 0.01), description="Of energies, forces and stresses."
    )
    validation_fraction: float = Field(0.1, ge=0, lt=1, description="Held out, not shown to the program.")
    seed: int = Field(0, description="Of the part held out; the program draws its own random numbers.")
    outliers: Literal["raise", "exclude"] = Field("raise", description="Configurations that cannot be right.")
    mlip: MlipSettings = MlipSettings()

    @model_validator(mode="after")
    def _distances_are_in_order(self) -> Self:
        least = self.mlip.min_distance
        if least != "auto" and not least < self.cutoff:
            raise ValueError(f"mlip.min_distance: {least:g} Angstrom must be below the cutoff, {self.cutoff:g}")
        return self
