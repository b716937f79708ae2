"""Ionic transport: diffusion, Arrhenius and Meyer-Neldel, phonon occupation.

`site_occupation` starts from phonons and is imported from its module, so that this package does not load phonopy.
"""

from aiida_iontherm.physics.ions.arrhenius import (
    ArrheniusFit,
    activation_energy_bound,
    activation_energy_from_diffusivity,
    arrhenius_fit,
)
from aiida_iontherm.physics.ions.charge_transport import (
    FORMAL_CHARGES,
    ChargeTransport,
    charge_transport,
    charge_transport_quantities,
)
from aiida_iontherm.physics.ions.critical_number import CriticalNumber, critical_number, critical_phonon_number
from aiida_iontherm.physics.ions.curvature import ArrheniusCurvature, arrhenius_curvature
from aiida_iontherm.physics.ions.diffusion import diffusion, diffusion_quantities
from aiida_iontherm.physics.ions.einstein import Diffusion, diffusion_from_msd
from aiida_iontherm.physics.ions.extrapolation import Extrapolation, extrapolated
from aiida_iontherm.physics.ions.meyer_neldel import ActivatedCompound, MeyerNeldelFit, meyer_neldel_fit
from aiida_iontherm.physics.ions.mode_occupation import ModeOccupation, occupation_of_modes
from aiida_iontherm.physics.ions.msd import mean_square_displacement
from aiida_iontherm.physics.ions.multi_excitation import (
    MultiExcitation,
    mode_entropy,
    multi_excitation,
    multi_excitation_entropy,
    participating_modes,
)
from aiida_iontherm.physics.ions.occupation import (
    bose_einstein,
    classical_occupation,
    mobile_fraction,
    mobile_temperature,
    occupation_analysis,
    occupation_probability,
    probability_at_least,
)

__all__ = [
    "FORMAL_CHARGES",
    "ActivatedCompound",
    "ArrheniusCurvature",
    "ArrheniusFit",
    "ChargeTransport",
    "CriticalNumber",
    "Diffusion",
    "Extrapolation",
    "MeyerNeldelFit",
    "ModeOccupation",
    "MultiExcitation",
    "activation_energy_bound",
    "activation_energy_from_diffusivity",
    "arrhenius_curvature",
    "arrhenius_fit",
    "bose_einstein",
    "charge_transport",
    "charge_transport_quantities",
    "classical_occupation",
    "critical_number",
    "critical_phonon_number",
    "diffusion",
    "diffusion_from_msd",
    "diffusion_quantities",
    "extrapolated",
    "mean_square_displacement",
    "meyer_neldel_fit",
    "mobile_fraction",
    "mobile_temperature",
    "mode_entropy",
    "multi_excitation",
    "multi_excitation_entropy",
    "occupation_analysis",
    "occupation_of_modes",
    "occupation_probability",
    "participating_modes",
    "probability_at_least",
]
