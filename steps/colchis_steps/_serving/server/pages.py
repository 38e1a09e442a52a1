"""The pages of the embedded server for people: an overview without script, and what its models can be tried with."""

import contextlib
import html
import re
from collections.abc import Collection
from functools import cache
from itertools import islice
from pathlib import Path

from colchis_steps._serving.server.loaded import Held, Registry, Version
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

SHOWN = 12  # tensors of a model that the overview names
COLOUR = re.compile(r"#[0-9a-f]{6}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
_PAGES = {"drawing board": "board.html", "grey to colour": "colour.html", "form": "form.html"}
_SCRIPT = re.compile(r"^/\* (form\w*\.js) \*/$", re.MULTILINE)


def overview(registry: Registry) -> str:
    """Return the page that lists the models, the newest first."""
    models = [_card(registry.held[name], version) for name, version in _newest_first(registry)]
    models += [
        f'<article><header><h2>{html.escape(name)}</h2><p>version {number}</p></header><p class="bad">'
        f"{html.escape(error)}</p></article>"
        for (name, number), error in sorted(registry.failures.copy().items())
    ]
    summary = "They answer TensorFlow Serving's V1 REST and the Open Inference Protocol V2. The newest is first."
    if not models:
        summary = (
            "None yet: a rollout adds them."
            if registry.applied is not None
            else "They are loading; load this page again."
        )
    page = _page("overview.html")
    return page.replace("<!-- summary -->", summary).replace("<!-- models -->", "\n".join(models))


def _newest_first(registry: Registry) -> list[tuple[str, Version]]:
    """Return the models that answer, by the age of the files of the version that does."""
    found = [(name, held.answering) for name, held in sorted(registry.held.items()) if held.answering]
    return sorted(found, key=lambda one: _written_at(one[1]), reverse=True)


def _written_at(version: Version) -> float:
    with contextlib.suppress(OSError):
        return Path(version.served.path).stat().st_mtime
    return 0.0


def _card(held: Held, version: Version) -> str:
    path, page = html.escape(version.model), tried_with(version)
    others = ", ".join(str(number) for number in sorted(held.versions) if number != held.default)
    links = [f'<a class="try" href="/board/{path}">{page if page != "form" else "try it"}</a>']
    links += [f'<a href="/board/{path}?form">form and sample request</a>'] if page != "form" else []
    links += [f'<a href="/v1/models/{path}">status</a>', f'<a href="/v1/models/{path}/metadata">signature</a>']
    return (
        f"<article><header><h2>{path}</h2><p>version {held.default}{f' (also {others})' if others else ''}</p></header>"
        f"<dl><dt>At</dt><dd><code>/v1/models/{path}:predict</code></dd>"
        f"<dt>In</dt><dd>{_tensors(version.saved.inputs.values())}</dd>"
        f"<dt>Out</dt><dd>{_tensors(version.saved.outputs.values())}</dd></dl>"
        f"<nav>{''.join(links)}</nav></article>"
    )


def _tensors(tensors: Collection[Tensor]) -> str:
    shown = [_shape(tensor) for tensor in islice(tensors, SHOWN)]
    more = len(tensors) - SHOWN
    return " ".join(shown) + (f" and {more} more" if more > 0 else "")


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
    """Return the name of the page with which a person tries the model."""
    return "drawing board" if drawable(version) else "grey to colour" if colouring(version) else "form"


def board_of(registry: Registry) -> str:
    """Return the name of a model to try: the newest to draw for if there is one, else the newest.

    Raises:
        Refused: 404 where there is none.
    """
    found = [(name, tried_with(version)) for name, version in _newest_first(registry)]
    if not found:
        raise Refused(404, "no model answers here yet, so there is nothing to try; see / for what is here")
    return min(found, key=lambda one: [*_PAGES].index(one[1]))[0]


def board(registry: Registry, model: str, *, form: bool = False) -> str:
    """Return the model's page, which asks the server itself for the signature; ``form`` asks for that of any model.

    Raises:
        Refused: as ``Registry.find``.
    """
    version = registry.find(model)
    return _page(_PAGES["form" if form else tried_with(version)])


@cache
def _page(name: str) -> str:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return _SCRIPT.sub(lambda found: Path(__file__).with_name(found[1]).read_text(encoding="utf-8"), text)
