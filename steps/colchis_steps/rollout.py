"""Serve a version of a model beside the stable one, judge it, and make it the stable one, or go back.

Reads   models/<model>/<n>/{manifest,record}.json  only a published version is served
        --image                                    by digest, the one of the record
        runs/<run>/golden.json                     what the model answered when it was judged, asked again
Writes  models/<model>/aliases/{canary,stable}.json  by steps; stable after the version has answered and is as good
        models/<model>/rollouts/<run>.json         each step's figures and the verdict
        --target=deployment                        a Deployment and a Service a version, one HTTPRoute a model
        --endpoint-path, --verdict-path, --waiting-path  where it answers; pass or fail; whether it waits for approval
"""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._formats.runs import RolloutReport
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.route import MOST_RULES, Traffic, rule_count
from colchis_steps._manifests.serve_options import serve_options
from colchis_steps._models.policy import check_operations_allowed, read_policy
from colchis_steps._rollout import cluster, flags, local
from colchis_steps._rollout.canary import Plan
from colchis_steps._rollout.judge import tolerances
from colchis_steps._rollout.options import Options
from colchis_steps._rollout.rendered import RENDERED, rendered
from colchis_steps._rollout.rollback import roll_back
from colchis_steps._rollout.targets.table import TARGETS
from colchis_steps._rollout.versions import Place
from colchis_steps._step.errors import InputError, Rejected
from colchis_steps._step.flags import boolean, model_name, positive, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import recorded
from colchis_steps._store.opening import open_store

BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
log = logging.getLogger("colchis")


def by_digest(image: str) -> str:
    """Return the reference back. Raises InputError where it is a tag, which may name another image tomorrow."""
    if not BY_DIGEST.fullmatch(image):
        raise InputError(
            f"the image {image!r} is not named by its digest; give REPOSITORY@sha256:…, as build_image does"
        )
    return image


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.rollout"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.rollout --store=file:///tmp/store --run=r1 --model=digits --version=2 "
        "--image=oci:/tmp/images/digits@sha256:…",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, metavar="NAME")
    p.add_argument("--version", required=True, type=positive, metavar="N", help="what to serve, or to go back from")
    p.add_argument("--image", default="", metavar="REF", help="the model's image by digest")
    p.add_argument("--record", default="", metavar="DIGEST", help="of the version's record, as register gave it")
    p.add_argument("--target", choices=["local", *TARGETS, *RENDERED], default="local")
    p.add_argument("--runtime", choices=["embedded", "tensorflow-serving"], default="embedded")
    p.add_argument("--action", choices=["canary", "promote", "rollback"], default="promote")
    p.add_argument(
        "--port", type=positive, metavar="N", help="local server's; default: $COLCHIS_PORT, or the home's own"
    )
    traffic = p.add_argument_group("--action=canary, on a cluster", "who gets which version, and what is tolerated")
    traffic.add_argument(
        "--steps", type=flags.steps, default=(10, 30, 100), metavar="PERCENT,…", help="default: 10,30,100"
    )
    traffic.add_argument("--split", type=flags.split, metavar="N=PERCENT,…", help="fixed shares in the place of steps")
    traffic.add_argument(
        "--headers", type=flags.headers, default=(), metavar="NAME: VALUE=N;…", help="routes by header"
    )
    traffic.add_argument(
        "--sticky",
        type=flags.header,
        default="",
        metavar="HEADER",
        help="share out by its last two hex digits, so that who has a version keeps it",
    )
    traffic.add_argument(
        "--mirror", type=boolean, default=False, metavar="BOOL", help="true: the canary gets copies of all requests"
    )
    traffic.add_argument(
        "--testers", type=boolean, default=False, metavar="BOOL", help="true: requests may name the canary (false)"
    )
    traffic.add_argument(
        "--approval",
        choices=["auto", "manual"],
        default="auto",
        help="manual: stop before 100 %% and wait for --action=promote or rollback",
    )
    traffic.add_argument(
        "--tolerances", default="{}", metavar="JSON", help="errors, latency, disagreement, distribution"
    )
    traffic.add_argument("--step-seconds", type=positive, default=30, metavar="N", help="at least, a step (30)")
    traffic.add_argument("--judge-seconds", type=positive, default=600, metavar="N", help="at most, a step (600)")
    p.add_argument(
        "--fail-on-reject", type=boolean, default=False, metavar="BOOL", help="end with 3 on the verdict fail"
    )
    on_cluster = p.add_argument_group("--target=deployment or kserve", "the cluster is $KUBECONFIG's, or the pod's own")
    on_cluster.add_argument("--namespace", default="", metavar="NAME", help="default: the context's, or the pod's own")
    on_cluster.add_argument("--serve-image", default="", metavar="REF", help="the model server's image")
    on_cluster.add_argument(
        "--model-volume",
        choices=["image", "copy", "storage"],
        default="image",
        help="mount the model's image (Kubernetes 1.35, the default), copy the model out of it (any), or let KServe's "
        "storage container fetch it from the store",
    )
    on_cluster.add_argument(
        "--insecure-registry",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: copy over plain HTTP (default: false)",
    )
    on_cluster.add_argument("--serve-options", default="{}", metavar="JSON", help="how many pods, what each asks for")
    on_cluster.add_argument(
        "--preheat",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: bring the model's image to all nodes first (default: false)",
    )
    on_cluster.add_argument("--gateway", default="", metavar="NAMESPACE/NAME", help="default: $COLCHIS_GATEWAY")
    on_cluster.add_argument("--gateway-url", default="", metavar="URL", help="default: $COLCHIS_GATEWAY_URL")
    on_cluster.add_argument(
        "--ready-seconds", type=positive, default=600, metavar="N", help="for the pods to be ready (default: 600)"
    )
    p.add_argument("--endpoint-path", type=Path, metavar="FILE", help="gets the model's URL")
    p.add_argument("--verdict-path", type=Path, metavar="FILE", help="gets pass, or fail where it was refused")
    p.add_argument("--waiting-path", type=Path, metavar="FILE", help="gets true where it waits for an approval")
    return p


