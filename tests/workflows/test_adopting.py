"""What `colchis adopt` makes of its command line."""

from pathlib import Path

import pytest

from colchis_workflows.adopting import arguments, parser


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--from s3://b/wines --data d", {"source": "s3://b/wines", "data": "d"}),
        (
            "--from s3://b/w --unjudged --task classification --classes red,white",
            {"source": "s3://b/w", "data": "", "unjudged": "true", "task": "classification", "classes": "red,white"},
        ),
        (
            "--from s3://b/w --data d --output logits --activation softmax --signature s --target deployment",
            {
                "source": "s3://b/w", "data": "d", "output": "logits", "activation": "softmax", "signature": "s",
                "target": "deployment",
            },
        ),
    ],
    ids=["judged", "unjudged", "all"],
)  # fmt: skip
def test_the_template_gets_what_is_given_and_no_more(line: str, wanted: dict[str, str]) -> None:
    assert arguments(parser().parse_args(["wines", *line.split()])) == {"model": "wines"} | wanted


def test_a_path_of_this_machine_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert arguments(parser().parse_args(["m", "--from=a/b", "--data=d"]))["source"] == str(tmp_path / "a/b")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--from a", "one of the arguments --data --unjudged is required"),
        ("--from a --data d --unjudged", "not allowed with argument"),
        ("--data d", "required: --from"),
        ("--from a --unjudged --task ranking", "invalid choice: 'ranking'"),
    ],
    ids=["neither", "both", "source", "task"],
)
def test_what_is_no_command_line_is_said(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["m", *line.split()])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
