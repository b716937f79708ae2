"""What a reference engine costs: seconds of one configuration and jobs of a set, known before anything runs.

Times of the ASE calculators were measured on one core of a quiet machine. Those of density functionals follow GPAW on
copper halides and are a guess for other programs, whose jobs are taken to run on one core as well.
"""

from __future__ import annotations

import math

import numpy as np

from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.workchains.settings import EngineSection

SECONDS_PER_ATOM = {"chgnet": 4e-3, "mace": 5e-3, "tblite": 3e-2, "emt": 1e-4, "lj": 2e-4}
"""Energy, forces and stress of one configuration, per atom."""

START_SECONDS = {"chgnet": 6.0, "mace": 6.0, "gpaw": 3.0}
"""Until an engine is ready, per job. CHGNet was measured; MACE is taken to be alike, as both load PyTorch."""

DFT = ("gpaw", "espresso", "vasp")

DFT_SECONDS = 1.35e-2
"""Self-consistency with forces and stress, per k point and atom to the power below, at 325 eV."""

DFT_EXPONENT = 2.5
"""From 2 and 12 atoms. Larger cells tend to 3."""

PROGRAM_JOB_SECONDS = 12.0
"""What a job of a program takes beside the program: AiiDA's work and the plugin's reading of its files."""


def evaluation_seconds(engine: EngineSection, cell: np.ndarray, atoms: int, dft: DftSettings | None = None) -> float:
    """Return the time of one configuration.

    Parameters
    ----------
    engine : EngineSection
    cell : ndarray [3, 3]
        Angstrom.
    atoms : int
    dft : DftSettings
        Instead of the section's own, for a relaxation.
    """
    if engine.name not in DFT:
        return SECONDS_PER_ATOM.get(engine.name, 1e-2) * atoms
    settings = engine.dft if dft is None else dft
    # k and -k are the same.
    points = math.ceil(math.prod(settings.mesh(cell)) / 2)
    return DFT_SECONDS * points * atoms**DFT_EXPONENT * ((settings.cutoff_ev or 500.0) / 325.0) ** 1.5


def is_program(engine: EngineSection) -> bool:
    """Whether an engine runs one structure a job, as a code of its own."""
    return engine.code is not None


def start_seconds(engine: EngineSection) -> float:
    """Return the time until an engine is ready, in each job."""
    return PROGRAM_JOB_SECONDS if is_program(engine) else START_SECONDS.get(engine.name, 0.0)
