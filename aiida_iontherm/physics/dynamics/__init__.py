"""Molecular dynamics: neighbour lists, the driver, what it reduces on the fly and how it is watched."""

from aiida_iontherm.physics.dynamics.blocks import Break, UnstableRunError
from aiida_iontherm.physics.dynamics.compiled_loop import CompiledDynamics
from aiida_iontherm.physics.dynamics.driver import MolecularDynamics
from aiida_iontherm.physics.dynamics.neighbours import NeighbourList
from aiida_iontherm.physics.dynamics.settings import HeatExchangeSettings, MdSettings
from aiida_iontherm.physics.dynamics.watch import Candidate, ExtrapolationWatch, WatchSettings

__all__ = [
    "Break",
    "Candidate",
    "CompiledDynamics",
    "ExtrapolationWatch",
    "HeatExchangeSettings",
    "MdSettings",
    "MolecularDynamics",
    "NeighbourList",
    "UnstableRunError",
    "WatchSettings",
]
