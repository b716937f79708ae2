"""Polar crystals from Quantum ESPRESSO: its own frequencies, the dipole sum by itself, lattices, damaged files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from phonopy import Phonopy

from aiida_iontherm.tasks.crystal_directory import find_third_order, load_crystal
from aiida_iontherm.tasks.force_constant_files import (
    ForceConstants,
    Repetition,
    phonopy_supercell,
    read_force_constants,
    to_phonopy,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.bravais import bravais_lattice
from aiida_iontherm.tasks.force_constant_files.dipole_sum import dipole_force_constants

FOLDER = Path(__file__).parent / "quantum_espresso"
MASSES = {"Al": 26.98, "As": 74.92}  # of the runs

IN_PER_CM = 1e12 / (100 * 299792458)  # of a THz

PRINTED = 2e-4
"""1/cm: matdyn.x prints 4 decimals, half of which is 5e-5; constants of nature in phonopy and Quantum ESPRESSO differ
by 3e-7 of up to 430 1/cm."""

# The points of the runs of matdyn.x in fractions of the reciprocal vectors; on the mesh first.
POINTS = {
    "zincblende": [
        (0, 0, 0),
        (0, 1 / 2, 1 / 2),
        (1 / 2, 1 / 2, 1 / 2),
        (1 / 2, 0, 0),
        (0.02, 0, 0),
        (1 / 4, 1 / 4, 0),
        (0.1, 0.2, 0.3),
        (0.375, 0.375, 0.75),
    ],
    "triclinic": [
        (0, 0, 0),
        (1 / 3, 1 / 2, 0),
        (1 / 3, 0, 0),
        (0, 1 / 2, 1 / 2),
        (-1 / 3, 1 / 2, 1 / 2),
        (1 / 3, 0, 1 / 2),
        (0.02, 0, 0.01),
        (1 / 6, 1 / 4, 0),
        (1 / 6, 1 / 4, 1 / 4),
        (0.1, 0.2, 0.3),
    ],
    "layer": [(0, 0, 0), (1 / 3, 1 / 2, 0), (1 / 3, 0, 0), (0, 1 / 2, 0), (-1 / 3, 1 / 2, 0)],
}
ON_MESH = {"zincblende": slice(1, 4), "triclinic": slice(1, 6), "layer": slice(1, 5)}


@pytest.mark.parametrize("name", ["zincblende", "triclinic"])
def test_frequencies_of_matdyn_everywhere(name: str) -> None:
    """On the mesh, between its points, and at the zone centre along the direction that matdyn.x takes: to the next."""
    phonopy = phonopy_of(read_force_constants(FOLDER / f"{name}.ifc2"))
    points = POINTS[name]
    ours = np.array([frequencies(phonopy, q, points[1] if q == (0, 0, 0) else None) for q in points])
    assert np.abs(ours - of_matdyn(name)).max() < PRINTED


@pytest.mark.parametrize("name", POINTS)
def test_mesh_points_do_not_depend_on_how_phonopy_interpolates(name: str) -> None:
    """Total force constants give them without charges too; so does a layer, with charges that are not neutral."""
    constants = read_force_constants(FOLDER / f"{name}.ifc2", sum_rules=False)
    phonopy = phonopy_of(replace(constants, nac=None))
    chosen = ON_MESH[name]
    ours = np.array([frequencies(phonopy, q) for q in POINTS[name][chosen]])
    assert np.abs(ours - of_matdyn(name)[chosen]).max() < PRINTED


def test_what_another_ewald_width_changes() -> None:
    """phonopy's own width: the same on the mesh, and between up to 2.9 1/cm for a mesh as coarse as 2 x 2 x 2."""
    constants = read_force_constants(FOLDER / "zincblende.ifc2")
    nac = {name: constants.nac[name] for name in ("born", "dielectric", "factor")}
    phonopy = phonopy_of(replace(constants, nac=nac))
    points = POINTS["zincblende"]
    off = [np.abs(frequencies(phonopy, q) - w).max() for q, w in zip(points, of_matdyn("zincblende"), strict=True)]
    assert max(off[ON_MESH["zincblende"]]) < PRINTED
    assert 1 < max(off[4:]) < 4


