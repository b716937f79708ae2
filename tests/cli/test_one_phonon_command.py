"""The command ``iontherm one-phonon``."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from damped_crystal import emt_crystal

from aiida_iontherm.tasks.files import read_npz


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Copper by EMT, eight atoms: force constants of phonopy."""
    folder = tmp_path_factory.mktemp("copper")
    crystal = emt_crystal(bulk("Cu", "fcc", a=3.6), np.diag([2, 2, 2]))
    crystal.save(folder / "phonopy_params.yaml", settings={"force_constants": True})
    return folder


OPTIONS = ["--path", "GXL", "--zone", "1,1,1", "-T", 300, "--mesh", "4,4,4", "--spacing", 0.3]


def test_table_arrays_and_picture(call, folder, tmp_path):
    npz, figure = tmp_path / "one.npz", tmp_path / "one.png"
    energies = ["--energies=-45,45", "--resolution", "1,0.02"]
    result = call("one-phonon", folder, *OPTIONS, *energies, "--npz", npz, "--figure", figure)
    assert result.exit_code == 0, result.output
    for words in ("3 modes each, resolution 1 meV", "(1 1 1)", "fm^2", str(npz), str(figure)):
        assert words in result.stdout
    assert "left out" in result.stderr  # the acoustic modes at the Bragg peak
    assert figure.read_bytes().startswith(b"\x89PNG")
    arrays = read_npz(npz)
    assert arrays["tick_labels"].tolist() == ["Γ", "X", "L"]
    step = np.diff(arrays["energies_mev"]).mean()
    moments = arrays["coherent"][1:] @ arrays["energies_mev"] * step
    # resolution that grows with E moves the mean of each Gaussian by nothing: the sum rule of the spectrum itself
    np.testing.assert_allclose(moments, arrays["first_moments_mev"][1:], rtol=1e-3)


def test_json_classical_and_widths(call, folder, tmp_path):
    one = json.loads(call("one-phonon", folder, *OPTIONS, "--json").stdout)
    assert one["unit"] == "fm^2"
    assert one["imaginary_modes"] == 0
    assert one["U_A2"]["Cu1"] == pytest.approx(0.006, abs=0.004)
    xray = json.loads(call("one-phonon", folder, *OPTIONS, "--json", "--probe", "xray").stdout)
    # one species: intensities differ by f(Q)^2/b^2 alone
    for a, b in zip(one["points"], xray["points"], strict=True):
        ratios = {round(y["strength"] / x["strength"], 3) for x, y in zip(a["modes"], b["modes"], strict=True)}
        assert len(ratios) <= 1
    free = json.loads(call("one-phonon", folder, *OPTIONS, "--json", "--no-debye-waller", "--classical").stdout)
    assert "U_A2" not in free
    assert free["points"][2]["modes"][0]["strength"] > one["points"][2]["modes"][0]["strength"]


def test_linewidths_of_a_table(call, folder, tmp_path):
    frequencies = np.linspace(0.5, 8, 40)[None]
    table = tmp_path / "table.npz"
    points = {"qpoints": np.zeros((1, 3)), "temperatures": np.array([300.0])}
    np.savez(table, gamma_thz=0.05 * frequencies[None] ** 2, frequencies_thz=frequencies, **points)
    npz = tmp_path / "one.npz"
    result = call("one-phonon", folder, *OPTIONS, "--linewidths", table, "--npz", npz)
    assert result.exit_code == 0, result.output
    arrays = read_npz(npz)
    f = arrays["modes_mev"][2:] / 4.135667696
    # a power law is what the smooth curve is made of
    np.testing.assert_allclose(arrays["gamma_mev"][2:], 4.135667696 * 0.05 * f**2, rtol=1e-3)
    wrong = call("one-phonon", folder, *OPTIONS[:5], 200, "--linewidths", table)
    assert wrong.exit_code == 1
    assert "at 200 K" in wrong.stderr


def test_powder(call, folder, tmp_path):
    npz, figure = tmp_path / "powder.npz", tmp_path / "powder.png"
    where = ["--powder", "2,4", "--spacing", 0.5, "--directions", 30, "-T", 100, "--mesh", "3,3,3"]
    result = call("one-phonon", folder, *where, "--npz", npz, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert "5 lengths of Q from 2 to 4 1/Å, 30 directions each" in result.stdout
    assert read_npz(npz)["coherent"].shape[0] == 5
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_conventional_cell(call, tmp_path):
    """The same Q in the lattice units of the cube."""
    import phonopy
    from ase import Atoms
    from ase.calculators.emt import EMT
    from phonopy.structure.atoms import PhonopyAtoms

    cube = bulk("Cu", "fcc", a=3.6, cubic=True)
    unitcell = PhonopyAtoms(cube.get_chemical_symbols(), cell=cube.cell, scaled_positions=cube.get_scaled_positions())
    crystal = phonopy.Phonopy(unitcell, np.diag([2, 2, 2]), primitive_matrix="F", log_level=0)
    crystal.generate_displacements(distance=0.01)
    crystal.forces = [
        Atoms(s.symbols, s.positions, cell=s.cell, pbc=True, calculator=EMT()).get_forces()
        for s in crystal.supercells_with_displacements
    ]
    crystal.produce_force_constants()
    crystal.save(tmp_path / "phonopy_params.yaml", settings={"force_constants": True})
    shared = ["-T", 300, "--mesh", "3,3,3", "--spacing", 10, "--json"]
    # (2 1/2 0) of the cube is a (b - c + ...) of the primitive cell: hkl_p = hkl_c . P
    primitive = crystal.primitive_matrix.T @ np.array([[2, 0.5, 0], [2, 0.75, 0]]).T
    text = " ".join(",".join(f"{x:.6f}" for x in row) for row in primitive.T)
    one = json.loads(call("one-phonon", tmp_path, "--conventional", "--path", "2,0.5,0 2,0.75,0", *shared).stdout)
    two = json.loads(call("one-phonon", tmp_path, f"--path={text}", *shared).stdout)
    for a, b in zip(one["points"], two["points"], strict=True):
        assert a["q_per_A"] == pytest.approx(b["q_per_A"], rel=1e-5)
        strengths = [[mode["strength"] for mode in point["modes"]] for point in (a, b)]
        # six digits of the path
        np.testing.assert_allclose(*strengths, rtol=1e-4, atol=1e-4 * max(strengths[0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--powder", "2,4"], "either a --path or --powder"),
        (["--gamma", "-1"], "not negative"),
        (["--energies", "5,2"], "lower one first"),
        (["--resolution", "0"], "positive full width"),
        (["--resolution", "1,2,3"], "needs 2 numbers"),
        (["-T", "-1"], "temperature"),
        (["--spacing", "-1"], "positive distance"),
        (["--path", "GQ"], "Q is no point"),
        (["--mesh", "0,1,1"], "three positive whole"),
        (["--npz", "one.txt"], "must end in .npz"),
        (["--nac"], "BORN"),
        (["--linewidths", __file__, "--gamma", "1"], "either --gamma or"),
    ],
)
def test_what_is_refused(call, folder, tmp_path, change, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("one-phonon", folder, *OPTIONS, *change)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_no_force_constants(call, tmp_path):
    write(tmp_path / "POSCAR", bulk("Cu"))
    result = call("one-phonon", tmp_path, *OPTIONS)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
