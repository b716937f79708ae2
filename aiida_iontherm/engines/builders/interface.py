"""What the work chains ask of an engine: jobs to run, and the frames that came of them.

An engine is one class in one module, registered as an entry point of the group ``iontherm.engines``. It turns sections
of a protocol into processes of AiiDA, and their outputs into labelled configurations; when and how often processes run
is the chains' business. Whatever the code, a chain ends with the same nodes: a cell, labelled configurations, figures.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, ClassVar

from aiida.orm import Dict, ProcessNode, StructureData

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.engines.embedded import EngineError, available_engines

GROUP = "iontherm.engines"
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Job:
    """A process to run.

    Attributes
    ----------
    process : str
        Entry point of a work chain (group ``aiida.workflows``).
    inputs : dict
    """

    process: str
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Relaxed:
    """What comes of a relaxation: the cell, the same with its labels, and figures."""

    structure: StructureData
    configurations: ConfigurationsData
    output_parameters: Dict


@dataclass(frozen=True)
class Labelled:
    """What comes of a reference set: labelled configurations and figures.

    ``output_parameters`` holds ``frames``, and ``missing``: the positions of those asked for that have no label.
    """

    configurations: ConfigurationsData
    output_parameters: Dict


class Engine(ABC):
    """Who supplies reference energies, forces and stresses.

    Parameters
    ----------
    section : mapping
        Section ``engine`` of the settings.
    common : mapping
        Inputs of the chain that asks: ``code`` of the tasks and, if given, ``options`` of all jobs.
    """

    NAME: ClassVar[str]

    PACKAGE: ClassVar[str]
    """What to install for it."""

    PLUGIN: ClassVar[str]
    """Entry point of the program's CalcJob, which its code must name."""

    def __init__(self, section: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        self.section = dict(section)
        self.common = dict(common)

    @classmethod
    @abstractmethod
    def check(cls, section: Mapping[str, Any], symbols: Iterable[str]) -> None:
        """Raise `EngineError` for what can be known to go wrong before anything runs; needs a loaded profile."""

    @abstractmethod
    def relax(self, structure: StructureData, settings: Mapping[str, Any]) -> Job:
        """Return the relaxation of a cell; `settings` is the section ``relax``."""

    @abstractmethod
    def relaxed(self, structure: StructureData, node: ProcessNode) -> Relaxed:
        """Return what came of a relaxation that finished well."""

    @abstractmethod
    def sample(self, structure: StructureData, settings: Mapping[str, Any], supercell: Sequence[int]) -> dict[str, Job]:
        """Return short MD runs and rattled cells of a supercell; `settings` as the task ``reference`` takes them."""

    @abstractmethod
    def label(self, configurations: ConfigurationsData) -> dict[str, Job]:
        """Return single points of given configurations."""

    @abstractmethod
    def collect(
        self,
        nodes: Mapping[str, ProcessNode],
        *,
        configurations: ConfigurationsData | None = None,
        sample: Mapping[str, Any] | None = None,
    ) -> Labelled:
        """Join what came of the jobs of `label`, whose `configurations` are given, or of `sample`, whose settings are.

        Raises
        ------
        EngineError
            If nothing usable came of them.
        """

    @property
    def jobs_at_once(self) -> int:
        """How many jobs of this engine may be in the queue."""
        return int(self.section.get("jobs_at_once") or 10)


def available_codes() -> list[str]:
    """Names of the engines that are programs of their own."""
    return sorted(point.name for point in entry_points(group=GROUP) if point.name != EMBEDDED)


def engine_class(name: str) -> type[Engine]:
    """Return the engine of a name: that of a code, or the embedded one for an ASE calculator.

    Raises
    ------
    EngineError
        If there is none; the nearest name is told.
    """
    codes = {point.name: point for point in entry_points(group=GROUP)}
    calculators = available_engines()
    if name in calculators:
        return codes[EMBEDDED].load()
    if name in codes and name != EMBEDDED:
        return codes[name].load()
    known = sorted({*calculators, *codes} - {EMBEDDED})
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    raise EngineError(f"there is no engine {name}: {hint}")


def make_engine(section: Mapping[str, Any], common: Mapping[str, Any]) -> Engine:
    """Return the engine that a section names."""
    return engine_class(section["name"])(section, common)
