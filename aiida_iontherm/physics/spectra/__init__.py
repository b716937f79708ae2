"""Spectra: vibrational density of states, lines of single modes, what neutrons and X-rays see of a crystal."""

from aiida_iontherm.physics.spectra.dho_fit import BroadenedLines, DampedLine, Damping, DhoFit, dho_line, fit_dho
from aiida_iontherm.physics.spectra.line_shape import Line, expected_periodogram, fit_line, oscillator_spectrum
from aiida_iontherm.physics.spectra.low_frequency import (
    LowFrequency,
    ZeroFrequencyDiffusion,
    diffusion_from_zero,
    finest_resolution,
    kinetic_temperature,
    low_frequency_dos,
)
from aiida_iontherm.physics.spectra.low_frequency_records import low_frequency_quantities, zero_frequency_quantity
from aiida_iontherm.physics.spectra.mode_linewidths import LineKind, ModeLinewidths, mode_linewidths
from aiida_iontherm.physics.spectra.mode_projection import (
    ModeProjection,
    commensurate_qpoints,
    largest_mesh,
    periodic_convention,
)
from aiida_iontherm.physics.spectra.one_phonon import (
    OnePhonon,
    mean_square_displacements,
    one_phonon,
    powder_spectrum,
)
from aiida_iontherm.physics.spectra.probes import ScatteringWeights, scattering_weights
from aiida_iontherm.physics.spectra.q_paths import QPath, commensurate_path, even_path, read_corners
from aiida_iontherm.physics.spectra.resolution import Resolution, convolve
from aiida_iontherm.physics.spectra.structure_factor import (
    Densities,
    Spectrum,
    StructureFactor,
    quantum,
    self_correlation,
    structure_factor,
)
from aiida_iontherm.physics.spectra.supercell_sites import SupercellSites, find_sites
from aiida_iontherm.physics.spectra.vdos import VibrationalDOS, frames_for_resolution, vibrational_dos

__all__ = [
    "BroadenedLines",
    "DampedLine",
    "Damping",
    "Densities",
    "DhoFit",
    "Line",
    "LineKind",
    "LowFrequency",
    "ModeLinewidths",
    "ModeProjection",
    "OnePhonon",
    "QPath",
    "Resolution",
    "ScatteringWeights",
    "Spectrum",
    "StructureFactor",
    "SupercellSites",
    "VibrationalDOS",
    "ZeroFrequencyDiffusion",
    "commensurate_path",
    "commensurate_qpoints",
    "convolve",
    "dho_line",
    "diffusion_from_zero",
    "even_path",
    "expected_periodogram",
    "find_sites",
    "finest_resolution",
    "fit_dho",
    "fit_line",
    "frames_for_resolution",
    "kinetic_temperature",
    "largest_mesh",
    "low_frequency_dos",
    "low_frequency_quantities",
    "mean_square_displacements",
    "mode_linewidths",
    "one_phonon",
    "oscillator_spectrum",
    "periodic_convention",
    "powder_spectrum",
    "quantum",
    "read_corners",
    "scattering_weights",
    "self_correlation",
    "structure_factor",
    "vibrational_dos",
    "zero_frequency_quantity",
]
