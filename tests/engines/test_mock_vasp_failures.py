"""Failures that the program acts, outputs that it replays, and both beside real runs of VASP."""

import re

import numpy as np
import pytest
from ase.io import read
from lxml import etree
from mock_vasp_folder import EMT, MD, RELAX, execute, prepare
from parsevasp.outcar import Outcar as ParsevaspOutcar
from parsevasp.stream import Stream
from parsevasp.vasprun import Xml

from aiida_iontherm.engines.mock_vasp import run

FILES = ("vasprun.xml", "OUTCAR", "CONTCAR", "OSZICAR", "XDATCAR")


@pytest.fixture
def crystal(cuau):
    atoms = cuau.repeat((2, 2, 1))
    atoms.rattle(0.03, seed=1)
    return atoms[np.argsort(-atoms.numbers, kind="stable")]


@pytest.fixture
def fail(crystal, tmp_path, capsys):
    """Run with a failure; the folder, the exit code, standard output and standard error."""

    def fail(name, incar, **environment):
        folder = prepare(tmp_path / name.replace(":", ""), crystal, incar)
        code = run(folder, EMT | {"IONTHERM_MOCK_VASP_FAIL": name} | environment)
        streams = capsys.readouterr()
        (folder / "vasp_output").write_text(streams.out + streams.err)
        return folder, code, streams.out, streams.err

    return fail


def status(folder):
    return ParsevaspOutcar(file_path=str(folder / "OUTCAR")).get_run_status()


def notifications(folder):
    return [entry.shortname for entry in Stream(file_path=str(folder / "vasp_output")).entries]


def test_unconverged_electrons_use_all_their_steps(fail):
    folder, code, _, _ = fail("scf", RELAX | {"NELM": 12, "NSW": 2})
    assert code == 0
    assert status(folder)["consistent_nelm_breach"]
    assert not status(folder)["electronic_converged"]
    assert status(folder)["finished"]
    assert "aborting loop EDIFF was not reached" in (folder / "OUTCAR").read_text()
    energies = Xml(file_path=str(folder / "vasprun.xml")).get_energies("last", nosc=False)
    assert energies["electronic_steps"].tolist() == [12]


def test_too_few_electronic_steps_do_not_converge_either(crystal, tmp_path):
    folder = execute(tmp_path / "run", crystal, {"NELM": 4})
    assert not status(folder)["electronic_converged"]


def test_relaxation_that_does_not_arrive(fail):
    folder, code, out, _ = fail("ionic", RELAX | {"NSW": 5})
    assert code == 0
    assert status(folder)["ionic_converged"] is False
    assert "reached required accuracy" not in out
    frames = read(folder / "vasprun.xml", index=":")
    assert len(frames) == 5
    assert 0 < np.abs(frames[-1].positions - frames[0].positions).max() < 5e-3  # five steps of at most 1e-3


def test_even_a_crystal_at_rest_does_not_arrive(cuau_cell, tmp_path):
    folder = execute(tmp_path / "run", cuau_cell, RELAX | {"NSW": 3}, fail="ionic")
    assert status(folder)["ionic_converged"] is False


def test_killed_while_writing(fail):
    folder, code, _, _ = fail("truncated", MD)
    assert code == 137
    assert Xml(file_path=str(folder / "vasprun.xml")).truncated
    assert not status(folder)["finished"]
    assert status(folder)["last_iteration_index"][0] == 3
    # ASE leaves the broken step out.
    assert len(read(folder / "vasprun.xml", index=":")) == 2
    assert (
        np.abs(read(folder / "CONTCAR", format="vasp").positions - read(folder / "vasprun.xml").positions).max() < 1e-7
    )


def test_killed_before_the_first_ionic_step_is_done(fail):
    folder, _, _, _ = fail("truncated", {})
    assert (folder / "CONTCAR").read_text() == ""
    text = (folder / "vasprun.xml").read_text()
    assert "<scstep>" in text
    assert "</calculation>" not in text


def test_wall_time_ends_between_steps(fail):
    folder, code, _, err = fail("walltime", MD)
    assert code == 143
    assert "DUE TO TIME LIMIT" in err
    assert (folder / "vasprun.xml").read_text().endswith("</calculation>\n")
    assert len(read(folder / "OUTCAR", index=":")) == 2
    assert not status(folder)["finished"]


@pytest.mark.parametrize("name", ["memory", "sgrcon"])
def test_death_before_the_first_step(fail, name):
    folder, code, out, err = fail(name, MD)
    assert code > 0
    assert ("insufficient virtual memory" in err) == (name == "memory")
    assert ("SGRCON" in out) == (name == "sgrcon")
    assert "Iteration" not in (folder / "OUTCAR").read_text()
    assert "<calculation>" not in (folder / "vasprun.xml").read_text()


