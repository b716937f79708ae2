"""The electronic steps of an ionic step: energies that close in on the engine's, until EDIFF or NELM says stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ElectronicSteps:
    """Free energies of the steps in eV, and whether the loop ended because EDIFF was reached."""

    energies: tuple[float, ...]
    converged: bool


def electronic_steps(
    energy: float, atoms: int, first: bool, ediff: float, nelm: int, nelmin: int, stuck: bool = False
) -> ElectronicSteps:
    """Return the steps of one ionic step.

    The error shrinks tenfold a step, from 1 eV per atom at the start of a run and 0.01 eV per atom later, when the
    charge density of the ionic step before is at hand. The last step of a converged loop has the energy itself.

    Parameters
    ----------
    energy : float
        What the loop is to find, eV.
    atoms : int
        Number of atoms.
    first : bool
        Whether this is the first ionic step of the run.
    ediff, nelm, nelmin
        The tags of INCAR.
    stuck : bool
        The error does not shrink: all NELM steps are made in vain.
    """
    error = (1.0 if first else 0.01) * atoms
    energies: list[float] = []
    while len(energies) < max(1, nelm):
        step = len(energies)
        residue = error * (-1) ** step if stuck else error * 10.0**-step
        change = abs(energy + residue - energies[-1]) if energies else float("inf")
        if not stuck and change < ediff and step + 1 >= nelmin:
            return ElectronicSteps((*energies, energy), True)
        energies.append(energy + residue)
    return ElectronicSteps(tuple(energies), False)
