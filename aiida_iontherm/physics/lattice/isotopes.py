"""Scattering by the disorder of masses: isotopes, or different elements on one site.

Tamura's formula (S. Tamura, Phys. Rev. B 27, 858 (1983)),

    1/tau_qs = pi/(2 N) w_qs^2 sum_q's' delta(w_qs - w_q's') sum_i g_i |e_i(q's')* . e_i(qs)|^2,
    g_i      = sum_k f_ik (1 - m_ik / <m_i>)^2  over the masses k on site i with fractions f_ik,

is evaluated by phono3py with the tetrahedron method. It does not depend on temperature. It is first-order scattering
by a random, uncorrelated arrangement of masses on an otherwise perfect lattice: right for isotopes, an estimate for a
solid solution, whose force constants differ too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phono3py.other.isotope import Isotope
from phonopy import Phonopy
from phonopy.phonon.grid import BZGrid, get_ir_grid_points
from phonopy.structure.atomic_data import get_atomic_data


def mass_variance(masses: ArrayLike, fractions: ArrayLike) -> float:
    """Relative variance g = sum_k f_k (1 - m_k/<m>)^2 of the masses that share a site.

    Parameters
    ----------
    masses
        In any unit [k], positive.
    fractions
        Share of each [k]; they sum to one within 1e-3 and are normalised.

    Raises
    ------
    ValueError
        If the numbers are no masses or no fractions.
    """
    m, f = np.atleast_1d(np.asarray(masses, dtype=float)), np.atleast_1d(np.asarray(fractions, dtype=float))
    if m.shape != f.shape or m.ndim != 1 or not np.all(m > 0) or not np.all(f >= 0):
        raise ValueError("give as many positive masses as fractions not below zero")
    if abs(f.sum() - 1) > 1e-3:
        raise ValueError(f"the fractions sum to {f.sum():g}, not to one")
    f = f / f.sum()
    return float(f @ (1 - m / (f @ m)) ** 2)


def natural_mass_variance(symbol: str) -> float:
    """Relative variance of the masses of an element's natural isotopes (phonopy's table).

    Raises
    ------
    ValueError
        If the element has no natural isotopes in the table.
    """
    isotopes = get_atomic_data().isotope_data.get(symbol)
    if not isotopes:
        raise ValueError(f"no natural isotopes of {symbol} are known: give its mass variance")
    return mass_variance([entry[1] for entry in isotopes], [entry[2] for entry in isotopes])


def isotope_gamma(
    phonopy: Phonopy, mesh: Sequence[int], mass_variances: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """Half widths in THz [q, s] at the irreducible points of a mesh, in the order of `irreducible_mesh`.

    Parameters
    ----------
    phonopy
        Object with force constants (and, where wanted, the parameters of the non-analytical term).
    mesh
        Divisions of a Gamma-centred mesh; the same mesh is summed over, so convergence is to be checked.
    mass_variances
        Symbol to g, for isotopically pure or mixed sites (`mass_variance`); natural isotopes for all other species.

    Raises
    ------
    ValueError
        If there are no force constants, the mesh makes no sense, or a species is unknown or has a negative variance.
    """
    given = {} if mass_variances is None else dict(mass_variances)
    symbols = list(phonopy.primitive.symbols)
    if unknown := set(given) - set(symbols):
        raise ValueError(f"mass variances were given for {sorted(unknown)}, which the crystal does not hold")
    if not all(value >= 0 for value in given.values()):
        raise ValueError("mass variances must not be negative")
    divisions = [int(n) for n in mesh]
    if len(divisions) != 3 or min(divisions) < 1:
        raise ValueError(f"mesh must be three positive integers, not {tuple(mesh)}")
    if phonopy.force_constants is None:
        raise ValueError("the phonopy object has no force constants: produce or set them first")
    primitive = phonopy.primitive
    grid = BZGrid(
        divisions,
        lattice=primitive.cell,
        symmetry_dataset=phonopy.primitive_symmetry.dataset,
        is_time_reversal=True,
    )
    # Weights averaged over degenerate bands, as for three phonons: the result must not depend on the eigenvectors the
    # solver happens to return there. Modes below the cutoff (THz) neither scatter nor are scattered into.
    isotope = Isotope(
        divisions,
        primitive,
        mass_variances=[given[symbol] if symbol in given else natural_mass_variance(symbol) for symbol in symbols],
        bz_grid=grid,
        frequency_factor_to_THz=phonopy.unit_conversion_factor,
        cutoff_frequency=1e-4,
        average_degenerate_weights=True,
        exclude_gamma_acoustic=True,
    )
    isotope.init_dynamical_matrix(phonopy.force_constants, phonopy.supercell, primitive, nac_params=phonopy.nac_params)
    points = grid.grg2bzg[get_ir_grid_points(grid)[0]]
    gamma = np.empty((len(points), 3 * len(primitive)))
    for i, point in enumerate(points):
        isotope.set_grid_point(int(point))
        isotope.run()
        gamma[i] = isotope.gamma
    return gamma
