"""Numbers that JSON lacks, in every document that there is: written as words, read as numbers, and nothing else is."""

import importlib
import json
import math
import pkgutil
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from colchis_steps import _formats
from colchis_steps._formats.data import Column
from colchis_steps._formats.documents import Document, Unreadable, canonical_digest, converted, decode, encode
from colchis_steps._formats.models import Golden, Record
from colchis_steps._formats.numbers import WORDS
from colchis_steps._formats.rollouts import Finding, JudgedStep, Rollout
from colchis_steps._formats.runs import Epoch, Evaluation
from colchis_steps._formats.training import History

for module in pkgutil.iter_modules(_formats.__path__):
    importlib.import_module(f"{_formats.__name__}.{module.name}")
DOCUMENTS = [kind for kind in Document.__subclasses__() if kind.__module__.startswith(_formats.__name__)]
TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(sorted(WORDS))
PLAIN = st.text(st.characters(codec="utf-8"), max_size=8)  # of what has no type: there a word may stand for a number
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | PLAIN | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)


def values(info: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy of a type's values."""
    match info:
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values(field.type) for field in fields})
        case inspect.UnionType(types=types):
            return st.one_of(*map(values, types))
        case inspect.DictType(value_type=item):
            return st.dictionaries(TEXT, values(item), max_size=3)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            found = st.lists(values(item), max_size=3)
            return found.map(tuple) if isinstance(info, inspect.VarTupleType) else found
        case inspect.EnumType(cls=cls):
            return st.sampled_from(cls)
        case _:
            leaves: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
                inspect.FloatType: st.floats(),
                inspect.IntType: st.integers(-(2**63), 2**63 - 1),
                inspect.StrType: TEXT,
                inspect.BoolType: st.booleans(),
                inspect.NoneType: st.none(),
                inspect.AnyType: JSON,
                inspect.LiteralType: st.sampled_from(getattr(info, "values", ("",))),
            }
            return leaves[type(info)]


def places(value: Any, info: inspect.Type) -> list[float]:
    """Return the floats of a value, in the order of its type."""
    match info:
        case inspect.FloatType():
            return [value]
        case inspect.StructType(fields=fields) if value is not None:
            return [number for field in fields for number in places(getattr(value, field.name), field.type)]
        case inspect.UnionType(types=types):
            return [] if value is None else [number for one in types for number in places(value, one)]
        case inspect.DictType(value_type=item):
            return [number for one in value.values() for number in places(one, item)]
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [number for one in value for number in places(one, item)]
        case _:
            return []


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_each_document_is_read_as_it_was_written(kind: type[Document], data: st.DataObject) -> None:
    info = inspect.type_info(kind)
    document = data.draw(values(info))
    content = encode(document)
    json.loads(content, parse_constant=pytest.fail)
    found = decode(kind, content, "here")
    assert repr(found) == repr(document)  # where NaN is NaN
    assert all(type(number) in {float, type(None)} for number in places(found, info))
    assert encode(found) == content
    assert encode(found, content) == content


def test_all_documents_are_among_them() -> None:
    assert len(DOCUMENTS) >= 15
    assert {Record, Golden, History, Rollout} <= set(DOCUMENTS)


EPOCH = Epoch(1, {"loss": math.nan, "peak": math.inf}, {"loss": -math.inf}, 1.0)


def test_the_words_are_those_of_the_contract() -> None:
    found = json.loads(encode(History("NaN", (EPOCH,))))
    assert found["epochs"][0]["train"] == {"loss": "NaN", "peak": "Infinity"}
    assert found["epochs"][0]["eval"] == {"loss": "-Infinity"}
    assert decode(History, encode(History("NaN", ())), "here").fingerprint == "NaN"


def test_a_null_of_an_earlier_release_is_nan_where_a_number_is_wanted() -> None:
    content = encode(History("f", (EPOCH,))).replace(b'"NaN"', b"null")
    assert math.isnan(decode(History, content, "here").epochs[0].train["loss"])
    column = converted({"name": "x", "type": "float", "minimum": None, "maximum": "NaN"}, Column)
    assert column.minimum is None
    assert column.maximum is not None
    assert math.isnan(column.maximum)


@pytest.mark.parametrize("odd", ['"abc"', '"nan"', '"1.5"', '"inf"', "true", "[]", '""'])
def test_no_other_text_is_a_number(odd: str) -> None:
    content = encode(History("f", (EPOCH,))).replace(b'"NaN"', odd.encode())
    with pytest.raises(Unreadable, match="Expected `float`, got"):
        decode(History, content, "here")


def test_a_document_is_rewritten_with_what_is_not_known_beside_such_numbers() -> None:
    step = JudgedStep(10, math.nan, "pass", findings=(Finding("errors", 1, 2, "", math.inf, "bad"),))
    rollout = Rollout("digits", 2, "r", 1, "then", steps=(step,))
    before = json.loads(encode(rollout))
    before["steps"][0] |= {"new": "NaN"}
    before["steps"][0]["findings"][0] |= {"newer": None}
    rollout.verdict = "pass"
    after = json.loads(encode(rollout, json.dumps(before).encode()))
    assert after == before | {"verdict": "pass"}


def test_details_of_a_step_become_numbers_where_their_kind_is_known() -> None:
    told = Evaluation({"loss": math.nan}, {"label=2": {"recall": math.nan}}, None, {}, (), (), (), ())
    found = converted(
        json.loads(msgspec.json.encode({**msgspec.to_builtins(told), "metrics": {"loss": "NaN"}})), Evaluation
    )
    assert math.isnan(found.metrics["loss"])
    assert math.isnan(found.slices["label=2"]["recall"])
    with pytest.raises(msgspec.ValidationError):
        converted({"metrics": {"loss": "low"}}, Evaluation)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([[math.nan, 0.5], [math.inf, -math.inf]], [[math.nan, 0.5], [math.inf, -math.inf]]),
        ([math.nan, math.nan], [math.nan, math.nan]),
        (["NaN", "cat"], ["NaN", "cat"]),
        ([3, 4], [3, 4]),
    ],
)
def test_golden_answers_that_are_not_finite_are_numbers_again_and_text_is_text(
    written: list[Any], read: list[Any]
) -> None:
    content = encode(Golden("r", {"x": [[1.0, 2.0]]}, {"y": written}))
    json.loads(content, parse_constant=pytest.fail)
    assert repr(decode(Golden, content, "here").outputs["y"]) == repr(read)


@given(st.dictionaries(PLAIN, st.floats() | st.sampled_from(sorted(WORDS))))
def test_a_digest_is_that_of_what_is_written(value: dict[str, Any]) -> None:
    as_written = {name: encode_float(found) for name, found in value.items()}
    assert canonical_digest(value) == canonical_digest(as_written)
    assert canonical_digest(json.loads(json.dumps(as_written))) == canonical_digest(value)


def encode_float(value: Any) -> Any:
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return words.get(str(value), value) if isinstance(value, float) else value
