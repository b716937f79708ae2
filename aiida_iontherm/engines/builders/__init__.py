"""The AiiDA face of the engines: which process computes references, and how settings become its parameters."""

from aiida_iontherm.engines.builders.embedded import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
