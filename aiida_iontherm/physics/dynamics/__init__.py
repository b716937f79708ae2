"""Molecular dynamics: neighbour lists, the driver, what it reduces on the fly and how it is watched."""

from aiida_iontherm.physics.dynamics.driver import Break, MdSettings, MolecularDynamics, UnstableRunError
from aiida_iontherm.physics.dynamics.neighbours import NeighbourList
from aiida_iontherm.physics.dynamics.watch import Candidate, ExtrapolationWatch, WatchSettings

__all__ = [
    "Break",
    "Candidate",
    "ExtrapolationWatch",
    "MdSettings",
    "MolecularDynamics",
    "NeighbourList",
    "UnstableRunError",
    "WatchSettings",
]