def plan_of(args: argparse.Namespace) -> Plan:
    """Return how the version comes to its traffic."""
    if args.action != "canary":
        return Plan()
    below = tuple(weight for weight in args.steps if weight < 100)
    approval = args.approval == "manual"
    return Plan(
        steps=below or ((0,) if approval else ()),
        split=args.split,
        headers=args.headers,
        sticky=args.sticky,
        mirror=args.mirror,
        testers=args.testers,
        approval=approval,
        tolerances=tolerances(args.tolerances),
        seconds=args.step_seconds,
        deadline=args.judge_seconds,
    )


def demanded(store: Objects, args: argparse.Namespace) -> None:
    """Let the model's policy ask for an approval, whatever the run says.

    Raises:
        InputError: the run shares traffic out without one, or allows a model operations that the policy does not.
    """
    demands = read_policy(store, args.model)
    check_operations_allowed(demands, args.model, tuple(serve_options(args.serve_options).allow_operations))
    if args.action != "canary" or demands.policy.approval == "auto":
        return
    if args.split:
        raise InputError(
            f"--split gives version {args.version} traffic without an approval, which {demands.name} of {args.model} "
            "demands; roll it out by --steps"
        )
    if args.approval == "auto":
        log.info("%s of %s asks for an approval: the version waits before it has all traffic", demands.name, args.model)
        args.approval = "manual"


