"""How the bins of a histogram are named on the page."""

from colchis_steps._report.page import bins


def test_each_bin_is_named_by_where_it_begins() -> None:
    assert bins(0.0, 10.0, 10) == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    assert bins(-1.0, 1.0, 4) == ["-1", "-0.5", "0", "0.5"]
