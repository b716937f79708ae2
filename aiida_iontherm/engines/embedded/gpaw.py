"""GPAW in plane waves (J. J. Mortensen et al., J. Chem. Phys. 160, 092503 (2024)): density functionals by pip alone.

GPAW is an optional program under the GPL. ASE loads it when a calculation asks for it; this package never imports it.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

from aiida_iontherm.engines.dft import DftSettings

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ("gpaw",)

ELEMENTS = frozenset(chemical_symbols[1:87]) - {"Tc", "Po", "At"}
"""Those of the PAW sets in gpaw-data 1.2."""

TAKES_DFT = True

UNSOLVED = ("KohnShamConvergenceError",)
"""Exceptions of a structure whose density did not converge."""

RECOMMENDED_CUTOFF_EV = 500.0
"""The sets are made for real-space grids of 0.2 Angstrom and plane waves from 340 eV; d shells want more."""

# Fermi-Dirac's is GPAW's own; the others by the names of its documentation. Order 0 is a Gaussian.
OCCUPATIONS: dict[str, dict[str, Any]] = {
    "gaussian": {"name": "methfessel-paxton", "order": 0},
    "methfessel-paxton": {"name": "methfessel-paxton", "order": 1},
    "fermi-dirac": {"name": "fermi-dirac"},
}


def parameters(dft: DftSettings) -> dict[str, Any]:
    """Translate the settings into arguments of GPAW's calculator.

    Raises
    ------
    ValueError
        For what GPAW cannot do.
    """
    if dft.dispersion != "none":
        raise ValueError(
            f"engine.dft.dispersion: GPAW itself has no {dft.dispersion}; take none, or vasp or espresso as engine"
        )
    if dft.smearing == "fixed":
        # No partial occupations: a width far below any gap.
        occupations: dict[str, Any] = {"name": "fermi-dirac", "width": 1e-3}
    else:
        occupations = {**OCCUPATIONS[dft.smearing], "width": dft.smearing_ev}
    if dft.k_mesh is not None:
        kpts: dict[str, Any] = {"size": list(dft.k_mesh), "gamma": True}
    elif dft.k_spacing is not None:
        # ASE's density is points per 1/Angstrom, with the same ceiling as `DftSettings.mesh`.
        kpts = {"density": 1 / dft.k_spacing, "gamma": True}
    else:
        kpts = {"size": [1, 1, 1], "gamma": True}
    return {
        "mode": {"name": "pw", "ecut": dft.cutoff_ev or RECOMMENDED_CUTOFF_EV},
        "xc": dft.functional,
        "kpts": kpts,
        "occupations": occupations,
        "convergence": {"energy": {"name": "energy", "tol": dft.energy_tolerance_ev, "relative": False}},
        "maxiter": dft.max_scf_steps,
        # Displaced atoms have no symmetry to find, and searching for it costs and sometimes fails.
        "symmetry": {"point_group": False},
        "txt": None,
    }


def make(dft: dict[str, Any] | None = None, **options: Any) -> Calculator:
    """Return the calculator; `options` are GPAW's own and come last (``basis``, ``eigensolver`` ...)."""
    settings = DftSettings.model_validate(dft or {})
    arguments = parameters(settings) | options
    from ase.calculators.calculator import get_calculator_class

    calculator = get_calculator_class("gpaw")
    if settings.functional == "PBEsol":
        _prepare_pbesol()
    return calculator(**arguments)


def _prepare_pbesol() -> None:
    """Let GPAW take its PBE sets for PBEsol: the functional acts on the valence electrons, the cores stay PBE's.

    It would look for sets made with PBEsol, of which there are none. (VASP's PBEsol runs on its PBE sets in the same
    way.)
    """
    if not hasattr(import_module("gpaw.cgpaw"), "lxcXCFuncNum"):
        raise ValueError(
            "this GPAW was compiled without libxc, which PBEsol needs: install libxc with its headers (Debian: "
            "libxc-dev) and GPAW anew (pip install --force-reinstall --no-cache-dir gpaw), or set "
            "engine.dft.functional to PBE"
        )
    paths = sys.modules["gpaw"].setup_paths
    if any(list(Path(path).glob("*.PBEsol*")) for path in paths):
        return
    sources = [Path(path) for path in paths]
    package = find_spec("gpaw_data")
    if package is not None:
        sources += [Path(folder) / "setups" for folder in package.submodule_search_locations or ()]
    target = Path(tempfile.mkdtemp(prefix="gpaw-pbesol-"))
    for source in reversed(sources):  # what GPAW would find first is written last
        for path in source.glob("*.PBE.gz"):
            if path.name.count(".") == 2:
                text = gzip.decompress(path.read_bytes()).decode()
                (target / f"{path.name.split('.')[0]}.PBEsol").write_text(
                    text.replace('name="PBE"', 'name="PBEsol"', 1), encoding="utf-8"
                )
    paths.insert(0, str(target))
