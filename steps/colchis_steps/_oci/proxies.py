"""Which proxy leads to a URL, by ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, as Go's programs read them.

The standard library knows the variables, names, suffixes and ports; networks (10.0.0.0/8), ``*.example.com`` and the
machine itself, which no proxy reaches, are added here.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote

from colchis_steps._oci.challenge import basic
from colchis_steps._step.errors import InputError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, repr=False)  # without repr, no log line can hold the password
class Proxy:
    """A proxy's URL without its login, and the login; both names may be empty."""

    url: str
    username: str
    password: str

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy wants to know of who asks."""
        return {"Proxy-Authorization": basic(self.username, self.password)} if self.username or self.password else {}


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy that leads to this URL, or None.

    Raises:
        InputError: the environment names a proxy of a kind that is not spoken here.
    """
    import urllib.request

    import urllib3

    to = urllib3.util.parse_url(url)
    scheme, host = to.scheme or "http", (to.host or "").strip("[]")
    named = urllib.request.getproxies().get(scheme)
    if not named or _goes_direct(host, to.port or {"https": 443}.get(scheme, 80)):
        return None
    at = urllib3.util.parse_url(named if "://" in named else f"http://{named}")
    if at.scheme not in {"http", "https"} or not at.host:
        raise InputError(f"{scheme.upper()}_PROXY names a proxy by {at.scheme}://; name one by http:// or https://")
    username, _, password = (at.auth or "").partition(":")
    place = f"{at.scheme}://{at.host}" + (f":{at.port}" if at.port else "")
    return Proxy(place, unquote(username), unquote(password))


def on_this_machine(host: str) -> bool:
    """Report whether a host, without its port, is the machine itself."""
    address = _network(host.strip("[]"))
    return host == "localhost" or (address is not None and address.is_loopback)


def _goes_direct(host: str, port: int) -> bool:
    import urllib.request

    if on_this_machine(host) or urllib.request.proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    entries = urllib.request.getproxies().get("no", "").split(",")
    return any(_matches(entry.strip(), host) for entry in entries)


def _matches(entry: str, host: str) -> bool:
    if entry == "*" or (entry.startswith("*.") and host.endswith(entry[1:].lower())):
        return True
    network, address = _network(entry.strip("[]")), _network(host)
    if network is None or address is None or address.version != network.version:
        return False
    return address.network_address in network


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:  # a name
        return None
