"""The words that go with a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Title, caption and alternative text of one figure."""

    title: str
    text: str
    alt: str


def listing(parts: Sequence[str]) -> str:
    """Join words as in a sentence: ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def percent(share: float) -> str:
    """Write a share in per cent; something that is there but small is not called 0 %."""
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
