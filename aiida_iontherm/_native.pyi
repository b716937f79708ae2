import numpy as np
import numpy.typing as npt

_Doubles = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]
_Integers = npt.NDArray[np.int32]
_Flags = npt.NDArray[np.bool_]

def instruction_sets() -> list[str]: ...
def dynamical_matrices(
    constants: _Doubles,
    vectors: _Doubles,
    positions: _Doubles,
    vector_angles: _Doubles,
    atom_angles: _Doubles,
    instructions: str = "",
) -> tuple[_Complex, _Complex]: ...
def squared_displacements(
    rows: _Doubles, ends: _Integers, lags: int, origin: int, first: int, instructions: str = ""
) -> _Doubles: ...
def add_dipoles(sums: _Doubles, charges: _Doubles, matrices: _Complex, derivatives: _Complex) -> None: ...

class Basis:
    def __init__(
        self,
        basic: _Integers,
        times: _Integers,
        scalars: _Integers,
        n_moments: int,
        n_functions: int,
        instructions: str = "",
    ) -> None: ...
    @property
    def instructions(self) -> str: ...
    @property
    def counts(self) -> dict[str, int]: ...

class Potential:
    def __init__(
        self,
        basis: Basis,
        min_distance: float,
        cutoff: float,
        scaling: float,
        radial_coeffs: _Doubles,
        species_coeffs: _Doubles,
        moment_coeffs: _Doubles,
    ) -> None: ...

class Evaluator:
    def __init__(self, potential: Potential, skin: float, threads: int = 1) -> None: ...
    def update(self, positions: _Doubles, species: _Integers, cell: _Doubles, periodic: _Flags) -> bool: ...
    def run(self, virials: bool = False) -> tuple[_Doubles, _Doubles, _Doubles, _Doubles | None, float]: ...
    def atom_gradients(self) -> tuple[_Doubles, _Doubles]: ...
    def reset(self) -> None: ...
    @property
    def n_candidates(self) -> int: ...

class TrainingSet:
    def __init__(self, potential: Potential, threads: int = 1) -> None: ...
    def add(self, positions: _Doubles, species: _Integers, cell: _Doubles, periodic: _Flags) -> None: ...
    def predict(self, potential: Potential, species: int = -1) -> tuple[_Doubles, _Doubles, _Doubles]: ...
    def gradient(
        self, potential: Potential, energy_weights: _Doubles, force_weights: _Doubles, virial_weights: _Doubles
    ) -> tuple[_Doubles, _Doubles]: ...
    def design(self, potential: Potential, first: int, last: int) -> _Doubles: ...

class PairSum:
    def __init__(
        self,
        n_q: int,
        n_modes: int,
        combinations: _Doubles,
        single: bool = False,
        threads: int = 1,
        instructions: str = "",
    ) -> None: ...
    @property
    def instructions(self) -> str: ...
    def set_velocities(self, first: int, velocities: _Complex) -> None: ...
    def set_products(self, first: int, products: _Doubles) -> None: ...
    def totals(
        self,
        frequency: _Doubles,
        width: _Doubles,
        capacity: _Doubles,
        kept: _Doubles,
        set_end: _Integers,
        scale: _Doubles,
    ) -> _Doubles: ...
    def by_mode(
        self,
        frequency: _Doubles,
        width: _Doubles,
        capacity: _Doubles,
        kept: _Doubles,
        set_end: _Integers,
        scale: _Doubles,
    ) -> _Doubles: ...
    def density(
        self,
        frequency: _Doubles,
        width: _Doubles,
        capacity: _Doubles,
        kept: _Doubles,
        set_end: _Integers,
        scale: _Doubles,
        bin: _Integers,
        n_bins: int,
    ) -> _Doubles: ...

def philox(counter: list[int], key: list[int]) -> list[int]: ...
def normal_numbers(seed: int, step: int, atom: int) -> list[float]: ...

class Sampling:
    def __init__(
        self,
        position_atoms: _Integers,
        velocity_atoms: _Integers,
        *,
        origin: int = 0,
        positions: int = 0,
        snapshots: int = 0,
        velocities: int = 0,
        thermo: int = 0,
        currents: int = 0,
        profile: int = 0,
        axis: int = 0,
        slabs: int = 1,
    ) -> None: ...

class MolecularDynamics:
    thermostat_memory: _Doubles
    barostat_energy: float
    cell: _Doubles
    def __init__(
        self,
        potential: Potential,
        species: _Integers,
        masses: _Doubles,
        frozen: _Flags,
        cell: _Doubles,
        periodic: _Flags,
        timestep: float,
        skin: float,
        threads: int = 1,
    ) -> None: ...
    def set_state(self, positions: _Doubles, velocities: _Doubles, step: int) -> None: ...
    def set_thermostat(self, name: str, kt: float = 0.0, time: float = 0.0, seed: int = 0) -> None: ...
    def set_heat_exchange(self, axis: int, slabs: int, hot: int, cold: int, power: float) -> None: ...
    def set_barostat(
        self, freedom: str, pressure: float, kt: float, time: float, bulk_modulus: float, stride: int, seed: int
    ) -> None: ...
    def hold_cell(self) -> None: ...
    def run(self, steps: int, sampling: Sampling, largest_kinetic: float) -> tuple[int, dict[str, _Doubles]]: ...
    def thermo(self) -> _Doubles: ...
    def forget(self) -> None: ...
    def take_shortest(self) -> float: ...
    @property
    def positions(self) -> _Doubles: ...
    @property
    def velocities(self) -> _Doubles: ...
    @property
    def step(self) -> int: ...
    @property
    def degrees(self) -> int: ...
    @property
    def time_spent(self) -> dict[str, float]: ...
