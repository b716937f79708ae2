"""`.mtp` files against motep's reader and writer, MLIP's own files, and damage of every kind."""

from dataclasses import fields, replace

import numpy as np
import pytest
from motep.io.mlip.mtp import read_mtp, write_mtp
from motep.potentials.mtp.data import BasisData, MTPData

from aiida_iontherm.physics.mtp.basis import BasisTables, basis_tables
from aiida_iontherm.physics.mtp.files import MtpFile, read_mtp_file, species_tag, write_mtp_file

# Level 4 without its last scalar: m4 = m0 m0 and m5 = m1^2 + m2^2 + m3^2, so that every kind of line has entries.
TYPED = """MTP
version = 1.1.0
potential_name = MTP1m
scaling = 2.5e-01
species_count = 2
potential_tag = 
radial_basis_type = RBChebyshev
	min_dist = 1.5
	max_dist = 5
	radial_basis_size = 3
	radial_funcs_count = 2
	radial_coeffs
		0-0
			{1, 2, 3}
			{4, 5, 6}
		0-1
			{7, 8, 9}
			{1.0e-01, 1.1e-01, 1.2e-01}
		1-0
			{13, 14, 15}
			{16, 17, 18}
		1-1
			{-19, 20, 21}
			{22, 23, 2.4e+01}
alpha_moments_count = 6
alpha_index_basic_count = 4
alpha_index_basic = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}
alpha_index_times_count = 4
alpha_index_times = {{0, 0, 1, 4}, {1, 1, 1, 5}, {2, 2, 1, 5}, {3, 3, 1, 5}}
alpha_scalar_moments = 3
alpha_moment_mapping = {0, 4, 5}
species_coeffs = {-1.5, -0.25}
moment_coeffs = {1.0, -2.5e-03, 3.125}
"""  # noqa: W291


def random_file(level: int = 8, species_count: int = 2, radial_size: int = 4, extra_functions: int = 0) -> MtpFile:
    rng = np.random.default_rng(level + species_count)
    tables = replace(basis_tables(level), n_radial=basis_tables(level).n_radial + extra_functions)
    # Magnitudes over many decades need every one of the 17 digits.
    return MtpFile(
        species_count=species_count,
        tables=tables,
        min_distance=rng.uniform(1, 2),
        cutoff=rng.uniform(5, 7),
        radial_coeffs=rng.normal(size=(species_count, species_count, tables.n_radial, radial_size))
        * 10.0 ** rng.integers(-20, 20, (species_count, species_count, tables.n_radial, radial_size)),
        species_coeffs=rng.normal(size=species_count),
        moment_coeffs=rng.normal(size=len(tables.scalars)),
        scaling=rng.uniform(0.1, 1),
    )


def assert_same(left: MtpFile, right: MtpFile) -> None:
    """Every field, bit for bit."""
    for name in (field.name for field in fields(MtpFile)):
        ours, theirs = getattr(left, name), getattr(right, name)
        if isinstance(ours, BasisTables):
            assert (ours.n_moments, ours.n_radial) == (theirs.n_moments, theirs.n_radial)
            for table in ("basic", "times", "scalars"):
                np.testing.assert_array_equal(getattr(ours, table), getattr(theirs, table))
        elif isinstance(ours, np.ndarray):
            assert ours.tobytes() == theirs.tobytes(), name
        else:
            assert ours == theirs, name


def motep_data(mtp: MtpFile) -> MTPData:
    tables = mtp.tables
    return MTPData(
        version="1.1.0",
        potential_name="by motep",
        scaling=mtp.scaling,
        species_count=mtp.species_count,
        radial_basis=BasisData("RBChebyshev", mtp.min_distance, mtp.cutoff, mtp.radial_coeffs.shape[-1]),
        radial_funcs_count=tables.n_radial,
        radial_coeffs=mtp.radial_coeffs,
        alpha_moments_count=tables.n_moments,
        alpha_index_basic_count=len(tables.basic),
        alpha_index_basic=tables.basic,
        alpha_index_times_count=len(tables.times),
        alpha_index_times=tables.times,
        alpha_scalar_moments=len(tables.scalars),
        alpha_moment_mapping=tables.scalars,
        species_coeffs=mtp.species_coeffs,
        moment_coeffs=mtp.moment_coeffs,
    )


