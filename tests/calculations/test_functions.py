"""The calcfunctions: numbers are those of the pure functions they wrap, and provenance knows where they come from."""

import io

import numpy as np
import pytest
from aiida.orm import Dict, Str, StructureData
from aiida.plugins import CalculationFactory
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.calculations import active_learning as functions_of_learning
from aiida_iontherm.calculations import functions, transport
from aiida_iontherm.data import (
    ConfigurationsData,
    ForceConstantsData,
    PhononsData,
    PotentialData,
    ResultData,
    TrajectoryData,
)
from aiida_iontherm.physics.ions import diffusion, mobile_fraction, occupation_analysis
from aiida_iontherm.physics.ions.activation import activation_energy
from aiida_iontherm.physics.lattice.estimate import estimate_conductivity
from aiida_iontherm.physics.quantity import Quantity

pytestmark = pytest.mark.usefixtures("aiida_profile")

NAMES = (
    "sample_snapshots",
    "compare_generations",
    "record_round",
    "collect_rounds",
    "check_potential",
    "judge_potential",
    "merge_configurations",
    "analyse_diffusion",
    "analyse_heat_flux",
    "analyse_occupation",
    "conductivity_exponents",
    "missing_conductivity",
    "collect_results",
)


@pytest.mark.parametrize("name", NAMES)
def test_entry_points(name):
    assert CalculationFactory(f"iontherm.{name}").__name__ == name


def numbered(cuau, count, start=0):
    """Configurations that can be told apart by the position of their first atom."""
    frames = []
    for index in range(start, start + count):
        atoms = cuau.copy()
        atoms.positions[0, 0] = index / 100
        frames.append(atoms)
    return ConfigurationsData.from_frames(frames)


def numbers_of(node):
    return [round(100 * atoms.positions[0, 0]) for atoms in node.frames()]


@pytest.mark.parametrize(("count", "chosen"), [(1, [19]), (2, [10, 19]), (4, [5, 10, 14, 19]), (20, None), (50, None)])
def test_sample_is_even_and_ends_with_the_last(count, chosen, cuau):
    node = functions.sample_snapshots(settings=Dict({"count": count}), run_0=numbered(cuau, 20))
    found = numbers_of(node)
    if chosen is None:  # as many as there are, none twice; the first only if all are wanted
        assert len(set(found)) == len(found) >= 19
    else:
        assert found == chosen


def test_sample_is_taken_from_all_runs(cuau):
    runs = {"run_1": numbered(cuau, 10, start=50), "run_0": numbered(cuau, 10)}
    node = functions.sample_snapshots(settings=Dict({"count": 6}), **runs)
    assert numbers_of(node) == [3, 6, 50, 53, 56, 59]
    assert set(node.creator.inputs) == {"settings", "run_0", "run_1"}


def test_merge_keeps_order_and_labels(cuau):
    labelled = cuau.copy()
    labelled.calc = SinglePointCalculator(labelled, energy=-1.5, forces=np.full((2, 3), 0.25))
    first = ConfigurationsData.from_frames([labelled])
    merged = functions.merge_configurations(set_0=first, set_1=numbered(cuau, 3, start=4))
    assert numbers_of(merged) == [0, 4, 5, 6]
    assert merged.frames()[0].get_potential_energy() == -1.5
    np.testing.assert_array_equal(merged.frames()[0].get_forces(), 0.25)


def test_errors_of_a_potential(task_runs, cuau):
    """Against a plain loop over the frames."""
    path = task_runs["train"].path / "potential.mtp"
    node = PotentialData(path, species=task_runs["train"].output["results"]["species"])
    frames = []
    for seed in (7, 8):
        atoms = cuau.repeat((2, 2, 1))
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.calc = SinglePointCalculator(
            atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress()
        )
        frames.append(atoms)
    configurations = ConfigurationsData.from_frames(frames)
    result = functions.check_potential(node, configurations)
    potential = node.potential()
    energies, forces, sizes = [], [], []
    for atoms in frames:
        evaluation = potential.evaluate(atoms, virials=False)
        energies.append((evaluation.energies.sum() - atoms.get_potential_energy()) / len(atoms))
        forces.append(evaluation.forces - atoms.get_forces())
        sizes.append(atoms.get_forces())
    # 1e-6: energies and forces went through a file with eight decimals.
    rms = {
        "energy_rmse_ev_per_atom": energies,
        "force_rmse_ev_per_angstrom": forces,
        "force_rms_ev_per_angstrom": sizes,
    }
    for key, values in rms.items():
        assert result[key] == pytest.approx(np.sqrt(np.mean(np.square(values))), rel=1e-6), key
    assert result["configurations"] == 2
    part = functions.check_potential(node, configurations, Dict({"first": 1, "count": 1}))
    assert part["configurations"] == 1
    assert part["force_rmse_ev_per_angstrom"] == pytest.approx(np.sqrt(np.mean(np.square(forces[1]))), rel=1e-6)


