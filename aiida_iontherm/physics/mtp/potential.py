"""The potential as the rest of the house sees it: make, read, write, evaluate."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from aiida_iontherm.physics.mtp.basis import BasisTables, basis_tables
from aiida_iontherm.physics.mtp.files import MtpFile, read_mtp_file, species_tag, write_mtp_file
from aiida_iontherm.physics.mtp.kernel import Kernel, compile_potential
from aiida_iontherm.physics.mtp.selection import ActiveSet, make_grader

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from aiida_iontherm import _native

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What a potential says about one configuration.

    Attributes
    ----------
    energies : float array [N]
        Energy of each atom in eV; their sum is the energy of the cell.
    forces : float array [N, 3]
        In eV/Angstrom.
    stress : float array [3, 3] or None
        In eV/Angstrom^3, positive under tension (ASE's sign); None without a three-dimensional period.
    virials : float array [N, 3, 3] or None
        In eV: virials[j, a, b] = sum_i (r_i - r_j)_a dU_i/dr_j,b, so that the potential part of the heat current is
        J_a = sum_jb virials[j, a, b] v_j,b (exact for many-body energies).
    grades : float array [N] or None
        Extrapolation grades, where they were asked for: up to 1 is interpolation. Where the active set is one of whole
        configurations, all atoms have the grade of theirs.
    """

    energies: Array
    forces: Array
    stress: Array | None
    virials: Array | None = None
    grades: Array | None = None

    @property
    def energy(self) -> float:
        """Energy of the cell in eV."""
        return float(self.energies.sum())


