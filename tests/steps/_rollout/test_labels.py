"""What stands at the places of an answer, and what a judge sees there: each number, however many there are."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colchis_steps._formats.models import Golden
from colchis_steps._rollout.judge import FALSE_ALARM, Answer, Judge, Tolerances, reason, verdict
from colchis_steps._rollout.labels import NUMBERS, Labels, cuts, numbers, summed

finite = st.floats(-1e9, 1e9)


def of(rows: Sequence[Any], name: str = "vector") -> Labels:
    return Labels(Golden("r", {"x": list(range(len(rows)))}, {name: list(rows)}))


def judged(labels: Labels, pairs: Sequence[tuple[Any, Any]]) -> tuple[str, int, Judge]:
    """Judge pairs until there is a verdict; give it, how many that took, and the judge."""
    judge = Judge(Tolerances(), 4, labels.classes)
    for number, pair in enumerate(pairs, 1):
        one, other = (Answer(ok=True, seconds=0.01, labels=labels.of(answer)) for answer in pair)
        judge.pair(one, other)
        if said := verdict(judge.findings()):
            return said, number, judge
    return "", len(pairs), judge


def test_a_number_has_bins_of_equal_golden_rows() -> None:
    labels = of([float(n) for n in range(8)], "price")
    assert [labels.of({"price": float(n)})[0] for n in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert labels.classes == [{0, 1, 2, 3}]


def test_golden_numbers_that_are_not_finite_make_no_bins() -> None:
    assert of([float("nan"), *map(float, range(8))], "price").cuts == [[1.5, 3.5, 5.5]]
    assert cuts([float("nan")]) == []


def test_a_number_that_was_always_the_same_has_a_bin_and_so_has_what_is_above_and_below() -> None:
    nine = of([[1.0, 9.0], [2.0, 9.0]])
    assert [nine.of([1.0, value])[1] for value in (8.9, 8.9999, 9.0, 9.0001, 9.1)] == [0, 1, 1, 1, 2]
    assert [of([0.0, 0.0]).of(value) for value in (-1.0, -1e-9, 0.0, 1e-9, 1.0)] == [(0,), (1,), (1,), (1,), (2,)]


def test_no_bin_ends_among_answers_that_differ_by_rounding() -> None:
    """As where most rows have 0, but for rounding: their quartiles lie among those."""
    found = cuts([1e-12, -1e-12, 2e-12, 0.0, 0.0, 3e-12, 1.0, 2.0])
    assert found == pytest.approx([0.5])
    assert cuts([1e6, 1e6 + 20, 1e6 + 20.1]) == pytest.approx([1e6 + 10])
    many = [1e6 + number / 10 for number in range(300)]
    assert len(cuts(many)) == 1, "not even the widest gap is wider than rounding"


def test_of_several_labels_the_likeliest_counts_and_names_do_not() -> None:
    labels = of([[0.1, 0.9], [0.2, 0.1]], "probability")
    assert labels.classes == [{1, -1}]
    assert labels.of({"probability": [0.6, 0.9], "labels": ["a", "b"]}) == labels.of([0.6, 0.9]) == (1,)
    named = Labels(Golden("r", {"x": [[0], [1]]}, {"class": [3, 4], "probability": [[0.1, 0.9], [0.8, 0.2]]}))
    assert named.of({"class": 3, "label": "three", "probability": [0.1, 0.9]})[0] in named.classes[0]


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        ({"word": ["no", "yes"]}, [(("no",),), (("yes",),)]),
        ({"words": [["no", "a"], ["no", "b"]]}, [(('["no", "a"]',),), (('["no", "b"]',),)]),
        ({"raw": [{"b64": "/w=="}, {"b64": "/g=="}]}, [(("/w==",),), (("/g==",),)]),
        ({"vector": [[1.0, 9.0], [2.0, 9.0]]}, [(0, 1), (1, 1)]),
        ({"table": [[[1.0], [9.0]], [[2.0], [8.0]]]}, [(0, 1), (1, 0)]),
        ({"long": [[1.0, 5.0], [1.0]]}, [(1, 1), (1,)]),
        ({"b": [1.0, 2.0], "a": [[4.0], [3.0]]}, [(1, 0), (0, 1)]),
        ({"a": [[1.0], [2.0]], "b": ["x", "y"]}, [(("x",),), (("y",),)]),
        ({"a": [[1.0], [2.0]], "b": [["x"], ["y"]]}, [(0,), (1,)]),
        ({"count": [3, 4]}, [((3,),), ((4,),)]),
        ({"empty": [[], []]}, [(("[]",),), (("[]",),)]),
    ],
)
def test_answers_of_any_kind_have_something_to_compare(outputs: dict[str, list[Any]], labels: list[Any]) -> None:
    made = Labels(Golden("r", {"x": [0.0, 1.0]}, outputs))
    bare = next(iter(outputs.values()))
    assert [made.of(dict(zip(outputs, row, strict=True))) for row in zip(*outputs.values(), strict=True)] == labels
    if len(outputs) == 1 and not isinstance(bare[0], dict):
        assert [made.of(answer) for answer in bare] == labels, "a single output comes bare"


def test_without_golden_rows_there_is_one_place_and_only_lengths_tell() -> None:
    labels = Labels(None)
    assert (labels.classes, labels.of([1.0, 2.0]), labels.of(["a"])) == ([], (0, 0), (('["a"]',),))
    assert judged(labels, [([1.0, 2.0], [5.0, 6.0])] * 60)[0] == "pass"
    assert judged(labels, [([1.0, 2.0], [1.0])] * 60)[0] == "fail"


@settings(deadline=None)
@given(st.integers(1, 3 * NUMBERS), st.data())
def test_each_number_of_a_long_answer_is_in_its_norm_and_in_one_sum(length: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, length - 1))
    alone = summed([3.0 if number == place else 0.0 for number in range(length)])
    assert len(alone) == NUMBERS
    assert alone[0] == 3
    assert sorted(map(abs, alone[1:]))[-2:] == [0, 3]


@pytest.mark.parametrize("length", [1, NUMBERS, NUMBERS + 1, 50_000])
def test_what_is_kept_does_not_grow_with_the_answer(length: int) -> None:
    chance = random.Random(3)
    labels = of([[chance.gauss() for _ in range(length)] for _ in range(8)])
    judge = Judge(Tolerances(), 4, labels.classes)
    answer = labels.of([chance.gauss() for _ in range(length)])
    judge.pair(Answer(ok=True, labels=answer), Answer(ok=True, labels=answer[::-1]))
    assert len(answer) == len(labels.cuts) == len(labels.classes) == len(judge.bets.known) == min(length, NUMBERS)
    assert max(map(len, labels.cuts)) <= 3


@pytest.mark.parametrize("length", [2, 8, NUMBERS, 1000])
def test_a_drift_of_the_last_number_alone_is_seen(length: int) -> None:
    """By twice its spread, in a model that is trained again: all its numbers differ by 2 % of theirs."""
    for seed in range(5):
        chance = random.Random(seed)

        def row(chance: random.Random = chance) -> list[float]:
            return [chance.gauss() for _ in range(length)]

        labels, pairs = of([row() for _ in range(32)]), []
        for _ in range(150):
            stable = row()
            canary = [one + 0.02 * chance.gauss() for one in stable]
            pairs.append(([*canary[:-1], canary[-1] + 2], stable))
        said, number, judge = judged(labels, pairs)
        assert (said, number < 100) == ("fail", True)
        place = length if length <= NUMBERS else 2 + (length - 1) % (NUMBERS - 1)
        assert f"at place {place} of {min(length, NUMBERS)}; 10% is tolerated" in reason(judge.findings())
        first = of([[one[0]] for one, _ in pairs[:32]])
        alone = [(one[:1], other[:1]) for one, other in pairs]
        assert judged(first, alone)[0] == "pass", "the first number tells nothing"


rows = st.integers(1, 6).flatmap(
    lambda length: st.lists(st.lists(finite, min_size=length, max_size=length), min_size=1, max_size=10)
)


@settings(deadline=None, max_examples=50)
@given(rows, st.integers(0, 2**32))
@example([[0.0] * 6] * 3, 1)
@example([[0.0, 1e9], [1e-9, 1e9 + 1]], 2)
def test_equal_models_pass_as_soon_as_with_one_number(found: list[list[float]], seed: int) -> None:
    """Equal up to the rounding of single precision."""
    chance, labels = random.Random(seed), of(found)
    asked = [chance.choice(found) for _ in range(60)]
    pairs = [([one * (1 + chance.uniform(-1e-7, 1e-7)) for one in row], row) for row in asked]
    said, number, _ = judged(labels, pairs)
    assert (said, number) == judged(of([0.0, 1.0]), [(0.0, 0.0)] * 60)[:2] == ("pass", number)


def test_models_that_are_trained_again_are_refused_no_more_often_than_is_stated() -> None:
    """All of 20 numbers fall into another bin in up to 10 % of the rows, as is tolerated."""
    chance, refused, trials = random.Random(9), 0, 30
    for _ in range(trials):
        judge = Judge(Tolerances(), 4, [range(4)] * 20)
        for _ in range(150):
            stable = [chance.randrange(4) for _ in range(20)]
            canary = [one if chance.random() < 0.9 else (one + 1) % 4 for one in stable]
            one, other = (Answer(ok=True, seconds=0.01, labels=tuple(labels)) for labels in (canary, stable))
            judge.pair(one, other)
            if verdict(judge.findings()) == "fail":
                refused += 1
                break
    assert refused <= FALSE_ALARM * trials + 3


def test_numbers_are_taken_in_the_order_of_names_and_as_they_lie() -> None:
    assert numbers({"b": [[3.0, 4], [5.0]], "a": 1.0, "label": "one"}) == [1.0, 3.0, 4, 5.0]
