"""``colchis``: one command for all verbs; those of the steps are run as ``python -m colchis_steps.<module>``.

What concerns templates lives here; the rest knows nothing of workflows, and this knows its command lines only.
"""

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

COMMAND = "COLCHIS_COMMAND"  # tells a step what was typed for it, for its help
HERE = {name: name for name in ("render", "run", "submit", "lint", "demo")} | {"adopt": "adopting"}  # verbs by module
MODULES = {"data": "import_data", "push-code": "push_code"}  # where the module has another name
DATA = {"import": "import_data", "show": "show_data", "infer": "infer_data"}  # what `colchis data` does, by module
GROUPS: dict[str, dict[str, str]] = {
    "Start here": {
        "demo": "train on real digits, serve the model, ask it",
        "run": "run a pipeline's template on this machine",
        "submit": "run a pipeline's template on the cluster",
        "adopt": "serve a model that exists: SavedModel, Keras, ONNX",
        "doctor": "check a cluster, a bucket and a registry before the first run",
        "bucket": "make a store's bucket, and a key for each privilege",
        "predict": "ask a served model",
        "batch": "predict a whole data set, or files of Parquet",
        "policy": "say what a model's owner demands of every version",
        "keys": "make the key that signs versions; say which keys are trusted",
        "verify": "read stored models once more; say what is missing or altered",
        "gc": "free what no version and no young run names",
        "models": "list and show models, and what is served where",
        "rollback": "serve the version before the stable one again, or end a canary",
        "explain": "say where a model comes from, from its digest alone",
        "compare": "say in what two versions or runs differ, and which predictions",
    },
    "Data and code": {
        "data": "data import: files into a store; data show: what is in it; data infer: a schema of it",
        "push-code": "put a directory of code into a store",
    },
    "Templates": {
        "render": "write the templates as YAML",
        "lint": "find what is wrong in Argo YAML before it runs",
    },
    "Steps (what the templates run; each works alone)": {
        "validate-data": "check a data set against its schema and rules",
        "prepare": "make one data set of another by a command of your own",
        "train": "train a model with N workers",
        "evaluate": "judge a trained model",
        "upload": "turn a trained model into a version",
        "build-image": "pack a version as an OCI image",
        "register": "write down where a version came from",
        "rollout": "serve a version",
        "report": "draw a run as one page",
        "serve": "the model server itself",
        "prune": "remove versions that were held for a rollback long enough",
    },
}
EXAMPLES = """\
examples:
  colchis demo
  colchis data import houses --from houses.csv --label price
  colchis run --set data=URI --set workers=2
  colchis adopt wines --from wines.keras --data URI
  colchis lint my-workflows/
  colchis models list
"""


def help_text() -> str:
    """Return what ``colchis --help`` prints."""
    lines = ["usage: colchis VERB …        colchis VERB --help", ""]
    for title, verbs in GROUPS.items():
        lines += [f"{title}:", *(f"  {verb:14} {text}" for verb, text in verbs.items()), ""]
    return "\n".join([*lines, EXAMPLES.rstrip()])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(help_text())
        return 0 if words else 2
    verb, *rest = words
    typed = f"colchis {verb}"
    known = [name for verbs in GROUPS.values() for name in verbs]
    if verb not in known:
        close = difflib.get_close_matches(verb, known, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else "`colchis --help` lists them"
        print(f"colchis: there is no verb {verb!r}; {hint}", file=sys.stderr)
        return 2
    if verb == "rollback":
        verb, rest, typed = "models", ["rollback", *rest], "colchis"
    module = MODULES.get(verb, verb.replace("-", "_"))
    if verb == "data" and rest[:1] and rest[0] in DATA:
        module, typed, rest = DATA[rest[0]], f"{typed} {rest[0]}", rest[1:]
    if verb in HERE:
        return _here(verb, rest)
    return _step(typed, f"colchis_steps.{module}", rest)


def _here(verb: str, rest: Sequence[str]) -> int:
    """Run a verb of this package; what it needs beyond the base installation may be absent."""
    try:
        module = importlib.import_module(f"colchis_workflows.{HERE[verb]}")
    except ModuleNotFoundError as error:
        if (error.name or "colchis").partition(".")[0].startswith("colchis"):
            raise  # our own bug
        fix = "install it with: pip install 'colchis[workflows]'"
        print(f"colchis {verb}: {error.name} is not installed; {fix}", file=sys.stderr)
        return 65
    return int(module.main(rest) or 0)


def _step(typed: str, module: str, rest: Sequence[str]) -> int:  # noqa: RET503 - exec does not come back
    """Become ``python -m module``: signals and the terminal are then the step's own."""
    if importlib.util.find_spec(module) is None:
        print(
            f"{typed}: it is not in this installation ({module} is absent); install all of colchis",
            file=sys.stderr,
        )
        return 2
    sys.stdout.flush()
    environment = {**os.environ, COMMAND: f"{module}={typed}"}
    os.execve(sys.executable, [sys.executable, "-m", module, *rest], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    raise SystemExit(main())
