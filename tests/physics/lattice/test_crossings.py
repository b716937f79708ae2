import numpy as np
import pytest
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.optimize import brentq, minimize_scalar

from aiida_iontherm.physics.lattice.crossings import (
    Solver,
    acoustic_optical_crossings,
    acoustic_share,
    avoided_crossings,
)

PATH = np.stack([np.linspace(0, 0.5, 31), np.zeros(31), np.zeros(31)], axis=1)


def two_bands(coupling: float) -> Solver:
    """An acoustic branch 6 sin(pi x) through an optical one at 3 THz with a little slope."""

    def solve(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eigh([[6 * np.sin(np.pi * q[0]), coupling], [coupling, 3 + 0.5 * q[0]]])

    return solve


@pytest.mark.parametrize("coupling", [0.002, 0.02, 0.2])
def test_two_coupled_branches(coupling):
    """Gap 2 c where the uncoupled branches cross, also where it is far below the spacing of the path (0.3 THz)."""
    (crossing,) = avoided_crossings(two_bands(coupling), PATH)
    place = brentq(lambda x: 6 * np.sin(np.pi * x) - 3 - 0.5 * x, 0, 0.5)
    # The position is found to 1e-4 of a step, the gap is quadratic around it.
    assert crossing.gap_thz == pytest.approx(2 * coupling, rel=1e-4)
    assert crossing.qpoint[0] == pytest.approx(place, abs=1e-5)
    assert crossing.frequency_thz == pytest.approx(3 + 0.5 * place, abs=1e-4)
    assert crossing.bands == (0, 1)
    assert 0.7 < crossing.exchange <= 1
    assert crossing.shoulders[0, 0] < place < crossing.shoulders[1, 0]


def test_a_branch_that_meets_two_others_in_turn():
    """Also where the two meet each other without coupling, and a fourth passes in between."""
    c1, c2 = 0.05, 0.03

    def solve(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        matrix = np.diag([6 * np.sin(np.pi * q[0]), 2.0, 3.0 - 2 * q[0], 3 - 6 * q[0]])
        matrix[0, 1] = matrix[1, 0] = c1
        matrix[0, 2] = matrix[2, 0] = c2
        return np.linalg.eigh(matrix)

    first, second = avoided_crossings(solve, PATH)
    # The third branch is 0.6 THz away: second-order shifts c^2/0.6 of gap and frequency, 0.5 % of each other's gap.
    assert first.gap_thz == pytest.approx(2 * c1, rel=0.01)
    assert first.frequency_thz == pytest.approx(2.0, abs=0.005)
    assert second.gap_thz == pytest.approx(2 * c2, rel=0.01)


def test_uncoupled_branches_cross():
    assert avoided_crossings(two_bands(0.0), PATH) == []
    # A gap that counts as closed.
    assert avoided_crossings(two_bands(0.0004), PATH) == []


def test_branches_that_come_close_and_keep_their_characters():
    def solve(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([2.0, 2.1 + 20 * (q[0] - 0.25) ** 2]), np.eye(2, dtype=complex)

    assert avoided_crossings(solve, PATH) == []


def test_diatomic_chain_has_none():
    def solve(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = -(1 + np.exp(-2j * np.pi * q[0])) / np.sqrt(1.0 * 3.0)
        values, vectors = np.linalg.eigh(np.array([[2.0, a], [a.conjugate(), 2 / 3]]))
        return np.sqrt(np.abs(values)), vectors

    assert avoided_crossings(solve, PATH) == []


def test_frequencies_above_the_limit_are_left_out():
    assert avoided_crossings(two_bands(0.02), PATH, highest_thz=2.5) == []
    assert len(avoided_crossings(two_bands(0.02), PATH, highest_thz=3.5)) == 1


HOST, GUEST, LATTICE = 200.0, 40.0, 5.0
LONGITUDINAL, TRANSVERSE, CAGE = 3.0, 1.0, 0.02  # eV/Angstrom^2


@pytest.fixture(scope="module")
def rattler() -> Phonopy:
    """A guest, loosely bound (isotropic springs to eight hosts) in a simple cubic host of stiff bonds."""
    cell = PhonopyAtoms(
        cell=LATTICE * np.eye(3),
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]],
        symbols=["Pb", "K"],
        masses=[HOST, GUEST],
    )
    phonopy = Phonopy(cell, 3 * np.eye(3), primitive_matrix="P")
    atoms = phonopy.supercell
    constants = np.zeros((len(atoms), len(atoms), 3, 3))
    for i, first in enumerate(atoms.scaled_positions):
        for j, second in enumerate(atoms.scaled_positions):
            difference = second - first
            vector = (difference - np.rint(difference)) * 3 * LATTICE
            length = np.linalg.norm(vector)
            hosts = atoms.symbols[i] == atoms.symbols[j] == "Pb"
            if hosts and np.isclose(length, LATTICE):
                along = np.outer(vector, vector) / length**2
                spring = LONGITUDINAL * along + TRANSVERSE * (np.eye(3) - along)
            elif atoms.symbols[i] != atoms.symbols[j] and np.isclose(length, LATTICE * np.sqrt(0.75)):
                spring = CAGE * np.eye(3)
            else:
                continue
            constants[i, j] -= spring
            constants[i, i] += spring
    phonopy.force_constants = constants
    return phonopy


def by_hand(x: float, stiffness: float, factor: float) -> np.ndarray:
    """Frequencies of one polarisation along [100]: host and guest, two masses and three springs."""
    host = 8 * CAGE + 2 * stiffness * (1 - np.cos(2 * np.pi * x))
    coupling = -8 * CAGE * np.cos(np.pi * x)
    matrix = [[host / HOST, coupling / np.sqrt(HOST * GUEST)], [coupling / np.sqrt(HOST * GUEST), 8 * CAGE / GUEST]]
    return np.sqrt(np.linalg.eigvalsh(matrix)) * factor


def test_rattler_in_a_cage(rattler):
    found = acoustic_optical_crossings(rattler, [PATH])
    expected = []
    for stiffness in (TRANSVERSE, LONGITUDINAL):
        gap = minimize_scalar(
            lambda x, k=stiffness: np.diff(by_hand(x, k, rattler.unit_conversion_factor))[0],
            bounds=(0.01, 0.4),
            method="bounded",
            options={"xatol": 1e-8},
        )
        expected.append((gap.x, gap.fun))
    # The stiffer branch meets the guest first; the transverse pair is one crossing of two degenerate sets.
    expected.sort()
    assert len(found) == 2
    for crossing, (place, gap) in zip(found, expected, strict=True):
        assert crossing.gap_thz == pytest.approx(gap, rel=1e-6)
        # The gap is flat: its minimum is found to 1e-4 of a step.
        assert crossing.qpoint[0] == pytest.approx(place, abs=1e-5)
        lower, upper = crossing.acoustic_shares
        assert lower > 0.5 > upper
    assert found[0].gap_thz > 0.05


def test_one_crossing_for_each_polarisation_where_all_differ(rattler):
    """All six branches mix a little: no pair of other polarisation is taken for a crossing."""
    general = np.linspace(0, 0.5, 31)[:, None] * np.array([1.0, 0.7, 0.3])
    crossings = acoustic_optical_crossings(rattler, [general])
    assert [crossing.bands for crossing in crossings] == [(2, 5), (1, 4), (0, 3)]


def test_crossings_do_not_depend_on_the_steps_of_the_path(rattler):
    fine = np.stack([np.linspace(0, 0.5, 101), np.zeros(101), np.zeros(101)], axis=1)
    coarse, dense = (acoustic_optical_crossings(rattler, [path]) for path in (PATH, fine))
    # The same minimum, found from other brackets.
    np.testing.assert_allclose([c.gap_thz for c in coarse], [c.gap_thz for c in dense], rtol=1e-6)


def test_acoustic_modes_at_gamma_are_translations(cucl):
    cucl.dynamical_matrix.run([0, 0, 0])
    _, vectors = np.linalg.eigh(cucl.dynamical_matrix.dynamical_matrix)
    # Force constants that obey the sum rule to 1e-6 or so.
    np.testing.assert_allclose(acoustic_share(vectors, cucl.primitive.masses), [1, 1, 1, 0, 0, 0], atol=1e-5)


def test_bad_input_is_refused(rattler):
    with pytest.raises(ValueError, match="three or more q-points"):
        avoided_crossings(two_bands(0.1), PATH[:2])
    with pytest.raises(ValueError, match="no force constants"):
        acoustic_optical_crossings(Phonopy(rattler.unitcell, np.eye(3), primitive_matrix="P"), [PATH])
    with pytest.raises(ValueError, match="for these masses"):
        acoustic_share(np.eye(6), [1.0])
