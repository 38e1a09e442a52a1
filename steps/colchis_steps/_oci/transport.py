"""HTTP as registries need it, over urllib3: proxies, certificates, redirects that lose the login, bounded answers."""

import functools
import json
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin

from colchis_steps._oci.image import Block
from colchis_steps._oci.proxies import Proxy, find_proxy
from colchis_steps._step.errors import InputError, TransientError

if TYPE_CHECKING:
    import urllib3

CHUNK = 1 << 20
ANSWER_LIMIT = 64 << 10  # bytes of an answer that is neither manifest nor blob, after decompression
REDIRECTS = 10
BUSY = frozenset({408, 429, 500, 502, 503, 504})
PORTS = {"http": 80, "https": 443}

Body = bytes | Callable[[], Iterable[Block]]
Origin = tuple[str, str, int]  # scheme, host, port


class Busy(TransientError):  # noqa: N818 - read as what it says
    """A server asks to come back; ``wait`` is in how many seconds, as its Retry-After says, or 0."""

    def __init__(self, sentence: str, wait: float) -> None:
        super().__init__(sentence)
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """An answer's head, from the ``url`` that gave it; ``left`` says whether a redirect led to another origin."""

    reply: "urllib3.BaseHTTPResponse"
    url: str
    left: bool
    body: bytes = b""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.reply.status

    @property
    def headers(self) -> "urllib3.HTTPHeaderDict":
        """The headers; a name in any case."""
        return self.reply.headers

    @property
    def said(self) -> str:
        """What the body says of an error, as ``: CODE message``; nothing where it does not keep to the API."""
        try:
            first = json.loads(self.body)["errors"][0]
            return f": {first['code']} {first.get('message', '')}"[:256].rstrip()
        except (ValueError, LookupError, TypeError, AttributeError):
            return ""

    @property
    def wait(self) -> float:
        """The seconds that Retry-After asks for; 0 where it does not, or not in HTTP's words."""
        import urllib3

        try:
            return urllib3.Retry().get_retry_after(self.reply) or 0
        except urllib3.exceptions.InvalidHeader:
            return 0


def origin(url: str) -> Origin:
    """Return what decides to whom a login goes. Raises InputError where the URL is not of HTTP."""
    import urllib3

    try:
        to = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise InputError(f"{url[:256]!r} is not a URL; correct the registry's configuration") from error
    if to.scheme not in PORTS or not to.host:
        raise InputError(f"{url[:256]!r} is not a URL by http or https; correct the registry's configuration")
    return to.scheme, to.host, to.port or PORTS[to.scheme]


def resolve(url: str, reference: str) -> str:
    """Return where a Location leads that came from this URL. Raises InputError where it is not a URL."""
    try:
        return urljoin(url, reference)
    except ValueError as error:  # such as http://[
        raise InputError(f"{reference[:256]!r} is not a URL; correct the registry's configuration") from error


