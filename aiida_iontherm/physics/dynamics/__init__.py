"""Molecular dynamics: neighbour lists, the driver and what it reduces on the fly."""

from aiida_iontherm.physics.dynamics.driver import MdSettings, MolecularDynamics, UnstableRunError
from aiida_iontherm.physics.dynamics.neighbours import NeighbourList

__all__ = ["MdSettings", "MolecularDynamics", "NeighbourList", "UnstableRunError"]