@pytest.mark.parametrize(
    ("name", "finished"), [("brmix", True), ("eddrmm", True), ("edddav", False), ("zbrent", False)]
)
def test_messages_are_those_that_plugins_know(fail, name, finished):
    folder, code, _, _ = fail(name, RELAX)
    assert (code == 0) == finished == status(folder)["finished"]
    known = {"eddrmm": "eddrmm_zhegv", "edddav": "edddav_zhegv"}
    assert notifications(folder) == [known.get(name, name)]


def test_a_sound_run_notifies_of_nothing(crystal, tmp_path, capsys):
    folder = execute(tmp_path / "run", crystal)
    (folder / "vasp_output").write_text(capsys.readouterr().out)
    assert notifications(folder) == []


def test_a_count_wears_off(fail, tmp_path):
    state = {"IONTHERM_MOCK_VASP_STATE": str(tmp_path / "state")}
    codes = [fail("walltime:2", MD, **state)[1] for _ in range(4)]
    assert codes == [143, 143, 0, 0]
    assert (tmp_path / "state").stat().st_size == 4


def test_outputs_are_kept_and_replayed(crystal, tmp_path, capsys, monkeypatch):
    store = tmp_path / "store"
    first = execute(tmp_path / "first", crystal, MD, store=store)
    said = capsys.readouterr().out
    (kept,) = store.iterdir()
    monkeypatch.setattr("aiida_iontherm.engines.mock_vasp.program.calculate", lambda *_: pytest.fail("computed"))
    second = execute(tmp_path / "second", crystal, MD | {"NCORE": 2}, store=store)
    assert capsys.readouterr().out == said == (kept / "stdout").read_text()
    for name in FILES:
        assert (second / name).read_bytes() == (first / name).read_bytes()
    with pytest.raises(pytest.fail.Exception, match="computed"):
        execute(tmp_path / "third", crystal, MD | {"TEBEG": 301}, store=store)


def test_failures_and_refusals_are_not_kept(fail, tmp_path):
    store = tmp_path / "store"
    fail("scf", {}, IONTHERM_MOCK_VASP_STORE=str(store))
    fail("zbrent", RELAX | {"IBRION": 6}, IONTHERM_MOCK_VASP_STORE=str(store))
    assert not store.exists()


# Beside real runs.


def skeleton(file):
    """Paths of the elements of a vasprun.xml with their names and types, the tags of INCAR aside."""
    paths = set()

    def walk(element, path):
        name, kind = (element.get(key, "").strip() for key in ("name", "type"))
        path = f"{path}/{element.tag}[{name}]{kind}"
        paths.add(path)
        for child in element if element.tag != "incar" else ():
            walk(child, path)

    walk(etree.parse(file, etree.XMLParser(recover=True)).getroot(), "")
    return paths


MOTION = {
    f"/modeling[]/calculation[]/energy[]/i[{name}]"
    for name in ("kinetic", "lattice kinetic", "nosepot", "nosekinetic", "total")
}


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "vasp"
    if not folder.is_dir():
        pytest.skip("runs of VASP not found: data/vasp")
    return folder


@pytest.fixture(scope="module")
def static(cuau_cell, tmp_path_factory):
    return execute(tmp_path_factory.mktemp("static") / "run", cuau_cell)


@pytest.mark.parametrize("run_of_vasp", ["si-simple/calc-000/out", "exit_codes/ionic-unconverged/out"])
def test_no_element_of_vasprun_is_invented(real, crystal, tmp_path, run_of_vasp):
    theirs = skeleton(real / run_of_vasp / "vasprun.xml")
    for name, incar in (("static", {}), ("relax", RELAX), ("md", MD)):
        ours = skeleton(execute(tmp_path / name, crystal, incar) / "vasprun.xml")
        assert ours - theirs == (MOTION if name == "md" else set())


def test_elements_that_readers_want_are_there(real, static):
    """What parsevasp, ASE and pymatgen look up in the real run, but for the electronic structure."""
    wanted = {path for path in skeleton(real / "si-simple/calc-000/out/vasprun.xml") if "/parameters" not in path}
    left_out = ("eigenvalues", "dos[]", "primitive_cell", "orbital magnetization", "tetrahedron", "genvec", "shift]")
    left_out += ("volumeweight", "time[dav]", "XCdc", "alphaZ", "atom]", "bandstr", "eentropy", "ewald", "paw", "hart")
    wanted = {path for path in wanted if not any(word in path for word in left_out)}
    assert len(wanted) > 40
    assert wanted <= skeleton(static / "vasprun.xml")


