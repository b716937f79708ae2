"""Folders of phonopy and phono3py in all their spellings, and what is refused."""

import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import phonopy as phonopy_package
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from phonopy import Phonopy
from phonopy.file_IO import write_BORN, write_FORCE_CONSTANTS, write_force_constants_to_hdf5, write_FORCE_SETS
from phonopy.interface.vasp import write_vasp
from phonopy.physical_units import get_physical_units
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.tasks.phonopy_directory import load_phono3py_directory, load_phonopy_directory
from aiida_iontherm.tasks.phonopy_layout import has_third_order

QPOINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]
CONF = "# made by hand\nDIM = 2 2 2\nPRIMITIVE_AXES = 1 0 0 0 1 0 0 0 1\n"


def frequencies(phonopy: Phonopy) -> np.ndarray:
    return phonopy.run_qpoints(QPOINTS).frequencies


@pytest.fixture(scope="module")
def alloy(cuau_cell: Atoms) -> Phonopy:
    """CuAu with forces of EMT, as phonopy makes them by default."""
    cell = PhonopyAtoms(
        cell=cuau_cell.cell, scaled_positions=cuau_cell.get_scaled_positions(), numbers=cuau_cell.numbers
    )
    phonopy = Phonopy(cell, np.diag([2, 2, 2]), primitive_matrix="P")
    phonopy.generate_displacements(distance=0.01)
    forces = []
    for supercell in phonopy.supercells_with_displacements:
        atoms = Atoms(numbers=supercell.numbers, cell=supercell.cell, positions=supercell.positions, pbc=True)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    phonopy.forces = forces
    phonopy.produce_force_constants(calculate_full_force_constants=False)
    phonopy.symmetrize_force_constants(show_drift=False, use_symfc_projector=True)
    return phonopy


def save_yaml(phonopy: Phonopy, path: Path, *, forces: bool, constants: bool) -> None:
    phonopy.save(path, settings={"force_sets": forces, "displacements": True, "force_constants": constants})


def write_cell(phonopy: Phonopy, folder: Path, conf: str = CONF) -> None:
    write_vasp(folder / "POSCAR-unitcell", phonopy.unitcell)
    (folder / "phonopy.conf").write_text(conf)


def yaml_with_constants(phonopy: Phonopy, folder: Path) -> None:
    save_yaml(phonopy, folder / "phonopy.yaml", forces=False, constants=True)


def yaml_with_forces(phonopy: Phonopy, folder: Path) -> None:
    save_yaml(phonopy, folder / "phonopy_params.yaml", forces=True, constants=False)


def compressed_yaml_of_any_name(phonopy: Phonopy, folder: Path) -> None:
    yaml_with_forces(phonopy, folder)
    (folder / "phonopy_CuAu.yaml.xz").write_bytes(lzma.compress((folder / "phonopy_params.yaml").read_bytes()))
    (folder / "phonopy_params.yaml").unlink()


def yaml_and_force_sets(phonopy: Phonopy, folder: Path) -> None:
    save_yaml(phonopy, folder / "phonopy_disp.yaml", forces=False, constants=False)
    write_FORCE_SETS(phonopy.dataset, folder / "FORCE_SETS")


def poscar_and_force_sets(phonopy: Phonopy, folder: Path) -> None:
    write_cell(phonopy, folder)
    write_FORCE_SETS(phonopy.dataset, folder / "FORCE_SETS")


def poscar_and_compact_text(phonopy: Phonopy, folder: Path) -> None:
    write_cell(phonopy, folder, CONF.replace("PRIMITIVE_AXES", "PRIMITIVE_AXIS").replace("2 2 2", "2 0 0 0 2 0 0 0 2"))
    write_FORCE_CONSTANTS(phonopy.force_constants, folder / "FORCE_CONSTANTS", p2s_map=phonopy.primitive.p2s_map)


def poscar_and_hdf5(phonopy: Phonopy, folder: Path) -> None:
    write_cell(phonopy, folder)
    write_force_constants_to_hdf5(
        phonopy.force_constants, folder / "force_constants.hdf5", p2s_map=phonopy.primitive.p2s_map
    )


