"""Node types: what they hold comes back as it was, and what is no such thing cannot be stored."""

import io
import re

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from aiida.orm import load_node
from aiida.plugins import DataFactory
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm import data
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of, active_set_to_arrays
from aiida_iontherm.physics.quantity import Quantity

pytestmark = pytest.mark.usefixtures("aiida_profile")

ARCHIVES = {
    "trajectory": data.TrajectoryData,
    "force_constants": data.ForceConstantsData,
    "linewidths": data.LinewidthsData,
    "phonons": data.PhononsData,
    "parity": data.ParityData,
}
KINDS = ARCHIVES | {
    "configurations": data.ConfigurationsData,
    "potential": data.PotentialData,
    "result": data.ResultData,
}

KAPPA = Quantity(
    name="kappa_total", value=0.31, unit="W/(m K)", method="sum", converged=True, temperature=300.0, direction="x"
)


@pytest.mark.parametrize("kind", KINDS)
def test_entry_points(kind):
    assert DataFactory(f"iontherm.{kind}") is KINDS[kind]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_arrays_come_back_bit_by_bit(kind, npz):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(3, 2)) for name in ARCHIVES[kind].REQUIRED} | {"more": np.arange(4)}
    pk = ARCHIVES[kind](npz(**arrays), filename="file.npz").store().pk
    node = load_node(pk)
    assert type(node) is ARCHIVES[kind]
    found = node.arrays()
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_from_arrays():
    arrays = {name: np.arange(3.0) for name in data.ForceConstantsData.REQUIRED}
    node = data.ForceConstantsData.from_arrays(arrays).store()
    assert node.filename == "arrays.npz"
    assert {name: values.tolist() for name, values in node.arrays().items()} == {
        name: [0.0, 1.0, 2.0] for name in arrays
    }


@pytest.mark.parametrize("kind", ARCHIVES)
def test_missing_arrays_are_named(kind, npz):
    first, *others = ARCHIVES[kind].REQUIRED
    node = ARCHIVES[kind](npz(**{name: np.zeros(1) for name in others}), filename="file.npz")
    with pytest.raises(ValidationError, match=f"file.npz lacks the arrays {first}$"):
        node.store()


def test_pickled_objects_are_refused(npz):
    """A pickle runs code when it is read; it must not even be stored."""
    arrays = {name: np.zeros(1) for name in data.ParityData.REQUIRED} | {"more": np.array([{"a": 1}], dtype=object)}
    node = data.ParityData(npz(**arrays), filename="file.npz")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        node.arrays()
    with pytest.raises(ValidationError, match="not a NumPy archive of plain arrays"):
        node.store()


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped"])
def test_files_that_are_no_archive(damage, npz):
    whole = npz(**{name: np.arange(100.0) for name in data.ParityData.REQUIRED}).getvalue()
    middle = len(whole) // 2
    content = {
        "empty": b"",
        "text": b"killed\n",
        "truncated": whole[:-40],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }[damage]
    with pytest.raises(ValidationError, match=r"file\.npz is not a NumPy archive"):
        data.ParityData(io.BytesIO(content), filename="file.npz").store()


def test_configurations_keep_structures_and_labels(cuau):
    frames = []
    for seed in range(3):
        atoms = cuau.repeat((2, 1, 1))
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        frames.append(atoms)
    node = load_node(data.ConfigurationsData.from_frames(frames).store().pk)
    # Extended XYZ carries eight decimals.
    close = {"rtol": 0, "atol": 1.1e-8}
    for found, atoms in zip(node.frames(), frames, strict=True):
        assert found.get_chemical_symbols() == atoms.get_chemical_symbols()
        assert found.pbc.all()
        np.testing.assert_allclose(found.positions, atoms.positions, **close)
        np.testing.assert_allclose(found.cell.array, atoms.cell.array, **close)
        np.testing.assert_allclose(found.get_potential_energy(), atoms.get_potential_energy(), **close)
        np.testing.assert_allclose(found.get_forces(), atoms.get_forces(), **close)
        np.testing.assert_allclose(found.get_stress(), atoms.get_stress(), **close)


def test_configurations_without_labels(cuau):
    (found,) = data.ConfigurationsData.from_frames([cuau]).frames()
    assert found.calc is None


@pytest.mark.parametrize("content", [b"", b"2\nProperties=species:S:1:pos:R:3\nCu 0 0 0\n", b"no structure\n"])
def test_files_that_are_no_configurations(content):
    with pytest.raises(ValidationError, match=r"configurations\.extxyz"):
        data.ConfigurationsData(io.BytesIO(content), filename="configurations.extxyz").store()


