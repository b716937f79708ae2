"""Moment tensor potentials, from the basis to a trained, graded potential.

The way through the room: `contractions` and `basis` say what the basis scalars are and how to compute them, `kernel`
evaluates them (compiled, ``native/``), `potential` is the door that other rooms use, `calculator` its ASE face.
`files` reads and writes, `training` fits, `selection` knows what a potential has seen.
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
