"""What a server asks for in ``WWW-Authenticate``: https://www.rfc-editor.org/rfc/rfc9110#section-11.3.

Libraries that read this header take one challenge from it; a registry may send several, in one header or in more.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
SEPARATOR = re.compile(r"[ \t,]*")
PARAMETER = re.compile(rf'({WORD})[ \t]*=[ \t]*(?:({WORD})|"((?:[^"\\]|\\.)*)")(?=[ \t]*(?:,|$))', re.DOTALL)
SCHEME = re.compile(rf"({WORD})(?=[ \t,]|$)")
SINGLE = re.compile(r"[ \t]+[0-9A-Za-z._~+/-]+=*(?=[ \t]*(?:,|$))")


@dataclass(frozen=True)
class Challenge:
    """A scheme in lower case and its parameters; their names are in lower case, and the first of a name counts."""

    scheme: str
    parameters: dict[str, str]

    @property
    def usable(self) -> bool:
        """Whether this is a kind of login that registries take: basic, or bearer with a place to ask for a token."""
        return self.scheme == "basic" or (self.scheme == "bearer" and "realm" in self.parameters)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of these header values, in order. A value counts up to where it breaks the grammar."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while True:
        separator = SEPARATOR.match(header, position)
        position = separator.end() if separator else position
        if found and (parameter := PARAMETER.match(header, position)):
            name, token, quoted = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if token is None else token
            found[-1].parameters.setdefault(name.lower(), value)
            position = parameter.end()
        elif scheme := SCHEME.match(header, position):
            found.append(Challenge(scheme[1].lower(), {}))
            position = scheme.end()
            if single := SINGLE.match(header, position):  # such as Negotiate's; no login of ours reads it
                position = single.end()
        else:
            return found


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return the best login among these: bearer before basic, since its tokens are for one repository; else None."""
    usable = [challenge for challenge in challenges if challenge.usable]
    return min(usable, key=lambda challenge: challenge.scheme != "bearer", default=None)


def basic(username: str, password: str) -> str:
    """Return the value of a header that answers a basic challenge."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
