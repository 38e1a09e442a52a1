"""The templates at hand: finds by name what a ``template``, ``templateRef`` or ``workflowTemplateRef`` means."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from colchis_workflows._argo.documents import Object

KINDS = {"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"}


def spec_of(document: Object) -> Object:
    """Give the workflow's spec; a CronWorkflow has it one level down."""
    spec = document.part("spec")
    return spec.part("workflowSpec") if document.get("kind") == "CronWorkflow" else spec


def name_of(document: Object) -> str:
    """Give the document's name; what Argo generates a name from stands for it."""
    metadata = document.part("metadata")
    return str(metadata.get("name") or str(metadata.get("generateName", "")).rstrip("-"))


def nearest(name: str, known: Iterable[str]) -> str:
    """Give what the name may have been meant to be, as the end of a sentence."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


@dataclass(frozen=True)
class Found:
    """A template and the document that it stands in."""

    document: Object
    template: Object


class Catalog:
    """All documents of Argo's kinds, by kind and name."""

    def __init__(self, documents: Iterable[Object]) -> None:
        self.documents = [d for d in documents if d.get("kind") in KINDS and "argoproj.io" in str(d.get("apiVersion"))]
        self.named = {(str(d["kind"]), name_of(d)): d for d in self.documents}

    def workflow_template(self, reference: Object) -> Object | None:
        """Give the document that a reference with ``name`` and ``clusterScope`` means."""
        kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
        return self.named.get((kind, str(reference.get("name"))))

    def template(self, document: Object, use: Object) -> Found | None:
        """Give the template that a task or a hook in ``document`` uses by ``template`` or ``templateRef``."""
        name = use.get("template")
        if "templateRef" in use:
            reference = use.part("templateRef")
            name, found = reference.get("template"), self.workflow_template(reference)
            if found is None:
                return None
            document = found
        for template in spec_of(document).parts("templates"):
            if template.get("name") == name:
                return Found(document, template)
        return None