@dataclass(frozen=True, eq=False)
class MomentTensorPotential:
    """Moment tensor potential (Shapeev, Multiscale Model. Simul. 14, 1153 (2016)).

    The energy of atom i is species_coeffs[z_i] + sum_a moment_coeffs[a] B_a(neighbourhood of i). The radial functions
    are f_mu(r) = sum_k radial_coeffs[z_i, z_j, mu, k] T_k(x(r)) scaling (cutoff - r)^2 with Chebyshev polynomials on
    x in [-1, 1] between min_distance and cutoff, zero beyond.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols in the order of the coefficients.
    tables : BasisTables
        The basis scalars.
    min_distance, cutoff : float
        In Angstrom.
    radial_coeffs : float array [species, species, n_radial, chebyshev]
    species_coeffs : float array [species]
        In eV.
    moment_coeffs : float array [scalars]
    scaling : float
    source : MtpFile or None
        The file it was read from: what that says beyond the potential is written back.
    active_set : ActiveSet or None
        What extrapolation grades are measured against. Training attaches it; see `selection.active_set_of`.
    """

    species: tuple[str, ...]
    tables: BasisTables
    min_distance: float
    cutoff: float
    radial_coeffs: Array
    species_coeffs: Array
    moment_coeffs: Array
    scaling: float = 1.0
    source: MtpFile | None = None
    active_set: ActiveSet | None = None

    def __post_init__(self) -> None:
        n = len(self.species)
        if len(set(self.species)) != n or any(symbol not in atomic_numbers for symbol in self.species):
            raise ValueError(f"species must be different chemical symbols, not {', '.join(self.species)}")
        if not 0 <= self.min_distance < self.cutoff:
            raise ValueError(
                f"the minimum distance must lie between 0 and the cutoff, not at {self.min_distance} of {self.cutoff}"
            )
        expected = {
            "species_coeffs": (n,),
            "moment_coeffs": (len(self.tables.scalars),),
            "radial_coeffs": (n, n, self.tables.n_radial, self.radial_coeffs.shape[-1]),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape} where {n} species and this basis need {shape}")
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{name} holds numbers that are not finite: the potential is damaged, train it again")

    @classmethod
    def new(
        cls,
        *,
        level: int,
        species: list[str] | tuple[str, ...],
        cutoff: float = 5.0,
        min_distance: float = 1.5,
        radial_size: int = 8,
        seed: int = 0,
    ) -> MomentTensorPotential:
        """Make an untrained potential.

        Radial function mu starts as the Chebyshev polynomial of order mu, with a little noise that tells the pairs
        of species apart; linear coefficients start at zero.

        Parameters
        ----------
        level : int
            Even, from 2 on; 8 to 12 are coarse, 16 to 22 are what papers use.
        species : list of str
            Chemical symbols.
        cutoff, min_distance : float
            In Angstrom.
        radial_size : int
            Number of Chebyshev polynomials.
        seed : int
            Seed of the noise.

        Raises
        ------
        ValueError
            For a bad level, species or range.
        """
        tables = basis_tables(level)
        if radial_size < 2:
            raise ValueError(f"a radial basis needs at least 2 polynomials, not {radial_size}")
        n = len(species)
        radial = np.random.default_rng(seed).uniform(-0.1, 0.1, (n, n, tables.n_radial, radial_size))
        for mu in range(tables.n_radial):
            radial[:, :, mu, mu % radial_size] += 1.0
        return cls(
            species=tuple(species),
            tables=tables,
            min_distance=min_distance,
            cutoff=cutoff,
            radial_coeffs=radial / (cutoff - min_distance) ** 2,
            species_coeffs=np.zeros(n),
            moment_coeffs=np.zeros(len(tables.scalars)),
        )

    @classmethod
    def read(cls, path: str | Path, species: list[str] | tuple[str, ...]) -> MomentTensorPotential:
        """Read a ``.mtp`` file of MLIP-2, MLIP-3 or motep.

        The format carries no element names: give them in the order of the file.

        Raises
        ------
        ValueError
            If the file is no complete, finite potential, has another number of species, or names (as ours do) the same
            species in another order.
        """
        path = Path(path)
        content = read_mtp_file(path)
        if content.species_count != len(species):
            raise ValueError(
                f"{path} holds {content.species_count} species but {len(species)} names were given "
                f"({', '.join(species)})"
            )
        if content.species is not None and content.species != tuple(species):
            raise ValueError(
                f"{path} is a potential of {', '.join(content.species)} in this order, not of {', '.join(species)}"
            )
        return cls(
            species=tuple(species),
            tables=content.tables,
            min_distance=content.min_distance,
            cutoff=content.cutoff,
            radial_coeffs=content.radial_coeffs,
            species_coeffs=content.species_coeffs,
            moment_coeffs=content.moment_coeffs,
            scaling=content.scaling,
            source=content,
        )

    def write(self, path: str | Path) -> None:
        """Write a ``.mtp`` file in the flat layout that MLIP-2, MLIP-3 and motep all read."""
        content = MtpFile(
            species_count=len(self.species),
            tables=self.tables,
            min_distance=self.min_distance,
            cutoff=self.cutoff,
            radial_coeffs=self.radial_coeffs,
            species_coeffs=self.species_coeffs,
            moment_coeffs=self.moment_coeffs,
            scaling=self.scaling,
            potential_tag=species_tag(self.species),
        )
        if self.source is not None:
            content = dataclasses.replace(
                content,
                potential_name=self.source.potential_name,
                potential_tag=self.source.potential_tag or content.potential_tag,
                metadata=self.source.metadata,
                # A selection belongs to the coefficients it was made with.
                selection_state=self.source.selection_state if self._has_coefficients_of(self.source) else b"",
            )
        write_mtp_file(Path(path), content)

    def _has_coefficients_of(self, source: MtpFile) -> bool:
        return all(
            np.array_equal(getattr(self, name), getattr(source, name))
            for name in ("radial_coeffs", "species_coeffs", "moment_coeffs")
        )

    def replace(self, **changes: Any) -> MomentTensorPotential:
        """Return a copy with other coefficients."""
        return dataclasses.replace(self, **changes)

    @cached_property
    def compiled(self) -> _native.Potential:
        """The form that the compiled kernel works with; made at the first use."""
        return compile_potential(self)

    def evaluate(self, atoms: Atoms, virials: bool = True, grades: bool = False) -> Evaluation:
        """Energies, forces, stress and, if wanted, per-atom virials of one configuration.

        For many steps of the same cell use `calculator`, which keeps its neighbour list.

        Raises
        ------
        ValueError
            If a species is not the potential's, or grades are asked of a potential without an active set.
        """
        evaluation = Kernel(self, skin=0.0).evaluate(atoms, virials=virials)
        if not grades:
            return evaluation
        if self.active_set is None:
            raise ValueError(
                "this potential carries no active set, so it has no extrapolation grades: make one of its training set "
                "with selection.active_set_of and attach it with replace(active_set=...)"
            )
        values = make_grader(self, self.active_set)(atoms)
        return dataclasses.replace(evaluation, grades=np.broadcast_to(values, len(atoms)).copy())

    def calculator(self) -> Calculator:
        """Return an ASE calculator with energy, energies, forces and stress."""
        from aiida_iontherm.physics.mtp.calculator import MtpCalculator

        return MtpCalculator(self)

    def check_species(self, symbols: list[str]) -> None:
        """Raise ``ValueError`` if any of these chemical symbols is not covered."""
        missing = sorted(set(symbols) - set(self.species))
        if missing:
            raise ValueError(
                f"the potential knows {', '.join(self.species)} but not {', '.join(missing)}: "
                "train one for this compound or correct the order given with --species"
            )
