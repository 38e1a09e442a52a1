"""A template that an input names: found before the run, or refused by name."""

from pathlib import Path

import pytest

from colchis_workflows import run as local

DAG = Path(__file__).parents[1] / "dags" / "17-by-name.yaml"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("template:colchis-dags-mine", "template:absent", "uses template 'absent/say', which is not there"),
        ('{name: by, value: "command:x"}', '{name: by, value: "{{workflow.uid}}"}', ""),
        (
            '{name: by, value: "command:x"}',
            '{name: by, value: "{{tasks.named.outputs.parameters.text}}"}',
            "names its template by what is not known before the run",
        ),
        ("startsWith 'template:'", "endsWith 'template:'", "names its template by what is not known before the run"),
        ("{{=inputs.parameters.by startsWith", "{{=inputs.parameters.bye startsWith", "'bye' is not known here"),
    ],
)
@pytest.mark.servers
def test_names_by_inputs(old: str, new: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DAG.read_text()
    assert old in text
    if "tasks.named" in new:
        text = text.replace("- name: unnamed\n", "- name: unnamed\n            depends: named\n")
    (tmp_path / "dag.yaml").write_text(text.replace(old, new))
    code = local.main(["--file", str(tmp_path / "dag.yaml"), "--home", str(tmp_path), "--run", "r"])
    assert code == (65 if sentence else 0)
    assert sentence in capsys.readouterr().err
