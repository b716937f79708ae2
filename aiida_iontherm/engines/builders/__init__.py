"""The AiiDA face of the engines: which processes compute references, and how settings become their inputs."""

from aiida_iontherm.engines.builders.interface import (
    Engine,
    Job,
    Labelled,
    Relaxed,
    available_codes,
    engine_class,
    make_engine,
)
from aiida_iontherm.engines.embedded import EngineError

__all__ = [
    "Engine",
    "EngineError",
    "Job",
    "Labelled",
    "Relaxed",
    "available_codes",
    "engine_class",
    "make_engine",
]
