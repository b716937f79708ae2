"""The figures of the report: one module each, drawn from the records of `report.model`.

Every drawing function returns the figure and the columns of its CSV file; the describing function beside it
returns the title, the caption and the text that stands in for the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from aiida_iontherm.report.figures.barriers import (
    barrier_profiles,
    describe_barrier_profiles,
    describe_ion_wells,
    ion_wells,
)
from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.figures.channels import describe_kappa_by_channel, kappa_by_channel
from aiida_iontherm.report.figures.convergence import convergence, describe_convergence
from aiida_iontherm.report.figures.density_of_states import describe_dos_by_species, dos_by_species
from aiida_iontherm.report.figures.displacement import describe_msd, msd
from aiida_iontherm.report.figures.hops import (
    describe_hops_free_energy,
    describe_hops_van_hove,
    hops_free_energy,
    hops_van_hove,
)
from aiida_iontherm.report.figures.nemd import describe_nemd, nemd_profiles
from aiida_iontherm.report.figures.potential import describe_parity, parity
from aiida_iontherm.report.figures.quanta import describe_occupation, occupation
from aiida_iontherm.report.figures.regimes import describe_lifetimes, lifetimes
from aiida_iontherm.report.figures.running_integral import describe_running_integral, running_integral
from aiida_iontherm.report.figures.spectrum import describe_spectral_kappa, spectral_kappa
from aiida_iontherm.report.figures.tree import describe_provenance, provenance
from aiida_iontherm.report.figures.vibrations import describe_vdos, vdos
from aiida_iontherm.report.style import Columns


@dataclass(frozen=True)
class FigureKind:
    """A figure: file name, field of `ReportInput` it draws, how it is drawn and described, why it may be missing.

    Where it is missing, that is said in reports about what is named in `about`, see `ReportInput`.
    """

    name: str
    field: str
    draw: Callable[[Any], tuple[Figure, Columns]]
    describe: Callable[[Any], Caption]
    absent: str
    about: tuple[str, ...] = ("material",)


FIGURES = (
    FigureKind(
        "running_integral",
        "green_kubo",
        running_integral,
        describe_running_integral,
        "No running integral: there is no heat current of equilibrium dynamics.",
        ("green_kubo",),
    ),
    FigureKind(
        "nemd",
        "nemd",
        nemd_profiles,
        describe_nemd,
        "No profile of the temperature: no run with heat exchange can be used.",
        ("nemd",),
    ),
    FigureKind(
        "barriers",
        "barriers",
        barrier_profiles,
        describe_barrier_profiles,
        "No energy along a path: only lines through a site were scanned, or no path was finished.",
        ("barrier",),
    ),
    FigureKind(
        "wells",
        "wells",
        ion_wells,
        describe_ion_wells,
        "No wells of ions: paths were looked for, not lines through a site.",
        ("barrier",),
    ),
    FigureKind(
        "kappa_by_channel",
        "kappa",
        kappa_by_channel,
        describe_kappa_by_channel,
        "No conductivity by channel: this run gave no two-channel lattice calculation.",
    ),
    FigureKind(
        "spectral_kappa",
        "spectral",
        spectral_kappa,
        describe_spectral_kappa,
        "No spectral conductivity: this run gave no conductivity resolved by frequency.",
    ),
    FigureKind(
        "lifetimes",
        "lifetimes",
        lifetimes,
        describe_lifetimes,
        "No phonon lifetimes: this run calculated no scattering rates.",
    ),
    FigureKind(
        "convergence",
        "convergence",
        convergence,
        describe_convergence,
        "No convergence of the force constants: they were not compared with fits to fewer snapshots (setting "
        "force_constants.convergence).",
    ),
    FigureKind(
        "dos_by_species",
        "dos",
        dos_by_species,
        describe_dos_by_species,
        "No density of states: this run gave neither force constants nor velocity spectra.",
    ),
    FigureKind(
        "msd",
        "msd",
        msd,
        describe_msd,
        "No mean-square displacement: this run followed no mobile ions with molecular dynamics.",
    ),
    FigureKind(
        "vdos",
        "vdos",
        vdos,
        describe_vdos,
        "No vibrations of the trajectory: velocities were not correlated (setting dynamics.vdos).",
    ),
    FigureKind(
        "free_energy",
        "hops",
        hops_free_energy,
        describe_hops_free_energy,
        "No map of the free energy: no ion was seen to hop.",
    ),
    FigureKind(
        "van_hove",
        "hops",
        hops_van_hove,
        describe_hops_van_hove,
        "No van Hove functions: no ion was seen to hop.",
    ),
    FigureKind(
        "occupation",
        "occupation",
        occupation,
        describe_occupation,
        "No occupation analysis: it needs an activation energy and a frequency of the mobile ion, and this run has "
        "not both.",
    ),
    FigureKind(
        "parity",
        "parity",
        parity,
        describe_parity,
        "No parity plot: no reference energies and forces came with this run, as where a ready potential is given.",
    ),
    FigureKind(
        "provenance",
        "provenance",
        provenance,
        describe_provenance,
        "No provenance graph: the results were not read from a database.",
        ("material", "green_kubo", "nemd", "barrier"),
    ),
)
"""All figures in the order of the page."""
