"""A report of a CsCu2I3-like run, with numbers of the size that lattice dynamics and MD give for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiida_iontherm.physics.heat import extrapolate_length, nemd
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV
from aiida_iontherm.report.figures.nemd import NemdData
from aiida_iontherm.report.model import (
    BarrierData,
    ConvergenceData,
    DosData,
    GreenKuboData,
    HopsData,
    KappaData,
    LifetimeData,
    MsdData,
    OccupationData,
    ParityData,
    ProcessStep,
    ProvenanceGraph,
    ProvenanceNode,
    ReportInput,
    SpectralData,
    VdosData,
    WellData,
)
from aiida_iontherm.report.motion import hops_data

LI = "Li et al., Adv. Mater. (2025), doi:10.1002/adma.202513381"
SIMONCELLI = "Simoncelli et al., Phys. Rev. X 12, 041011 (2022), https://doi.org/10.1103/PhysRevX.12.041011"
LATTICE = "two-channel lattice conductivity, force constants from MD at 300 K, three-phonon linewidths, 9×9×9 mesh"
PARTICLE_300 = (0.163, 0.065, 0.169)
WAVE_300 = (0.140, 0.089, 0.156)


def kappa(temperatures: np.ndarray) -> KappaData:
    falling = (300.0 / temperatures)[:, None, None] ** 0.9 * np.diag(PARTICLE_300)
    rising = (temperatures / 300.0)[:, None, None] ** 0.25 * np.diag(WAVE_300)
    total = falling + rising
    return KappaData(temperatures=temperatures, particle=falling, wave=rising, total=total, uncertainty=0.06 * total)


def convergence() -> list[ConvergenceData]:
    """Settled at 300 K, still moving at 450 K."""
    return [
        ConvergenceData(
            temperature=temperature,
            snapshots=np.array([80, 120, 200]),
            force_error_ev_per_angstrom=error * np.array([1.06, 1.03, 1.0]),
            frequency_change_thz=np.array([1.6, 1.0, 0.0]) * change,
            tolerance_thz=0.05,
            converged=change <= 0.05,
        )
        for temperature, error, change in ((300.0, 0.058, 0.021), (450.0, 0.094, 0.071))
    ]


def kappa_quantities(data: KappaData) -> list[Quantity]:
    results = []
    for step, temperature in enumerate(data.temperatures):
        # Above 500 K the ions hop, and the phonon picture with force constants of 300 K no longer holds.
        good = bool(temperature < 500)
        for channel in ("particle", "wave", "total"):
            for axis, direction in enumerate("xyz"):
                results.append(
                    Quantity(
                        name=f"kappa_{channel}",
                        value=float(getattr(data, channel)[step, axis, axis]),
                        unit="W/(m K)",
                        method=LATTICE,
                        converged=good,
                        reason="" if good else "Cu ions hop at this temperature: the phonon picture does not hold.",
                        uncertainty=float(data.uncertainty[step, axis, axis]) if channel == "total" else None,
                        temperature=float(temperature),
                        direction=direction,
                        citation=SIMONCELLI,
                        uuid="6e1f0a52-8b7d-4a40-9a4e-3d52c1f0b711",
                    )
                )
    return results


def ion_quantities() -> list[Quantity]:
    common = {"name": "D_Cu", "unit": "cm^2/s", "method": "slope of the mean-square displacement, 200 ps of NVE"}
    unseen = "No hop was seen: the value is the largest D that would have gone unnoticed (95 %)."
    results = [
        Quantity(
            value=9.3e-8, uncertainty=1.2e-8, converged=True, temperature=600.0, direction="x", citation=LI, **common
        ),
        Quantity(
            value=2.1e-9,
            uncertainty=1.9e-9,
            converged=False,
            reason="Only 3 hops: the error bar is as large as the value; run longer.",
            temperature=600.0,
            direction="z",
            **common,
        ),
        Quantity(
            value=1.2e-9, bound="upper", converged=True, reason=unseen, temperature=600.0, direction="y", **common
        ),
    ]
    for direction, value in zip("xyz", (1.2e-9, 0.8e-9, 1.1e-9), strict=True):
        results.append(
            Quantity(
                value=value,
                bound="upper",
                converged=True,
                reason=unseen,
                temperature=300.0,
                direction=direction,
                **common,
            )
        )
    return [
        *results,
        Quantity(
            name="activation_energy",
            value=0.207,
            unit="eV",
            uncertainty=0.031,
            method="Arrhenius fit of D(Cu) along x, 500-700 K",
            converged=True,
        ),
        Quantity(
            name="mobile_fraction",
            value=3.3e-4,
            unit="1",
            uncertainty=2.1e-4,
            method="exp(-E_A/kT)",
            converged=True,
            temperature=300.0,
        ),
        Quantity(
            name="critical_phonon_number",
            value=51.0,
            unit="1",
            method="ceil(E_A/(h nu)), Cu peak of the density of states",
            converged=True,
            reason="The number of quanta is a whole number; no error bar is given.",
        ),
        Quantity(
            name="hop_rate",
            value=None,
            unit="1/ns",
            method="site occupation",
            converged=False,
            reason="No hop was seen in 200 ps at 300 K.",
            temperature=300.0,
        ),
    ]


def spectral(temperature: float) -> SpectralData:
    frequencies = np.linspace(0.02, 4.6, 160)

    def bell(middle: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((frequencies - middle) / width) ** 2) / (width * np.sqrt(2 * np.pi))

    particle = np.outer(0.8 * bell(0.7, 0.28) + 0.2 * bell(2.2, 0.5), PARTICLE_300) * 300.0 / temperature
    wave = np.outer(0.65 * bell(1.1, 0.35) + 0.35 * bell(2.9, 0.6), WAVE_300)
    return SpectralData(temperature=temperature, frequencies_thz=frequencies, particle=particle, wave=wave)


def dos() -> DosData:
    frequencies = np.linspace(-0.8, 4.8, 280)

    def bells(*peaks: tuple[float, float, float]) -> np.ndarray:
        return sum(a * np.exp(-0.5 * ((frequencies - m) / w) ** 2) for a, m, w in peaks)

    species = {
        "Cs": bells((3.6, 1.25, 0.28)),
        "Cu": bells((3.2, 0.95, 0.3), (1.6, 3.4, 0.45), (0.15, -0.3, 0.15)),
        "I": bells((2.5, 1.0, 0.4), (3.0, 2.6, 0.5), (1.7, 4.0, 0.25)),
    }
    return DosData(temperature=300.0, frequencies_thz=frequencies, by_species=species)


def displacement(temperature: float, slopes: tuple[float, float, float], rng: np.random.Generator) -> MsdData:
    lags = np.linspace(0.0, 100.0, 201)
    cage = np.array([0.42, 0.2, 0.33]) * temperature / 600.0
    noise = rng.normal(0.0, 0.004, (201, 3)).cumsum(axis=0) * (lags / 100.0)[:, None]
    msd = cage * (1 - np.exp(-lags / 0.6))[:, None] + 2 * np.outer(lags, slopes) + np.abs(noise)
    window = (20.0, 60.0) if temperature > 400 else None
    return MsdData(ion="Cu", temperature=temperature, lags_ps=lags, msd=msd, window_ps=window)


def framework(temperature: float, species: str, cage: float) -> MsdData:
    lags = np.geomspace(0.1, 100.0, 60)
    msd = np.outer(cage * temperature / 600.0 * (1 - np.exp(-lags / 0.4)), (1.0, 0.8, 1.1))
    return MsdData(ion=species, temperature=temperature, lags_ps=lags, msd=msd, mobile=False)


def vdos(temperature: float) -> VdosData:
    frequencies = np.linspace(0.0, 12.0, 300)

    def bells(*peaks: tuple[float, float, float]) -> np.ndarray:
        return sum(a * np.exp(-0.5 * ((frequencies - m) / w) ** 2) for a, m, w in peaks)

    soft = 1 - 0.0002 * temperature
    directions = {
        "Cs": np.stack([bells((1.2, 1.25 * soft, 0.28 + 0.02 * k)) for k in range(3)], axis=1),
        "Cu": np.stack([bells((1.0, (0.9 + 0.2 * k) * soft, 0.3), (0.5, 3.4 * soft, 0.5)) for k in range(3)], axis=1),
        "I": np.stack([bells((0.8, 1.0 * soft, 0.4), (1.0, (2.4 + 0.2 * k) * soft, 0.5)) for k in range(3)], axis=1),
    }
    return VdosData(
        temperature=temperature,
        frequencies_thz=frequencies,
        by_species={name: values.sum(axis=1) for name, values in directions.items()},
        by_direction=directions,
        by_site={
            "I": {"I1": (2 * directions["I"])[:, 0], "I2": directions["I"].sum(axis=1) - 2 * directions["I"][:, 0]}
        },
    )


def make_hopping_arrays(hops: bool = True) -> dict[str, np.ndarray]:
    """Trajectory in which six copper ions vibrate on eight sites of a cube, and one of them hops to and fro."""
    rng = np.random.default_rng(4)
    sites = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * 3.0 + 1.5
    ideal = np.repeat(sites[None, :6], 400, axis=0)
    if hops:
        ideal[100:250, 5] = sites[7]
        ideal[320:, 5] = sites[7]
    drift = np.linspace(0, 0.5, 400)[:, None] * np.ones(3)
    positions = ideal + rng.normal(0, 0.2, ideal.shape) + drift[:, None]
    return {
        "mobile_positions": positions.astype(np.float32),
        "drift": drift,
        "cell": 6.0 * np.eye(3),
        "numbers": np.array([29] * 6 + [53] * 2),
        "frame_interval_fs": np.array(40.0),
    }


def hops() -> HopsData:
    data = hops_data([make_hopping_arrays()], 600.0, "Cu")
    assert data is not None
    return data


def green_kubo(rng: np.random.Generator) -> GreenKuboData:
    lags = np.linspace(0, 60.0, 3001)
    values = np.array([0.31, 0.16, 0.35])
    noise = rng.normal(0, 0.0035, (3001, 3)).cumsum(axis=0)
    kappa = values * (1 - np.exp(-lags / 1.2))[:, None] + 0.1 * np.exp(-lags / 0.3)[:, None] * values + 0.3 * noise
    kappa[0] = 0
    error = 0.02 + 0.01 * np.sqrt(lags)[:, None] * np.ones(3)
    names = {"kappa_green_kubo": 0.05, "kappa_cepstral": 0.02}
    others = [
        Quantity(
            name=name,
            value=float(value),
            uncertainty=error,
            unit="W/(m K)",
            method="test",
            converged=True,
            temperature=600.0,
            direction=direction,
        )
        for name, error in names.items()
        for direction, value in zip(("x", "y", "z", "average"), (*values, values.mean()), strict=True)
    ]
    return GreenKuboData(
        temperature=600.0, lags_ps=lags, kappa=kappa, uncertainty=error, window_ps=(5.0, 10.0), others=others
    )


def heat_exchange(rng: np.random.Generator) -> NemdData:
    """Three lengths of a crystal with kappa = 1 W/(m K) and a mean free path of 25 Angstrom."""
    cells = []
    for length in (60.0, 120.0, 240.0):
        slabs, kappa = 20, 1 / (1 + 50.0 / length)
        x = np.arange(slabs)
        distance = np.minimum(np.abs(x - slabs // 2), slabs - np.abs(x - slabs // 2)) * 2 * length / slabs
        area, power = 400.0, 1.0
        # 1 W/(m K) is 6.2415e-4 eV/(ps Angstrom K)
        gradient = power / (2 * area) / (kappa * 6.2415e-4)
        temperature = 300 + gradient * (distance - distance.mean())
        atoms = np.full((200, slabs), 40.0)
        kinetic = 3 * KB_EV * temperature * atoms * (1 + rng.normal(0, 0.003, (200, slabs)))
        sign = np.where(x < slabs // 2, 1, -1)
        current = sign * power / 2 * 2 * length / slabs * (1 + rng.normal(0, 0.1, (200, slabs)))
        cells.append((length, np.stack([atoms, kinetic, current, 0.01 * current], axis=-1), area, power))
    analysed = [
        nemd(profile, np.diag([2 * length, area**0.5, area**0.5]), 0, power, 1.0)
        for length, profile, area, power in cells
    ]
    line = extrapolate_length(
        [cell.length_A for cell in analysed],
        [cell.kappa for cell in analysed],
        [cell.uncertainty for cell in analysed],
    )
    return NemdData(cells=analysed, extrapolation=line)


def barriers() -> list[BarrierData]:
    curve = np.linspace(0, 1, 101)
    images = np.linspace(0, 1, 7)

    def energy(x: np.ndarray, height: float, end: float) -> np.ndarray:
        return height * np.sin(np.pi * x) ** 2 + end * x

    return [
        BarrierData(
            label=label,
            path_A=3.1 * images,
            energies_ev=energy(images, height, end),
            curve_path_A=3.1 * curve,
            curve_ev=energy(curve, height, end),
            converged=converged,
        )
        for label, height, end, converged in (("Cu1-Cu1_2.61", 0.21, 0.0, True), ("Cu1-Cu2_3.02", 0.34, 0.08, False))
    ]


def wells() -> list[WellData]:
    x = np.linspace(-0.6, 0.6, 13)
    return [
        WellData(
            label=f"Cu1 {direction}",
            displacements_A=x,
            energies_ev=np.polynomial.Polynomial(coefficients)(x),
            coefficients=np.array(coefficients),
        )
        for direction, coefficients in (("[1 0 0]", (0, 0, 0.6, 0.1, 0.9)), ("[0 0 1]", (0, 0, 1.4, -0.4, 0.2)))
    ]


def parity(rng: np.random.Generator) -> ParityData:
    energies = -2.95 + rng.normal(0.0, 0.012, 120)
    forces = rng.normal(0.0, 0.45, 4800)
    return ParityData(
        reference_energies=energies,
        predicted_energies=energies + rng.normal(0.0, 0.0011, 120),
        reference_forces=forces,
        predicted_forces=forces + rng.normal(0.0, 0.035, 4800),
        test_energies=np.arange(120) >= 100,
        test_forces=np.arange(4800) >= 4000,
    )


def lifetimes(rng: np.random.Generator) -> LifetimeData:
    frequencies = np.concatenate([np.zeros(3), np.sort(rng.uniform(0.08, 4.7, 1800))])
    taus = np.concatenate([np.zeros(3), 1.1 * frequencies[3:] ** -1.1 * rng.lognormal(0.0, 0.6, 1800)])
    return LifetimeData(temperature=300.0, frequencies_thz=frequencies, lifetimes_ps=taus, wigner_limit_ps=1.35)


def occupation() -> OccupationData:
    frequency, temperature = 0.97, 600.0
    n = np.arange(70)
    quantum = H_EV_THZ * frequency / (KB_EV * temperature)
    return OccupationData(
        temperature=temperature,
        frequency_thz=frequency,
        n=n,
        probability=(1 - np.exp(-quantum)) * np.exp(-n * quantum),
        n_critical=52,
        n0=float(1 / np.expm1(quantum)),
    )


def provenance() -> ProvenanceGraph:
    def node(key: str, label: str, kind: str, text: str = "", children: str = "", failed: bool = False) -> Any:
        return ProvenanceNode(
            id=key, label=label, kind=kind, text=text, children=tuple(children.split()), failed=failed
        )

    jobs = [node(f"j{i}", "LabelCalculation", "process", "finished [0]") for i in range(6)]
    return ProvenanceGraph(
        nodes=[
            node("w", "IonThermWorkChain <1204>", "process", "finished [701] · 14 min", "c r t m l s"),
            node("c", "choose_cell", "calcfunction", "finished [0]", "cell"),
            node("cell", "StructureData · 96 atoms", "data"),
            node("r", "ReferenceWorkChain", "process", "finished [0] · 6 min", "j0 j1 j2 j3 j4 j5 bad set"),
            *jobs,
            node("bad", "LabelCalculation", "process", "excepted: out of memory", failed=True),
            node("set", "TrainingSet · 120 configurations", "data"),
            node("t", "TrainCalculation", "process", "finished [0] · 2 min", "pot"),
            node("pot", "MomentTensorPotential · level 16", "data"),
            node("m", "DynamicsCalculation", "process", "finished [0] · 4 min", "pot2 msd"),
            node("pot2", "heat current, 200 ps", "data"),
            node("msd", "mean-square displacement", "data"),
            node("l", "LatticeWorkChain", "process", "finished [701] · 2 min", "f k pot"),
            node("f", "fit_force_constants", "calcfunction", "finished [0]"),
            node("k", "two_channel_kappa", "calcfunction", "finished [701]", "kt"),
            node("kt", "KappaData · 4 temperatures", "data"),
            node("s", "make_results", "calcfunction", "finished [0]"),
        ]
    )


def published() -> list[dict[str, Any]]:
    common = {"unit": "W/m/K", "citation": LI, "label": "Li 2025", "uncertainty": None}
    return [
        {
            "name": "kappa_particle",
            "direction": d,
            "temperature_K": 300,
            "value": value,
            "method": "3+4ph, Wigner",
            **common,
        }
        for d, value in zip("xyz", (0.05, 0.03, 0.13), strict=True)
    ] + [
        {
            "name": "kappa_total",
            "direction": "x",
            "temperature_K": 300,
            "value": 0.3,
            "method": "Green-Kubo and 3+4ph",
            **common,
        },
        {
            "name": "D_Cu",
            "direction": "x",
            "temperature_K": 600,
            "value": 9.3e-8,
            "method": "MD with MTP",
            **common,
            "unit": "cm2/s",
        },
        {
            "name": "D_Cu",
            "direction": "y",
            "temperature_K": 450,
            "value": 1e-9,
            "bound": "upper",
            "method": "MD with MTP",
            **common,
            "unit": "cm2/s",
        },
        {
            "name": "sigma_ionic",
            "direction": None,
            "temperature_K": 600,
            "value": 1.77e-5,
            "method": "measured",
            **common,
            "unit": "S/m",
        },
    ]


def make_report_input(**changes: Any) -> ReportInput:
    """Return a full report input; `changes` replace its fields."""
    rng = np.random.default_rng(7)
    data = kappa(np.array([200.0, 300.0, 400.0, 500.0, 600.0]))
    fields: dict[str, Any] = {
        "title": "Thermal and ionic transport of CsCu2I3",
        "formula": "CsCu2I3",
        "structure_source": "Starter compound CsCu2I3, Cmcm, from Materials Project mp-23431.",
        "structure_trust": "Relaxed with DFT by others, compared with the measured cell.",
        "protocol": "demo",
        "protocol_note": "coarse on purpose: a small cell, 200 ps of dynamics, three-phonon scattering only.",
        "created": "2026-11-21T14:03:11+00:00",
        "package_versions": {"aiida-iontherm": "0.1.0", "aiida-core": "2.9.4", "phonopy": "4.8.6", "numpy": "2.4.6"},
        "settings": {
            "engine": {"name": "chgnet", "version": "0.4.2", "threads": 1},
            "potential": {"level": 16, "cutoff_angstrom": 5.0, "seed": 0, "active_learning": True},
            "lattice": {
                "mesh": [9, 9, 9],
                "cutoffs_angstrom": [6.0, 4.5],
                "temperatures_k": [200.0, 300.0, 400.0, 500.0, 600.0],
            },
            "dynamics": {"timestep_fs": 2.0, "length_ps": 200, "ensemble": "NVT, then NVE"},
        },
        "warnings": [
            "CHGNet is known to be soft: frequencies come out too low by about ten per cent.",
            "One branch is imaginary down to -0.6 THz; its modes were left out of the conductivity.",
        ],
        "quantities": [*kappa_quantities(data), *ion_quantities()],
        "published": published(),
        "kappa": data,
        "spectral": [spectral(300.0), spectral(600.0)],
        "dos": dos(),
        "msd": [
            displacement(300.0, (0, 0, 0), rng),
            framework(300.0, "I", 0.3),
            displacement(600.0, (9e-2, 4e-3, 2e-2), rng),
            framework(600.0, "I", 0.3),
        ],
        "vdos": [vdos(300.0), vdos(600.0)],
        "hops": hops(),
        "green_kubo": green_kubo(rng),
        "nemd": heat_exchange(rng),
        "barriers": barriers(),
        "wells": wells(),
        "convergence": convergence(),
        "parity": parity(rng),
        "lifetimes": lifetimes(rng),
        "occupation": occupation(),
        "provenance": provenance(),
        "process_tree": [
            ProcessStep(text="IonThermWorkChain <1204>", seconds=851.0),
            ProcessStep(text="├── choose_cell", seconds=0.4),
            ProcessStep(text="├── ReferenceWorkChain", seconds=372.5),
            ProcessStep(text="│   └── LabelCalculation × 6", seconds=364.0),
            ProcessStep(text="├── TrainCalculation", seconds=118.0),
            ProcessStep(text="├── DynamicsCalculation", seconds=241.0),
            ProcessStep(text="└── LatticeWorkChain", seconds=112.0),
        ],
    }
    return ReportInput(**{**fields, **changes})


@pytest.fixture(scope="session")
def report_input() -> Callable[..., ReportInput]:
    return make_report_input


@pytest.fixture(scope="session")
def hopping_arrays() -> Callable[..., dict[str, np.ndarray]]:
    return make_hopping_arrays
