"""`.cfg` files typed by hand, against motep's reader and writer, MLIP's own files, and damage."""

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from motep.io.mlip.cfg import read_cfg as motep_read
from motep.io.mlip.cfg import write_cfg as motep_write

from aiida_iontherm.physics.mtp.files import iterate_cfg, read_cfg, write_cfg

SPECIES = ["Cs", "Cu", "I"]

# Columns, components and directions out of the usual order; a block and features of one's own.
TYPED = """BEGIN_CFG
 Size
    2
 Supercell
    4.0 0.0 0.0
    1.0 5.0 0.0
    0.0 0.0 10
 AtomData:  fz fx fy type id cartes_z cartes_x cartes_y site_en nbh_grades
    0.3 0.1 0.2 2 1   3.0 1.0 2.0  -1.5 0.75
    -0.3 -0.1 -2e-1 1 2   6.0 4.0 5.0  -2.5 1.25
 Energy
    -4.0
 PlusStress:  xx yy zz xy xz yz
    20 40 60 80 100 120
 Energy_weight
    0.50
 Feature   EFS_by\tVASP 6.4, by hand
 Feature   MV_grade\t1.2500
 Feature   note one
 Feature   note two
END_CFG

BEGIN_CFG
 Size
 1
 AtomData: id type cartes_x cartes_y cartes_z
 1 0 0 0 0
END_CFG
"""


def random_set(count: int = 5, *, labelled: bool = True) -> list[Atoms]:
    rng = np.random.default_rng(3)
    configurations = []
    for _ in range(count):
        n = int(rng.integers(1, 9))
        atoms = Atoms(rng.choice(SPECIES, n), cell=5 * np.eye(3) + rng.normal(size=(3, 3)), pbc=True)
        atoms.positions = rng.normal(scale=5, size=(n, 3)) * 10.0 ** rng.integers(-9, 3, (n, 3))
        if labelled:
            energy = float(rng.normal(scale=100))
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=energy,
                free_energy=energy,
                forces=rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-12, 2, (n, 3)),
                stress=rng.normal(size=6),
            )
        configurations.append(atoms)
    return configurations


def assert_same(left: list[Atoms], right: list[Atoms]) -> None:
    for ours, theirs in zip(left, right, strict=True):
        np.testing.assert_array_equal(ours.numbers, theirs.numbers)
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.pbc, theirs.pbc)
        np.testing.assert_array_equal(ours.cell[ours.pbc], theirs.cell[theirs.pbc])
        assert (ours.calc is None) == (theirs.calc is None)
        if ours.calc is None:
            continue
        assert ours.calc.results.keys() == theirs.calc.results.keys()
        for name, values in ours.calc.results.items():
            if name == "stress":
                # Times the volume in the file and back: one rounding each way.
                np.testing.assert_allclose(values, theirs.calc.results[name], rtol=4.5e-16)
            else:
                np.testing.assert_array_equal(values, theirs.calc.results[name])


def read_by_motep(path) -> list[Atoms]:
    configurations = motep_read(path, ":", SPECIES)
    for atoms in configurations:
        # motep takes whatever stands in the file for a result.
        atoms.calc.results = {name: atoms.calc.results[name] for name in ("energy", "free_energy", "forces", "stress")}
    return configurations


@pytest.fixture
def typed(tmp_path):
    """Read the typed file after replacing text in it."""

    def read(*changes: tuple[str, str], species=SPECIES) -> list[Atoms]:
        text = TYPED
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "typed.cfg").write_text(text)
        return read_cfg(tmp_path / "typed.cfg", species)

    return read


