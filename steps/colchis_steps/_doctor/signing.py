"""Whether versions are signed, by what is trusted, and for how long: of a cluster, and of the versions in a store."""

from colchis_steps._doctor.checks import Finding
from colchis_steps._doctor.facts import SIGNING, Facts
from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import model_prefix, version_of
from colchis_steps._models.binding import read_version
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.trust import Trust, decode_trust, read_trust
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.api import NotFound
from colchis_steps._store.opening import open_store

SOON = 30 * 24 * 3600  # seconds before a key's not_after in which to say so
MOST = 5  # versions that are named
MAKE = "colchis keys make, and the two commands that it prints"


def signing(facts: Facts) -> Finding:
    """Judge what signs and what is trusted on a cluster; a Secret's values are not read."""
    name, key = "signatures", facts.secrets.get(SIGNING)
    if key is None or facts.trust is None:
        return Finding(name, "skipped", "you may not read ConfigMaps, or the names of Secrets")
    if not facts.trust:
        if not key:
            return Finding(name, "skipped", "versions are not signed, and nobody asks for it", MAKE)
        text = f"the Secret {SIGNING} is there, and no ConfigMap colchis-trust: nothing is held against signatures"
        return Finding(name, "wrong", text, MAKE)
    try:
        trust = decode_trust(facts.trust.encode(), "the ConfigMap colchis-trust")
    except InputError as error:
        return Finding(name, "wrong", str(error), "colchis keys show tells what yours is; apply it again")
    if not key and trust.required:
        text = f"the ConfigMap colchis-trust asks for signatures, and there is no Secret {SIGNING}: register fails"
        return Finding(name, "wrong", text, MAKE)
    return _bounds(name, trust)


def _bounds(name: str, trust: Trust) -> Finding:
    counting = [key for key in trust.keys if not key.fault(now())]
    rotate = "colchis keys make --rotate, and apply both again"
    if not counting:
        return Finding(name, "wrong", "no key in the ConfigMap colchis-trust counts now", rotate)
    told = ", ".join(f"{key.name} until {key.not_after or 'it is removed'}" for key in counting)
    insists = "asked for" if trust.required else "not insisted on"
    lasting = any(not key.not_after or key.not_after > now(-SOON) for key in counting)
    due = "" if lasting else ", so a new key is due"
    return Finding(name, "fine", f"{insists}; {told}{due}", rotate if due else "")


def unsigned_versions(url: str) -> list[Finding]:
    """Return which versions in a store the keys that are trusted here did not sign; ``url`` may be empty."""
    if not url:
        return []
    name = "signed versions"
    try:
        trust, store = read_trust(), open_store(url)
        if trust is None:
            return [Finding(name, "skipped", "no trust.json here says which keys are trusted", "see docs/trust.md")]
        places = [place for key in store.keys(model_prefix()) if (place := version_of(key, "record"))]
        odd = []
        for model, version in places:
            try:
                check_signed(store, read_version(store, model, version), trust)
            except (InputError, NotFound):
                odd.append(f"{model}:{version}")
    except TransientError:
        return []  # the bucket's own finding says it
    except InputError as error:
        return [Finding(name, "wrong", str(error), "see docs/trust.md")]
    if not odd:
        return [Finding(name, "fine", f"{len(places)} versions, each held against {trust.source}")]
    more = f" and {len(odd) - MOST} more" if len(odd) > MOST else ""
    fix = "colchis verify says why; what is as it should be: colchis keys sign MODEL:N"
    return [Finding(name, "skipped", f"{', '.join(odd[:MOST])}{more}: not signed by a key that is trusted here", fix)]
