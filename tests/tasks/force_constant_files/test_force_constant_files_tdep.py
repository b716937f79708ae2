"""Files of TDEP: an example by hand after its documentation, round trips, damaged files."""

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    largest_difference,
    phonopy_supercell,
    read_force_constants,
    sum_rule_violation,
    write_force_constants,
)

DIGITS = 17 * 1.2e-16
"""eV/Angstrom^order: half a unit in the 17th digit of the largest element, 17."""

STIFF, SOFT = 9.0, 1.5
"""Along and across a bond of the chain below, eV/Angstrom^2."""

PAIRS = f"""\
          2               How many atoms per unit cell
    2.100000000000000     Realspace cutoff (A)
          3               How many neighbours does atom   1 have
          1               In the unit cell, what is the index of neighbour  1 of atom  1
   0.0000000000000000        0.0000000000000000        0.0000000000000000
   {2 * STIFF}                    0.0000000000000000        0.0000000000000000
   0.0000000000000000        {2 * SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000        {2 * SOFT}
          2               In the unit cell, what is the index of neighbour  2 of atom  1
   0.0000000000000000        0.0000000000000000       -0.0000000000000000
   {-STIFF}                   0.0000000000000000        0.0000000000000000
   0.0000000000000000       {-SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000       {-SOFT}
          2               In the unit cell, what is the index of neighbour  3 of atom  1
  -1.0000000000000000        0.0000000000000000        0.0000000000000000
   {-STIFF}                   0.0000000000000000        0.0000000000000000
   0.0000000000000000       {-SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000       {-SOFT}
          3               How many neighbours does atom   2 have
          2               In the unit cell, what is the index of neighbour  1 of atom  2
   0.0000000000000000        0.0000000000000000        0.0000000000000000
   {2 * STIFF}                    0.0000000000000000        0.0000000000000000
   0.0000000000000000        {2 * SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000        {2 * SOFT}
          1               In the unit cell, what is the index of neighbour  2 of atom  2
   1.0000000000000000        0.0000000000000000        0.0000000000000000
   {-STIFF}                   0.0000000000000000        0.0000000000000000
   0.0000000000000000       {-SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000       {-SOFT}
          1               In the unit cell, what is the index of neighbour  3 of atom  2
   0.0000000000000000        0.0000000000000000        0.0000000000000000
   {-STIFF}                   0.0000000000000000        0.0000000000000000
   0.0000000000000000       {-SOFT}                     0.0000000000000000
   0.0000000000000000        0.0000000000000000       {-SOFT}
0   # This contains no information about Born charges or dielectric tensors
"""


@pytest.fixture
def chain() -> Atoms:
    """Chains of Mg and O along x, far enough apart to be neighbours of nothing else within 2.1 Angstrom."""
    return Atoms("MgO", cell=np.diag([4.2, 4.2, 4.2]), positions=[(0, 0, 0), (2.1, 0, 0)], pbc=True)


def test_pairs_by_hand(chain: Atoms, tmp_path: Path) -> None:
    """The chain of springs: every number of the file has its place in the arrays, and phonons known by heart."""
    (tmp_path / "infile.forceconstant").write_text(PAIRS)
    supercell = phonopy_supercell(chain, (3, 1, 1))
    constants = read_force_constants(tmp_path / "infile.forceconstant", chain, supercell)
    bond = np.diag([STIFF, SOFT, SOFT])
    index = {
        (symbol, round(x / 2.1)): i
        for i, (symbol, x) in enumerate(zip(supercell.symbols, supercell.positions[:, 0], strict=True))
    }
    expected = np.zeros((2, 6, 3, 3))
    expected[0, index["Mg", 0]], expected[1, index["O", 1]] = 2 * bond, 2 * bond
    expected[0, index["O", 1]], expected[0, index["O", 5]] = -bond, -bond
    expected[1, index["Mg", 2]], expected[1, index["Mg", 0]] = -bond, -bond
    assert np.array_equal(constants.second, expected)


def test_cell_beside_is_found(chain: Atoms, tmp_path: Path) -> None:
    (tmp_path / "outfile.forceconstant").write_text(PAIRS)
    ase.io.write(tmp_path / "infile.ucposcar", chain, format="vasp", direct=True)
    constants = read_force_constants(tmp_path / "outfile.forceconstant")
    assert list(constants.primitive.symbols) == ["Mg", "O"]
    assert sum_rule_violation(constants.second) == 0
    # Twice the reach of 2.1 Angstrom needs two cells of 4.2 along each axis, so that no images meet.
    assert np.array_equal(constants.matrix, 2 * np.eye(3))