def change(store: Objects, args: argparse.Namespace) -> RolloutReport:
    """Roll out, or back, where ``--target`` says."""
    back = args.action == "rollback"
    image = "" if back else by_digest(args.image)
    if args.target == "local":
        if back:
            return local.roll_back(store, args.run, args.model, withdrawn=args.version, to=None)
        return local.roll_out(
            store,
            args.run,
            args.model,
            version=args.version,
            image=image,
            port=args.port,
            registered=args.record,
            approval=args.action == "canary" and args.approval == "manual",
            allowed=serve_options(args.serve_options).allow_operations,
        )
    try:
        model = model_name(args.model)
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error)) from error
    plan = plan_of(args)
    options = Options(
        serve_image=args.serve_image,
        volume=args.model_volume,
        gateway=args.gateway,
        gateway_url=args.gateway_url,
        insecure=args.insecure_registry,
        runtime=args.runtime,
        preheat=args.preheat,
        pods=serve_options(args.serve_options),
        deadline=args.ready_seconds,
        run=args.run,
        registered=args.record,
    )
    if args.target in RENDERED:
        return rendered(store, args.run, model, args.version, image, form=args.target, options=options, plan=plan)
    place = Place(Cluster(args.namespace), TARGETS[args.target], store, model)
    if back:
        return roll_back(place, args.run, withdrawn=args.version, to=None)
    return cluster.roll_out(place, args.run, version=args.version, image=image, options=options, plan=plan)


def sentence(args: argparse.Namespace, report: RolloutReport) -> str:
    """Return how it went, in one sentence."""
    ready, moved = report.seconds_to_ready, report.seconds_to_move
    if args.target in RENDERED:
        return f"nothing is applied: the YAML of {args.model} {args.version} is above, and in runs/{args.run}/"
    if report.verdict == "fail":
        stays = f"version {report.stable} serves" if report.stable else "nothing is served"
        return f"version {args.version} of {args.model} is refused: {report.reason}; {stays}"
    if report.waiting:
        return f"version {args.version} of {args.model} waits for --action=promote or rollback"
    if report.weights:
        shares = ", ".join(f"version {version} {weight} %" for version, weight in report.weights.items())
        return f"{args.model} is shared out: {shares}"
    return f"version {report.stable} of {args.model} answers: ready in {ready:.1f} s, moved in {moved:.1f} s"


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Roll out, or back."""
    p = parser()
    args = p.parse_args(argv)
    if args.runtime != "embedded" and args.target == "local":
        p.error(f"--runtime={args.runtime} needs a cluster; on this machine there is embedded")
    if args.model_volume == "storage" and args.target not in {"kserve", "knative"}:
        p.error("--model-volume=storage goes with --target=kserve, whose controller adds the storage container")
    if args.action == "rollback" and args.target in RENDERED:
        p.error(f"--target={args.target} only writes YAML, so it cannot go back; apply the YAML of the version before")
    if args.split and args.version not in args.split:
        p.error(f"--split gives version {args.version} no share; add {args.version}=0, or more")
    if args.split and args.target in TARGETS:
        stable = next((version for version in args.split if version != args.version), None)
        rules = rule_count(Traffic(args.split, args.headers, args.sticky, stable=stable, testers=args.testers, key="-"))
        if rules > MOST_RULES:
            p.error(
                f"--split, --headers and --sticky make a route of {rules} rules, and a Gateway takes {MOST_RULES}; "
                "give fewer versions or headers, or leave --sticky out"
            )
    store = open_store(args.store)
    with recorded(store, args.run, "rollout", vars(args)) as record:
        demanded(store, args)
        report = change(store, args)
        # a version that was asked to go is one that does not serve, as one that was refused
        verdict = "fail" if args.action == "rollback" else report.verdict
        record.details, record.verdict, record.message = report, verdict, report.reason
        record.outputs = {"endpoint": report.endpoint, "waiting": str(report.waiting).lower()}
        write_output(args.endpoint_path, report.endpoint)
        write_output(args.verdict_path, verdict)
        write_output(args.waiting_path, str(report.waiting).lower())
    log.info("%s", sentence(args, report))
    if args.target not in RENDERED:
        print(report.endpoint)
    if report.verdict == "fail" and args.fail_on_reject:
        raise Rejected(f"{sentence(args, report)}; mend the model, and train it again")


if __name__ == "__main__":
    raise SystemExit(main())
