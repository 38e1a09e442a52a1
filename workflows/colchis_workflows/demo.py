"""``colchis demo``: from real data to a served prediction on this machine, and stop cleanly.

It types what a person would: make a key that signs, import the data, push the example's code, run the pipeline, ask the
model.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from colchis_workflows._runs.curl import curl_line

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "01-digits"
MODEL = "digits"
HYPERPARAMETERS = {"epochs": 15, "global_batch": 32, "seed": 7}
THRESHOLDS = {"accuracy": {"min": 0.95, "not_worse": 0.03}, "recall/*": {"min": 0.85}}


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis demo",
        description="Train on real digits with two workers, gate, publish, pack, serve and ask the model.",
        epilog="example:\n  colchis demo --keep      keep serving afterwards; `colchis models stop` ends it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--keep", action="store_true", help="keep serving afterwards")
    p.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; its exit code is that of the first command that fails."""
    args = parser().parse_args(argv)
    began = time.monotonic()
    if not EXAMPLE.is_dir():
        print(f"{EXAMPLE} is absent; the demo runs from a checkout of Colchis", file=sys.stderr)
        return 65
    home = Path(os.environ.get("COLCHIS_HOME", ".colchis")).resolve()
    store = (home / "store").as_uri()
    run = f"demo-{uuid.uuid4().hex[:8]}"
    was_serving = any(line.endswith("  yes") for line in _ask("models", "list", quiet=True).splitlines())
    keys = Path(os.environ.get("COLCHIS_KEYS") or home / "keys")
    try:
        if not any((keys / name).exists() for name in ("private.pem", "uri")):
            # what an earlier demo left unsigned goes on serving
            first = not any(home.glob("store/models/*/*/record.json"))
            _ask("keys", "make", "--name=demo", f"--required={str(first).lower()}")
        data = _ask("data", "import", "digits", "--to", store)
        code = _ask("push-code", str(EXAMPLE), "--store", store)
        arguments = {
            "model": MODEL,
            "data": data,
            "store": store,
            "code": code,
            "entry": "digits:build",
            "workers": str(args.workers),
            "hyperparameters": json.dumps(HYPERPARAMETERS),
            "thresholds": json.dumps(THRESHOLDS),
        }
        sets = [part for name, value in arguments.items() for part in ("--set", f"{name}={value}")]
        _colchis("run", "--run", run, *sets, capture=False)
        answer = _ask("predict", MODEL, "--row", "0")
    except subprocess.CalledProcessError as error:
        return error.returncode
    results = home / "store" / "runs" / run
    accuracy = json.loads((results / "evaluate.json").read_text())["details"]["metrics"]["accuracy"]
    endpoint = json.loads((results / "rollout.json").read_text())["outputs"]["endpoint"]
    instance = json.loads(_ask("predict", MODEL, "--row", "0", "--show-instance"))
    print(f"\nasked for a prediction: {answer}")
    print(f"\nServed in {time.monotonic() - began:.0f} s, accuracy {accuracy:.3f} on held-out digits.\n")
    print(f"  draw a digit  {endpoint.partition('/v1/')[0]}/board/{MODEL}")
    print(f"  the report    {_short(results / 'report.html')}")
    print(f"  ask it        {curl_line(endpoint, instance)}")
    print(f"  signed by     {_signature()}")
    print(f"  verify it     colchis verify {MODEL} --key {_short(keys / 'public.pem')}\n")
    if args.keep or was_serving:
        print("It keeps serving; `.venv/bin/colchis models stop` ends it.")
        return 0
    if sys.stdin.isatty():
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            input("Press Enter to stop serving. ")
    _colchis("models", "stop", capture=False)
    print("Stopped. `make demo KEEP=1` keeps serving.")
    return 0


def _signature() -> str:
    """Return who signed the model, as explain says it, in short."""
    (told,) = json.loads(_ask("explain", MODEL, "--json"))
    signed = [f"{seal['name']} (key {seal['key'][:16]})" for seal in told["signatures"] if not seal["fault"]]
    return ", ".join(signed) or "nobody"


def _short(path: Path) -> Path:
    """Return the path as seen from here, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _ask(*words: str, quiet: bool = False) -> str:
    return _colchis(*words, quiet=quiet).stdout.strip()


def _colchis(*words: str, capture: bool = True, quiet: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run ``colchis words…``: its output comes back where ``capture`` says so; ``quiet`` hides its logs."""
    return subprocess.run(
        [sys.executable, "-m", "colchis_workflows.cli", *words],
        check=True,
        text=True,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.DEVNULL if quiet else None,
    )


if __name__ == "__main__":
    raise SystemExit(main())
