"""Ionic transport: diffusion, hops and pathways, Arrhenius and Meyer-Neldel, phonon occupation.

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
from aiida_iontherm.physics.ions.conduction_verdict import ConductionVerdict, conduction_verdict
from aiida_iontherm.physics.ions.critical_number import CriticalNumber, critical_number, critical_phonon_number
from aiida_iontherm.physics.ions.curvature import ArrheniusCurvature, arrhenius_curvature
from aiida_iontherm.physics.ions.density_map import DensityMap, density_map
from aiida_iontherm.physics.ions.diffusion import diffusion, diffusion_quantities
from aiida_iontherm.physics.ions.einstein import Diffusion, diffusion_from_msd
from aiida_iontherm.physics.ions.extrapolation import Extrapolation, extrapolated
from aiida_iontherm.physics.ions.hop_analysis import HopAnalysis, analyse_hops, hop_quantities, percolation_quantities
from aiida_iontherm.physics.ions.hop_statistics import (
    HopCorrelation,
    HopRate,
    JumpDiffusivity,
    Residence,
    double_occupancy,
    hop_correlation,
    hop_rates,
    jump_diffusivity,
    residence_times,
)
from aiida_iontherm.physics.ions.hops import Hops, Stays, find_hops, find_stays
from aiida_iontherm.physics.ions.jump_sites import (
    JumpSites,
    equivalent_labels,
    polyhedra,
    sites_from_crystal,
    sites_from_density,
)
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
from aiida_iontherm.physics.ions.percolation import PercolationBarriers, percolation_barriers, percolation_thresholds
from aiida_iontherm.physics.ions.van_hove import VanHove, logarithmic_lags, van_hove

__all__ = [
    "FORMAL_CHARGES",
    "ActivatedCompound",
    "ArrheniusCurvature",
    "ArrheniusFit",
    "ChargeTransport",
    "ConductionVerdict",
    "CriticalNumber",
    "DensityMap",
    "Diffusion",
    "Extrapolation",
    "HopAnalysis",
    "HopCorrelation",
    "HopRate",
    "Hops",
    "JumpDiffusivity",
    "JumpSites",
    "MeyerNeldelFit",
    "ModeOccupation",
    "MultiExcitation",
    "PercolationBarriers",
    "Residence",
    "Stays",
    "VanHove",
    "activation_energy_bound",
    "activation_energy_from_diffusivity",
    "analyse_hops",
    "arrhenius_curvature",
    "arrhenius_fit",
    "bose_einstein",
    "charge_transport",
    "charge_transport_quantities",
    "classical_occupation",
    "conduction_verdict",
    "critical_number",
    "critical_phonon_number",
    "density_map",
    "diffusion",
    "diffusion_from_msd",
    "diffusion_quantities",
    "double_occupancy",
    "equivalent_labels",
    "extrapolated",
    "find_hops",
    "find_stays",
    "hop_correlation",
    "hop_quantities",
    "hop_rates",
    "jump_diffusivity",
    "logarithmic_lags",
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
    "percolation_barriers",
    "percolation_quantities",
    "percolation_thresholds",
    "polyhedra",
    "probability_at_least",
    "residence_times",
    "sites_from_crystal",
    "sites_from_density",
    "van_hove",
]
