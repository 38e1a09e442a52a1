"""The frame of every page: one style, no scripts, nothing loaded, and nothing that acts in what others wrote."""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from colchis_steps._formats.documents import now
from colchis_steps._origins.judging import number, signed
from colchis_steps._origins.parts import Part
from colchis_steps._step.text import printable
from colchis_steps._tensors.formats import FORMATS_IN_WORDS

if TYPE_CHECKING:
    import jinja2

UNENCODABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what no page may hold


@functools.cache
def template(package: str, name: str) -> "jinja2.Template":
    """Return a page's template, which lies in the package; it may include what lies beside this module."""
    import jinja2
    from markupsafe import Markup

    from colchis_steps._origins import __name__ as here

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one, ".") for one in dict.fromkeys((package, here))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "bytes": size, "markup": Markup, "slug": slug}
    environment.filters["model_format"] = lambda kind: FORMATS_IN_WORDS.get(kind, kind)
    return environment.get_template(name)


def finished(page: str) -> str:
    """Return a page with what no page may hold replaced, and with what acts shown by its number."""
    return printable(UNENCODABLE.sub("\N{REPLACEMENT CHARACTER}", page))


def told(title: str, kicker: str, lead: Sequence[tuple[str, str]], parts: Sequence[Part]) -> str:
    """Return the page of some parts; ``lead`` are words and tones that stand before the title."""
    found = template("colchis_steps._origins", "told.html.j2")
    return finished(found.render(title=title, kicker=kicker, lead=lead, parts=parts, made=now()))


def slug(text: str) -> str:
    """Return a section's name in the page's address."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def size(count: float) -> str:
    """Return bytes as a person does."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