def assert_motep_reads_the_same(path, mtp: MtpFile) -> None:
    data = read_mtp(path)
    assert (data.scaling, data.radial_basis.min, data.radial_basis.max) == (mtp.scaling, mtp.min_distance, mtp.cutoff)
    assert (data.species_count, data.radial_funcs_count) == (mtp.species_count, mtp.tables.n_radial)
    assert data.alpha_moments_count == mtp.tables.n_moments
    np.testing.assert_array_equal(data.radial_coeffs, mtp.radial_coeffs)
    np.testing.assert_array_equal(data.species_coeffs, mtp.species_coeffs)
    np.testing.assert_array_equal(data.moment_coeffs, mtp.moment_coeffs)
    np.testing.assert_array_equal(data.alpha_index_basic, mtp.tables.basic)
    np.testing.assert_array_equal(data.alpha_index_times, mtp.tables.times)
    np.testing.assert_array_equal(data.alpha_moment_mapping, mtp.tables.scalars)


@pytest.fixture
def typed(tmp_path):
    """Read the typed file after replacing text in it."""

    def read(*changes: tuple[str, str], **options) -> MtpFile:
        text = TYPED
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "typed.mtp").write_text(text)
        return read_mtp_file(tmp_path / "typed.mtp", **options)

    return read


def test_typed_file(typed):
    mtp = typed()
    assert (mtp.species_count, mtp.min_distance, mtp.cutoff, mtp.scaling) == (2, 1.5, 5.0, 0.25)
    np.testing.assert_array_equal(mtp.radial_coeffs[0, 1], [[7, 8, 9], [0.10, 0.11, 0.12]])
    np.testing.assert_array_equal(mtp.radial_coeffs[1, 0, 0], [13, 14, 15])
    np.testing.assert_array_equal(mtp.radial_coeffs[1, 1], [[-19, 20, 21], [22, 23, 24]])
    np.testing.assert_array_equal(mtp.species_coeffs, [-1.5, -0.25])
    np.testing.assert_array_equal(mtp.moment_coeffs, [1, -0.0025, 3.125])
    np.testing.assert_array_equal(mtp.tables.times, [[0, 0, 1, 4], [1, 1, 1, 5], [2, 2, 1, 5], [3, 3, 1, 5]])
    np.testing.assert_array_equal(mtp.tables.scalars, [0, 4, 5])
    # The second radial function is used by no moment, and kept.
    assert (mtp.tables.n_radial, mtp.tables.basic[:, 0].max()) == (2, 0)
    assert (mtp.potential_name, mtp.potential_tag, mtp.version, mtp.metadata) == ("MTP1m", "", "1.1.0", {})
    assert mtp.trained
    assert mtp.species is None


@pytest.mark.parametrize("level", [2, 8, 16])
@pytest.mark.parametrize("extra_functions", [0, 1])
def test_round_trip_keeps_every_bit(tmp_path, level, extra_functions):
    mtp = random_file(level, extra_functions=extra_functions)
    write_mtp_file(tmp_path / "pot.mtp", mtp)
    assert_same(read_mtp_file(tmp_path / "pot.mtp"), mtp)
    assert_motep_reads_the_same(tmp_path / "pot.mtp", mtp)
    assert [path.name for path in tmp_path.iterdir()] == ["pot.mtp"]


def test_level_22_with_three_species_and_a_long_cutoff(tmp_path):
    mtp = replace(random_file(22, species_count=3, radial_size=8), cutoff=7.0)
    assert mtp.radial_coeffs.shape == (3, 3, 6, 8)
    write_mtp_file(tmp_path / "pot.mtp", mtp)
    assert_same(read_mtp_file(tmp_path / "pot.mtp"), mtp)
    assert_motep_reads_the_same(tmp_path / "pot.mtp", mtp)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("level", [2, 10])
def test_files_of_motep(tmp_path, legacy, level):
    """Its default layout is one that motep itself cannot read back: radial_funcs_count comes after its use."""
    mtp = random_file(level)
    write_mtp(tmp_path / "pot.mtp", motep_data(mtp), legacy=legacy)
    if not legacy:
        with pytest.raises(KeyError):
            read_mtp(tmp_path / "pot.mtp")
    ours = read_mtp_file(tmp_path / "pot.mtp")
    # motep writes 16 digits: half a unit of the last one.
    np.testing.assert_allclose(ours.radial_coeffs, mtp.radial_coeffs, rtol=5e-16)
    np.testing.assert_allclose(ours.moment_coeffs, mtp.moment_coeffs, rtol=5e-16)
    np.testing.assert_allclose([ours.cutoff, ours.scaling], [mtp.cutoff, mtp.scaling], rtol=5e-16)
    assert ours.potential_name == "by motep"
    # Writing what was read is readable for motep, whatever layout it came in.
    write_mtp_file(tmp_path / "again.mtp", ours)
    assert_motep_reads_the_same(tmp_path / "again.mtp", ours)


