"""What of the tasks ``md`` and ``nemd`` LAMMPS is not asked here, said before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_iontherm.tasks.lammps_files.section import LammpsSection


def not_by_lammps(settings: Mapping[str, Any], section: LammpsSection) -> str | None:
    """Say which of the settings of a run LAMMPS does not do, and what to do instead.

    Parameters
    ----------
    settings : mapping
        Keys of the input of the task `md`; those that are left out have their defaults.
    section : LammpsSection
    """
    if settings.get("engine") is not None:
        return "engine: LAMMPS moves atoms with a potential, not with an engine; leave it out or take program = native"
    if settings.get("compiled") is not None:
        return "compiled: the compiled loop is that of program = native; leave it out"
    if (settings.get("replicas") or 1) > 1:
        return "replicas: LAMMPS makes one run at a time; give each its own run"
    if settings.get("grade_interval"):
        return "grade_interval: frames are graded with program = native; take it, or set grade_interval to 0"
    if settings.get("framework") == "rigid-polyanions":
        return "framework: rigid polyanions are moved with program = native, not by LAMMPS"
    if settings.get("current_interval_fs"):
        return _no_heat_current("current_interval_fs", section)
    return None


def exchange_not_by_lammps(_settings: Mapping[str, Any], section: LammpsSection) -> str | None:
    """Say the same for the task ``nemd``, whose result is checked by the heat current between the reservoirs."""
    return _no_heat_current("lammps.pair", section)


def _no_heat_current(key: str, section: LammpsSection) -> str | None:
    if section.gives_heat_current:
        return None
    return (
        f"{key}: the pair style of {section.pair} tells LAMMPS no centroid virials, and without them terms of the heat "
        "current are missing; take lammps.pair = iontherm, which reads the same potential"
    )
