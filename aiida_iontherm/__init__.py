"""From the crystal structure of an ionic conductor to its thermal and ionic transport, with provenance."""

__version__ = "0.1.0"