def test_potential_keeps_file_and_species(mtp_file):
    node = load_node(data.PotentialData(mtp_file, species=["Cu", "Au"]).store().pk)
    assert node.filename == "potential.mtp"
    assert node.get_content() == mtp_file.read_text()
    assert node.species == ["Cu", "Au"]
    assert list(node.potential().species) == ["Cu", "Au"]
    assert node.potential().cutoff == 4.0


def test_potential_without_species_is_refused(mtp_file):
    with pytest.raises(ValidationError, match="names of its species"):
        data.PotentialData(mtp_file, species=[]).store()


def test_potential_with_wrong_number_of_species_is_refused(mtp_file):
    with pytest.raises(ValidationError, match=r"potential.mtp is not a potential of Cu: .*species"):
        data.PotentialData(mtp_file, species=["Cu"]).store()


def test_truncated_potential_is_refused(mtp_file):
    text = mtp_file.read_text()
    mtp_file.write_text(text[: len(text) // 2])
    with pytest.raises(ValidationError, match=r"potential.mtp is not a potential of Cu, Au"):
        data.PotentialData(mtp_file, species=["Cu", "Au"]).store()


def forget_species(mtp_file):
    """Make it a file of another program, whose species are known to the user alone."""
    mtp_file.write_text(re.sub(r"potential_tag.*\n", "", mtp_file.read_text()))


def active_set_stream(npz, mtp_file, atoms):
    potential = MomentTensorPotential.read(mtp_file, ["Cu", "Au"])
    return npz(**active_set_to_arrays(active_set_of(potential, [atoms])))


def test_potential_keeps_its_active_set(mtp_file, npz, cuau):
    stream = active_set_stream(npz, mtp_file, cuau)
    node = load_node(data.PotentialData(mtp_file, species=["Cu", "Au"], active_set=stream).store().pk)
    assert node.has_active_set
    assert node.get_content() == mtp_file.read_text()
    expected = active_set_of(node.potential(), [cuau])
    np.testing.assert_array_equal(node.active_set().rows, expected.rows)
    np.testing.assert_array_equal(node.active_set().inverse, expected.inverse)


def test_potential_without_active_set_says_so(mtp_file):
    node = data.PotentialData(mtp_file, species=["Cu", "Au"]).store()
    assert not node.has_active_set
    with pytest.raises(ValueError, match="carries no active set: train it"):
        node.active_set()


@pytest.mark.parametrize("damage", ["other species", "truncated", "text", "pickled"])
def test_active_set_that_is_of_no_use_is_refused(damage, mtp_file, npz, cuau):
    stream, species = active_set_stream(npz, mtp_file, cuau), ["Cu", "Au"]
    if damage == "other species":
        forget_species(mtp_file)
        species = ["Au", "Cu"]
    elif damage == "truncated":
        stream = io.BytesIO(stream.getvalue()[:-50])
    elif damage == "text":
        stream = io.BytesIO(b"killed")
    else:
        stream = npz(rows=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValidationError, match=r"active_set\.npz is of no use"):
        data.PotentialData(mtp_file, species=species, active_set=stream).store()


def test_potential_is_one_file_and_its_active_set(mtp_file):
    node = data.PotentialData(mtp_file, species=["Cu", "Au"])
    node.base.repository.put_object_from_filelike(io.BytesIO(b"x"), "notes.txt")
    with pytest.raises(ValidationError, match=r"a potential is one file, not notes\.txt, potential\.mtp"):
        node.store()


def test_same_potential_has_the_same_hash(mtp_file):
    """Caching and `--potential` rest on it: file and species count, nothing else."""
    forget_species(mtp_file)
    nodes = [data.PotentialData(mtp_file, species=s).store() for s in (["Cu", "Au"], ["Cu", "Au"], ["Au", "Cu"])]
    hashes = [node.base.caching.get_hash() for node in nodes]
    assert hashes[0] == hashes[1] != hashes[2]


def test_quantities_come_back_and_name_their_node():
    other = Quantity(name="D_Cu", value=None, unit="cm^2/s", method="none", converged=False, reason="x", uuid="abc")
    node = load_node(data.ResultData([KAPPA, other]).store().pk)
    first, second = node.quantities
    assert first.uuid == node.uuid
    assert {**first.to_dict(), "uuid": None} == KAPPA.to_dict()
    assert second == other  # it came from elsewhere and says so


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"name": "kappa"}, "missing"),
        (KAPPA.to_dict() | {"colour": "red"}, "colour"),
        (KAPPA.to_dict() | {"converged": False}, "say why"),
        (KAPPA.to_dict() | {"bound": "middle"}, "bound must be"),
    ],
)
def test_bad_records_are_refused(record, words):
    node = data.ResultData([])
    node.base.attributes.set("records", [record])
    with pytest.raises(ValidationError, match=f"a record is not a quantity: .*{words}"):
        node.store()


def test_result_without_quantities_is_refused():
    with pytest.raises(ValidationError, match="needs a list of quantities"):
        data.ResultData().store()
