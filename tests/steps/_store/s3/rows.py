"""Settings and servers with which the SDK's users work, each arranged by a function of its name.

A function puts a server (and what lies before it) into the world, leads the environment there and returns the words of
the sentence with which a step refuses, or nothing where it works.
"""

import json
import ssl
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.steps._store.s3.server import BUCKET, Answer, Asked, Proxy, S3Server, authority, checksum, refusal

NAMES = ("localhost", "s3.test", "*.s3.test", "*.s3.amazonaws.com", *(
    f"{star}{service}.{region}.amazonaws.com"
    for star in ("", "*.")
    for service in ("s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack")
    for region in ("us-east-1", "us-west-2", "eu-west-1")
))  # fmt: skip
WORKS = ""


class World:
    """What a row arranges things in."""

    def __init__(self, aws: pytest.MonkeyPatch, home: Path, opened: Callable[[Any], Any]) -> None:
        self.aws, self.home, self._opened = aws, home, opened
        self.tls: ssl.SSLContext | None = None
        self.server: S3Server

    def serve(self, *, tls: bool = False, lead: bool = True, **given: Any) -> S3Server:
        """Start the server; lead the environment to it by its own address."""
        if tls and not self.tls:
            self.trust()
        self.server = self._opened(S3Server(self.tls if tls else None, **given))
        if lead:
            self.aws.setenv("AWS_ENDPOINT_URL", self.server.url)
        return self.server

    def trust(self, variable: str = "AWS_CA_BUNDLE", *, identified: bool = True) -> None:
        """Make an authority that the environment trusts."""
        self.tls, file = authority(self.home, NAMES, identified=identified)
        self.aws.setenv(variable, str(file))

    def proxy(self, variable: str = "HTTPS_PROXY", *, tls: bool = False, **given: Any) -> Proxy:
        """Put a proxy before the server, which leads every name to it."""
        proxy: Proxy = self._opened(Proxy(self.server, tls=self.tls if tls else None, **given))
        self.aws.setenv(variable, proxy.url)
        return proxy

    def amazon(self, region: str) -> S3Server:
        """Serve as AWS does: by its names, a bucket in this region."""
        server = self.serve(tls=True, lead=False)
        self.proxy()

        def elsewhere(it: Asked) -> Answer | None:
            if f".{region}." in it.host:
                return None
            headers = {"x_amz_bucket_region": region}
            return (
                refusal(301, "PermanentRedirect", **headers)
                if it.method != "HEAD"
                else Answer(301, b"", {"x-amz-bucket-region": region})
            )

        server.before = elsewhere
        return server

    def profile(self, text: str, **files: str) -> None:
        """Write ~/.aws/config with its profile ``default``; no keys in the environment."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self.aws.delenv(name, raising=False)
        self.write_config(text)

    def write_config(self, text: str) -> None:
        (self.home / "config").write_text(text)
        self.aws.setenv("AWS_CONFIG_FILE", str(self.home / "config"))

    def grants(self, answer: Callable[[Asked], Answer]) -> None:
        """Serve keys for ``role-key`` at the endpoints of STS and SSO."""
        service = self._opened(S3Server())
        service.before = answer
        self.server.secrets = {"role-key": "role-secret"}
        for name in ("STS", "SSO"):
            self.aws.setenv(f"AWS_ENDPOINT_URL_{name}", service.url)


ALL: dict[str, Callable[[World], str]] = {}
THEIRS_FAIL = set[str]()  # where boto3's own plain call fails or damages: some need arguments of it


def row(work: Callable[[World], str]) -> Callable[[World], str]:
    ALL[work.__name__] = work
    return work


def worse(work: Callable[[World], str]) -> Callable[[World], str]:
    THEIRS_FAIL.add(work.__name__)
    return row(work)


# Addresses


@row
def region_by_the_other_name(world: World) -> str:
    world.amazon("eu-west-1")
    world.aws.delenv("AWS_DEFAULT_REGION")
    world.aws.setenv("AWS_REGION", "eu-west-1")
    return WORKS


@row
def bucket_in_another_region(world: World) -> str:
    world.amazon("us-west-2")
    return WORKS


@row
def new_bucket_that_only_its_region_knows(world: World) -> str:
    server = world.amazon("us-west-2")
    world.aws.setenv("AWS_DEFAULT_REGION", "us-west-2")
    server.before = lambda it: None if ".us-west-2." in it.host else refusal(307, "TemporaryRedirect")
    return WORKS


@row
def keys_for_another_region(world: World) -> str:
    server = world.serve()

    def malformed(it: Asked) -> Answer | None:
        if "/eu-west-1/s3/" in it.headers["authorization"]:
            return None
        if it.method == "HEAD":
            return Answer(400, b"", {"x-amz-bucket-region": "eu-west-1"})
        return refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")

    server.before = malformed
    return WORKS


@row
def fips(world: World) -> str:
    server = world.amazon("us-west-2")
    world.aws.setenv("AWS_DEFAULT_REGION", "us-west-2")
    world.aws.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    server.before = lambda it: None if "s3-fips.us-west-2." in it.host else refusal(403, "AccessDenied")
    return WORKS


@row
def dualstack(world: World) -> str:
    server = world.amazon("us-west-2")
    world.aws.setenv("AWS_DEFAULT_REGION", "us-west-2")
    world.aws.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    server.before = lambda it: None if "s3.dualstack.us-west-2." in it.host else refusal(403, "AccessDenied")
    return WORKS


@row
def virtual_addresses_by_the_profile(world: World) -> str:
    server = world.serve(lead=False)
    world.proxy("HTTP_PROXY")
    world.aws.setenv("AWS_ENDPOINT_URL_S3", "http://s3.test")
    world.write_config("[default]\ns3 =\n  addressing_style = virtual\n")
    server.before = lambda it: None if it.host == f"{BUCKET}.s3.test" else refusal(400, "Curious")
    return WORKS


@row
def path_addresses_where_the_endpoint_is_not_amazons(world: World) -> str:
    server = world.serve(lead=False)
    world.proxy("HTTP_PROXY")
    world.aws.setenv("AWS_ENDPOINT_URL_S3", "http://s3.test")
    server.before = lambda it: None if it.host == "s3.test" else refusal(400, "Curious")
    return WORKS


@row
def endpoint_with_a_path(world: World) -> str:
    server = world.serve(base="/base/s3", lead=False)
    world.aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    world.aws.setenv("AWS_ENDPOINT_URL_S3", server.url)
    return WORKS


@row
def default_port_by_number(world: World) -> str:
    server = world.serve(tls=True, lead=False)
    world.proxy()
    world.aws.setenv("AWS_ENDPOINT_URL", "https://s3.test:443")
    server.before = lambda it: None if it.host == "s3.test" else refusal(403, "SignatureDoesNotMatch")
    return WORKS


# Proxies


@row
def proxy_with_a_password(world: World) -> str:
    world.serve(tls=True, lead=False)
    world.proxy(login="us er:p@ss/:%")
    world.aws.setenv("AWS_ENDPOINT_URL", "https://s3.test")
    return WORKS


@row
def proxy_with_a_wrong_password(world: World) -> str:
    world.serve(tls=True, lead=False)
    proxy = world.proxy(login="user:right")
    world.aws.setenv("HTTPS_PROXY", proxy.url.replace("right", "wrong"))
    world.aws.setenv("AWS_ENDPOINT_URL", "https://s3.test")
    return "the proxy does not lead to https://s3.test .*; correct HTTPS_PROXY"


@row
def proxy_for_http_that_opens_no_tunnels(world: World) -> str:
    world.serve(lead=False)
    world.proxy("HTTP_PROXY", login="us er:p@ss")
    world.aws.setenv("AWS_ENDPOINT_URL", "http://s3.test")
    return WORKS


@row
def proxy_that_speaks_tls(world: World) -> str:
    world.serve(tls=True, lead=False)
    world.proxy(tls=True)
    world.aws.setenv("AWS_ENDPOINT_URL", "https://s3.test")
    return WORKS


@row
def no_proxy(world: World) -> str:
    world.serve(tls=True)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        world.aws.setenv(name, "http://127.0.0.1:1")
    world.aws.setenv("NO_PROXY", "example.org,localhost")
    return WORKS


# Authorities


@row
def authority_of_the_environment(world: World) -> str:
    world.serve(tls=True)
    return WORKS


@row
def authority_by_the_name_of_requests(world: World) -> str:
    world.trust("REQUESTS_CA_BUNDLE")
    world.serve(tls=True)
    return WORKS


@row
def authority_without_key_identifiers(world: World) -> str:
    world.trust(identified=False)
    world.serve(tls=True)
    made = ssl.create_default_context

    def strict(*given: Any, **named: Any) -> ssl.SSLContext:  # as Python 3.13 makes them
        context = made(*given, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    world.aws.setattr(ssl, "create_default_context", strict)
    return WORKS


@row
def authority_that_nobody_knows(world: World) -> str:
    world.serve(tls=True)
    world.aws.delenv("AWS_CA_BUNDLE")
    return "has no certificate that this machine trusts .*name the authority's file in AWS_CA_BUNDLE"


@row
def authority_file_that_is_missing(world: World) -> str:
    world.serve(tls=True)
    world.aws.setenv("AWS_CA_BUNDLE", str(world.home / "missing.pem"))
    return r"AWS_CA_BUNDLE .* names .*missing.pem, which cannot be read \(No such file"


@row
def authority_file_that_is_a_directory(world: World) -> str:
    world.serve(tls=True)
    world.aws.setenv("AWS_CA_BUNDLE", str(world.home))
    return "AWS_CA_BUNDLE .* names .*, a directory; name a file of certificates"


@row
def authority_file_that_is_empty(world: World) -> str:
    world.serve(tls=True)
    (world.home / "empty.pem").touch()
    world.aws.setenv("AWS_CA_BUNDLE", str(world.home / "empty.pem"))
    return "AWS_CA_BUNDLE .* names .*empty.pem, which holds no certificate"


# Credentials


def later(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def role(action: str) -> Callable[[Asked], Answer]:
    until = later(60).isoformat()
    keys = "<AccessKeyId>role-key</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"
    more = f"<SessionToken>token</SessionToken><Expiration>{until}</Expiration>"
    granted = f"<{action}Result><Credentials>{keys}{more}</Credentials></{action}Result>"
    text = f"<{action}Response>{granted}</{action}Response>"
    return lambda it: Answer(200, text.encode()) if f"Action={action}&".encode() in it.body else refusal(400, "Curious")


ROLE = """
[default]
role_arn = arn:aws:iam::123456789012:role/step
source_profile = base
[profile base]
aws_access_key_id = a
aws_secret_access_key = b
"""


@row
def profile_with_a_role(world: World) -> str:
    world.serve()
    world.profile(ROLE)
    world.grants(role("AssumeRole"))
    return WORKS


@row
def profile_with_a_role_that_is_refused(world: World) -> str:
    world.serve()
    world.profile(ROLE)
    world.grants(
        lambda _: Answer(
            403, b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        )
    )
    return "the credentials for s3://bucket/x do not load .*AssumeRole"


@row
def profile_with_a_role_whose_server_is_away(world: World) -> str:
    world.serve()
    world.profile(ROLE)
    world.aws.setenv("AWS_ENDPOINT_URL_STS", "http://localhost:1")
    world.aws.setattr("time.sleep", lambda _: None)
    return "no answer from http://localhost:1, which gives the credentials for s3://bucket/x"


@row
def web_identity(world: World) -> str:
    world.serve()
    world.profile("")
    (world.home / "token").write_text("token")
    world.aws.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/step")
    world.aws.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(world.home / "token"))
    world.grants(role("AssumeRoleWithWebIdentity"))
    return WORKS


@row
def single_sign_on(world: World) -> str:
    world.serve()
    world.profile(
        "[default]\nsso_session = us\nsso_account_id = 123456789012\nsso_role_name = step\n"
        "[sso-session us]\nsso_region = us-east-1\nsso_start_url = https://example.org/start\n"
    )
    cache = world.home / "cache"
    cache.mkdir()
    import hashlib

    token = {"accessToken": "token", "expiresAt": later(60).strftime("%Y-%m-%dT%H:%M:%SZ"), "region": "us-east-1"}
    (cache / f"{hashlib.sha1(b'us', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    for place in ("credentials.SSOProvider", "tokens.SSOTokenProvider"):
        world.aws.setattr(f"botocore.{place}._SSO_TOKEN_CACHE_DIR", str(cache))
    until = int(later(60).timestamp() * 1000)
    keys = {"accessKeyId": "role-key", "secretAccessKey": "role-secret", "sessionToken": "t", "expiration": until}
    world.grants(
        lambda it: (
            Answer(200, json.dumps({"roleCredentials": keys}).encode())
            if it.path == "/federation/credentials"
            else refusal(404, "No")
        )
    )
    return WORKS


PROCESS = """#!{python}
import json, pathlib
count = pathlib.Path({count!r})
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
print(json.dumps(dict(Version=1, AccessKeyId=f"key-{{number}}", SecretAccessKey="secret", Expiration={until!r})))
"""


def process(world: World, minutes: int) -> Path:
    script, count = world.home / "keys", world.home / "count"
    until = later(minutes).isoformat()
    script.write_text(PROCESS.format(python=sys.executable, count=str(count), until=until))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    world.profile(f"[default]\ncredential_process = {script}\n")
    return count


@row
def credential_process(world: World) -> str:
    server = world.serve()
    process(world, 60)
    server.secrets = {"key-1": "secret"}
    return WORKS


@row
def keys_that_rotate(world: World) -> str:
    """Each set is good for five minutes, so the SDK asks for another before each request: only the newest is good."""
    server = world.serve()
    count = process(world, 5)
    server.secrets = dict.fromkeys([f"key-{number}" for number in range(1, 1000)], "secret")

    def old(it: Asked) -> Answer | None:
        number = int(it.headers["authorization"].split("Credential=key-")[1].split("/")[0])
        return (
            refusal(400, "ExpiredToken") if number < int(count.read_text()) - 16 else None
        )  # those that are on their way

    server.before = old
    return WORKS


# Faults that pass


@row
def ten_attempts_by_the_environment(world: World) -> str:
    server, faults = world.serve(), [503] * 6
    world.aws.setenv("AWS_MAX_ATTEMPTS", "10")
    world.aws.setattr("time.sleep", lambda _: None)
    server.before = lambda _: refusal(faults.pop(), "SlowDown") if faults else None
    return WORKS


@row
def one_attempt_by_the_profile(world: World) -> str:
    server, faults = world.serve(), [503]
    world.write_config("[default]\nmax_attempts = 1\nretry_mode = standard\n")
    server.before = lambda _: refusal(faults.pop(), "SlowDown") if faults else None
    return r"cannot serve s3://bucket/x just now \(SlowDown\)"


@row
def slow_down(world: World) -> str:
    server, faults = world.serve(), [503, 503]
    world.aws.setattr("time.sleep", lambda _: None)
    server.before = lambda _: refusal(faults.pop(), "SlowDown") if faults else None
    return WORKS


def breaking(world: World, *, tls: bool) -> str:
    server, cuts = world.serve(tls=tls), [1, 2]
    world.aws.setattr("time.sleep", lambda _: None)
    server.cut = lambda method, path: (
        method == "PUT" and ("partNumber" in path or "large" in path) and bool(cuts and cuts.pop())
    )
    return WORKS


@row
def connection_cut_amid_a_large_put(world: World) -> str:
    return breaking(world, tls=False)


@row
def connection_cut_amid_a_large_put_over_tls(world: World) -> str:
    return breaking(world, tls=True)


# What a bucket demands, and what a server does not know


@worse
def policy_that_demands_a_key(world: World) -> str:
    server = world.serve()
    world.aws.setenv("COLCHIS_S3_KMS_KEY", "arn:aws:kms:us-east-1:123456789012:key/abc")

    def demanded(it: Asked) -> Answer | None:
        makes = (it.method == "PUT" and "partNumber" not in it.query) or ("uploads" in it.query and it.method == "POST")
        wanted = ("aws:kms", "arn:aws:kms:us-east-1:123456789012:key/abc")
        given = tuple(it.headers.get(f"x-amz-server-side-encryption{name}") for name in ("", "-aws-kms-key-id"))
        return refusal(403, "AccessDenied") if makes and given != wanted else None

    server.before = demanded
    return WORKS


@row
def policy_that_demands_encryption_and_does_not_get_it(world: World) -> str:
    policy_that_demands_a_key(world)
    world.aws.delenv("COLCHIS_S3_KMS_KEY")
    return "denies PutObject of .*; grant s3:PutObject .*COLCHIS_S3_ENCRYPTION"


def trailing(it: Asked) -> bool:
    return it.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")


@worse
def server_that_refuses_trailers(world: World) -> str:
    world.serve(tls=True).before = lambda it: refusal(501, "NotImplemented") if trailing(it) else None
    return WORKS


@worse
def server_that_wants_a_length(world: World) -> str:
    world.serve(tls=True).before = lambda it: refusal(411, "MissingContentLength") if trailing(it) else None
    return WORKS


@worse
def server_that_stores_the_framing(world: World) -> str:
    """It keeps the bytes of a body as they come: with aws-chunked framing where there is one."""
    world.serve(tls=True).unframes = False
    return WORKS


@worse
def server_that_spoils_what_it_stores(world: World) -> str:
    server = world.serve()

    def spoil(it: Asked, answer: Answer) -> Answer:
        if it.method == "PUT" and answer.status == 200 and it.key in server.objects:
            server.objects[it.key].body += b"!"
            return answer._replace(headers={**answer.headers, "ETag": server.objects[it.key].tag})
        return answer

    server.after = spoil
    return "stored 6 other bytes at .* than the 5 that it was sent; repair the server"


@row
def server_that_does_not_know_the_checksum(world: World) -> str:
    world.serve().before = lambda it: (
        refusal(400, "InvalidRequest")
        if "x-amz-checksum-crc64nvme" in it.headers or it.headers.get("x-amz-checksum-algorithm") == "CRC64NVME"
        else None
    )
    return WORKS


@row
def head_without_the_usual_headers(world: World) -> str:
    def less(it: Asked, answer: Answer) -> Answer:
        if it.method != "HEAD" or answer.status != 200:
            return answer
        return answer._replace(headers={"Content-Length": "", "ETag": answer.headers["ETag"]})

    world.serve().after = less
    return WORKS


@row
def parts_without_a_tag(world: World) -> str:
    world.serve().after = lambda it, answer: (
        answer._replace(headers={"x-amz-checksum-crc64nvme": checksum(it.body)})
        if "partNumber" in it.query and it.method == "PUT"
        else answer
    )
    return WORKS


@row
def range_that_is_ignored(world: World) -> str:
    server = world.serve()

    def whole(it: Asked, answer: Answer) -> Answer:
        return (
            Answer(200, server.objects[it.key].body, {"ETag": answer.headers["ETag"]})
            if answer.status == 206
            else answer
        )

    server.after = whole
    return WORKS


@worse
def listing_denied(world: World) -> str:
    """As on AWS, a key that is not there is denied to who may not list."""

    def denied(it: Asked, answer: Answer) -> Answer:
        if it.method == "GET" and not it.key:
            return refusal(403, "AccessDenied")
        return refusal(403, "AccessDenied") if answer.status == 404 else answer

    world.serve().after = denied
    return r"denies \w+ of .*s3:ListBucket"


@worse
def clock_that_differs(world: World) -> str:
    server = world.serve()
    server.skew = 3600
    server.before = lambda it: refusal(403, "RequestTimeTooSkewed") if it.method != "HEAD" else Answer(403)
    return "this machine's clock differs from that of http://127"


@worse
def clock_that_differs_by_the_answer_to_head(world: World) -> str:
    server = world.serve()
    server.skew = -3600
    server.before = lambda it: Answer(403) if it.method == "HEAD" else None
    return "this machine's clock differs from that of http://127"
