"""Phonons and the heat they carry: harmonic solution, scattering, two-channel conductivity, force constants at T."""

from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.force_constants import (
    EffectiveForceConstants,
    fit_force_constants,
    reference_displacements,
)
from aiida_iontherm.physics.lattice.linewidths import (
    average_degenerate,
    boundary_gamma,
    degenerate_sets,
    matthiessen,
)
from aiida_iontherm.physics.lattice.modes import (
    average_frequency,
    average_mobile_frequency,
    direction_projected_dos,
    participation_ratio,
    projected_dos,
)
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight, irreducible_mesh
from aiida_iontherm.physics.lattice.tensors import symmetrise_tensor
from aiida_iontherm.physics.lattice.three_phonon import ThreePhononScattering, three_phonon_gamma
from aiida_iontherm.physics.lattice.two_channel import (
    TwoChannel,
    left_out_fraction,
    mode_contributions,
    spectral,
    two_channel,
    two_channel_sum,
    velocity_products,
)

__all__ = [
    "EffectiveForceConstants",
    "ForceConstantBasis",
    "Phonons",
    "ThreePhononScattering",
    "TwoChannel",
    "average_degenerate",
    "average_frequency",
    "average_mobile_frequency",
    "boundary_gamma",
    "degenerate_sets",
    "direction_projected_dos",
    "fit_force_constants",
    "imaginary_weight",
    "irreducible_mesh",
    "left_out_fraction",
    "matthiessen",
    "mode_contributions",
    "participation_ratio",
    "phono3py_from_force_constants",
    "phonopy_from_phono3py",
    "projected_dos",
    "reference_displacements",
    "spectral",
    "symmetrise_tensor",
    "three_phonon_gamma",
    "two_channel",
    "two_channel_sum",
    "velocity_products",
]
