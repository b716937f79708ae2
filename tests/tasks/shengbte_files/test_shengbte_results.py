"""BTE files: those of the stand-in, whose rates are phono3py's, and all that can be wrong with them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shengbte_crystal import FOUR_PHONONS, MESH, force_constants, run

from aiida_iontherm.physics.lattice import (
    Phonons,
    ThreePhononScattering,
    average_degenerate,
    irreducible_mesh,
    isotope_gamma,
    three_phonon_gamma,
    two_channel,
)
from aiida_iontherm.tasks.crystal import phono3py_of, phonopy_of
from aiida_iontherm.tasks.linewidth_files import read_linewidths
from aiida_iontherm.tasks.phonopy_directory import load_phonopy_directory
from aiida_iontherm.tasks.shengbte_files import (
    MissingFile,
    NoFourPhonons,
    OtherCrystal,
    Rates,
    cause,
    linewidth_arrays,
    read_conductivity,
    read_heat_capacity,
    read_rates,
)

KELVIN = [200.0, 300.0]

TEN_DIGITS = 1e-9
"""Relative, of rates printed with ten digits."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"), **FOUR_PHONONS, isotopes=True)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="module")
def three() -> tuple[ThreePhononScattering, np.ndarray]:
    scattering = ThreePhononScattering(phono3py_of(force_constants()), MESH, KELVIN)
    return scattering, three_phonon_gamma(scattering)


def test_widths_are_phono3pys(finished: Path, three: tuple[ThreePhononScattering, np.ndarray]) -> None:
    scattering, gamma = three
    table = linewidth_arrays(read_rates(finished, KELVIN, four_phonons=True), phonopy_of(force_constants()), MESH)
    np.testing.assert_allclose(table["qpoints"], scattering.qpoints, atol=1e-12)
    np.testing.assert_array_equal(table["weights"], scattering.weights)
    np.testing.assert_array_equal(table["temperatures"], KELVIN)
    expected = average_degenerate(scattering.frequencies_thz, gamma)
    # acoustic modes at Gamma have neither frequency nor width
    np.testing.assert_allclose(table["gamma_3ph_thz"], expected, rtol=1e-6, atol=1e-9 * expected.max())
    # phono3py does not average isotopes over degenerate bands: they change by some per cent with the last digits of the
    # force constants, and single ones by much more.
    isotopes, natural = table["gamma_isotopes_thz"].sum(axis=1), isotope_gamma(phonopy_of(force_constants()), MESH)
    mean = np.average(natural.sum(axis=1), weights=table["weights"])
    assert np.average(isotopes, weights=table["weights"]) == pytest.approx(mean, rel=0.1)
    parts = table["gamma_3ph_thz"] + table["gamma_4ph_thz"] + table["gamma_isotopes_thz"]
    np.testing.assert_allclose(table["gamma_thz"], parts, rtol=TEN_DIGITS)
    assert np.abs(table["frequencies_of_the_run_thz"] - table["frequencies_thz"]).max() < 1e-6
    # rates of four phonons grow as T^2 in the stand-in
    np.testing.assert_allclose(table["gamma_4ph_thz"][1], 2.25 * table["gamma_4ph_thz"][0], rtol=TEN_DIGITS)


def test_a_rate_is_four_pi_half_widths(folder: Path) -> None:
    """1/tau = 4 pi gamma (the convention of `linewidths`): one rate per picosecond is a half width of 0.0796 THz."""
    for name in ("BTE.w", "BTE.w_3ph", "BTE.w_4ph"):
        for path in folder.glob(f"T*K/{name}"):
            path.write_text("".join(f"{line[:20]}    0.1000000000E+01\n" for line in path.read_text().splitlines()))
    rates = read_rates(folder, KELVIN)
    np.testing.assert_allclose(rates.gamma_thz, 0.0795774715459, rtol=1e-12)
    np.testing.assert_allclose(rates.frequencies_thz.max(), 5.336251836, rtol=1e-6)


def test_points_run_faster_than_bands(finished: Path) -> None:
    """The n-th line of a file of rates is point n of the first band, as long as there are points."""
    rates = read_rates(finished, [300.0])
    lines = (finished / "T300K" / "BTE.w").read_text().splitlines()
    points = len(rates.qpoints)
    assert points == 12
    for place, (q, s) in {1: (1, 0), points: (0, 1), 2 * points + 3: (3, 2)}.items():
        omega, rate = (float(word) for word in lines[place].split())
        assert rates.frequencies_thz[q, s] == pytest.approx(omega / (2 * np.pi), rel=TEN_DIGITS)
        assert rates.gamma_thz[0, q, s] == pytest.approx(rate / (4 * np.pi), rel=TEN_DIGITS)


