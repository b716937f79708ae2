"""Spectra from trajectories: vibrational density of states."""

from aiida_iontherm.physics.spectra.vdos import VibrationalDOS, vibrational_dos

__all__ = ["VibrationalDOS", "vibrational_dos"]
