"""One door for sets in several formats: nothing is lost, nothing is taken for what it is not."""

import warnings

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp.files import read_configurations, write_configurations

SPECIES = ["Cu", "I"]

# References under the names of two other programs, in a cell of 4 x 5 x 10 = 200 cubic Angstrom.
TYPED = """2
Lattice="4 0 0 0 5 0 0 0 10" Properties=species:S:1:pos:R:3:dft_forces:R:3:kind:I:1 REF_energy=-4 \
REF_virial="20 80 100 80 40 120 100 120 60" REF_stress="-0.1 -0.4 -0.5 -0.4 -0.2 -0.6 -0.5 -0.6 -0.3" \
config_type=rattled pbc="T T T"
Cu 0 0 0 0.1 0.2 0.3 1
I 1 2 3 -0.1 -0.2 -0.3 2
1
Properties=species:S:1:pos:R:3 pbc="F F F"
I 0 0 0
"""


@pytest.fixture
def typed(tmp_path):
    (tmp_path / "typed.extxyz").write_text(TYPED)
    return tmp_path / "typed.extxyz"


def labelled(count: int = 3) -> list[Atoms]:
    rng = np.random.default_rng(6)
    configurations = []
    for index in range(count):
        atoms = Atoms("CuICu", rng.normal(scale=2, size=(3, 3)), cell=5 + rng.normal(size=3), pbc=True)
        atoms.info["config_type"] = f"rattled {index}"
        results = {"energy": rng.normal(), "forces": rng.normal(size=(3, 3)), "stress": rng.normal(size=6)}
        atoms.calc = SinglePointCalculator(atoms, **results)
        configurations.append(atoms)
    return configurations


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # ASE prints arrays with 8 decimals; a stress goes through the volume in .cfg; .traj is binary.
    [("set.extxyz", 5.1e-9), ("set.xyz", 5.1e-9), ("set.cfg", 4.5e-16), ("set.traj", 0)],
)
def test_round_trip(tmp_path, name, tolerance):
    before = labelled()
    write_configurations(tmp_path / name, before, SPECIES)
    after = read_configurations(tmp_path / name, SPECIES)
    for ours, theirs in zip(after, before, strict=True):
        assert ours.get_chemical_symbols() == theirs.get_chemical_symbols()
        assert ours.info == theirs.info
        assert ours.pbc.all()
        np.testing.assert_allclose(ours.positions, theirs.positions, rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.get_forces(), theirs.get_forces(), rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.get_stress(), theirs.get_stress(), rtol=tolerance, atol=tolerance)
        assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), rel=0, abs=tolerance)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_cfg_and_back_through_extxyz(tmp_path):
    """Features, unknown blocks and columns survive the way through the other format."""
    atoms = labelled(1)[0]
    atoms.info |= {"note": ["one", "two"], "cfg_blocks": {"Energy_weight": ["Energy_weight", "0.50"]}}
    atoms.set_array("nbh_grades", np.array([0.5, 1.0, 1.5]))
    write_configurations(tmp_path / "a.cfg", [atoms], SPECIES)
    write_configurations(tmp_path / "b.extxyz", read_configurations(tmp_path / "a.cfg", SPECIES))
    write_configurations(tmp_path / "c.cfg", read_configurations(tmp_path / "b.extxyz"), SPECIES)
    (again,) = read_configurations(tmp_path / "c.cfg", SPECIES)
    assert again.info == atoms.info
    np.testing.assert_array_equal(again.arrays["nbh_grades"], [0.5, 1.0, 1.5])
    assert again.get_potential_energy() == atoms.get_potential_energy()


@pytest.mark.parametrize("name", ["set.db", "set.json"])
def test_databases(tmp_path, name):
    before = labelled(2)
    with ase.db.connect(tmp_path / name) as database:
        for index, atoms in enumerate(before):
            database.write(atoms, config_type=f"rattled {index}", data={"grades": [1, 2, index]})
    after = read_configurations(tmp_path / name)
    for index, (ours, theirs) in enumerate(zip(after, before, strict=True)):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.get_forces(), theirs.get_forces())
        assert ours.info == {"config_type": f"rattled {index}", "grades": [1, 2, index]}


