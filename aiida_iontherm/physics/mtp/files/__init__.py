"""Files of moment tensor potentials and of the sets they are trained on.

Potentials (``.mtp`` of MLIP-2, MLIP-3 and motep) are read and written by our own code, as are ``.cfg`` sets; extended
XYZ and the other formats of sets are left to ASE.
"""

from aiida_iontherm.physics.mtp.files.cfg_file import iterate_cfg, read_cfg, write_cfg
from aiida_iontherm.physics.mtp.files.configurations import read_configurations, write_configurations
from aiida_iontherm.physics.mtp.files.mtp_file import MtpFile, read_mtp_file, species_tag, write_mtp_file

__all__ = [
    "MtpFile",
    "iterate_cfg",
    "read_cfg",
    "read_configurations",
    "read_mtp_file",
    "species_tag",
    "write_cfg",
    "write_configurations",
    "write_mtp_file",
]