class Transport:
    """Sends requests for the registry that sentences call ``host``, whose API lies at ``origin``."""

    def __init__(self, host: str, url: str) -> None:
        self.host, self.url, self.origin = host, url, origin(url)
        self.pool = functools.cache(connections)  # a proxy's connections are shared by what it leads to

    def owns(self, url: str) -> bool:
        """Report whether this URL is of the registry's own origin."""
        return origin(url) == self.origin

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        login: Mapping[str, str],
        body: Body | None = None,
        follow: bool = True,
        stream: bool = False,
    ) -> Answer:
        """Send a request and return the answer; with ``stream``, the bytes of a 200 or 206 are left to be read.

        A redirect is followed with the body, from its start. The login is for the URL's own origin: it is left behind
        for good where a redirect leads to another.

        Raises:
            InputError: the certificate is not trusted, a proxy refuses, or a redirect leads nowhere or out of TLS.
            TransientError: the server is away, or asks to come back (Busy).
        """
        first, left = origin(url), False
        for _ in range(REDIRECTS + 1):
            left = left or origin(url) != first
            reply = self._once(method, url, {**headers} if left else {**headers, **login}, body)
            where = reply.get_redirect_location() if follow else None
            if not where:
                return self._taken(method, Answer(reply, url, left), stream=stream)
            self.read(reply, url)
            before, url = url, resolve(url, where)
            if reply.status == 303:
                method, body = "GET", None
            if before.startswith("https:") and origin(url)[0] == "http" and method not in {"GET", "HEAD"}:
                raise InputError(
                    f"registry {self.host} sends {method} on to {url[:256]!r}, without TLS; correct its address"
                )
        raise InputError(f"registry {self.host} redirects {method} more than {REDIRECTS} times; correct its address")

    def _once(self, method: str, url: str, headers: dict[str, str], body: Body | None) -> "urllib3.BaseHTTPResponse":
        with self.reached(url):
            return self.pool(find_proxy(url), secure=url.startswith("https:")).request(
                method,
                url,
                body=cast(Any, body() if callable(body) else body),
                headers=headers,
                preload_content=False,
                redirect=False,
                retries=False,
            )

    def _taken(self, method: str, answer: Answer, *, stream: bool) -> Answer:
        if stream and answer.status in {200, 206}:
            return answer
        answer = replace(answer, body=self.read(answer.reply, answer.url))
        if answer.status == 407:
            raise self._by_proxy("407", answer.url)
        if answer.status in BUSY:
            sentence = f"{self.who(answer.url)} answers {answer.status} to {method}{answer.said}; run the step again"
            raise Busy(sentence, answer.wait)
        return answer

    def read(self, reply: "urllib3.BaseHTTPResponse", url: str, limit: int = ANSWER_LIMIT) -> bytes:
        """Return the body up to this many bytes, decompressed; the connection is kept where that is all."""
        with self.reached(url):
            content = reply.read(limit + 1, decode_content=True)
            if len(content) > limit:
                reply.close()
            reply.release_conn()
            return content[:limit]

    @contextmanager
    def reached(self, url: str) -> Iterator[None]:
        """Turn what urllib3 raises into a sentence that names the server."""
        import urllib3

        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._explained(error, url) from error

    def _explained(self, error: Exception, url: str) -> InputError | TransientError:
        import urllib3

        who, error = self.who(url), getattr(error, "original_error", error)  # by a proxy
        if isinstance(error, urllib3.exceptions.SSLError) and "EOF" not in str(error):  # cut off is not untrusted
            return InputError(
                f"{who} has no TLS certificate that this machine trusts ({str(error)[:160]}); {_authorities()}, or "
                "write http:// before the repository if it has no TLS"
            )
        refused = str(error).partition("Tunnel connection failed: ")[2]
        if refused.startswith("4"):
            return self._by_proxy(refused[:80], url)
        return TransientError(f"{who} is away ({type(error).__name__}); check that it runs and run the step again")

    def _by_proxy(self, refused: str, url: str) -> InputError:
        return InputError(
            f"the proxy to {self.who(url)} refuses ({refused}); correct HTTPS_PROXY or HTTP_PROXY, or name the host in "
            "NO_PROXY"
        )

    def who(self, url: str) -> str:
        """Return how sentences call the server of this URL."""
        import urllib3

        away = url.startswith("http") and not self.owns(url)
        return f"{urllib3.util.parse_url(url).netloc}, of registry {self.host}," if away else f"registry {self.host}"


def connections(proxy: Proxy | None, *, secure: bool) -> "urllib3.PoolManager":
    """Return connections through the proxy, or direct ones, that hold servers to the machine's authorities."""
    import urllib3

    options: dict[str, Any] = {"timeout": urllib3.Timeout(connect=10, read=300), "maxsize": 8, "blocksize": CHUNK}
    if secure:
        options["ssl_context"] = _context()
    if proxy is None:
        return urllib3.PoolManager(**options)
    if proxy.url.startswith("https:"):
        options["proxy_ssl_context"] = _context()
    return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **options)


def _context() -> ssl.SSLContext:
    """Return what verifies servers, by SSL_CERT_FILE and SSL_CERT_DIR where they are set."""
    context = ssl.create_default_context()
    # Python 3.13 refuses authorities without key identifiers by default, as many private ones are; Go takes them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _authorities() -> str:
    """Return what to do about a certificate that is not trusted."""
    if not (bundle := os.environ.get("SSL_CERT_FILE")):
        return "set SSL_CERT_FILE to its CA"
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:  # ssl.SSLError is one
        return f"set SSL_CERT_FILE to its CA, as {bundle!r} cannot be read ({error.strerror or error.args[-1]})"
    return f"add its CA to {bundle!r}, which SSL_CERT_FILE names"
