"""Analytic scattering: linewidths of every mode from its frequency, the temperature and a few constants.

All models give ``gamma_thz`` in the convention of `linewidths`: from a scattering rate 1/tau the half width
gamma = 1/(4 pi tau) in THz. Frequencies w in the rates below are angular, as they are in the literature.

Eq. 1 of Bernges et al. on Ag8(Si,Ge,Sn)Se6, 1/tau = C1 w^2 T exp(-C2/T) + A w, is `umklapp_and_proportional`; its
simplified forms are the same terms with C2 = 0, or one of the two terms alone.

Imaginary modes (negative frequencies) get no linewidth, so that the two-channel sum leaves them out and counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.capacity import debye_temperature
from aiida_iontherm.physics.lattice.linewidths import matthiessen
from aiida_iontherm.physics.units import AMU, HBAR

_ANGULAR = 2e12 * np.pi
"""THz to rad/s."""

_RATE_TO_GAMMA = 1e-12 / (4 * np.pi)
"""Rate in 1/s to half width in THz."""


class ScatteringModel(Protocol):
    """Anything that knows the linewidths of modes."""

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s] at frequencies [q, s] in THz and temperatures [T] in K."""
        ...


@dataclass(frozen=True)
class UmklappScattering:
    """Scattering of phonons by phonons: 1/tau = C1 w^2 T exp(-C2/T).

    Attributes
    ----------
    c1
        C1 in s/K; one number, or one for each mode [q, s] (mode Grueneisen parameters).
    c2
        C2 in K; zero is the simplified form C1 w^2 T.
    """

    c1: float | NDArray[np.float64]
    c2: float = 0.0

    def __post_init__(self) -> None:
        _require_not_negative(c1=self.c1, c2=self.c2)

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s]."""
        angular, kelvin = _grid(frequencies_thz, temperatures)
        # A rate that underflows to exactly zero would take the mode out of the sum instead of letting it live for ever.
        frozen = np.exp(-np.minimum(self.c2 / kelvin, 300.0))
        return _RATE_TO_GAMMA * self.c1 * angular**2 * kelvin * frozen


@dataclass(frozen=True)
class ProportionalScattering:
    """A lifetime of a fixed number of periods: 1/tau = A w.

    Bernges et al. call this term boundary scattering. It holds at every temperature, and at A = 1 the lifetime is the
    Ioffe-Regel limit 1/w.

    Attributes
    ----------
    a
        A, without unit.
    """

    a: float

    def __post_init__(self) -> None:
        _require_not_negative(a=self.a)

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s]: A/2 times the frequency."""
        angular, kelvin = _grid(frequencies_thz, temperatures)
        return _RATE_TO_GAMMA * self.a * angular * np.ones_like(kelvin)


@dataclass(frozen=True)
class PointDefectScattering:
    """Rayleigh scattering by point defects: 1/tau = B w^4 (P. G. Klemens, Proc. Phys. Soc. A 68, 1113 (1955)).

    Attributes
    ----------
    b
        B in s^3.
    """

    b: float

    def __post_init__(self) -> None:
        _require_not_negative(b=self.b)

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s]."""
        angular, kelvin = _grid(frequencies_thz, temperatures)
        return _RATE_TO_GAMMA * self.b * angular**4 * np.ones_like(kelvin)


@dataclass(frozen=True)
class ConstantScattering:
    """One linewidth for all modes and temperatures.

    Attributes
    ----------
    width_thz
        Half width in THz; the lifetime is 1/(4 pi width).
    """

    width_thz: float

    def __post_init__(self) -> None:
        _require_not_negative(width_thz=self.width_thz)

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s]."""
        angular, kelvin = _grid(frequencies_thz, temperatures)
        return self.width_thz * (angular > 0) * np.ones_like(kelvin)