def test_typed_file(typed):
    first, second = typed()
    assert first.get_chemical_symbols() == ["I", "Cu"]
    np.testing.assert_array_equal(first.positions, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(first.cell, [[4, 0, 0], [1, 5, 0], [0, 0, 10]])
    assert first.pbc.all()
    assert first.get_potential_energy() == first.get_potential_energy(force_consistent=True) == -4.0
    np.testing.assert_array_equal(first.get_forces(), [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    np.testing.assert_array_equal(first.get_potential_energies(), [-1.5, -2.5])
    # Volume 200: stress is minus a 200th, in the order xx yy zz yz xz xy.
    np.testing.assert_allclose(first.get_stress(), [-0.1, -0.2, -0.3, -0.6, -0.5, -0.4], rtol=1e-15)
    np.testing.assert_array_equal(first.arrays["nbh_grades"], [0.75, 1.25])
    assert first.info == {
        "EFS_by": "VASP 6.4, by hand",
        "MV_grade": "1.2500",
        "note": ["one", "two"],
        "cfg_blocks": {"Energy_weight": ["Energy_weight", "0.50"]},
    }
    assert second.get_chemical_symbols() == ["Cs"]
    assert not second.pbc.any()
    assert second.calc is None
    assert second.info == {}


def test_plus_stress_is_positive_under_pressure(tmp_path):
    """EMT at a lattice constant that is too small pushes outwards: ASE's stress is negative, PlusStress positive."""
    atoms = bulk("Cu", a=3.4)
    atoms.calc = EMT()
    atoms.get_stress()
    write_cfg(tmp_path / "squeezed.cfg", [atoms], SPECIES)
    words = (tmp_path / "squeezed.cfg").read_text().split("PlusStress:")[1].split()
    energies = []
    for strain in (1e-5, -1e-5):
        strained = atoms.copy()
        strained.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        strained.calc = EMT()
        energies.append(strained.get_potential_energy())
    # -dE/d(strain) is the trace of +virial; central differences of 1e-5 err by 1e-10 relative, and the energy's
    # rounding of 1e-15 eV divided by the step gives as much.
    trace = sum(float(word) for word in words[6:9])
    assert trace > 0
    assert trace == pytest.approx((energies[1] - energies[0]) / 2e-5, rel=1e-6)


def test_round_trip_keeps_every_bit(tmp_path):
    configurations = random_set()
    write_cfg(tmp_path / "set.cfg", configurations, SPECIES)
    assert_same(read_cfg(tmp_path / "set.cfg", SPECIES), configurations)


def test_round_trip_of_everything_typed(tmp_path, typed):
    before = typed()
    write_cfg(tmp_path / "again.cfg", before, SPECIES)
    after = read_cfg(tmp_path / "again.cfg", SPECIES)
    assert_same(after, before)
    for ours, theirs in zip(after, before, strict=True):
        assert ours.info == theirs.info
    np.testing.assert_array_equal(after[0].arrays["nbh_grades"], before[0].arrays["nbh_grades"])


def test_motep_reads_what_we_write(tmp_path):
    configurations = random_set()
    write_cfg(tmp_path / "set.cfg", configurations, SPECIES)
    assert_same(read_by_motep(tmp_path / "set.cfg"), configurations)


def test_we_read_what_motep_writes(tmp_path):
    motep_write(tmp_path / "set.cfg", random_set(), SPECIES)
    assert_same(read_cfg(tmp_path / "set.cfg", SPECIES), read_by_motep(tmp_path / "set.cfg"))


@pytest.mark.parametrize("name", ["original/crystals/multi/training.cfg", "fitting/crystals/multi/10/out.cfg"])
def test_files_of_mlip(shared_data, tmp_path, name):
    blocks = (shared_data / "mtp" / name).read_text().split("BEGIN_CFG")
    (tmp_path / "some.cfg").write_text("".join("BEGIN_CFG" + block for block in blocks[1::100]))
    ours = read_cfg(tmp_path / "some.cfg", SPECIES)
    assert len(ours) == 11
    assert_same(ours, read_by_motep(tmp_path / "some.cfg"))
    write_cfg(tmp_path / "again.cfg", ours, SPECIES)
    assert_same(read_cfg(tmp_path / "again.cfg", SPECIES), ours)


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1)])
def test_vectors_of_periodic_directions(tmp_path, pbc):
    atoms = Atoms("CsI", [[0.5, 0, 0], [1, 2, 3]], cell=[[4, 0, 0], [1, 5, 0], [0, 1, 6]], pbc=pbc)
    write_cfg(tmp_path / "slab.cfg", [atoms], SPECIES)
    (again,) = read_cfg(tmp_path / "slab.cfg", SPECIES)
    assert sum(again.pbc) == sum(pbc)
    np.testing.assert_array_equal(again.cell[again.pbc], atoms.cell[atoms.pbc])
    np.testing.assert_array_equal(again.positions, atoms.positions)


def test_direct_coordinates(typed):
    (atoms, _) = typed(("cartes_z cartes_x cartes_y", "direct_z direct_x direct_y"))
    # (1, 2, 3) times the three vectors.
    np.testing.assert_array_equal(atoms.positions[0], [1 * 4 + 2 * 1, 2 * 5, 3 * 10])


def test_partly_labelled(tmp_path, typed):
    (atoms, _) = typed((" Energy\n    -4.0\n", ""), ("site_en", "other"))
    assert atoms.calc.results.keys() == {"forces", "stress"}
    write_cfg(tmp_path / "again.cfg", [atoms], SPECIES)
    assert_same(read_cfg(tmp_path / "again.cfg", SPECIES), [atoms])
    (atoms, _) = typed(("fz fx fy", "gz gx gy"), ("PlusStress:", "OtherStress:"))
    assert atoms.calc.results.keys() == {"energy", "free_energy", "energies"}


def test_a_virial_without_a_volume_is_kept(tmp_path, typed):
    (atoms, _) = typed(("    0.0 0.0 10\n", ""))
    assert "stress" not in atoms.calc.results
    assert atoms.info["cfg_blocks"]["PlusStress:"] == ["PlusStress:  xx yy zz xy xz yz", "20 40 60 80 100 120"]
    write_cfg(tmp_path / "again.cfg", [atoms], SPECIES)
    assert read_cfg(tmp_path / "again.cfg", SPECIES)[0].info == atoms.info


def test_numbers_of_atoms_are_kept_where_they_say_something(tmp_path, typed):
    (atoms, _) = typed(("2 1   3.0", "2 17   3.0"))
    np.testing.assert_array_equal(atoms.arrays["id"], [17, 2])
    write_cfg(tmp_path / "again.cfg", [atoms], SPECIES)
    np.testing.assert_array_equal(read_cfg(tmp_path / "again.cfg", SPECIES)[0].arrays["id"], [17, 2])
    assert "id" not in typed()[0].arrays


def test_info_of_every_kind(tmp_path):
    atoms = Atoms("I")
    atoms.info |= {"n": 3, "x": 0.1, "yes": np.True_, "array": np.arange(3), "text": "a b", "nothing": None}
    write_cfg(tmp_path / "info.cfg", [atoms], SPECIES)
    assert read_cfg(tmp_path / "info.cfg", SPECIES)[0].info == {
        "n": "3",
        "x": "0.1",
        "yes": "true",
        "array": "[0, 1, 2]",
        "text": "a b",
        "nothing": "null",
    }


def test_the_energy_that_forces_belong_to(tmp_path):
    """VASP's energy without entropy is not what its forces are the gradient of."""
    atoms = Atoms("I")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, free_energy=-1.5)
    write_cfg(tmp_path / "free.cfg", [atoms], SPECIES)
    assert read_cfg(tmp_path / "free.cfg", SPECIES)[0].get_potential_energy() == -1.5


