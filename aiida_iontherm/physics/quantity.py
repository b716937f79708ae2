"""The result record: a number never travels without its unit, error bar, method and verdict."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

BOUNDS = (None, "upper", "lower")


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One physical result.

    Attributes
    ----------
    name
        What it is, e.g. ``kappa_total``, ``D_Cu``, ``mobile_fraction``.
    value
        The number; ``None`` where the run could not give one (the reason says why).
    unit
        Unit as printed to people (``W/(m K)``, ``cm^2/s``, ``eV``, ``1``).
    method
        How it was obtained, in words.
    converged
        The verdict. A number that did not converge is reported as not converged, never hidden.
    reason
        Why the verdict is what it is, one sentence, always given when ``converged`` is false.
    uncertainty
        One standard error in ``unit``, or ``None`` where the method gives none (then ``reason`` says so).
    bound
        ``"upper"`` or ``"lower"`` when ``value`` is a limit rather than an estimate.
    temperature
        In K, or ``None``.
    direction
        Cartesian component (``"x"``, ``"xx"``, ``"average"`` ...), or ``None``.
    citation
        Source of the method or of a published value.
    uuid
        Node the number was read from; filled in by the AiiDA side.
    """

    name: str
    value: float | None
    unit: str
    method: str
    converged: bool
    reason: str = ""
    uncertainty: float | None = None
    bound: str | None = None
    temperature: float | None = None
    direction: str | None = None
    citation: str | None = None
    uuid: str | None = None

    def __post_init__(self) -> None:
        if self.bound not in BOUNDS:
            raise ValueError(f"bound must be one of {BOUNDS}, not {self.bound!r}")
        if not self.converged and not self.reason:
            raise ValueError(f"{self.name} is marked as not converged: say why in `reason`")
        for field in ("value", "uncertainty"):
            number = getattr(self, field)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{self.name}: {field} is {number}; use None and give the reason")

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Quantity:
        """Rebuild a quantity from `to_dict`; unknown keys raise ``TypeError``."""
        return cls(**record)
