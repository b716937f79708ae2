"""Embedded engines behind the three things a work chain asks of an engine: relax, sample, label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_iontherm.calculations.reference import ReferenceCalculation


class EmbeddedEngine:
    """An ASE calculator inside the task ``reference``.

    Parameters
    ----------
    section : mapping
        Section ``engine`` of the settings: ``name`` and ``options``.
    """

    process_class = ReferenceCalculation

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._engine = {"engine": section["name"], "engine_options": section["options"]}

    def relax(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a relaxation; `settings` is the section ``relax``."""
        return {**self._engine, "mode": "relax", "relax": dict(settings)}

    def sample(self, settings: Mapping[str, Any], supercell: Sequence[int]) -> dict[str, Any]:
        """Parameters of reference MD; `settings` as in the task's section ``sample``."""
        return {**self._engine, "mode": "sample", "sample": {**settings, "supercell": list(supercell)}}

    def label(self) -> dict[str, Any]:
        """Parameters of single points."""
        return {**self._engine, "mode": "label"}
