"""What the tags of INCAR mean to the program, with VASP's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida_iontherm.engines.mock_vasp.errors import VaspStop

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.incar import Incar

STATIC, DYNAMICS, QUASI_NEWTON, CONJUGATE_GRADIENTS = -1, 0, 1, 2
NVE, RESCALING = -3.0, -1.0


@dataclass(frozen=True)
class Settings:
    """Electronic and ionic settings of a run; names and units are those of the tags (eV, eV/Angstrom, fs, K, 1/ps)."""

    encut: float
    ediff: float
    nelm: int
    nelmin: int
    ibrion: int
    nsw: int
    isif: int
    isym: int
    symprec: float
    ediffg: float
    potim: float
    tebeg: float
    teend: float
    nblock: int
    mdalgo: int
    smass: float
    langevin_gamma: tuple[float, ...]
    random_seed: tuple[int, ...]

    @property
    def ionic_steps(self) -> int:
        """Largest number of ionic steps."""
        return max(1, self.nsw) if self.ibrion != STATIC else 1

    @property
    def stress(self) -> bool:
        """Whether the stress is computed: ISIF = 0 leaves it out."""
        return self.isif > 0


def read_settings(incar: Incar, species: int, cutoff: float) -> Settings:
    """Resolve the tags as VASP does.

    Parameters
    ----------
    incar : Incar
        Tags of the run.
    species : int
        Number of species of POSCAR, for LANGEVIN_GAMMA.
    cutoff : float
        ENCUT where INCAR has none, eV.

    Raises
    ------
    VaspStop
        If a tag is unreadable, missing, or asks for what this program cannot do.
    """
    nsw = incar.integer("NSW", 0)
    ibrion = incar.integer("IBRION", STATIC if nsw in (-1, 0) else DYNAMICS)
    moves = nsw > 0 and ibrion != STATIC
    dynamics = moves and ibrion == DYNAMICS
    if dynamics and "POTIM" not in incar.tags:
        raise VaspStop("Fatal error! IBRION=0, but no entry for POTIM on file INCAR. MUST be specified!!")
    ediff = incar.number("EDIFF", 1e-4)
    tebeg = incar.number("TEBEG", 1e-4)
    settings = Settings(
        encut=incar.number("ENCUT", cutoff),
        ediff=ediff,
        nelm=incar.integer("NELM", 60),
        nelmin=incar.integer("NELMIN", 2),
        ibrion=ibrion,
        nsw=nsw,
        isif=incar.integer("ISIF", 0 if ibrion == DYNAMICS else 2),
        isym=incar.integer("ISYM", 0 if ibrion == DYNAMICS else 2),
        symprec=incar.number("SYMPREC", 1e-5),
        ediffg=incar.number("EDIFFG", 10 * ediff),
        potim=incar.number("POTIM", 0.5),
        tebeg=tebeg,
        teend=incar.number("TEEND", tebeg),
        nblock=incar.integer("NBLOCK", 1),
        mdalgo=incar.integer("MDALGO", 0),
        smass=incar.number("SMASS", NVE),
        langevin_gamma=tuple(incar.numbers("LANGEVIN_GAMMA")) or (0.0,) * species,
        random_seed=tuple(int(number) for number in incar.numbers("RANDOM_SEED")),
    )
    if incar.number("PSTRESS", 0.0) != 0.0:
        raise _unable("PSTRESS", incar.number("PSTRESS", 0.0))
    if moves:
        _check_motion(settings, species, incar.number("ANDERSEN_PROB", 0.0))
    return settings


def _check_motion(settings: Settings, species: int, andersen: float) -> None:
    if settings.ibrion not in (DYNAMICS, QUASI_NEWTON, CONJUGATE_GRADIENTS):
        raise _unable("IBRION", settings.ibrion)
    if settings.ibrion != DYNAMICS:
        if settings.isif not in (0, 1, 2, 3, 4, 8):
            raise _unable("ISIF", settings.isif)
        return
    if settings.isif > 2:
        raise _unable("ISIF", f"{settings.isif} with IBRION = 0")
    if settings.potim <= 0:
        raise VaspStop(f"ERROR: POTIM = {settings.potim} is no time step: give one in fs.")
    if settings.mdalgo not in (0, 1, 2, 3):
        raise _unable("MDALGO", settings.mdalgo)
    if andersen != 0.0:
        raise _unable("ANDERSEN_PROB", andersen)
    if settings.smass < 0 and settings.smass not in (NVE, RESCALING):
        raise _unable("SMASS", settings.smass)
    if len(settings.langevin_gamma) != species:
        raise VaspStop(
            f"ERROR: LANGEVIN_GAMMA has {len(settings.langevin_gamma)} values for {species} species: give one for each."
        )
    thermostat = settings.mdalgo in (0, 2) and settings.smass >= 0
    if thermostat and settings.tebeg != settings.teend:
        raise _unable("TEEND", f"{settings.teend} (a ramp) with a Nose thermostat")


def _unable(tag: str, value: object) -> VaspStop:
    return VaspStop(f"ERROR: {tag} = {value} is beyond this stand-in for VASP.")
