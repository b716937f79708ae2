"""What must not pass in silence: atoms too close, numbers that are not finite, damaged tables."""

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.basis import BasisTables
from aiida_iontherm.physics.mtp.kernel import Kernel, ShortDistanceWarning, TrainingKernel


@pytest.fixture
def potential(random_potential) -> MomentTensorPotential:
    return random_potential(8)


def pair(distance: float) -> Atoms:
    return Atoms("CuI", [[0, 0, 0], [0, 0, distance]], cell=[5.0, 5.0, 5.0], pbc=True)


@pytest.mark.parametrize("distance", [0.0, 1e-200, 5.0])
def test_two_atoms_at_one_place(potential, distance):
    with pytest.raises(ValueError, match="two atoms are at the same place"):
        potential.evaluate(pair(distance))


def test_two_atoms_at_one_place_cannot_be_trained_on(potential):
    with pytest.raises(ValueError, match="two atoms are at the same place"):
        TrainingKernel(potential, [pair(2.5), pair(0.0)])


@pytest.mark.parametrize("distance", [1.4, 0.3, 1e-3, 1e-8])
def test_atoms_below_the_minimum_distance(potential, distance):
    """Extrapolated, with a warning that says by how much; finite to the last."""
    with pytest.warns(ShortDistanceWarning, match=f"two atoms are {distance:.3f} Angstrom apart.*1.500") as record:
        result = potential.evaluate(pair(distance))
    assert len(record) == 1
    for name in ("energies", "forces", "stress", "virials"):
        assert np.all(np.isfinite(getattr(result, name)))


def test_one_warning_for_a_whole_trajectory(potential):
    """By Python's default filter, which shows a warning of one text from one line once."""
    kernel = Kernel(potential)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("default")
        for _ in range(5):
            kernel.evaluate(pair(1.4))
    assert [entry.category for entry in record] == [ShortDistanceWarning]


def test_no_warning_at_the_minimum_distance(potential):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        potential.evaluate(pair(potential.min_distance + 1e-12))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kept", [False, True], ids=["new list", "kept list"])
def test_positions_that_are_not_finite(potential, value, kept):
    """As when dynamics blows up: also where a list of the last step could be kept. The kernel is good afterwards."""
    kernel = Kernel(potential)
    atoms = pair(2.5)
    expected = potential.evaluate(atoms).energies
    if kept:
        kernel.evaluate(atoms)
    for index in np.ndindex(2, 3):
        broken = atoms.copy()
        broken.positions[index] = value
        with pytest.raises(ValueError, match="finite place"):
            kernel.evaluate(broken)
        with pytest.raises(ValueError, match="finite place"):
            TrainingKernel(potential, [broken])
        np.testing.assert_allclose(kernel.evaluate(atoms).energies, expected, rtol=1e-12)  # rounding


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kept", [False, True], ids=["new list", "kept list"])
def test_cells_that_are_not_finite(potential, value, kept):
    kernel = Kernel(potential)
    atoms = pair(2.5)
    if kept:
        kernel.evaluate(atoms)
    broken = atoms.copy()
    broken.cell[1, 1] = value
    with pytest.raises(ValueError, match=r"cell|finite"):
        kernel.evaluate(broken)
    np.testing.assert_allclose(kernel.evaluate(atoms).energies, potential.evaluate(atoms).energies, rtol=1e-12)


def test_unknown_species_and_empty_places(potential):
    for atoms in (Atoms("Ag"), Atoms("CuX", [[0, 0, 0], [0, 0, 3]])):
        for use in (potential.evaluate, lambda atoms: TrainingKernel(potential, [atoms])):
            with pytest.raises(ValueError, match=f"knows Cu, I but not {atoms.get_chemical_symbols()[-1]}"):
                use(atoms)


def test_no_atoms(potential):
    for use in (potential.evaluate, lambda atoms: TrainingKernel(potential, [atoms])):
        with pytest.raises(ValueError, match="no atoms"):
            use(Atoms(cell=[4, 4, 4], pbc=True))


def test_no_configurations(potential):
    kernel = TrainingKernel(potential, [])
    energies, forces, virials = kernel.predict(potential)
    assert (energies.shape, forces.shape, virials.shape) == ((0,), (0, 3), (0, 3, 3))
    for gradient in kernel.gradient(potential, energies, forces, virials):
        assert not gradient.any()


@pytest.mark.parametrize("pbc", [False, True])
def test_isolated_atom(potential, pbc):
    atoms = Atoms("I", cell=[50, 60, 70] if pbc else None, pbc=pbc)
    result = potential.evaluate(atoms)
    assert result.energy == potential.species_coeffs[1]
    assert not result.forces.any()
    assert not result.virials.any()
    assert (result.stress is None) is not pbc
    if pbc:
        assert not result.stress.any()


