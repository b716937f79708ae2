"""The barrier task: vacancy hops in copper, given paths, scans, bond valences, and going on after a time limit."""

import json
import signal

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_PHYSICS

COPPER = {
    "engine": "emt",
    "mobile": "Cu",
    "supercell": [2, 2, 2],
    "search": {"max_distance": 3.0},
    "images": 3,
    "fmax": 0.05,
}


def copper() -> Atoms:
    return bulk("Cu", "fcc", a=3.59, cubic=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    from aiida_iontherm.tasks.contract import run_task

    path = tmp_path_factory.mktemp("whole")
    (path / "input.json").write_text(json.dumps(COPPER))
    ase.io.write(path / "structure.extxyz", copper())
    assert run_task("barrier", "aiida_iontherm.tasks.barrier", path) == EXIT_OK
    return path


def results(path):
    return json.loads((path / "output.json").read_text())["results"]


def test_the_hop_of_copper(whole):
    (record,) = results(whole)["barriers"]
    assert record["label"] == "Cu-Cu_2.54"
    assert (record["kind"], record["multiplicity"], record["state"]) == ("into a vacancy", 24, "barrier")
    assert record["converged"]
    # the crystal maps one end on the other: to the square of the force left over a stiffness of some eV/Angstrom^2
    assert record["forward_ev"] == pytest.approx(record["backward_ev"], abs=1e-3)
    # measured 0.70 eV (Ehrhart 1991), and EMT is no better than a fifth
    assert record["forward_ev"] == pytest.approx(0.70, rel=0.2)
    quantities = results(whole)["quantities"]
    assert [q["direction"] for q in quantities] == ["forward", "backward"]
    assert all(q["unit"] == "eV" and q["converged"] for q in quantities)
    # 7.18 Angstrom: too small to trust, and no ionic compound
    assert any("7.2 Angstrom high" in remark for remark in results(whole)["remarks"])
    assert any("no bond valences" in remark for remark in results(whole)["remarks"])


def test_files_belong_together(whole):
    frames = ase.io.read(whole / "paths.extxyz", ":")
    with np.load(whole / "barriers.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert len(frames) == 5
    assert [frame.info["image"] for frame in frames] == list(range(5))
    energies = np.array([frame.get_potential_energy() for frame in frames])
    # eight decimals in the text
    np.testing.assert_allclose(energies - energies[0], arrays["energies_ev_0"], atol=2e-8)
    top = frames[results(whole)["barriers"][0]["highest_image"]].copy()
    top.calc = EMT()
    # positions with eight decimals, at a saddle
    assert top.get_potential_energy() == pytest.approx(energies.max(), abs=1e-6)
    assert arrays["curve_ev_0"].max() <= results(whole)["barriers"][0]["forward_ev"] + 1e-12


@pytest.mark.slow
def test_goes_on_after_a_time_limit(make_folder, whole):
    """After every step. Neighbours come in another order after a restart: the same to rounding."""
    parts = make_folder("parts").give(COPPER | {"max_seconds": 1e-9}, structure=copper())
    starts = 0
    while (code := parts.run("barrier")) == EXIT_INTERRUPTED:
        starts += 1
        assert starts < 200
    assert code == EXIT_OK
    assert starts > 10
    (ours,), (theirs,) = parts.output["results"]["barriers"], results(whole)["barriers"]
    assert ours["steps"] == theirs["steps"]
    # thirty steps carry on what the last bits of sums over neighbours differ in
    assert ours["forward_ev"] == pytest.approx(theirs["forward_ev"], abs=1e-9)
    arrays = parts.arrays("barriers.npz")
    with np.load(whole / "barriers.npz", allow_pickle=False) as archive:
        np.testing.assert_allclose(arrays["positions_A_0"], archive["positions_A_0"], atol=1e-8)


@pytest.mark.slow
def test_killed_and_continued(make_folder):
    """SIGTERM in the first and in the second hop, each in a process of its own."""
    stretched = copper()
    stretched.set_cell([3.59, 3.59, 3.8], scale_atoms=True)  # two kinds of neighbour
    straight, parts = (make_folder(name).give(COPPER, structure=stretched) for name in ("straight", "parts"))
    assert straight.run("barrier") == EXIT_OK
    first = next(
        number for number, line in enumerate(straight.progress) if line["what"] == "paths" and line["done"] == 1
    )
    for lines in (first // 2, first):
        code, errors = parts.stop_after("barrier", lines, signal.SIGTERM)
        assert code == EXIT_INTERRUPTED, errors
    code, errors = parts.finish("barrier")
    assert code == EXIT_OK, errors
    for ours, theirs in zip(parts.output["results"]["barriers"], straight.output["results"]["barriers"], strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["forward_ev"] == pytest.approx(theirs["forward_ev"], abs=1e-8)  # rounding, over a hundred steps


def test_a_given_path_gives_the_barrier_of_the_hop(make_folder, whole):
    """Its relaxed ends and its saddle as three frames, wrapped into the cell."""
    frames = ase.io.read(whole / "paths.extxyz", ":")
    chosen = [frames[0].copy(), frames[2].copy(), frames[4].copy()]
    for frame in chosen:
        frame.wrap()
    task_input = {key: value for key, value in COPPER.items() if key not in ("supercell", "search")}
    folder = make_folder("given").give(task_input | {"path": "path.extxyz"}, structure=copper(), path=chosen)
    assert folder.run("barrier") == EXIT_OK
    (record,) = folder.output["results"]["barriers"]
    assert record["kind"] == "given path"
    # both within forces of 0.05 eV/Angstrom
    assert record["forward_ev"] == pytest.approx(results(whole)["barriers"][0]["forward_ev"], abs=2e-3)
    assert record["steps"] < results(whole)["barriers"][0]["steps"]


def test_a_rigid_hop_is_higher(make_folder, whole):
    folder = make_folder("rigid").give(COPPER | {"method": "scan"}, structure=copper())
    assert folder.run("barrier") == EXIT_OK
    (record,) = folder.output["results"]["barriers"]
    assert record["forward_ev"] > results(whole)["barriers"][0]["forward_ev"]
    assert not record["converged"]
    assert "not relaxed" in record["reason"]
    # an independent evaluation of the middle
    frames = folder.frames("paths.extxyz")
    middle = frames[0].copy()
    ion = int(frames[0].info["ion"])
    middle.positions[ion] = (frames[0].positions[ion] + frames[-1].positions[ion]) / 2
    middle.calc = EMT()
    # text with eight decimals
    assert middle.get_potential_energy() - frames[0].get_potential_energy() == pytest.approx(
        record["forward_ev"], abs=1e-6
    )


def test_scan_of_the_well(make_folder):
    """Frequency of one copper atom among fixed ones, against the second difference of EMT's energy."""
    scan = {"directions": [[1, 0, 0], [2, 2, 0]], "amplitude": 0.3}
    task_input = COPPER | {"method": "scan", "scan": scan}
    folder = make_folder("scan").give(task_input, structure=copper())
    assert folder.run("barrier") == EXIT_OK
    along_x, along_xy = folder.output["results"]["scans"]
    assert (along_x["site"], along_x["direction"], along_x["wells"]) == ("Cu", "[1 0 0]", 1)
    crystal = copper().repeat(2)
    crystal.calc = EMT()
    middle, step = crystal.get_potential_energy(), 0.01
    crystal.positions[0, 0] += step
    stiffness = 2 * (crystal.get_potential_energy() - middle) / step**2
    # a range of 0.3 Angstrom has a sixth order, which the fit puts into the second: some per cent
    assert along_x["stiffness_ev_A2"] == pytest.approx(stiffness, rel=0.03)
    # a cubic site is equally stiff in all directions
    assert along_xy["stiffness_ev_A2"] == pytest.approx(along_x["stiffness_ev_A2"], rel=0.05)
    assert along_x["asymmetry"] == pytest.approx(0.0, abs=1e-6)
    assert along_x["converged"]
    assert folder.arrays("barriers.npz")["scan_energies_ev"].shape == (2, 13)
    parts = make_folder("parts").give(task_input | {"max_seconds": 1e-9}, structure=copper())
    while (code := parts.run("barrier")) == EXIT_INTERRUPTED:
        pass
    assert code == EXIT_OK
    assert len(parts.progress) == 26
    np.testing.assert_allclose(
        parts.arrays("barriers.npz")["scan_energies_ev"],
        folder.arrays("barriers.npz")["scan_energies_ev"],
        atol=1e-12,  # rounding of sums of some 32 energies
    )


class Springs(Calculator):
    """All atoms bound to their places but atom 0, which moves along x in a cosine of period 3.2 Angstrom."""

    implemented_properties = ("energy", "forces")

    def __init__(self, places):
        super().__init__()
        self.places = places

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = self.atoms.positions - self.places
        k, x = 2 * np.pi / 3.2, away[0, 0]
        away[0, 0] = 0.0
        forces = -3.0 * away
        forces[0, 0] = -0.25 / 2 * k * np.sin(k * x)
        self.results = {"energy": 1.5 * np.sum(away**2) + 0.125 * (1 - np.cos(k * x)), "forces": forces}


def test_bond_valences_along_an_ionic_hop(make_folder, monkeypatch):
    """Copper in zincblende CuI to the empty site half a cell on, through a potential of known barrier."""
    from ase.spacegroup import crystal

    cell = crystal(["Cu", "I"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[6.4] * 3 + [90] * 3)
    supercell = cell.repeat(2)
    monkeypatch.setattr("aiida_iontherm.engines.embedded.make_calculator", lambda *_: Springs(supercell.positions))
    monkeypatch.setattr("aiida_iontherm.engines.embedded.check_elements", lambda *_: None)
    task_input = {
        "engine": "springs",
        "mobile": "Cu",
        "supercell": [2, 2, 2],
        "hop": {"start": [0, 0, 0], "end": [0.5, 0, 0]},
        "images": 3,
        "fmax": 0.01,
    }
    folder = make_folder("cui").give(task_input, structure=cell)
    assert folder.run("barrier") == EXIT_OK, folder.output
    (record,) = folder.output["results"]["barriers"]
    assert record["kind"] == "to an empty site"
    assert record["forward_ev"] == pytest.approx(0.25, abs=1e-4)  # force left squared over twice the stiffness
    valences = folder.arrays("barriers.npz")["bond_valence_0"]
    assert len(valences) == 5
    # both ends are tetrahedral holes of the anions: equal to the digits of the files; in the middle two bonds are short
    assert valences[0] == pytest.approx(valences[-1], abs=1e-6)
    assert valences[2] > valences[0] + 0.05
    assert record["bond_valence"]["start"] == pytest.approx(valences[0])
    assert record["bond_valence"]["mismatch_forward"] == pytest.approx(
        np.abs(valences - 1).max() - abs(valences[0] - 1)
    )
    assert folder.output["results"]["remarks"] == []


def test_bond_valences_along_a_given_path_with_a_vacancy(make_folder, monkeypatch):
    """The path lacks a copper, so that its own formal charges do not balance: those of the crystal count."""
    from ase.spacegroup import crystal

    cell = crystal(["Cu", "I"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[6.4] * 3 + [90] * 3)
    start = cell.repeat(2)
    del start[31]
    end = start.copy()
    end.positions[0, 0] += 3.2
    places = start.positions.copy()
    monkeypatch.setattr("aiida_iontherm.engines.embedded.make_calculator", lambda *_: Springs(places))
    monkeypatch.setattr("aiida_iontherm.engines.embedded.check_elements", lambda *_: None)
    task_input = {"engine": "springs", "mobile": "Cu", "path": "path.extxyz", "images": 1, "fmax": 0.1}
    folder = make_folder("vacancy").give(task_input, structure=cell, path=[start, end])
    assert folder.run("barrier") == EXIT_OK, folder.output
    (record,) = folder.output["results"]["barriers"]
    assert record["ion"] == 0
    assert "bond_valence" in record
    assert folder.output["results"]["remarks"] == []
    # a path of another crystal
    start.symbols[5] = "Ag"
    end.symbols[5] = "Ag"
    folder = make_folder("strange").give(task_input, structure=cell, path=[start, end])
    assert folder.run("barrier") == EXIT_INPUT
    assert "the path holds Ag" in folder.output["message"]


def test_with_a_potential(make_folder):
    """The energies of the scan are those of the potential itself."""
    folder = make_folder("mtp")
    potential = MomentTensorPotential.new(level=4, species=["Cu"], cutoff=4.0, radial_size=4)
    potential.write(folder.path / "potential.mtp")
    task_input = {key: value for key, value in COPPER.items() if key != "engine"}
    task_input |= {"potential": "potential.mtp", "species": ["Cu"], "method": "scan"}
    task_input["scan"] = {"directions": [[1, 0, 0]], "amplitude": 0.3}
    folder.give(task_input, structure=copper())
    assert folder.run("barrier") == EXIT_OK
    energies = folder.arrays("barriers.npz")["scan_energies_ev"][0]
    displaced = copper().repeat(2)
    displaced.positions[0, 0] -= 0.3
    displaced.calc = potential.calculator()
    assert energies[0] == pytest.approx(displaced.get_potential_energy(), rel=1e-9)  # digits of the file


def test_no_path_has_a_barrier(make_folder):
    """Ends within one minimum: nothing was wrong with the input, but there is no hop."""
    folder = make_folder("collapsed")
    frames = [copper().repeat(2) for _ in range(2)]
    frames[1].positions[0] += [0.5, 0.2, 0.0]  # within the same minimum
    task_input = {key: value for key, value in COPPER.items() if key not in ("supercell", "search")}
    folder.give(task_input | {"path": "path.extxyz"}, structure=copper(), path=frames)
    assert folder.run("barrier") == EXIT_PHYSICS
    assert "relax to one minimum" in folder.output["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mobile": "Li"}, "no Li in Cu4"),
        ({"images": 0}, "images"),
        ({"supercell": [1, 2, 2]}, "take at least 2 x 2 x 2"),
        ({"search": {"max_distance": 2.0}}, "the nearest sites are 2.54 apart"),
        ({"search": {"max_distance": 3.0, "only": [2]}}, "no hop 2: there are 1 Cu-Cu_2.54"),
        ({"search": {"max_distence": 3.0}}, "max_distance"),
        ({"hop": {"start": [0, 0, 0], "end": [0, 0, 0]}}, "same site"),
        ({"hop": {"start": [0, 0, 0], "end": [0.5, 0, 0]}, "path": "p.extxyz"}, "not both"),
        ({"path": "absent.extxyz"}, "no file absent.extxyz"),
        ({"scan": {"directions": [[1, 0, 0]]}}, "for the method scan"),
        ({"engine": None}, "either a potential or an engine"),
        ({"engine": "ent"}, "did you mean emt?"),
        ({"charges": {"Ag": 1}}, "no charge is given for Cu"),
        ({"charges": {"Cu": 1}}, "no ion of opposite charge"),
        ({"method": "scan", "scan": {"directions": [[0, 0, 0]]}}, "has no length"),
        ({"method": "scan", "scan": {"directions": [[1, 0, 0]], "points": 4}}, "scan.points"),
        ({"method": "scan", "scan": {"directions": [[1, 0, 0]], "sites": [[0.3, 0.2, 0]]}}, "no Cu within 0.5"),
    ],
)
def test_wrong_inputs(folder, change, words):
    folder.give(COPPER | change, structure=copper())
    assert folder.run("barrier") == EXIT_INPUT
    assert words in folder.output["message"]
