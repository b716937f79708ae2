"""POTCAR: what the program reads of one, and synthetic files to try a chain out without a licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase.data import atomic_masses, atomic_numbers

from aiida_iontherm.engines.mock_vasp.errors import VaspStop

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOBLE_GASES = (2, 10, 18, 36, 54, 86)
CUTOFF = 300.0
"""ENMAX of the synthetic files, eV; it decides nothing but the default of ENCUT."""

TEMPLATE = """\
  PAW_PBE {name} synthetic
   {valence:.4f}
 parameters from PSCTR are:
   SHA256 = none: a synthetic file of iontherm-mock-vasp, it holds no potential and is not for computing
   VRHFIN ={element}: synthetic
   LEXCH  = PE
   EATOM  =     0.0000 eV,    0.0000 Ry

   TITEL  = PAW_PBE {name} synthetic
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        0    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =     .000    partial core radius
   POMASS = {mass:8.3f}; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    2.000    outmost cutoff radius
   RWIGS  =    2.500; RWIGS  =    1.323    wigner-seitz radius (au A)
   ENMAX  = {cutoff:8.3f}; ENMIN  = {low_cutoff:8.3f} eV
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
 END of PSCTR-controll parameters
 There is no potential in this file: VASP stops here.
 End of Dataset
"""


@dataclass(frozen=True)
class Potcar:
    """The head of one data set: title, element, mass in u, valence electrons, largest recommended cutoff in eV."""

    title: str
    element: str
    mass: float
    valence: float
    cutoff: float
    lexch: str

    @classmethod
    def parse(cls, text: str) -> Potcar:
        """Read the head of one data set; mass, valence and cutoff may be missing, the title may not.

        Raises
        ------
        VaspStop
            If there is no title that names an element.
        """
        fields = dict(re.findall(r"(\w+)\s*=\s*(.*?)\s*(?=;|$)", text.partition("END of PSCTR")[0], flags=re.MULTILINE))
        words = fields.get("TITEL", "").split()
        element = re.split(r"[_.\d]", words[1])[0] if len(words) > 1 else ""
        if element not in atomic_numbers:
            raise VaspStop("ERROR: a data set of POTCAR has no TITEL that names an element: is the file whole?")
        return cls(
            title=" ".join(words),
            element=element,
            mass=_leading(fields.get("POMASS"), float(atomic_masses[atomic_numbers[element]])),
            valence=_leading(fields.get("ZVAL"), float(valence_electrons(element))),
            cutoff=_leading(fields.get("ENMAX"), CUTOFF),
            lexch=fields.get("LEXCH", "PE"),
        )


def read_potcars(text: str) -> tuple[Potcar, ...]:
    """Split a POTCAR into the heads of its data sets, in order."""
    datasets = text.split("End of Dataset")
    return tuple(Potcar.parse(dataset) for dataset in datasets if dataset.strip())


def write_potcars(folder: Path, names: Iterable[str]) -> list[Path]:
    """Write synthetic POTCAR files in the layout of the distributed sets, ``folder/Cu_pv/POTCAR``.

    Their heads carry what plugins look up: title, element, functional, cutoffs, mass and valence (electrons outside the
    noble-gas core and filled d and f shells below a p shell). There is no potential in them, and they say so.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    names : iterable of str
        Elements, or names of data sets such as ``Cu_pv``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If a name does not begin with an element; nothing is written then.
    """
    names = list(names)
    for name in names:
        if not re.fullmatch(r"[A-Z][a-z]?(_\w+)?", name) or name.partition("_")[0] not in atomic_numbers:
            raise ValueError(f"{name} is no element: give names such as Cu or Cu_pv")
    files = []
    for name in names:
        element = name.partition("_")[0]
        file = folder / name / "POTCAR"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            TEMPLATE.format(
                name=name,
                element=element,
                mass=atomic_masses[atomic_numbers[element]],
                valence=float(valence_electrons(element)),
                cutoff=CUTOFF,
                low_cutoff=0.75 * CUTOFF,
            )
        )
        files.append(file)
    return files


def valence_electrons(element: str) -> int:
    """Count the electrons outside the noble-gas core, without filled d and f shells below a p shell."""
    number = atomic_numbers[element]
    core = max((gas for gas in NOBLE_GASES if gas < number), default=0)
    outside = number - core
    if outside > 26:  # 6th period from Tl on: 4f and 5d are filled
        return outside - 24
    if core >= 54 and outside > 16:  # Hf to Hg: 4f is filled
        return outside - 14
    if 12 < outside <= 18 and 18 <= core < 54:  # Ga to Kr, In to Xe: d is filled
        return outside - 10
    return outside


def _leading(text: str | None, default: float) -> float:
    match = re.match(r"[+-]?[\d.]+", text or "")
    return float(match[0]) if match else default
