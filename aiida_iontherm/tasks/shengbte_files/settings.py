"""What a run of ShengBTE or FourPhonon is asked to do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from aiida_iontherm.tasks.contract import explain

Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class ShengBteSettings(BaseModel):
    """Settings of a run; those that CONTROL has too keep its names, and its defaults but for isotopes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperatures: list[PositiveFloat] = Field(min_length=1, description="K, whole numbers at equal distances.")
    mesh: Mesh | PositiveFloat = Field(description="Divisions, or a density as phonopy's length in Angstrom.")
    scalebroad: float = Field(1.0, gt=0, description="Scale of the Gaussian smearing; 0.1 is common with four phonons.")
    omega_max: PositiveFloat | None = Field(None, description="rad/ps: no scattering rates above.")
    convergence: bool = Field(True, description="Iterate beyond the relaxation-time approximation.")
    maxiter: PositiveInt = Field(1000, description="Iterations at most.")
    eps: float = Field(1e-5, gt=0, description="Relative change of kappa at which they stop.")
    isotopes: bool = Field(False, description="Scattering by natural isotopes.")
    onlyharmonic: bool = Field(False, description="Phase space and heat capacity only, no scattering rates.")
    four_phonon: bool = Field(False, description="Scattering of four phonons (FourPhonon).")
    four_phonon_iteration: bool = Field(False, description="Iterate with four phonons too (FourPhonon 1.2 or newer).")
    num_sample_process_3ph: PositiveInt | None = Field(
        None, description="Processes sampled of each mode, for rates and phase space (FourPhonon 1.1 or newer)."
    )
    num_sample_process_4ph: PositiveInt | None = Field(None, description="The same for four phonons.")
    frequency_tolerance_thz: PositiveFloat = Field(
        0.05, description="Largest difference between its frequencies and those of the force constants."
    )

    @classmethod
    def of(cls, values: dict[str, Any]) -> ShengBteSettings:
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

    @model_validator(mode="after")
    def _temperatures_are_a_series(self) -> ShengBteSettings:
        kelvin = sorted(self.temperatures)
        if any(value != round(value) for value in kelvin):
            raise ValueError("temperatures: ShengBTE names its folders by whole kelvins: give whole numbers")
        if len({later - earlier for earlier, later in pairwise(kelvin)}) > 1 or len(set(kelvin)) < len(kelvin):
            raise ValueError(
                "temperatures: ShengBTE takes a first, a last and a step: give temperatures at equal distances, or "
                "one run for each"
            )
        return self

    @model_validator(mode="after")
    def _options_belong_together(self) -> ShengBteSettings:
        if self.four_phonon_iteration and not (self.four_phonon and self.convergence):
            raise ValueError("four_phonon_iteration needs four_phonon and convergence")
        if self.num_sample_process_4ph is not None and not self.four_phonon:
            raise ValueError("num_sample_process_4ph needs four_phonon")
        if self.num_sample_process_3ph is not None and self.convergence:
            raise ValueError("num_sample_process_3ph works in the relaxation-time approximation: set convergence false")
        if self.num_sample_process_4ph is not None and self.four_phonon_iteration:
            raise ValueError("num_sample_process_4ph works in the relaxation-time approximation, not with iteration")
        return self

    def words(self) -> str:
        """Say for a result record whose linewidths these are."""
        processes = ["three phonons"]
        if self.num_sample_process_3ph is not None:
            processes[0] += f" ({self.num_sample_process_3ph} processes of each mode sampled)"
        if self.four_phonon:
            processes.append("four phonons")
            if self.num_sample_process_4ph is not None:
                processes[-1] += f" ({self.num_sample_process_4ph} processes of each mode sampled)"
        if self.isotopes:
            processes.append("natural isotopes")
        program = "FourPhonon" if self.four_phonon else "ShengBTE"
        return f"linewidths of {program} (RTA): {', '.join(processes)}"