def test_files_of_mlip(shared_data, tmp_path):
    crystals = shared_data / "mtp" / "fitting" / "crystals"
    paths = [crystals / name / "pot.mtp" for name in ("cubic/02", "cubic/16", "cubic/22", "multi/10", "noncubic/08")]
    for path in paths:
        mtp = read_mtp_file(path)
        assert_motep_reads_the_same(path, mtp)
        write_mtp_file(tmp_path / "pot.mtp", mtp)
        assert_same(read_mtp_file(tmp_path / "pot.mtp"), mtp)


def test_order_of_keys_does_not_matter(typed):
    """Scaling among the radial keys, or no scaling at all, are both seen."""
    inside = typed(("scaling = 2.5e-01\n", ""), ("\tradial_basis_size", "\tscaling = 2.5e-01\n\tradial_basis_size"))
    assert_same(inside, typed())
    assert typed(("scaling = 2.5e-01\n", "")).scaling == 1.0


def test_line_ends_and_spaces_of_other_systems(tmp_path, typed):
    (tmp_path / "dos.mtp").write_bytes(TYPED.replace("\n", "\r\n").replace(", ", ",").encode())
    assert_same(read_mtp_file(tmp_path / "dos.mtp"), typed())


def test_unknown_keys_are_kept(tmp_path, typed):
    mtp = typed(("scaling =", "author = A. = B., 2024\nscaling ="), ("alpha_moments", "fitted_on = \nalpha_moments"))
    assert list(mtp.metadata.items()) == [("author", "A. = B., 2024"), ("fitted_on", "")]
    write_mtp_file(tmp_path / "pot.mtp", mtp)
    assert_same(read_mtp_file(tmp_path / "pot.mtp"), mtp)


def test_selection_state_is_kept(tmp_path):
    state = b"#MVS_v1.1\nenergy_weight 1.0\n#\x00\xff\r\n\x80 = {\n\n"
    (tmp_path / "pot.almtp").write_bytes(TYPED.encode() + state)
    mtp = read_mtp_file(tmp_path / "pot.almtp")
    assert mtp.selection_state == state
    write_mtp_file(tmp_path / "again.almtp", mtp)
    assert (tmp_path / "again.almtp").read_bytes().endswith(b"}\n" + state)
    assert_same(read_mtp_file(tmp_path / "again.almtp"), mtp)


def test_species_go_into_the_tag(tmp_path):
    mtp = replace(random_file(4), potential_tag=species_tag(["Cs", "Cu"]))
    write_mtp_file(tmp_path / "pot.mtp", mtp)
    assert read_mtp_file(tmp_path / "pot.mtp").species == ("Cs", "Cu")
    assert_motep_reads_the_same(tmp_path / "pot.mtp", mtp)
    for other in ("", "mine", "species Cs", "species Cs Qq"):
        assert replace(mtp, potential_tag=other).species is None
    with pytest.raises(ValueError, match="chemical symbols, not Cs, Qq"):
        species_tag(["Cs", "Qq"])


def test_motep_refuses_keys_of_ones_own(tmp_path):
    """Why the species stand in the tag."""
    write_mtp_file(tmp_path / "pot.mtp", replace(random_file(4), metadata={"species": "Cs Cu"}))
    with pytest.raises(TypeError, match="species"):
        read_mtp(tmp_path / "pot.mtp")


def test_untrained_templates(tmp_path, typed):
    start, end = TYPED.index("\tradial_coeffs"), TYPED.index("alpha_moments_count")
    changes = [(TYPED[start:end], ""), (TYPED[TYPED.index("species_coeffs") :], "")]
    with pytest.raises(ValueError, match=r"typed\.mtp: radial_coeffs, species_coeffs, moment_coeffs .*never trained"):
        typed(*changes)
    mtp = typed(*changes, untrained=True)
    assert not mtp.trained
    assert mtp.radial_coeffs.shape == (2, 2, 2, 3)
    assert not mtp.radial_coeffs.any()
    write_mtp_file(tmp_path / "again.mtp", mtp)
    assert "coeffs" not in (tmp_path / "again.mtp").read_text()
    assert_same(read_mtp_file(tmp_path / "again.mtp", untrained=True), mtp)
    assert typed(untrained=True).trained
    with pytest.raises(ValueError, match="of an untrained potential must be zero"):
        replace(mtp, species_coeffs=np.ones(2))


