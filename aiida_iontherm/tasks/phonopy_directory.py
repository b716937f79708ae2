"""Phonons from a folder that phonopy or phono3py left behind, whatever files they are in (`phonopy_layout` finds them).

phonopy and phono3py do the reading; while they do, the current directory of the process is an empty one, so that they
find nothing that lies about by chance: do not call these functions from several threads at once.

What comes back is in Angstrom and eV, whatever program the forces came from. Nothing is done silently: the callback
`remark` is told which files were read, what was symmetrised, and what may be missing.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import ArrayLike

from aiida_iontherm.physics.lattice.cells import primitive_cell_by_symmetry
from aiida_iontherm.physics.lattice.conversion import phonopy_from_phono3py
from aiida_iontherm.physics.lattice.plausibility import check_crystal
from aiida_iontherm.tasks.phonopy_checks import (
    LARGEST_SYMMETRY_RESIDUAL,
    NOTABLE_RESIDUAL,
    check_finite,
    check_forces,
    check_harmonic,
    check_nac,
    check_shape,
)
from aiida_iontherm.tasks.phonopy_layout import (
    COMPRESSIONS,
    FORCE_CONSTANTS,
    FORCES,
    Layout,
    find_file,
    find_layout,
    folder_and_yaml,
    only_phono3py,
)
from aiida_iontherm.tasks.plain_yaml import plain_yaml

if TYPE_CHECKING:
    from phono3py import Phono3py
    from phonopy import Phonopy

Remark = Callable[[str], None]
"""Takes one sentence on what was read or done."""

SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one is ten times faster

SAME_SITE_A = 0.01
"""In Angstrom: coordinates in files are rounded, to 1e-6 at worst; different sites are far more apart."""

# What phonopy, phono3py and the readers under them raise for files that are not what their names say.
_UNREADABLE = (
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    lzma.LZMAError,
    zlib.error,
    yaml.YAMLError,
    SystemExit,
)


def load_phonopy_directory(
    path: Path | str,
    *,
    nac: bool | None = None,
    symmetrise: bool | None = None,
    supercell_matrix: ArrayLike | None = None,
    primitive_matrix: Any = None,
    symprec: float = 1e-5,
    remark: Remark | None = None,
) -> Phonopy:
    """Load the harmonic part of a folder of phonopy or phono3py.

    Looked for, in this order of precedence: force constants in ``phonopy*.yaml``, ``FORCE_CONSTANTS``,
    ``force_constants.hdf5``, ``fc2.hdf5``; forces in the yaml file, ``FORCE_SETS``. The cell is in the yaml file, or in
    ``POSCAR-unitcell`` with DIM and PRIMITIVE_AXES in ``phonopy.conf``. Folders of phono3py serve as well:
    ``phono3py*.yaml`` with ``fc2.hdf5``, ``FORCES_FC2`` or ``FORCES_FC3``. Compressed files are read.

    Parameters
    ----------
    path
        The folder, or one yaml file in it where it holds several.
    nac
        Non-analytical term from ``BORN`` or the yaml file: ``True`` to insist on it, ``False`` to leave it out,
        ``None`` to take it where it is.
    symmetrise
        Impose sum rules, symmetry of permutation and of the crystal on the force constants: ``None`` does so for those
        made from forces, as phonopy does, and takes those read from a file as they are.
    supercell_matrix, primitive_matrix
        As in phonopy, where neither a yaml file nor ``phonopy.conf`` tells them, or to overrule ``phonopy.conf``. The
        primitive cell is else found by symmetry.
    symprec
        Tolerance of the symmetry search in Angstrom.
    remark
        Called with one sentence for each thing that was done or may be missing, by default nobody.

    Returns
    -------
    Phonopy
        With force constants, in Angstrom and eV/Angstrom^2.

    Raises
    ------
    FileNotFoundError
        If the folder, a cell, force constants or forces, or a ``BORN`` that is insisted on is not there.
    ValueError
        If a file cannot be read or holds numbers that are not finite, files do not belong together, the cell is not
        that of a crystal, or the magnitude of the force constants suggests another unit.
    """
    say = remark or _nobody
    folder, given = folder_and_yaml(path)
    if only_phono3py(folder, given):
        layout = find_layout(folder, given, "phono3py", supercell_matrix, primitive_matrix)
        third = _load_phono3py(layout, nac, symmetrise, symprec, say, third_order=False)
        phonopy = phonopy_from_phono3py(third)
    else:
        layout = find_layout(folder, given, "phonopy", supercell_matrix, primitive_matrix)
        phonopy = _load_phonopy(layout, nac, symmetrise, symprec, say)
    check_harmonic(phonopy, say)
    return phonopy


def load_phono3py_directory(
    path: Path | str,
    *,
    nac: bool | None = None,
    symmetrise: bool | None = None,
    supercell_matrix: ArrayLike | None = None,
    primitive_matrix: Any = None,
    symprec: float = 1e-5,
    remark: Remark | None = None,
) -> Phono3py:
    """Load a folder of phono3py: second and third order.

    Looked for: ``phono3py*.yaml``, or ``POSCAR-unitcell`` with DIM (and DIM_FC2) in ``phono3py.conf``; ``fc3.hdf5``,
    or forces in the yaml file or ``FORCES_FC3``; ``fc2.hdf5`` or ``FORCES_FC2`` where the second order has its own.

    Parameters, errors and remarks as in `load_phonopy_directory`; third order made from forces is symmetrised together
    with the second.

    Raises
    ------
    FileNotFoundError
        If there is nothing of third order, besides the reasons given there.
    ValueError
        As there.
    """
    say = remark or _nobody
    folder, given = folder_and_yaml(path)
    layout = find_layout(folder, given, "phono3py", supercell_matrix, primitive_matrix)
    phono3py = _load_phono3py(layout, nac, symmetrise, symprec, say, third_order=True)
    check_harmonic(phonopy_from_phono3py(phono3py), say)
    return phono3py


def _nobody(_sentence: str) -> None:
    """Take no notice."""


@contextlib.contextmanager
def _reading(layout: Layout, say: Remark) -> Iterator[None]:
    """Stand in an empty folder, pass warnings on as remarks, and turn whatever goes wrong into one sentence."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        seen = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", UserWarning)
        stack.enter_context(primitive_cell_by_symmetry())
        # phonopy prints some errors before it leaves.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            yield
        except _UNREADABLE as error:
            reason = _one_line(error, layout) or type(error).__name__
            if "p2s_map" in reason:
                reason = "force constants do not fit the cell: DIM or PRIMITIVE_AXES are those of another supercell"
            raise ValueError(f"{layout.folder.name} cannot be read: {reason}") from error
    for warning in seen:
        if issubclass(warning.category, UserWarning):
            say(_one_line(warning.message, layout))


