"""Scattering lengths and form factors against published values."""

import sys

import numpy as np
import pytest

from aiida_iontherm.physics.spectra.probes import scattering_weights


def test_neutrons():
    """Natural elements: b in fm and sigma_inc in barn of V. F. Sears, Neutron News 3(3), 26 (1992)."""
    published = {"Cu": (7.718, 0.55), "Ag": (5.922, 0.58), "I": (5.28, 0.31), "Cs": (5.42, 0.21), "H": (-3.739, 80.26)}
    published |= {"Cl": (9.577, 5.3), "Li": (-1.90, 0.92), "Ni": (10.3, 5.2), "Se": (7.97, 0.32)}
    weights = scattering_weights(list(published), [1.0, 2.0], "neutron")
    assert weights.unit == "fm^2"
    for column, (b, sigma) in enumerate(published.values()):
        # the tables were rounded isotope by isotope
        assert weights.coherent[:, column].real == pytest.approx(b, abs=0.04)
        assert 4 * np.pi * weights.incoherent[column] ** 2 / 100 == pytest.approx(sigma, abs=0.15)


def test_xrays():
    weights = scattering_weights(["Cu", "I"], [0.0, 4 * np.pi * 0.5], "xray")
    # at Q = 0 the number of electrons
    np.testing.assert_allclose(weights.coherent[0], [29, 53], rtol=2e-3)
    # the other tabulation, of International Tables C: fits to the same calculations
    from dynasor.post_processing import XRayFormFactors

    other = XRayFormFactors(["Cu", "I"], "itc-2006")
    expected = [other.get_weight_coh(name, 4 * np.pi * 0.5) for name in ("Cu", "I")]
    np.testing.assert_allclose(weights.coherent[1], expected, rtol=0.01)
    assert np.all(weights.incoherent == 0)
    np.testing.assert_array_equal(weights.of(["I", "Cu", "I"])[0], weights.coherent[0, [1, 0, 1]])


def test_without_tables(monkeypatch):
    weights = scattering_weights(["Xx"], [1.0, 2.0], "density")
    assert weights.coherent.tolist() == [[1], [1]]
    monkeypatch.setitem(sys.modules, "dynasor", None)
    with pytest.raises(ValueError, match=r"pip install 'aiida-iontherm\[spectra\]'"):
        scattering_weights(["Cu"], [1.0], "neutron")


@pytest.mark.parametrize("probe", ["neutron", "xray"])
def test_unknown_species(probe):
    with pytest.raises(ValueError, match="Missing tabulated values"):
        scattering_weights(["Cu", "Xx"], [1.0], probe)


def test_unknown_probe():
    with pytest.raises(ValueError, match="no probe"):
        scattering_weights(["Cu"], [1.0], "muon")