def test_charges() -> None:
    constants = read_force_constants(FOLDER / "layer.ifc2", sum_rules=False)
    assert constants.primitive.get_chemical_formula(mode="reduce") == "AsAl"
    assert constants.nac["dielectric"][0, 2] == 3.730112062246
    born = constants.nac["born"]
    # e: neutral to rounding, and with the differences of the file
    assert np.abs(born.sum(axis=0)).max() < 1e-15
    assert np.abs((born[0] - born[1])[0, 1] - (-0.8825908 + 0.1384188)).max() < 1e-15


def test_another_order_of_atoms() -> None:
    """One of them in a neighbouring cell too."""
    as_made = read_force_constants(FOLDER / "triclinic.ifc2")
    lattice = as_made.primitive.cell.array
    other = as_made.primitive[[1, 0]]
    other.positions[0] += lattice[0] - lattice[2]
    turned = read_force_constants(FOLDER / "triclinic.ifc2", other)
    assert list(turned.primitive.symbols) == ["Al", "As"]
    np.testing.assert_array_equal(turned.nac["born"], as_made.nac["born"][::-1])
    ours, theirs = (frequencies(phonopy_of(constants), (0.1, 0.2, 0.3)) for constants in (turned, as_made))
    assert np.abs(ours - theirs).max() < 1e-9  # 1/cm: rounding of up to 400


def test_other_lattice_vectors() -> None:
    """Without charges, because phonopy's list of reciprocal vectors is another one for an oblique cell."""
    as_made = read_force_constants(FOLDER / "triclinic.ifc2")
    first, second, third = as_made.primitive.cell.array
    other = as_made.primitive.copy()
    other.set_cell([first, first + second, third])
    oblique = read_force_constants(FOLDER / "triclinic.ifc2", other)
    ours = frequencies(phonopy_of(replace(oblique, nac=None)), (0.1, 0.3, 0.3))
    theirs = frequencies(phonopy_of(replace(as_made, nac=None)), (0.1, 0.2, 0.3))
    assert np.abs(ours - theirs).max() < 1e-9  # 1/cm: rounding of up to 400


def test_wrong_cells_are_refused() -> None:
    primitive = read_force_constants(FOLDER / "triclinic.ifc2").primitive
    wrong = primitive.copy()
    wrong.positions[1] += 0.01
    with pytest.raises(ValueError, match=r"of another crystal than the primitive cell: .* from the nearest"):
        read_force_constants(FOLDER / "triclinic.ifc2", wrong)
    with pytest.raises(ValueError, match=r"has 2 atoms and the primitive cell 4"):
        read_force_constants(FOLDER / "triclinic.ifc2", phonopy_supercell(primitive, (1, 2, 1)))
    wrong = primitive.copy()
    wrong.symbols = "AlAs"
    with pytest.raises(ValueError, match="the supercell has As where the primitive cell has Al"):
        read_force_constants(FOLDER / "triclinic.ifc2", wrong)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """With another length of reference, hence another width of the dipoles that are taken out."""
    constants = read_force_constants(FOLDER / "triclinic.ifc2")
    write_force_constants(tmp_path / "espresso.ifc2", constants)
    assert "\n T\n" in (tmp_path / "espresso.ifc2").read_text()
    back = read_force_constants(tmp_path / "espresso.ifc2")
    # eV/Angstrom^2 of up to 10, with 17 digits
    assert np.abs(back.second - constants.second).max() < 1e-13
    assert abs(back.nac["Lambda"] / constants.nac["Lambda"] - 1) > 1e-3
    # e: the mean is taken off twice
    assert np.abs(back.nac["born"] - constants.nac["born"]).max() < 1e-15


