"""Training of moment tensor potentials.

For given radial functions the energy is linear in all other coefficients, so these are solved for by least squares,
and a search by Levenberg and Marquardt's method is made for the radial coefficients alone. The way through the package:
`fit.train` reads and checks the data (`configuration`, `checks`, `ranges`, `split`), sets up the `loss` as a function
of the radial coefficients (`projection`, on `least_squares` and `gauge`) and searches (`search`, `marquardt`, `state`);
`errors` and `curve` tell how good the outcome is, `assess` how good that of another program is.
"""

from aiida_iontherm.physics.mtp.training.assess import Parts, assess, part_configurations
from aiida_iontherm.physics.mtp.training.configuration import Configuration
from aiida_iontherm.physics.mtp.training.curve import LearningPoint, learning_curve
from aiida_iontherm.physics.mtp.training.errors import Errors, evaluate_errors
from aiida_iontherm.physics.mtp.training.fit import Training, train
from aiida_iontherm.physics.mtp.training.loss import PAPER_WEIGHTS
from aiida_iontherm.physics.mtp.training.state import TrainingState

__all__ = [
    "PAPER_WEIGHTS",
    "Configuration",
    "Errors",
    "LearningPoint",
    "Parts",
    "Training",
    "TrainingState",
    "assess",
    "evaluate_errors",
    "learning_curve",
    "part_configurations",
    "train",
]
