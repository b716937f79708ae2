"""What a report is made of: one frozen record of plain values and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_iontherm.physics.quantity import Quantity

if TYPE_CHECKING:
    from aiida_iontherm.physics.ions import DensityMap, JumpSites, Residence, VanHove
    from aiida_iontherm.report.figures.nemd import NemdData

NODE_KINDS = ("process", "calcfunction", "data")


def _check_shape(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless `array` has `shape`."""
    if np.shape(array) != shape:
        raise ValueError(f"{what} has shape {np.shape(array)}, expected {shape}")


@dataclass(frozen=True, kw_only=True, eq=False)
class KappaData:
    """Lattice thermal conductivity by channel.

    Attributes
    ----------
    temperatures
        [T] in K.
    particle, wave, total
        [T, 3, 3] in W/(m K), Cartesian axes.
    uncertainty
        [T, 3, 3], one standard error of `total` in W/(m K); ``None`` where the method gives none.
    """

    temperatures: np.ndarray
    particle: np.ndarray
    wave: np.ndarray
    total: np.ndarray
    uncertainty: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.temperatures), 3, 3)
        for name in ("particle", "wave", "total"):
            _check_shape(f"KappaData.{name}", getattr(self, name), shape)
        if self.uncertainty is not None:
            _check_shape("KappaData.uncertainty", self.uncertainty, shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class SpectralData:
    """Conductivity per frequency at one temperature.

    Attributes
    ----------
    temperature
        In K.
    frequencies_thz
        [n] in THz.
    particle, wave
        [n, 3] diagonal components in W/(m K) per THz.
    """

    temperature: float
    frequencies_thz: np.ndarray
    particle: np.ndarray
    wave: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.frequencies_thz), 3)
        _check_shape("SpectralData.particle", self.particle, shape)
        _check_shape("SpectralData.wave", self.wave, shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class DosData:
    """Vibrational density of states by species.

    Attributes
    ----------
    temperature
        Temperature of the force constants or of the trajectory, in K.
    frequencies_thz
        [n] in THz; negative means imaginary.
    by_species
        Species -> [n] in states per THz.
    """

    temperature: float
    frequencies_thz: np.ndarray
    by_species: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if not self.by_species:
            raise ValueError("DosData.by_species is empty: give at least one species, or leave the DOS out")
        for species, states in self.by_species.items():
            _check_shape(f"DosData.by_species[{species!r}]", states, (len(self.frequencies_thz),))


@dataclass(frozen=True, kw_only=True, eq=False)
class MsdData:
    """Mean-square displacement of one species at one temperature.

    Attributes
    ----------
    ion
        Species, e.g. ``Cu``.
    temperature
        In K.
    lags_ps
        [n] in ps.
    msd
        [n, 3] diagonal components in Angstrom^2.
    window_ps
        First and last lag of the fit of D in ps, or ``None`` where no fit was made.
    mobile
        Whether the species is that of the mobile ions, else it belongs to the framework.
    """

    ion: str
    temperature: float
    lags_ps: np.ndarray
    msd: np.ndarray
    window_ps: tuple[float, float] | None = None
    mobile: bool = True

    def __post_init__(self) -> None:
        _check_shape("MsdData.msd", self.msd, (len(self.lags_ps), 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class VdosData:
    """Vibrational density of states of a trajectory, by species, direction and crystallographic site.

    Attributes
    ----------
    temperature
        In K.
    frequencies_thz
        [n] in THz.
    by_species
        Species -> [n] in states per THz, of all atoms of the species.
    by_direction
        Species -> [n, 3] along x, y and z; they add up to that of the species. Empty where it was not resolved.
    by_site
        Species -> site -> [n], for species on more than one site; they add up to that of the species.
    """

    temperature: float
    frequencies_thz: np.ndarray
    by_species: Mapping[str, np.ndarray]
    by_direction: Mapping[str, np.ndarray] = field(default_factory=dict)
    by_site: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.by_species:
            raise ValueError("VdosData.by_species is empty: give at least one species, or leave the VDOS out")
        for species, states in self.by_species.items():
            _check_shape(f"VdosData.by_species[{species!r}]", states, (len(self.frequencies_thz),))
        for species, states in self.by_direction.items():
            _check_shape(f"VdosData.by_direction[{species!r}]", states, (len(self.frequencies_thz), 3))
        for sites in self.by_site.values():
            for site, states in sites.items():
                _check_shape(f"VdosData.by_site[{site!r}]", states, (len(self.frequencies_thz),))


@dataclass(frozen=True, kw_only=True, eq=False)
class HopsData:
    """Where the mobile ions were in runs with hops, and how they moved.

    Attributes
    ----------
    ion
        Species.
    temperature
        In K.
    density
        Counts on a grid.
    sites
        Its maxima.
    correlations
        Van Hove functions.
    hops
        Number of hops seen.
    runs, duration_ps
        Number of runs, and their length together.
    residence
        Of all sites together; ``None`` where it is not known.
    """

    ion: str
    temperature: float
    density: DensityMap
    sites: JumpSites
    correlations: VanHove
    hops: int
    runs: int
    duration_ps: float
    residence: Residence | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GreenKuboData:
    """Running Green-Kubo integrals of the heat current at one temperature.

    Attributes
    ----------
    temperature
        In K.
    lags_ps
        [n] in ps.
    kappa, uncertainty
        [n, 3] along x, y and z in W/(m K), with one standard error.
    window_ps
        Lags over which the plateau is averaged.
    others
        Other estimates of the conductivity of the same run.
    """

    temperature: float
    lags_ps: np.ndarray
    kappa: np.ndarray
    uncertainty: np.ndarray
    window_ps: tuple[float, float]
    others: Sequence[Quantity] = ()

    def __post_init__(self) -> None:
        shape = (len(self.lags_ps), 3)
        _check_shape("GreenKuboData.kappa", self.kappa, shape)
        _check_shape("GreenKuboData.uncertainty", self.uncertainty, shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class BarrierData:
    """Energy along one path of a migrating ion.

    Attributes
    ----------
    label
        Name of the path.
    path_A, energies_ev
        [images] length along the path in Angstrom, and energy over the start in eV.
    curve_path_A, curve_ev
        [n] interpolation with the forces.
    converged
        Whether the forces on the images are small enough.
    """

    label: str
    path_A: np.ndarray
    energies_ev: np.ndarray
    curve_path_A: np.ndarray
    curve_ev: np.ndarray
    converged: bool

    def __post_init__(self) -> None:
        _check_shape("BarrierData.energies_ev", self.energies_ev, np.shape(self.path_A))
        _check_shape("BarrierData.curve_ev", self.curve_ev, np.shape(self.curve_path_A))


@dataclass(frozen=True, kw_only=True, eq=False)
class WellData:
    """Energy of a crystal in which one ion is moved along a line.

    Attributes
    ----------
    label
        Site and direction.
    displacements_A, energies_ev
        [n] of the ion in Angstrom, and energy over the lowest in eV.
    coefficients
        [5] of the polynomial of fourth order in the displacement, constant first, in eV/Angstrom^k; its zero is that of
        `energies_ev`.
    """

    label: str
    displacements_A: np.ndarray
    energies_ev: np.ndarray
    coefficients: np.ndarray

    def __post_init__(self) -> None:
        _check_shape("WellData.energies_ev", self.energies_ev, np.shape(self.displacements_A))
        _check_shape("WellData.coefficients", self.coefficients, (5,))


@dataclass(frozen=True, kw_only=True, eq=False)
class ParityData:
    """Potential against reference on the same configurations.

    Attributes
    ----------
    reference_energies, predicted_energies
        [n] in eV per atom.
    reference_forces, predicted_forces
        [m] force components in eV/Angstrom.
    test_energies, test_forces
        [n] and [m] booleans: true where the potential was not trained on the configuration.
    """

    reference_energies: np.ndarray
    predicted_energies: np.ndarray
    reference_forces: np.ndarray
    predicted_forces: np.ndarray
    test_energies: np.ndarray
    test_forces: np.ndarray

    def __post_init__(self) -> None:
        for kind in ("energies", "forces"):
            shape = np.shape(getattr(self, f"reference_{kind}"))
            if len(shape) != 1 or not shape[0]:
                raise ValueError(f"ParityData.reference_{kind} has shape {shape}, expected a flat array with values")
            _check_shape(f"ParityData.predicted_{kind}", getattr(self, f"predicted_{kind}"), shape)
            _check_shape(f"ParityData.test_{kind}", getattr(self, f"test_{kind}"), shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class LifetimeData:
    """Phonon lifetimes against the limits of the particle and of the phonon picture.

    Attributes
    ----------
    temperature
        In K.
    frequencies_thz
        [n] ordinary frequencies in THz, all modes and q-points flattened.
    lifetimes_ps
        [n] in ps.
    wigner_limit_ps
        1 / (average angular band spacing) in ps.
    weights
        [n] how many modes of the mesh each stands for; ``None`` where each stands for itself.
    """

    temperature: float
    frequencies_thz: np.ndarray
    lifetimes_ps: np.ndarray
    wigner_limit_ps: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            _check_shape("LifetimeData.weights", self.weights, np.shape(self.frequencies_thz))
        _check_shape("LifetimeData.lifetimes_ps", self.lifetimes_ps, np.shape(self.frequencies_thz))
        if not self.wigner_limit_ps > 0:
            raise ValueError(f"LifetimeData.wigner_limit_ps must be positive, not {self.wigner_limit_ps}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvergenceData:
    """Force constants of one temperature, fitted to growing numbers of snapshots.

    Attributes
    ----------
    temperature
        In K.
    snapshots
        [k] numbers of snapshots, ascending; the last is all.
    force_error_ev_per_angstrom
        [k] root mean square error of forces left out of the fit.
    frequency_change_thz
        [k] root mean square difference of the frequencies from those of the last fit.
    tolerance_thz
        Difference that counts as none.
    converged
        The verdict.
    """

    temperature: float
    snapshots: np.ndarray
    force_error_ev_per_angstrom: np.ndarray
    frequency_change_thz: np.ndarray
    tolerance_thz: float
    converged: bool

    def __post_init__(self) -> None:
        if len(self.snapshots) < 2:
            raise ValueError(f"ConvergenceData.snapshots needs two numbers or more, not {len(self.snapshots)}")
        shape = np.shape(self.snapshots)
        _check_shape("ConvergenceData.force_error_ev_per_angstrom", self.force_error_ev_per_angstrom, shape)
        _check_shape("ConvergenceData.frequency_change_thz", self.frequency_change_thz, shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class OccupationData:
    """Probability of finding n quanta in one vibration.

    Attributes
    ----------
    temperature
        In K.
    frequency_thz
        Frequency of the vibration in THz.
    n, probability
        [k] numbers of quanta and their probabilities.
    n_critical
        Quanta that together reach the activation energy.
    n0
        Equilibrium occupation.
    """

    temperature: float
    frequency_thz: float
    n: np.ndarray
    probability: np.ndarray
    n_critical: int
    n0: float

    def __post_init__(self) -> None:
        _check_shape("OccupationData.probability", self.probability, np.shape(self.n))


@dataclass(frozen=True, kw_only=True)
class ProvenanceNode:
    """One box of the provenance tree: `kind` is one of `NODE_KINDS`, `children` are ids."""

    id: str
    label: str
    kind: str
    text: str = ""
    children: tuple[str, ...] = ()
    failed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in NODE_KINDS:
            raise ValueError(f"provenance node {self.id}: kind must be one of {NODE_KINDS}, not {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class ProvenanceGraph:
    """The processes of a run and what they made, each node naming its children."""

    nodes: Sequence[ProvenanceNode]

    def __post_init__(self) -> None:
        ids = [node.id for node in self.nodes]
        if not ids or len(set(ids)) != len(ids):
            raise ValueError("a provenance graph needs at least one node, and each id once")
        unknown = {child for node in self.nodes for child in node.children} - set(ids)
        if unknown:
            raise ValueError(f"provenance children that are not among the nodes: {', '.join(sorted(unknown))}")


@dataclass(frozen=True, kw_only=True)
class ProcessStep:
    """One line of the process tree: its text (indented as in the tree) and its wall time in seconds."""

    text: str
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published value to compare with; `label` names the source in a table cell.

    `temperature_K` is a number, a (low, high) range, or ``None`` where none belongs to the value.
    """

    name: str
    value: float
    unit: str
    citation: str
    direction: str | None = None
    temperature_K: float | tuple[float, float] | None = None
    uncertainty: float | None = None
    bound: str | None = None
    method: str = ""
    label: str = ""

    @classmethod
    def from_entry(cls, entry: Any) -> Published:
        """Read the fields from a mapping or from the attributes of a record; others are ignored.

        Raises
        ------
        ValueError
            If name, value, unit or citation is missing, or the value is not a number.
        """
        if isinstance(entry, cls):
            return entry
        names = cls.__dataclass_fields__
        if isinstance(entry, Mapping):
            found = {name: entry[name] for name in names if entry.get(name) is not None}
        else:
            found = {name: getattr(entry, name) for name in names if getattr(entry, name, None) is not None}
        missing = {"name", "value", "unit", "citation"} - set(found)
        if missing:
            raise ValueError(f"published value without {', '.join(sorted(missing))}: {entry!r}")
        if isinstance(found["value"], bool) or not isinstance(found["value"], int | float):
            raise ValueError(f"published value of {found['name']} is not a number: {found['value']!r}")
        return cls(**found)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportInput:
    """Everything the report shows.

    Attributes
    ----------
    title, formula
        Heading and chemical formula, e.g. ``CsCu2I3``.
    structure_source, structure_trust
        Where the structure came from, and one sentence on how far it can be trusted.
    protocol, protocol_note
        Name of the protocol and what it leaves out, e.g. ``demo`` and "coarse: minutes on a laptop".
    created
        ISO date and time.
    package_versions
        Package -> version.
    settings
        Nested plain mapping of what was run.
    warnings
        Sentences about what to mind when using the numbers.
    quantities
        The results.
    published
        Mappings or records with the fields of `Published`.
    about
        What was run: ``material``, a whole compound, or one calculation, ``green_kubo``, ``nemd`` or ``barrier``.
        Figures that only others have are passed over in silence.
    kappa, spectral, convergence, dos, msd, vdos, hops, green_kubo, nemd, barriers, wells, parity, lifetimes, occupation
        Data of the figures; ``None`` or empty leaves the figure out.
    provenance
        Likewise.
    absent
        Figure name -> sentence that says why it is left out, in place of the general one.
    process_tree
        Steps with their run times.
    """

    title: str
    formula: str
    structure_source: str
    protocol: str
    created: str
    about: str = "material"
    structure_trust: str = ""
    protocol_note: str = ""
    package_versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    quantities: Sequence[Quantity] = ()
    published: Sequence[Any] = ()
    kappa: KappaData | None = None
    spectral: Sequence[SpectralData] = ()
    convergence: Sequence[ConvergenceData] = ()
    dos: DosData | None = None
    msd: Sequence[MsdData] = ()
    vdos: Sequence[VdosData] = ()
    hops: HopsData | None = None
    green_kubo: GreenKuboData | None = None
    nemd: NemdData | None = None
    barriers: Sequence[BarrierData] = ()
    wells: Sequence[WellData] = ()
    parity: ParityData | None = None
    lifetimes: LifetimeData | None = None
    occupation: OccupationData | None = None
    provenance: ProvenanceGraph | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    process_tree: Sequence[ProcessStep] = ()
