"""Name the nearest right key for a wrong one."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence

from pydantic import BaseModel


def nearest_key(location: Sequence[str | int], model: type[BaseModel]) -> str:
    """Return ``"; did you mean X?"`` or the list of keys for the unknown last key of `location` in `model`."""
    current: type[BaseModel] | None = model
    for key in location[:-1]:
        current = _submodel(current, str(key)) or current
    keys = list(current.model_fields) if current else []
    close = difflib.get_close_matches(str(location[-1]), keys, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f" (known: {', '.join(keys)})"


def _submodel(model: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    if model is None or key not in model.model_fields:
        return None
    annotation = model.model_fields[key].annotation
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
