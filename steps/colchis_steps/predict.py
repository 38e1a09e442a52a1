"""Ask the served version of a model for a prediction.

Reads   models/<model>/aliases/stable.json  where it answers; --url in its place
        --data                              a row of the test split, or --json: a whole request
Writes  stdout                              the prediction, or the answer as JSON
"""

import argparse
import json
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.keys import alias_key, record_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._models.candidates import find_candidate
from colchis_steps._rollout.local import serving
from colchis_steps._savedmodel.values import plain
from colchis_steps._serving.client import LOCAL, Away, call
from colchis_steps._serving.daemon import endpoint_now
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import printable
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import absolute

if TYPE_CHECKING:
    from colchis_steps._data.dataset import DataSet

log = logging.getLogger("colchis")


def instance_of(data: "DataSet", number: int, inputs: Collection[str] = ()) -> tuple[dict[str, Any], int]:
    """Return the features of a row of the test split, those of ``inputs`` or all, as JSON takes them, and its label.

    Raises:
        InputError: there is no such row.
    """
    if not 0 <= number < (rows := data.rows("test")):
        raise InputError(
            f"row {number} is not in the test split, which has the rows 0 to {rows - 1}; give one of those"
        )
    for shard in data.shards("test"):
        if number < shard.rows:
            columns = data.read(shard)
            row = {name: columns[name][number : number + 1] for name in inputs or data.features}
            return {name: plain(values)[0] for name, values in row.items()}, int(columns[data.manifest.label][number])
        number -= shard.rows
    raise AssertionError("the split has as many rows as its shards")


def in_words(prediction: Any, classes: Sequence[str], label: int) -> str:
    """Return a prediction, its probability and the true label in one line."""
    if not isinstance(prediction, dict) or "class" not in prediction:
        return f"prediction {json.dumps(prediction)}, label {named(classes, label)}"
    found = int(prediction["class"])
    sure = f" (probability {prediction['probability'][found]:.3f})" if "probability" in prediction else ""
    return f"prediction {named(classes, found)}{sure}, label {named(classes, label)}"


def named(classes: Sequence[str], number: int) -> str:
    """Return a class's name, or its number where it has none."""
    return classes[number] if 0 <= number < len(classes) else str(number)


def post(url: str, body: Any) -> Any:
    """Return the answer to a prediction request.

    Raises:
        InputError: the server refuses the request, or the model is not there.
        TransientError: nothing answers, or the model is loading.
    """
    try:
        status, found = call(f"{url}:predict", body)
    except Away as error:
        where = url.split("/")[2]
        start = "start it with: colchis models start" if where.rpartition(":")[0] in LOCAL else "start it"
        raise TransientError(f"no model server answers at {where}; {start}") from error
    if status == 200:
        return found
    reason = found.get("error", found) if isinstance(found, dict) else "an answer that is not JSON"
    if status in {429, 503}:
        raise TransientError(f"the server answers {status}: {str(reason)[:512]}")
    raise InputError(f"the server answers {status}: {str(reason)[:512]}")


def request(text: str) -> dict[str, Any]:
    """Parse ``--json``."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f'--json is not JSON ({error}); give for example {{"instances": [[0, 1]]}}') from error
    if not isinstance(found, dict):
        raise InputError('--json is not an object; give for example {"instances": [[0, 1]]}')
    return found


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.predict"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.predict digits --row 7",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", metavar="MODEL")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--row", type=int, default=0, metavar="N", help="row of the test split (default: %(default)s)")
    what.add_argument("--json", metavar="REQUEST", help='a request of one\'s own: {"instances": [...]}')
    p.add_argument(
        "--data", metavar="URI", help="data set that the row is of; default: the one of the version's record"
    )
    p.add_argument("--url", metavar="URL", help="the model's endpoint; default: the one in the alias stable")
    p.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    p.add_argument("--show-instance", action="store_true", help="print the row as JSON and ask nothing")
    return p


def _stable(store: Objects, model: str) -> Alias:
    alias = find_document(store, alias_key(model, "stable"), Alias)
    if alias is None or not alias.endpoint:
        raise InputError(f"no version of {model} is served from {store.url}; serve one with: colchis run")
    return alias


def _inputs(store: Objects, model: str, data: "DataSet") -> list[str]:
    """Return the columns that the stable version takes, which may leave out some; all where nothing is known."""
    alias = find_document(store, alias_key(model, "stable"), Alias)
    record = alias and find_document(store, record_key(model, alias.version), Record)
    candidate = record and find_candidate(store, record.run)
    taken = candidate.signature.get("inputs", {}) if candidate else {}
    return [name for name in data.features if name in taken] if taken.keys() <= data.features.keys() else []


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Ask, and print the answer."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    if args.json is not None:
        body = request(args.json)
        url = args.url or endpoint_now(serving(), _stable(store, args.model).endpoint)
        return print(json.dumps(post(url.rstrip("/"), body)))
    from colchis_steps._data.dataset import open_data

    uri = args.data
    if not uri:
        version = _stable(store, args.model).version
        uri = absolute(store, read_document(store, record_key(args.model, version), Record).data)
    data = open_data(uri)
    instance, label = instance_of(data, args.row, _inputs(store, args.model, data))
    if args.show_instance:
        return print(json.dumps(next(iter(instance.values())) if len(instance) == 1 else instance))
    url = args.url or endpoint_now(serving(), _stable(store, args.model).endpoint)
    answer = post(url.rstrip("/"), {"instances": [instance]})
    return print(printable(in_words(answer["predictions"][0], data.classes, label)))


if __name__ == "__main__":
    raise SystemExit(main())
