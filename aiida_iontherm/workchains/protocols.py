"""Protocols: named settings in YAML, merged with overrides and checked before anything is submitted."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.workchains.settings import Settings


class ProtocolError(ValueError):
    """A protocol or an override cannot be right; the message names the nearest right key or value."""


def available_protocols() -> dict[str, str]:
    """Names of the protocols and what each is good for, coarsest first."""
    order = ("demo", "fast", "balanced", "precise")
    return {name: _read(name)["description"] for name in order}


def load_protocol(name: str, overrides: dict[str, Any] | None = None) -> Settings:
    """Return the settings of a protocol with overrides merged in, key by key.

    Raises
    ------
    ProtocolError
        If the protocol does not exist, a key is unknown (the nearest one is named) or a value makes no sense.
    """
    known = available_protocols()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise ProtocolError(f"there is no protocol {name}: {hint}")
    merged = _merged(_read(name), overrides or {})
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ProtocolError(f"settings: {explain(error, Settings)}") from error


def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath("protocols", f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _merged(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(overrides, dict):
        raise ProtocolError(f"overrides are sections with keys, not {overrides!r}")
    merged = dict(base)
    for key, value in overrides.items():
        # The options of an engine belong to that engine: they replace, the others merge.
        if isinstance(merged.get(key), dict) and key != "options":
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged
