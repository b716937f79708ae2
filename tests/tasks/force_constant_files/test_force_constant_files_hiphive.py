"""hiphive's objects and files: there and back, potentials, and pickles that would do more than hold data."""

import builtins
import functools
import io
import os
import pickle
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hiphive import ClusterSpace, ForceConstantPotential
from hiphive import ForceConstants as HiphiveForceConstants

from aiida_iontherm.tasks.crystal_directory import find_third_order, load_crystal
from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    from_hiphive,
    largest_difference,
    read_force_constants,
    to_hiphive,
    write_force_constants,
)
from aiida_iontherm.tasks.force_constant_files.hiphive_files import _placed, orders_in, read_fc
from aiida_iontherm.tasks.force_constant_files.objects import full
from aiida_iontherm.tasks.force_constant_files.plain_pickle import Record, plain_load

ROUNDING = 1e-13
"""eV/Angstrom^order: some units in the last place of elements up to 240."""


def test_objects_there_and_back(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    theirs = to_hiphive(constants)
    assert theirs.orders == [2, 3, 4]
    back = from_hiphive(theirs, constants.primitive)
    assert np.abs(back.second - constants.second).max() < ROUNDING
    assert np.abs(back.third - constants.third).max() < ROUNDING
    assert largest_difference(back.fourth, clusters[4]) < ROUNDING


def test_hiphive_sees_the_same_arrays(constants: ForceConstants) -> None:
    """Against hiphive's own way in, by full arrays, and its own check of the sum rules."""
    second = full(constants.second, constants.repetition)
    ours = to_hiphive(replace(constants, fourth=None))
    theirs = HiphiveForceConstants.from_arrays(constants.supercell, second, full(constants.third, constants.repetition))
    assert ours == theirs
    assert np.abs(ours.get_fc_array(2) - second).max() < ROUNDING
    ours.assert_acoustic_sum_rules(order=3, tol=1e-10)


def test_force_constants_without_label_symmetry(constants: ForceConstants) -> None:
    """Raw force constants, as a fit without symmetry leaves them, keep every cluster as it is."""
    array = constants.second.copy()
    array[0, 5] += np.arange(9.0).reshape(3, 3)
    theirs = to_hiphive(ForceConstants(constants.repetition, second=array))
    assert type(theirs).__name__ == "RawForceConstants"
    assert np.abs(from_hiphive(theirs, constants.primitive).second - array).max() < ROUNDING


def test_hiphive_reads_what_is_written(constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, constants)
    theirs = HiphiveForceConstants.read(str(path))  # our own file: its pickle is known
    assert theirs == to_hiphive(constants)
    # JSON keeps every bit of the cell.
    assert np.array_equal(read_fc(path, constants.primitive).supercell.positions, constants.supercell.positions)


def test_files_there_and_back(constants: ForceConstants, clusters: dict[int, Clusters], tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, constants)
    assert orders_in(path) == {2, 3, 4}
    back = read_force_constants(path, constants.primitive)
    assert np.abs(back.second - constants.second).max() < ROUNDING
    assert np.abs(back.third - constants.third).max() < ROUNDING
    assert largest_difference(back.fourth, clusters[4]) < ROUNDING
    # The same in another order of atoms.
    shuffled = constants.supercell[np.random.default_rng(1).permutation(24)]
    again = read_force_constants(path, constants.primitive, shuffled)
    assert np.abs(again.second - constants.in_supercell(shuffled).second).max() < ROUNDING
    with pytest.raises(ValueError, match="does not say what crystal it is of: give its primitive cell"):
        read_force_constants(path)


def test_raw_force_constants_from_a_file(constants: ForceConstants, tmp_path: Path) -> None:
    array = constants.second.copy()
    array[0, 5] += np.arange(9.0).reshape(3, 3)
    to_hiphive(ForceConstants(constants.repetition, second=array)).write(str(tmp_path / "raw.fc"))
    assert np.abs(read_fc(tmp_path / "raw.fc", constants.primitive).second - array).max() < ROUNDING
    with pytest.raises(ValueError, match="of atoms i, j and of j, i differ"):
        read_force_constants(tmp_path / "raw.fc", constants.primitive)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
def test_pickles_of_old_and_new_versions(protocol: int, core: str, constants: ForceConstants, tmp_path: Path) -> None:
    """The protocols of all Python versions, and the name that NumPy's core had before version 2."""
    path = tmp_path / "model.fc"
    write_force_constants(path, replace(constants, third=None, fourth=None))
    pickled = pickle.dumps(pickle.loads(part_of(path, "fc_dict")), protocol=protocol)  # noqa: S301 our own file
    if protocol < 4:  # names end with a line break; later ones have their length before them
        pickled = pickled.replace(b"cnumpy._core.", f"c{core}.".encode())
        assert core.encode() + b".multiarray" in pickled
    rewrite(path, fc_dict=pickled)
    back = read_force_constants(path, constants.primitive)
    assert np.abs(back.second - constants.second).max() < ROUNDING


@pytest.fixture(scope="module", params=["rock salt", "triclinic"])
def potential(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, crystal: Atoms) -> Any:
    """hiphive's potential of random parameters, its file, its force constants over a supercell and their file."""
    primitive, cutoffs = (
        (bulk("NaCl", "rocksalt", a=5.6), [4.5, 4.0, 2.9])
        if request.param == "rock salt"
        else (crystal, [3.3, 2.8, 2.6])
    )
    with redirect_stdout(io.StringIO()):
        space = ClusterSpace(primitive, cutoffs, acoustic_sum_rules=False)
    parameters = np.random.default_rng(7).normal(size=space.n_dofs)
    notes = {"fit": {"rmse": np.float64(0.01), "train": np.arange(3), "orders": {2, 3}, "by": np.array(["lsq"])}}
    model = ForceConstantPotential(space, parameters, metadata=notes)
    folder = tmp_path_factory.mktemp("potential")
    model.write(str(folder / "model.fcp"))
    supercell = primitive.repeat(3)
    over_supercell = model.get_force_constants(supercell)
    over_supercell.write(str(folder / "model.fc"))
    return folder, primitive, supercell, over_supercell


ROUNDING_OF_ROTATIONS = 1e-12
"""eV/Angstrom^order: hiphive turns tensors, with elements up to 300, by matrices that are ones within rounding."""

LOOSE = {"unit": "eV/Angstrom", "sum_rules": False}
"""Random parameters: no unit to question, no sum rules."""


def test_potentials_are_hiphives_force_constants(potential: Any) -> None:
    """Orders two to four against hiphive's own way from potential to supercell."""
    folder, primitive, supercell, theirs = potential
    from_potential = read_force_constants(folder / "model.fcp", primitive, supercell, **LOOSE)
    expected = from_hiphive(theirs, primitive)
    from_file = read_force_constants(folder / "model.fc", primitive, **LOOSE)
    assert orders_in(folder / "model.fcp") == orders_in(folder / "model.fc") == {2, 3, 4}
    for ours in (from_potential, from_file):
        assert np.abs(ours.second - expected.second).max() < ROUNDING_OF_ROTATIONS
        assert np.abs(ours.third_array() - expected.third).max() < ROUNDING_OF_ROTATIONS
        assert largest_difference(ours.fourth, expected.fourth) < ROUNDING_OF_ROTATIONS
        assert ours.fourth.largest() > 0.1
    # Without any cell.
    alone = read_force_constants(folder / "model.fcp", **LOOSE)
    assert np.abs(alone.in_supercell(supercell).second - expected.second).max() < ROUNDING_OF_ROTATIONS


def test_potential_for_another_order_of_atoms(potential: Any) -> None:
    folder, primitive, supercell, theirs = potential
    other = primitive[::-1]
    other.positions[0] += primitive.cell.array[1] - primitive.cell.array[2]
    ours = read_force_constants(folder / "model.fcp", other, supercell, **LOOSE)
    expected = from_hiphive(theirs, other)
    assert np.abs(ours.second - expected.second).max() < ROUNDING_OF_ROTATIONS
    assert np.abs(ours.third_array() - expected.third).max() < ROUNDING_OF_ROTATIONS
    assert largest_difference(ours.fourth, expected.fourth) < ROUNDING_OF_ROTATIONS
    other.positions[0] += 0.01
    with pytest.raises(ValueError, match=r"model\.fcp is of another crystal than the primitive cell"):
        read_force_constants(folder / "model.fcp", other, **LOOSE)
    with pytest.raises(ValueError, match=r"model\.fcp is of another crystal than the primitive cell"):
        read_force_constants(folder / "model.fcp", primitive.repeat((2, 1, 1)), **LOOSE)


def test_potentials_before_version_1_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old.fcp").write_bytes(pickle.dumps({"orbits": []}))
    with pytest.raises(ValueError, match=r"old\.fcp is a bare Python pickle, as hiphive wrote potentials before"):
        read_force_constants(tmp_path / "old.fcp")


def test_a_cluster_space_is_no_potential(crystal: Atoms, tmp_path: Path) -> None:
    with redirect_stdout(io.StringIO()):
        ClusterSpace(crystal, [2.8]).write(str(tmp_path / "model.cs"))
    with pytest.raises(ValueError, match=r"model\.cs"):
        read_force_constants(tmp_path / "model.cs")


def test_folder(constants: ForceConstants, tmp_path: Path) -> None:
    """A POSCAR and a .fc are enough; not where phonopy left something."""
    write_force_constants(tmp_path / "model.fc", constants)
    with pytest.raises(FileNotFoundError, match=r"no cell beside model\.fc"):
        load_crystal(tmp_path, third=False)
    ase.io.write(tmp_path / "POSCAR", constants.primitive, format="vasp", direct=True)
    assert find_third_order(tmp_path)
    said: list[str] = []
    crystal = load_crystal(tmp_path, third=True, remark=said.append)
    assert said == ["force constants as they are in model.fc, POSCAR"]
    np.testing.assert_allclose(crystal.fc3, constants.third, atol=ROUNDING)
    write_force_constants(tmp_path / "model.fc", replace(constants, third=None))
    assert not find_third_order(tmp_path)
    (tmp_path / "FORCE_SETS").write_text("0\n")
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_crystal(tmp_path, third=False)
    assert "model.fc" not in str(error.value)


@pytest.fixture(scope="module")
def small_potential(tmp_path_factory: pytest.TempPathFactory, crystal: Atoms) -> bytes:
    with redirect_stdout(io.StringIO()):
        space = ClusterSpace(crystal, [2.8])
    path = tmp_path_factory.mktemp("small") / "model.fcp"
    ForceConstantPotential(space, np.ones(space.n_dofs)).write(str(path))
    return path.read_bytes()


class Reduced:
    """Is pickled as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call


def attacks(trace: Path) -> dict[str, tuple[Any, str]]:
    """Objects that make a folder when they are unpickled, and the name that is told."""
    place = str(trace)
    make = f"__import__('os').mkdir({place!r})"
    return {
        "a call": (Reduced(os.mkdir, (place,)), "posix.mkdir"),
        "a shell": (Reduced(os.system, (f"mkdir {place}",)), "posix.system"),
        "eval": (Reduced(builtins.eval, (make,)), "eval"),
        "exec": (Reduced(builtins.exec, (make,)), "exec"),
        "getattr": (Reduced(getattr, (1, "real")), "getattr"),
        "partial": (functools.partial(os.mkdir, place), "functools.partial"),
        "a pickle in a pickle": (Reduced(pickle.loads, (pickle.dumps(Reduced(os.mkdir, (place,))),)), "pickle.loads"),
        "a file of NumPy": (Reduced(np.load, (place, None, True)), "numpy.load"),
        "an array of objects": (np.array([Reduced(os.mkdir, (place,))], dtype=object), "posix.mkdir|not of numbers"),
        "a state": (Reduced(OrderedDict, (), {"x": Reduced(os.mkdir, (place,))}), "posix.mkdir"),
        "a key": ({frozenset({1}): {"deep": [(Reduced(os.mkdir, (place,)),)]}}, "posix.mkdir"),
        "hiphive": (Reduced(HiphiveForceConstants.read, (place,)), "getattr|hiphive"),
        "a reader of ASE": (Reduced(ase.io.read, (place,)), "ase.io"),
    }


@pytest.mark.parametrize("kind", attacks(Path("x")))
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_hostile_pickles_are_refused_and_not_run(
    kind: str, protocol: int, constants: ForceConstants, small_potential: bytes, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    hostile, message = attacks(trace)[kind]
    pickled = pickle.dumps({"fc_dict": hostile, "fcs_type": "SortedForceConstants"}, protocol=protocol)
    path = tmp_path / "model.fc"
    write_force_constants(path, replace(constants, third=None, fourth=None))
    rewrite(path, fc_dict=pickled)
    with pytest.raises(ValueError, match=rf"model\.fc is .*({message})"):
        read_force_constants(path, constants.primitive)
    model = tmp_path / "model.fcp"
    for part in ("attributes", "_prim"):
        model.write_bytes(small_potential)
        rewrite(model, **{part: pickled})
        with pytest.raises(ValueError, match=rf"model\.fcp is .*({message})"):
            read_force_constants(model)
    model.write_bytes(small_potential)
    rewrite(model, orbits_0=archive(attributes=pickled))
    with pytest.raises(ValueError, match=rf"model\.fcp is .*({message})"):
        read_force_constants(model)
    assert not trace.exists()


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """What is refused above does make the folder when Python unpickles it."""
    for kind in (
        "a call",
        "a shell",
        "eval",
        "exec",
        "a pickle in a pickle",
        "an array of objects",
        "a state",
        "a key",
    ):
        trace = tmp_path / kind.replace(" ", "")
        pickle.loads(pickle.dumps(attacks(trace)[kind][0]))  # noqa: S301 it makes a folder in ours
        assert trace.exists()


BUILD, REDUCE, STOP = pickle.BUILD, pickle.REDUCE, pickle.STOP


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nndarray\n}(X\x01\x00\x00\x00xK\x01ub" + STOP,  # attributes of the class itself
        b"cnumpy.core.multiarray\nscalar\n}(X\x01\x00\x00\x00xK\x01ub" + STOP,  # attributes of a function
        b"cnumpy.core.multiarray\nscalar\nN}(X\x09\x00\x00\x00_functionK\x01u\x86b" + STOP,  # its slots
        b"cbuiltins\nset\n}(X\x01\x00\x00\x00xK\x01ub" + STOP,  # attributes of a type of Python
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8tR" + STOP,  # a dtype of objects
        b"cnumpy\ndtype\n(X\x07\x00\x00\x00f8,(1,)tR" + STOP,  # a dtype made of others
        b"cnumpy.core.multiarray\nscalar\n(K\x01X\x01\x00\x00\x00xtR" + STOP,
        b"c_codecs\nencode\n(X\x01\x00\x00\x00xX\x05\x00\x00\x00rot13tR" + STOP,
        b"\x80\x04\x8c\x02os\x8c\x06system\x93" + STOP,
        b"\x80\x04\x8c\x05numpy\x8c\x0dos.path.mkdir\x93" + STOP,  # a name with dots
        b"Pplace\n" + STOP,  # a persistent object
        b"\x82\x01" + STOP,  # a name from the registry of extensions
        b"(" * 100 + STOP,
        b"",
    ],
)
def test_pickles_made_by_hand(program: bytes) -> None:
    with pytest.raises(ValueError, match=r"model is"):
        plain_load(program, "model")
    # Nothing of it stays for the next one.
    kept = {"a": np.arange(6.0).reshape(2, 3, order="F"), "b": {1, 2}, "c": np.float32(0.5), "d": np.array(["x", "yz"])}
    for protocol in (2, 4, 5):
        back = plain_load(pickle.dumps(kept, protocol=protocol), "model")
        assert back["b"] == {1, 2} and back["c"] == 0.5
        np.testing.assert_array_equal(np.asarray(back["a"]), kept["a"])
        np.testing.assert_array_equal(np.asarray(back["d"]), kept["d"])


def test_objects_become_records() -> None:
    found = plain_load(pickle.dumps(Atoms("H").cell), "model", ["ase.cell.Cell"])
    assert type(found) is Record
    np.testing.assert_array_equal(np.asarray(found.state["array"]), np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("fc_dict", "message"),
    [
        ({(0, 99): np.eye(3)}, "do not name atoms of its supercell of 24"),
        ({(0, -1): np.eye(3)}, "do not name atoms of its supercell of 24"),
        ({(0, 1.5): np.eye(3)}, "do not name atoms of its supercell of 24"),
        ({(0, 1): np.ones(3)}, "do not have 3^2 elements"),
        ({(0, 1): "text"}, "does not hold force constants of hiphive, or is damaged"),
        ({3: np.eye(3)}, "does not hold force constants of hiphive, or is damaged"),
        ([1, 2], "does not hold force constants of hiphive, or is damaged"),
        ({(0, 0): np.eye(3) * np.nan}, "not finite"),
    ],
)
def test_what_is_not_force_constants(fc_dict: Any, message: str, constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, replace(constants, third=None, fourth=None))
    rewrite(path, fc_dict=pickle.dumps({"fc_dict": fc_dict, "fcs_type": "SortedForceConstants"}))
    with pytest.raises(ValueError, match=message.replace("^", r"\^")):
        read_force_constants(path, constants.primitive)


@pytest.mark.parametrize(
    "how",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:700],
        lambda data: data.replace(b"SortedForceConstants", b"SortedForceConstant_"),
        lambda data: data.replace(b'"__ndarray__"', b'"__ndarray_"'),
    ],
)
def test_damaged_archives(how: Callable[[bytes], bytes], constants: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "model.fc"
    write_force_constants(path, replace(constants, third=None, fourth=None))
    path.write_bytes(how(path.read_bytes()))
    with pytest.raises(ValueError, match=r"model\.fc"):
        read_force_constants(path, constants.primitive)


def test_damaged_potentials(small_potential: bytes, tmp_path: Path) -> None:
    size = len(small_potential)
    for cut in (size // 2, size // 4, 3000):
        (tmp_path / "model.fcp").write_bytes(small_potential[:cut])
        with pytest.raises(ValueError, match=r"model\.fcp"):
            read_force_constants(tmp_path / "model.fcp")


def test_potential_with_a_site_too_many(small_potential: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.fcp"
    path.write_bytes(small_potential)
    cell = {"cell": np.eye(3) * 4, "basis": np.zeros((1, 3)), "numbers": np.array([29])}
    rewrite(path, _prim=pickle.dumps(cell))
    with pytest.raises(ValueError, match="sites beyond the 1 of its primitive cell"):
        read_force_constants(path)


def test_potential_of_a_larger_cell_than_the_one_given(crystal: Atoms) -> None:
    clusters = {2: Clusters(np.zeros((1, 2), int), np.zeros((1, 1, 3), int), np.ones((1, 3, 3)))}
    with pytest.raises(ValueError, match=r"model\.fcp has 6 atoms in its primitive cell and the one given 3"):
        _placed(clusters, crystal.repeat((2, 1, 1)), crystal, None, 1e-3, "model.fcp")


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.fc").write_bytes(archive(notes=b"nothing"))
    with pytest.raises(ValueError, match=r"model\.fc is an archive of notes, and not a \.fc or \.fcp file of hiphive"):
        read_force_constants(tmp_path / "model.fc")


def test_other_orders_are_refused(constants: ForceConstants) -> None:
    theirs = HiphiveForceConstants.from_sparse_dict({(0,): np.ones(3)}, constants.supercell)
    with pytest.raises(ValueError, match="none of the orders two, three and four"):
        from_hiphive(theirs, constants.primitive)


def part_of(path: Path, member: str) -> bytes:
    with tarfile.open(path) as file:
        return file.extractfile(member).read()


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def rewrite(path: Path, **members: bytes) -> None:
    """Replace members of an archive."""
    with tarfile.open(path) as file:
        names = file.getnames()
    path.write_bytes(archive(**{name: members.get(name) or part_of(path, name) for name in names}))
