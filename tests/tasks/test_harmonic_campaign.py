"""All force sets of the Kyoto phonon database that lie beside the project, as a campaign on coarse meshes."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.constants import R

from aiida_iontherm.physics.lattice.harmonic_summary import (
    NOISE_THZ,
    HarmonicSummary,
    commensurate_frequencies,
    harmonic_summary,
)
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.tasks.harmonic import densities_of_states, divisions
from aiida_iontherm.tasks.phonopy_directory import load_phonopy_directory

_DATA = Path(os.environ.get("IONTHERM_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "phonondb"
SETS = sorted(path.name for path in _DATA.glob("mp-*")) or ["absent"]

MESH_LENGTH = 12.0
"""In Angstrom: two or three divisions of small cells, one of large ones."""

UNSTABLE = {
    "mp-23017": "CsCu2Br3",
    "mp-23065": "CsCu2Cl3",
    "mp-23431": "CsCu2I3",
    "mp-28043": "Tl3AgI5",
    "mp-4182": "AgCrS2 without magnetism",
    "mp-567644": "RbCu2Br3",
    "mp-582024": "Cs3Cu2Cl5",
    "mp-985582": "cubic Li6PS5I",
}
"""Imaginary modes at wave vectors of the supercell, which no mesh hides."""

UNSTABLE_BETWEEN = {"mp-23454", "mp-567558", "mp-610517"}
"""Imaginary modes on some meshes only, at points that the supercell does not resolve."""


@pytest.fixture(scope="module", params=SETS)
def crystal(request: pytest.FixtureRequest, shared_data: Path) -> tuple:
    folder = shared_data / "phonondb" / request.param
    if not folder.is_dir():
        pytest.skip("the force sets of the Kyoto phonon database are not there")
    remarks: list[str] = []
    phonopy = load_phonopy_directory(folder, remark=remarks.append)
    phonons = Phonons.from_phonopy(phonopy, divisions(phonopy, MESH_LENGTH))
    return request.param, folder, phonopy, phonons, harmonic_summary(phonopy, phonons), remarks


def test_one_set(crystal: tuple) -> None:
    name, folder, phonopy, phonons, summary, remarks = crystal
    assert isinstance(summary, HarmonicSummary)

    # The same frequencies as phonopy, at Gamma (but for its acoustic modes) and at the last point of the mesh.
    points = [phonons.qpoints[0], phonons.qpoints[-1]]
    expected = phonopy.run_qpoints(points).frequencies
    for own, theirs in zip((phonons.frequencies_thz[0], phonons.frequencies_thz[-1]), expected, strict=True):
        kept = np.abs(theirs) > NOISE_THZ
        # The long-range part is summed differently from phonopy's, which agrees to 1e-6 of the highest frequency.
        np.testing.assert_allclose(own[kept], theirs[kept], atol=1e-5 * summary.highest_thz)

    assert (summary.nac, (folder / "BORN").is_file()) in ((True, True), (False, False))
    assert any("no Born charges" in remark for remark in remarks) is not summary.nac
    assert sum(site.n_atoms for site in summary.sites) == summary.n_atoms == len(phonopy.primitive)

    if name in UNSTABLE:
        assert not summary.trusted
        assert commensurate_frequencies(phonopy).min() < -NOISE_THZ
    elif name not in UNSTABLE_BETWEEN:
        assert summary.trusted, summary.verdict
    # Ionic crystals of atoms heavier than lithium; the PS4 groups of argyrodites are the stiffest.
    assert 2 < summary.highest_thz < 21

    if summary.trusted:
        assert 0.7 * 3 * R < summary.heat_capacity < 3 * R  # at 300 K, Theta_D below 920 K
        assert summary.lowest_thz <= summary.average_frequency_thz <= summary.highest_thz
        # each atom has three modes per point, but for what is left out at Gamma
        mean = np.average(
            [site.average_frequency_thz for site in summary.sites], weights=[site.n_atoms for site in summary.sites]
        )
        assert summary.average_frequency_thz == pytest.approx(mean, rel=0.05)
        assert 1 / summary.n_atoms <= summary.mean_participation_ratio <= 1
        # between a rare-gas crystal and diamond
        assert 0.05 < summary.diffuson_conductivity < 2
    else:
        assert summary.heat_capacity is None
        assert summary.cahill_limit is None
    if summary.debye_temperature_K is not None:
        assert summary.transverse_m_s < summary.debye_m_s < summary.longitudinal_m_s
        assert 50 < summary.debye_temperature_K < 1000
        assert summary.diffuson_limit < summary.cahill_limit * 1.05  # 0.76 to 1.21 in front, less below Theta_D

    arrays = densities_of_states(phonopy, phonons)
    species = sum(states for label, states in arrays.items() if label.startswith("species_"))
    sites = sum(states for label, states in arrays.items() if label.startswith("site_"))
    np.testing.assert_allclose(sites, species, rtol=1e-10, atol=1e-12)
    # 3n states, some of the smeared acoustic ones below zero
    assert np.trapezoid(species, arrays["frequencies_thz"]) == pytest.approx(3 * summary.n_atoms, rel=0.15)


def test_imaginary_modes_that_are_known(shared_data: Path) -> None:
    """Minus 1.4 THz of CsCu2I3 and minus 4.9 THz of cubic Li6PS5I."""
    for name, lowest in (("mp-23431", -1.4), ("mp-985582", -4.9)):
        phonopy = load_phonopy_directory(shared_data / "phonondb" / name)
        phonons = Phonons.from_phonopy(phonopy, (2, 2, 2))
        assert phonons.frequencies_thz.min() == pytest.approx(lowest, abs=0.15)  # given to one decimal, other points
