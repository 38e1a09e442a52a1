"""The report of every task and of data of any width: what it says, how it folds, and that it fits on a phone."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser
from tests.browser import launched
from tests.steps import report_tasks
from tests.steps.report_runs import DETAILS, drawn, parsed, record, reported, sections, text
from tests.steps.report_tasks import classification, data, multilabel, regression

from colchis_steps._formats import profiles
from colchis_steps._formats import runs as r
from colchis_steps._report import columns, judged, plots

HANGING = """() => [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll'))
    .map((one) => one.outerHTML.slice(0, 60))"""


def page_of(store: Path, evaluation: r.Evaluation, report: profiles.DataReport | None = None) -> str:
    for step in DETAILS:
        record(store, step)
    record(store, "evaluate", details=msgspec.to_builtins(evaluation))
    if report:
        record(store, "validate_data", details=msgspec.to_builtins(report))
    return reported(store)[0]


@pytest.mark.parametrize("classes", [2, 3, 24, 25, 200])
def test_classes_are_shown_and_many_are_folded(tmp_path: Path, classes: int) -> None:
    page = page_of(tmp_path, classification(classes))
    root = parsed(page)
    assert {"verdict", "classes", "curves", "slices", "samples"} <= set(sections(root))
    (matrix,) = drawn(root, "confusion")
    cells = len([g for g in matrix if g.tag == "g"])
    shown = classes if classes <= 24 else 21
    assert cells == shown**2
    assert "! never found class 0" in text(root, "classes")
    assert ("are one row and one column" in text(root, "classes")) == (classes > 24)
    found = judged.per_class(classification(classes))
    assert len(found) == classes
    if classes > 20:
        assert found[0]["name"] == "class 0", "the worst first"
    assert len(page) < 1_500_000


def test_a_folded_matrix_has_all_rows() -> None:
    evaluation = classification(200)
    names, counts, rest = judged.folded(evaluation)
    assert len(names) == 21
    assert rest == 180
    assert sum(map(sum, counts)) == sum(map(sum, evaluation.confusion))


def test_curves_slices_weights_and_own_metrics_are_named(tmp_path: Path) -> None:
    root = parsed(page_of(tmp_path, classification(3)))
    assert "class 0 0.930 class 1 0.930 Precision by recall" in text(root, "curves")
    assert len(drawn(root, "plot")) == 3
    assert "By region region Rows accuracy loss auc north 120 0.900 0.300 not a number" in text(root, "slices")
    assert "cost your own 3.500 \N{EN DASH} \N{EN DASH}" in text(root, "verdict")
    assert "Your metrics mine:business Their code sha256:c0de" in text(root, "lineage")


def test_labels_have_a_line_each(tmp_path: Path) -> None:
    root = parsed(page_of(tmp_path, multilabel(30)))
    assert "! never found label 1: no row of it is predicted rightly." in text(root, "classes")
    assert "label 0 31 0.700 0.800 0.750 0.900" in text(root, "classes")
    assert "10 others" in text(root, "classes")
    assert not drawn(root, "confusion")
    assert "✕ none , is label 1, label 2" in text(root, "samples")


@pytest.mark.parametrize("targets", [1, 3])
def test_errors_are_drawn_for_each_target(tmp_path: Path, targets: int) -> None:
    evaluation = regression(targets)
    page = page_of(tmp_path, evaluation)
    root = parsed(page)
    charts = drawn(root, "plot")
    assert len(charts) == 2 * targets
    assert "classes" not in sections(root)
    assert "201.25 , is 312.5" in text(root, "samples")
    assert "age 0..10" not in text(root, "samples")
    assert "0..10 60 0.800 15.000 11.000" in text(root, "slices")
    rects = list(charts[0].iter("rect"))
    assert len(rects) == sum(count > 0 for line in evaluation.residuals[0].plane for count in line)
    assert text(root, "verdict").count("r2 0.810 0.800 +0.0100") == 1


@pytest.mark.parametrize("count", [1, 10, 11, 60, 500])
def test_columns_have_a_card_each_while_they_are_few_and_a_line_each_when_they_are_many(
    tmp_path: Path, count: int
) -> None:
    page = page_of(tmp_path, classification(3), data(count))
    root = parsed(page)
    told = text(root, "data")
    assert len(drawn(root, "photo")) == (20 if count < 60 else 16)
    cards = [e for e in root.iter("h3") if "kicker" in str([c.get("class") for c in e])]
    assert len([e for e in cards if e[-1].get("class") == "kicker"]) == min(count + 2, 12)
    assert (f"All {count + 2} columns" in told) == (count + 2 > 12)
    assert "double, 10 null (0.2 %), 3,120 different, mean 10.2 ± 3.1" in told
    if count >= 60:
        assert told.index("number_5 ! drifted") < told.index("All")
    assert len(page) < 2_500_000


def test_data_say_their_words_lengths_dates_and_drift(tmp_path: Path) -> None:
    told = text(parsed(page_of(tmp_path, classification(3), data(11))), "data")
    for part in (
        "word_1 string, 10 null (0.2 %), 12 different Adelie 1,500",
        "Lengths, 42 on average",
        "2020-09-13 12:26",
        "Against the reference sha256:0ld: 2 of 3 columns drifted",
        "PSI 0.3 beyond its noise",
        "Rules that do not hold",
    ):
        assert part in told, told


def test_many_classes_of_a_label_share_a_bar(tmp_path: Path) -> None:
    (card,) = (one for one in columns.cards(data(1, classes=200)) if one["name"] == "label")
    assert card["chart"].count("<rect") == 40


def test_a_moment_of_no_time_is_a_number() -> None:
    column = profiles.ColumnProfile("t", "timestamp[s]")
    assert columns.told(0.0, column) == "1970-01-01 00:00"
    assert columns.told(math.inf, column) == "inf"
    assert columns.told(1e300, column) == "1e+300"


def test_a_split_with_bins_of_its_own_is_drawn_in_those_of_the_first() -> None:
    assert columns.rebinned((0, 1, 2), (10, 30), (0, 1, 2)) == [10, 30]
    assert columns.rebinned((0, 1, 2), (10, 30), (0, 0.5, 1.5, 2)) == [5, 20, 15]
    assert columns.rebinned((-4, 0, 4), (8, 8), (0, 1, 2)) == [10, 6], "what is outside is in the outer bins"
    assert columns.rebinned((5, 6), (7,), (0, 1, 2)) == [0, 7]
    assert columns.rebinned((), (), (0, 1)) == []


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.floats(-5, 5), st.floats(0.1, 9))
def test_a_histogram_keeps_its_rows_by_other_edges(counts: list[int], low: float, wide: float) -> None:
    edges = [low + i for i in range(len(counts) + 1)]
    found = columns.rebinned(edges, counts, [0.0, wide / 3, wide])
    assert sum(found) == pytest.approx(sum(counts))
    assert min(found) >= -1e-9


def test_pictures_in_colour_hold_each_pixel_once() -> None:
    chart = plots.coloured(report_tasks.PICTURE, "p")
    area = sum(map(int, re.findall(r"h(\d+)v1", chart)))
    assert area == 24 * 32


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "evaluation", "count"),
    [
        ("two", classification(2), 3),
        ("many", classification(200), 60),
        ("labels", multilabel(30), 12),
        ("numbers", regression(2), 500),
    ],
)
def test_each_page_fits(browser: Browser, tmp_path: Path, name: str, evaluation: r.Evaluation, count: int) -> None:
    page_of(tmp_path, evaluation, data(count))
    for width in (320, 390, 768, 1280):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto((tmp_path / "page.html").as_uri())
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => one.open = true)")
        assert page.evaluate(HANGING) == [], (name, width)
        page.close()
