"""What neutrons and X-rays see of each atom: scattering lengths and form factors, from the tables in dynasor.

Neutrons: bound coherent scattering lengths of the natural mixture of isotopes, in fm, and incoherent ones

    b_inc^2 = <|b|^2> + <b_spin^2> - |<b>|^2,     sigma_inc = 4 pi b_inc^2,

with averages over the isotopes: scattering from their mixture and from nuclear spins (V. F. Sears, Neutron News 3(3),
26 (1992)). X-rays: f_0(Q) of neutral atoms in electrons (D. Waasmaier and A. Kirfel, Acta Cryst. A51, 416 (1995)),
without anomalous dispersion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Probe = Literal["neutron", "xray", "density"]

INSTALL = "pip install 'aiida-iontherm[spectra]'"

UNITS = {"neutron": "fm^2", "xray": "electrons^2", "density": "1"}
"""Of the square of a weight."""


@dataclass(frozen=True)
class ScatteringWeights:
    """Weights of some species.

    Attributes
    ----------
    species
        Symbols, in the order of the columns.
    coherent
        b or f(|Q|) [Q, species], complex where a nucleus absorbs.
    incoherent
        b_inc [species]; zero for X-rays.
    probe
        ``neutron`` (fm), ``xray`` (electrons) or ``density`` (1 for every atom).
    """

    species: tuple[str, ...]
    coherent: NDArray[np.complex128]
    incoherent: NDArray[np.float64]
    probe: Probe

    @property
    def unit(self) -> str:
        """Of the intensities."""
        return UNITS[self.probe]

    def of(self, symbols: Sequence[str]) -> NDArray[np.complex128]:
        """Coherent weights of atoms [Q, n]."""
        return self.coherent[:, [self.species.index(symbol) for symbol in symbols]]


def scattering_weights(species: Sequence[str], q_norms: ArrayLike, probe: Probe) -> ScatteringWeights:
    """Look up the weights of species at lengths of the scattering vector.

    Parameters
    ----------
    species
        Chemical symbols, each once.
    q_norms
        |Q| in 1/Angstrom, with the factor of 2 pi [Q].
    probe
        ``density`` needs no tables.

    Raises
    ------
    ValueError
        If dynasor is not installed, or its tables lack a species.
    """
    names, norms = tuple(species), np.atleast_1d(np.asarray(q_norms, dtype=float))
    shape = (len(norms), len(names))
    if probe == "density":
        return ScatteringWeights(names, np.ones(shape, dtype=complex), np.zeros(len(names)), probe)
    if probe not in UNITS:
        raise ValueError(f"{probe} is no probe: there are {', '.join(UNITS)}")
    tables = _tables()
    if probe == "xray":
        factors = tables.XRayFormFactors(list(names))
        coherent = np.array([[factors.get_weight_coh(name, q) for name in names] for q in norms], dtype=complex)
        return ScatteringWeights(names, coherent.reshape(shape), np.zeros(len(names)), probe)
    lengths = tables.NeutronScatteringLengths(list(names)).parameters
    mean, own = np.empty(len(names), dtype=complex), np.empty(len(names))
    for i, name in enumerate(names):
        rows = lengths[(lengths["species"] == name) & (lengths["abundance"] > 0)]
        share, b, spin = (np.array(rows[key]) for key in ("abundance", "b_coh", "b_inc"))
        mean[i] = share @ b
        own[i] = np.sqrt(max(0.0, float(share @ (np.abs(b) ** 2 + np.abs(spin) ** 2) - np.abs(mean[i]) ** 2)))
    return ScatteringWeights(names, np.broadcast_to(mean, shape).copy(), own, probe)


def _tables() -> Any:
    try:
        from dynasor import post_processing
    except ImportError as error:
        raise ValueError(f"the tables of scattering lengths come with dynasor, which is missing: {INSTALL}") from error
    return post_processing
