"""Spectra from trajectories: vibrational density of states."""

from aiida_iontherm.physics.spectra.vdos import VibrationalDOS, frames_for_resolution, vibrational_dos

__all__ = ["VibrationalDOS", "frames_for_resolution", "vibrational_dos"]
