"""The figures of the report: one module each, drawn from the records of `report.model`.

Every drawing function returns the figure and the columns of its CSV file; the describing function beside it
returns the title, the caption and the text that stands in for the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.figures.channels import describe_kappa_by_channel, kappa_by_channel
from aiida_iontherm.report.figures.convergence import convergence, describe_convergence
from aiida_iontherm.report.figures.density_of_states import describe_dos_by_species, dos_by_species
from aiida_iontherm.report.figures.displacement import describe_msd, msd
from aiida_iontherm.report.figures.potential import describe_parity, parity
from aiida_iontherm.report.figures.quanta import describe_occupation, occupation
from aiida_iontherm.report.figures.regimes import describe_lifetimes, lifetimes
from aiida_iontherm.report.figures.spectrum import describe_spectral_kappa, spectral_kappa
from aiida_iontherm.report.figures.tree import describe_provenance, provenance
from aiida_iontherm.report.style import Columns


@dataclass(frozen=True)
class FigureKind:
    """A figure: file name, field of `ReportInput` it draws, how it is drawn and described, why it may be missing."""

    name: str
    field: str
    draw: Callable[[Any], tuple[Figure, Columns]]
    describe: Callable[[Any], Caption]
    absent: str


FIGURES = (
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
    ),
)
"""All figures in the order of the page."""
