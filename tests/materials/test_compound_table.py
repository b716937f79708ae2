"""The table of compounds against itself, spglib, and the real POSCARs of the phonon database."""

from collections import Counter

import numpy as np
import pytest
from ase.io import read
from ase.neighborlist import neighbor_list

from aiida_iontherm.materials import table
from aiida_iontherm.materials.table import Compound, Tier, find, load_table, published

ENTRIES = load_table()
IDS = [entry.id for entry in ENTRIES]


def stoichiometry(counts: dict[str, float]) -> dict[str, float]:
    total = sum(counts.values())
    return {element: count / total for element, count in counts.items()}


def formula_counts(formula: str) -> dict[str, float]:
    return dict(table._elements(formula))


def test_the_table_is_large_enough_and_has_unique_ids():
    assert len(ENTRIES) >= 40
    assert len({entry.formula for entry in ENTRIES}) >= 40
    assert len(set(IDS)) == len(IDS)
    assert all(entry.source and entry.tier.sentence for entry in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_each_entry_expands_to_its_formula(entry: Compound):
    counts: Counter = Counter()
    for site, positions in entry.expanded_sites():
        counts[site.element] += site.occupancy * len(positions)
    found, wanted = stoichiometry(counts), stoichiometry(formula_counts(entry.formula))
    assert set(found) == set(wanted)
    for element, share in wanted.items():
        # Refined occupancies of the Li entries add up to 24.024 of 24 ions: 5e-4 in the share.
        assert found[element] == pytest.approx(share, abs=6e-4)
    assert set(entry.mobile) <= set(found)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.ordered], ids=[e.id for e in ENTRIES if e.ordered])