def test_triplets_by_hand(chain: Atoms, tmp_path: Path) -> None:
    """Three atoms with a lattice vector each, none of them zero, and the elements in the documented order."""
    elements = np.arange(27.0).reshape(9, 3) - 13
    rows = ["          2     atoms", "   4.0     cutoff", "          1     triplets of atom 1"]
    rows += [f"          {atom}     atom {place} in triplet 1" for place, atom in enumerate((1, 2, 1), start=1)]
    rows += ["  1.0  0.0  0.0", "  2.0  0.0  -1.0", "  1.0  1.0  0.0"]
    rows += ["  ".join(f"{x:.16f}" for x in row) for row in elements]
    rows += ["          0     triplets of atom 2"]
    (tmp_path / "infile.forceconstant_thirdorder").write_text("\n".join(rows) + "\n")
    back = read_force_constants(tmp_path / "infile.forceconstant_thirdorder", chain, sum_rules=False)
    assert back.third.atoms.tolist() == [[0, 1, 0]]
    assert back.third.cells.tolist() == [[[1, 0, -1], [0, 1, 0]]]
    assert np.array_equal(back.third.tensors[0], elements.reshape(3, 3, 3))


@pytest.mark.parametrize("stem", ["infile", "outfile"])
def test_round_trip(stem: str, constants: ForceConstants, clusters: dict[int, Clusters], tmp_path: Path) -> None:
    names = [f"{stem}.forceconstant", f"{stem}.forceconstant_thirdorder"]
    for name in names:
        write_force_constants(tmp_path / name, constants)
    second, third = (read_force_constants(tmp_path / n, constants.primitive, constants.supercell) for n in names)
    assert np.abs(second.second - constants.second).max() <= DIGITS
    assert largest_difference(third.third, clusters[3]) <= DIGITS
    assert np.abs(third.third_array() - constants.third).max() <= DIGITS
    assert sum_rule_violation(second.second) < 1e-14  # of the largest element: only rounding was added


def test_the_atom_itself_comes_first(constants: ForceConstants, tmp_path: Path) -> None:
    """As in TDEP's own files."""
    write_force_constants(tmp_path / "infile.forceconstant", constants)
    lines = (tmp_path / "infile.forceconstant").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if "How many neighbours" in line]
    assert [int(lines[start + 1].split()[0]) for start in starts] == [1, 2, 3]
    assert all(float(x) == 0 for start in starts for x in lines[start + 2].split())


def test_polar_crystals_are_refused(chain: Atoms, tmp_path: Path) -> None:
    polar = [*PAIRS.splitlines()[:-1], "           3 # This is a forceconstant for a polar material."]
    (tmp_path / "infile.forceconstant").write_text("\n".join(polar) + "\n")
    with pytest.raises(ValueError, match="polar crystal and holds the short-range part only"):
        read_force_constants(tmp_path / "infile.forceconstant", chain)


@pytest.mark.filterwarnings("ignore:.*does not end with a line break")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda text: "\n".join(text.split("\n")[:20]), "ends in line 20 where more must follow: it is cut short"),
        (
            lambda text: text.replace("          2     ", "          3     ", 1),
            "is for 3 atoms and the primitive cell has 2",
        ),
        (lambda text: text.replace(str(2 * STIFF), "NaN", 1), "not finite"),
        (lambda text: text.replace("-1.0000000000000000 ", "-1.2000000000000000 ", 1), "lattice vectors of atom 1"),
        (
            lambda text: text.replace("          2               In", "          7               In", 1),
            "names atoms beyond",
        ),
        (lambda text: text.replace("          3               How", "          x               How", 1), "line 3 of"),
        (lambda text: text.replace(f"{-STIFF}      ", f"{-STIFF} 1.0  ", 1), "other than three numbers"),
    ],
)
def test_damaged_pairs(
    how: Callable[[str], str], message: str, chain: Atoms, tmp_path: Path, changed: Callable
) -> None:
    (tmp_path / "infile.forceconstant").write_text(PAIRS)
    path = changed(tmp_path / "infile.forceconstant", how)
    with pytest.raises(ValueError, match=message):
        read_force_constants(path, chain, format="tdep")


@pytest.mark.filterwarnings("ignore:.*does not end with a line break")
def test_triplets_cut_short(constants: ForceConstants, tmp_path: Path, changed: Callable) -> None:
    write_force_constants(tmp_path / "infile.forceconstant_thirdorder", constants)
    path = changed(tmp_path / "infile.forceconstant_thirdorder", lambda text: text[: len(text) * 3 // 4])
    with pytest.raises(ValueError, match=r"ends in line .* it is cut short"):
        read_force_constants(path, constants.primitive)


def test_too_small_a_supercell_is_refused(constants: ForceConstants, tmp_path: Path) -> None:
    write_force_constants(tmp_path / "infile.forceconstant", constants)
    small = phonopy_supercell(constants.primitive, (2, 1, 1))
    with pytest.raises(ValueError, match="supercell of 6 atoms is too small for these second-order force constants"):
        read_force_constants(tmp_path / "infile.forceconstant", constants.primitive, small)