def _one_line(message: object, layout: Layout) -> str:
    return " ".join(re.sub("={3,}", " ", str(message).replace(f"{layout.folder}/", "")).split())


def _load_phonopy(layout: Layout, nac: bool | None, symmetrise: bool | None, symprec: float, say: Remark) -> Phonopy:
    """Phonopy object with force constants in Angstrom and eV; files are checked against each other."""
    import phonopy as phonopy_package
    from phonopy.structure.dataset import forces_in_dataset

    folder = layout.folder
    constants = find_file(folder, FORCE_CONSTANTS)
    forces = find_file(folder, FORCES) if constants is None else None
    looked_for = ", ".join((*FORCE_CONSTANTS, *FORCES))
    if layout.yaml is None and constants is None and forces is None:
        raise FileNotFoundError(f"{folder.name} holds a cell but no forces or force constants: looked for {looked_for}")
    _check_cell_file(layout, say)
    with _reading(layout, say):
        phonopy = phonopy_package.load(
            **layout.cell_arguments("phonopy_yaml"),
            force_sets_filename=forces,
            force_constants_filename=constants,
            born_filename=_born(folder, nac),
            is_nac=nac is not False,
            produce_fc=False,
            symprec=symprec,
            log_level=0,
        )
    check_nac(phonopy.nac_params, nac, folder)
    _check_supercell(phonopy, layout, say)
    dataset = phonopy.dataset
    if phonopy.force_constants is not None:
        origin = constants.name if constants is not None else layout.cell_file
        check_shape(
            phonopy.force_constants, len(phonopy.primitive), len(phonopy.supercell), origin, layout.cell_file, folder
        )
        say(f"force constants of {origin}, cell of {layout.cell_file}")
        if symmetrise:
            check_finite(phonopy.force_constants, origin)
            phonopy.symmetrize_force_constants(show_drift=False, use_symfc_projector=True)
            say("force constants were symmetrised (sum rules, permutations, space group), as asked for")
    elif dataset is None or not forces_in_dataset(dataset):
        raise FileNotFoundError(
            f"{folder.name} holds no forces or force constants: {layout.cell_file} has none, and there is none of "
            f"{looked_for}"
        )
    else:
        origin = forces.name if forces is not None else layout.cell_file
        check_forces(dataset, origin)
        several = "displacements" in dataset
        with _reading(layout, say):
            phonopy.produce_force_constants(
                calculate_full_force_constants=False, fc_calculator="symfc" if several else None
            )
            before = np.array(phonopy.force_constants)
            if not several:
                phonopy.symmetrize_force_constants(show_drift=False, use_symfc_projector=True)
        change = float(np.abs(phonopy.force_constants - before).max() / np.abs(before).max())
        if change > LARGEST_SYMMETRY_RESIDUAL:
            raise ValueError(
                f"{origin}: force constants made from these forces break sum rules and symmetry by {change:.0%} of the "
                "largest: the forces belong to another supercell, list its atoms in another order, or are not converged"
            )
        if symmetrise is False and not several:
            phonopy.force_constants = before
        say(f"force constants from the forces of {origin}{_how_made(several, symmetrise)}, cell of {layout.cell_file}")
        if change > NOTABLE_RESIDUAL and symmetrise is not False:
            say(f"symmetrising changed force constants by up to {change:.1%} of the largest: are the forces converged?")
    return _in_angstrom_and_ev(phonopy, symprec, say)


