"""Phonons and the heat they carry: harmonic solution, scattering, two-channel conductivity, force constants at T."""

from aiida_iontherm.physics.lattice.conductivity_fit import (
    ConductivityFit,
    fit_conductivity,
    starting_values,
    two_channel_total,
)
from aiida_iontherm.physics.lattice.conversion import phono3py_from_force_constants, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices
from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.force_constants import (
    EffectiveForceConstants,
    fit_force_constants,
    reference_displacements,
)
from aiida_iontherm.physics.lattice.isotopes import isotope_gamma, mass_variance, natural_mass_variance
from aiida_iontherm.physics.lattice.linewidth_tables import (
    SmoothLinewidths,
    check_linewidths,
    linewidths_by_frequency,
    linewidths_on_mesh,
    match_qpoints,
    reciprocal_operations,
    to_gamma_thz,
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
from aiida_iontherm.physics.lattice.pair_sum import PairSum
from aiida_iontherm.physics.lattice.phonons import Phonons, imaginary_weight, irreducible_mesh
from aiida_iontherm.physics.lattice.scattering_models import (
    ConstantScattering,
    GivenLinewidths,
    PointDefectScattering,
    ProportionalScattering,
    ScatteringModel,
    SumOfScattering,
    UmklappScattering,
    klemens_scattering,
    slack_scattering,
    umklapp_and_proportional,
)
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
    "ConductivityFit",
    "ConstantScattering",
    "DynamicalMatrices",
    "EffectiveForceConstants",
    "ForceConstantBasis",
    "GivenLinewidths",
    "PairSum",
    "Phonons",
    "PointDefectScattering",
    "ProportionalScattering",
    "ScatteringModel",
    "SmoothLinewidths",
    "SumOfScattering",
    "ThreePhononScattering",
    "TwoChannel",
    "UmklappScattering",
    "average_degenerate",
    "average_frequency",
    "average_mobile_frequency",
    "boundary_gamma",
    "check_linewidths",
    "degenerate_sets",
    "direction_projected_dos",
    "fit_conductivity",
    "fit_force_constants",
    "imaginary_weight",
    "irreducible_mesh",
    "isotope_gamma",
    "klemens_scattering",
    "left_out_fraction",
    "linewidths_by_frequency",
    "linewidths_on_mesh",
    "mass_variance",
    "match_qpoints",
    "matthiessen",
    "mode_contributions",
    "natural_mass_variance",
    "participation_ratio",
    "phono3py_from_force_constants",
    "phonopy_from_phono3py",
    "projected_dos",
    "reciprocal_operations",
    "reference_displacements",
    "slack_scattering",
    "spectral",
    "starting_values",
    "symmetrise_tensor",
    "three_phonon_gamma",
    "to_gamma_thz",
    "two_channel",
    "two_channel_sum",
    "two_channel_total",
    "umklapp_and_proportional",
    "velocity_products",
]