@pytest.mark.parametrize("untrained", [False, True])
def test_every_cut_is_noticed(tmp_path, untrained):
    content = TYPED.encode()
    path = tmp_path / "cut.mtp"
    whole = content.rstrip(b"\n")
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"cut\.mtp: .*cut short"):
            read_mtp_file(path, untrained=untrained)
    # Files of MLIP-2 end without a line break.
    path.write_bytes(whole)
    assert_same(read_mtp_file(path), read_mtp_file(path, untrained=True))


def test_cuts_at_the_start_of_the_selection_state(tmp_path):
    path = tmp_path / "cut.mtp"
    for kept in range(1, len("#MVS_v1.1\n") + 1):
        path.write_text(TYPED + "#MVS_v1.1\n"[:kept])
        with pytest.raises(ValueError, match=r"line 34: .*cut short"):
            read_mtp_file(path)


def test_every_lost_sign_of_structure_is_noticed(tmp_path):
    """A lost digit leaves another number, and nothing in the format tells; braces, commas and = do."""
    for position in (i for i, letter in enumerate(TYPED) if letter in "{},="):
        (tmp_path / "hurt.mtp").write_text(TYPED[:position] + TYPED[position + 1 :])
        with pytest.raises(ValueError, match=r"hurt\.mtp: "):
            read_mtp_file(tmp_path / "hurt.mtp")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{7, 8, 9}", "{7, nan, 9}", r"line 17: radial_coeffs holds nan, which is not finite"),
        ("{-1.5,", "{inf,", r"line 32: species_coeffs holds inf, which is not finite"),
        ("3.125}", "1e999}", r"line 33: moment_coeffs holds 1e999, which is not finite"),
        ("max_dist = 5", "max_dist = inf", r"line 9: max_dist holds inf"),
        ("{7, 8, 9}", "{7, 8_0, 9}", r"line 17: radial_coeffs: '8_0' is no number"),
        ("{7, 8, 9}", "{7, 8}", r"line 17: radial_coeffs hold 2 numbers but radial_basis_size is 3"),
        ("\t\t\t{7, 8, 9}\n", "", r"line 12: radial_coeffs of the pair 0-1 have 1 rows but radial_funcs_count is 2"),
        ("\t\t0-1", "\t\t0-0", r"line 16: radial_coeffs of the pair 0-0 are given twice"),
        ("\t\t0-1", "\t\t0-2", r"line 12: radial_coeffs of 2 species need all 4 pairs, not 0-0, 0-2, 1-0, 1-1"),
        ("\t\t0-1\n", "", r"of 2 species need all 4 pairs, not 0-0, 1-0, 1-1"),
        ("species_count = 2", "species_count = 200000000", r"need all 40000000000000000 pairs"),
        ("species_count = 2", "species_count = 0", r"need all 0 pairs"),
        ("species_count = 2", "species_count = -2", r"line 5: species_count is -2, which is no count"),
        ("species_count = 2", "species_count = two", r"line 5: species_count: 'two' is no whole number"),
        ("radial_coeffs\n", "radial_coeffs = 5\n", r"line 12: 'radial_coeffs = 5' is neither"),
        ("count = 4\nalpha_index_basic", "count = 5\nalpha_index_basic", r"alpha_index_basic has 4 entries .* is 5"),
        ("count = 4\nalpha_index_times", "count = 3\nalpha_index_times", r"alpha_index_times has 4 entries .* is 3"),
        ("scalar_moments = 3", "scalar_moments = 4", r"alpha_moment_mapping has 3 entries .* is 4"),
        ("{1.0, -2.5e-03, 3.125}", "{1.0, -2.5e-03}", r"line 33: moment_coeffs has 2 entries .* line 30 is 3"),
        ("{-1.5, -0.25}", "{-1.5}", r"line 32: species_coeffs has 1 entries"),
        ("{3, 3, 1, 5}", "{3, 6, 1, 5}", r"alpha_index_times points beyond the 6 moments"),
        ("{3, 3, 1, 5}", "{3, -3, 1, 5}", r"alpha_index_times points beyond"),
        ("{3, 3, 1, 5}", "{3, 3, 5}", r"line 29: alpha_index_times has a row without four numbers"),
        ("{3, 3, 1, 5}", "{3, 3, 1, 99999999999}", r"no whole number below"),
        ("{3, 3, 1, 5}", "{3, 3, 1, 1000000000}", r"no whole number below"),
        ("{0, 4, 5}", "{0, 4, 6}", r"alpha_moment_mapping points beyond"),
        ("{0, 0, 1, 4}", "{0, 5, 1, 4}", r"row 0 of alpha_index_times uses a moment before it is complete"),
        ("{2, 2, 1, 5}", "{2, 5, 1, 5}", r"row 2 of alpha_index_times uses a moment before it is complete"),
        ("{0, 0, 1, 4}", "{0, 0, 1, 3}", r"adds to an elementary moment"),
        ("{0, 0, 1, 4}", "{0, 0, 1, 5}", r"points at a moment that nothing computes"),
        ("moments_count = 6", "moments_count = 200000000", r"alpha_moments_count is 200000000"),
        ("{0, 0, 0, 1}}", "{2, 0, 0, 1}}", r"radial function beyond the 2"),
        ("{0, 0, 0, 1}}", "{0, 0, 0, -1}}", r"negative number"),
        ("max_dist = 5", "max_dist = 1.5", r"min_dist must lie between 0 and max_dist"),
        ("min_dist = 1.5", "min_dist = -1.5", r"min_dist must lie between 0 and max_dist"),
        ("scaling = 2.5e-01", "scaling = 0", r"scaling must be finite and not zero"),
        ("scaling = 2.5e-01", "scaling = 0.25\nscaling = 0.5", r"line 5: scaling is given twice \(first in line 4\)"),
        ("\tmin_dist = 1.5\n", "\tmin_dist = 1.5\n\tmin = 1.6\n", r"line 9: min_dist is given twice"),
        ("RBChebyshev", "RBChebyshev_repuls", r"line 7: the radial basis 'RBChebyshev_repuls' is not supported"),
        ("potential_tag = ", "magnetic_basis_type = B", r"line 6: magnetic potentials"),
        ("version = 1.1.0", "version = 2.0", r"version 2.0 is not known"),
        ("species_coeffs =", "what is this\nspecies_coeffs =", r"line 32: 'what is this' is neither key = value"),
        ("species_coeffs =", "# a comment\nspecies_coeffs =", r"line 32: '# a comment' is no selection state"),
        ("MTP\n", "MTPR\n", r"the first line is not MTP"),
        ("potential_tag = ", "potential_tag = \x07", r"no text file"),
    ],
)
def test_damage_is_named(typed, old, new, message):
    with pytest.raises(ValueError, match=rf"typed\.mtp: .*{message}"):
        typed((old, new))


