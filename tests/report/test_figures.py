"""Each figure returns the numbers it shows."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aiida_iontherm.report.figures import FIGURES
from aiida_iontherm.report.figures.regimes import ioffe_regel_ps, lifetimes
from aiida_iontherm.report.figures.spectrum import describe_spectral_kappa
from aiida_iontherm.report.figures.tree import ROWS_AT_MOST, provenance
from aiida_iontherm.report.model import LifetimeData, ProvenanceGraph, ProvenanceNode, SpectralData

BY_NAME = {kind.name: kind for kind in FIGURES}


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


@pytest.mark.parametrize("name", list(BY_NAME))
def test_columns_have_one_length_and_words_are_given(name, report_input):
    kind = BY_NAME[name]
    record = getattr(report_input(), kind.field)
    _, columns = kind.draw(record)
    assert len({len(values) for values in columns.values()}) == 1
    caption = kind.describe(record)
    assert caption.title
    assert caption.alt
    assert caption.text.endswith(".")


def test_kappa_columns_and_nothing_cut_off(report_input):
    data = report_input().kappa
    figure, columns = BY_NAME["kappa_by_channel"].draw(data)
    np.testing.assert_array_equal(columns["kappa_wave_y_W_per_mK"], data.wave[:, 1, 1])
    np.testing.assert_array_equal(columns["uncertainty_total_z_W_per_mK"], data.uncertainty[:, 2, 2])
    # The panels share one axis: the largest curve, in the last panel, must still lie within it.
    assert figure.axes[0].get_ylim()[1] >= (data.total + data.uncertainty)[:, 2, 2].max()
    assert figure.axes[0].get_ylim()[0] == 0


def test_spectrum_half_of_a_box_lies_at_its_middle():
    frequencies = np.linspace(0.0, 4.0, 401)
    box = np.tile(((frequencies >= 1) & (frequencies <= 3)).astype(float)[:, None], (1, 3))
    data = [SpectralData(temperature=300.0, frequencies_thz=frequencies, particle=box, wave=0 * box)]
    caption = describe_spectral_kappa(data)
    # Symmetric about 2 THz; two decimals are shown. The empty channel is not spoken of.
    assert "2.00 THz for the particle-like channel" in caption.text
    assert "for the wave-like channel" not in caption.text


def test_convergence_shows_all_but_the_comparison_with_itself(report_input):
    records = report_input().convergence
    figure, columns = BY_NAME["convergence"].draw(records)
    np.testing.assert_array_equal(columns["snapshots"], [80, 120, 200] * 2)
    np.testing.assert_array_equal(columns["frequency_change_THz"][3:], records[1].frequency_change_thz)
    error, change = figure.axes
    assert [len(line.get_xdata()) for line in error.lines] == [3, 3]
    assert [len(line.get_xdata()) for line in change.lines] == [2, 2]
    caption = BY_NAME["convergence"].describe(records)
    assert "300 K converged (0.021 THz)" in caption.text
    assert "450 K not converged (0.071 THz)" in caption.text


def test_regimes_by_hand():
    # 1/(2 pi nu): 0.159155 ps at 1 THz; the tolerance is rounding of that number.
    assert ioffe_regel_ps(np.array([1.0]))[0] == pytest.approx(0.159155, abs=1e-6)
    data = LifetimeData(
        temperature=300.0,
        frequencies_thz=np.array([1.0, 1.0, 1.0, -0.5, 0.0]),
        lifetimes_ps=np.array([5.0, 0.5, 0.1, 1.0, np.inf]),
        wigner_limit_ps=2.0,
    )
    figure, columns = lifetimes(data)
    assert list(columns["regime"]) == ["particle-like", "wave-like", "overdamped"]
    caption = BY_NAME["lifetimes"].describe(data)
    assert "33 % of the modes are particle-like" in caption.text
    assert "2 modes without" in caption.text
    low, high = figure.axes[0].get_ylim()
    assert low < 0.1 < 5.0 < high


def test_no_lifetime_to_draw():
    data = LifetimeData(
        temperature=300.0, frequencies_thz=np.array([-1.0]), lifetimes_ps=np.array([1.0]), wigner_limit_ps=1.0
    )
    with pytest.raises(ValueError, match="leave the lifetimes out"):
        lifetimes(data)


def test_msd_has_a_panel_for_each_temperature_and_shows_all_species(report_input):
    records = list(report_input().msd)
    figure, columns = BY_NAME["msd"].draw([*records, *(replace(r, temperature=900.0) for r in records[2:])])
    assert [ax.get_title() for ax in figure.axes] == ["300 K", "600 K", "900 K"]
    # three directions of copper, the mean of iodine, the slope of diffusion
    assert [len(ax.lines) for ax in figure.axes] == [5, 5, 5]
    assert [len(ax.patches) for ax in figure.axes] == [0, 1, 1]
    framework = records[3]
    drawn = figure.axes[1].lines[3]
    np.testing.assert_allclose(drawn.get_ydata(), framework.msd.mean(axis=1))
    assert set(columns["species"]) == {"Cu", "I"}
    np.testing.assert_array_equal(columns["msd_x_A2"][:201], records[0].msd[:, 0])
    assert "must stay flat" in BY_NAME["msd"].describe(records).text


def test_msd_of_atoms_that_are_held(report_input):
    held = replace(report_input().msd[1], msd=np.zeros((60, 3)))
    figure, _ = BY_NAME["msd"].draw([held])
    figure.canvas.draw()
    assert "Sum over the directions at the longest lag: I 0" in BY_NAME["msd"].describe([held]).text


def test_directions_of_vibrations_lie_on_the_whole_where_they_are_alike(report_input):
    record = replace(report_input().vdos[0], by_site={})
    alike = replace(record, by_direction={name: np.outer(v, np.ones(3)) / 3 for name, v in record.by_species.items()})
    figure, columns = BY_NAME["vdos"].draw([alike])
    assert [ax.get_title() for ax in figure.axes] == ["Cs, 300 K", "Cu, 300 K", "I, 300 K"]
    for ax, states in zip(figure.axes, record.by_species.values(), strict=True):
        for line in ax.lines:
            np.testing.assert_allclose(line.get_ydata(), states)
    np.testing.assert_allclose(columns["Cu_x_states_per_THz"], record.by_species["Cu"] / 3)
    plain = replace(record, by_direction={})
    figure, columns = BY_NAME["vdos"].draw([plain])
    assert [len(ax.lines) for ax in figure.axes] == [1, 1, 1]
    assert np.isnan(columns["Cu_x_states_per_THz"]).all()


def test_sites_of_a_species_stand_by_themselves(report_input):
    record = report_input().vdos[0]
    figure, columns = BY_NAME["vdos"].draw([record])
    assert [text.get_text() for ax in figure.axes for text in ax.texts] == ["I1", "I2"]
    both = columns["I1_states_per_THz"] + columns["I2_states_per_THz"]
    np.testing.assert_allclose(both, columns["I_states_per_THz"], atol=1e-12)  # rounding of a sum of three
    assert "crystallographic site" in BY_NAME["vdos"].describe([record]).text


def test_captions_of_hops_tell_of_several_runs(report_input):
    record = report_input().hops
    for name in ("free_energy", "van_hove"):
        assert "runs of together" not in BY_NAME[name].describe(record).text
        several = BY_NAME[name].describe(replace(record, runs=3, duration_ps=60.0)).text
        assert "in 3 runs of together 60 ps" in several


def test_running_integral_shows_the_estimates(report_input):
    data = report_input().green_kubo
    caption = BY_NAME["running_integral"].describe(data)
    # of three directions: 0.31, 0.16, 0.35
    assert "cepstral 0.273 ± 0.020" in caption.text
    average = replace(data, others=[q for q in data.others if q.direction == "average"])
    figure, _ = BY_NAME["running_integral"].draw(average)
    for ax in figure.axes:
        assert len(ax.containers) == 2
    # the noise beyond the window does not set the scale
    assert figure.axes[0].get_ylim()[1] < 0.6


def test_profiles_that_are_not_converged_are_open(report_input):
    figure, columns = BY_NAME["barriers"].draw(report_input().barriers)
    faces = [ax.lines[1].get_markerfacecolor() for ax in figure.axes]
    assert faces[0] != "white"
    assert faces[1] == "white"
    assert (columns["kind"] == "image").sum() == 14
    assert "Cu1-Cu1_2.61 0.210 eV" in BY_NAME["barriers"].describe(report_input().barriers).text


def test_occupation_tail_is_the_sum_of_the_bars(report_input):
    data = report_input().occupation
    # The bars up to n_c - 1 and the tail make up one; the caption shows three digits.
    tail = 1 - data.probability[: data.n_critical].sum()
    assert f"= {tail:.3g}" in BY_NAME["occupation"].describe(data).text


def test_parity_keeps_training_and_test_apart(report_input):
    data = report_input().parity
    figure, columns = BY_NAME["parity"].draw(data)
    energies = columns["quantity"] == "energy_eV_per_atom"
    np.testing.assert_array_equal(columns["reference"][energies], data.reference_energies)
    np.testing.assert_array_equal(columns["set"][energies] == "test", data.test_energies)
    error = 1e3 * np.sqrt(np.mean((data.predicted_energies - data.reference_energies)[data.test_energies] ** 2))
    assert any(f"test {error:.2f} meV/atom" in text for text in texts(figure))


def test_tree_joins_like_leaves_and_names_shared_nodes_once(report_input):
    figure, columns = provenance(report_input().provenance)
    labels = texts(figure)
    assert "LabelCalculation  × 6" in labels
    assert "LabelCalculation" in labels  # the one that failed stands alone
    assert "MomentTensorPotential · level 16 (see above)" in labels
    assert len(columns["id"]) == len(report_input().provenance.nodes)


def test_long_tree_is_cut_and_a_circle_is_refused():
    leaves = [ProvenanceNode(id=str(i), label=f"node {i}", kind="data") for i in range(ROWS_AT_MOST + 50)]
    root = ProvenanceNode(id="root", label="root", kind="process", children=tuple(leaf.id for leaf in leaves))
    figure, columns = provenance(ProvenanceGraph(nodes=[root, *leaves]))
    assert any(text.startswith("… and 51 more lines") for text in texts(figure))
    assert len(columns["id"]) == ROWS_AT_MOST + 51
    circle = [
        ProvenanceNode(id="a", label="a", kind="process", children=("b",)),
        ProvenanceNode(id="b", label="b", kind="process", children=("a",)),
    ]
    with pytest.raises(ValueError, match="no root"):
        provenance(ProvenanceGraph(nodes=circle))


def test_labels_of_the_tree_do_not_run_into_the_states(report_input):
    figure, _ = provenance(report_input().provenance)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts if text.get_text()]
    clashes = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert clashes == 0
