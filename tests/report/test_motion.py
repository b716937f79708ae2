"""From the arrays of a trajectory to the records of its figures."""

import numpy as np
import pytest

from aiida_iontherm.report.motion import hops_data, msd_data, vdos_data


@pytest.fixture
def arrays(hopping_arrays):
    return hopping_arrays()


def test_hops_that_were_made_are_found(arrays):
    data = hops_data([arrays], 600.0, "Cu")
    assert (data.ion, data.temperature) == ("Cu", 600.0)
    # There, back, and there again, between seven of eight sites.
    assert (data.hops, len(data.sites)) == (3, 7)
    # Six ions for 16 ps, in whole frames.
    assert data.residence.residence_ps == pytest.approx(6 * 16.0 / 3, rel=0.02)
    # The drift of half an Angstrom is not in the density.
    assert np.sqrt(data.correlations.mean_square_A2[0]) == pytest.approx(0.2 * np.sqrt(6), rel=0.1)


def test_without_hops_there_is_no_record(hopping_arrays):
    assert hops_data([hopping_arrays(hops=False)], 600.0, "Cu") is None


def test_what_cannot_be_looked_at(arrays):
    assert hops_data([arrays], 600.0, "I") is None
    few = arrays | {name: arrays[name][:5] for name in ("mobile_positions", "drift")}
    assert hops_data([few], 600.0, "Cu") is None


def test_replicas_and_long_runs(arrays, monkeypatch):
    """Replicas are runs of their own; thinned frames show the same hops."""
    stacked = {name: np.stack([arrays[name], arrays[name]]) for name in ("mobile_positions", "drift")}
    replicas = hops_data([arrays | stacked], 600.0, "Cu")
    assert (replicas.hops, replicas.runs) == (6, 2)
    monkeypatch.setattr("aiida_iontherm.report.motion.MOST_PLACES", 600)
    thinned = hops_data([arrays], 600.0, "Cu")
    # 2400 places would be thinned four times, to 160 fs
    assert thinned.hops == 3
    assert thinned.correlations.lags_ps[0] == pytest.approx(0.16)


def test_a_run_given_twice_tells_the_same_with_twice_the_counts(arrays):
    one, two = hops_data([arrays], 600.0, "Cu"), hops_data([arrays, arrays], 600.0, "Cu")
    assert (one.runs, two.runs) == (1, 2)
    assert two.duration_ps == pytest.approx(2 * one.duration_ps)
    assert two.hops == 2 * one.hops
    np.testing.assert_array_equal(two.density.counts, 2 * one.density.counts)
    np.testing.assert_allclose(two.sites.fractional, one.sites.fractional)
    assert two.residence.departures == 2 * one.residence.departures
    assert two.residence.residence_ps == pytest.approx(one.residence.residence_ps)
    np.testing.assert_array_equal(two.correlations.samples, 2 * one.correlations.samples)
    np.testing.assert_allclose(two.correlations.self_part, one.correlations.self_part)


def test_hops_of_one_run_between_sites_of_all(hopping_arrays):
    """The run without hops knows six sites, and no hop is seen from the end of the one to the start of the other."""
    moving, still = hopping_arrays(), hopping_arrays(hops=False)
    data = hops_data([still, moving], 600.0, "Cu")
    assert (data.hops, data.runs, len(data.sites)) == (3, 2, 7)
    # Twelve ions for 16 ps, in whole frames.
    assert data.residence.residence_ps == pytest.approx(12 * 16.0 / 3, rel=0.02)


def test_runs_of_another_cell_or_length_do_not_count(arrays):
    larger = arrays | {"cell": 6.1 * np.eye(3)}
    shorter = arrays | {name: arrays[name][:300] for name in ("mobile_positions", "drift")}
    assert hops_data([arrays, larger, shorter], 600.0, "Cu").runs == 1


def test_time_of_the_search_is_shared_by_the_runs(arrays, monkeypatch):
    monkeypatch.setattr("aiida_iontherm.report.motion.MOST_PLACES", 2400)
    assert hops_data([arrays], 600.0, "Cu").correlations.lags_ps[0] == pytest.approx(0.04)
    two = hops_data([arrays, arrays], 600.0, "Cu")
    assert two.correlations.lags_ps[0] == pytest.approx(0.08)
    assert two.hops == 6


def test_displacements_of_all_species():
    lags = np.array([0.1, 0.2, 0.4, 0.8])
    values = np.arange(24.0).reshape(2, 4, 3)
    arrays = {
        "numbers": np.array([29, 29, 53]),
        "msd_lags_ps": lags,
        "msd_origins": np.array([10, 9, 7, 3]),
        "msd_Cu": values,
        "msd_I": values[0],
    }
    copper, iodine = msd_data([arrays], 300.0, "Cu")
    assert (copper.ion, copper.mobile) == ("Cu", True)
    assert (iodine.ion, iodine.mobile) == ("I", False)
    # ten origins at the shortest lag are a picosecond: 0.5 ps have enough origins
    np.testing.assert_array_equal(iodine.lags_ps, lags[:3])
    np.testing.assert_array_equal(copper.msd, values.mean(axis=0)[:3])
    other = arrays | {"msd_Cu": values + 6.0, "msd_I": values[1]}
    copper, iodine = msd_data([arrays, other, other | {"msd_lags_ps": 2 * lags}], 300.0, "Cu")
    # two runs of two replicas, and of the iodine of one each; the third has other lags
    np.testing.assert_allclose(copper.msd, values.mean(axis=0)[:3] + 3.0)
    np.testing.assert_allclose(iodine.msd, values.mean(axis=0)[:3])
    assert msd_data([{"numbers": arrays["numbers"]}], 300.0, "Cu") == []
    assert msd_data([arrays | {"msd_lags_ps": np.empty(0)}], 300.0, "Cu") == []


def test_vibrations_by_direction_where_they_are_stored():
    frequencies = np.arange(5.0)
    arrays = {"numbers": np.array([29, 53]), "vdos_frequencies_thz": frequencies}
    assert vdos_data([{"numbers": arrays["numbers"]}], 300.0) is None
    for name, factor in (("Cu", 3.0), ("I", 6.0)):
        arrays[f"vdos_{name}"] = factor * frequencies
    for axis, factor in zip("xyz", (0.5, 1.0, 1.5), strict=True):
        arrays[f"vdos_Cu_{axis}"] = factor * frequencies
    arrays |= {"vdos_I1": frequencies, "vdos_I2": 5 * frequencies, "vdos_I1_x": frequencies / 3}
    data = vdos_data([arrays], 300.0)
    assert list(data.by_site) == ["I"]
    assert list(data.by_site["I"]) == ["I1", "I2"]
    np.testing.assert_array_equal(data.by_site["I"]["I2"], arrays["vdos_I2"])
    assert list(data.by_species) == ["Cu", "I"]
    assert list(data.by_direction) == ["Cu"]
    np.testing.assert_allclose(data.by_direction["Cu"].sum(axis=1), data.by_species["Cu"])
    other = {name: 3 * array if name.startswith("vdos_") else array for name, array in arrays.items()}
    other |= {"vdos_frequencies_thz": frequencies}
    both = vdos_data([arrays, other], 300.0)
    np.testing.assert_allclose(both.by_species["I"], 2 * data.by_species["I"])
    np.testing.assert_allclose(both.by_direction["Cu"], 2 * data.by_direction["Cu"])
    np.testing.assert_allclose(both.by_site["I"]["I1"], 2 * data.by_site["I"]["I1"])
