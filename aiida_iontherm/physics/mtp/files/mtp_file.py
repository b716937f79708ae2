"""Moment tensor potentials on disk: the ``.mtp`` text format of MLIP-2, MLIP-3 (``.almtp``) and motep.

A file is the line ``MTP``, lines ``key = value`` with lists in braces, a block ``radial_coeffs`` with a row of numbers
for each pair of species and radial function, and, where MLIP-3 selected configurations, a block from ``#MVS_v1.1`` on
that is partly binary. The numbers mean

    f_mu(r) = sum_k radial_coeffs[z_i, z_j, mu, k] T_k(xi(r)) scaling (max_dist - r)^2,
    E_i = species_coeffs[z_i] + sum_s moment_coeffs[s] m[alpha_moment_mapping[s]],

with Chebyshev polynomials T_k, xi from -1 at min_dist to 1 at max_dist, and the moments m of `BasisTables`: Eqs. 2 to 4
of Novikov et al., Mach. Learn.: Sci. Technol. 2, 025002 (2021).

Keys are read in any order, so that the flat layout of MLIP and both layouts of motep are one. What is written is flat,
in MLIP's own order and with 17 significant digits: reading gives the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from aiida_iontherm.physics.mtp.basis import BasisTables
from aiida_iontherm.physics.mtp.files._atomic import written_whole
from aiida_iontherm.physics.mtp.files._mtp_text import OTHER_NAMES, MtpText

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

VERSION = "1.1.0"
RADIAL_BASIS_TYPE = "RBChebyshev"

# A thousand times what the largest potentials have: beyond, a count is wrong.
_MOST_COEFFICIENTS = 10**7
_SPECIES_TAG = "species "
_TABLE_KEYS = (
    "species_count",
    "radial_basis_type",
    "min_dist",
    "max_dist",
    "radial_basis_size",
    "radial_funcs_count",
    "alpha_moments_count",
    "alpha_index_basic_count",
    "alpha_index_basic",
    "alpha_index_times_count",
    "alpha_index_times",
    "alpha_scalar_moments",
    "alpha_moment_mapping",
)
_COEFFICIENT_KEYS = ("radial_coeffs", "species_coeffs", "moment_coeffs")
_HEADER_KEYS = ("version", "potential_name", "scaling", "potential_tag")
_KNOWN_KEYS = frozenset(_TABLE_KEYS + _COEFFICIENT_KEYS + _HEADER_KEYS)
_MAGNETIC_KEYS = frozenset({"magnetic_basis_type", "mag_basis_size", "min_mag", "max_mag"})
# Control characters other than white space: no text has them.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True, eq=False)
class MtpFile:
    """Everything a ``.mtp`` file holds.

    Attributes
    ----------
    species_count : int
        Number of species z.
    tables : BasisTables
        The basis scalars. ``tables.n_radial`` is the file's ``radial_funcs_count``, which may be more than the moments
        use.
    min_distance, cutoff : float
        ``min_dist`` and ``max_dist`` in Angstrom.
    radial_coeffs : float array [z, z, tables.n_radial, radial_basis_size]
    species_coeffs : float array [z]
        In eV.
    moment_coeffs : float array [scalars]
        In eV.
    scaling : float
        Factor of the radial functions.
    radial_basis_type, potential_name, potential_tag, version : str
        As in the file. MLIP leaves the tag empty; `species_tag` puts chemical symbols there.
    metadata : mapping of str to str
        Keys this module does not know, in the order of the file.
    selection_state : bytes
        What follows the text from the line ``#MVS_v1.1`` on, kept as it is. Only a reader of that block can say
        whether it is complete.
    trained : bool
        False for a template without coefficients: then all of them are zero here and none is written.

    Raises
    ------
    ValueError
        If counts, tables or ranges contradict each other or a number is not finite.
    """

    species_count: int
    tables: BasisTables
    min_distance: float
    cutoff: float
    radial_coeffs: Array
    species_coeffs: Array
    moment_coeffs: Array
    scaling: float = 1.0
    radial_basis_type: str = RADIAL_BASIS_TYPE
    potential_name: str = "MTP1m"
    potential_tag: str = ""
    version: str = VERSION
    metadata: Mapping[str, str] = field(default_factory=dict)
    selection_state: bytes = b""
    trained: bool = True

    def __post_init__(self) -> None:
        _check_header(self)
        _check_tables(self.tables)
        _check_coefficients(self)

    @property
    def species(self) -> tuple[str, ...] | None:
        """Chemical symbols, where the tag of the file names them."""
        if not self.potential_tag.startswith(_SPECIES_TAG):
            return None
        symbols = tuple(self.potential_tag.removeprefix(_SPECIES_TAG).split())
        return symbols if len(symbols) == self.species_count and set(symbols) <= set(atomic_numbers) else None


def species_tag(species: Sequence[str]) -> str:
    """Text for ``potential_tag`` that names the species, "species Cs Cu I".

    A line of its own for the species would stop motep (it passes unknown keys on as arguments) and may stop MLIP. The
    tag is free text that MLIP leaves empty: a reader has to take the rest of that line whatever it is.

    Raises
    ------
    ValueError
        If one is no chemical symbol.
    """
    if not species or any(symbol not in atomic_numbers for symbol in species):
        raise ValueError(f"species must be chemical symbols, not {', '.join(species) or 'none'}")
    return _SPECIES_TAG + " ".join(species)


def read_mtp_file(path: str | Path, *, untrained: bool = False) -> MtpFile:
    """Read a ``.mtp`` or ``.almtp`` file of MLIP-2, MLIP-3 or motep.

    Parameters
    ----------
    path : str or Path
        The file.
    untrained : bool
        Accept a template without coefficients too: they are zero in what is returned, and `MtpFile.trained` is False.

    Raises
    ------
    ValueError
        If the file is absent, no text, cut short, holds numbers that are not finite or contradict each other, or a kind
        of potential that is not supported. The message names the file, and the line or the field.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no potential file {path}")
    try:
        return _parse(path.read_bytes(), untrained)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_mtp_file(path: str | Path, mtp: MtpFile) -> None:
    """Write a ``.mtp`` file in the flat layout that MLIP-2, MLIP-3 and motep read, whole or not at all.

    Unknown keys come after ``potential_tag``; MLIP and motep may refuse a file that has any.
    """
    tables = mtp.tables
    lines = [
        "MTP",
        f"version = {mtp.version}",
        f"potential_name = {mtp.potential_name}",
        # The templates of MLIP have none.
        *([f"scaling = {_number_text(mtp.scaling)}"] if mtp.trained or mtp.scaling != 1.0 else []),
        f"species_count = {mtp.species_count}",
        f"potential_tag = {mtp.potential_tag}",
        *(f"{key} = {value}" for key, value in mtp.metadata.items()),
        f"radial_basis_type = {mtp.radial_basis_type}",
        f"\tmin_dist = {_number_text(mtp.min_distance)}",
        f"\tmax_dist = {_number_text(mtp.cutoff)}",
        f"\tradial_basis_size = {mtp.radial_coeffs.shape[-1]}",
        f"\tradial_funcs_count = {tables.n_radial}",
    ]
    if mtp.trained:
        lines.append("\tradial_coeffs")
        for first, second in np.ndindex(mtp.species_count, mtp.species_count):
            lines.append(f"\t\t{first}-{second}")
            lines.extend(f"\t\t\t{_list_text(row)}" for row in mtp.radial_coeffs[first, second])
    lines += [
        f"alpha_moments_count = {tables.n_moments}",
        f"alpha_index_basic_count = {len(tables.basic)}",
        f"alpha_index_basic = {_table_text(tables.basic)}",
        f"alpha_index_times_count = {len(tables.times)}",
        f"alpha_index_times = {_table_text(tables.times)}",
        f"alpha_scalar_moments = {len(tables.scalars)}",
        f"alpha_moment_mapping = {{{', '.join(map(str, tables.scalars.tolist()))}}}",
    ]
    if mtp.trained:
        lines.append(f"species_coeffs = {_list_text(mtp.species_coeffs)}")
        lines.append(f"moment_coeffs = {_list_text(mtp.moment_coeffs)}")
    with written_whole(Path(path)) as draft:
        draft.write_bytes("".join(line + "\n" for line in lines).encode() + mtp.selection_state)


