"""Command lines and files of MLIP-2 and MLIP-3: to the letter, against real files, and both ways."""

import re
from dataclasses import replace
from pathlib import Path

import mlip_stand_in
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.files import iterate_cfg, read_cfg, read_mtp_file, write_cfg, write_mtp_file
from aiida_iontherm.physics.mtp.training import Configuration
from aiida_iontherm.tasks.mlip_files import (
    MlipSettings,
    MlipTraining,
    OtherPotential,
    efs_command,
    for_mlip,
    grade_of,
    places,
    ran_out,
    read_trained,
    read_training_log,
    read_written,
    refuse_weights,
    select_command,
    template,
    train_command,
    write_labelled,
    write_unlabelled,
)

SPECIES = ["Cs", "Cu", "I"]
TRAINING = {"level": 6, "cutoff": 5.0, "weights": [1, 0.01, 0.001]}


def training_of(generation: int, **mlip: object) -> MlipTraining:
    return MlipTraining.of(TRAINING | {"mlip": {"generation": generation} | mlip})


def test_commands_of_mlip_2() -> None:
    """As in its manual and tutorials, and as maml and PRAPs call it."""
    assert " ".join(train_command(training_of(2, tolerance=1e-4))) == (
        "train potential.mtp train.cfg --trained-pot-name=trained.mtp --curr-pot-name=current.mtp --max-iter=1000 "
        "--bfgs-conv-tol=0.0001 --energy-weight=1.0 --force-weight=0.01 --stress-weight=0.001"
    )
    settings = MlipSettings()
    assert " ".join(select_command(settings)) == "select-add potential.mtp train.cfg candidates.cfg selected.cfg"
    assert " ".join(efs_command(settings)) == "calc-efs potential.mtp configurations.cfg efs.cfg"


def test_commands_of_mlip_3() -> None:
    assert " ".join(train_command(training_of(3, max_iterations=50))) == (
        "train potential.almtp train.cfg --save_to=trained.almtp --iteration_limit=50 --energy_weight=1.0 "
        "--force_weight=0.01 --stress_weight=0.001 --al_mode=nbh"
    )
    settings = MlipSettings(generation=3)
    assert " ".join(select_command(settings)) == "select_add potential.almtp train.cfg candidates.cfg selected.cfg"
    assert " ".join(efs_command(settings)) == "calculate_efs potential.almtp efs.cfg"