def test_width_in_the_file(tmp_path: Path, changed: Callable) -> None:
    one = read_force_constants(FOLDER / "zincblende.ifc2")
    same = read_force_constants(changed(FOLDER / "zincblende.ifc2", lambda text: text.replace(" T\n", " T  1.0D0\n")))
    np.testing.assert_array_equal(same.second, one.second)
    wider = read_force_constants(changed(FOLDER / "zincblende.ifc2", lambda text: text.replace(" T\n", " T  1.5\n")))
    assert wider.nac["Lambda"] == pytest.approx(np.sqrt(1.5) * one.nac["Lambda"], rel=1e-12)  # rounding
    difference = dipole_force_constants(
        one.repetition, one.nac["born"], one.nac["dielectric"], 1.5 * width_of(one)
    ) - dipole_force_constants(one.repetition, one.nac["born"], one.nac["dielectric"], width_of(one))
    # eV/Angstrom^2: rounding of elements up to 10
    assert np.abs(wider.second - one.second - difference).max() < 1e-13


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda text: text.replace(" T\n", " T 1.0 2.0\n"), "has '1.0 2.0' after the flag of its charges"),
        (lambda text: text.replace(" T\n", " T slab\n"), "has 'slab' after the flag of its charges"),
        (lambda text: text.replace(" T\n", " T 0.0\n"), "dipole interaction of width 0"),
        (lambda text: text.replace("10.282811683006", "-1.0000000000000"), "dielectric tensor that is not positive"),
        (lambda text: text.replace("2.2210952", "NaN", 1), "charges or a dielectric tensor that are not finite"),
        (lambda text: text.replace("'As '", "'Qq '"), "'Qq' does not begin with the symbol of an element"),
        (lambda text: text.replace("  2    2  2 ", "  2    2 99 "), "ibrav = 99, which is not known here"),
        (lambda text: text[:200], "does not begin as a file of q2r.x: it ends too early"),
        (lambda text: text[:-3000], "is cut short or damaged"),
    ],
)
def test_damaged_files(how: Callable[[str], str], message: str, changed: Callable) -> None:
    with pytest.raises(ValueError, match=message):
        read_force_constants(changed(FOLDER / "zincblende.ifc2", how), format="espresso")


def test_kinds_of_labels(changed: Callable) -> None:
    path = changed(FOLDER / "zincblende.ifc2", lambda text: text.replace("'As '", "'as1'").replace("'Al '", "'Al_'"))
    assert list(read_force_constants(path).primitive.symbols) == ["Al", "As"]


def test_folder(tmp_path: Path) -> None:
    """Found by its ending without a POSCAR; the charges in the file can be left out."""
    path = tmp_path / "alas.fc"
    path.write_bytes((FOLDER / "zincblende.ifc2").read_bytes())
    assert not find_third_order(tmp_path)
    said: list[str] = []
    crystal = load_crystal(tmp_path, third=False, nac=True, remark=said.append)
    assert said == ["force constants as they are in alas.fc"]
    assert crystal.nac_params["born"][0, 0, 0] == pytest.approx(2.2210952, abs=1e-12)  # as printed
    assert load_crystal(tmp_path, third=False, nac=False).nac_params is None
    (tmp_path / "other.ifc2").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"there are alas\.fc, other\.ifc2 in the folder: leave one there"):
        load_crystal(tmp_path, third=False)


def test_dipole_sum_of_point_charges() -> None:
    """Scalar charges in vacuum: second derivatives of the reciprocal part of Ewald's energy, by finite differences."""
    crystal = Atoms(
        "LiIH",
        cell=[(3.1, 0.2, 0.0), (0.4, 3.6, -0.3), (0.1, 0.5, 4.2)],
        scaled_positions=[(0.0, 0.1, 0.2), (0.5, 0.45, 0.6), (0.7, 0.9, 0.1)],
        pbc=True,
    )
    charges = np.array([1.0, -1.6, 0.6])
    width = 0.9  # 1/Angstrom^2
    repetition = Repetition.of(crystal, phonopy_supercell(crystal, (2, 3, 2)))
    supercell = repetition.supercell
    born = charges[:, None, None] * np.eye(3)
    ours = dipole_force_constants(repetition, born, np.eye(3), width)
    everywhere = charges[repetition.atom_of]
    step = 1e-4
    row, column = (1, 2), (17, 0)
    for (i, a), (j, b) in (((0, 0), (5, 1)), (row, column), ((2, 1), (30, 1))):
        total = 0.0
        for up, down in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            places = supercell.positions.copy()
            places[repetition.p2s[i], a] += up * step
            places[j, b] += down * step
            total += up * down * ewald_energy(places, everywhere, supercell.cell.array, width)
        # eV/Angstrom^2: beyond exp(-14), 8e-7, thousands of terms are left out, which partly cancel
        assert ours[i, j, a, b] == pytest.approx(total / (4 * step**2), abs=1e-5)
    # A crystal moved as a whole feels no force, and neither atom is the first: rounding of 36 elements.
    assert np.abs(ours.sum(axis=1)).max() < 1e-14
    assert np.abs(ours).max() > 0.1


