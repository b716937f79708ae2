"""Nudged elastic band of ASE, one step at a time, so that it can be stopped anywhere and continued.

The ends are relaxed, then the band between them, and then its highest image climbs to the saddle (G. Henkelman, B. P.
Uberuaga, H. Jonsson, J. Chem. Phys. 113, 9901 (2000); improved tangents: 113, 9978). All by FIRE (E. Bitzek et al.,
Phys. Rev. Lett. 97, 170201 (2006)): the forces on a band have no energy that other optimisers could count on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from ase.optimize import FIRE
from numpy.typing import NDArray

from aiida_iontherm.physics.ions.migration_paths import first_path

STAGES = ("start", "end", "band", "climb", "done")

CLIMB_BELOW_EV_A = 0.3
"""The highest image climbs once no force across the path is larger: before, it may be on the wrong slope."""

APART_A = 0.3
"""Ends that are nearer after their relaxation are one and the same minimum."""

LARGEST_FORCE_EV_A = 1e3
"""Beyond it atoms lie on each other."""


class CollapsedPathError(RuntimeError):
    """One end of the path is no minimum of its own: relaxed, it is the other one."""


class UnstablePathError(RuntimeError):
    """Energies or forces on the path are no numbers, or of atoms on top of each other."""


@dataclass(frozen=True, kw_only=True)
class BandSettings:
    """How a band is relaxed.

    Attributes
    ----------
    images
        Between the ends.
    fmax
        Largest force left, on the ends and across the path, eV/Angstrom.
    climb
        Whether the highest image climbs to the saddle.
    max_steps
        Steps of each stage at most.
    spring
        Constant of the springs, eV/Angstrom^2.
    """

    images: int
    fmax: float
    climb: bool
    max_steps: int
    spring: float = 0.1


class ElasticBand:
    """A band between two ends.

    Parameters
    ----------
    start, end
        The same atoms in the same order and one cell; the ion at the end not wrapped.
    ion
        Index of the ion that hops.
    calculator
        One for all images.
    settings
        How the band is relaxed.
    given
        All images of a path to begin with, both ends included; else ASE's pair potential finds them between the relaxed
        ends.

    Attributes
    ----------
    stage
        One of `STAGES`.
    steps
        Of this stage.
    total_steps
        Of all stages.
    residual
        Largest force at the last step, eV/Angstrom.
    converged
        By stage, whether it ended with forces below fmax.
    """

    def __init__(
        self,
        start: Atoms,
        end: Atoms,
        ion: int,
        calculator: Calculator,
        settings: BandSettings,
        given: Sequence[Atoms] | None = None,
    ) -> None:
        if settings.images < 1:
            raise ValueError("a band needs at least one image between its ends")
        self.settings = settings
        self.ion = ion
        self._calculator = calculator
        self.images = [start.copy(), *(start.copy() for _ in range(settings.images)), end.copy()]
        self._given = None if given is None else np.array([image.positions for image in given])
        self.stage = STAGES[0]
        self.steps = self.total_steps = 0
        self.residual = np.inf
        self.converged: dict[str, bool] = {}
        self._ends: dict[int, tuple[float, NDArray[np.float64]]] = {}
        self._end_residual = 0.0
        self._neb: NEB | None = None
        self._enter(STAGES[0])

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stage == "done"

    def step(self) -> None:
        """Evaluate, and move on: one step of the optimiser, or the next stage if this one is over.

        Raises
        ------
        CollapsedPathError
            If the ends relax to one minimum.
        UnstablePathError
            If the potential does not hold the atoms together.
        """
        forces = self._target.forces()
        self.residual = float(np.sqrt((forces**2).sum(axis=1).max()))
        if not np.isfinite(self.residual) or self.residual > LARGEST_FORCE_EV_A:
            raise UnstablePathError(
                f"a force of {self.residual:.3g} eV/Angstrom was met while relaxing the {self.what}"
            )
        target = max(self.settings.fmax, CLIMB_BELOW_EV_A) if self._will_climb else self.settings.fmax
        if self.residual <= target or self.steps >= self.settings.max_steps:
            self.converged[self.stage] = self.residual <= target
            self._leave()
            return
        self._optimiser.step()
        self.steps += 1
        self.total_steps += 1

    @property
    def what(self) -> str:
        """The stage in words."""
        return {"climb": "band with its climbing image"}.get(self.stage, self.stage)

    @property
    def highest_ev(self) -> float:
        """Highest image above the first one at the last step, eV; NaN while the ends are relaxed."""
        energies = getattr(self._neb, "energies", None) if self._neb is not None else None
        return float("nan") if energies is None else float(np.max(energies) - energies[0])

    @property
    def residual_force(self) -> float:
        """Largest force left on ends and band, for the verdict, eV/Angstrom."""
        return max(self._end_residual, self.residual)

    def profile(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Energies [n] eV, forces [n, atoms, 3] eV/Angstrom and positions [n, atoms, 3] Angstrom of a finished band."""
        neb = self._neb
        if neb is None or not self.finished:
            raise RuntimeError("the band is not relaxed yet")
        forces = np.array(neb.real_forces)
        forces[0], forces[-1] = self._ends[0][1], self._ends[-1][1]
        return np.array(neb.energies), forces, np.array([image.positions for image in self.images])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """Plain data and arrays to continue from."""
        optimiser = self._optimiser
        meta = {
            "stage": self.stage,
            "steps": self.steps,
            "total_steps": self.total_steps,
            "converged": self.converged,
            "end_residual": self._end_residual,
            "end_energies": {str(index): energy for index, (energy, _) in self._ends.items()},
            "fire": {"dt": optimiser.dt, "a": optimiser.a, "Nsteps": optimiser.Nsteps},
        }
        arrays = {"positions": np.array([image.positions for image in self.images])}
        arrays |= {f"end_forces_{index}": forces for index, (_, forces) in self._ends.items()}
        if optimiser.vel is not None:
            arrays["velocity"] = np.array(optimiser.vel)
        return meta, arrays

    def restore(self, meta: dict[str, Any], arrays: dict[str, NDArray[np.float64]]) -> None:
        """Go on from a state of a band made with the same arguments."""
        for image, positions in zip(self.images, arrays["positions"], strict=True):
            image.positions = positions
        self._ends = {
            int(index): (energy, arrays[f"end_forces_{index}"]) for index, energy in meta["end_energies"].items()
        }
        self._enter(meta["stage"])
        self.steps, self.total_steps = meta["steps"], meta["total_steps"]
        self.converged = meta["converged"]
        self._end_residual = meta["end_residual"]
        optimiser = self._optimiser
        optimiser.dt, optimiser.a, optimiser.Nsteps = (meta["fire"][key] for key in ("dt", "a", "Nsteps"))
        if "velocity" in arrays:
            optimiser.vel = np.array(arrays["velocity"])

    @property
    def _will_climb(self) -> bool:
        return self.stage == "band" and self.settings.climb

    def _enter(self, stage: str) -> None:
        self.stage, self.steps = stage, 0
        if stage in ("start", "end"):
            image = self.images[0 if stage == "start" else -1]
            image.calc = self._calculator
            self._target = _Target([image], image.get_forces)
        elif stage in ("band", "climb"):
            for index in (0, -1):
                energy, forces = self._ends[index]
                image = self.images[index]
                image.calc = SinglePointCalculator(image, energy=energy, forces=forces)
            for image in self.images[1:-1]:
                image.calc = self._calculator
            self._neb = NEB(
                self.images,
                k=self.settings.spring,
                climb=stage == "climb",
                method="improvedtangent",
                allow_shared_calculator=True,
            )
            self._target = _Target(self.images[1:-1], self._neb.get_forces)
        self._optimiser = FIRE(self._target, logfile=None)

    def _leave(self) -> None:
        """Keep what the stage found and begin the next one."""
        if self.stage in ("start", "end"):
            index = 0 if self.stage == "start" else -1
            image = self.images[index]
            energy = float(image.get_potential_energy())
            if not np.isfinite(energy):
                raise UnstablePathError(f"the energy of the {self.stage} is no number")
            self._ends[index] = (energy, np.array(image.get_forces()))
            self._end_residual = max(self._end_residual, self.residual)
        if self.stage == "end":
            self._interpolate()
        following = STAGES[STAGES.index(self.stage) + 1]
        if following == "climb" and not self.settings.climb:
            following = "done"
        if following == "done":
            self.stage = "done"
        else:
            self._enter(following)

    def _interpolate(self) -> None:
        """First images of the band between the relaxed ends."""
        start, end = self.images[0], self.images[-1]
        apart = float(np.linalg.norm(end.positions[self.ion] - start.positions[self.ion]))
        if apart < APART_A:
            raise CollapsedPathError(
                f"start and end relax to one minimum ({apart:.2f} Angstrom apart): one of them is no site of its own"
            )
        if self._given is None:
            path = first_path(start, end, self.settings.images, self.ion)
            positions = np.array([image.positions for image in path])
        else:
            # the images between follow their ends
            parts = np.linspace(0, 1, len(self._given))[:, None, None]
            shift_start, shift_end = start.positions - self._given[0], end.positions - self._given[-1]
            positions = self._given + (1 - parts) * shift_start + parts * shift_end
        for image, places in zip(self.images[1:-1], positions[1:-1], strict=True):
            image.positions = places


class _Target:
    """What the optimiser moves: coordinates and the forces on them, evaluated once for each set of positions."""

    def __init__(self, images: Sequence[Atoms], forces: Callable[[], NDArray[np.float64]]) -> None:
        self._images = images
        self._evaluate = forces
        self._forces: NDArray[np.float64] | None = None

    def __ase_optimizable__(self) -> _Target:
        return self

    def forces(self) -> NDArray[np.float64]:
        """Return the forces [images * atoms, 3]."""
        if self._forces is None:
            self._forces = np.array(self._evaluate()).reshape(-1, 3)
        return self._forces

    def get_gradient(self) -> NDArray[np.float64]:
        """Return the gradient, flat."""
        return -self.forces().ravel()

    def get_x(self) -> NDArray[np.float64]:
        """Return the coordinates, flat."""
        return np.concatenate([image.positions for image in self._images]).ravel()

    def set_x(self, x: NDArray[np.float64]) -> None:
        """Move."""
        for image, positions in zip(self._images, x.reshape(len(self._images), -1, 3), strict=True):
            image.positions = positions
        self._forces = None

    def ndofs(self) -> int:
        """Return the number of coordinates."""
        return sum(3 * len(image) for image in self._images)
