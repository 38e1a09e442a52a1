"""A file of a web server, fetched to a temporary directory, by the proxies and authorities of all HTTP here."""

import contextlib
import logging
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.spill import room
from colchis_steps._oci.proxies import find_proxy
from colchis_steps._oci.transport import BUSY, connections
from colchis_steps._step.errors import InputError, TransientError

if TYPE_CHECKING:
    import urllib3

REDIRECTS = 10
CHUNK = 1 << 20
MOST = 64 << 30  # bytes of a file
log = logging.getLogger("colchis")


def find(url: str, directory: Path) -> list[File]:
    """Fetch the file at the URL.

    Raises:
        InputError: the server does not have it, or is not trusted.
        TransientError: the server is away or busy, or sends less than it says.
    """
    shown = re.sub(r"[?#].*", "", re.sub(r"//[^/@]*@", "//", url))  # without what may be a secret
    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "file"
    path = directory / f"web-{len(list(directory.glob('web-*')))}"
    log.info("fetching %s", shown)
    with _reached(shown):
        reply = _asked(url, shown)
        with room(), path.open("wb") as file:
            for chunk in reply.stream(CHUNK, decode_content=False):
                file.write(chunk)
                if file.tell() > MOST:
                    raise InputError(f"{shown} has more than {MOST} bytes; fetch it yourself")
    size, told = path.stat().st_size, reply.headers.get("Content-Length", "")
    if told.isdecimal() and size < int(told):
        raise TransientError(f"{shown} ended after {size} of {told} bytes; try again")

    def opened() -> BinaryIO:
        return path.open("rb")

    return [File(name, shown, size, opened, lambda: path.stat().st_mtime_ns)]


def _asked(url: str, shown: str) -> "urllib3.BaseHTTPResponse":
    for _ in range(REDIRECTS):
        secure = url.startswith("https:")
        pool = connections(find_proxy(url), secure=secure)
        reply = pool.request("GET", url, preload_content=False, redirect=False, retries=False,
                             headers={"Accept-Encoding": "identity"})  # fmt: skip
        if not (where := reply.get_redirect_location()):
            break
        reply.drain_conn()
        url = urllib.parse.urljoin(url, where)
        if secure and not url.startswith("https:"):
            raise InputError(f"{shown} is sent on to an address without TLS; name the right one")
    else:
        raise InputError(f"{shown} is redirected more than {REDIRECTS} times; name the right address")
    if reply.status in BUSY:
        raise TransientError(f"{shown} answers {reply.status}; try again")
    if reply.status != 200:
        raise InputError(f"{shown} answers {reply.status}; correct the address, or fetch the file yourself")
    return reply


@contextlib.contextmanager
def _reached(shown: str) -> Iterator[None]:
    import urllib3

    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        if isinstance(error, urllib3.exceptions.SSLError) and "EOF" not in str(error):
            raise InputError(
                f"{shown} has no TLS certificate that this machine trusts ({str(error)[:160]}); set SSL_CERT_FILE to "
                "its CA"
            ) from error
        raise TransientError(f"{shown} cannot be reached ({type(error).__name__}); try again") from error
