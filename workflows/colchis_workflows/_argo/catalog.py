"""The templates at hand: finds by name what a ``template``, ``templateRef`` or ``workflowTemplateRef`` means."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.shapes import Misshape, shaped

KINDS = {"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"}


def spec_of(document: Object) -> Object:
    """Return the workflow's spec; a CronWorkflow has it one level down."""
    spec = document.part("spec")
    return spec.part("workflowSpec") if document.get("kind") == "CronWorkflow" else spec


def name_of(document: Object) -> str:
    """Return the document's name; what Argo generates a name from stands for it."""
    metadata = document.part("metadata")
    return str(metadata.get("name") or str(metadata.get("generateName", "")).rstrip("-"))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what the name may have been meant to be, as the end of a sentence."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def _is_argos(document: Object) -> bool:
    kind, version = document.get("kind"), document.get("apiVersion")
    return isinstance(kind, str) and kind in KINDS and str(version).startswith("argoproj.io/")


@dataclass(frozen=True)
class Found:
    """A template and the document that it stands in."""

    document: Object
    template: Object


class Catalog:
    """All documents of Argo's kinds, by kind and name.

    ``known`` are documents that those of the user may refer to, as Colchis's own templates; a user's of the same name
    stands for one of them. ``misshapen`` says what of the user's has not the shape of Argo's and is left out.
    """

    def __init__(self, documents: Iterable[Object], known: Iterable[Object] = ()) -> None:
        self.misshapen: list[tuple[Object, Misshape]] = []
        self.documents = [self._shaped(document) for document in documents if _is_argos(document)]
        self.known = [shaped(document)[0] for document in known if _is_argos(document)]
        self.named = {(str(d["kind"]), name_of(d)): d for d in (*self.known, *self.documents)}

    def _shaped(self, document: Object) -> Object:
        found, problems = shaped(document)
        self.misshapen += [(found, problem) for problem in problems]
        return found

    def check(self) -> None:
        """Make sure that all documents have Argo's shape.

        Raises:
            InputError: one has not.
        """
        for document, (line, where, problem, advice) in self.misshapen:
            raise InputError(f"{document.file}:{line}: {name_of(document)}/{where}: {problem}; {advice}")

    def workflow_template(self, reference: Object) -> Object | None:
        """Return the document that a reference with ``name`` and ``clusterScope`` means."""
        kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
        return self.named.get((kind, str(reference.get("name"))))

    def template(self, document: Object, use: Object) -> Found | None:
        """Return the template that a task or a hook in ``document`` uses by ``template`` or ``templateRef``."""
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
