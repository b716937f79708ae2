"""The scale of radial functions, which predictions do not fix.

Multiplying the radial function mu by c and dividing each moment coefficient by c once for every factor f_mu in its
scalar changes nothing. Our convention: the mean square of f_mu(r) over the range from the minimum distance to the
cutoff, averaged over all ordered pairs of species, is one. It depends on the potential alone, not on the data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.basis import BasisTables
from aiida_iontherm.physics.mtp.potential import MomentTensorPotential

Array = npt.NDArray[np.float64]


def scalar_degrees(tables: BasisTables) -> npt.NDArray[np.int_]:
    """How often each radial function is a factor of each basis scalar, [s, mu]."""
    degrees = np.zeros((tables.n_moments, tables.n_radial), dtype=int)
    degrees[np.arange(len(tables.basic)), tables.basic[:, 0]] = 1
    for left, right, _, target in tables.times:
        degrees[target] = degrees[left] + degrees[right]
    return degrees[tables.scalars]


def radial_scales(potential: MomentTensorPotential) -> Array:
    """Root mean square of each radial function over distances and pairs of species, [mu]."""
    n_chebyshev = potential.radial_coeffs.shape[-1]
    # The integrand is a polynomial of degree 2 (n_chebyshev + 1): the rule is exact.
    nodes, weights = np.polynomial.legendre.leggauss(n_chebyshev + 2)
    distances = potential.min_distance + (nodes + 1) / 2 * (potential.cutoff - potential.min_distance)
    chebyshev = np.polynomial.chebyshev.chebvander(nodes, n_chebyshev - 1).T
    values = potential.scaling * potential.radial_coeffs @ (chebyshev * (potential.cutoff - distances) ** 2)
    return np.sqrt(np.mean(values**2, axis=(0, 1)) @ weights / 2)


def normalised(potential: MomentTensorPotential) -> MomentTensorPotential:
    """Return the same potential with radial functions of unit scale; a function that is zero stays so."""
    scales = radial_scales(potential)
    scales[scales == 0] = 1.0
    factors = np.prod(scales ** scalar_degrees(potential.tables), axis=1)
    return potential.replace(
        radial_coeffs=potential.radial_coeffs / scales[:, None], moment_coeffs=potential.moment_coeffs * factors
    )