def test_generations_are_compared_by_their_force_constants(task_runs, cuau):
    path, species = task_runs["train"].path / "potential.mtp", task_runs["train"].output["results"]["species"]
    before = PotentialData(path, species=species)
    trained = before.potential()
    stiffer = trained.replace(moment_coeffs=1.1 * trained.moment_coeffs)
    stiffer.write(path.parent / "stiffer.mtp")
    after = PotentialData(path.parent / "stiffer.mtp", species=species)
    structure, settings = StructureData(ase=cuau), Dict({"supercell": [2, 2, 1]})
    change = functions_of_learning.compare_generations(before, after, structure, settings)
    # All forces are proportional to the linear coefficients, frequencies to their root.
    assert change["force_constant_change"] == pytest.approx(0.1 / 1.1, rel=1e-6)
    assert change["frequency_change"] == pytest.approx(1 - 1.1**-0.5, rel=1e-3)  # acoustic modes are rounding
    assert change["frequency_change_thz"] > 0
    assert functions_of_learning.compare_generations(before, before, structure, settings)["frequency_change"] < 1e-6


ROUND = {
    "round": 2,
    "length_ps": 4.0,
    "runs": {
        "T300_V1": {"temperature": 300.0, "volume_scaling": 1.0},
        "T600_V1": {"temperature": 600.0, "volume_scaling": 1.0},
    },
    "force_constant_tolerance": 0.02,
    "force_error_target": 0.1,
}
CALM = {
    "production_ps": 4.0,
    "max_grade": 2.0,
    "mean_grade": 0.8,
    "candidates": 0,
    "broke_at_ps": None,
    "break_reason": None,
}
TEST = {"force_rmse_ev_per_angstrom": 0.05, "force_rms_ev_per_angstrom": 1.0}


@pytest.mark.parametrize(
    ("hot", "selected", "change", "error", "expected"),
    [
        ({}, None, None, 0.05, (True, False, True)),
        ({}, None, None, None, (True, False, False)),
        ({"candidates": 4, "max_grade": 6.0}, 0, None, 0.2, (True, False, False)),
        ({"candidates": 4, "max_grade": 6.0}, 2, 0.3, 0.2, (False, False, False)),
        ({"candidates": 4, "max_grade": 6.0}, 2, 0.02, 0.1, (False, True, True)),
        ({"candidates": 4, "max_grade": 60.0, "broke_at_ps": 0.4}, 2, 0.01, 0.05, (False, False, True)),
        ({"max_grade": None, "broke_at_ps": 0.4}, None, None, 0.05, (False, False, True)),
        (None, None, None, 0.05, (False, False, True)),
    ],
)
def test_criteria_of_a_round(hot, selected, change, error, expected):
    """Nothing selected, force constants settled, forces accurate: for runs that end well, break, or never finish."""
    parts = {"T300_V1": Dict(CALM)}
    if hot is not None:
        parts["T600_V1"] = Dict(CALM | hot)
    if selected is not None:
        parts["selection"] = Dict({"selected": selected, "max_grade_after": 2.9})
    if change is not None:
        parts["change"] = Dict(
            {"force_constant_change": change, "frequency_change": change / 2, "frequency_change_thz": 0.1}
        )
    if error is not None:
        parts["test"] = Dict(TEST | {"force_rmse_ev_per_angstrom": error})
    record = functions_of_learning.record_round(Dict(ROUND), **parts).get_dict()
    found = record["criteria"]
    assert (found["nothing_selected"], found["force_constants_settled"], found["forces_accurate"]) == expected
    assert record["test_error"] == error
    assert record["force_constant_change"] == change
    assert record["failed_runs"] == (hot is None)
    assert len(record["runs"]) == 2 - (hot is None)
    assert record["candidates"] == (hot or {}).get("candidates", 0)
    assert record["max_grade"] == max(2.0, (hot or {}).get("max_grade") or 0.0)


def test_rounds_are_collected_in_order():
    rounds = {f"round_{index:03d}": Dict({"round": index}) for index in (10, 2, 1)}
    joined = functions_of_learning.collect_rounds(Dict({"converged": True, "reason": "calm"}), **rounds)
    assert joined.get_dict() == {
        "converged": True,
        "reason": "calm",
        "rounds": [{"round": 1}, {"round": 2}, {"round": 10}],
    }
    assert set(joined.creator.inputs) == {"verdict", *rounds}


