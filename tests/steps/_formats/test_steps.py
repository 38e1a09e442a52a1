"""The list of steps, held against what a step consists of: module, template, page."""

from pathlib import Path

import pytest

from colchis_steps._formats.steps import BESIDE, CHAIN, before, template_name
from colchis_workflows import pipeline, render
from colchis_workflows.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings()


@pytest.mark.parametrize("step", [*CHAIN, *BESIDE])
def test_a_step_is_its_module_its_template_and_its_page(step: str) -> None:
    assert (ROOT / "steps/colchis_steps" / f"{step}.py").is_file()
    assert (ROOT / "workflows/colchis_workflows" / f"{step}.py").is_file()
    assert (ROOT / "workflows/manifests/base" / f"{template_name(step)}.yaml").is_file()
    assert (ROOT / "docs/steps" / f"{step}.md").is_file()


def test_the_templates_of_steps_are_those_of_render() -> None:
    composed = {"colchis-pipeline", "colchis-retrain", "colchis-prune-nightly"}
    kinds = {made["metadata"]["name"]: made["kind"] for made in render.objects(SETTINGS)}
    assert {template_name(step) for step in (*CHAIN, *BESIDE)} == kinds.keys() - composed


def test_the_chain_has_the_order_of_the_pipeline() -> None:
    refs = [
        task["templateRef"]["name"]
        for template in pipeline.template(SETTINGS).to_dict()["spec"]["templates"]
        for task in template.get("dag", {}).get("tasks", [])
        if "templateRef" in task
    ]
    found = sorted(set(refs) & {template_name(step) for step in CHAIN}, key=refs.index)
    assert found == [template_name(step) for step in CHAIN]


def test_what_comes_before_a_step() -> None:
    assert before("validate_data") == ()
    assert before("build_image") == ("validate_data", "train", "evaluate", "upload")
    with pytest.raises(ValueError, match="tuple"):
        before("prune")
