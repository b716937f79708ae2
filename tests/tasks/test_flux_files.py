"""Reading tables of currents."""

import numpy as np
import pytest

from aiida_iontherm.tasks.flux_files import read_flux_table

LOG = """LAMMPS (2 Aug 2023)
  2 = max # of 1-2 neighbors
Per MPI rank memory allocation (min/avg/max) = 3.2 | 3.2 | 3.2 Mbytes
   Step          Temp
         0   300
        10   301
Loop time of 0.1 on 1 procs for 10 steps with 8 atoms
   Step          Temp    c_flux[1]  c_flux[2]    c_flux[3]  c_cu[1][1]  c_cu[1][2]  c_cu[1][3]
{rows}
Loop time of 3.5 on 1 procs for 500 steps with 8 atoms
Pair    | 1.2 | 1.2 | 1.2 | 0.0 | 66.65
"""


def rows(numbers):
    return [" ".join(f"{x:.10g}" for x in [5 * i, 300 + i % 3, *row]) for i, row in enumerate(numbers)]


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(100, 6))


def test_log_of_lammps(tmp_path, numbers):
    lines = rows(numbers)
    lines.insert(40, "WARNING: Communication cutoff is 0.0 (src/comm.cpp:723)")
    (tmp_path / "log.lammps").write_text(LOG.format(rows="\n".join(lines)))
    table = read_flux_table(tmp_path / "log.lammps")
    # ten digits were printed
    np.testing.assert_allclose(table.vector("c_flux"), numbers[:, :3], rtol=1e-9)
    np.testing.assert_allclose(table.vector("c_cu[1]"), numbers[:, 3:], rtol=1e-9)
    np.testing.assert_allclose(table.vector("5,4,3"), numbers[:, 2::-1], rtol=1e-9)
    np.testing.assert_allclose(table.vector("c_flux[2],c_flux[1],8")[:, 2], numbers[:, 5], rtol=1e-9)
    assert table.heat_name() == "c_flux"
    assert table.other_currents(["c_flux"]) == ["c_cu[1]"]
    assert table.mean_of("Temp") == pytest.approx(300.99)
    assert len(table.remarks) == 2  # two tables, five steps between rows
    np.testing.assert_allclose(table.after(10).vector("c_flux"), numbers[10:, :3], rtol=1e-9)
    with pytest.raises(ValueError, match="did you mean c_flux"):
        table.vector("c_flx")


def test_fix_ave_time_and_plain_columns(tmp_path, numbers):
    text = "# Time-averaged data for fix J\n# TimeStep v_Jx v_Jy v_Jz\n"
    text += "\n".join(f"{i} {a:.10g} {b:.10g} {c:.10g}" for i, (a, b, c) in enumerate(numbers[:, :3]))
    (tmp_path / "J.dat").write_text(text)
    np.testing.assert_allclose(read_flux_table(tmp_path / "J.dat").vector("v_J"), numbers[:, :3], rtol=1e-9)
    np.savetxt(tmp_path / "three.csv", numbers[:, :3], delimiter=",", header="heat current in eV A/ps")
    table = read_flux_table(tmp_path / "three.csv")
    np.testing.assert_array_equal(table.vector(table.heat_name()), numbers[:, :3])
    np.savetxt(tmp_path / "six.txt", numbers)
    with pytest.raises(ValueError, match="say so with --heat"):
        read_flux_table(tmp_path / "six.txt").heat_name()


def test_arrays(tmp_path, numbers):
    np.save(tmp_path / "six.npy", numbers)
    np.testing.assert_array_equal(read_flux_table(tmp_path / "six.npy").vector("4,5,6"), numbers[:, 3:])
    np.savez(tmp_path / "runs.npz", heat=np.stack([numbers[:, :3]] * 2), volume=10.0, note="text is left alone")
    table = read_flux_table(tmp_path / "runs.npz")
    assert table.vector(table.heat_name()).shape == (2, 100, 3)
    assert table.mean_of("volume") == 10.0
    assert table.after(30).vector("heat").shape == (2, 70, 3)
    np.save(tmp_path / "pickle.npy", {"heat": numbers}, allow_pickle=True)
    with pytest.raises(ValueError, match="pickled objects are not read"):
        read_flux_table(tmp_path / "pickle.npy")
    np.save(tmp_path / "flat.npy", numbers[:, 0])
    with pytest.raises(ValueError, match="must hold numbers"):
        read_flux_table(tmp_path / "flat.npy")


def broken(lines, number, old, new):
    lines = list(lines)
    lines[number] = lines[number].replace(old, new, 1)
    return lines


def test_bad_lines_are_named(tmp_path, numbers):
    lines = rows(numbers)
    first = LOG.split("{rows}")[0].count("\n") + 1

    def read(changed):
        (tmp_path / "log").write_text(LOG.format(rows="\n".join(changed)))
        return read_flux_table(tmp_path / "log")

    with pytest.raises(ValueError, match=rf"c_flux is not a finite number in line {first + 30} \(1 such"):
        nan = f"150 300 nan {' '.join(['1'] * 5)}"
        read([*lines[:30], nan, *lines[31:]]).vector("c_flux")
    with pytest.raises(ValueError, match=f"9 columns in line {first + 20}, but 8"):
        read(broken(lines, 20, " ", " 1 "))
    with pytest.raises(ValueError, match=f"'3o0' in line {first + 30} is not a number"):
        read(broken(lines, 30, " 300", " 3o0"))
    with pytest.raises(ValueError, match=f"lines {first + 49} and {first + 50} are 10 apart, 5 as a rule"):
        read([*lines[:50], *lines[51:]])
    with pytest.raises(ValueError, match="are 0 apart"):
        read([*lines[:50], *lines[49:]])


def test_what_is_no_table(tmp_path):
    for content in (b"", b"no numbers here\nnor here\n", b"\x93\xff\xfe\x00\x01"):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(ValueError, match=r"no table of numbers|neither text nor"):
            read_flux_table(tmp_path / "file")
    with pytest.raises(ValueError, match="there is no file"):
        read_flux_table(tmp_path / "absent")


def test_last_line_that_was_cut_off(tmp_path, numbers):
    text = "Step T a b c d e f\n" + "\n".join(rows(numbers))
    (tmp_path / "killed").write_text(text[:-30])
    table = read_flux_table(tmp_path / "killed")
    assert len(table.vector("3,4,5")) == 99
    assert "cut off" in table.remarks[0]