@pytest.fixture(scope="module")
def trajectory(task_runs):
    return task_runs["md"].path / "trajectory.npz"


def test_diffusion_is_that_of_the_pure_function(trajectory):
    node = TrajectoryData(trajectory)
    analysis = transport.analyse_diffusion(Dict({"ion": "Cu", "temperature": 300.0}), run=node)
    arrays = node.arrays()
    pure = diffusion(
        arrays["mobile_positions"].astype(float),
        float(arrays["frame_interval_fs"]),
        drift=arrays["drift"] - arrays["drift"][0],
    )
    quantities = analysis["result"].quantities
    directions = ("x", "y", "z", "average")
    assert [(q.name, q.direction, q.temperature) for q in quantities] == [
        *((name, d, 300.0) for name in ("D_Cu", "sigma", "sigma_nernst_einstein") for d in directions),
        ("haven_ratio", None, 300.0),
    ]
    # Copper does not diffuse in CuAu within two picoseconds: bounds. (The collective displacement is one walker, and in
    # so short a run its swing against gold may look like a drift.)
    assert [q.bound for q in quantities[:-1] if q.name != "sigma"] == ["upper"] * 8
    assert quantities[-1].value is None
    # AiiDA keeps 14 digits of a number in the database.
    np.testing.assert_allclose([q.value for q in quantities[:3]], pure.upper_bound, rtol=1e-13)
    np.testing.assert_array_equal(analysis["msd"].get_array("msd"), pure.msd)
    np.testing.assert_array_equal(analysis["msd"].get_array("lags_ps"), pure.lags_ps)
    assert analysis["result"].creator.inputs.run.uuid == node.uuid


def test_diffusion_of_a_random_walk():
    """Known D; the drift of the whole cell, which the trajectory carries along, does not count."""
    rng = np.random.default_rng(0)
    step, frames, ions = 0.3, 4000, 24
    drift = np.cumsum(np.full((frames, 3), 0.01), axis=0)
    walk = np.cumsum(rng.normal(scale=step, size=(frames, ions, 3)), axis=0) + drift[:, None]
    arrays = {name: np.zeros(1) for name in TrajectoryData.REQUIRED}
    arrays |= {"mobile_positions": walk, "drift": drift, "frame_interval_fs": np.array(10.0), "cell": 8.0 * np.eye(3)}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    stream.seek(0)
    node = TrajectoryData(stream, filename="trajectory.npz")
    analysis = transport.analyse_diffusion(Dict({"ion": "Cu", "temperature": 300.0}), run=node)
    found = {q.name: q for q in analysis["result"].quantities if q.direction in ("average", None)}
    average = found["D_Cu"]
    # <dx^2> = 2 D t: 0.09 Angstrom^2 in 10 fs are 4.5 Angstrom^2/ps = 4.5e-4 cm^2/s.
    assert average.bound is None
    # Three standard errors: one run in 370 would miss by chance, the seed is fixed.
    assert abs(average.value - 4.5e-4) < 3 * average.uncertainty
    assert average.uncertainty < 0.1 * average.value
    # Independent ions: no correlation, sigma = N e^2 D/(V k T) = 24 x (1.602e-19)^2 x 4.5e-8/(5.12e-28 x 4.14e-21).
    assert abs(found["haven_ratio"].value - 1) < 4 * found["haven_ratio"].uncertainty
    assert found["sigma_nernst_einstein"].value / average.value == pytest.approx(1.307e4 / 4.5e-4, rel=1e-3)


def test_ions_of_unknown_charge_have_a_diffusivity_only(task_runs):
    node = TrajectoryData(task_runs["md"].path / "trajectory.npz")
    analysis = transport.analyse_diffusion(Dict({"ion": "X", "temperature": 300.0}), run=node)
    assert {q.name for q in analysis["result"].quantities} == {"D_X"}


def test_two_channels_are_those_of_the_pure_function(task_runs):
    node = PhononsData(task_runs["lattice_conductivity"].path / "phonons.npz")
    analysis = functions.two_channel_conductivity(node, Dict({"r2_test": 0.9}))
    pure = estimate_conductivity(node.arrays())
    arrays = analysis["conductivity"]
    for name in ("values", "statistical", "mesh_change", "uncertainty", "frequencies_thz", "spectra", "temperatures"):
        np.testing.assert_array_equal(arrays.get_array(name), getattr(pure, name))
    by_name = {(q.name, q.direction): q for q in analysis["result"].quantities}
    assert {q.unit for q in by_name.values() if q.name.startswith("kappa")} == {"W/(m K)"}
    assert by_name["kappa_total", "x"].method.endswith("from MD, three-phonon linewidths (RTA)")
    for direction in ("x", "y", "z", "average"):
        particle, wave, total = (by_name[f"kappa_{c}", direction].value for c in ("particle", "wave", "total"))
        assert total == pytest.approx(particle + wave)
    # tetragonal
    x, y, z = (by_name["kappa_total", direction].value for direction in "xyz")
    assert x == pytest.approx(y, rel=1e-6)  # velocity products are stored in single precision
    assert abs(z - x) > 0.01 * x


