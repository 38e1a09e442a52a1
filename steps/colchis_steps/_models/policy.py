"""What a model's owner demands of it, as it lies in the store, and what of that holds for a version to be served."""

from typing import NamedTuple

from colchis_steps._formats.documents import Unreadable, content_digest, decode, encode
from colchis_steps._formats.keys import kept_policy_key, policy_key
from colchis_steps._formats.models import Record
from colchis_steps._formats.policy import Policy
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Conflict, NotFound, Objects
from colchis_steps._store.documents import DOCUMENT, document_bytes

UNJUDGED = "unjudged"  # the verdict of a version that no gate has judged


class Demands(NamedTuple):
    """A policy and its digest; "" and nothing demanded where the model has none."""

    policy: Policy
    digest: str = ""

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"policy {self.digest.removeprefix('sha256:')[:12]}" if self.digest else "no policy"


def read_policy(store: Objects, model: str) -> Demands:
    """Return the model's policy.

    Raises:
        InputError: it cannot be read, or demands what this release does not know.
    """
    key = policy_key(model)
    try:
        content = document_bytes(store, key)
    except NotFound:
        return Demands(Policy())
    try:
        return Demands(decode(Policy, content, f"{store.url}/{key}"), content_digest(content))
    except Unreadable as error:
        raise InputError(
            f"nothing of {model} is judged or served, as its policy cannot be read: {error}; its owner puts it right: "
            f"colchis policy set {model}"
        ) from error


def write_policy(store: Objects, model: str, policy: Policy) -> str:
    """Make this the model's policy, and keep it for good under its digest; return that.

    Raises:
        InputError: somebody else wrote one meanwhile.
    """
    content, key = encode(policy), policy_key(model)
    digest = content_digest(content)
    try:
        before, tag = store.read_tagged(key, DOCUMENT)
    except NotFound:
        before, tag = b"", None
    store.create(kept_policy_key(model, digest), content)  # first: each verdict's digest leads to what it was held to
    if before != content:
        try:
            store.replace(key, content, tag)
        except Conflict as error:
            raise InputError(
                f"the policy of {model} was changed by somebody else meanwhile; look at it, and set yours again: "
                f"colchis policy show {model}"
            ) from error
    return digest


def check_operations_allowed(demands: Demands, model: str, allowed: tuple[str, ...]) -> None:
    """Raise InputError where a run allows operations that the policy does not."""
    if demands.digest and (more := sorted(set(allowed) - set(demands.policy.operations))):
        those = ", ".join(sorted(demands.policy.operations)) or "none"
        raise InputError(
            f"the run allows the operation {more[0][:64]}, and {demands.name} of {model} allows {those}; leave it out, "
            "or ask the model's owner"
        )


def check_demanded(demands: Demands, record: Record, *, forward: bool) -> None:
    """Hold a version that is to serve against the policy, but for its signatures.

    Args:
        demands: the model's policy as it is now.
        record: the version's record.
        forward: it is new to serving, so it has to be judged by this very policy; what is gone back to need not.

    Raises:
        InputError: it was judged by another policy, or by none and the policy wants one.
    """
    name = f"{record.model}:{record.version}"
    if record.verdict == UNJUDGED and demands.digest and not demands.policy.unjudged:
        raise InputError(
            f"{name} was never judged, and {demands.name} of {record.model} lets no such version be served; judge it, "
            "or ask the model's owner for unjudged: true"
        )
    if forward and record.verdict != UNJUDGED and record.policy != demands.digest:
        judged = Demands(demands.policy, record.policy).name
        raise InputError(
            f"{name} was judged by {judged}, and {record.model} has {demands.name} now; submit the pipeline again"
        )
