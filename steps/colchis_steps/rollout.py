"""Serve a version of a model and make it the stable one, or go back to the one before.

Reads   models/<model>/<n>/{manifest,record}.json  only a published version is served
        --image                                    by digest, the one of the record
Writes  models/<model>/aliases/stable.json         after the version has answered; canary.json goes
        --target=deployment                        a Deployment and a Service a version, one HTTPRoute a model
        --endpoint-path, --verdict-path            where it answers; "pass"
"""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from colchis_steps import _rollout_cluster, _rollout_local
from colchis_steps._kube import Cluster
from colchis_steps._reports import RolloutReport
from colchis_steps._rollout_targets import TARGETS
from colchis_steps._serving_options import serve_options
from colchis_steps._step import InputError, boolean, entrypoint, positive, run_flags, write_output
from colchis_steps._store import Store, model_name, open_store, recorded

BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
log = logging.getLogger("colchis")


def weights(text: str) -> tuple[int, ...]:
    """Parse the percentages of traffic that a canary gets one after the other, such as ``10,30,100``."""
    parts = text.split(",")
    found = tuple(int(part) for part in parts if part.isascii() and part.isdecimal())
    if len(found) != len(parts) or list(found) != sorted(set(found)) or found[0] < 1 or found[-1] != 100:
        raise argparse.ArgumentTypeError(f"{text!r} are not percentages that rise to 100, such as 10,30,100")
    return found


def by_digest(image: str) -> str:
    """Give the reference back. Raises InputError where it is a tag, which may name another image tomorrow."""
    if not BY_DIGEST.fullmatch(image):
        raise InputError(
            f"the image {image!r} is not named by its digest; give REPOSITORY@sha256:…, as build_image does"
        )
    return image


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.rollout",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.rollout --store=file:///tmp/store --run=r1 --model=digits --version=2 "
        "--image=oci:/tmp/images/digits@sha256:…",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, metavar="NAME")
    p.add_argument("--version", required=True, type=positive, metavar="N", help="what to serve, or to go back from")
    p.add_argument("--image", default="", metavar="REF", help="the model's image by digest")
    p.add_argument("--target", choices=["local", "deployment", "kserve", "seldon"], default="local")
    p.add_argument("--runtime", choices=["embedded", "tensorflow-serving"], default="embedded")
    p.add_argument("--action", choices=["canary", "promote", "rollback"], default="promote")
    p.add_argument("--steps", type=weights, default=(10, 30, 100), metavar="PERCENT,…", help="default: 10,30,100")
    p.add_argument("--port", type=positive, metavar="N", help="local server's; default: $COLCHIS_PORT or 8501")
    cluster = p.add_argument_group("--target=deployment or kserve", "the cluster is $KUBECONFIG's, or the pod's own")
    cluster.add_argument("--namespace", default="", metavar="NAME", help="default: the context's, or the pod's own")
    cluster.add_argument("--serve-image", default="", metavar="REF", help="the model server's image")
    cluster.add_argument(
        "--model-volume",
        choices=["image", "copy", "storage"],
        default="image",
        help="mount the model's image (Kubernetes 1.35, the default), copy the model out of it (any), or let KServe's "
        "storage container fetch it from the store",
    )
    cluster.add_argument(
        "--insecure-registry",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: copy over plain HTTP (default: false)",
    )
    cluster.add_argument(
        "--serve-options", default="{}", metavar="JSON", help="what a pod asks for, and how many stay or may be added"
    )
    cluster.add_argument(
        "--preheat",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: bring the model's image to all nodes first (default: false)",
    )
    cluster.add_argument("--replicas", type=positive, metavar="N", help="pods (default: as many as serve it now, or 1)")
    cluster.add_argument("--gateway", default="", metavar="NAMESPACE/NAME", help="default: $COLCHIS_GATEWAY")
    cluster.add_argument("--gateway-url", default="", metavar="URL", help="default: $COLCHIS_GATEWAY_URL")
    cluster.add_argument(
        "--ready-seconds", type=positive, default=600, metavar="N", help="for the pods to be ready (default: 600)"
    )
    p.add_argument("--endpoint-path", type=Path, metavar="FILE", help="gets the model's URL")
    p.add_argument("--verdict-path", type=Path, metavar="FILE", help='gets "pass"')
    return p


def change(store: Store, args: argparse.Namespace) -> RolloutReport:
    """Roll out, or back, where ``--target`` says."""
    back = args.action == "rollback"
    image = "" if back else by_digest(args.image)
    if args.action == "canary":
        log.info("traffic is not split yet: version %d answers everything at once", args.version)
    if args.target == "local":
        if back:
            return _rollout_local.roll_back(store, args.run, args.model, withdrawn=args.version, to=None)
        port = args.port
        return _rollout_local.roll_out(store, args.run, args.model, version=args.version, image=image, port=port)
    try:
        model = model_name(args.model)
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error)) from error
    cluster = Cluster(args.namespace)
    target = TARGETS[args.target]
    if back:
        return _rollout_cluster.roll_back(cluster, target, store, args.run, model, withdrawn=args.version, to=None)
    options = _rollout_cluster.Options(
        serve_image=args.serve_image,
        volume=args.model_volume,
        replicas=args.replicas,
        gateway=args.gateway,
        gateway_url=args.gateway_url,
        insecure=args.insecure_registry,
        runtime=args.runtime,
        preheat=args.preheat,
        pods=serve_options(args.serve_options),
        deadline=args.ready_seconds,
    )
    return _rollout_cluster.roll_out(
        cluster, target, store, args.run, model, version=args.version, image=image, options=options
    )


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Roll out, or back."""
    p = parser()
    args = p.parse_args(argv)
    if args.target == "seldon":
        p.error(f"--target={args.target} is not there yet; there are local, deployment and kserve")
    if args.runtime != "embedded" and args.target == "local":
        p.error(f"--runtime={args.runtime} needs a cluster; on this machine there is embedded")
    if args.model_volume == "storage" and args.target != "kserve":
        p.error("--model-volume=storage goes with --target=kserve, whose controller adds the storage container")
    store = open_store(args.store)
    with recorded(store, args.run, "rollout", vars(args)) as record:
        report = change(store, args)
        record.details, record.verdict = report, "pass"
        record.outputs = {"endpoint": report.endpoint}
        write_output(args.endpoint_path, report.endpoint)
        write_output(args.verdict_path, "pass")
    ready, moved = report.seconds_to_ready, report.seconds_to_move
    log.info("version %d of %s answers: ready in %.1f s, moved in %.1f s", report.stable, args.model, ready, moved)
    print(report.endpoint)


if __name__ == "__main__":
    raise SystemExit(main())