def _number_text(number: float) -> str:
    return f"{number:.16e}"


def _list_text(numbers: Array) -> str:
    return "{" + ", ".join(map(_number_text, numbers.tolist())) + "}"


def _table_text(table: IntArray) -> str:
    return "{" + ", ".join("{" + ", ".join(map(str, row)) + "}" for row in table.tolist()) + "}"


def _parse(content: bytes, untrained: bool) -> MtpFile:
    plain, selection_state = _split_selection_state(content)
    text = MtpText(plain)
    for key in sorted(_MAGNETIC_KEYS & set(text.names)):
        raise ValueError(f"line {text.line(key)}: magnetic potentials ({key}) are not supported")
    # Completeness first: in a file that is cut short the last value is a stump, not a mistake.
    for key in _TABLE_KEYS:
        if key not in text:
            raise ValueError(f"{key} is missing: the file is cut short")
    if text.text("radial_basis_type") != RADIAL_BASIS_TYPE:
        raise ValueError(f"line {text.line('radial_basis_type')}: {_unsupported(text.text('radial_basis_type'))}")
    missing = [key for key in _COEFFICIENT_KEYS if key not in text]
    never_trained = len(missing) == len(_COEFFICIENT_KEYS)
    if missing and not (untrained and never_trained):
        reason = "was never trained or is cut short" if never_trained else "is cut short"
        raise ValueError(f"{', '.join(missing)} missing: the potential {reason}")
    tables = BasisTables(
        basic=text.table("alpha_index_basic", "alpha_index_basic_count"),
        times=text.table("alpha_index_times", "alpha_index_times_count"),
        scalars=text.integers("alpha_moment_mapping", "alpha_scalar_moments"),
        n_moments=text.count("alpha_moments_count"),
        n_radial=text.count("radial_funcs_count"),
    )
    if never_trained:
        z, size = text.count("species_count"), text.count("radial_basis_size")
        if z * z * tables.n_radial * size > _MOST_COEFFICIENTS:
            raise ValueError(f"{z} species with {tables.n_radial} x {size} radial coefficients: the file is damaged")
        radial_coeffs = np.zeros((z, z, tables.n_radial, size))
        species_coeffs, moment_coeffs = np.zeros(z), np.zeros(len(tables.scalars))
    else:
        radial_coeffs = text.radial_coeffs()
        species_coeffs = text.numbers("species_coeffs", "species_count")
        moment_coeffs = text.numbers("moment_coeffs", "alpha_scalar_moments")
    header = {key: text.text(key) for key in ("potential_name", "potential_tag", "version") if key in text}
    return MtpFile(
        species_count=text.count("species_count"),
        tables=tables,
        min_distance=text.number("min_dist"),
        cutoff=text.number("max_dist"),
        radial_coeffs=radial_coeffs,
        species_coeffs=species_coeffs,
        moment_coeffs=moment_coeffs,
        scaling=text.number("scaling") if "scaling" in text else 1.0,
        radial_basis_type=text.text("radial_basis_type"),
        metadata={key: text.text(key) for key in text.names if key not in _KNOWN_KEYS},
        selection_state=selection_state,
        trained=not never_trained,
        **header,
    )


