"""A repository in a registry, through the OCI distribution API 1.1.

A layer is sent in one stream and hashed on the way: POST opens an upload, PATCH carries the bytes, PUT names the
digest and makes the blob appear. A tar layer's digest is known only when its bytes have been read, and reading them
twice, from a bucket, costs more than the third request. A blob whose digest is known goes in PUT, without PATCH. One
that is there is found by HEAD and not sent, and one that a neighbouring repository has is mounted from it.
"""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlencode, urljoin

from colchis_steps._oci.image import INDEX, MANIFEST, Blob, Block
from colchis_steps._oci.login import SignIn
from colchis_steps._step.errors import InputError, StepError, TransientError

if TYPE_CHECKING:
    import urllib3

log = logging.getLogger("colchis")
T = TypeVar("T")
CHUNK = 1 << 20
WAITS = (0.5, 1.0, 2.0)  # seconds before each further attempt
LONGEST_WAIT = 60  # seconds; a registry that asks for more is left to a later run
DOCKER = "application/vnd.docker.distribution.manifest"
ACCEPTED = f"{INDEX}, {MANIFEST}, {DOCKER}.v2+json, {DOCKER}.list.v2+json"
MANIFEST_LIMIT = 4 << 20  # bytes; what registries take
BUSY = frozenset({408, 429, 500, 502, 503, 504})


