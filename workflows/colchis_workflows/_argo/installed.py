"""The templates that Colchis itself brings."""

from pathlib import Path

from colchis_workflows._argo.documents import Object, parse, read

LOCAL_DEFAULTS = {  # what the templates' own defaults, made for a cluster, give way to; {home} is a path
    "builder": "direct",
    "repository": "oci:{home}/images",
    "store": "file://{home}/store",
    "target": "local",
}
BASE = Path(__file__).resolve().parents[2] / "manifests" / "base"


def default_documents() -> list[Object]:
    """Read the rendered templates of this checkout; where there is none, as from a wheel, render them."""
    if BASE.is_dir():
        return read([BASE])
    from colchis_workflows import render
    from colchis_workflows.settings import Settings

    files = render.manifests(Settings())
    return [d for name, text in files.items() if name.startswith("base/") for d in parse(text, name)]
