"""What a run makes of its frames as they come, so that they need not be kept."""

from aiida_iontherm.physics.dynamics.reducers.density import DensityReducer
from aiida_iontherm.physics.dynamics.reducers.displacements import DisplacementReducer
from aiida_iontherm.physics.dynamics.reducers.reducer import Reducer
from aiida_iontherm.physics.dynamics.reducers.relative import RelativeTo
from aiida_iontherm.physics.dynamics.reducers.velocities import VelocityReducer

__all__ = ["DensityReducer", "DisplacementReducer", "Reducer", "RelativeTo", "VelocityReducer"]
