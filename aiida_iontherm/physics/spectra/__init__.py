"""Spectra from trajectories: vibrational density of states, lines of single modes."""

from aiida_iontherm.physics.spectra.line_shape import Line, expected_periodogram, fit_line, oscillator_spectrum
from aiida_iontherm.physics.spectra.mode_linewidths import LineKind, ModeLinewidths, mode_linewidths
from aiida_iontherm.physics.spectra.mode_projection import (
    ModeProjection,
    commensurate_qpoints,
    largest_mesh,
    periodic_convention,
)
from aiida_iontherm.physics.spectra.supercell_sites import SupercellSites, find_sites
from aiida_iontherm.physics.spectra.vdos import VibrationalDOS, frames_for_resolution, vibrational_dos

__all__ = [
    "Line",
    "LineKind",
    "ModeLinewidths",
    "ModeProjection",
    "SupercellSites",
    "VibrationalDOS",
    "commensurate_qpoints",
    "expected_periodogram",
    "find_sites",
    "fit_line",
    "frames_for_resolution",
    "largest_mesh",
    "mode_linewidths",
    "oscillator_spectrum",
    "periodic_convention",
    "vibrational_dos",
]
