"""Input and output files of ShengBTE and FourPhonon, programs that are run as they are (both GPL).

Written from, and read by, the README of ShengBTE and the manual of FourPhonon.
"""

from aiida_iontherm.tasks.shengbte_files.control import Control, control_text, read_control
from aiida_iontherm.tasks.shengbte_files.inputs import Crystal, crystal_of, harmonic_part, misfit, write_inputs
from aiida_iontherm.tasks.shengbte_files.messages import cause
from aiida_iontherm.tasks.shengbte_files.results import (
    Conductivity,
    MissingFile,
    NoFourPhonons,
    Rates,
    folder_name,
    read_conductivity,
    read_frequencies,
    read_heat_capacity,
    read_qpoints,
    read_rates,
    read_table,
)
from aiida_iontherm.tasks.shengbte_files.settings import ShengBteSettings
from aiida_iontherm.tasks.shengbte_files.table import OtherCrystal, linewidth_arrays

__all__ = [
    "Conductivity",
    "Control",
    "Crystal",
    "MissingFile",
    "NoFourPhonons",
    "OtherCrystal",
    "Rates",
    "ShengBteSettings",
    "cause",
    "control_text",
    "crystal_of",
    "folder_name",
    "harmonic_part",
    "linewidth_arrays",
    "misfit",
    "read_conductivity",
    "read_control",
    "read_frequencies",
    "read_heat_capacity",
    "read_qpoints",
    "read_rates",
    "read_table",
    "write_inputs",
]
