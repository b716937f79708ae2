"""Ionic transport: diffusion, hops and pathways, Arrhenius and Meyer-Neldel, phonon occupation.

`site_occupation` starts from phonons and is imported from its module, so that this package does not load phonopy.
"""

from aiida_iontherm.physics.ions.arrhenius import (
    ArrheniusFit,
    activation_energy_bound,
    activation_energy_from_diffusivity,
    arrhenius_fit,
)
from aiida_iontherm.physics.ions.barrier import (
    BarrierProfile,
    barrier_profile,
    barrier_quantities,
)
from aiida_iontherm.physics.ions.bond_valence import (
    BondParameters,
    BondValenceProfile,
    bond_parameters,
    bond_valence_profile,
    bond_valence_sums,
    formal_charges,
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
from aiida_iontherm.physics.ions.hop_coincidence import (
    Coincidence,
    coincidence_quantity,
    event_activity,
    hop_coincidence,
    hop_places,
)
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
from aiida_iontherm.physics.ions.hops import Hops, Stays, find_hops, find_stays, join_stays
from aiida_iontherm.physics.ions.ion_scan import (
    QuarticWell,
    quartic_well,
    scan_quantities,
)
from aiida_iontherm.physics.ions.jump_sites import (
    JumpSites,
    equivalent_labels,
    polyhedra,
    sites_from_crystal,
    sites_from_density,
)
from aiida_iontherm.physics.ions.meyer_neldel import ActivatedCompound, MeyerNeldelFit, meyer_neldel_fit
from aiida_iontherm.physics.ions.migration_paths import (
    Hop,
    distinct_hops,
    distinct_sites,
    end_points,
    first_path,
    hop_between,
    ion_at,
    moving_ion,
    path_of_frames,
)
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
from aiida_iontherm.physics.ions.phonon_enhancement import (
    Enhancement,
    EnhancementSeries,
    enhancement_quantities,
    enhancement_series,
    mean_diffusivity,
    phonon_enhancement,
)
from aiida_iontherm.physics.ions.polyanion_rotation import (
    GroupRotation,
    PolyanionRotation,
    RotationalTime,
    polyanion_rotation,
    rotation_quantities,
)
from aiida_iontherm.physics.ions.polyanions import Polyanion, find_polyanions
from aiida_iontherm.physics.ions.van_hove import VanHove, logarithmic_lags, van_hove

__all__ = [
    "FORMAL_CHARGES",
    "ActivatedCompound",
    "ArrheniusCurvature",
    "ArrheniusFit",
    "BarrierProfile",
    "BondParameters",
    "BondValenceProfile",
    "ChargeTransport",
    "Coincidence",
    "ConductionVerdict",
    "CriticalNumber",
    "DensityMap",
    "Diffusion",
    "Enhancement",
    "EnhancementSeries",
    "Extrapolation",
    "GroupRotation",
    "Hop",
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
    "Polyanion",
    "PolyanionRotation",
    "QuarticWell",
    "Residence",
    "RotationalTime",
    "Stays",
    "VanHove",
    "activation_energy_bound",
    "activation_energy_from_diffusivity",
    "analyse_hops",
    "arrhenius_curvature",
    "arrhenius_fit",
    "barrier_profile",
    "barrier_quantities",
    "bond_parameters",
    "bond_valence_profile",
    "bond_valence_sums",
    "bose_einstein",
    "charge_transport",
    "charge_transport_quantities",
    "classical_occupation",
    "coincidence_quantity",
    "conduction_verdict",
    "critical_number",
    "critical_phonon_number",
    "density_map",
    "diffusion",
    "diffusion_from_msd",
    "diffusion_quantities",
    "distinct_hops",
    "distinct_sites",
    "double_occupancy",
    "end_points",
    "enhancement_quantities",
    "enhancement_series",
    "equivalent_labels",
    "event_activity",
    "extrapolated",
    "find_hops",
    "find_polyanions",
    "find_stays",
    "first_path",
    "formal_charges",
    "hop_between",
    "hop_coincidence",
    "hop_correlation",
    "hop_places",
    "hop_quantities",
    "hop_rates",
    "ion_at",
    "join_stays",
    "jump_diffusivity",
    "logarithmic_lags",
    "mean_diffusivity",
    "mean_square_displacement",
    "meyer_neldel_fit",
    "mobile_fraction",
    "mobile_temperature",
    "mode_entropy",
    "moving_ion",
    "multi_excitation",
    "multi_excitation_entropy",
    "occupation_analysis",
    "occupation_of_modes",
    "occupation_probability",
    "participating_modes",
    "path_of_frames",
    "percolation_barriers",
    "percolation_quantities",
    "percolation_thresholds",
    "phonon_enhancement",
    "polyanion_rotation",
    "polyhedra",
    "probability_at_least",
    "quartic_well",
    "residence_times",
    "rotation_quantities",
    "scan_quantities",
    "sites_from_crystal",
    "sites_from_density",
    "van_hove",
]