def test_poor_fit_is_not_called_converged(task_runs):
    node = PhononsData(task_runs["lattice_conductivity"].path / "phonons.npz")
    analysis = functions.two_channel_conductivity(node, Dict({"r2_test": 0.3}))
    assert all(not q.converged and "30 % of the variance" in q.reason for q in analysis["result"].quantities)


def test_verdict_on_the_fit_and_words_of_the_solution_reach_the_records(task_runs):
    node = PhononsData(task_runs["lattice_conductivity"].path / "phonons.npz")
    fit = Dict({"r2_test": 0.9, "convergence_converged": False, "convergence_reason": "too few snapshots"})
    analysis = functions.two_channel_conductivity(node, fit, Dict({"linewidths": "linewidths given"}), Str("not sure"))
    for q in analysis["result"].quantities:
        assert not q.converged
        assert "not sure; the force constants are not converged: too few snapshots" in q.reason
        assert q.method.endswith("linewidths given")


def diffusivity(temperature, value, bound=None, uncertainty=None):
    return Quantity(
        name="D_Cu",
        value=value,
        unit="cm^2/s",
        method="test",
        converged=True,
        uncertainty=uncertainty,
        bound=bound,
        temperature=temperature,
        direction="average",
    )


PHONONS = {"average_mobile_frequency_thz": 2.4, "imaginary_weight": 0.0}
SETTINGS = {"ion": "Cu", "temperatures": [300.0, 450.0]}


def occupation(diffusivities, phonons=PHONONS):
    node = functions.analyse_occupation(ResultData(diffusivities), Dict(phonons), Dict(SETTINGS))
    return node.quantities


def test_occupation_where_no_diffusion_was_seen():
    """Upper bounds on D are lower bounds on the barrier and upper bounds on the mobile fraction."""
    bounds = [diffusivity(300.0, 2e-7, "upper"), diffusivity(450.0, 3e-7, "upper")]
    quantities = occupation(bounds)
    energy, frequency, *rest = quantities
    assert (energy.name, energy.bound, energy.unit) == ("activation_energy", "lower", "eV")
    assert energy.value == pytest.approx(activation_energy(bounds, 2.4).value)
    assert (frequency.name, frequency.value, frequency.unit) == ("average_frequency_Cu", 2.4, "THz")
    fractions = [q for q in rest if q.name == "mobile_fraction"]
    assert [q.temperature for q in fractions] == [300.0, 450.0]
    assert {q.bound for q in fractions} == {"upper"}
    assert [q.value for q in fractions] == pytest.approx([float(mobile_fraction(energy.value, t)) for t in (300, 450)])
    assert {q.bound for q in rest if q.name == "critical_phonon_number"} == {"lower"}


def test_occupation_where_diffusion_was_seen():
    """D made from E_A = 0.2 eV gives it back, and the analysis of 0.2 eV."""
    kb = 8.617333262e-5
    seen = [diffusivity(t, 1e-3 * np.exp(-0.2 / (kb * t)), uncertainty=1e-8) for t in (300.0, 450.0, 600.0)]
    quantities = occupation(seen)
    energy = quantities[0]
    assert energy.bound is None
    assert energy.value == pytest.approx(0.2, abs=1e-6)  # exact data: rounding only
    pure = occupation_analysis(energy.value, energy.uncertainty, 2.4, 300.0, None, reason=energy.reason)
    found = [q for q in quantities if q.temperature == 300.0]
    assert [(q.name, q.bound) for q in found] == [(q.name, q.bound) for q in pure]
    # AiiDA keeps 14 digits of a number in the database.
    assert [q.value for q in found] == pytest.approx([q.value for q in pure], rel=1e-13)


def test_imaginary_modes_spoil_the_frequency():
    frequency = occupation([diffusivity(300.0, 1e-7, "upper")], PHONONS | {"imaginary_weight": 0.05})[1]
    assert not frequency.converged
    assert "5.0 % of the modes are imaginary" in frequency.reason


