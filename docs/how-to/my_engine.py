"""A Morse potential for copper: an example of an embedded engine."""

PACKAGES = ()  # beyond what aiida-iontherm itself needs

ELEMENTS = frozenset({"Cu"})


def make(epsilon: float = 0.34, r0: float = 2.87, rho0: float = 3.9):
    """Return the calculator; epsilon in eV, r0 in Angstrom."""
    from ase.calculators.morse import MorsePotential

    return MorsePotential(epsilon=epsilon, r0=r0, rho0=rho0)
