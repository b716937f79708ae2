"""Ionic transport: diffusion, Arrhenius, phonon occupation."""

from aiida_iontherm.physics.ions.arrhenius import (
    ArrheniusFit,
    activation_energy_bound,
    activation_energy_from_diffusivity,
    arrhenius_fit,
)
from aiida_iontherm.physics.ions.diffusion import diffusion, diffusion_quantities
from aiida_iontherm.physics.ions.einstein import Diffusion, diffusion_from_msd
from aiida_iontherm.physics.ions.msd import mean_square_displacement
from aiida_iontherm.physics.ions.occupation import (
    bose_einstein,
    classical_occupation,
    critical_phonon_number,
    mobile_fraction,
    occupation_analysis,
    occupation_probability,
    probability_at_least,
)

__all__ = [
    "ArrheniusFit",
    "Diffusion",
    "activation_energy_bound",
    "activation_energy_from_diffusivity",
    "arrhenius_fit",
    "bose_einstein",
    "classical_occupation",
    "critical_phonon_number",
    "diffusion",
    "diffusion_from_msd",
    "diffusion_quantities",
    "mean_square_displacement",
    "mobile_fraction",
    "occupation_analysis",
    "occupation_probability",
    "probability_at_least",
]
