"""Files of ShengBTE, FourPhonon and Quantum ESPRESSO: round trips, other readers and writers, damaged files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hiphive import ForceConstants as HiphiveForceConstants
from phono3py import Phono3py
from phonopy.file_IO import parse_FORCE_CONSTANTS
from phonopy.interface.qe import PH_Q2R
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    from_phono3py,
    largest_difference,
    phonopy_supercell,
    read_force_constants,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.objects import full

DIGITS = 240 * 1.2e-16
"""eV/Angstrom^order: half a unit in the 17th digit of the largest element, 240."""


@pytest.mark.parametrize(("name", "order"), [("FORCE_CONSTANTS_3RD", 3), ("FORCE_CONSTANTS_4TH", 4)])
def test_round_trip(
    name: str, order: int, constants: ForceConstants, clusters: dict[int, Clusters], tmp_path: Path
) -> None:
    write_force_constants(tmp_path / name, constants)
    back = read_force_constants(tmp_path / name, constants.primitive, constants.supercell)
    found = back.third if order == 3 else back.fourth
    assert largest_difference(found, clusters[order]) <= DIGITS
    # Without a supercell one is found, and what is written is the same text.
    again = read_force_constants(tmp_path / name, constants.primitive)
    write_force_constants(tmp_path / "again", again, format="shengbte" if order == 3 else "fourphonon")
    write_force_constants(tmp_path / "back", back, format="shengbte" if order == 3 else "fourphonon")
    assert (tmp_path / "again").read_text() == (tmp_path / "back").read_text()


def test_third_order_over_the_supercell(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants)
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants.primitive, constants.supercell)
    assert np.abs(back.third_array() - constants.third).max() <= DIGITS


def test_hiphive_reads_what_is_written(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants)
    theirs = HiphiveForceConstants.read_shengBTE(
        constants.supercell, str(tmp_path / "FORCE_CONSTANTS_3RD"), constants.primitive
    )
    array = full(constants.third, constants.repetition)
    for cluster in [(0, 0, 0), (0, 8, 16), (3, 3, 9), (20, 5, 5), (8, 16, 8)]:
        assert np.abs(theirs[cluster] - array[cluster]).max() <= DIGITS


@pytest.mark.slow
def test_hiphives_file_is_phono3pys_silicon(silicon: Phono3py, tmp_path: Path) -> None:
    """hiphive writes the triplets of silicon within 4 Angstrom, from phono3py's array; they come back as phono3py's."""
    constants = from_phono3py(silicon)
    primitive, supercell = constants.primitive, constants.supercell
    cutoff = 4.0  # third neighbours are at 4.53, second at 3.87
    apart = supercell.get_all_distances(mic=True)
    near = apart < cutoff
    within = near[:, :, None] & near[:, None, :] & near[None]
    array = full(constants.third, constants.repetition) * within[..., None, None, None]
    theirs = HiphiveForceConstants.from_arrays(supercell, fc3_array=array)
    theirs.write_to_shengBTE(str(tmp_path / "FORCE_CONSTANTS_3RD"), wrapped(primitive), cutoff=cutoff, fc_tol=1e-12)
    # The cutoff breaks the sum rules.
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", wrapped(primitive), supercell, sum_rules=False)
    cut = ForceConstants(back.repetition, third=array[back.repetition.p2s])
    assert len(back.third) > 100
    # eV/Angstrom^3: hiphive prints 10 decimals.
    assert largest_difference(back.third, cut.triplets()) < 0.6e-10
    assert np.abs(back.third_array() - cut.third).max() < 0.6e-10


def test_second_order_is_phonopys_text(constants: ForceConstants, tmp_path: Path) -> None:
    """All rows, in the order phonopy gives a supercell of the primitive cell, whatever order ours has."""
    shuffled = constants.in_supercell(constants.supercell[np.random.default_rng(2).permutation(24)])
    write_force_constants(tmp_path / "FORCE_CONSTANTS_2ND", shuffled)
    array = parse_FORCE_CONSTANTS(tmp_path / "FORCE_CONSTANTS_2ND")
    # 15 decimals and the rounding of elements up to 12.
    assert np.abs(array - full(constants.second, constants.repetition)).max() < 3e-15
    back = read_force_constants(tmp_path / "FORCE_CONSTANTS_2ND", constants.primitive, constants.supercell)
    assert np.abs(back.second - constants.second).max() < 3e-15


def test_espresso_round_trip(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "espresso.ifc2", constants)
    back = read_force_constants(tmp_path / "espresso.ifc2", constants.primitive)
    assert np.array_equal(back.matrix, constants.matrix)
    # eV/Angstrom^2: 17 digits, there and back between units.
    assert np.abs(back.second - constants.second).max() < 1e-14
    ours = read_force_constants(tmp_path / "espresso.ifc2", constants.primitive, constants.supercell)
    assert np.abs(ours.second - constants.second).max() < 1e-14


def test_phonopy_reads_our_espresso_file(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "espresso.ifc2", replace(constants, nac=None))
    primitive = constants.primitive
    reader = PH_Q2R(tmp_path / "espresso.ifc2")
    reader.run(PhonopyAtoms(cell=primitive.cell.array, positions=primitive.positions, numbers=primitive.numbers))
    rydberg = 13.605693122994 / 0.529177210903**2  # CODATA 2018; ASE's differs in the 9th digit
    assert np.abs(reader.fc * rydberg - constants.second).max() < 1e-7


def test_blocks_by_hand(crystal: Atoms, tmp_path: Path) -> None:
    """One block each, written by hand after the manuals: cells in Cartesian coordinates, atoms from one, axes."""
    a, b = crystal.cell.array[0], crystal.cell.array[1] - crystal.cell.array[2]
    for name, order in (("FORCE_CONSTANTS_3RD", 3), ("FORCE_CONSTANTS_4TH", 4)):
        cells = [a, b, a + b][: order - 1]
        atoms = [3, 1, 2, 2][:order]
        lines = ["    1", "", "    1", *(" ".join(f"{x:.10e}" for x in cell) for cell in cells)]
        lines.append(" ".join(str(atom) for atom in atoms))
        for index, place in enumerate(np.ndindex(*(3,) * order)):
            lines.append(" ".join(str(axis + 1) for axis in place) + f"  {10.0 + index:.10e}")
        (tmp_path / name).write_text("\n".join(lines) + "\n\n")
        back = read_force_constants(tmp_path / name, crystal, sum_rules=False, unit="eV/Angstrom")
        found = back.third if order == 3 else back.fourth
        assert found.atoms.tolist() == [[2, 0, 1, 1][:order]]
        assert found.cells.tolist() == [[[1, 0, 0], [0, 1, -1], [1, 1, -1]][: order - 1]]
        assert np.array_equal(found.tensors.ravel(), 10.0 + np.arange(3**order))


@pytest.mark.filterwarnings("ignore:.*does not end with a line break")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda text: text[: len(text) // 2], r"announces 75 blocks, 8851 numbers, and holds \d+: it is cut short"),
        (lambda text: text.replace("75", "76", 1), "announces 76 blocks"),
        (lambda text: text.replace("\n    2\n", "\n    7\n", 1), "block 2 of FORCE_CONSTANTS_3RD is out of order"),
        (lambda text: text.replace(" 1 1 2 ", " 1 2 1 ", 1), "block 1 of FORCE_CONSTANTS_3RD is out of order"),
        (lambda text: replaced(text, 6, " 1 1 1 NaN"), "not finite"),
        (lambda text: replaced(text, 6, " 1 1 1 ********"), "something else than numbers"),
        (lambda text: replaced(text, 5, "     1     1     4"), "names atom 4 and the primitive cell has 3"),
    ],
)
def test_damaged_third_order(
    how: Callable[[str], str], message: str, constants: ForceConstants, tmp_path: Path, changed: Callable
) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants)
    path = changed(tmp_path / "FORCE_CONSTANTS_3RD", how)
    with pytest.raises(ValueError, match=message):
        read_force_constants(path, constants.primitive)


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS_3RD", "FORCE_CONSTANTS_4TH"])
def test_another_primitive_cell_is_refused(name: str, constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / name, constants)
    other = constants.primitive.copy()
    other.set_cell(other.cell.array * 1.01, scale_atoms=True)
    with pytest.raises(ValueError, match=r"has a cell 0\.0\d+ Angstrom off the lattice of the primitive cell"):
        read_force_constants(tmp_path / name, other)
    with pytest.raises(ValueError, match="does not say what crystal it is of: give its primitive cell"):
        read_force_constants(tmp_path / name)


def test_a_file_cut_within_a_number_is_told(constants: ForceConstants, tmp_path: Path, changed: Callable) -> None:
    write_force_constants(tmp_path / "FORCE_CONSTANTS_3RD", constants)
    path = changed(tmp_path / "FORCE_CONSTANTS_3RD", lambda text: text[:-3])
    with pytest.warns(UserWarning, match="does not end with a line break"), pytest.raises(ValueError):
        read_force_constants(path, constants.primitive)


def test_skew_supercells_are_refused(constants: ForceConstants, crystal: Atoms, tmp_path: Path) -> None:
    skew = constants.in_supercell(phonopy_supercell(crystal, [[2, 1, 0], [0, 2, 0], [0, 0, 2]]))
    for name, program in (("FORCE_CONSTANTS_2ND", "ShengBTE"), ("espresso.ifc2", "Quantum ESPRESSO")):
        with pytest.raises(ValueError, match=f"{program} takes force constants of n1 x n2 x n3 primitive cells only"):
            write_force_constants(tmp_path / name, skew)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda text: text.replace("\n F\n", "\n T\n"), "espresso.ifc2 is cut short or damaged"),
        (lambda text: text[: len(text) // 2], "espresso.ifc2 is cut short or damaged"),
        (lambda text: text.replace("   3    3", "   3    4", 1), "does not begin as a file of q2r.x"),
    ],
)
def test_damaged_espresso(
    how: Callable[[str], str], message: str, constants: ForceConstants, tmp_path: Path, changed: Callable
) -> None:
    write_force_constants(tmp_path / "espresso.ifc2", replace(constants, nac=None))
    path = changed(tmp_path / "espresso.ifc2", how)
    with pytest.raises(ValueError, match=message):
        read_force_constants(path, constants.primitive)


def test_espresso_of_another_cell_is_refused(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "espresso.ifc2", constants)
    other = constants.primitive.copy()
    other.positions[1] += 0.01
    with pytest.raises(ValueError, match="of another crystal than the primitive cell"):
        read_force_constants(tmp_path / "espresso.ifc2", other)


def replaced(text: str, line: int, new: str) -> str:
    """Text with one of its lines (counted from 1 among those with words) replaced."""
    lines = text.split("\n")
    places = [index for index, words in enumerate(lines) if words.strip()]
    lines[places[line - 1]] = new
    return "\n".join(lines)


def wrapped(primitive: Atoms) -> Atoms:
    """hiphive wants atoms within the cell."""
    copy = primitive.copy()
    copy.wrap()
    return copy
