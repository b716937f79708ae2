"""From the arrays of a trajectory to the records of its figures."""

import numpy as np
import pytest

from aiida_iontherm.report.motion import hops_data, msd_data, vdos_data


@pytest.fixture
def arrays(hopping_arrays):
    return hopping_arrays()


def test_hops_that_were_made_are_found(arrays):
    data = hops_data(arrays, 600.0, "Cu")
    assert (data.ion, data.temperature) == ("Cu", 600.0)
    # There, back, and there again, between seven of eight sites.
    assert (data.hops, len(data.sites)) == (3, 7)
    # Six ions for 16 ps, in whole frames.
    assert data.residence.residence_ps == pytest.approx(6 * 16.0 / 3, rel=0.02)
    # The drift of half an Angstrom is not in the density.
    assert np.sqrt(data.correlations.mean_square_A2[0]) == pytest.approx(0.2 * np.sqrt(6), rel=0.1)


def test_without_hops_there_is_no_record(hopping_arrays):
    assert hops_data(hopping_arrays(hops=False), 600.0, "Cu") is None


def test_what_cannot_be_looked_at(arrays):
    assert hops_data(arrays, 600.0, "I") is None
    few = arrays | {name: arrays[name][:5] for name in ("mobile_positions", "drift")}
    assert hops_data(few, 600.0, "Cu") is None


def test_replicas_and_long_runs(arrays, monkeypatch):
    """Of replicas the first is looked at; thinned frames show the same hops."""
    stacked = {name: np.stack([arrays[name], arrays[name]]) for name in ("mobile_positions", "drift")}
    assert hops_data(arrays | stacked, 600.0, "Cu").hops == 3
    monkeypatch.setattr("aiida_iontherm.report.motion.MOST_PLACES", 600)
    thinned = hops_data(arrays, 600.0, "Cu")
    # 2400 places would be thinned four times, to 160 fs
    assert thinned.hops == 3
    assert thinned.correlations.lags_ps[0] == pytest.approx(0.16)


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
    copper, iodine = msd_data(arrays, 300.0, "Cu")
    assert (copper.ion, copper.mobile) == ("Cu", True)
    assert (iodine.ion, iodine.mobile) == ("I", False)
    # ten origins at the shortest lag are a picosecond: 0.5 ps have enough origins
    np.testing.assert_array_equal(iodine.lags_ps, lags[:3])
    np.testing.assert_array_equal(copper.msd, values.mean(axis=0)[:3])
    assert msd_data({"numbers": arrays["numbers"]}, 300.0, "Cu") == []
    assert msd_data(arrays | {"msd_lags_ps": np.empty(0)}, 300.0, "Cu") == []


def test_vibrations_by_direction_where_they_are_stored():
    frequencies = np.arange(5.0)
    arrays = {"numbers": np.array([29, 53]), "vdos_frequencies_thz": frequencies}
    assert vdos_data({"numbers": arrays["numbers"]}, 300.0) is None
    for name, factor in (("Cu", 3.0), ("I", 6.0)):
        arrays[f"vdos_{name}"] = factor * frequencies
    for axis, factor in zip("xyz", (0.5, 1.0, 1.5), strict=True):
        arrays[f"vdos_Cu_{axis}"] = factor * frequencies
    data = vdos_data(arrays, 300.0)
    assert list(data.by_species) == ["Cu", "I"]
    assert list(data.by_direction) == ["Cu"]
    np.testing.assert_allclose(data.by_direction["Cu"].sum(axis=1), data.by_species["Cu"])