@dataclass(frozen=True)
class GivenLinewidths:
    """Linewidths from elsewhere as a term of a model: boundaries, isotopes, three-phonon scattering, a table.

    Attributes
    ----------
    widths_thz
        Half widths [q, s] in THz that hold at every temperature, or [T, q, s] at `temperatures`.
    temperatures
        In K [T], where the widths depend on them; only these can be asked for.
    """

    widths_thz: NDArray[np.float64]
    temperatures: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _require_not_negative(widths_thz=self.widths_thz)
        needed = 2 if self.temperatures is None else 3
        shape = np.shape(self.widths_thz)
        if len(shape) != needed or (self.temperatures is not None and shape[0] != len(self.temperatures)):
            raise ValueError(
                f"widths of shape {shape} do not fit: give [q, s] without temperatures or [T, q, s] with T of them"
            )

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s].

        Raises
        ------
        ValueError
            If the widths are for other modes or not known at a temperature.
        """
        angular, kelvin = _grid(frequencies_thz, temperatures)
        if self.widths_thz.shape[-2:] != angular.shape[1:]:
            raise ValueError(
                f"the given linewidths are for {self.widths_thz.shape[-2:]} modes [q, s], "
                f"the frequencies for {angular.shape[1:]}"
            )
        if self.temperatures is None:
            return self.widths_thz * (angular > 0) * np.ones_like(kelvin)
        same = np.isclose(kelvin.ravel()[:, None], self.temperatures[None, :], rtol=1e-6, atol=0)
        if not same.any(axis=1).all():
            missing = kelvin.ravel()[np.argmin(same.any(axis=1))]
            raise ValueError(f"no linewidths were given at {missing:g} K, only at {self.temperatures.tolist()}")
        return self.widths_thz[np.argmax(same, axis=1)] * (angular > 0)


@dataclass(frozen=True)
class SumOfScattering:
    """Independent processes together: their rates add (Matthiessen's rule).

    Attributes
    ----------
    terms
        The models.
    """

    terms: tuple[ScatteringModel, ...]

    def gamma_thz(self, frequencies_thz: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Half widths in THz [T, q, s]."""
        return matthiessen(*(term.gamma_thz(frequencies_thz, temperatures) for term in self.terms))


def umklapp_and_proportional(c1: float, c2: float, a: float) -> SumOfScattering:
    """Eq. 1 of Bernges et al.: 1/tau = C1 w^2 T exp(-C2/T) + A w, with C1 in s/K, C2 in K and A without unit."""
    return SumOfScattering((UmklappScattering(c1, c2), ProportionalScattering(a)))


def klemens_scattering(
    grueneisen: ArrayLike, mean_mass_amu: float, velocity_m_s: float, number_density_per_A3: float
) -> UmklappScattering:
    """Phonon-phonon scattering from Grueneisen parameters g: 1/tau = 2 g^2 k_B T w^2/(M v^2 w_D).

    P. G. Klemens, Solid State Phys. 7, 1 (1958), in the form of E. S. Toberer, A. Zevalkink and G. J. Snyder,
    J. Mater. Chem. 21, 15843 (2011), with equal group and phase velocity; w_D = v (6 pi^2 n)^(1/3). It holds above
    the Debye temperature and is an estimate, good to a factor of a few.

    Parameters
    ----------
    grueneisen
        One number, or one for each mode [q, s]; NaN where a mode has none, which then gets no linewidth here.
    mean_mass_amu
        Mean mass M of an atom in amu.
    velocity_m_s
        Mean sound velocity v in m/s.
    number_density_per_A3
        Atoms per Angstrom^3.

    Raises
    ------
    ValueError
        If a number is not positive, or a Grueneisen parameter is infinite.
    """
    strength, _ = _anharmonicity(grueneisen, mean_mass_amu, velocity_m_s, number_density_per_A3)
    return UmklappScattering(2 * strength)


def slack_scattering(
    grueneisen: ArrayLike, mean_mass_amu: float, velocity_m_s: float, number_density_per_A3: float
) -> UmklappScattering:
    """Umklapp scattering from Grueneisen parameters g: 1/tau = hbar g^2/(M v^2 Theta) w^2 T exp(-Theta/(3 T)).

    G. A. Slack and S. Galginaitis, Phys. Rev. 133, A253 (1964). Theta is the Debye temperature hbar w_D/k_B; far above
    it the rate is half that of `klemens_scattering`. Arguments and errors as there.
    """
    strength, debye_K = _anharmonicity(grueneisen, mean_mass_amu, velocity_m_s, number_density_per_A3)
    return UmklappScattering(strength, debye_K / 3)


def _anharmonicity(
    grueneisen: ArrayLike, mean_mass_amu: float, velocity_m_s: float, number_density_per_A3: float
) -> tuple[NDArray[np.float64], float]:
    """C1 = hbar g^2/(M v^2 Theta) in s/K, in the shape of `grueneisen`, and Theta in K; k_B/w_D is hbar/Theta."""
    if not (mean_mass_amu > 0 and velocity_m_s > 0 and number_density_per_A3 > 0):
        raise ValueError("mean mass, sound velocity and number density must be positive")
    parameters = np.nan_to_num(np.asarray(grueneisen, dtype=float), nan=0.0, posinf=np.inf, neginf=np.inf)
    if np.isinf(parameters).any():
        raise ValueError("Grueneisen parameters must not be infinite: leave out modes of zero frequency (NaN)")
    debye_K = float(debye_temperature(velocity_m_s, number_density_per_A3))
    return HBAR * parameters**2 / (mean_mass_amu * AMU * velocity_m_s**2 * debye_K), debye_K


def _grid(frequencies_thz: ArrayLike, temperatures: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angular frequencies [1, q, s] in rad/s, imaginary ones as zero, and temperatures [T, 1, 1] in K."""
    frequencies = np.asarray(frequencies_thz, dtype=float)
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    if frequencies.ndim != 2 or kelvin.ndim != 1:
        raise ValueError(f"need frequencies [q, s] and temperatures [T], not {frequencies.shape} and {kelvin.shape}")
    if not (np.isfinite(frequencies).all() and np.all(kelvin > 0)):
        raise ValueError("frequencies must be finite and temperatures positive")
    return _ANGULAR * np.clip(frequencies, 0, None)[None], kelvin[:, None, None]


def _require_not_negative(**values: ArrayLike) -> None:
    for name, value in values.items():
        numbers = np.asarray(value, dtype=float)
        if not (np.isfinite(numbers).all() and np.all(numbers >= 0)):
            raise ValueError(f"{name} must be finite and not negative: a scattering rate cannot be")
