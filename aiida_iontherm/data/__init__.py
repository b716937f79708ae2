"""AiiDA node types: what a step of the work leaves behind, stored as the plain file the task wrote."""

from aiida_iontherm.data.archive import (
    ArchiveData,
    CurrentsData,
    ForceConstantsData,
    LinewidthsData,
    ParityData,
    PhononsData,
    TrajectoryData,
)
from aiida_iontherm.data.configurations import ConfigurationsData
from aiida_iontherm.data.potential import PotentialData
from aiida_iontherm.data.result import ResultData

__all__ = [
    "ArchiveData",
    "ConfigurationsData",
    "CurrentsData",
    "ForceConstantsData",
    "LinewidthsData",
    "ParityData",
    "PhononsData",
    "PotentialData",
    "ResultData",
    "TrajectoryData",
]