class Registry:
    """The repository ``path`` at ``host``; ``name`` is how references call it."""

    def __init__(self, host: str, path: str, *, secure: bool) -> None:
        self.host, self.name = host, f"{host}/{path}"
        self.secure = secure
        address = "registry-1.docker.io" if host == "docker.io" else host
        self.api = f"{'https' if secure else 'http'}://{address}/v2/{path}"
        self.origin = self.api.removesuffix(f"v2/{path}")  # the login goes nowhere else
        self.pool = _pool(self.api)
        self.sign_in = SignIn(self.pool, host, f"repository:{path}:pull,push", secure=secure)

    def has(self, digest: str, size: int) -> bool:
        """Say whether the blob is there, with its size."""
        reply = self._send("HEAD", f"{self.api}/blobs/{digest}", expected=(200, 404))
        return reply.status == 200 and int(reply.headers.get("Content-Length", size)) == size

    def mount(self, digest: str, size: int, name: str) -> bool:
        """Take the blob from the repository of this name, if it is the same registry's; say whether it is here now."""
        host, _, path = name.partition("/")
        if host != self.host or name == self.name:
            return False
        query = urlencode({"mount": digest, "from": path})
        try:
            self.sign_in.read_too(path)
            reply = self._send("POST", f"{self.api}/blobs/uploads/?{query}", expected=(201, 202, 404), body=b"")
        except InputError as error:  # this login may not read there: the layer is sent
            log.debug("%s is not mounted from %s: %s", digest, name, error)
            return False
        if reply.status == 202:  # it has none, or this login may not read it there; an upload is open now
            self._cancel(self._location(reply))
        return reply.status == 201 and self.has(digest, size)

    def put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None = None) -> str:
        """Send a blob and give its digest; ``size`` is what the blocks come to, where it is known. Safe to call again.

        Raises:
            InputError: the bytes or the registry's answer do not have the ``digest``.
        """
        return self._again(lambda: self._put(blocks, size, digest))

    def _put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None) -> str:
        opened = self._try("POST", f"{self.api}/blobs/uploads/", expected=(202,), body=b"")
        location, hashed = self._location(opened), hashlib.sha256()

        def body() -> Iterator[Block]:
            for block in blocks():
                hashed.update(block)
                yield block

        try:
            headers = {"Content-Type": "application/octet-stream"}
            headers |= {} if size is None else {"Content-Length": str(size)}  # without, the bytes go in chunks
            if digest is None:
                sent = self._try("PATCH", location, expected=(202,), body=body(), headers=headers)
                location, digest = self._location(sent), f"sha256:{hashed.hexdigest()}"
                reply = self._try("PUT", _named(location, digest), expected=(201,), body=b"")
            else:
                reply = self._try("PUT", _named(location, digest), expected=(201,), body=body(), headers=headers)
            self._hold(reply, f"sha256:{hashed.hexdigest()}")
        except BaseException:
            self._cancel(location)
            raise
        return digest

    def try_push(self) -> None:
        """Open an upload and cancel it: raises what a push would raise, and leaves nothing."""
        self._cancel(self._location(self._try("POST", f"{self.api}/blobs/uploads/", expected=(202,), body=b"")))

    def _cancel(self, location: str) -> None:
        try:
            self._try("DELETE", location, expected=(204, 404))
        except StepError as error:
            log.debug("upload at %s is left to the registry's clean-up: %s", self.host, error)

    def put_manifest(self, manifest: Blob, tag: str | None = None) -> bool:
        """Write a manifest or index; with a tag, make the tag name it. Say whether its subject lists it from now on."""
        url = f"{self.api}/manifests/{tag or manifest.digest}"
        headers = {"Content-Type": manifest.media_type}
        reply = self._send("PUT", url, expected=(201,), body=manifest.content, headers=headers)
        self._hold(reply, manifest.digest)
        return "OCI-Subject" in reply.headers

    def tagged(self, tag: str) -> str | None:
        """Give the digest that the tag names, or None."""
        reply = self._send("GET", f"{self.api}/manifests/{tag}", expected=(200, 404), headers={"Accept": ACCEPTED})
        return f"sha256:{hashlib.sha256(reply.data).hexdigest()}" if reply.status == 200 else None

    def manifest(self, digest: str) -> bytes:
        """Give a manifest's bytes, unverified. Raises InputError where there is none."""
        headers = {"Accept": ACCEPTED}
        reply = self._send("GET", f"{self.api}/manifests/{digest}", expected=(200, 404), headers=headers, stream=True)
        content = reply.read(MANIFEST_LIMIT)
        reply.release_conn()
        if reply.status == 404:
            raise InputError(f"{self.name} has no {digest}; build the image, or give the right digest")
        return bytes(content)

    def blob(self, digest: str) -> Iterator[bytes]:
        """Give a blob's bytes, unverified, in chunks. Raises InputError where there is none."""
        import urllib3

        reply = self._send("GET", f"{self.api}/blobs/{digest}", expected=(200, 404), stream=True)
        if reply.status == 404:
            raise InputError(f"{self.name} has no {digest}; build the image, or give the right digest")
        try:
            yield from reply.stream(CHUNK, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(
                f"registry {self.host} broke off while it sent {digest}; run the step again"
            ) from error
        finally:
            reply.close()

    def _hold(self, reply: "urllib3.BaseHTTPResponse", digest: str) -> None:
        """Hold the digest that the registry gives what was sent against its own."""
        if (found := reply.headers.get("Docker-Content-Digest", digest)) != digest:
            raise InputError(
                f"registry {self.host} calls {found} what was sent as {digest}; it, or a proxy before it, alters bytes"
            )

    def _send(self, method: str, url: str, **request: Any) -> "urllib3.BaseHTTPResponse":
        return self._again(lambda: self._try(method, url, **request))

    def _try(
        self,
        method: str,
        url: str,
        *,
        expected: tuple[int, ...],
        body: bytes | Iterator[Block] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> "urllib3.BaseHTTPResponse":
        """Send a request, signing in where the registry asks for it; a body that was sent is not sent again here."""
        for first in (True, False):
            told = {**(headers or {}), **(self.sign_in.header if url.startswith(self.origin) else {})}
            reply = self._once(method, url, body, told, stream=stream)
            if reply.status != 401 or not first:
                break
            with self._reached():
                self.sign_in.answer(reply.headers.get("WWW-Authenticate", ""))
            if isinstance(body, Iterator):
                raise _Lapsed(f"registry {self.host} let the login lapse during {method}; run the step again")
        if reply.status in expected:
            return reply
        said = _told(reply.data)
        if reply.status in {401, 403}:
            raise self.sign_in.refused(f"refuses {method} ({reply.status}{said})")
        if reply.status in BUSY:
            wait = reply.headers.get("Retry-After", "")
            raise _Busy(f"registry {self.host} answers {reply.status} to {method}{said}; run the step again", wait)
        if reply.status == 507:
            raise InputError(f"registry {self.host} has no space left for {self.name}{said}; free some there")
        raise InputError(f"registry {self.host} answers {reply.status} to {method} for {self.name}{said}; see its log")

    def _once(
        self, method: str, url: str, body: bytes | Iterator[Block] | None, headers: dict[str, str], *, stream: bool
    ) -> "urllib3.BaseHTTPResponse":
        with self._reached():
            # urllib3 follows a redirect, such as to the bucket behind the registry, and leaves the login behind
            redirect = not isinstance(body, Iterator)
            return self.pool.request(
                method, url, body=cast(Any, body), headers=headers, preload_content=not stream, redirect=redirect
            )

    def _location(self, reply: "urllib3.BaseHTTPResponse") -> str:
        location = urljoin(self.api, reply.headers.get("Location", ""))
        if self.secure and not location.startswith("https://"):
            raise InputError(
                f"registry {self.host} sends uploads to {location[:256]!r}, without TLS; correct its address"
            )
        return location

    def _again(self, call: Callable[[], T]) -> T:
        lapsed = False
        for wait in WAITS:
            try:
                return call()
            except TransientError as error:
                if lapsed and isinstance(error, _Lapsed):
                    raise self.sign_in.refused("refuses a login that it has just given") from error
                lapsed = isinstance(error, _Lapsed)
                asked = error.wait if isinstance(error, _Busy) else 0
                if asked > LONGEST_WAIT:
                    raise
                log.warning("%s (trying again)", error)
                time.sleep(max(asked, wait * random.uniform(0.5, 1.5)))  # noqa: S311 - spreads clients, guards nothing
        return call()

    def _reached(self) -> "_Reached":
        return _Reached(self.host)


class _Lapsed(TransientError):  # noqa: N818 - never leaves this module
    """The login was no longer good when a body had been sent."""


class _Busy(TransientError):  # noqa: N818 - read as what it says
    """The registry asks to come back; ``wait`` is in how many seconds, as its Retry-After says."""

    def __init__(self, sentence: str, after: str) -> None:
        super().__init__(sentence)
        self.wait = int(after) if after.isdecimal() else 0


def _named(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"


class _Reached:
    """Turns what urllib3 raises into a sentence that names the registry."""

    def __init__(self, host: str) -> None:
        self.host = host

    def __enter__(self) -> None:
        """Begin a request."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import urllib3

        if not isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
            return
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.SSLError) and "EOF" not in str(reason):  # cut off is not untrusted
            raise InputError(
                f"registry {self.host} has no TLS certificate that this machine trusts ({str(reason)[:160]}); set "
                "SSL_CERT_FILE to its CA, or write http:// before the repository if it has no TLS"
            ) from error
        raise TransientError(
            f"registry {self.host} is away ({type(reason).__name__}); check that it runs and run the step again"
        ) from error


def _told(body: bytes) -> str:
    """Give what the registry says of an error, as ``: CODE message``; nothing where it does not keep to the API."""
    try:
        first = json.loads(body)["errors"][0]
        return f": {first['code']} {first.get('message', '')}"[:256].rstrip()
    except (ValueError, LookupError, TypeError):
        return ""


def _pool(url: str) -> "urllib3.PoolManager":
    import urllib.request

    import urllib3

    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=10, read=300),
        "retries": urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5),
        "maxsize": 8,
        "blocksize": CHUNK,
    }
    address = urllib3.util.parse_url(url)
    proxy = urllib.request.getproxies().get(address.scheme or "")
    if proxy and not urllib.request.proxy_bypass(address.host or ""):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)
