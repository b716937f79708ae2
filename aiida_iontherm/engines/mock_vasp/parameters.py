"""The blocks ``<incar>`` and ``<parameters>`` of vasprun.xml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from aiida_iontherm.engines.mock_vasp import basis
from aiida_iontherm.engines.mock_vasp.incar import NUMBERS, VECTORS

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs

ALGORITHMS = {"n": 38, "v": 48, "f": 68, "c": 58, "a": 58, "d": 53, "e": 4}
"""IALGO of the first letter of ALGO."""


def item(name: str, value: bool | int | float | str, indent: str) -> str:
    """Write one ``<i>`` with the type that readers go by."""
    if isinstance(value, bool):
        return f'{indent}<i type="logical" name="{name}"> {"T" if value else "F"}  </i>\n'
    if isinstance(value, int):
        return f'{indent}<i type="int" name="{name}">{value:6d}</i>\n'
    if isinstance(value, float):
        return f'{indent}<i name="{name}">{value:16.8f}</i>\n'
    return f'{indent}<i type="string" name="{name}">{escape(value)}</i>\n'


def vector(name: str, values: list[float], indent: str) -> str:
    """Write one ``<v>``."""
    return f'{indent}<v name="{name}">{"".join(f"{value:16.8f}" for value in values)}</v>\n'


def incar_block(inputs: Inputs) -> str:
    """Write the tags as given."""
    incar = inputs.incar
    lines = []
    for name, text in incar.tags.items():
        if name in VECTORS:
            lines.append(vector(name, incar.numbers(name), "  "))
        elif name in NUMBERS:
            lines.append(item(name, incar.number(name, 0.0), "  "))
        elif re.fullmatch(r"[+-]?\d+", text):
            lines.append(item(name, incar.integer(name, 0), "  "))
        elif re.fullmatch(r"\.?(t|f|true|false)\.?", text, re.IGNORECASE):
            lines.append(item(name, incar.logical(name, False), "  "))
        elif re.fullmatch(r"\w+", name):  # names become attributes: what is no tag stays out
            lines.append(item(name, text, "  "))
    return f" <incar>\n{''.join(lines)} </incar>\n"


def parameters_block(inputs: Inputs) -> str:
    """Write all that readers look up, with the defaults."""
    incar, settings = inputs.incar, inputs.settings
    grid = basis.grid(inputs)
    tree = {
        "general": {"SYSTEM": basis.title(inputs)},
        "electronic": {
            "PREC": incar.text("PREC", "normal"),
            "ENMAX": settings.encut,
            "EDIFF": settings.ediff,
            "IALGO": incar.integer("IALGO", ALGORITHMS.get(incar.text("ALGO", "Normal")[:1].lower(), 38)),
            "NBANDS": basis.bands(inputs),
            "NELECT": float(basis.electrons(inputs)),
            "electronic smearing": {
                "ISMEAR": incar.integer("ISMEAR", 1),
                "SIGMA": incar.number("SIGMA", 0.2),
                "KSPACING": incar.number("KSPACING", 0.5),
                "KGAMMA": incar.logical("KGAMMA", True),
            },
            "electronic startup": {"ISTART": incar.integer("ISTART", 0), "ICHARG": incar.integer("ICHARG", 2)},
            "electronic spin": {
                "ISPIN": incar.integer("ISPIN", 1),
                "LNONCOLLINEAR": incar.logical("LNONCOLLINEAR", False),
                "MAGMOM": incar.numbers("MAGMOM") or [1.0] * len(inputs.atoms),
                "NUPDOWN": incar.number("NUPDOWN", -1.0),
                "LSORBIT": incar.logical("LSORBIT", False),
            },
            "electronic exchange-correlation": {
                "LASPH": incar.logical("LASPH", False),
                "LMETAGGA": "METAGGA" in incar.tags,
            },
            "electronic convergence": {
                "NELM": settings.nelm,
                "NELMDL": incar.integer("NELMDL", -5),
                "NELMIN": settings.nelmin,
            },
            "electronic mixer": {"AMIX": incar.number("AMIX", 0.4), "BMIX": incar.number("BMIX", 1.0)},
        },
        "grids": {
            **{f"NG{axis}": number for axis, number in zip("XYZ", grid, strict=True)},
            **{f"NG{axis}F": 2 * number for axis, number in zip("XYZ", grid, strict=True)},
        },
        "ionic": {
            "NSW": settings.nsw,
            "IBRION": settings.ibrion,
            "MDALGO": settings.mdalgo,
            "ISIF": settings.isif,
            "PSTRESS": 0.0,
            "EDIFFG": settings.ediffg,
            "NFREE": incar.integer("NFREE", 0),
            "POTIM": settings.potim,
            "SMASS": settings.smass,
            "SCALEE": 1.0,
        },
        "ionic md": {
            "TEBEG": settings.tebeg,
            "TEEND": settings.teend,
            "NBLOCK": settings.nblock,
            "KBLOCK": incar.integer("KBLOCK", 1),
        },
        "symmetry": {"ISYM": settings.isym, "SYMPREC": settings.symprec},
        "dos": {"LORBIT": incar.integer("LORBIT", 0), "NEDOS": incar.integer("NEDOS", 301)},
        "writing": {
            "NWRITE": incar.integer("NWRITE", 2),
            "LWAVE": incar.logical("LWAVE", True),
            "LCHARG": incar.logical("LCHARG", True),
        },
        "miscellaneous": {"POMASS": [potcar.mass for potcar in inputs.potcars]},
        "LDAU": incar.logical("LDAU", False),
        "electronic exchange-correlation ": {
            "GGA": incar.text("GGA", "--"),
            "VOSKOWN": incar.integer("VOSKOWN", 0),
            "LHFCALC": incar.logical("LHFCALC", False),
            "AEXX": incar.number("AEXX", 0.0),
            "HFSCREEN": incar.number("HFSCREEN", 0.0),
        },
        "vdW DFT": {"LUSE_VDW": incar.logical("LUSE_VDW", False)},
    }
    return f" <parameters>\n{_branches(tree, '  ')} </parameters>\n"


def _branches(tree: dict[str, Any], indent: str) -> str:
    lines = []
    for name, value in tree.items():
        if isinstance(value, dict):
            inner = _branches(value, indent + " ")
            # VASP has two separators of this name; a space keeps them apart here.
            lines.append(f'{indent}<separator name="{name.strip()}" >\n{inner}{indent}</separator>\n')
        elif isinstance(value, list):
            lines.append(vector(name, value, indent))
        else:
            lines.append(item(name, value, indent))
    return "".join(lines)
