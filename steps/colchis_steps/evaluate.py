"""Decide whether a trained model may ship: the exported SavedModel against thresholds and against the served version.

Reads   runs/<run>/candidate/, the version that the model's alias stable names, the data's test split; the user's code
Writes  runs/<run>/evaluate.json; --verdict-path gets pass, fail or undecided: a no is a result, not an error;
        unjudged, where an adopted model comes without data
        --tree-path, --evaluation-path, --golden-path, --baseline-path: what was judged, for later steps to hold
        runs/<run>/golden.json: some rows and what the model answers; a rollout asks them again of what is served
        evaluations/<tree>/<data>/…: what the candidate did, row by row
        runs/<run>/confirmed.json: the blobs that were read and verified, so that upload need not

In a pod its parts have a container each: a model is a program, and so are metrics of one's own; what runs them has no
key.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from colchis_steps._content.confirmed import confirm
from colchis_steps._evaluation.again import UNKNOWN, judged_again
from colchis_steps._evaluation.ask import ask
from colchis_steps._evaluation.fetch import GIVEN, allowed_operations, fetch
from colchis_steps._evaluation.judging import judged
from colchis_steps._evaluation.own import check_function, measure
from colchis_steps._formats.evaluation import Given
from colchis_steps._formats.keys import golden_key
from colchis_steps._formats.numbers import written
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.verdict import PUBLISHED, baseline_name, evaluation_digest
from colchis_steps._step.errors import InputError, Rejected
from colchis_steps._step.flags import boolean, operations, prog, run_flags
from colchis_steps._step.main import alive_pipe, entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import progress
from colchis_steps._store.documents import Recorder, find_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.refusal import is_refused, refused

PARTS = ("fetch", "ask", "measure", "judge", "again")
PLACES = {"part", "given", "answers", "measured", "evaluation"}  # flags that a record need not have
log = logging.getLogger("colchis")


def outputs(details: Evaluation) -> dict[str, str]:
    """Return what goes on to later steps by the workflow's arguments, where no writer of the bucket can change it."""
    return {
        "verdict": details.verdict,
        "tree": details.tree,
        "evaluation": evaluation_digest(msgspec.json.decode(written(details))),
        "golden": details.golden,
        "baseline": baseline_name(details.baseline_version, details.baseline_digest),
    }


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.evaluate"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.evaluate --store file:///tmp/store --run demo --model digits "
        '--data file:///tmp/store/data/digits/0123456789abcdef --thresholds \'{"accuracy": {"min": 0.95}}\'',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory; empty: of an adopted model")
    p.add_argument(
        "--thresholds",
        default="",
        metavar="JSON",
        help="bounds by metric: min, max, confidence, not_worse, better, min_change, max_change (default: by the task)",
    )
    p.add_argument(
        "--metrics", default="", metavar="MODULE:FUNCTION", help="a function of yours that gives more figures"
    )
    p.add_argument("--code", default="", metavar="URI", help="the code that has the metrics, as push_code printed it")
    p.add_argument(
        "--first-model", choices=("accept", "reject"), default="accept", help="what a lack of baseline means"
    )
    p.add_argument(
        "--fail-on-reject", type=boolean, default=False, metavar="BOOL", help="end with 3 unless the verdict is pass"
    )
    p.add_argument(
        "--serve-options", default="{}", metavar="JSON", help="how it is to be served: its allow_operations hold here"
    )
    p.add_argument("--tree", default="", metavar="DIGEST", help="what train made; another candidate is refused")
    p.add_argument(
        "--data-digest", default="", metavar="DIGEST", help="what validate-data passed; other data is refused"
    )
    p.add_argument(
        "--part",
        choices=PARTS,
        help="do one part alone, in a container of its own: those but ask and measure have a key; again judges once "
        "more, by what is kept row by row (default: all but again)",
    )
    p.add_argument(
        "--evaluation", default="", metavar="DIGEST", help="with --part=again: what evaluate found; else both are asked"
    )
    p.add_argument("--given", type=Path, metavar="DIR", help="with --part: what was fetched")
    p.add_argument("--answers", type=Path, metavar="DIR", help="with --part: what the models answered")
    p.add_argument("--measured", type=Path, metavar="DIR", help="with --part: what metrics of one's own gave")
    p.add_argument(
        "--allow-operations", type=operations, default=(), metavar="NAMES", help="TensorFlow's, that may reach out"
    )
    p.add_argument(
        "--verdict-path", type=Path, metavar="PATH", help="gets pass, fail or undecided; of again also unknown"
    )
    for name in ("tree", "evaluation", "golden"):
        p.add_argument(f"--{name}-path", type=Path, metavar="PATH", help=f"where to write the digest of the {name}")
    p.add_argument("--baseline-path", type=Path, metavar="PATH", help="where to write N@digest, or none")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Do all of it here, or one part."""
    p = parser()
    args = p.parse_args(argv)
    if args.part == "again":
        return conclude_again(args)
    if args.part and not (args.given and args.answers and args.measured):
        p.error("--part needs --given=DIR, --answers=DIR and --measured=DIR")
    with contextlib.ExitStack() as stack:
        if not args.part:
            top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            args.given, args.answers, args.measured = top / "given", top / "answers", top / "measured"
        if args.part in {None, "fetch"}:
            progress(0, 2)
            with refused(args.given):
                _check_flags(args)
                if args.metrics:
                    check_function(args.metrics)
                fetch(args, open_store(args.store), args.given)
        if args.part in {None, "ask"} and not is_refused(args.given):
            with refused(args.answers):
                ask(args.run, args.data, args.given, args.answers, allowed_operations(args))
            progress(1, 2)
        if not args.part and args.metrics:
            _measure_apart(args)
        if args.part == "measure" and not (is_refused(args.given) or is_refused(args.answers)):
            with refused(args.measured):
                measure(args.metrics, args.data, args.given, args.answers, args.measured)
        if args.part in {None, "judge"}:
            conclude(args)
    return None


def _check_flags(args: argparse.Namespace) -> None:
    """Raise InputError where something is to be judged, and no data to judge it by."""
    if not args.data and (args.thresholds.strip() not in {"", "{}"} or args.metrics):
        raise InputError("thresholds or metrics are given, and no data to judge by; give --data, or leave them out")


def _measure_apart(args: argparse.Namespace) -> None:
    """Run metrics of one's own in a process of their own, whose environment names no key."""
    flags = [f"--{name}={vars(args)[name]}" for name in ("store", "run", "model", "data", "metrics")]
    places = [f"--{name}={vars(args)[name]}" for name in ("given", "answers", "measured")]
    with alive_pipe() as (environment, descriptors):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        command = [sys.executable, "-m", "colchis_steps.evaluate", "--part=measure", *flags, *places]
        done = subprocess.run(command, env={**kept, **environment}, pass_fds=tuple(descriptors), check=False)
    if done.returncode:
        raise InputError(f"metrics {args.metrics!r} ended with {done.returncode}; see what they say above")