def test_references_under_other_names(typed):
    stress = [-0.1, -0.2, -0.3, -0.6, -0.5, -0.4]
    for tensor in ({"stress": "REF_stress"}, {"virial": "REF_virial"}):
        first, second = read_configurations(typed, energy="REF_energy", forces="dft_forces", **tensor)
        assert first.get_potential_energy() == -4
        np.testing.assert_array_equal(first.get_forces(), [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
        # The virial is divided by the volume: one rounding.
        np.testing.assert_allclose(first.get_stress(), stress, rtol=1e-15)
        # What was not asked for stays as it is, what was asked for has moved.
        assert first.info["config_type"] == "rattled"
        np.testing.assert_array_equal(first.arrays["kind"], [1, 2])
        assert {"REF_energy", *tensor.values()}.isdisjoint(first.info)
        assert "dft_forces" not in first.arrays
        assert len({"REF_stress", "REF_virial"} & first.info.keys()) == 1
        assert second.calc is None


def test_six_numbers_are_in_the_order_of_ase(tmp_path):
    atoms = Atoms("I", cell=np.eye(3) * 2, pbc=True)
    atoms.info["REF_virial"] = np.arange(1.0, 7.0)
    ase.io.write(tmp_path / "six.extxyz", atoms)
    (again,) = read_configurations(tmp_path / "six.extxyz", virial="REF_virial")
    # Rounding of the volume, a determinant.
    np.testing.assert_allclose(again.get_stress(), -np.arange(1.0, 7.0) / 8, rtol=1e-15)


def test_a_named_reference_replaces_the_usual_one(tmp_path):
    """Also where a configuration lacks it: levels of theory are not mixed."""
    configurations = labelled(2)
    configurations[0].info["REF_energy"] = -7.0
    ase.io.write(tmp_path / "both.extxyz", configurations)
    first, second = read_configurations(tmp_path / "both.extxyz", energy="REF_energy")
    assert first.get_potential_energy() == -7.0
    assert "energy" not in second.calc.results
    assert "forces" in second.calc.results
    # The usual name is a name too.
    first, second = read_configurations(tmp_path / "both.extxyz", energy="energy")
    assert second.get_potential_energy() == configurations[1].get_potential_energy()


def test_references_that_nobody_named(typed):
    with pytest.raises(
        ValueError,
        match="energy may be REF_energy; forces may be dft_forces; stress may be REF_stress or REF_virial: name those",
    ):
        read_configurations(typed)
    with pytest.warns(UserWarning, match="forces may be dft_forces; stress may be REF_stress or REF_virial, which is"):
        read_configurations(typed, energy="REF_energy")


def test_structures_without_references_are_no_mistake(tmp_path):
    write_configurations(tmp_path / "bare.extxyz", [Atoms("I", info={"energy_weight": 2.0, "step": 3})])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (atoms,) = read_configurations(tmp_path / "bare.extxyz")
    assert atoms.calc is None


def test_keys_that_are_absent(typed):
    with pytest.raises(ValueError, match=r"typed.extxyz has no energy under 'DFT_energy': results are none, info has "):
        read_configurations(typed, energy="DFT_energy")
    with pytest.raises(ValueError, match=r"no forces under 'forces': .* arrays are dft_forces, kind"):
        read_configurations(typed, forces="forces")
    with pytest.raises(ValueError, match="name one of them"):
        read_configurations(typed, stress="REF_stress", virial="REF_virial")


@pytest.mark.parametrize(
    ("names", "change", "message"),
    [
        ({"energy": "REF_energy"}, ("REF_energy=-4", "REF_energy=nan"), "configuration 0: its energy is not finite"),
        ({"energy": "config_type"}, ("", ""), "config_type is not numeric"),
        ({"energy": "REF_stress"}, ("", ""), r"REF_stress has shape \(9,\) where \(\) is needed"),
        ({"forces": "kind"}, ("", ""), r"kind has shape \(2,\) where \(2, 3\) is needed"),
        ({"stress": "REF_energy"}, ("", ""), "REF_energy holds 1 numbers where a tensor has 9 or 6"),
        ({"virial": "REF_virial"}, ('Lattice="4 0 0 0 5 0 0 0 10" ', ""), "REF_virial needs a cell"),
    ],
)
def test_references_that_make_no_sense(typed, names, change, message):
    typed.write_text(TYPED.replace(*change))
    with pytest.raises(ValueError, match=message):
        read_configurations(typed, **names)


def test_numbers_that_are_not_finite(tmp_path):
    configurations = labelled(2)
    configurations[1].calc.results["forces"][2, 1] = np.inf
    ase.io.write(tmp_path / "set.extxyz", configurations)
    with pytest.raises(ValueError, match=r"set\.extxyz, configuration 1: its forces is not finite"):
        read_configurations(tmp_path / "set.extxyz")


@pytest.mark.parametrize("name", ["set.extxyz", "set.traj", "set.db", "set.json"])
def test_damaged_files(tmp_path, name):
    for content in (b"", b"\x00\xff\x80 no set", b"3\nLattice"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}"):
            read_configurations(tmp_path / name)


def test_truncated_extended_xyz(tmp_path):
    write_configurations(tmp_path / "set.extxyz", labelled(1))
    content = (tmp_path / "set.extxyz").read_bytes()
    (tmp_path / "set.extxyz").write_bytes(content[:-40])
    with pytest.raises(ValueError, match="cut short"):
        read_configurations(tmp_path / "set.extxyz")
    (tmp_path / "set.extxyz").write_bytes(content[:-3])
    with pytest.warns(UserWarning, match="does not end with a line break"):
        read_configurations(tmp_path / "set.extxyz")


def test_paths_that_say_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"no file of configurations .*absent\.cfg"):
        read_configurations(tmp_path / "absent.cfg")
    (tmp_path / "set.vasp").touch()
    with pytest.raises(ValueError, match=r"set\.vasp should end in \.cfg, \.extxyz"):
        read_configurations(tmp_path / "set.vasp")
    with pytest.raises(ValueError, match=r"set\.db should end in"):
        write_configurations(tmp_path / "set.db", labelled(1))
    with pytest.raises(ValueError, match="give species"):
        write_configurations(tmp_path / "set.cfg", labelled(1))
    with pytest.raises(ValueError, match="no configuration to write"):
        write_configurations(tmp_path / "set.extxyz", [])


def test_what_a_trajectory_would_lose(tmp_path):
    atoms = labelled(1)
    atoms[0].set_array("nbh_grades", np.ones(3))
    with pytest.raises(ValueError, match=r"nbh_grades, which a \.traj cannot hold: write set\.extxyz"):
        write_configurations(tmp_path / "set.traj", atoms)


@pytest.mark.parametrize("name", ["set.extxyz", "set.traj", "set.cfg"])
def test_stale_results_are_not_written(tmp_path, name):
    configurations = labelled(2)
    configurations[1].rattle(0.1)
    with pytest.raises(ValueError, match=r"configuration 1 .*changed after its energies were computed"):
        write_configurations(tmp_path / name, configurations, SPECIES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["set.extxyz", "set.cfg"])
def test_texts_of_several_lines_are_not_written(tmp_path, name):
    """ASE would write an extended XYZ file that it cannot read."""
    configurations = labelled(1)
    configurations[0].info["log"] = "first\nsecond"
    with pytest.raises(ValueError, match=r"configuration 0 .*'log'.* more than one line"):
        write_configurations(tmp_path / name, configurations, SPECIES)
