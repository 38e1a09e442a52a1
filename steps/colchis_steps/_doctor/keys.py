"""Whether the keys in a namespace's Secrets can do what they must, and cannot do what they must not."""

import base64
import secrets
from urllib.parse import urlsplit

from colchis_steps._doctor.checks import Finding
from colchis_steps._formats.identities import IDENTITIES, KEY, SECRET, may
from colchis_steps._kube.api import Api
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.opening import canonical

VERBS = ("get", "put", "delete")
SETUP = "colchis bucket setup --store={} --rotate --apply --namespace={}"
MOST = 3  # rights that a finding names


def try_keys(api: Api, url: str) -> list[Finding]:
    """Read the Secrets' values and ask the store at ``url`` about each key: what it finds there is not touched."""
    parts = urlsplit(canonical(url)) if url else None
    if parts is None or parts.scheme != "s3":
        return [Finding("keys", "skipped", "no bucket is named", "try them: --store s3://bucket/prefix --keys")]
    fix, found = SETUP.format(url, api.namespace), list[Finding]()
    for name in (name for name, identity in IDENTITIES.items() if identity.pods):
        title = f"key {name}"
        answer = api.get(f"/api/v1/namespaces/{api.namespace}/secrets/{SECRET}-{name}")
        if answer.status in {401, 403}:
            return [Finding("keys", "skipped", f"you may not read the Secrets of {api.namespace}")]
        if not answer.found:
            found.append(Finding(title, "skipped", f"no Secret {SECRET}-{name}: its pods have no key, or a role", fix))
            continue
        try:
            held = base64.b64decode((answer.body.get("data") or {}).get(KEY, "")).decode(errors="replace")
            wrong = faults(name, parts.netloc, parts.path.strip("/"), held)
        except (InputError, TransientError) as error:
            text = str(error).partition("; ")[0]
            found.append(Finding(title, "away" if isinstance(error, TransientError) else "wrong", text, fix))
            continue
        if wrong:
            more = f" and {len(wrong) - MOST} more" if len(wrong) > MOST else ""
            found.append(Finding(title, "wrong", f"{'; '.join(wrong[:MOST])}{more}", fix))
        else:
            found.append(Finding(title, "fine", "it can do what it must, and nothing else"))
    return found


def faults(identity: str, bucket: str, prefix: str, credentials: str) -> list[str]:
    """Return what the key can do and must not, or cannot and must. Raises as a store does."""
    from colchis_steps._store.s3.probing import Probe

    probe, found = Probe(bucket, prefix, credentials), list[str]()
    for verb in VERBS:
        for key in sorted(_keys(verb)):
            must = may(identity, verb, key)
            if probe.may(verb, key) is not must:
                found.append(f"it {'may not' if must else 'may'} {verb} {key}")
    return found


def _keys(verb: str) -> set[str]:
    """Return a key that nobody has for each pattern of the table."""
    name = f"doctor-{secrets.token_hex(8)}"
    return {
        pattern.replace("*", name)
        for found in IDENTITIES.values()
        for pattern in (*found.patterns(verb), *found.put)
        if pattern != "*"
    }
