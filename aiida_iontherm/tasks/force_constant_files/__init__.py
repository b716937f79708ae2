"""Files of force constants of other programs, read into one form and written from it.

`read_force_constants` and `write_force_constants` go by the format of the file: phonopy, phono3py, ShengBTE, Quantum
ESPRESSO, FourPhonon, TDEP and hiphive.
"""

from aiida_iontherm.tasks.force_constant_files.checks import (
    check_force_constants,
    index_asymmetry,
    sum_rule_violation,
)
from aiida_iontherm.tasks.force_constant_files.clusters import Clusters, fold, largest_difference, unfold
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import (
    from_hiphive,
    from_phono3py,
    from_phonopy,
    to_hiphive,
    to_phono3py,
    to_phonopy,
)
from aiida_iontherm.tasks.force_constant_files.phonopy_files import read_born
from aiida_iontherm.tasks.force_constant_files.read_write import (
    READ_FORMATS,
    WRITE_FORMATS,
    read_force_constants,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.repetition import Repetition, phonopy_supercell, roomy_supercell
from aiida_iontherm.tasks.force_constant_files.units import UNITS

__all__ = [
    "READ_FORMATS",
    "UNITS",
    "WRITE_FORMATS",
    "Clusters",
    "ForceConstants",
    "Repetition",
    "check_force_constants",
    "fold",
    "from_hiphive",
    "from_phono3py",
    "from_phonopy",
    "index_asymmetry",
    "largest_difference",
    "phonopy_supercell",
    "read_born",
    "read_force_constants",
    "roomy_supercell",
    "sum_rule_violation",
    "to_hiphive",
    "to_phono3py",
    "to_phonopy",
    "unfold",
    "write_force_constants",
]
