"""Phonons and the heat they carry: harmonic solution, scattering, two-channel conductivity, force constants at T."""

from aiida_iontherm.physics.lattice.carriers import (
    allen_feldman,
    average_diffuson_frequency,
    by_species,
    cumulative,
    mean_free_paths_nm,
)
from aiida_iontherm.physics.lattice.conductivity_fit import (
    ConductivityFit,
    fit_conductivity,
    starting_values,
    two_channel_total,
)
from aiida_iontherm.physics.lattice.conversion import (
    phono3py_from_force_constants,
    phonopy_from_phono3py,
)
from aiida_iontherm.physics.lattice.crossings import (
    AvoidedCrossing,
    acoustic_optical_crossings,
    acoustic_share,
    avoided_crossings,
)
from aiida_iontherm.physics.lattice.displacement_fit import (
    EinsteinFit,
    fit_einstein,
    slope_frequency,
)
from aiida_iontherm.physics.lattice.displacements import (
    Displacements,
    displacements,
    ellipsoids,
    mode_amplitudes,
    to_cif,
)
from aiida_iontherm.physics.lattice.dynamical_matrix import (
    DynamicalMatrices,
)
from aiida_iontherm.physics.lattice.fc_basis import (
    ClusterTensors,
    ForceConstantBasis,
)
from aiida_iontherm.physics.lattice.fc_modes import (
    SupercellModes,
    commensurate_frequencies,
)
from aiida_iontherm.physics.lattice.force_constant_convergence import (
    ForceConstantConvergence,
    convergence_with_cutoffs,
    convergence_with_snapshots,
)
from aiida_iontherm.physics.lattice.force_constants import (
    EffectiveForceConstants,
    FitQuality,
    PartialFits,
    fit_force_constants,
    fit_in_basis,
    reference_displacements,
)
from aiida_iontherm.physics.lattice.grueneisen import (
    grueneisen_from_third_order,
    grueneisen_from_volumes,
    macroscopic_grueneisen,
    spectral_grueneisen,
    volume_derivative,
)
from aiida_iontherm.physics.lattice.harmonic_summary import (
    HarmonicSummary,
    harmonic_summary,
)
from aiida_iontherm.physics.lattice.isotopes import (
    isotope_gamma,
    mass_variance,
    natural_mass_variance,
)
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
from aiida_iontherm.physics.lattice.long_waves import (
    SoundVelocities,
    acoustic_velocities,
    sound_velocities,
)
from aiida_iontherm.physics.lattice.mode_patterns import (
    alignment_distribution,
    share_distribution,
)
from aiida_iontherm.physics.lattice.modes import (
    atom_shares,
    average_atom_frequency,
    average_frequency,
    average_mobile_frequency,
    direction_projected_dos,
    mode_shares,
    participation_ratio,
    projected_dos,
    site_projected_dos,
)
from aiida_iontherm.physics.lattice.pair_sum import (
    PairSum,
)
from aiida_iontherm.physics.lattice.phonons import (
    Phonons,
    imaginary_weight,
    irreducible_mesh,
)
from aiida_iontherm.physics.lattice.regimes import (
    RegimeShares,
    classify,
    ioffe_regel_ps,
    lifetimes_ps,
    regime_shares,
    wigner_limit_ps,
)
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
from aiida_iontherm.physics.lattice.self_consistent_phonons import (
    NotSelfConsistentError,
    SelfConsistentPhonons,
    self_consistent_phonons,
)
from aiida_iontherm.physics.lattice.sites import (
    Site,
    SpaceGroup,
    equivalent_sites,
)
from aiida_iontherm.physics.lattice.tensors import (
    symmetrise_tensor,
)
from aiida_iontherm.physics.lattice.three_phonon import (
    ThreePhononScattering,
    three_phonon_gamma,
)
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
    "AvoidedCrossing",
    "ClusterTensors",
    "ConductivityFit",
    "ConstantScattering",
    "Displacements",
    "DynamicalMatrices",
    "EffectiveForceConstants",
    "EinsteinFit",
    "FitQuality",
    "ForceConstantBasis",
    "ForceConstantConvergence",
    "GivenLinewidths",
    "HarmonicSummary",
    "NotSelfConsistentError",
    "PairSum",
    "PartialFits",
    "Phonons",
    "PointDefectScattering",
    "ProportionalScattering",
    "RegimeShares",
    "ScatteringModel",
    "SelfConsistentPhonons",
    "Site",
    "SmoothLinewidths",
    "SoundVelocities",
    "SpaceGroup",
    "SumOfScattering",
    "SupercellModes",
    "ThreePhononScattering",
    "TwoChannel",
    "UmklappScattering",
    "acoustic_optical_crossings",
    "acoustic_share",
    "acoustic_velocities",
    "alignment_distribution",
    "allen_feldman",
    "atom_shares",
    "average_atom_frequency",
    "average_degenerate",
    "average_diffuson_frequency",
    "average_frequency",
    "average_mobile_frequency",
    "avoided_crossings",
    "boundary_gamma",
    "by_species",
    "check_linewidths",
    "classify",
    "commensurate_frequencies",
    "convergence_with_cutoffs",
    "convergence_with_snapshots",
    "cumulative",
    "degenerate_sets",
    "direction_projected_dos",
    "displacements",
    "ellipsoids",
    "equivalent_sites",
    "fit_conductivity",
    "fit_einstein",
    "fit_force_constants",
    "fit_in_basis",
    "grueneisen_from_third_order",
    "grueneisen_from_volumes",
    "harmonic_summary",
    "imaginary_weight",
    "ioffe_regel_ps",
    "irreducible_mesh",
    "isotope_gamma",
    "klemens_scattering",
    "left_out_fraction",
    "lifetimes_ps",
    "linewidths_by_frequency",
    "linewidths_on_mesh",
    "macroscopic_grueneisen",
    "mass_variance",
    "match_qpoints",
    "matthiessen",
    "mean_free_paths_nm",
    "mode_amplitudes",
    "mode_contributions",
    "mode_shares",
    "natural_mass_variance",
    "participation_ratio",
    "phono3py_from_force_constants",
    "phonopy_from_phono3py",
    "projected_dos",
    "reciprocal_operations",
    "reference_displacements",
    "regime_shares",
    "self_consistent_phonons",
    "share_distribution",
    "site_projected_dos",
    "slack_scattering",
    "slope_frequency",
    "sound_velocities",
    "spectral",
    "spectral_grueneisen",
    "starting_values",
    "symmetrise_tensor",
    "three_phonon_gamma",
    "to_cif",
    "to_gamma_thz",
    "two_channel",
    "two_channel_sum",
    "two_channel_total",
    "umklapp_and_proportional",
    "velocity_products",
    "volume_derivative",
    "wigner_limit_ps",
]