def test_particle_channel_is_the_conductivity_of_the_program(finished: Path) -> None:
    phonons = Phonons.from_phonopy(phonopy_of(force_constants()), MESH)
    table = linewidth_arrays(read_rates(finished), phonopy_of(force_constants()), MESH)
    kappa = two_channel(phonons, table["gamma_thz"], KELVIN)
    theirs = read_conductivity(finished, "BTE.KappaTensorVsT_RTA")
    # five digits in the file; all bands are summed with group velocities there, without those below 0.05 THz here
    np.testing.assert_allclose(kappa.particle, theirs.tensors, rtol=2e-5, atol=1e-6)
    converged = read_conductivity(finished, "BTE.KappaTensorVsT_CONV")
    np.testing.assert_array_equal(converged.iterations, [4, 4])
    np.testing.assert_array_equal(converged.tensors, theirs.tensors)
    kelvin, capacity = read_heat_capacity(finished)
    np.testing.assert_array_equal(kelvin, KELVIN)
    # 6 modes in a cell of 28.85 A^3, near Dulong and Petit's 3 k_B per atom; acoustic modes at Gamma left out
    classical = 6 * 1.380649e-23 / (2.8**2 * 3.68 * 1e-30)
    assert np.all(np.abs(capacity / classical - 0.92) < 0.07)


def test_iterative_rates_may_be_nothing(finished: Path) -> None:
    """BTE.w_final has NaN where a mode does not move: it is kept beside, and is no linewidth."""
    rates = read_rates(finished)
    assert np.isnan(rates.effective_thz).any()
    moving = ~np.isnan(rates.effective_thz)
    np.testing.assert_allclose(rates.effective_thz[moving], rates.gamma_thz[moving], rtol=TEN_DIGITS)
    assert np.isfinite(rates.gamma_thz).all()


@pytest.mark.parametrize("isotopes", [False, True])
def test_isotopes_are_noticed(isotopes: bool, tmp_path: Path) -> None:
    settings = {"temperatures": [300.0], "mesh": [2, 2, 2], "isotopes": isotopes}
    assert read_rates(run(tmp_path, **settings)).with_isotopes == isotopes


def test_plain_shengbte(tmp_path: Path) -> None:
    rates = read_rates(run(tmp_path, temperatures=[300.0], mesh=[2, 2, 2], convergence=False))
    assert set(rates.parts_thz) == {"3ph", "isotopes"}
    assert rates.effective_thz is None
    np.testing.assert_array_equal(rates.gamma_thz, rates.parts_thz["3ph"])
    with pytest.raises(NoFourPhonons, match=r"BTE\.w_4ph is missing"):
        read_rates(tmp_path, four_phonons=True)


def test_table_for_the_command(finished: Path) -> None:
    """A folder is read as any other table of linewidths."""
    table = read_linewidths(finished)
    rates = read_rates(finished)
    np.testing.assert_array_equal(table["gamma_thz"], rates.gamma_thz)
    np.testing.assert_array_equal(table["mesh"], MESH)
    np.testing.assert_array_equal(table["temperatures"], KELVIN)
    with pytest.raises(ValueError, match="are rates in 1/ps"):
        read_linewidths(finished, "lifetime", "ps")


def cut(path: Path, lines: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))


DAMAGES: dict[str, tuple[Callable[[Path], object], type[ValueError], str]] = {
    "cut short": (lambda f: cut(f / "T300K" / "BTE.w", 40), ValueError, r"T300K/BTE.w has 40 modes of 72: it is cut"),
    "cut within a line": (
        lambda f: (f / "BTE.omega").write_text((f / "BTE.omega").read_text()[:-50]),
        ValueError,
        "BTE.omega is empty, cut short within a line",
    ),
    "empty": (lambda f: (f / "BTE.omega").write_text(""), ValueError, "BTE.omega is empty"),
    "points missing": (lambda f: cut(f / "BTE.qpoints", 11), ValueError, "BTE.qpoints has 11 points"),
    "no temperature": (lambda f: shutil.rmtree(f / "T300K"), MissingFile, r"no T300K/BTE.w_3ph: the run ended before"),
    "nothing": (lambda f: (f / "BTE.qpoints").unlink(), MissingFile, "no BTE.qpoints"),
    "not a number": (
        lambda f: replaced(f / "T200K" / "BTE.w", lambda text: text[:-20] + " " * 17 + "NaN\n"),
        ValueError,
        "T200K/BTE.w holds a number that is not finite",
    ),
    "stars": (
        lambda f: replaced(f / "T200K" / "BTE.w", lambda text: text[:-21] + "*" * 20 + "\n"),
        ValueError,
        "T200K/BTE.w is empty, cut short within a line, or damaged",  # a full field touches the one before
    ),
    "another run": (
        lambda f: replaced(f / "T200K" / "BTE.w_4ph", lambda text: text.replace("0.1", "0.2")),
        ValueError,
        "it is of another run",
    ),
    "negative": (
        lambda f: replaced(f / "T200K" / "BTE.w", lambda text: text[:-20] + "-0.1000000000E+00\n"),
        ValueError,
        "negative scattering rate",
    ),
    "four phonons missing": (
        lambda f: (f / "T300K" / "BTE.w_4ph").unlink(),
        NoFourPhonons,
        "BTE.w_4ph is missing",
    ),
}


