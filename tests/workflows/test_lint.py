"""``colchis lint``: each class of mistake has an example that says, in comments, what is found on which line."""

import re
from pathlib import Path

import pytest

from colchis_workflows import lint
from colchis_workflows._argo.catalog import Catalog
from colchis_workflows._argo.documents import read
from colchis_workflows._lint.cron import time_zones
from colchis_workflows.render import default_documents

EXAMPLES = sorted((Path(__file__).parent / "lint").glob("*.yaml"))
COMMENT = re.compile(r"# finding: (.*)$")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_has_the_findings_that_its_comments_name_and_no_other(example: Path) -> None:
    findings = lint.lint(read([example]), default_documents())
    wanted = {
        number: match[1].strip()
        for number, line in enumerate(example.read_text().splitlines(), 1)
        if (match := COMMENT.search(line))
    }
    assert (not wanted) == example.stem.startswith("valid")
    assert {finding.line for finding in findings} == wanted.keys(), "\n".join(map(str, findings))
    for finding in findings:
        assert wanted[finding.line] in f"{finding.problem}; {finding.advice}"
        assert finding.file == str(example)
    assert len(findings) == len(wanted), "\n".join(map(str, findings))


def test_our_own_templates_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.main([]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "0 findings" in said.err


def test_the_small_dags_of_both_engines_are_clean() -> None:
    documents = read([Path(__file__).parent / "dags"])
    assert len(Catalog(documents).documents) == 20  # seventeen, and three templates that two refer to
    assert lint.lint(documents) == []


def test_a_finding_says_file_line_place_problem_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    example = next(path for path in EXAMPLES if path.stem == "workflow-parameter")
    assert lint.main([str(example)]) == 65
    first = capsys.readouterr().out.splitlines()[0]
    assert first == (
        f"{example}:14: x/main: {{{{workflow.parameters.date}}}}: the workflow has no argument 'date'; "
        "declare it in spec.arguments; did you mean 'data'?"
    )


def test_what_is_no_yaml_is_named_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("kind: Workflow\nspec: [\n")
    assert lint.main([str(tmp_path)]) == 65
    assert f"{tmp_path}/a.yaml:3: this is not YAML" in capsys.readouterr().out


def test_a_broken_file_hides_neither_the_others_nor_what_stands_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\nspec: {entrypoint: gone}\n"
    (tmp_path / "a.yaml").write_text(f"{wrong}---\nspec: [\n")
    (tmp_path / "b.yaml").write_bytes(b"kind: \xff\n")
    (tmp_path / "c.yaml").write_text(wrong)
    assert lint.main([str(tmp_path)]) == 65
    said = capsys.readouterr()
    assert [line.removeprefix(str(tmp_path)).split(";")[0] for line in said.out.splitlines()] == [
        "/a.yaml:4: x: entrypoint 'gone' is not a template here",
        "/a.yaml:7: this is not YAML (did not find expected node content)",
        "/b.yaml:1: this cannot be read ('utf-8' codec can't decode byte 0xff in position 6: invalid start byte)",
        "/c.yaml:4: x: entrypoint 'gone' is not a template here",
    ]
    assert said.err == "2 objects of Argo's, 4 findings\n"


def test_colchis_templates_are_known_and_are_not_judged_with_a_users_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\nspec:\n"
    (tmp_path / "a.yaml").write_text(f"{base}  workflowTemplateRef: {{name: colchis-pipelin}}\n")
    (tmp_path / "b.yaml").write_text(
        f"{base}  workflowTemplateRef: {{name: colchis-pipeline}}\n"
        "  arguments: {parameters: [{name: builder, value: docker}]}\n"
    )
    assert lint.main([str(tmp_path)]) == 65
    said = capsys.readouterr()
    assert "workflow template 'colchis-pipelin' is in none of the files" in said.out.splitlines()[0]
    assert "argument 'builder' is 'docker', which is none of " in said.out.splitlines()[1]
    assert said.err == "2 objects of Argo's, 2 findings\n"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Local"])
def test_time_zones_are_those_of_the_package_whatever_the_machine_has(zone: str) -> None:
    assert zone in time_zones()
    assert "Europe/Berln" not in time_zones()


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.main([str(tmp_path / "gone")]) == 2
    assert lint.main([str(tmp_path)]) == 2
    assert "has no .yaml file below it" in capsys.readouterr().err
