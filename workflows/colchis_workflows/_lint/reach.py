"""What a template may count on from outside: the workflow's arguments and volumes, its own or those of its callers.

A template of a WorkflowTemplate runs in the workflow that refers to it and has that one's arguments and volumes. So
only what the entry point comes to is held against the arguments and volumes that are known.
"""

from collections.abc import Iterator

from colchis_workflows._argo.catalog import Catalog, name_of, spec_of
from colchis_workflows._argo.documents import Array, Object

TEMPLATES = {"WorkflowTemplate", "ClusterWorkflowTemplate"}


class Reach:
    """What the templates of one document may count on."""

    def __init__(self, catalog: Catalog, document: Object) -> None:
        self.spec = spec_of(document)
        above = [document, *_callers(catalog, document)]
        bases = [_base(catalog, spec_of(one)) for one in above]
        self.whole = "workflowTemplateRef" not in self.spec or bases[0] is not None
        specs = [spec_of(one) for one in (*above, *bases) if one is not None]
        self.parameters = {str(p["name"]) for s in specs for p in s.part("arguments").parts("parameters")}
        self.volumes = {str(v.get("name")) for s in specs for v in s.parts("volumes")}
        claims = (claim for s in specs for claim in s.parts("volumeClaimTemplates"))
        self.volumes |= {str(claim.part("metadata").get("name")) for claim in claims}
        self.volumes |= {str(v.get("name")) for s in specs for v in s.part("templateDefaults").parts("volumes")}
        self.patched = any("volumes" in str(s.get("podSpecPatch")) for s in specs)
        self.library = document["kind"] in TEMPLATES
        self.reached = set(_reached(self.spec)) if self.library else set()

    def counts(self, template: str | None = None) -> bool:
        """Report whether all is known that the template, or the workflow itself, has from outside."""
        if not self.whole:
            return False
        return not self.library or (template in self.reached if template is not None else "entrypoint" in self.spec)

    def parameters_of(self, template: str | None = None) -> set[str] | None:
        """Return the workflow's arguments; None where a caller that is not known may have more."""
        return self.parameters if self.counts(template) else None

    def volumes_of(self, template: str) -> set[str] | None:
        """Return the volumes that a template has from the workflow; None where a caller may have more."""
        return self.volumes if self.counts(template) and not self.patched else None


def uses(template: Object) -> Iterator[tuple[str, Object]]:
    """Yield each task and step of a template, with which of the two it is."""
    yield from (("tasks", task) for task in template.part("dag").parts("tasks"))
    for group in template.get("steps", ()):
        yield from (("steps", step) for step in group)


def _named(use: Object) -> Iterator[str]:
    """Yield the templates beside it that a task, hook or spec names."""
    yield from (str(use[key]) for key in ("template", "entrypoint", "onExit") if key in use)
    for name in use.part("hooks"):
        yield from _named(use.part("hooks").part(name))


def _reached(spec: Object) -> Iterator[str]:
    templates = {str(t["name"]): t for t in spec.parts("templates")}
    ahead, seen = list(_named(spec)), set[str]()
    while ahead:
        if (name := ahead.pop()) in seen or name not in templates:
            continue
        seen.add(name)
        yield name
        for _, use in uses(templates[name]):
            ahead.extend(_named(use))


def _base(catalog: Catalog, spec: Object) -> Object | None:
    return catalog.workflow_template(spec.part("workflowTemplateRef")) if "workflowTemplateRef" in spec else None


def _callers(catalog: Catalog, document: Object) -> list[Object]:
    """Return the documents that refer to this one, directly or through others."""
    found: list[Object] = []
    ahead = [document]
    while ahead:
        wanted = _identity(ahead.pop())
        for other in catalog.documents:
            known = any(other is one for one in (document, *found))
            if not known and wanted in _references(spec_of(other)):
                found.append(other)
                ahead.append(other)
    return found


def _identity(document: Object) -> tuple[str, bool]:
    return name_of(document), document["kind"] == "ClusterWorkflowTemplate"


def _references(value: object) -> Iterator[tuple[str, bool]]:
    """Yield name and scope of each template document that is referred to below a value."""
    if isinstance(value, Object):
        for key, item in value.items():
            if key in {"templateRef", "workflowTemplateRef"} and isinstance(item, Object):
                yield str(item.get("name")), bool(item.get("clusterScope"))
            else:
                yield from _references(item)
    elif isinstance(value, Array):
        for item in value:
            yield from _references(item)