def test_options_change_command_lines() -> None:
    options = {"train": {"weighting": "structures", "update-mindist": True, "stress-weight": None, "max-iter": 5}}
    arguments = train_command(training_of(2, options=options))
    assert arguments[-2:] == ["--weighting=structures", "--update-mindist"]
    assert "--max-iter=5" in arguments
    assert not any("stress" in argument for argument in arguments)
    settings = MlipSettings.of({"generation": 3, "options": {"efs": {"output_filename": "efs.cfg"}}})
    assert efs_command(settings)[-1] == "--output_filename=efs.cfg"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"generation": 4}, "generation"),
        ({"max_iter": 5}, "did you mean max_iterations"),
        ({"options": {"train": {"--max-iter": 5}}}, "leave the dashes out"),
        ({"options": {"train": {"a b": 5}}}, "no name of an option"),
        ({"options": {"train": {"log": "a\nb"}}}, "no value of an option"),
        ({"options": {"selct": {}}}, "did you mean"),
    ],
)
def test_settings_that_cannot_be(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MlipSettings.of(settings)


LOG = """\
Pre-training started
BFGS iter 74: f=12.5
step limit reached
BFGS iter 0: f=11.25
BFGS iter 1: f=3.5e-01
BFGS iter 2: f=3.25e-01
"""


@pytest.mark.parametrize(
    ("end", "limit", "converged", "words"),
    [
        ("BFGS ended\n", 1000, True, "BFGS ended after 2 iterations"),
        ("step limit reached\n", 1000, False, "the limit of 1000 iterations was reached"),
        ("BFGS ended\nERROR: BFGS: stepping in accend direction detected.\n", 1000, False, "stepping in accend"),
    ],
)
def test_end_of_a_training(end: str, limit: int, converged: bool, words: str) -> None:
    log = read_training_log(LOG + end)
    assert (log.iterations, log.loss) == (2, 0.325)
    found, reason = log.outcome(limit)
    assert found is converged
    assert words in reason


def test_log_without_known_words() -> None:
    """The iterations decide, and without any there is no verdict to trust."""
    log = read_training_log("BFGS iter 7: f=nan\nBFGS iter 8: f=0.5\n")
    assert (log.loss, log.settled) == (0.5, None)
    assert log.outcome(100) == (True, "mlp ended by itself after 8 of 100 iterations")
    assert log.outcome(8)[0] is False
    assert read_training_log("anything").outcome(8) == (False, "the log of mlp tells of no iteration")


def test_what_ran_out() -> None:
    assert ran_out("terminate called after throwing an instance of 'std::bad_alloc'") == "memory"
    assert ran_out("slurmstepd: error: *** JOB 5 CANCELLED DUE TO TIME LIMIT ***") == "wall time"
    assert ran_out("BFGS iter 2: f=1") is None


def crystal() -> Atoms:
    atoms = bulk("CuI", "zincblende", a=6.05, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def data_of(atoms: Atoms) -> Configuration:
    forces = np.random.default_rng(0).normal(size=(len(atoms), 3))
    return Configuration(
        atoms=atoms, energy=-1.25, forces=forces - forces.mean(axis=0), stress=np.diag([0.1, 0.2, 0.3])
    )


def keys(path: Path) -> list[str]:
    return [line.split("=")[0].strip() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("level", [2, 8, 16])
def test_template_is_laid_out_as_theirs(level: int, shared_data: Path, tmp_path: Path) -> None:
    """The same keys in the same order, and as many scalars and radial functions."""
    theirs = shared_data / f"mtp/fitting/crystals/cubic/{level:02d}/initial.mtp"
    training = MlipTraining(level=level, cutoff=5.0, mlip=MlipSettings(min_distance=0.5))
    write_mtp_file(tmp_path / "ours.mtp", template(training, ["Cu"], []))
    assert keys(tmp_path / "ours.mtp") == keys(theirs)
    one, other = (read_mtp_file(path, untrained=True) for path in (tmp_path / "ours.mtp", theirs))
    assert not one.trained
    assert (one.species_count, one.cutoff, one.min_distance) == (1, other.cutoff, other.min_distance)
    assert one.radial_coeffs.shape[-2:] == other.radial_coeffs.shape[-2:]
    assert len(one.tables.scalars) == len(other.tables.scalars)


def test_minimum_distance_from_the_data() -> None:
    found = template(training_of(2), ["Cu", "I"], [data_of(crystal())])
    atoms = crystal()
    distances = atoms.get_all_distances(mic=True)
    shortest = distances[distances > 0].min()
    # Rounded to a thousandth of an Angstrom.
    assert found.min_distance == pytest.approx(0.95 * shortest, abs=6e-4)


def test_trained_potential_of_mlip(shared_data: Path, tmp_path: Path) -> None:
    """Real files: what MLIP-2 made of a template is accepted, everything else is told apart."""
    folder = shared_data / "mtp/fitting/crystals/multi"
    initial = read_mtp_file(folder / "06/initial.mtp", untrained=True)
    found = read_trained(folder / "06/pot.mtp", initial)
    assert found.trained
    with pytest.raises(OtherPotential, match="another basis"):
        read_trained(folder / "08/pot.mtp", initial)
    with pytest.raises(OtherPotential, match="1 species, 3 were asked for"):
        read_trained(shared_data / "mtp/fitting/crystals/cubic/06/pot.mtp", initial)
    with pytest.raises(OtherPotential, match="cutoff of 5 Angstrom, 6 were"):
        read_trained(folder / "06/pot.mtp", replace(initial, cutoff=6.0))
    whole = (folder / "06/pot.mtp").read_bytes()
    for end in (0, 100, len(whole) // 2, whole.rindex(b"moment_coeffs"), whole.rindex(b",")):
        (tmp_path / "cut.mtp").write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"cut\.mtp"):
            read_trained(tmp_path / "cut.mtp", initial)


def test_potential_for_mlip_carries_no_names(tmp_path: Path) -> None:
    MomentTensorPotential.new(level=4, species=["Cu", "I"]).write(tmp_path / "ours.mtp")
    content = replace(read_mtp_file(tmp_path / "ours.mtp"), selection_state=b"#MVS_v1.1\n\xff\x00\x01")
    assert content.species == ("Cu", "I")
    for generation, state in ((2, b""), (3, content.selection_state)):
        write_mtp_file(tmp_path / "theirs.mtp", for_mlip(content, generation))
        back = read_mtp_file(tmp_path / "theirs.mtp")
        assert (back.potential_tag, back.selection_state) == ("", state)
        np.testing.assert_array_equal(back.radial_coeffs, content.radial_coeffs)


def test_real_sets_there_and_back(shared_data: Path, tmp_path: Path) -> None:
    """A real MLIP-2 set, read, written for `mlp` and read again: the same numbers."""
    frames = []
    for atoms in iterate_cfg(shared_data / "mtp/original/crystals/multi/training.cfg", SPECIES):
        frames.append(atoms)
        if len(frames) == 3:
            break
    assert all(atoms.calc is not None for atoms in frames)
    write_labelled(tmp_path / "train.cfg", [Configuration.from_atoms(atoms) for atoms in frames], SPECIES)
    assert "Feature" not in (tmp_path / "train.cfg").read_text()
    for one, other in zip(read_cfg(tmp_path / "train.cfg", SPECIES), frames, strict=True):
        np.testing.assert_array_equal(one.numbers, other.numbers)
        np.testing.assert_array_equal(one.positions, other.positions)
        assert one.calc.results["energy"] == other.calc.results["energy"]
        np.testing.assert_array_equal(one.calc.results["forces"], other.calc.results["forces"])
        # Divided by the volume and multiplied again.
        np.testing.assert_allclose(one.calc.results["stress"], other.calc.results["stress"], rtol=1e-14)


def test_stand_in_writes_what_mlip_writes(shared_data: Path, tmp_path: Path) -> None:
    """On a real potential and set: the layout of the file MLIP-2 wrote, and its numbers as far as it prints them."""
    source = shared_data / "mtp/original/crystals/multi/training.cfg"
    theirs = shared_data / "mtp/fitting/crystals/multi/08/out.cfg"
    cells = next(iterate_cfg(source, mlip_stand_in.SYMBOLS[:3]))
    write_cfg(tmp_path / "in.cfg", [Atoms(cells.numbers, cells.positions, cell=cells.cell, pbc=True)], ["B", "C", "F"])
    potential = shared_data / "mtp/fitting/crystals/multi/08/pot.mtp"
    mlip_stand_in.evaluate(2, [str(potential), str(tmp_path / "in.cfg"), str(tmp_path / "out.cfg")], {})
    (one,), other = read_cfg(tmp_path / "out.cfg", SPECIES), next(iterate_cfg(theirs, SPECIES))
    ours, real = ((tmp_path / "out.cfg").read_text().splitlines(), theirs.read_text()[:20000].splitlines())
    for mine, line in zip(ours[: len(other) + 12], real, strict=False):
        assert re.sub(r"[-0-9.]+", "0", " ".join(mine.split())) == re.sub(r"[-0-9.]+", "0", " ".join(line.split()))
    # MLIP printed twelve decimals of the energy, six of the forces and five of the stress.
    assert one.calc.results["energy"] == pytest.approx(other.calc.results["energy"], abs=1e-8)
    np.testing.assert_allclose(one.calc.results["forces"], other.calc.results["forces"], atol=2e-6)
    volume = other.cell.volume
    np.testing.assert_allclose(one.calc.results["stress"], other.calc.results["stress"], atol=2e-5 / volume)


def test_weights_of_configurations_are_not_lost() -> None:
    entry = replace(data_of(crystal()), weight=2.0)
    with pytest.raises(ValueError, match="configuration 1 has a weight of its own"):
        refuse_weights([data_of(crystal()), entry])


def cells(count: int) -> list[Atoms]:
    frames = []
    for seed in range(count):
        atoms = crystal()
        atoms.rattle(0.05, seed=seed)
        frames.append(atoms)
    return frames


def test_configurations_of_all_ranks(tmp_path: Path) -> None:
    """Files of ranks in any order, six decimals, atoms in another cell: each is found again."""
    sent = cells(5)
    assert read_written(tmp_path, "selected.cfg", ["Cu", "I"]) is None
    (tmp_path / "selected.cfg").write_text("")
    assert read_written(tmp_path, "selected.cfg", ["Cu", "I"]) == []
    (tmp_path / "selected.cfg").unlink()
    (tmp_path / "selected.cfg.old").write_text("not one of ours")
    back = [atoms.copy() for atoms in sent]
    for atoms in back:
        atoms.positions = atoms.positions.round(6)
    back[3].positions[2] += back[3].cell[0] - back[3].cell[2]
    back[1].info["MV_grade"] = 3.5
    write_cfg(tmp_path / "selected.cfg_0", [back[4], back[1]], ["Cu", "I"])
    write_cfg(tmp_path / "selected.cfg_1", [back[3]], ["Cu", "I"])
    found = read_written(tmp_path, "selected.cfg", ["Cu", "I"])
    assert places(found, sent) == [4, 1, 3]
    assert [grade_of(atoms) for atoms in found] == [None, 3.5, None]


def test_configurations_that_were_not_sent() -> None:
    sent = cells(3)
    moved, other_cell, other_atoms = sent[0].copy(), sent[0].copy(), sent[0].copy()
    moved.positions[0, 0] += 0.01
    other_cell.set_cell(other_cell.cell * 1.001)
    other_atoms.numbers[:2] = other_atoms.numbers[1::-1]
    assert places([moved, other_cell, other_atoms, sent[2]], sent) == [None, None, None, 2]
    # Each only once, as often as it was sent.
    assert places([sent[1], sent[1]], sent) == [1, None]
    assert places([sent[1], sent[1]], [sent[1], sent[1]]) == [0, 1]


def test_a_cut_set_is_refused(tmp_path: Path) -> None:
    write_unlabelled(tmp_path / "selected.cfg", cells(2), ["Cu", "I"])
    text = (tmp_path / "selected.cfg").read_text()
    (tmp_path / "selected.cfg").write_text(text[: 2 * len(text) // 3])
    with pytest.raises(ValueError, match="cut short"):
        read_written(tmp_path, "selected.cfg", ["Cu", "I"])
