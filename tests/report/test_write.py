"""The written report: complete, self-contained, readable again."""

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.figures import FIGURES
from aiida_iontherm.report.page import duration, formula_html, linked, verdict_sentence
from aiida_iontherm.report.write import write_atomically, write_report

SINGLE = ("kappa", "dos", "hops", "green_kubo", "nemd", "parity", "lifetimes", "occupation", "provenance")
SEVERAL = ("spectral", "convergence", "msd", "vdos", "barriers", "wells")

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects ids, addresses and text, and checks that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.addresses, self.images, self.words = [], [], [], []
        self.open = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.addresses += [(tag, attributes[name]) for name in ("src", "href") if name in attributes]
        if tag == "img":
            self.images.append(attributes)
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(tmp_path_factory, report_input):
    data = report_input()
    return data, write_report(data, tmp_path_factory.mktemp("report") / "new" / "folder")


def columns_of(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def test_files_are_there_and_nothing_else(written):
    _, page = written
    names = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*") if path.is_file()}
    expected = {"report.html", "results.json", "results.csv"}
    for kind in FIGURES:
        expected |= {f"figures/{kind.name}.png", f"figures/{kind.name}.pdf", f"data/{kind.name}.csv"}
    assert names == expected
    assert (page.parent / "figures/msd.png").read_bytes().startswith(b"\x89PNG")
    assert (page.parent / "figures/msd.pdf").read_bytes().startswith(b"%PDF")


def test_csv_holds_the_arrays_with_all_digits(written):
    data, page = written
    columns = columns_of(page.parent / "data/kappa_by_channel.csv")
    np.testing.assert_array_equal(np.array(columns["kappa_total_x_W_per_mK"], float), data.kappa.total[:, 0, 0])
    columns = columns_of(page.parent / "data/spectral_kappa.csv")
    np.testing.assert_array_equal(
        np.array(columns["kappa_wave_z_W_per_mK_THz"], float),
        np.concatenate([record.wave[:, 2] for record in data.spectral]),
    )
    columns = columns_of(page.parent / "data/dos_by_species.csv")
    np.testing.assert_array_equal(np.array(columns["Cu_states_per_THz"], float), data.dos.by_species["Cu"])


def test_page_is_whole_and_fetches_nothing(written):
    _, path = written
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    for tag, address in page.addresses:
        if tag == "img":
            assert address.startswith("data:image/svg+xml;base64,")
        else:
            assert address.startswith("https://doi.org/10.") or address.removeprefix("#") in page.ids
    assert len(page.images) == len(FIGURES)
    assert all(image["alt"] for image in page.images)


def test_page_shows_verdicts_bounds_and_warnings(written):
    data, path = written
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert "35 of 55 results converged (4 as a limit); 19 did not converge; 1 could not be determined." in page.text
    assert "< 1.2e-9" in page.text
    assert "not determined" in page.text
    assert 'aria-label="not converged"' in html
    for sentence in (*data.warnings, data.protocol_note, "Only 3 hops: the error bar is as large as the value"):
        assert sentence in page.text
    assert "CsCu<sub>2</sub>I<sub>3</sub>" in html
    assert "9 × 9 × 9" in page.text


def test_results_come_back_as_quantities(written):
    data, page = written
    record = json.loads((page.parent / "results.json").read_text(encoding="utf-8"))
    assert [Quantity.from_dict(entry) for entry in record["quantities"]] == list(data.quantities)
    assert record["settings"] == data.settings
    columns = columns_of(page.parent / "results.csv")
    assert [float(value) if value else None for value in columns["value"]] == [q.value for q in data.quantities]


def test_what_is_missing_is_left_out_with_a_reason(tmp_path, report_input):
    stale = tmp_path / "figures" / "parity.png"
    stale.parent.mkdir()
    stale.write_bytes(b"from an earlier run")
    empty = dict.fromkeys(SINGLE)
    reason = "No parity plot: the potential of Li et al. was given."
    data = report_input(**empty, **dict.fromkeys(SEVERAL, ()), quantities=(), published=(), absent={"parity": reason})
    page = Page(write_report(data, tmp_path).read_text(encoding="utf-8"))
    assert not stale.exists()
    assert not page.images
    assert reason in page.text
    assert "No mean-square displacement" in page.text
    assert "This run gave no results." in page.text
    assert "comparison" not in page.ids


def test_a_report_of_one_calculation_is_silent_of_others(tmp_path, report_input):
    nothing = dict.fromkeys(SINGLE) | dict.fromkeys(SEVERAL, ())
    some = {"wells": report_input().wells}
    page = Page(write_report(report_input(**nothing | some, about="barrier", protocol=""), tmp_path).read_text("utf-8"))
    assert [image["alt"] for image in page.images] == ["Energy of an ion moved along Cu1 [1 0 0] and Cu1 [0 0 1]."]
    assert "No energy along a path" in page.text
    assert "No conductivity by channel" not in page.text
    assert "· protocol" not in page.text


def test_text_from_outside_is_escaped(tmp_path, report_input):
    empty = dict.fromkeys(SINGLE)
    hostile = "<script>alert(1)</script>"
    data = report_input(
        **empty,
        **dict.fromkeys(SEVERAL, ()),
        published=(),
        title=hostile,
        formula=hostile,
        warnings=[hostile],
        protocol=hostile,
    )
    html = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert hostile not in html
    Page(html)


def test_unknown_reason_is_refused(tmp_path, report_input):
    with pytest.raises(ValueError, match="no figure is called parrity"):
        write_report(report_input(absent={"parrity": "x"}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, None)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_small_words():
    assert duration(0.42) == "0.4 s"
    assert duration(125.0) == "2 min 05 s"
    assert duration(3600 * 3 + 60 * 12) == "3 h 12 min"
    assert duration(None) == ""
    assert str(formula_html("Li6PS5Cl0.5(OH)2")) == "Li<sub>6</sub>PS<sub>5</sub>Cl<sub>0.5</sub>(OH)<sub>2</sub>"
    assert 'href="https://doi.org/10.1002/adma.202513381">doi:10.1002/adma.202513381</a>.' in linked(
        "Li, doi:10.1002/adma.202513381."
    )
    assert "<a" not in linked("a <b> without a source")
    assert verdict_sentence([]) == "This run gave no results."
