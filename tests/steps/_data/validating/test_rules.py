from pathlib import Path

import pyarrow as pa
import pytest
from tests.steps.arrow_data import broken, data_set, validated

from colchis_steps._data.validating.rules import RULES, Rule, parse_rules
from colchis_steps._data.validating.whole import sentence
from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError
from colchis_steps.validate_data import main


def split(values: list[int], labels: list[int]) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.int64()), "label": [("no", "yes")[label] for label in labels]})


class Judge:
    """Tells which rules data break; splits that are not given are of other rows."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.count = directory, 0

    def __call__(self, text: str, **splits: pa.Table) -> dict[str, Check]:
        self.count += 1
        for at, name in enumerate(("train", "eval", "test")):
            splits.setdefault(name, split(list(range(-100 * at - 10, -100 * at)), [0, 1] * 5))
        directory = data_set(self.directory / str(self.count), splits)
        return broken(validated(directory, f"--rules={text}")[2])


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    return Judge(tmp_path)


def test_rules_are_laid_over_the_defaults() -> None:
    assert parse_rules("") == parse_rules("{}") == RULES
    rules = parse_rules('{"min_rows": 50, "max_leaked_rows": {"limit": 2, "severity": "warn"}}')
    assert (rules["min_rows"], rules["max_leaked_rows"]) == (Rule(50), Rule(2, "warn"))
    assert parse_rules('{"min_class_share": {"severity": "error"}}')["min_class_share"] == Rule(0.01, "error")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"min_row": 1}', "unknown rule 'min_row'; the known ones are min_rows, max_duplicate_share, max_leaked_rows"),
        ('{"min_rows": "many"}', "'min_rows' the value \"many\""),
        ('{"min_rows": -1}', "at least 0"),
        ('{"min_rows": true}', "at least 0"),
        ('{"min_rows": NaN}', "at least 0"),
        ('{"min_rows": {"limit": 1, "severity": "fatal"}}', '"error", "warn" or "info"'),
        ('{"min_rows": {"limits": 1}}', "at least 0"),
    ],
)
def test_rules_that_make_no_sense_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_rules(text)
    assert words in str(caught.value)


def test_an_unknown_rule_ends_the_step_with_65(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = [f"--store=file://{tmp_path}", "--run=r", "--data=file:///nowhere", '--rules={"rows": 1}']
    assert main(flags) == 65
    assert "unknown rule 'rows'; the known ones are min_rows" in caplog.text


def test_a_data_set_that_is_not_there_ends_the_step_with_65(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([f"--store=file://{tmp_path}", "--run=r", f"--data=file://{tmp_path}/nowhere"]) == 65
    assert "holds no data set" in caplog.text


def test_duplicates_warn_and_can_be_made_to_stop_the_run(judged: Judge) -> None:
    train = split([1, 2, 2, 3, 3], [0, 1, 1, 0, 0])
    found = judged("", train=train)["train: at most 1.0% duplicates"]
    assert (found.severity, found.actual) == ("warn", "2 rows")
    assert found.reason.startswith("2 rows of split 'train' (40.0%) repeat others")
    assert judged('{"max_duplicate_share": 0.4}', train=train) == {}
    assert sentence(judged("", train=train).values()) == ""
    strict = judged('{"max_duplicate_share": {"severity": "error"}}', train=train)
    assert sentence(strict.values()).startswith("2 rows of split")


def test_leaked_rows_are_counted_between_each_two_splits(judged: Judge) -> None:
    train, held, test = split([1, 2, 3], [0, 1, 0]), split([3, 4], [0, 1]), split([5, 4, 1], [0, 1, 0])
    assert list(judged("", train=train, eval=held, test=test)) == [
        "train and eval: at most 0 rows in both",
        "train and test: at most 0 rows in both",
        "eval and test: at most 0 rows in both",
    ]
    assert judged('{"max_leaked_rows": 1}', train=train, eval=held, test=test) == {}


def test_a_rare_class_warns_a_missing_one_stops_the_run(judged: Judge) -> None:
    rare = judged('{"min_class_share": 0.3}', train=split(list(range(10)), [0] * 8 + [1] * 2))
    assert [check.reason for check in rare.values()] == [
        "class 'yes' of label 'label' has 2 of 10 training rows (20.00%); add some of it, or lower min_class_share"
    ]
    missing = judged("", train=split(list(range(10)), [1] * 10))
    assert missing["label: each class in train"].severity == "error"


def test_a_class_needs_rows_where_models_are_judged(judged: Judge) -> None:
    train, both, one = (split(list(range(n, n + 10)), [0, 1] * 5) for n in (0, 10, 20))
    one = split(one["x"].to_pylist(), [0] * 10)
    found = judged("", train=train, eval=one, test=both)
    assert list(found) == ["label: each class has at least 1 rows in eval"]
    check = found["label: each class has at least 1 rows in eval"]
    assert (check.severity, check.actual) == ("warn", "fewest: 0 rows")
    assert check.reason.startswith("class 'yes' has no row in eval: its recall cannot be judged; add rows of it, or")
    strict = judged('{"min_class_rows": {"limit": 6, "severity": "error"}}', train=train, eval=both, test=one)
    assert [(check.severity, check.reason.partition(":")[0]) for check in strict.values()] == [
        ("error", "class 'no' has 5 rows in eval (1 more classes have too few)"),
        ("error", "class 'yes' has no row in test"),
    ]
    assert judged('{"min_class_rows": 0}', train=train, eval=one, test=both) == {}


def test_a_constant_column_warns(judged: Judge) -> None:
    found = judged("", train=split([7, 7], [0, 1]))["at most 0 constant columns"]
    assert (found.severity, found.actual) == ("warn", "'x'")


def test_the_sentence_counts_the_rules_that_it_does_not_tell() -> None:
    checks = [Check("a", True), Check("b", False, reason="b is off", severity="warn")]
    assert sentence(checks) == ""
    checks += [Check("c", False, reason="c is off"), Check("d", False, reason="d is off")]
    assert sentence(checks) == "c is off (1 more rules do not hold: see the report)"