WAYS = [
    yaml_with_constants,
    yaml_with_forces,
    compressed_yaml_of_any_name,
    yaml_and_force_sets,
    poscar_and_force_sets,
    poscar_and_compact_text,
    poscar_and_hdf5,
]


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_same_phonons_from_every_kind_of_folder(
    alloy: Phonopy, write: Callable[[Phonopy, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    write(alloy, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    remarks: list[str] = []
    loaded = load_phonopy_directory("data", remark=remarks.append)
    # files hold 10 decimals or more of numbers of the order of 1; Gamma loses half of the digits in the square root
    np.testing.assert_allclose(frequencies(loaded)[1:], frequencies(alloy)[1:], rtol=1e-7)
    np.testing.assert_allclose(frequencies(loaded)[0], frequencies(alloy)[0], atol=1e-4)
    assert Path.cwd() == tmp_path
    assert any("force constants" in remark and "cell of" in remark for remark in remarks)


def test_files_of_the_current_directory_are_not_taken(
    alloy: Phonopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "elsewhere"):
        (tmp_path / name).mkdir()
    poscar_and_hdf5(alloy, tmp_path / "data")
    for name in ("FORCE_SETS", "FORCE_CONSTANTS", "BORN", "fc3.hdf5"):
        (tmp_path / "elsewhere" / name).write_text("of another crystal")
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load_phonopy_directory(tmp_path / "data")
    assert loaded.nac_params is None
    np.testing.assert_allclose(frequencies(loaded)[1:], frequencies(alloy)[1:], rtol=1e-7)


def test_one_of_several_yaml_files_is_named(alloy: Phonopy, tmp_path: Path) -> None:
    for name in ("phonopy_a.yaml", "phonopy_b.yaml"):
        save_yaml(alloy, tmp_path / name, forces=False, constants=True)
    with pytest.raises(ValueError, match=r"phonopy_a.yaml, phonopy_b.yaml.*name one of them"):
        load_phonopy_directory(tmp_path)
    np.testing.assert_allclose(
        frequencies(load_phonopy_directory(tmp_path / "phonopy_b.yaml"))[1:], frequencies(alloy)[1:], rtol=1e-7
    )


def test_units_of_quantum_espresso_are_converted(alloy: Phonopy, tmp_path: Path) -> None:
    units = get_physical_units()
    cell = alloy.unitcell.copy()
    cell.cell = cell.cell / units.Bohr
    theirs = Phonopy(cell, alloy.supercell_matrix, primitive_matrix="P", calculator="qe")
    theirs.force_constants = alloy.force_constants / (units.Rydberg / units.Bohr**2)
    save_yaml(theirs, tmp_path / "phonopy.yaml", forces=False, constants=True)
    remarks: list[str] = []
    loaded = load_phonopy_directory(tmp_path, remark=remarks.append)
    np.testing.assert_allclose(loaded.primitive.cell, alloy.primitive.cell, rtol=1e-9)
    np.testing.assert_allclose(frequencies(loaded)[1:], frequencies(alloy)[1:], rtol=1e-7)
    assert any("Ry/au^2 of qe" in remark for remark in remarks)


def test_symmetrisation_is_asked_for_and_said(alloy: Phonopy, tmp_path: Path) -> None:
    write_cell(alloy, tmp_path)
    noisy = alloy.force_constants + 0.02 * np.random.default_rng(1).standard_normal(alloy.force_constants.shape)
    write_FORCE_CONSTANTS(noisy, tmp_path / "FORCE_CONSTANTS", p2s_map=alloy.primitive.p2s_map)
    remarks: list[str] = []
    taken = load_phonopy_directory(tmp_path, remark=remarks.append)
    np.testing.assert_allclose(taken.force_constants, noisy, atol=1e-10)  # the file has 15 decimals
    assert any("acoustic sum rule" in remark for remark in remarks)
    assert any("break the symmetry of the crystal" in remark for remark in remarks)
    remarks.clear()
    mended = load_phonopy_directory(tmp_path, symmetrise=True, remark=remarks.append)
    # rounding of sums over 16 atoms
    assert np.abs(mended.force_constants.sum(axis=1)).max() < 1e-9
    assert any("symmetrised" in remark for remark in remarks)
    assert not any("acoustic sum rule" in remark for remark in remarks)


def test_born_charges_are_taken_left_or_insisted_on(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "phonondb" / "mp-22862"
    assert load_phonopy_directory(source).nac_params is not None
    remarks: list[str] = []
    assert load_phonopy_directory(source, nac=False, remark=remarks.append).nac_params is None
    assert any("Cl-Na is most likely polar" in remark for remark in remarks)
    for name in ("POSCAR-unitcell", "phonopy.conf", "FORCE_SETS"):
        shutil.copy(source / name, tmp_path / name)
    with pytest.raises(FileNotFoundError, match="has no BORN file"):
        load_phonopy_directory(tmp_path, nac=True)


def test_silicon_needs_no_born_charges(alloy: Phonopy, shared_data: Path) -> None:
    remarks: list[str] = []
    load_phonopy_directory(shared_data / "phonondb" / "mp-149", nac=False, remark=remarks.append)
    assert not any("polar" in remark for remark in remarks)


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_nothing_to_read(tmp_path: Path, alloy: Phonopy) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_phonopy_directory(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"looked for phonopy_params.yaml, .*POSCAR-unitcell"):
        load_phonopy_directory(tmp_path)
    write_cell(alloy, tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"no forces or force constants: looked for FORCE_CONSTANTS, .*FORCE_SETS"
    ):
        load_phonopy_directory(tmp_path)
    save_yaml(alloy, tmp_path / "phonopy_disp.yaml", forces=False, constants=False)
    with pytest.raises(FileNotFoundError, match=r"phonopy_disp.yaml has none, and there is none of"):
        load_phonopy_directory(tmp_path)


def test_supercell_is_not_guessed(alloy: Phonopy, tmp_path: Path) -> None:
    poscar_and_force_sets(alloy, tmp_path)
    (tmp_path / "phonopy.conf").unlink()
    with pytest.raises(ValueError, match="does not tell the supercell of POSCAR-unitcell"):
        load_phonopy_directory(tmp_path)
    loaded = load_phonopy_directory(tmp_path, supercell_matrix=[2, 2, 2])
    np.testing.assert_allclose(frequencies(loaded)[1:], frequencies(alloy)[1:], rtol=1e-7)
    with pytest.raises(ValueError, match="whole numbers"):
        load_phonopy_directory(tmp_path, supercell_matrix=[2, 2, 1.5])


@pytest.mark.parametrize("write", [poscar_and_force_sets, poscar_and_compact_text, poscar_and_hdf5])
def test_another_number_of_atoms(alloy: Phonopy, write: Callable[[Phonopy, Path], None], tmp_path: Path) -> None:
    write(alloy, tmp_path)
    rewrite(tmp_path / "phonopy.conf", lambda _: CONF.replace("2 2 2", "2 2 3"))
    with pytest.raises(ValueError, match=r"supercell"):
        load_phonopy_directory(tmp_path)


@pytest.mark.parametrize("write", [poscar_and_force_sets, poscar_and_compact_text])
def test_another_supercell_of_the_same_size(
    alloy: Phonopy, write: Callable[[Phonopy, Path], None], tmp_path: Path
) -> None:
    write(alloy, tmp_path)
    write_vasp(tmp_path / "SPOSCAR", alloy.supercell)
    load_phonopy_directory(tmp_path)
    if write is poscar_and_compact_text:
        (tmp_path / "SPOSCAR").unlink()  # the symmetry of the force constants is enough to tell
    # 8 unit cells as well, but other neighbours
    rewrite(tmp_path / "phonopy.conf", lambda _: CONF.replace("2 2 2", "4 1 2"))
    with pytest.raises(ValueError, match=r"is not that of SPOSCAR|another cell"):
        load_phonopy_directory(tmp_path)


def test_atoms_in_another_order(alloy: Phonopy, tmp_path: Path) -> None:
    write_cell(alloy, tmp_path)
    order = np.random.default_rng(2).permutation(16)
    write_FORCE_CONSTANTS(
        alloy.force_constants[:, order], tmp_path / "FORCE_CONSTANTS", p2s_map=alloy.primitive.p2s_map
    )
    with pytest.raises(ValueError, match=r"another"):
        load_phonopy_directory(tmp_path)


def test_numbers_that_are_not_finite(alloy: Phonopy, tmp_path: Path) -> None:
    for name in ("forces", "constants", "born"):
        (tmp_path / name).mkdir()
    poscar_and_force_sets(alloy, tmp_path / "forces")
    rewrite(tmp_path / "forces" / "FORCE_SETS", lambda text: text[:-20] + " nan\n")
    with pytest.raises(ValueError, match=r"FORCE_SETS, displacement \d+ holds .* not finite"):
        load_phonopy_directory(tmp_path / "forces")
    constants = alloy.force_constants.copy()
    constants[1, 3, 0, 2] = np.nan
    write_cell(alloy, tmp_path / "constants")
    write_FORCE_CONSTANTS(constants, tmp_path / "constants" / "FORCE_CONSTANTS", p2s_map=alloy.primitive.p2s_map)
    with pytest.raises(ValueError, match="not finite"):
        load_phonopy_directory(tmp_path / "constants")
    poscar_and_force_sets(alloy, tmp_path / "born")
    write_BORN(alloy.primitive, np.array([np.eye(3), -np.eye(3)]), 0.5 * np.eye(3), tmp_path / "born" / "BORN")
    with pytest.raises(ValueError, match="eigenvalue below 1"):
        load_phonopy_directory(tmp_path / "born")


@pytest.mark.parametrize(
    ("factor", "question"),
    [(1 / 48.59, r"Ry/bohr\^2"), (1 / 97.17, r"Ry/bohr\^2"), (16.02, "N/m"), (-1, "sign turned")],
)
def test_other_units_are_asked_about(alloy: Phonopy, factor: float, question: str, tmp_path: Path) -> None:
    write_cell(alloy, tmp_path)
    write_FORCE_CONSTANTS(factor * alloy.force_constants, tmp_path / "FORCE_CONSTANTS", p2s_map=alloy.primitive.p2s_map)
    with pytest.raises(ValueError, match=question):
        load_phonopy_directory(tmp_path)


def with_cell(phonopy: Phonopy, folder: Path, cell: PhonopyAtoms) -> None:
    write_vasp(folder / "POSCAR-unitcell", cell)
    (folder / "phonopy.conf").write_text(CONF)
    write_FORCE_CONSTANTS(phonopy.force_constants, folder / "FORCE_CONSTANTS", p2s_map=phonopy.primitive.p2s_map)


@pytest.mark.parametrize(
    ("lattice", "second", "message"),
    [
        ([2.8, 2.8, 3.68], [0.01, 0.01, 0.01], r"\d Angstrom apart"),
        ([2.8, 2.8, 12.0], [0.5, 0.5, 0.2], r"axis c holds no atoms"),
        ([28.0, 28.0, 36.8], [0.5, 0.5, 0.5], r"atoms per Angstrom"),
        ([2.8, 2.8, 3.68], [0.5, np.nan, 0.5], r"not finite"),
    ],
)
def test_cells_that_are_no_crystals(
    alloy: Phonopy, lattice: list[float], second: list[float], message: str, tmp_path: Path
) -> None:
    with_cell(
        alloy, tmp_path, PhonopyAtoms(cell=np.diag(lattice), scaled_positions=[[0, 0, 0], second], symbols=["Cu", "Au"])
    )
    with pytest.raises(ValueError, match=message):
        load_phonopy_directory(tmp_path)


@pytest.mark.parametrize("name", ["POSCAR-unitcell", "FORCE_SETS"])
def test_truncated_files(alloy: Phonopy, name: str, tmp_path: Path) -> None:
    poscar_and_force_sets(alloy, tmp_path)
    rewrite(tmp_path / name, lambda text: text[: len(text) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        load_phonopy_directory(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not: a cell\n", b"\xfd7zXZ\x00 damaged", b"a: [1, 2\n"])
def test_damaged_yaml(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "phonopy.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"phonopy.yaml (is not plain yaml|holds no cell)|cannot be read"):
        load_phonopy_directory(tmp_path)


def test_a_cell_without_symmetry_is_remarked_on(alloy: Phonopy, tmp_path: Path) -> None:
    write_cell(alloy, tmp_path, CONF.replace("2 2 2", "1 1 1").replace("1 0 0 0 1 0 0 0 1", "P"))
    supercell = alloy.supercell
    rattled = supercell.positions + 0.01 * np.random.default_rng(3).standard_normal(supercell.positions.shape)
    write_vasp(
        tmp_path / "POSCAR-unitcell",
        PhonopyAtoms(cell=supercell.cell, positions=rattled, numbers=supercell.numbers),
    )
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    full = compact_fc_to_full_fc(alloy.primitive, alloy.force_constants)
    write_FORCE_CONSTANTS(full, tmp_path / "FORCE_CONSTANTS")
    remarks: list[str] = []
    load_phonopy_directory(tmp_path, remark=remarks.append)
    assert any("no symmetry was found in the primitive cell of 16 atoms" in remark for remark in remarks)


def test_third_order_of_silicon(shared_data: Path, tmp_path: Path) -> None:
    from phono3py.file_IO import write_fc2_to_hdf5, write_fc3_to_hdf5

    folder = shared_data / "force_sets" / "Si-PBE"
    assert has_third_order(folder)
    remarks: list[str] = []
    full = load_phono3py_directory(folder, remark=remarks.append)
    assert any(remark.startswith("fc2 and fc3 from forces by finite differences, symmetrised") for remark in remarks)
    second = load_phonopy_directory(folder)
    # the second order of both comes from the same displacements; that with third order has more of them: 1e-3 of the
    # largest element, and less than 0.3 per cent of a frequency
    np.testing.assert_allclose(second.force_constants, full.fc2, atol=2e-3 * np.abs(full.fc2).max())
    full.save(tmp_path / "phono3py.yaml", settings={"force_sets": False, "displacements": False})
    write_fc2_to_hdf5(full.fc2, tmp_path / "fc2.hdf5", p2s_map=full.primitive.p2s_map)
    with pytest.raises(FileNotFoundError, match=r"nothing of third order: looked for fc3.hdf5"):
        load_phono3py_directory(tmp_path)
    np.testing.assert_allclose(load_phonopy_directory(tmp_path).force_constants, full.fc2, atol=1e-12)
    write_fc3_to_hdf5(full.fc3, filename=tmp_path / "fc3.hdf5", p2s_map=full.primitive.p2s_map)
    again = load_phono3py_directory(tmp_path)
    np.testing.assert_allclose(again.fc3, full.fc3, atol=1e-12)
    np.testing.assert_allclose(again.fc2, full.fc2, atol=1e-12)
    write_fc3_to_hdf5(full.fc3[:, :-1, :-1].copy(), filename=tmp_path / "fc3.hdf5", p2s_map=full.primitive.p2s_map)
    with pytest.raises(ValueError, match="cannot be read: Supercell size mismatch"):
        load_phono3py_directory(tmp_path)


def test_a_phonopy_folder_has_no_third_order(alloy: Phonopy, tmp_path: Path) -> None:
    poscar_and_force_sets(alloy, tmp_path)
    assert not has_third_order(tmp_path)
    with pytest.raises(FileNotFoundError, match="third order"):
        load_phono3py_directory(tmp_path)


def test_phonopy_reads_the_same(shared_data: Path) -> None:
    """Another reader of one real folder: AgI, hexagonal, primitive as it is."""
    folder = shared_data / "phonondb" / "mp-22894"
    theirs = phonopy_package.load(
        unitcell_filename=folder / "POSCAR-unitcell",
        supercell_matrix=np.diag([4, 4, 2]),
        primitive_matrix="P",
        force_sets_filename=folder / "FORCE_SETS",
        born_filename=folder / "BORN",
        log_level=0,
    )
    # the same code on the same numbers
    np.testing.assert_allclose(frequencies(load_phonopy_directory(folder))[1:], frequencies(theirs)[1:], rtol=1e-10)


@pytest.mark.parametrize("name", ["phonopy.yaml", "phono3py_disp.yaml"])
def test_yaml_that_asks_for_python_objects_is_refused(tmp_path, name):
    """phonopy's own loader would run the command."""
    (tmp_path / name).write_text(f"phonopy: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(ValueError, match="not plain yaml"):
        load_phonopy_directory(tmp_path)
    assert not (tmp_path / "made").exists()
