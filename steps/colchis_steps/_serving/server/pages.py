"""The pages of the embedded server for people: an overview without script, and what its models can be tried with."""

import html
import re
from functools import cache
from pathlib import Path

from colchis_steps._savedmodel.loading import Tensor
from colchis_steps._serving.server.loaded import Held, Registry, Version
from colchis_steps._serving.server.refusals import Refused

COLOUR = re.compile(r"#[0-9a-f]{6}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Colchis: models served here</title>
<style>
:root {{ color-scheme: light dark; --line: light-dark(#d9d6cf, #3a3d45); --soft: light-dark(#6b675f, #9a9da6);
  --accent: light-dark(#8a5a00, #f0b64a); }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1.25rem;
  background: light-dark(#fbfaf7, #15171c); color: light-dark(#22201c, #eceae4); }}
h1 {{ font-size: 1.5rem; margin: 0; }} p {{ color: var(--soft); margin: .25rem 0 1.5rem; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .6rem .9rem .6rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
th {{ font-weight: 600; color: var(--soft); font-size: .85rem; }}
code {{ font: .85em ui-monospace, monospace; }} a {{ color: var(--accent); }}
.bad {{ color: light-dark(#a3261b, #ff8a7a); }}
</style></head><body>
<h1>Models served here</h1><p>{summary}</p>
{table}
<p><a href="/metrics">Metrics</a> · <a href="/v2/health/ready">Ready?</a></p>
</body></html>
"""


def overview(registry: Registry) -> str:
    """Return the page that lists the models."""
    rows = [_row(held, held.answering) for _, held in sorted(registry.held.items()) if held.answering]
    rows += [
        f'<tr><td>{html.escape(name)}</td><td>{number}</td><td class="bad" colspan="3">{html.escape(error)}</td></tr>'
        for (name, number), error in sorted(registry.failures.copy().items())
    ]
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in ("Model", "Version", "In", "Out", "")) + "</tr>"
    table = f'<div class="scroll"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    summary = "They answer TensorFlow Serving's V1 REST and the Open Inference Protocol V2."
    if not rows:
        summary = (
            "None yet: a rollout adds them."
            if registry.applied is not None
            else "They are loading; load this page again."
        )
    return _PAGE.format(summary=summary, table=table if rows else "")


def _row(held: Held, version: Version) -> str:
    path = html.escape(version.model)
    others = ", ".join(str(number) for number in sorted(held.versions) if number != held.default)
    links = [f'<a href="/v1/models/{path}">status</a>', f'<a href="/v1/models/{path}/metadata">signature</a>']
    if page := tried_with(version):
        links.insert(0, f'<a href="/board/{path}">{page}</a>')
    cells = [
        f"<strong>{path}</strong><br><code>/v1/models/{path}:predict</code>",
        f"{held.default}" + (f" (also {others})" if others else ""),
        "<br>".join(_shape(tensor) for tensor in version.saved.inputs.values()),
        "<br>".join(_shape(tensor) for tensor in version.saved.outputs.values()),
        " · ".join(links),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _shape(tensor: Tensor) -> str:
    lengths = ", ".join("n" if length is None else str(length) for length in tensor.shape)
    return f"<code>{html.escape(tensor.name)} {tensor.dtype} [{lengths}]</code>"


def drawable(version: Version) -> bool:
    """Return whether the model takes one square grey image and gives class probabilities."""
    if len(version.saved.inputs) != 1 or len(version.saved.outputs.get("probability", Tensor("", "", ())).shape) != 2:
        return False
    image = next(iter(version.saved.inputs.values()))
    sides = image.shape[1:3]
    square = len(sides) == 2 and sides[0] is not None and sides[0] == sides[1] and 4 <= sides[0] <= 256
    return square and image.shape[3:] in {(), (1,)} and image.dtype not in {"string", "bool"}


def colouring(version: Version) -> bool:
    """Return whether the model tells colours from what surrounds a pixel, as ``_colours`` makes it."""
    image = next(iter(version.saved.inputs.values()))
    square = len(image.shape) == 4 and image.shape[1] == image.shape[2] and image.shape[3] == 2
    classes = version.served.classes
    return square and image.dtype == "uint8" and bool(classes) and all(COLOUR.fullmatch(name) for name in classes)


def tried_with(version: Version) -> str:
    """Return the name of the page with which a person can try the model, or nothing."""
    return "drawing board" if drawable(version) else "grey to colour" if colouring(version) else ""


def board_of(registry: Registry) -> str:
    """Return the name of the first model that has a page, one to draw for if there is one.

    Raises:
        Refused: 404 where there is none.
    """
    found = {name: tried_with(held.answering) for name, held in sorted(registry.held.items()) if held.answering}
    for page in ("drawing board", "grey to colour"):
        if name := next((name for name, its in found.items() if its == page), None):
            return name
    raise Refused(404, "no model here takes a square grey image, so there is nothing to draw; see / for what is here")


def board(registry: Registry, model: str) -> str:
    """Return the model's page, which asks the server itself for size, range and classes.

    Raises:
        Refused: 404 where it has none.
    """
    page = tried_with(registry.find(model))
    if not page:
        raise Refused(404, f"model {model!r} does not take one square grey image, so there is nothing to draw")
    return _page("board.html" if page == "drawing board" else "colour.html")


@cache
def _page(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
