"""Heat transport: limits, heat capacity, temperature exponents."""

from aiida_iontherm.physics.heat.capacity import (
    debye_temperature,
    debye_velocity,
    debye_wavevector,
    heat_capacity,
    mean_sound_velocity,
    mode_heat_capacity,
)
from aiida_iontherm.physics.heat.exponent import TemperatureExponent, temperature_exponent
from aiida_iontherm.physics.heat.limits import (
    cahill_limit,
    cahill_limit_high_temperature,
    diffuson_conductivity,
    diffuson_limit,
)

__all__ = [
    "TemperatureExponent",
    "cahill_limit",
    "cahill_limit_high_temperature",
    "debye_temperature",
    "debye_velocity",
    "debye_wavevector",
    "diffuson_conductivity",
    "diffuson_limit",
    "heat_capacity",
    "mean_sound_velocity",
    "mode_heat_capacity",
    "temperature_exponent",
]