PLACES = (
    "parameters/separator/i[@name='NSW']",
    "parameters/separator/i[@name='EDIFFG']",
    "kpoints/varray[@name='kpointlist']/v",
    "kpoints/varray[@name='weights']/v",
    "atominfo/array[@name='atoms']/set/rc/c",
    "structure[@name='initialpos']/varray/v",
    "calculation/scstep/energy/i[@name='e_0_energy']",
    "calculation/structure/crystal/varray/v",
    "calculation/structure/crystal/i",
    "calculation/varray[@name='forces']/v",
    "calculation/varray[@name='stress']/v",
    "calculation/energy/i",
)


@pytest.mark.parametrize("place", PLACES)
def test_numbers_are_laid_out_as_in_the_real_vasprun(real, static, place):
    """Decimals, columns and closing blank; signs and the digits before the point aside."""

    def layouts(file):
        texts = [element.text for element in etree.parse(file).findall(place)]
        texts = [re.sub(r"\d", "0", re.sub(r" *-?\d+", " 0", text)) for text in texts]
        return {re.sub(r"^[A-Z][a-z]? *$", "element", text) for text in texts}

    theirs = layouts(real / "si-simple/calc-000/out/vasprun.xml")
    assert layouts(static / "vasprun.xml") == theirs != set()


MARKS = (
    "vasp.",
    "POTCAR:",
    "NKPTS",
    "NIONS",
    "ions per type",
    "ENCUT  =",
    "NELM   =",
    "NSW    =",
    "IBRION =",
    "NELECT =",
    "k-points in reciprocal lattice and weights",
    "plane waves:",
    "Iteration ",
    "number of electron",
    "free energy    TOTEN  =",
    "energy without entropy =",
    "aborting loop",
    "in kB",
    "external pressure",
    "direct lattice vectors",
    "TOTAL-FORCE (eV/Angst)",
    "FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
    "free  energy   TOTEN  =",
    "energy(sigma->0) =",
    "LOOP+:",
    "General timing and accounting",
    "Total CPU time used (sec):",
    "Elapsed time (sec):",
)


def order(file):
    text, begin = file.read_text(), 0
    places = []
    for mark in MARKS:
        begin = text.find(mark, begin)
        places.append((mark, begin >= 0))
        begin = max(begin, 0)
    return places


def test_outcar_has_its_marks_in_the_order_of_the_real_one(real, crystal, tmp_path):
    everywhere = [(mark, True) for mark in MARKS]
    assert order(real / "si-simple/calc-000/out/OUTCAR") == everywhere
    for name, incar in (("relax", RELAX), ("md", MD)):
        assert order(execute(tmp_path / name, crystal, incar) / "OUTCAR") == everywhere


def test_broken_runs_break_where_the_real_ones_do(real, fail):
    """Killed in an electronic loop: the last calculation has energies of electronic steps, no structure, no forces."""
    folder, _, _, _ = fail("truncated", MD)
    ours = etree.parse(folder / "vasprun.xml", etree.XMLParser(recover=True))
    theirs = etree.parse(real / "relax-truncated/vasprun.xml", etree.XMLParser(recover=True))
    for tree in (ours, theirs):
        *complete, last = tree.findall("calculation")
        assert all(calculation.find("energy") is not None for calculation in complete)
        assert last.find("scstep/energy") is not None
        assert last.find("structure") is last.find("energy") is None
        assert tree.find("structure[@name='finalpos']") is None
    # Broken before any ionic step: an empty CONTCAR, as VASP leaves it.
    assert (real / "exit_codes/unfinished/out/CONTCAR").read_text() == ""
    assert (fail("truncated", {})[0] / "CONTCAR").read_text() == ""


def test_verdicts_on_real_runs_and_ours_agree(real, crystal, tmp_path, fail):
    pairs = {
        "converged": execute(tmp_path / "sound", crystal, {"NSW": -1, "IBRION": 1}),
        "elec-unconverged": fail("scf", {"NSW": -1, "IBRION": 1})[0],
        "ionic-unconverged": fail("ionic", RELAX | {"NSW": 5})[0],
        "unfinished": fail("truncated", {})[0],
    }
    keys = ("finished", "electronic_converged", "ionic_converged", "consistent_nelm_breach", "contains_nelm_breach")
    for name, folder in pairs.items():
        theirs = status(real / "exit_codes" / name / "out")
        assert {key: status(folder)[key] for key in keys} == {key: theirs[key] for key in keys}, name