def conductivities(exponent, converged=True, temperatures=(300.0, 400.0, 600.0)):
    nodes = {}
    for t in temperatures:
        nodes[f"T{t:g}"] = ResultData(
            [
                Quantity(
                    name=name,
                    value=2.0 * (t / 300) ** exponent,
                    unit="W/(m K)",
                    method="m",
                    uncertainty=0.02,
                    converged=converged,
                    reason="" if converged else "no",
                    temperature=t,
                    direction=direction,
                )
                for direction in ("x", "y", "z", "average")
                for name in ("kappa_particle", "kappa_total")
            ]
        )
    return nodes


@pytest.mark.parametrize("exponent", [-1.0, 0.1])
def test_exponents(exponent):
    quantities = functions.conductivity_exponents(**conductivities(exponent)).quantities
    assert [(q.name, q.direction) for q in quantities] == [
        ("kappa_exponent", direction) for direction in ("x", "y", "z", "average")
    ]
    # exact power law: rounding only
    assert [q.value for q in quantities] == pytest.approx([exponent] * 4, abs=1e-9)
    assert all(q.converged and q.unit == "1" and q.uncertainty > 0 for q in quantities)
    assert "between 300 and 600 K" in quantities[0].method


def test_exponents_of_doubtful_conductivities_are_doubtful():
    quantities = functions.conductivity_exponents(**conductivities(-1.0, converged=False)).quantities
    assert all(not q.converged and "not converged at 300 K, 400 K, 600 K" in q.reason for q in quantities)


def test_one_conductivity_has_no_exponent():
    one = dict(list(conductivities(-1.0).items())[:1])
    quantities = functions.conductivity_exponents(**one).quantities
    assert all(q.value is None and "fewer than two temperatures" in q.reason for q in quantities)


@pytest.mark.parametrize(("error", "good"), [(0.03, True), (0.06, False)])
def test_potential_is_judged_by_forces_it_has_not_seen(error, good):
    seen = {"force_rmse_ev_per_angstrom": 0.01, "force_rms_ev_per_angstrom": 0.3}
    unseen = {"force_rmse_ev_per_angstrom": error, "force_rms_ev_per_angstrom": 0.3}
    (quantity,) = functions.judge_potential(Dict({"train": seen, "validation": unseen})).quantities
    assert quantity.value == error
    assert quantity.converged is good
    # Without held-out configurations nothing is known about forces elsewhere.
    (quantity,) = functions.judge_potential(Dict({"train": seen, "validation": None})).quantities
    assert not quantity.converged


def test_potential_that_still_met_unknown_configurations_is_not_converged():
    good = {"force_rmse_ev_per_angstrom": 0.01, "force_rms_ev_per_angstrom": 0.3}
    training = Dict({"train": good, "validation": good})
    for converged, reason in ((True, "no frame above a grade of 3 was met"), (False, "the limit of 3 rounds")):
        learning = Dict({"converged": converged, "reason": reason, "rounds": []})
        (quantity,) = functions.judge_potential(training, learning).quantities
        assert quantity.converged is converged
        assert (reason in quantity.reason) is not converged


def test_missing_conductivity_says_why():
    node = functions.missing_conductivity(Str("ions hop"), Dict({"temperature": 450.0}))
    (quantity,) = node.quantities
    assert (quantity.name, quantity.value, quantity.unit) == ("kappa_total", None, "W/(m K)")
    assert (quantity.temperature, quantity.converged, quantity.reason) == (450.0, False, "ions hop")


def test_collected_quantities_name_the_node_they_came_from():
    part_b = ResultData([diffusivity(300.0, 1e-6)]).store()
    part_a = ResultData([diffusivity(450.0, 2e-6)]).store()
    once = functions.collect_results(b=part_b, a=part_a)
    assert [(q.temperature, q.uuid) for q in once.quantities] == [(450.0, part_a.uuid), (300.0, part_b.uuid)]
    twice = functions.collect_results(all=once)
    assert [q.uuid for q in twice.quantities] == [part_a.uuid, part_b.uuid]


def test_force_constants_of_the_task_have_replicas(task_runs):
    """What the next task reads: one fit to all snapshots, one for each block left out."""
    arrays = ForceConstantsData(task_runs["force_constants"].path / "force_constants.npz").arrays()
    assert int(arrays["fits"]) == 3
    for fit in range(3):
        fc2 = arrays[f"fc2_{fit}"]
        # Acoustic sum rule: a rigid shift costs nothing. 1e-8 eV/Angstrom^2 is rounding of the fit.
        np.testing.assert_allclose(fc2.sum(axis=1), 0, atol=1e-8)
