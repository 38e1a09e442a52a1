"""A step's sentence: whole, unless it quotes something very long."""

from colchis_steps._step.errors import LONGEST, InputError


def test_a_sentence_that_quotes_something_very_long_lacks_its_middle() -> None:
    usual = "there is no data set; give another"
    assert str(InputError(usual)) == usual
    text = str(InputError(f"{'x' * 100_000} is no data set; give another"))
    assert len(text) < LONGEST + 10
    assert text.startswith("xxx")
    assert text.endswith("is no data set; give another")