def test_each_ordered_cell_has_its_space_group_and_no_short_distance(entry: Compound):
    import spglib

    atoms = entry.to_atoms()
    dataset = spglib.get_symmetry_dataset((atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3)
    assert dataset.number == entry.space_group
    # The shortest real bond in these compounds is Mg-O, P-S or Li-S: nothing lies below 1.9 Angstrom.
    assert neighbor_list("d", atoms, 4.2).min() > 1.9


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_hall_number_belongs_to_the_space_group(entry: Compound):
    import spglib

    assert spglib.get_spacegroup_type(entry.hall_number).number == entry.space_group


PHONONDB = [e for e in ENTRIES if e.id.endswith("-pbesol") and "-mp-" in e.id]


@pytest.mark.parametrize("entry", PHONONDB, ids=[e.id for e in PHONONDB])
def test_pbesol_entries_are_the_crystals_of_the_phonon_database(entry: Compound, shared_data):
    mp_id = "mp-" + entry.id.split("-mp-")[1].split("-")[0]
    reference = read(shared_data / "phonondb" / mp_id / "POSCAR-unitcell", format="vasp")
    atoms = entry.to_atoms()
    # Cells may be set differently (zincblende CuI is stored as R3m), so volumes and neighbour distances per atom are
    # compared; lattice parameters are stored to 1e-5 Angstrom and coordinates to 1e-6.
    assert atoms.cell.volume / len(atoms) == pytest.approx(reference.cell.volume / len(reference), rel=2e-4)
    assert stoichiometry(Counter(atoms.symbols)) == stoichiometry(Counter(reference.symbols))
    if len(atoms) == len(reference):
        np.testing.assert_allclose(sorted(atoms.cell.lengths()), sorted(reference.cell.lengths()), atol=1e-3)
    nearest = [_distances(cell) for cell in (atoms, reference)]
    for pair in nearest[1]:
        # 1e-3 as the lattice; the R3m cell of CuI was idealised from a slightly trigonal one.
        np.testing.assert_allclose(nearest[0][pair], nearest[1][pair], atol=2e-3)


def _distances(atoms):
    """Shortest distance of each pair of elements within 4 Angstrom."""
    first, second, distance = neighbor_list("ijd", atoms, 4.0)
    symbols = np.array(atoms.get_chemical_symbols())
    shortest: dict[tuple[str, str], float] = {}
    for pair in set(zip(symbols[first], symbols[second], strict=True)):
        chosen = (symbols[first] == pair[0]) & (symbols[second] == pair[1])
        if distance[chosen].min() < 3.9:
            shortest[pair] = distance[chosen].min()
    return shortest


def test_measured_room_temperature_cell_is_the_default_of_cscu2i3():
    compound = find("CsCu2I3")
    assert compound.id == "cscu2i3-cmcm-exp-300K"
    assert compound.tier is Tier.MEASURED
    assert compound.default
    # Published lattice at 300 K; the table stores what the CIF gives.
    np.testing.assert_allclose(compound.to_atoms().cell.lengths(), [10.5567, 13.1844, 6.1021], atol=1e-9)


def test_find_takes_ids_and_formulas_in_any_order():
    assert find("Cu2CsI3") == find("Cs2Cu4I6") == find("CsCu2I3")
    assert find("CSCU2I3-CMCM-EXP-100K").temperature_K == 100
    for formula in (
        "Ag8GeSe6",
        "Cu7PS6",
        "Li6PS5Cl",
        "Li6PS5Br",
        "Li6PS5I",
        "CuI",
        "CuBr",
        "CuCl",
        "AgI",
        "NaCl",
        "Si",
    ):
        assert find(formula).formula == formula
        assert find(formula).ordered


def test_default_rule_prefers_marked_then_ordered_then_tier_then_room_temperature():
    assert find("AgI").space_group == 186
    assert find("CsI").space_group == 221
    assert find("CuI").space_group == 216
    ordered = [entry.ordered for entry in table.entries("Li6PS5Cl")]
    assert ordered == sorted(ordered, reverse=True)
    measured = [entry.temperature_K for entry in table.entries("CsCu2I3") if entry.tier is Tier.MEASURED]
    assert measured == [300, 200, 400, 100, 500]
    for formula in {entry.formula for entry in ENTRIES}:
        assert sum(entry.default for entry in table.entries(formula)) <= 1


@pytest.mark.parametrize(("query", "hint"), [("CsCu2I4", "CsCu2I3"), ("ag8gese", "Ag8GeSe6"), ("qqqq", "it holds")])
def test_unknown_compounds_name_the_nearest(query, hint):
    with pytest.raises(ValueError, match=hint) as caught:
        find(query)
    assert "\n" not in str(caught.value)


def test_partly_occupied_entries_tell_how_to_order_them():
    compound = find("li6ps5cl-f43m-neutron")
    with pytest.raises(ValueError, match="--order"):
        compound.to_atoms()
    structure = compound.to_pymatgen()
    # Neutron refinement: 24 Li, 4 Cl, 20 S, 4 P on 76 places; occupancies given to four digits.
    assert len(structure) == 76
    assert structure.composition["Li"] == pytest.approx(24, abs=1e-3)
    assert structure.composition["S"] == pytest.approx(20, abs=1e-3)


def test_sites_on_special_positions_are_made_exact():
    # 1/3 is stored as 0.333333: without the correction wurtzite would be off by 2e-6 Angstrom.
    x = find("agi-beta-exp").to_atoms().get_scaled_positions()[:, 0]
    np.testing.assert_allclose(np.minimum(abs(x - 1 / 3), abs(x - 2 / 3)), 0, atol=1e-12)


def test_tiers_are_ranked_as_documented():
    assert [tier.value for tier in sorted(Tier, key=lambda tier: tier.rank)] == [
        "measured",
        "pbesol_stable",
        "dft_other",
        "prototype",
        "from_memory",
    ]
    assert "relax first" in Tier.PROTOTYPE.sentence


def test_published_values_belong_to_compounds_and_are_complete():
    formulas = {entry.formula for entry in ENTRIES}
    values = table._load_published()
    assert len(values) > 100
    for value in values:
        assert value.compound in formulas
        assert value.direction in ("x", "y", "z", "average", None)
        assert value.citation
        assert value.unit
        assert value.confidence in ("high", "medium", "low", "recalled")
        assert np.isfinite(value.value)


def test_published_values_join_on_name_and_direction():
    values = {(v.name, v.direction): v for v in published("Cu2CsI3") if v.method.startswith("3+4-phonon, ")}
    # Li et al., Adv. Mater. (2025), section 2.3: 0.05, 0.03, 0.13 W/(m K) at 300 K.
    assert [values["kappa_particle", d].value for d in "xyz"] == [0.05, 0.03, 0.13]
    assert published("RbAg4I5") == []
    units = {v.unit for v in table._load_published() if v.name.startswith("kappa_") and "share" not in v.name}
    assert units == {"W/(m K)", "1", "K"}
