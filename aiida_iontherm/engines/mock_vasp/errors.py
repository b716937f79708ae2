"""How the program stops on bad input."""

from __future__ import annotations


class VaspStop(Exception):
    """The run cannot start; the message goes to standard output, as VASP's does."""