def test_files_that_are_no_potential(tmp_path):
    with pytest.raises(ValueError, match=r"no potential file .*absent\.mtp"):
        read_mtp_file(tmp_path / "absent.mtp")
    (tmp_path / "binary.mtp").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"binary\.mtp: this is no text file"):
        read_mtp_file(tmp_path / "binary.mtp")
    (tmp_path / "empty.mtp").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.mtp: .* cut short"):
        read_mtp_file(tmp_path / "empty.mtp")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moment_coeffs": np.zeros(3)}, "moment_coeffs has shape"),
        ({"radial_coeffs": np.zeros((2, 2, 2, 0))}, "radial_coeffs has shape"),
        ({"species_coeffs": np.array([0, np.nan])}, "species_coeffs holds numbers that are not finite"),
        ({"scaling": np.inf}, "scaling"),
        ({"potential_name": "two\nlines"}, "potential_name must be one line"),
        ({"metadata": {"a": " b"}}, r"metadata\['a'\] must be one line"),
        ({"metadata": {"a=": "b"}}, "'a=' cannot be a key"),
        ({"metadata": {"scaling": "2"}}, "'scaling' cannot be a key"),
        ({"selection_state": b"binary"}, "selection state"),
        ({"species_count": 0}, "at least one species"),
    ],
)
def test_nothing_damaged_can_be_written(change, message):
    with pytest.raises(ValueError, match=message):
        replace(random_file(8), **change)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_mtp_file(tmp_path / "pot.mtp", random_file(4))
    before = (tmp_path / "pot.mtp").read_bytes()

    def full_disk(path, content):
        path.open("wb").write(content[:10])
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_mtp_file(tmp_path / "pot.mtp", random_file(8))
    assert (tmp_path / "pot.mtp").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["pot.mtp"]
