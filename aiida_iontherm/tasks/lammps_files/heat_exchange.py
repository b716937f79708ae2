"""Heat carried between two slabs by LAMMPS, and the profile of the slabs.

``fix ehex`` is the algorithm of the compiled loop (P. Wirnsberger, D. Frenkel and C. Dellago, J. Chem. Phys. 143,
124104 (2015)) in its asymmetric form: all of the heat behind the step, where ours gives half of it before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.settings import HeatExchangeSettings

Array = npt.NDArray[np.float64]

VALUES = ("one", "twice_kinetic", "virial", "convective")
"""Variables of an atom whose sums over a slab are its profile; with the virial in LAMMPS's units, bar Angstrom^3."""

STRESS = ((1, 4, 5), (7, 2, 6), (8, 9, 3))
"""Numbers of the elements of ``compute centroid/stress/atom``."""

NEGLIGIBLE = 1e-13
"""Of a unit vector: what rounding leaves of a zero."""


def reservoirs(exchange: HeatExchangeSettings, box: Array) -> list[str]:
    """Return the commands that heat the first slab and cool the middle one.

    Parameters
    ----------
    exchange : HeatExchangeSettings
    box : float array [3, 3]
        Cell in the axes of LAMMPS, with its corner in the origin.
    """
    across, slabs = _across(exchange, box), exchange.slabs
    height = 1 / np.linalg.norm(across)
    normal = across * height
    half = slabs // 2
    power = f"{exchange.power_ev_per_ps:.17g}"

    def plane(name: str, slab: int, sign: int) -> str:
        numbers = [*(slab / slabs * height * normal), *(sign * normal)]
        return f"region {name} plane {' '.join(_number(x) for x in numbers)} units box"

    return [
        # The fix looks at atoms wrapped into the cell: none lies below the first slab.
        plane("hot", 1, -1),
        plane("above", half, 1),
        plane("below", half + 1, -1),
        "region cold intersect 2 above below",
        f"fix heat free ehex 1 {power} region hot",
        f"fix cool free ehex 1 -{power} region cold",
    ]


def profile(exchange: HeatExchangeSettings, box: Array, block_steps: int, file: str) -> list[str]:
    """Return the commands that write means over a block of the sums over each slab of `VALUES`.

    They take the computes ``ke``, ``pe`` and ``stress`` of each atom.
    """
    across, slabs, stride = _across(exchange, box), exchange.slabs, exchange.profile_stride
    normal = across / np.linalg.norm(across)
    works = ["+".join(f"c_stress[{k}]*v{axis}" for k, axis in zip(row, "xyz", strict=True)) for row in STRESS]
    values = " ".join(f"v_{name}" for name in VALUES)
    return [
        f"variable along atom {_sum(across, 'xyz')}",
        # Where rounding makes a whole of the fraction, the slab is the first.
        f"variable slab atom 1+floor((v_along-floor(v_along))*{slabs})%{slabs}",
        f"compute slabs free chunk/atom v_slab limit {slabs} exact",
        "variable one atom 1",
        "variable twice_kinetic atom 2*c_ke",
        f"variable virial atom -({_sum(normal, [f'({work})' for work in works])})",
        f"variable convective atom (c_ke+c_pe)*({_sum(normal, ('vx', 'vy', 'vz'))})",
        f"fix profile free ave/chunk {stride} {block_steps // stride} {block_steps} slabs {values} norm none "
        f'file {file} format " %.17g"',
    ]


def _across(exchange: HeatExchangeSettings, box: Array) -> Array:
    """Vector [3] whose product with a position says how far it lies along the cell vector, from 0 to 1."""
    across = np.linalg.inv(box)[:, exchange.axis]
    return np.where(np.abs(across) < NEGLIGIBLE * np.abs(across).max(), 0.0, across)


def _sum(factors: Sequence[float] | Array, terms: Sequence[str]) -> str:
    return "+".join(_times(x, term) for x, term in zip(factors, terms, strict=True) if x)


def _times(factor: float, term: str) -> str:
    return term if factor == 1 else f"({_number(factor)})*{term}"


def _number(value: float) -> str:
    return f"{value + 0.0:.17g}"  # no negative zero
