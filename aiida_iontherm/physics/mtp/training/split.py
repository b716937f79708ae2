"""Which configurations are fitted and which are held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiida_iontherm.physics.mtp.training.configuration import Configuration


def split(
    data: Sequence[Configuration], twins: Sequence[int], fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Draw a held-out part.

    Configurations that are the same stay together, at least two remain to be fitted, and no species is held out
    altogether.

    Parameters
    ----------
    data : sequence of Configuration
    twins : sequence of int
        For each configuration the position of the first that is the same.
    fraction : float
        Part to hold out, in [0, 1).
    seed : int

    Returns
    -------
    fitted, held_out : lists of int
        Positions; the fitted ones in random order, so that any first part is a fair sample.

    Raises
    ------
    ValueError
        If the fraction is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the fraction of configurations to hold out must be in [0, 1), not {fraction}")
    order = np.random.default_rng(seed).permutation(len(data)).tolist()
    wanted = min(round(fraction * len(data)), len(data) - 2)
    families: dict[int, list[int]] = {}
    for index in order:
        families.setdefault(twins[index], []).append(index)
    # How many configurations still to be fitted hold each species.
    holders: dict[str, int] = {}
    for entry in data:
        for symbol in entry.atoms.symbols.species():
            holders[symbol] = holders.get(symbol, 0) + 1
    held_out: list[int] = []
    for family in families.values():
        species = data[family[0]].atoms.symbols.species()
        if len(held_out) + len(family) > wanted or any(holders[symbol] <= len(family) for symbol in species):
            continue
        held_out += family
        for symbol in species:
            holders[symbol] -= len(family)
    chosen = set(held_out)
    return [index for index in order if index not in chosen], sorted(held_out)