def _load_phono3py(
    layout: Layout, nac: bool | None, symmetrise: bool | None, symprec: float, say: Remark, *, third_order: bool
) -> Phono3py:
    """Phono3py object with force constants, of second order only where no third order is wanted."""
    import phono3py as phono3py_package
    from phonopy.physical_units import get_physical_units
    from phonopy.structure.dataset import forces_in_dataset

    folder = layout.folder
    fc2, fc3 = find_file(folder, ("fc2.hdf5",)), find_file(folder, ("fc3.hdf5",)) if third_order else None
    forces_fc2, forces_fc3 = (find_file(folder, (name,), COMPRESSIONS) for name in ("FORCES_FC2", "FORCES_FC3"))
    arguments = layout.cell_arguments("phono3py_yaml")
    if layout.yaml is None:
        arguments["phonon_supercell_matrix"] = layout.phonon_supercell_matrix
    _check_cell_file(layout, say)
    with _reading(layout, say):
        phono3py = phono3py_package.load(
            **arguments,
            fc2_filename=fc2,
            fc3_filename=fc3,
            forces_fc2_filename=forces_fc2,
            forces_fc3_filename=forces_fc3,
            born_filename=_born(folder, nac),
            is_nac=nac is not False,
            produce_fc=False,
            symprec=symprec,
            log_level=0,
        )
    check_nac(phono3py.nac_params, nac, folder)
    if phono3py.nac_params is not None:
        # phono3py converts lengths and forces to Angstrom and eV, but takes the factor of the program they come from.
        units = get_physical_units()
        phono3py.nac_params = phono3py.nac_params | {"factor": units.Hartree * units.Bohr}
    third, second = phono3py.dataset, phono3py.phonon_dataset
    for dataset, origin in ((third, forces_fc3), (second, forces_fc2)):
        if dataset is not None and forces_in_dataset(dataset):
            check_forces(dataset, origin.name if origin else layout.cell_file)
    with_third = third is not None and forces_in_dataset(third)
    own_second = phono3py.phonon_supercell_matrix is not None
    with_second = second is not None and forces_in_dataset(second) if own_second else with_third
    if third_order and phono3py.fc3 is None and not with_third:
        raise FileNotFoundError(
            f"{folder.name} holds nothing of third order: looked for fc3.hdf5, FORCES_FC3 and forces in "
            f"{layout.cell_file}"
        )
    if phono3py.fc2 is None and not with_second:
        raise FileNotFoundError(
            f"{folder.name} holds nothing of second order: looked for fc2.hdf5, "
            f"{'FORCES_FC2' if own_second else 'FORCES_FC3'} and forces in {layout.cell_file}"
        )
    cells = {
        "fc2": (len(phono3py.phonon_primitive), len(phono3py.phonon_supercell)),
        "fc3": (len(phono3py.primitive), len(phono3py.supercell)),
    }
    for name, sizes in cells.items():
        array = getattr(phono3py, name)
        if array is not None:
            check_shape(array, *sizes, f"{name}.hdf5", layout.cell_file, folder)
            check_finite(array, f"{name}.hdf5")
            say(f"{name} of {name}.hdf5, cell of {layout.cell_file}")
    _produce_phono3py(phono3py, layout, symmetrise, say, third_order=third_order)
    return phono3py


