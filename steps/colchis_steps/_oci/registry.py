"""A repository in a registry, through the OCI distribution API 1.1.

A layer is sent in one stream and hashed on the way: POST opens an upload, PATCH carries the bytes, PUT names the
digest and makes the blob appear. A tar layer's digest is known only when its bytes have been read, and reading them
twice, from a bucket, costs more than the third request. A blob whose digest is known goes in PUT, without PATCH. One
that is there is found by HEAD and not sent, and one that a neighbouring repository has is mounted from it.
"""

import hashlib
import logging
import random
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TypeVar
from urllib.parse import urlencode

from colchis_steps._oci.image import INDEX, MANIFEST, Blob, Block
from colchis_steps._oci.sign_in import SignIn
from colchis_steps._oci.transport import CHUNK, Answer, Body, Busy, Transport, resolve
from colchis_steps._step.errors import InputError, StepError, TransientError

log = logging.getLogger("colchis")
T = TypeVar("T")
WAITS = (0.5, 1.0, 2.0)  # seconds before each further attempt
LONGEST_WAIT = 60  # seconds; a registry that asks for more is left to a later run
DOCKER = "application/vnd.docker.distribution.manifest"
ACCEPTED = f"{INDEX}, {MANIFEST}, {DOCKER}.v2+json, {DOCKER}.list.v2+json"
MANIFEST_LIMIT = 4 << 20  # bytes; what registries take
HUB = "registry-1.docker.io"  # where docker.io's registry answers
DONE = frozenset({200, 201, 202, 204})  # the API names one for each request; registries answer others


