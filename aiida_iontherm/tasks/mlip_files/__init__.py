"""Input and output files of MLIP-2 and MLIP-3, programs that are run as they are.

Written from public descriptions alone, see `commands`; potentials and sets go through the readers and writers of
`physics.mtp.files`.
"""

from aiida_iontherm.tasks.mlip_files.commands import (
    CANDIDATES,
    EVALUATED,
    SELECTED,
    TRAINING_SET,
    current_name,
    efs_command,
    initial_name,
    select_command,
    set_to_evaluate,
    train_command,
    trained_name,
)
from aiida_iontherm.tasks.mlip_files.log import TrainingLog, error_line, ran_out, read_training_log
from aiida_iontherm.tasks.mlip_files.potentials import OtherPotential, for_mlip, read_trained, template
from aiida_iontherm.tasks.mlip_files.sets import (
    OtherSet,
    grade_of,
    places,
    read_written,
    refuse_weights,
    write_labelled,
    write_unlabelled,
)
from aiida_iontherm.tasks.mlip_settings import MlipOptions, MlipSettings, MlipTraining

__all__ = [
    "CANDIDATES",
    "EVALUATED",
    "SELECTED",
    "TRAINING_SET",
    "MlipOptions",
    "MlipSettings",
    "MlipTraining",
    "OtherPotential",
    "OtherSet",
    "TrainingLog",
    "current_name",
    "efs_command",
    "error_line",
    "for_mlip",
    "grade_of",
    "initial_name",
    "places",
    "ran_out",
    "read_trained",
    "read_training_log",
    "read_written",
    "refuse_weights",
    "select_command",
    "set_to_evaluate",
    "template",
    "train_command",
    "trained_name",
    "write_labelled",
    "write_unlabelled",
]