def replaced(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(name: str, folder: Path) -> None:
    damage, error, words = DAMAGES[name]
    damage(folder)
    with pytest.raises(error, match=words):
        read_rates(folder, KELVIN, four_phonons=True)


def test_exponents_of_three_digits(folder: Path) -> None:
    """Fortran drops the E: 0.1-120 is 1e-121."""
    path = folder / "BTE.KappaTensorVsT_RTA"
    path.write_text("  300.0   0.12345E+01   0.10000-120" + 7 * "   0.00000E+00" + "\n")
    tensors = read_conductivity(folder, path.name).tensors
    assert tensors[0, 0, 0] == 1.2345
    assert tensors[0, 0, 1] == pytest.approx(1e-121, rel=1e-12)


@pytest.fixture(scope="module")
def rates(finished: Path) -> Rates:
    return read_rates(finished)


def test_other_mesh(rates: Rates) -> None:
    with pytest.raises(OtherCrystal, match="stand for 48 of a mesh, and 4 x 4 x 4 has 64"):
        linewidth_arrays(rates, phonopy_of(force_constants()), (4, 4, 4))
    # as many points, but others
    with pytest.raises(OtherCrystal, match="not in the table"):
        linewidth_arrays(rates, phonopy_of(force_constants()), (2, 2, 12))


def test_other_crystal(rates: Rates) -> None:
    arrays = force_constants()
    with pytest.raises(OtherCrystal, match="the table belongs to other force constants"):
        linewidth_arrays(rates, phonopy_of(arrays | {"fc2_0": 1.1 * arrays["fc2_0"]}), MESH)
    with pytest.raises(OtherCrystal, match="has 3 bands, and 2 atoms have 6"):
        short = replace(rates, frequencies_thz=rates.frequencies_thz[:, :3])
        linewidth_arrays(short, phonopy_of(arrays), MESH)
    # a tolerance is one
    shifted = replace(rates, frequencies_thz=rates.frequencies_thz + 0.08)
    linewidth_arrays(shifted, phonopy_of(arrays), MESH, tolerance_thz=0.1)
    with pytest.raises(OtherCrystal):
        linewidth_arrays(shifted, phonopy_of(arrays), MESH, tolerance_thz=0.06)


def test_polar_crystal_whose_charges_are_interpolated_otherwise(shared_data: Path) -> None:
    """Rock salt with the non-analytical term as phonopy once did it: the same crystal, modes in the same order."""
    crystal = load_phonopy_directory(shared_data / "phonondb" / "mp-22862", nac=True)
    points, weights = irreducible_mesh(crystal, (3, 3, 3))
    other = crystal.copy()
    other.force_constants = crystal.force_constants
    other.nac_params = crystal.nac_params | {"method": "wang"}
    ours, theirs = (phonopy.run_qpoints(points).frequencies for phonopy in (crystal, other))
    # the difference that this is about
    assert np.abs(ours - theirs).max() > 0.1
    gamma = np.random.default_rng(0).uniform(0.01, 0.02, size=(1, *ours.shape))
    rates = Rates(points, weights.astype(int), theirs, np.array([300.0]), gamma, {"3ph": gamma}, None)
    table = linewidth_arrays(rates, crystal, (3, 3, 3))
    np.testing.assert_allclose(table["frequencies_thz"], ours, atol=1e-9)
    np.testing.assert_allclose(table["frequencies_of_the_run_thz"], theirs, atol=1e-9)
    np.testing.assert_allclose(table["gamma_thz"], average_degenerate(ours, gamma), rtol=1e-12)
    with pytest.raises(OtherCrystal, match="another treatment of the non-analytical term"):
        linewidth_arrays(replace(rates, frequencies_thz=1.1 * theirs), crystal, (3, 3, 3))


@pytest.mark.parametrize(
    ("text", "four_phonons", "found"),
    [
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1", True, "memory"),
        ("forrtl: severe (41): insufficient virtual memory", True, "memory"),
        ("Error allocating 9000000000 bytes\nError termination.", True, "memory"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***", True, "wall time"),
        ("At line 9\nFortran runtime error: Cannot match namelist object name four_phonon", True, "four phonons"),
        ("forrtl: severe (19): invalid reference to variable in NAMELIST input, unit 1", True, "four phonons"),
        ("forrtl: severe (19): invalid reference to variable in NAMELIST input, unit 1", False, "error"),
        ("Info: mesh\nError: scell is not that of the force constants", True, "error"),
        ("Info: everything is well, no error at all\n", True, "nothing"),
        ("", False, "nothing"),
    ],
)
def test_why_a_run_ended(text: str, four_phonons: bool, found: str) -> None:
    kind, line = cause(text, four_phonons)
    assert kind == found
    assert line in text
    assert bool(line) == (found != "nothing")