def ewald_energy(places: np.ndarray, charges: np.ndarray, cell: np.ndarray, width: float) -> float:
    """Reciprocal part of the energy of point charges in eV, by loops over whole numbers far beyond the cutoff."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    numbers = np.arange(-14, 15)
    waves = np.stack(np.meshgrid(numbers, numbers, numbers, indexing="ij"), axis=-1).reshape(-1, 3) @ reciprocal
    squares = np.sum(waves**2, axis=1)
    waves, squares = waves[(squares > 0) & (squares < 80 * width)], squares[(squares > 0) & (squares < 80 * width)]
    structure = np.exp(1j * waves @ places.T) @ charges
    terms = np.exp(-squares / (4 * width)) / squares * np.abs(structure) ** 2
    return float(2 * np.pi / abs(np.linalg.det(cell)) * terms.sum() * units.Hartree * units.Bohr)


# Crystal axes that pw.x 6.7 prints for celldm(2:6) = 1.13, 1.27, cosines 0.31 (ibrav 5) or 0.11, -0.07, 0.19.
AXES_OF_PW = {
    1: [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
    2: [(-0.5, 0, 0.5), (0, 0.5, 0.5), (-0.5, 0.5, 0)],
    3: [(0.5, 0.5, 0.5), (-0.5, 0.5, 0.5), (-0.5, -0.5, 0.5)],
    -3: [(-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)],
    4: [(1, 0, 0), (-0.5, 0.866025, 0), (0, 0, 1.27)],
    5: [(0.587367, -0.339116, 0.734847), (0, 0.678233, 0.734847), (-0.587367, -0.339116, 0.734847)],
    -5: [(-0.129511, 0.701152, 0.701152), (0.701152, -0.129511, 0.701152), (0.701152, 0.701152, -0.129511)],
    6: [(1, 0, 0), (0, 1, 0), (0, 0, 1.27)],
    7: [(0.5, -0.5, 0.635), (0.5, 0.5, 0.635), (-0.5, -0.5, 0.635)],
    8: [(1, 0, 0), (0, 1.13, 0), (0, 0, 1.27)],
    9: [(0.5, 0.565, 0), (-0.5, 0.565, 0), (0, 0, 1.27)],
    -9: [(0.5, -0.565, 0), (0.5, 0.565, 0), (0, 0, 1.27)],
    91: [(1, 0, 0), (0, 0.565, -0.635), (0, 0.565, 0.635)],
    10: [(0.5, 0, 0.635), (0.5, 0.565, 0), (0, 0.565, 0.635)],
    11: [(0.5, 0.565, 0.635), (-0.5, 0.565, 0.635), (-0.5, -0.565, 0.635)],
    12: [(1, 0, 0), (0.1243, 1.123143, 0), (0, 0, 1.27)],
    -12: [(1, 0, 0), (0, 1.13, 0), (0.1397, 0, 1.262293)],
    13: [(0.5, 0, -0.635), (0.1243, 1.123143, 0), (0.5, 0, 0.635)],
    14: [(1, 0, 0), (0.2147, 1.109416, 0), (-0.0889, 0.159496, 1.256805)],
}


@pytest.mark.parametrize("ibrav", AXES_OF_PW)
def test_lattices_are_those_of_pw(ibrav: int) -> None:
    cosines = {5: (0.31, 0, 0), -12: (0, 0.11, 0)}.get(ibrav if ibrav != -5 else 5, (0.11, -0.07, 0.19))
    lattice = bravais_lattice(ibrav, (8.0, 1.13, 1.27, *cosines))
    assert np.abs(lattice - AXES_OF_PW[ibrav]).max() < 6e-7  # six decimals


def of_matdyn(name: str) -> np.ndarray:
    """Frequencies in 1/cm of the points in `POINTS` [points, 6]."""
    lines = (FOLDER / f"{name}.freq").read_text().splitlines()[2::2]
    return np.array([line.split() for line in lines], dtype=float)[: len(POINTS[name])]


def phonopy_of(constants: ForceConstants) -> Phonopy:
    phonopy = to_phonopy(constants)
    phonopy.masses = [MASSES[symbol] for symbol in phonopy.primitive.symbols]
    return phonopy


def frequencies(phonopy: Phonopy, q: tuple[float, ...], direction: tuple[float, ...] | None = None) -> np.ndarray:
    """In 1/cm."""
    return phonopy.run_qpoints([q], nac_q_direction=direction).frequencies[0] * IN_PER_CM


def width_of(constants: ForceConstants) -> float:
    """Width of the dipole interaction in 1/Angstrom^2."""
    return float((2 * np.pi * constants.nac["Lambda"]) ** 2)
