"""Moment tensor potentials: basis, evaluation, training, files.

The polynomial tables, files and training are our own; energies and forces are computed by ``motep`` (MIT)
behind `MomentTensorPotential.evaluate`, the only door other rooms use.
"""

from aiida_iontherm.physics.mtp.potential import Evaluation, MomentTensorPotential
from aiida_iontherm.physics.mtp.training import Configuration, Errors, Training, TrainingState, evaluate_errors, train

__all__ = [
    "Configuration",
    "Errors",
    "Evaluation",
    "MomentTensorPotential",
    "Training",
    "TrainingState",
    "evaluate_errors",
    "train",
]