def conclude(args: argparse.Namespace) -> None:
    """Judge and write the verdict down. Raises as ``tell``."""
    store, given = open_store(args.store), find_document(open_store(args.given.as_uri()), GIVEN, Given)
    flags = {name: value for name, value in vars(args).items() if name not in PLACES}
    with recorded(store, args.run, "evaluate", flags, began=given.began if given else None) as recorder:
        details, golden = judged(args, store)
        store.write(golden_key(args.run), golden)
        if given:
            confirm(store, args.run, given.blobs)
        note(args, recorder, details)
    progress(2, 2)
    tell(args, details)


def conclude_again(args: argparse.Namespace) -> None:
    """Judge what was judged before against what is stable now, and write that down in its place, as ``conclude`` does.

    Where that cannot be told by what is kept, the verdict is unknown, and what was found before stays.
    """
    store = open_store(args.store)
    details = judged_again(args, store)
    if details is None:
        write_output(args.verdict_path, UNKNOWN)
        return
    flags = {name: value for name, value in vars(args).items() if name not in PLACES}
    with recorded(store, args.run, "evaluate", flags) as recorder:
        note(args, recorder, details)
    tell(args, details)


def reasons_of(details: Evaluation) -> list[str]:
    """Return why the verdict is no pass."""
    severity = "error" if details.verdict == "fail" else "undecided"
    return [check.reason for check in details.checks if not check.passed and check.severity == severity]


def note(args: argparse.Namespace, recorder: Recorder, details: Evaluation) -> None:
    """Write down what was found, and hand it on."""
    recorder.verdict, recorder.details, recorder.outputs = details.verdict, details, outputs(details)
    recorder.message = "; ".join(reasons_of(details))
    for name, value in recorder.outputs.items():
        write_output(vars(args)[f"{name}_path"], value)


def tell(args: argparse.Namespace, details: Evaluation) -> None:
    """Say how it ended. Raises Rejected where it is no pass and the caller asked for that."""
    reasons = reasons_of(details)
    for check in details.checks:
        if not check.passed and check.severity == "warn":
            log.warning("%s", check.reason)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in details.metrics.items())
    log.info("%s: %s%s", details.verdict, figures, f" ({'; '.join(reasons)})" if reasons else "")
    if details.verdict not in PUBLISHED and args.fail_on_reject:
        raise Rejected(
            f"the gate rejects the model: {'; '.join(reasons)}; train a better one, or change the thresholds"
            if details.verdict == "fail"
            else f"the gate cannot tell whether the model may ship: {'; '.join(reasons)}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