@pytest.mark.parametrize("field", ["species_coeffs", "moment_coeffs", "radial_coeffs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coefficients_that_are_not_finite(potential, field, value):
    values = getattr(potential, field).copy()
    values.flat[-1] = value
    with pytest.raises(ValueError, match=f"{field} holds numbers that are not finite"):
        replace(potential, **{field: values})


# Of level 4: m4 = m0 m0 and m5 = m1 m1 + m2 m2 + m3 m3.
BASIC = [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
TIMES = [[0, 0, 1, 4], [1, 1, 1, 5], [2, 2, 1, 5], [3, 3, 1, 5]]


def compiled(basic=BASIC, times=TIMES, scalars=(0, 4, 5), n_moments=6, n_radial=1) -> _native.Basis:
    def table(rows):
        return np.array(rows, dtype=np.int32).reshape(-1, 4)

    return _native.Basis(table(basic), table(times), np.array(scalars, dtype=np.int32), n_moments, n_radial)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [*TIMES, [0, 6, 1, 5]]}, "outside of the table"),
        ({"times": [*TIMES, [0, -1, 1, 5]]}, "outside of the table"),
        ({"times": [*TIMES, [0, 0, 1, 6]]}, "outside of the table"),
        ({"times": [*TIMES, [0, 0, 1, 2]]}, "outside of the table"),
        ({"scalars": [0, 6]}, "outside of the table"),
        ({"scalars": [-1]}, "outside of the table"),
        ({"basic": [*BASIC[:3], [1, 0, 0, 1]]}, "radial function that does not exist"),
        ({"basic": [*BASIC[:3], [0, 0, 0, -1]]}, "negative power"),
        ({"basic": [], "times": [], "scalars": []}, "no elementary moments"),
        ({"n_moments": 3, "times": [], "scalars": [0]}, "no elementary moments"),
        # m5 gets another term after m6 has used it.
        ({"times": [*TIMES[:3], [5, 0, 1, 6], TIMES[3]], "n_moments": 7}, "product 3 uses .* not complete"),
        ({"times": [[4, 0, 1, 4]]}, "not complete"),
    ],
)  # fmt: skip
def test_damaged_tables(change, message):
    assert compiled().counts["moments"] == 6
    with pytest.raises(ValueError, match=message):
        compiled(**change)


@pytest.mark.parametrize(
    ("times", "n_moments", "scalars"),
    [([*TIMES, [0, 6, 1, 7]], 8, [7]), (TIMES, 7, [0, 6])],
    ids=["operand", "scalar"],
)
def test_moments_that_nothing_computes(times, n_moments, scalars):
    """In a process of its own: where this is not noticed, memory is read that is not there."""
    program = f"""
import numpy as np
from aiida_iontherm import _native
basic, times, scalars = (np.array(x, dtype=np.int32) for x in ({BASIC}, {times}, {scalars}))
try:
    _native.Basis(basic, times, scalars, {n_moments}, 1)
except ValueError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "nothing computes" in result.stdout


def test_tables_may_be_longer_than_needed(random_potential, crystal):
    """Moments that no scalar uses, and scalars that occur twice, change nothing."""
    potential = random_potential(4)
    tables = potential.tables
    unused = [[0, 0, 3, tables.n_moments], [0, tables.n_moments, 1, tables.n_moments + 1]]
    longer = BasisTables(
        basic=tables.basic,
        times=np.concatenate([tables.times, np.array(unused, dtype=np.int32)]),
        scalars=np.concatenate([tables.scalars, tables.scalars[:1]]),
        n_moments=tables.n_moments + 2,
        n_radial=tables.n_radial,
    )
    coefficients = np.concatenate([potential.moment_coeffs, [0.5]])
    coefficients[0] -= 0.5
    copy = replace(potential, tables=longer, moment_coeffs=coefficients)
    mine, expected = copy.evaluate(crystal), potential.evaluate(crystal)
    np.testing.assert_allclose(mine.energies, expected.energies, rtol=1e-13)
    np.testing.assert_allclose(mine.forces, expected.forces, rtol=0, atol=1e-13 * np.abs(expected.forces).max())
    scalars = Kernel(copy).parameter_gradients(crystal)[1]
    np.testing.assert_array_equal(scalars[:, -1], scalars[:, 0])
    assert TrainingKernel(copy, [crystal]).design(copy, 0, 1).shape[1] == 2 + len(longer.scalars)


@pytest.mark.parametrize("size", [65, 1])
def test_radial_bases_that_do_not_fit(random_potential, crystal, size):
    potential = random_potential(4)
    wide = replace(potential, radial_coeffs=np.ones((2, 2, potential.tables.n_radial, size)))
    with pytest.raises(ValueError, match="2 to 64 functions"):
        wide.evaluate(crystal)
