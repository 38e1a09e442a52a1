"""What evaluate found, as later steps hold what they get against it.

A workflow hands it on by its arguments, out of reach of who can write to the store; who runs a step by hand leaves
them out, and the store's own word counts.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from colchis_steps._formats.documents import canonical_digest, content_digest, converted
from colchis_steps._formats.keys import manifest_key
from colchis_steps._formats.models import Candidate, Manifest
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.aliases import stable
from colchis_steps._models.policy import UNJUDGED, Demands, read_policy
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import document_bytes, find_step, read_document

PUBLISHED = ("pass", UNJUDGED)  # the verdicts with which a version is made and served
NONE = "none"  # the baseline where no version was stable
CLAIMS = ("tree", "evaluation", "golden", "baseline")


@dataclass(frozen=True)
class Claims:
    """What the workflow says that evaluate found; "" is what it does not say."""

    tree: str = ""
    evaluation: str = ""
    golden: str = ""
    baseline: str = ""


def claim_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that Claims are read from."""
    group = parser.add_argument_group("the verdict", "what evaluate gave; what differs from it is refused")
    group.add_argument("--tree", default="", metavar="DIGEST", help="the candidate's")
    group.add_argument("--evaluation", default="", metavar="DIGEST", help="of what evaluate found")
    group.add_argument("--golden", default="", metavar="DIGEST", help="of the golden rows")
    group.add_argument("--baseline", default="", metavar="N@DIGEST", help=f"the version that was stable, or {NONE}")


def claims_of(args: argparse.Namespace) -> Claims:
    """Return the claims that the flags make."""
    return Claims(*(getattr(args, name) for name in CLAIMS))


def evaluation_digest(details: dict[str, Any]) -> str:
    """Return the digest of what evaluate found, by the details in its result as JSON has them."""
    return canonical_digest(details)


def baseline_name(version: int | None, digest: str) -> str:
    """Return a baseline as it goes from step to step."""
    return NONE if version is None else f"{version}@{digest}"


def evaluation_of(store: Objects, run: str, candidate: Candidate, claims: Claims) -> Evaluation | None:
    """Return what evaluate found of the run's candidate, held against the claims; None where it was not evaluated.

    Raises:
        InputError: the evaluation is another than claimed, of another model or of other data, or it is gone.
    """
    result = find_step(store, run, "evaluate")
    if claims.tree not in {"", candidate.tree}:
        raise InputError(
            f"evaluate judged {claims.tree}, but the candidate of run {run} is {candidate.tree}; train again"
        )
    if result is None or not result.details.get("tree"):  # an older release's has none
        if claims.evaluation:
            raise InputError(f"what evaluate found in run {run} ({claims.evaluation}) is gone; evaluate it again")
        return None
    found = converted(result.details, Evaluation)
    differing = {
        "evaluation": (evaluation_digest(result.details), claims.evaluation),
        "tree": (found.tree, candidate.tree),
        "golden rows": (found.golden, claims.golden),
        "baseline": (baseline_name(found.baseline_version, found.baseline_digest), claims.baseline),
        "data": (found.data, candidate.data_digest),
        "verdict": (found.verdict, result.verdict),
    }
    for what, (there, wanted) in differing.items():
        if wanted not in {"", there}:
            raise InputError(
                f"{what} of the evaluation of run {run} is {there[:128]!r}, and was {wanted[:128]!r} when it was "
                "judged; somebody changed it, so run the pipeline again"
            )
    return found


def passed(found: Evaluation, run: str) -> None:
    """Raise InputError where the gate did not pass the model; one that it was not to judge passes as such."""
    if found.verdict not in PUBLISHED:
        raise InputError(f"the gate of run {run} says {found.verdict!r}, so its model is not published; see its report")


def moved(store: Objects, model: str, found: Evaluation) -> str:
    """Return in words that another version is stable now than the one that the model was judged against; "" if not.

    Or that the model has another policy. A version of the very same files is no other: a run that is tried again finds
    its own. What was not judged was compared with none.

    Raises:
        InputError: it is the same version, and no longer the same files.
    """
    demands = read_policy(store, model)
    if demands.digest != found.policy:
        judged_by = Demands(demands.policy, found.policy).name
        return f"the model was judged by {judged_by}, and it has {demands.name} now"
    if found.verdict == UNJUDGED:
        return ""
    alias = stable(store, model)
    now = alias.version if alias else None
    if now == found.baseline_version:
        if (
            alias
            and (digest := content_digest(document_bytes(store, manifest_key(model, alias.version))))
            != found.baseline_digest
        ):
            raise InputError(
                f"the manifest of {model}:{alias.version} is {digest}, and was {found.baseline_digest} when the model "
                "was judged against it; somebody changed it, so go back to a version that is whole"
            )
        return ""
    if alias and read_document(store, manifest_key(model, alias.version), Manifest).tree == found.tree:
        return ""
    judged = "none" if found.baseline_version is None else f"version {found.baseline_version}"
    return f"the model was judged against {judged}, and {f'version {now}' if now else 'none'} is stable now"
