"""Potentials on their way to ``mlp`` and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aiida_iontherm.physics.mtp.basis import basis_tables
from aiida_iontherm.physics.mtp.files import MtpFile, read_mtp_file
from aiida_iontherm.physics.mtp.training import Configuration
from aiida_iontherm.physics.mtp.training.ranges import choose_min_distance
from aiida_iontherm.tasks.mlip_settings import MlipTraining


class OtherPotential(ValueError):
    """A potential that is whole, but not the one that was asked for."""


def template(training: MlipTraining, species: Sequence[str], data: Sequence[Configuration]) -> MtpFile:
    """Make the potential of a training from scratch: the basis, and no coefficients, which the program draws itself.

    Parameters
    ----------
    training : MlipTraining
    species : sequence of str
        In the order of the types of the training set.
    data : sequence of Configuration
        From which the minimum distance comes if it is to.

    Raises
    ------
    ValueError
        For a bad level, or a cutoff that does not reach beyond the minimum distance.
    """
    tables = basis_tables(training.level)
    least = training.mlip.min_distance
    if least == "auto":
        least, _ = choose_min_distance(data)
    n = len(species)
    return MtpFile(
        species_count=n,
        tables=tables,
        min_distance=least,
        cutoff=training.cutoff,
        radial_coeffs=np.zeros((n, n, tables.n_radial, training.radial_size)),
        species_coeffs=np.zeros(n),
        moment_coeffs=np.zeros(len(tables.scalars)),
        trained=False,
    )


def for_mlip(potential: MtpFile, generation: int) -> MtpFile:
    """Take off what MLIP does not write: names of species in the tag, keys of other programs, and of MLIP-2 a state.

    The selection state of MLIP-3 goes back to it, because it selects with it.
    """
    state = potential.selection_state if generation == 3 else b""
    return replace(potential, potential_tag="", metadata={}, selection_state=state)


def read_trained(path: Path, initial: MtpFile) -> MtpFile:
    """Read what a training has left.

    Parameters
    ----------
    path : Path
    initial : MtpFile
        What it was given.

    Raises
    ------
    OtherPotential
        If number of species, basis or cutoff are not those it was given.
    ValueError
        If the file is absent, cut short or damaged.
    """
    found = read_mtp_file(path)
    if found.species_count != initial.species_count:
        raise OtherPotential(
            f"{path.name} is a potential of {found.species_count} species, {initial.species_count} were asked for"
        )
    same_basis = found.radial_coeffs.shape == initial.radial_coeffs.shape and all(
        np.array_equal(getattr(found.tables, name), getattr(initial.tables, name))
        for name in ("basic", "times", "scalars")
    )
    if not same_basis:
        raise OtherPotential(f"{path.name} has another basis than the potential the training was to start from")
    if not np.isclose(found.cutoff, initial.cutoff, rtol=1e-6):
        raise OtherPotential(
            f"{path.name} has a cutoff of {found.cutoff:g} Angstrom, {initial.cutoff:g} were asked for"
        )
    return found
