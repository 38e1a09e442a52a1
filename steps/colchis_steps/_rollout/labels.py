"""What two versions' answers to a row are compared by: a class, or bins of all its numbers. Pure.

An answer has *places*: one where it has a class, else one for each number, output by output in the order of names. An
answer with more than NUMBERS of them has NUMBERS places all the same: its norm, and sums with random signs of the
numbers that are ``NUMBERS - 1`` apart, so that each number is in exactly one (Weinberger et al., Feature hashing for
large scale multitask learning, 2009). So memory does not grow with the answer. A number's drift is seen beside the
others of its sum: in 1,000 numbers of like spread beside three, in 100,000 beside 392.
"""

import bisect
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, cycle
from typing import Any

from colchis_steps._formats.models import Golden

NUMBERS = 256  # places of an answer, at most
BINS = 4  # of equal golden rows, for answers without a class
HALF = 0.5  # of a probability: from here on a row has the label
SAME = 1e-5  # of a number's greatest value: closer golden answers are one value
MARGIN, LEAST = 1e-3, 1e-4  # of such a value, or of 0: what is further away is another
ROUNDING = 1e-6  # of a number's range, or of both its values: no cut lies between answers that are closer
SIGNS = random.Random(7).choices((1.0, -1.0), k=4093)  # noqa: S311 - no secret; a prime goes with no length


class Labels:
    """Says what stands at the places of an answer.

    Args:
        golden: what was answered to rows when the version was judged; the bins are made of it.
    """

    def __init__(self, golden: Golden | None) -> None:
        outputs = golden.outputs if golden else {}
        self.only = next(iter(outputs)) if len(outputs) == 1 else ""  # such answers come bare
        answers = list(rows_of(outputs)) if outputs else []
        found = [numbers(answer) for answer in answers if isinstance(first_number(answer), int | float)]
        self.long = max(map(len, found), default=0) > NUMBERS
        seen = [summed(one) if self.long else one for one in found]
        places = range(max(map(len, seen), default=0))
        self.cuts = [cuts([one[place] for one in seen if place < len(one)]) for place in places]
        labels = [self.of(answer) for answer in answers]
        places = range(max(map(len, labels), default=0))
        self.classes = [{label[place] for label in labels if place < len(label)} for place in places]

    def of(self, answer: Any) -> tuple[Any, ...]:
        """Return what stands at the places of an answer: one class, or a bin for each number.

        A class is the answer's whole numbers, texts and truths, without the names of classes, as golden answers have
        none; of several labels it is the likeliest, or -1 where a row has none. An answer whose first number is in a
        list of texts has the texts.
        """
        if self.only == "probability":
            shares = answer.get("probability", ()) if isinstance(answer, dict) else answer
            return (max(range(len(shares)), key=shares.__getitem__) if max(shares, default=0) >= HALF else -1,)
        values = [answer[name] for name in sorted(answer) if name != "label"] if isinstance(answer, dict) else [answer]
        values = [value.get("b64") if isinstance(value, dict) else value for value in values]  # bytes are as text
        classes = tuple(value for value in values if isinstance(value, int | str))
        if classes:
            return (classes,)
        if not isinstance(first_number(answer), int | float):
            return (tuple(json.dumps(value) for value in values),)
        found = numbers(answer)
        places = summed(found) if self.long else found[:NUMBERS]
        known = [*self.cuts, *[[]] * (len(places) - len(self.cuts))]  # none ends where no golden answer has a number
        return tuple(bisect.bisect_right(ends, one) for one, ends in zip(places, known, strict=False))


def rows_of(columns: dict[str, list[Any]]) -> Iterator[Any]:
    """Return rows by name, of columns; answers of one output come bare, as the server gives them."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def first_number(answer: Any) -> Any:
    """Return the first number of the first output, or what is there in its place."""
    while isinstance(answer, dict | list) and answer:
        answer = answer[min(answer)] if isinstance(answer, dict) else answer[0]
    return answer


def numbers(answer: Any) -> list[float]:
    """Return all numbers of an answer, outputs in the order of names, lists as they lie."""
    if isinstance(answer, dict):
        answer = [answer[name] for name in sorted(answer)]
    if isinstance(answer, list):
        return list(chain.from_iterable(map(numbers, answer)))
    return [answer] if isinstance(answer, int | float) else []


def summed(found: Sequence[float]) -> list[float]:
    """Return the norm of numbers, and the ``NUMBERS - 1`` sums with signs that each number is in one of."""
    signed = [one * sign for one, sign in zip(found, cycle(SIGNS), strict=False)]
    return [math.hypot(*found), *(sum(signed[first :: NUMBERS - 1]) for first in range(NUMBERS - 1))]


def cuts(values: Iterable[float]) -> list[float]:
    """Return where the bins of a number end: at the quartiles of its golden values, halfway between two of them.

    No cut lies between two that differ by rounding, as equal models on two machines would fall on either side. Where
    all are one value, a bin holds that, and one each what is below and above.
    """
    found = sorted(value for value in values if math.isfinite(value))
    if not found:
        return []
    spread, greatest = found[-1] - found[0], max(abs(found[0]), abs(found[-1]))
    if spread <= SAME * greatest:
        margin = MARGIN * greatest or LEAST
        return [found[0] - margin, found[-1] + margin]
    steps = [(found[i] - found[i - 1], i) for i in range(1, len(found))]
    wide = [i for gap, i in steps if gap > ROUNDING * max(spread, abs(found[i]), abs(found[i - 1]))]
    gaps = wide or [max(steps)[1]]
    wanted = [len(found) * quarter // BINS for quarter in range(1, BINS)]
    chosen = {min((abs(gap - at), gap) for gap in gaps)[1] for at in wanted}
    return [found[i - 1] / 2 + found[i] / 2 for i in sorted(chosen)]
