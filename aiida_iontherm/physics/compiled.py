"""The compiled module as the rooms of physics see it (C++ sources in ``native/``)."""

from __future__ import annotations

import os

try:
    from aiida_iontherm import _native
except ImportError as error:
    raise ImportError(
        "the compiled module of aiida-iontherm is missing: install the package with `pip install -e .` "
        "(needs a C++17 compiler), or run `make native` after a change of the sources"
    ) from error

__all__ = ["_native", "available_threads"]


def available_threads() -> int:
    """Return the number of threads the environment grants (``OMP_NUM_THREADS``, as for every library here), else 1."""
    try:
        return max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))
    except ValueError:
        return 1