def _produce_phono3py(
    phono3py: Phono3py, layout: Layout, symmetrise: bool | None, say: Remark, *, third_order: bool
) -> None:
    """Make from forces what was not read, and symmetrise where wanted."""
    read = [name for name in ("fc2", "fc3") if getattr(phono3py, name) is not None]
    made = [name for name in ("fc2", "fc3") if name not in read and (third_order or name == "fc2")]
    several = any(data is not None and "displacements" in data for data in (phono3py.dataset, phono3py.phonon_dataset))
    calculator = "symfc" if several else None
    with _reading(layout, say):
        if "fc3" in made:
            second = phono3py.fc2
            phono3py.produce_fc3(is_compact_fc=True, fc_calculator=calculator)
            if second is not None:
                phono3py.fc2 = second
        if "fc2" in made and phono3py.fc2 is None:
            phono3py.produce_fc2(is_compact_fc=True, fc_calculator=calculator)
        wanted = (made if symmetrise is not False and not several else []) + (read if symmetrise else [])
        for name in wanted:
            getattr(phono3py, f"symmetrize_{name}")(use_symfc_projector=True)
    if made:
        say(f"{' and '.join(made)} from forces{_how_made(several, symmetrise)}, cell of {layout.cell_file}")
    if symmetrise and read:
        say(f"{' and '.join(read)} symmetrised (sum rules, permutations, space group), as asked for")


def _how_made(several: bool, symmetrise: bool | None) -> str:
    if several:
        return " by a least-squares fit with all symmetries and sum rules (symfc)"
    how = "not symmetrised" if symmetrise is False else "symmetrised (sum rules, permutations, space group)"
    return f" by finite differences, {how}"


def _born(folder: Path, nac: bool | None) -> Path | None:
    return None if nac is False else find_file(folder, ("BORN",))


def _in_angstrom_and_ev(phonopy: Phonopy, symprec: float, say: Remark) -> Phonopy:
    """Convert what is in the units of another program than VASP."""
    from phonopy import Phonopy
    from phonopy.interface.calculator import get_force_constant_conversion_factor
    from phonopy.physical_units import get_calculator_physical_units

    units, ours = get_calculator_physical_units(phonopy.calculator), get_calculator_physical_units(None)
    if (units.distance_to_A, units.force_constants_unit) == (ours.distance_to_A, ours.force_constants_unit):
        return phonopy
    unitcell = phonopy.unitcell.copy()
    unitcell.cell = unitcell.cell * units.distance_to_A
    converted = Phonopy(unitcell, phonopy.supercell_matrix, primitive_matrix=phonopy.primitive_matrix, symprec=symprec)
    converted.force_constants = phonopy.force_constants * get_force_constant_conversion_factor(
        units.force_constants_unit, None
    )
    if phonopy.nac_params is not None:
        converted.nac_params = phonopy.nac_params | {"factor": ours.nac_factor}
    say(f"{units.length_unit} and {units.force_constants_unit} of {phonopy.calculator} converted to Angstrom and eV")
    return converted


def _check_cell_file(layout: Layout, say: Remark) -> None:
    """Look at the file of the cell before phonopy does.

    A yaml file may ask for Python objects; and what phonopy makes of atoms on top of each other is hard to follow.
    """
    from phonopy.interface.calculator import read_crystal_structure

    if layout.yaml is not None:
        plain_yaml(layout.yaml)
    if layout.unit_cell is None:
        return
    with _reading(layout, say):
        cell, _ = read_crystal_structure(layout.unit_cell)
    check_crystal(cell)


def _check_supercell(phonopy: Phonopy, layout: Layout, say: Remark) -> None:
    """Compare the supercell with the one that was calculated, where a file of the folder tells it.

    Forces alone do not tell 4 x 1 x 2 from 2 x 2 x 2 cells.
    """
    from phonopy.interface.vasp import read_vasp

    structure, displacements = find_file(layout.folder, ("SPOSCAR",)), find_file(layout.folder, ("disp.yaml",))
    if structure is not None:
        with _reading(layout, say):
            calculated = read_vasp(structure)
            lattice, positions, symbols = calculated.cell, calculated.scaled_positions, calculated.symbols
    elif displacements is not None:
        with _reading(layout, say):
            content = yaml.load(displacements.read_bytes(), Loader=SAFE_LOADER)  # noqa: S506 - a safe one
            if "lattice" not in content or ("atoms" not in content and "points" not in content):
                return
            points = content.get("points") or content["atoms"]
            lattice = np.array(content["lattice"], dtype=float)
            positions = np.array([point.get("coordinates", point.get("position")) for point in points], dtype=float)
            symbols = [point["symbol"] for point in points]
    else:
        return
    ours = phonopy.supercell
    same = len(ours) == len(positions) and list(ours.symbols) == list(symbols)
    if same:
        apart = np.asarray(ours.scaled_positions) - positions
        apart = (apart - np.rint(apart)) @ np.asarray(ours.cell)
        same = bool(np.abs(lattice - ours.cell).max() < SAME_SITE_A and np.abs(apart).max() < SAME_SITE_A)
    if not same:
        raise ValueError(
            f"{layout.folder.name}: the supercell of {layout.cell_file} is not that of "
            f"{(structure or displacements or layout.folder).name}: DIM is wrong, or the files belong to different runs"
        )