def test_every_cut_is_noticed(tmp_path):
    """What is left is complete configurations, or the file is refused."""
    whole = TYPED.rstrip("\n")
    complete = TYPED.index("END_CFG") + len("END_CFG")
    path = tmp_path / "cut.cfg"
    for kept in range(len(whole)):
        path.write_text(whole[:kept])
        if kept >= complete and not whole[complete:kept].strip():
            assert len(read_cfg(path, SPECIES)) == 1
            continue
        with pytest.raises(ValueError, match=r"cut\.cfg"):
            read_cfg(path, SPECIES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.3 0.1 0.2", "0.3 nan 0.2", r"line 9: fx holds 'nan', which is no finite number"),
        ("-0.3 -0.1 -2e-1", "-0.3 ******* -2e-1", r"line 10: fx holds '\*\*\*\*\*\*\*'"),
        ("6.0 4.0 5.0", "6.0 4.0x 5.0", r"line 10: cartes_x holds '4.0x'"),
        ("6.0 4.0 5.0", "6.0 4_0 5.0", r"line 10: cartes_x holds '4_0'"),
        ("-4.0\n", "inf\n", r"line 12: Energy holds 'inf'"),
        ("-4.0\n", "-4.0 1\n", r"line 12: Energy needs 1 numbers in a line, not 2"),
        ("    -4.0\n", "", r"line 1: Energy must be one number, not 0"),
        (" 80 100 120", " 80 100 1e400", r"line 14: PlusStress holds '1e400'"),
        (" 80 100 120", " 80 100", r"line 14: PlusStress needs 6 numbers"),
        ("xx yy zz xy", "xx yy zz yx", r"line 13: PlusStress needs the components xx yy zz yz xz xy, not"),
        ("    1.0 5.0 0.0", "    1.0 5.0", r"line 6: Supercell needs 3 numbers in a line, not 2"),
        ("    1.0 5.0 0.0", "    8.0 0.0 0.0", r"line 1: the three vectors of Supercell lie in a plane"),
        ("0.0 0.0 10\n", "0.0 0.0 10\n 1 1 1\n", r"line 1: Supercell has 4 vectors"),
        ("    2\n", "    3\n", r"line 8: AtomData has 2 rows but Size is 3"),
        ("    2\n", "    1\n", r"line 10: this line of numbers belongs to no block: is Size too small"),
        ("    2\n", "    0\n", r"line 2: Size, one positive whole number"),
        ("    2\n", "    two\n", r"Size, one positive whole number"),
        (" Size\n    2\n", "", r"line 6: Size, one positive whole number, must come before AtomData"),
        ("-1.5 0.75", "-1.5", r"line 9: this atom has 9 entries where AtomData names 10 columns"),
        ("0.2 2 1 ", "0.2 3 1 ", r"line 9: the type of this atom is 3 where 3 species were given, types 0 to 2"),
        ("0.2 2 1 ", "0.2 -1 1 ", r"line 9: the type of this atom is -1"),
        ("type id", "kind id", r"line 8: AtomData has no column type"),
        ("cartes_z", "z", r"line 8: AtomData lacks the column cartes_z"),
        ("fz fx", "gz fx", r"line 8: AtomData lacks the column fz"),
        ("nbh_grades", "fx", r"line 8: AtomData names a column twice"),
        ("cartes_z cartes_x cartes_y", "a b c", r"line 8: AtomData has neither cartes_x"),
        ("id type cartes_x cartes_y cartes_z", "id type direct_x direct_y direct_z", r"direct coordinates need three"),
        (" Energy_weight\n", " Energy\n", r"line 15: Energy is given twice in one configuration \(first in line 11\)"),
        (" Feature   note one", " Feature", r"line 19: the Feature has no name"),
        ("END_CFG\n\n", "", r"the configuration from line 1 on has no END_CFG"),
        ("END_CFG\n\n", "END_CFG\nhello\n", r"line 22: 'hello' stands outside BEGIN_CFG and END_CFG"),
        ("BEGIN_CFG\n", "", r"line 1: 'Size' stands outside"),
    ],
)
def test_damage_is_named(typed, old, new, message):
    with pytest.raises(ValueError, match=rf"typed\.cfg, .*{message}"):
        typed((old, new))


def test_atoms_without_a_table(tmp_path):
    (tmp_path / "bare.cfg").write_text("BEGIN_CFG\n Size\n 1\nEND_CFG\n")
    with pytest.raises(ValueError, match="line 1: has no AtomData"):
        read_cfg(tmp_path / "bare.cfg", SPECIES)


