"""CHGNet (B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)): a pretrained universal potential, weights in its wheel.

Known to be soft: vibrational frequencies and barriers come out low (B. Deng et al., npj Comput. Mater. 11, 9 (2025)).
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING

from ase.data import chemical_symbols

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ("chgnet", "torch")

ELEMENTS = frozenset(chemical_symbols[1:95]) - {"Po", "At", "Rn", "Fr", "Ra"}
"""Elements of its training set, the Materials Project trajectories: up to Pu, without the short-lived ones."""


def make() -> Calculator:
    """Return the calculator on one thread: two threads of torch spin and make these small cells ten times slower."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            from chgnet.model.dynamics import CHGNetCalculator
    except ImportError as error:
        raise ImportError("chgnet is not installed: pip install 'aiida-iontherm[chgnet]'") from error
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = CHGNetCalculator(use_device="cpu")
    # Harmless, and repeated at every call: the volume only divides the stress and needs no gradient, and ASE applies
    # its constraints itself, to the forces that CHGNet returns.
    for message in ("Converting a tensor with requires_grad=True to a scalar", "Only FixAtoms and FixCartesian is"):
        warnings.filterwarnings("ignore", message=message, category=UserWarning, module=r"chgnet\.")
    return calculator
