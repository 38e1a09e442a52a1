"""Hyper-parameters remember which of them were read."""

from colchis_steps._training.given import Given


def test_a_misspelt_name_is_known_by_the_one_that_was_asked_for() -> None:
    given = Given({"learing_rate": 0.1, "epochs": 3, "units": 4})
    assert given.get("learning_rate", 0.001) == 0.001
    assert given["units"] == 4
    assert given.unread() == {"learing_rate": "learning_rate"}  # epochs is the trainer's


def test_a_misspelt_name_of_the_trainers_is_known_too() -> None:
    assert Given({"global_bach": 64}).unread() == {"global_bach": "global_batch"}


def test_who_takes_all_has_read_all() -> None:
    given = Given({"a": 1, "b": 2})
    assert dict(**given) == {"a": 1, "b": 2}
    assert given.unread() == {}


def test_a_name_that_is_looked_for_is_read() -> None:
    given = Given({"a": 1})
    assert "a" in given
    assert "b" not in given
    assert given.unread() == {}
    assert (len(given), repr(given)) == (1, "{'a': 1}")