def test_files_that_are_no_set(tmp_path):
    with pytest.raises(ValueError, match=r"no file of configurations .*absent\.cfg"):
        read_cfg(tmp_path / "absent.cfg", SPECIES)
    (tmp_path / "empty.cfg").write_text("\n")
    with pytest.raises(ValueError, match=r"empty\.cfg holds no configuration"):
        read_cfg(tmp_path / "empty.cfg", SPECIES)
    (tmp_path / "binary.cfg").write_bytes(b"BEGIN_CFG\n\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.cfg is no text file"):
        read_cfg(tmp_path / "binary.cfg", SPECIES)


@pytest.mark.parametrize("species", ["Cs", [], ["Cs", "Cs"], ["Cs", "Qq"]])
def test_species_that_are_none(tmp_path, species):
    with pytest.raises(ValueError, match="species"):
        read_cfg(tmp_path / "typed.cfg", species)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.symbols.__setitem__(0, "Ag"), "Ag, which is none of the species"),
        (lambda atoms: atoms.positions.__setitem__((0, 0), np.nan), "nan, which is not finite"),
        (lambda atoms: atoms.cell.__setitem__(0, 0), "periodic where its cell has no vector"),
        (lambda atoms: atoms.info.__setitem__("two words", 1), "'two words'.* cannot be a feature"),
        (lambda atoms: atoms.info.__setitem__("thing", object()), "'thing'.* is no text, number or list"),
        (lambda atoms: atoms.info.__setitem__("log", "a\nb"), "'log'.* more than one line: make it a list"),
        (lambda atoms: atoms.set_array("two words", np.ones(len(atoms))), "'two words' cannot be a column"),
        (lambda atoms: atoms.set_array("fx", np.array(["a b"] * len(atoms))), "more or less than one word"),
        (lambda atoms: atoms.__delitem__(slice(None)), "no atoms"),
    ],
)
def test_what_cannot_be_written(tmp_path, change, message):
    configurations = random_set(2, labelled=False)
    change(configurations[1])
    with pytest.raises(ValueError, match=rf"configuration 1 cannot be written to .*set\.cfg: .*{message}"):
        write_cfg(tmp_path / "set.cfg", configurations, SPECIES)
    # Nothing half written is left behind.
    assert list(tmp_path.iterdir()) == []


def test_stale_results_are_not_written(tmp_path):
    configurations = random_set(1)
    configurations[0].positions += 0.1
    with pytest.raises(ValueError, match="changed after its energies were computed"):
        write_cfg(tmp_path / "set.cfg", configurations, SPECIES)


def test_stress_without_volume_is_not_written(tmp_path):
    atoms = Atoms("I")
    atoms.calc = SinglePointCalculator(atoms, stress=np.ones(6))
    with pytest.raises(ValueError, match="stress but no volume"):
        write_cfg(tmp_path / "set.cfg", [atoms], SPECIES)


def test_configurations_come_one_by_one(tmp_path, typed):
    """What stands before a mistake can be used before the mistake is met."""
    with pytest.raises(ValueError, match="neither"):
        typed(("type cartes_x cartes_y cartes_z", "type x y z"))
    stream = iterate_cfg(tmp_path / "typed.cfg", SPECIES)
    assert next(stream).get_potential_energy() == -4.0
    with pytest.raises(ValueError, match="neither"):
        next(stream)


def test_time_grows_as_the_number_of_atoms(tmp_path):
    rng = np.random.default_rng(4)

    def seconds(n: int) -> float:
        atoms = Atoms("I" * n, rng.uniform(0, 100, (n, 3)), cell=100 * np.eye(3), pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=rng.normal(size=(n, 3)))
        start = time.process_time()
        write_cfg(tmp_path / "large.cfg", [atoms], SPECIES)
        (again,) = read_cfg(tmp_path / "large.cfg", SPECIES)
        np.testing.assert_array_equal(again.get_forces(), atoms.get_forces())
        return time.process_time() - start

    # Ten times the atoms take ten times as long; a hundred would be quadratic. 40 leaves room for a noisy machine.
    assert seconds(100_000) < 40 * seconds(10_000)