class Registry:
    """The repository ``path`` at ``host``; ``name`` is how references call it."""

    def __init__(self, host: str, path: str, *, secure: bool) -> None:
        self.host, self.path, self.name = host, path, f"{host}/{path}"
        self.secure = secure
        self.api = f"{'https' if secure else 'http'}://{HUB if host == 'docker.io' else host}/v2/{path}"
        self.transport = Transport(host, self.api)
        self.sign_in = SignIn(self.transport, host, path)

    def has(self, digest: str, size: int) -> bool:
        """Report whether the blob is there, with its size."""
        url = f"{self.api}/blobs/{digest}"
        try:
            answer = self._send("HEAD", url, expected={*DONE, 404})
        except InputError as error:  # a registry, or the bucket behind it, may take GET alone
            log.debug("HEAD for %s is refused: %s", digest, error)
            headers = {"Range": "bytes=0-0"}
            answer = self._send("GET", url, expected={200, 206, 404, 416}, headers=headers, stream=True)
            answer.reply.close()
        return answer.status != 404 and _size(answer, size) == size

    def mount(self, digest: str, size: int, name: str) -> bool:
        """Take the blob from the repository of this name, if it is the same registry's; report whether it is here."""
        host, _, path = name.partition("/")
        if host != self.host or name == self.name:
            return False
        query = urlencode({"mount": digest, "from": path})
        try:
            self._again(lambda: self.sign_in.read_too(path))
            answer = self._send("POST", f"{self.api}/blobs/uploads/?{query}", expected={*DONE, 404}, body=b"")
        except InputError as error:  # this login may not read there: the layer is sent
            log.debug("%s is not mounted from %s: %s", digest, name, error)
            return False
        if answer.status in {200, 202, 204}:  # it has none, or this login may not read it there; an upload is open now
            self._cancel(self._location(answer))
        return answer.status == 201 and self.has(digest, size)

    def put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None = None) -> str:
        """Send a blob and return its digest; ``size`` is what the blocks come to, where known. Safe to call again.

        Raises:
            InputError: the bytes or the registry's answer do not have the ``digest``.
        """
        return self._again(lambda: self._put(blocks, size, digest))

    def _put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None) -> str:
        location, hashed = self._open_upload(), hashlib.sha256()

        def body() -> Iterator[Block]:
            nonlocal hashed
            hashed = hashlib.sha256()  # a redirect or a login that has lapsed begins it again
            for block in blocks():
                hashed.update(block)
                yield block

        try:
            if digest is None:
                location = self._append(location, body, size)
                digest = f"sha256:{hashed.hexdigest()}"
                answer = self._try("PUT", _named(location, digest), expected=DONE, body=b"")
            else:
                answer = self._try("PUT", _named(location, digest), expected=DONE, body=body, headers=_framed(size))
            self._hold(answer, f"sha256:{hashed.hexdigest()}")
        except BaseException:
            self._cancel(location)
            raise
        return digest

    def _open_upload(self) -> str:
        return self._location(self._try("POST", f"{self.api}/blobs/uploads/", expected=DONE, body=b""))

    def _append(self, location: str, body: Body, size: int | None) -> str:
        """Send bytes to an upload and return where it goes on."""
        return self._location(self._try("PATCH", location, expected=DONE, body=body, headers=_framed(size)), location)

    def try_push(self) -> None:
        """Do what a push does up to where something would stay: raises what it would raise, and leaves nothing."""
        self.has(f"sha256:{'0' * 64}", 0)
        self._again(self._try_upload)

    def _try_upload(self) -> None:
        location = self._open_upload()
        try:
            location = self._append(location, lambda: [b"colchis"], 7)
        finally:
            self._cancel(location)

    def _cancel(self, location: str) -> None:
        try:
            self._try("DELETE", location, expected={*DONE, 404})
        except StepError as error:
            log.debug("upload at %s is left to the registry's clean-up: %s", self.host, error)

    def put_manifest(self, manifest: Blob, tag: str | None = None) -> bool:
        """Write a manifest or index, with a tag that names it. Report whether its subject lists it from now on."""
        url = f"{self.api}/manifests/{tag or manifest.digest}"
        headers = {"Content-Type": manifest.media_type}
        answer = self._send("PUT", url, expected=DONE, body=manifest.content, headers=headers)
        self._hold(answer, manifest.digest)
        return "OCI-Subject" in answer.headers

    def tagged(self, tag: str) -> str | None:
        """Return the digest that the tag names, or None."""
        content = self._manifest(tag)
        return None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"

    def manifest(self, digest: str) -> bytes:
        """Return a manifest's bytes, unverified. Raises InputError where there is none."""
        content = self._manifest(digest)
        if content is None:
            raise self._absent(digest)
        return content

    def _manifest(self, name: str) -> bytes | None:
        return self._again(lambda: self._read_manifest(f"{self.api}/manifests/{name}"))

    def _read_manifest(self, url: str) -> bytes | None:
        answer = self._try("GET", url, expected={200, 404}, headers={"Accept": ACCEPTED}, stream=True)
        if answer.status == 404:
            return None
        content = self.transport.read(answer.reply, answer.url, MANIFEST_LIMIT + 1)
        if len(content) > MANIFEST_LIMIT:
            raise InputError(f"{self.name} has a manifest of more than {MANIFEST_LIMIT} bytes; give another image")
        return content

    def blob(self, digest: str) -> Iterator[bytes]:
        """Return a blob's bytes, unverified, in chunks. Raises InputError where there is none."""
        answer = self._send("GET", f"{self.api}/blobs/{digest}", expected={200, 404}, stream=True)
        if answer.status == 404:
            raise self._absent(digest)
        try:
            with self.transport.reached(answer.url):
                yield from answer.reply.stream(CHUNK, decode_content=False)
        finally:
            answer.reply.close()

    def _absent(self, digest: str) -> InputError:
        return InputError(f"{self.name} has no {digest}; build the image, or give the right digest")

    def _hold(self, answer: Answer, digest: str) -> None:
        """Hold the digest that the registry gives what was sent against its own."""
        if (found := answer.headers.get("Docker-Content-Digest", digest)) != digest:
            raise InputError(
                f"registry {self.host} calls {found} what was sent as {digest}; it, or a proxy before it, alters bytes"
            )

    def _send(
        self,
        method: str,
        url: str,
        *,
        expected: Container[int],
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> Answer:
        return self._again(lambda: self._try(method, url, expected=expected, body=body, headers=headers, stream=stream))

    def _try(
        self,
        method: str,
        url: str,
        *,
        expected: Container[int],
        body: Body | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send a request with what the registry wants of a login, which goes to the registry alone."""
        writes, own = method not in {"GET", "HEAD"}, self.transport.owns(url)
        for first in (True, False):
            login = self.sign_in.header(writes=writes) if own else {}
            answer = self.transport.send(method, url, headers=headers or {}, login=login, body=body, stream=stream)
            asks = answer.status == 401 or (answer.status == 403 and not login and "WWW-Authenticate" in answer.headers)
            if not (asks and first and own) or answer.left:
                break
            self.sign_in.answer(answer, login, writes=writes)
        if answer.status in expected:
            return answer
        if answer.status in {401, 403}:
            raise self.sign_in.refused(f"refuses {method} ({answer.status}{answer.said})")
        if answer.status == 507:
            raise InputError(f"registry {self.host} has no space left for {self.name}{answer.said}; free some there")
        raise InputError(
            f"registry {self.host} answers {answer.status} to {method} for {self.name}{answer.said}; see its log"
        )

    def _location(self, answer: Answer, before: str = "") -> str:
        """Return where an upload goes on; an answer that does not say leaves it where it was."""
        header = answer.headers.get("Location")
        if not (location := resolve(answer.url, header) if header else before):
            raise InputError(f"registry {self.host} opens an upload and does not say where; see its log")
        if self.secure and not location.startswith("https://"):
            raise InputError(
                f"registry {self.host} sends uploads to {location[:256]!r}, without TLS; correct its address"
            )
        return location

    def _again(self, call: Callable[[], T]) -> T:
        for wait in WAITS:
            try:
                return call()
            except TransientError as error:
                asked = error.wait if isinstance(error, Busy) else 0
                if asked > LONGEST_WAIT:
                    raise
                log.warning("%s (trying again)", error)
                time.sleep(max(asked, wait * random.uniform(0.5, 1.5)))  # noqa: S311 - spreads clients, guards nothing
        return call()


def _framed(size: int | None) -> dict[str, str]:
    """Return the headers of a blob's bytes; where their number is not known they go in chunks."""
    return {"Content-Type": "application/octet-stream"} | ({} if size is None else {"Content-Length": str(size)})


def _named(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"


def _size(answer: Answer, size: int) -> int:
    """Return the blob's size as the answer says it, or ``size`` where it does not."""
    text = answer.headers.get("Content-Length", "") if answer.status == 200 else ""
    found = re.fullmatch(r"bytes .*/(\d+)", answer.headers.get("Content-Range", ""))
    if found and answer.status != 200:
        text = found[1]
    return int(text) if text.isdecimal() else size
