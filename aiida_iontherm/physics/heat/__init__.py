"""Heat transport and thermodynamics: limits, sound, heat capacity, expansion, temperature exponents."""

from aiida_iontherm.physics.heat.acoustics import Acoustics, acoustics_of_stiffness, acoustics_of_velocities
from aiida_iontherm.physics.heat.boson_peak import EINSTEIN_RATIO, BosonPeak, boson_peak, capacity_over_cube
from aiida_iontherm.physics.heat.capacity import (
    debye_temperature,
    debye_velocity,
    debye_wavevector,
    heat_capacity,
    mean_sound_velocity,
    mode_heat_capacity,
)
from aiida_iontherm.physics.heat.cepstral import CepstralEstimate, cepstral
from aiida_iontherm.physics.heat.conductivity_records import (
    cepstral_quantities,
    green_kubo_quantities,
    onsager_quantities,
)
from aiida_iontherm.physics.heat.debye_einstein import (
    DebyeEinsteinChoice,
    DebyeEinsteinFit,
    choose_debye_einstein,
    debye_einstein_fit,
    debye_heat_capacity,
)
from aiida_iontherm.physics.heat.elastic import (
    PolycrystalModuli,
    born_stable,
    christoffel_velocities,
    debye_mean_velocity,
    kelvin_moduli,
    polycrystal_moduli,
)
from aiida_iontherm.physics.heat.exponent import TemperatureExponent, temperature_exponent
from aiida_iontherm.physics.heat.flux_series import FluxSeries, check_equal_spacing, flux_series, resampled
from aiida_iontherm.physics.heat.green_kubo import GreenKubo, green_kubo
from aiida_iontherm.physics.heat.length_extrapolation import (
    LengthExtrapolation,
    extrapolate_length,
    extrapolation_quantities,
)
from aiida_iontherm.physics.heat.limits import (
    cahill_limit,
    cahill_limit_high_temperature,
    diffuson_conductivity,
    diffuson_limit,
)
from aiida_iontherm.physics.heat.nemd import Nemd, nemd, nemd_quantity
from aiida_iontherm.physics.heat.onsager import OnsagerKappa, onsager_kappa
from aiida_iontherm.physics.heat.quasiharmonic import (
    QuasiHarmonic,
    dilation_heat_capacity,
    grueneisen_from_expansion,
    quasiharmonic,
)
from aiida_iontherm.physics.heat.sound import (
    IsotropicModuli,
    grueneisen_number,
    isotropic_moduli,
    isotropic_velocities,
    poisson_number,
)

__all__ = [
    "EINSTEIN_RATIO",
    "Acoustics",
    "BosonPeak",
    "CepstralEstimate",
    "DebyeEinsteinChoice",
    "DebyeEinsteinFit",
    "FluxSeries",
    "GreenKubo",
    "IsotropicModuli",
    "LengthExtrapolation",
    "Nemd",
    "OnsagerKappa",
    "PolycrystalModuli",
    "QuasiHarmonic",
    "TemperatureExponent",
    "acoustics_of_stiffness",
    "acoustics_of_velocities",
    "born_stable",
    "boson_peak",
    "cahill_limit",
    "cahill_limit_high_temperature",
    "capacity_over_cube",
    "cepstral",
    "cepstral_quantities",
    "check_equal_spacing",
    "choose_debye_einstein",
    "christoffel_velocities",
    "debye_einstein_fit",
    "debye_heat_capacity",
    "debye_mean_velocity",
    "debye_temperature",
    "debye_velocity",
    "debye_wavevector",
    "diffuson_conductivity",
    "diffuson_limit",
    "dilation_heat_capacity",
    "extrapolate_length",
    "extrapolation_quantities",
    "flux_series",
    "green_kubo",
    "green_kubo_quantities",
    "grueneisen_from_expansion",
    "grueneisen_number",
    "heat_capacity",
    "isotropic_moduli",
    "isotropic_velocities",
    "kelvin_moduli",
    "mean_sound_velocity",
    "mode_heat_capacity",
    "nemd",
    "nemd_quantity",
    "onsager_kappa",
    "onsager_quantities",
    "poisson_number",
    "polycrystal_moduli",
    "quasiharmonic",
    "resampled",
    "temperature_exponent",
]
