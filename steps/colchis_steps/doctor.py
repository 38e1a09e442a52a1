"""Check a cluster, a bucket and a registry before the first run, and say the fix of each finding.

Reads   the cluster of $KUBECONFIG (a pod is sent as a dry run; Secrets' values by --keys alone), --store, --repository
Writes  a line a check to stdout (--json: a list); in the store a probe and in the registry an upload, both removed
"""

import argparse
import dataclasses
import importlib.metadata
import json
import re
from collections.abc import Sequence

from colchis_steps._doctor.checks import Finding, findings
from colchis_steps._doctor.facts import BACKENDS, gather
from colchis_steps._doctor.keys import try_keys
from colchis_steps._doctor.network import enforcer, network
from colchis_steps._doctor.places import try_registry, try_store
from colchis_steps._doctor.records import external_versions
from colchis_steps._doctor.signing import signing, unsigned_versions
from colchis_steps._doctor.submitting import referencing, submitters
from colchis_steps._kube.api import Api
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.flags import prog
from colchis_steps._step.main import entrypoint

SIGNS = {"fine": "✓", "wrong": "✗", "skipped": "\N{EN DASH}", "away": "✗"}


def examine(namespace: str, gateway: str, backend: str, keys_of: str | None = None) -> list[Finding]:
    """Return the findings about the cluster, with its keys of the store ``keys_of``; where it is away, that alone."""
    try:
        api = Api(namespace)
        facts = gather(api, gateway, backend)
        more = [signing(facts), submitters(*referencing(api)), network(enforcer(api, facts.release))]
        more += [] if keys_of is None else try_keys(api, keys_of)
    except (InputError, TransientError) as error:
        what, _, fix = str(error).partition("; ")
        return [Finding("API server", "away" if isinstance(error, TransientError) else "wrong", what, fix)]
    return [*findings(facts, importlib.metadata.version("colchis")), *more]


def lines(found: Sequence[Finding]) -> list[str]:
    """Write the findings for a person: a line a check, and below it the fix where there is one."""
    width = max(len(finding.name) for finding in found)
    written: list[str] = []
    for finding in found:
        written.append(f"{SIGNS[finding.state]} {finding.name:{width}}  {finding.text}")
        if finding.fix:
            written.append(f"  {'':{width}}  → {finding.fix}")
    return written


def verdict(found: Sequence[Finding]) -> None:
    """End as the findings say.

    Raises:
        InputError: something is wrong that has a fix here.
        TransientError: nothing is, but something is away.
    """
    wrong = [finding.name for finding in found if finding.state == "wrong"]
    away = [finding.name for finding in found if finding.state == "away"]
    if wrong:
        raise InputError(
            f"{len(wrong) + len(away)} of {len(found)} checks fail; do what the arrows say, then run again"
        )
    if away:
        raise TransientError(
            f"{', '.join(away)}: no answer; the other checks are fine, so run this again when it is back"
        )


def gateway_name(text: str) -> str:
    """Parse NAMESPACE/NAME."""
    if not re.fullmatch(r"[a-z0-9.-]+/[a-z0-9.-]+", text):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is not a gateway; give NAMESPACE/NAME")
    return text


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.doctor"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: colchis doctor --namespace ml --store s3://colchis --repository registry.example/models\n\n"
        "exit codes: 0 all is fine, 65 a finding with its fix, 75 something is away",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("-n", "--namespace", default="", metavar="N", help="default: that of the kubeconfig's context")
    p.add_argument("--store", default="", metavar="URL", help="try this bucket from here, with the SDK's credentials")
    p.add_argument(
        "--keys", action="store_true", help="read the Secrets' keys, and try what each can and cannot do in --store"
    )
    p.add_argument("--repository", default="", metavar="REF", help="try to push there from here, with Docker's login")
    p.add_argument("--insecure-registry", action="store_true", help="the registry has no TLS")
    p.add_argument("--gateway", type=gateway_name, metavar="NS/NAME", help="default: the ConfigMap's")
    p.add_argument(
        "--backend", choices=("local", *BACKENDS), default="local", help="what will train (default: local, in one pod)"
    )
    p.add_argument("--json", action="store_true", help="print a JSON list of findings")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Check all, print all, then end as the worst finding says."""
    args = parser().parse_args(argv)
    found = [
        *examine(args.namespace, args.gateway or "", args.backend, args.store if args.keys else None),
        *try_store(args.store),
        *external_versions(args.store),
        *unsigned_versions(args.store),
        try_registry(args.repository, insecure=args.insecure_registry),
    ]
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines(found)))
    verdict(found)


if __name__ == "__main__":
    raise SystemExit(main())
