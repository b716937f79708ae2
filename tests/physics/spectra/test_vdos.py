import numpy as np
import pytest
from scipy.signal import lfilter

from aiida_iontherm.physics.spectra import vdos, vibrational_dos

MASSES = {"Cu": 63.546, "I": 126.904}


def oscillators(seed: int, frames: int, dt_ps: float, species: list[str], frequencies: np.ndarray) -> np.ndarray:
    """Harmonic velocities at unit temperature, one frequency per atom."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None] * dt_ps
    amplitude = np.sqrt(2 / np.array([MASSES[s] for s in species]))[:, None]
    return amplitude * np.cos(2 * np.pi * (frequencies[:, None] * t + rng.random((len(species), 3))))


def run(velocities, species, **options):
    return vibrational_dos(velocities, 10.0, [MASSES[s] for s in species], species, **options)


SPECIES = ["Cu", "Cu", "I", "Cu"]
FREQUENCIES = np.array([1.5, 4.0, 2.0, 1.5])


def test_lines_areas_and_sums():
    dos = run(oscillators(0, 20_000, 0.01, SPECIES, FREQUENCIES), SPECIES, resolution_thz=0.1)
    step = dos.frequencies_thz[1]
    # the normalisation is a definition: rounding
    assert np.trapezoid(dos.total, dos.frequencies_thz) == pytest.approx(12, rel=1e-10)
    np.testing.assert_allclose(dos.partial["Cu"] + dos.partial["I"], dos.total, atol=1e-10 * dos.total.max())
    # 200 ps hold whole numbers of periods, so amplitudes are exact up to the ends of the window: 1 %
    assert np.trapezoid(dos.partial["I"], dos.frequencies_thz) == pytest.approx(3, rel=0.01)
    for low, high, states in [(1.2, 1.75, 6), (1.75, 2.3, 3), (3.6, 4.4, 3)]:
        inside = (dos.frequencies_thz > low) & (dos.frequencies_thz < high)
        assert dos.total[inside].sum() * step == pytest.approx(states, rel=0.02)  # tails of the Parzen window
        peak = dos.frequencies_thz[inside][np.argmax(dos.total[inside])]
        assert min(abs(peak - FREQUENCIES)) <= step  # the grid
    assert dos.total.min() > -1e-10 * dos.total.max()  # the window keeps it non-negative, up to rounding


def test_resolution_is_the_width_of_a_line():
    for resolution in (0.1, 0.3):
        dos = run(oscillators(1, 20_000, 0.01, ["Cu"], np.array([5.0])), ["Cu"], resolution_thz=resolution)
        assert dos.resolution_thz <= resolution
        fine = np.linspace(4, 6, 20_001)
        above = fine[np.interp(fine, dos.frequencies_thz, dos.total) > dos.total.max() / 2]
        # the grid has about three points a width: linear interpolation is good to some per cent
        assert above[-1] - above[0] == pytest.approx(resolution, rel=0.12)


def test_mass_weighting_counts_modes():
    """Two atoms on a spring in one dimension: the light one moves more, yet the mode is one state."""
    t = np.arange(20_000)[:, None] * 0.01
    light, heavy = MASSES["Cu"], MASSES["I"]
    velocities = np.zeros((20_000, 2, 3))
    velocities[:, 0] = heavy * np.cos(2 * np.pi * 3.0 * t)
    velocities[:, 1] = -light * np.cos(2 * np.pi * 3.0 * t)
    dos = run(velocities, ["Cu", "I"])
    share = np.trapezoid(dos.partial["Cu"], dos.frequencies_thz) / 6
    assert share == pytest.approx(heavy / (light + heavy), rel=1e-9)  # squared eigenvector of the mode, exact here


def test_value_at_zero_frequency_is_the_diffusivity():
    """Langevin particle: D = k_B T/(m gamma), so g(0) = 12 m D/(k_B T) = 12/gamma per atom."""
    gamma_per_ps, dt = 5.0, 0.01
    phi = np.exp(-gamma_per_ps * dt)
    noise = np.random.default_rng(2).normal(size=(20_000, 60, 3)) * np.sqrt(1 - phi**2)
    species = ["Cu"] * 60
    dos = run(lfilter([1.0], [1.0, -phi], noise, axis=0), species, resolution_thz=0.2)
    lorentzian = 12 / gamma_per_ps / (1 + (2 * np.pi * dos.frequencies_thz / gamma_per_ps) ** 2)
    low = dos.frequencies_thz < 0.5
    # noise: 180 coordinates x 200 ps x 0.2 THz = 7200 independent values over the window, 1.2 %;
    # smoothing over 0.2 THz lowers the maximum by (0.085/0.8)^2 = 1.1 %
    np.testing.assert_allclose(dos.total[low] / 60, lorentzian[low], rtol=0.06)


def test_chunks_make_no_difference(monkeypatch):
    velocities = oscillators(3, 3000, 0.01, SPECIES, FREQUENCIES)
    whole = run(velocities, SPECIES, resolution_thz=0.2)
    monkeypatch.setattr(vdos, "CHUNK_BYTES", 1)
    parts = run(velocities.astype(np.float32), SPECIES, resolution_thz=0.2)
    # float32 input: 1e-7 of each velocity
    np.testing.assert_allclose(parts.total, whole.total, atol=1e-5 * whole.total.max())


def test_area_of_an_odd_window():
    """Whatever the number of lags, the trapezoidal area is the zero-lag correlation."""
    velocities = np.random.default_rng(4).normal(size=(500, 3, 3))
    masses = np.array([1.0, 2.0, 3.0])
    energies = masses * np.sum(velocities**2, axis=(0, 2))
    for resolution in (0.61, 0.77, 1.3):
        dos = vibrational_dos(velocities, 10.0, masses, ["a", "b", "b"], resolution_thz=resolution)
        area = np.trapezoid(dos.partial["a"], dos.frequencies_thz)
        assert area == pytest.approx(9 * energies[0] / energies.sum(), rel=1e-9)  # Parseval: rounding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocities": np.zeros((100, 2))}, "shape"),
        ({"masses": [1.0]}, "mass"),
        ({"masses": [1.0, 0.0]}, "positive"),
        ({"species": ["a"]}, "species"),
        ({"timestep_fs": 0.0}, "positive"),
        ({"resolution_thz": 0.001}, "frames"),
        ({"velocities": np.full((1000, 2, 3), np.nan)}, "NaN"),
        ({"velocities": np.zeros((1000, 2, 3))}, "zero"),
    ],
)
def test_bad_input(change, message):
    arguments = {
        "velocities": np.ones((1000, 2, 3)),
        "timestep_fs": 10.0,
        "masses": [1.0, 1.0],
        "species": ["a", "b"],
        "resolution_thz": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        vibrational_dos(**{**arguments, **change})