def _split_selection_state(content: bytes) -> tuple[str, bytes]:
    """Part the text from the block that the first line beginning with # starts."""
    end = content.find(b"\n#") + 1 or len(content)
    try:
        text = content[:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("this is no text file, so no .mtp potential") from error
    if _NOT_TEXT.search(text):
        raise ValueError("this is no text file, so no .mtp potential")
    state = content[end:]
    if state:
        _check_selection_state(state, f"line {text.count(chr(10)) + 1}: ")
    return text, state


def _check_selection_state(state: bytes, where: str = "") -> None:
    name, newline, rest = state.partition(b"\n")
    if not newline or not rest:
        raise ValueError(f"{where}the selection state after the coefficients is empty: the file is cut short")
    if not name.startswith(b"#MVS_v"):
        raise ValueError(
            f"{where}{name[:40].decode('utf-8', 'replace')!r} is no selection state (#MVS_v1.1): remove comments"
        )


def _unsupported(radial_basis_type: str) -> str:
    return f"the radial basis {radial_basis_type!r} is not supported: train the potential with {RADIAL_BASIS_TYPE}"


def _check_header(mtp: MtpFile) -> None:
    if mtp.version not in ("", VERSION):
        raise ValueError(f"version {mtp.version} is not known, only {VERSION}: convert the file with MLIP or motep")
    if mtp.radial_basis_type != RADIAL_BASIS_TYPE:
        raise ValueError(_unsupported(mtp.radial_basis_type))
    if mtp.species_count < 1:
        raise ValueError(f"species_count is {mtp.species_count}: a potential has at least one species")
    if not 0 <= mtp.min_distance < mtp.cutoff < np.inf:
        raise ValueError(
            f"min_dist must lie between 0 and max_dist, not at {mtp.min_distance} of {mtp.cutoff}: correct the range"
        )
    if not np.isfinite(mtp.scaling) or mtp.scaling == 0:
        raise ValueError(f"scaling must be finite and not zero, not {mtp.scaling}")
    texts = {"potential_name": mtp.potential_name, "potential_tag": mtp.potential_tag}
    for key, value in mtp.metadata.items():
        if key in _KNOWN_KEYS | _MAGNETIC_KEYS | OTHER_NAMES.keys() or not key or "=" in key or key.startswith("#"):
            raise ValueError(f"{key!r} cannot be a key of metadata: choose another name")
        texts |= {f"key {key!r} of metadata": key, f"metadata[{key!r}]": value}
    for name, text in texts.items():
        if text != text.strip() or "\n" in text or _NOT_TEXT.search(text):
            raise ValueError(f"{name} must be one line of text without white space at its ends, not {text!r}")
    if mtp.selection_state:
        _check_selection_state(mtp.selection_state)


def _check_tables(tables: BasisTables) -> None:
    """Check that every moment is complete before it is used."""
    basic, times, scalars = tables.basic, tables.times, tables.scalars
    if tables.n_radial < 1:
        raise ValueError(f"radial_funcs_count is {tables.n_radial}: a basis has at least one radial function")
    if len(basic) == 0 or len(scalars) == 0:
        raise ValueError("alpha_index_basic and alpha_moment_mapping are empty: there is no basis")
    if basic.min() < 0 or basic[:, 0].max() >= tables.n_radial:
        raise ValueError(
            f"alpha_index_basic holds a negative number or a radial function beyond the {tables.n_radial} of "
            "radial_funcs_count: the file is damaged"
        )
    # Every moment is elementary or the result of a row: compare before an array of that length is made.
    if not len(basic) <= tables.n_moments <= len(basic) + len(times):
        raise ValueError(
            f"alpha_moments_count is {tables.n_moments}, which {len(basic)} elementary moments and {len(times)} rows "
            "of alpha_index_times cannot make: the file is damaged"
        )
    for name, indices in (("alpha_index_times", times[:, [0, 1, 3]]), ("alpha_moment_mapping", scalars)):
        if indices.size and (indices.min() < 0 or indices.max() >= tables.n_moments):
            raise ValueError(
                f"{name} points beyond the {tables.n_moments} moments of alpha_moments_count: the file is damaged"
            )
    never = len(times)
    last_written = np.full(tables.n_moments, never)
    last_written[: len(basic)] = -1
    if len(times):
        if times[:, 3].min() < len(basic):
            raise ValueError("alpha_index_times adds to an elementary moment: the file is damaged")
        last_written[times[:, 3]] = -1
        np.maximum.at(last_written, times[:, 3], np.arange(never))
        early = (last_written[times[:, :2]] >= np.arange(never)[:, None]).any(axis=1)
        if early.any():
            raise ValueError(
                f"row {int(early.argmax())} of alpha_index_times uses a moment before it is complete: the file is "
                "damaged"
            )
    if (last_written[scalars] == never).any():
        raise ValueError("alpha_moment_mapping points at a moment that nothing computes: the file is damaged")


def _check_coefficients(mtp: MtpFile) -> None:
    z = mtp.species_count
    size = mtp.radial_coeffs.shape[-1] if mtp.radial_coeffs.ndim else 0
    shapes = {
        "radial_coeffs": (z, z, mtp.tables.n_radial, max(size, 1)),
        "species_coeffs": (z,),
        "moment_coeffs": (len(mtp.tables.scalars),),
    }
    for name, shape in shapes.items():
        values = getattr(mtp, name)
        if values.shape != shape:
            raise ValueError(f"{name} has shape {values.shape} where {z} species and this basis need {shape}")
        if not np.all(np.isfinite(values)):
            raise ValueError(f"{name} holds numbers that are not finite: the potential is damaged, train it again")
        if not mtp.trained and values.any():
            raise ValueError(f"{name} of an untrained potential must be zero")
