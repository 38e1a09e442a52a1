"""Ask the served version of a model for a prediction.

Reads   models/<model>/aliases/stable.json  where it answers; --url in its place
        --data    a row of the test split; or --json: a whole request; or --from: rows of a file, folder or URL
Writes  stdout    the prediction, the answer as JSON, or a table
        --to      in place of the table: the rows with their answers, as CSV, JSON lines or Parquet
"""

import argparse
import json
import logging
import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._asking.rows import batches, requests
from colchis_steps._asking.served import describe, post
from colchis_steps._asking.words import columns_of, in_words
from colchis_steps._asking.writing import check_target, writing
from colchis_steps._data.arrays import MASK, VALID
from colchis_steps._formats.keys import alias_key, manifest_key, record_key
from colchis_steps._formats.models import Alias, Manifest, Record
from colchis_steps._models.binding import golden_of
from colchis_steps._models.candidates import find_candidate
from colchis_steps._rollout.local import serving
from colchis_steps._serving.daemon import endpoint_now
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import printable
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import absolute
from colchis_steps._tensors.values import plain

if TYPE_CHECKING:
    import numpy as np

    from colchis_steps._data.dataset import DataSet

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger("colchis")


def instance_of(data: "DataSet", number: int, inputs: Collection[str] = ()) -> tuple[dict[str, Any], Any]:
    """Return the features of a row of the test split, those of ``inputs`` or all, as JSON takes them, and its label.

    The columns are those of the data: a null is null, and a row of any length has its own. The label is as training
    has it, in lists and numbers; None where there is none.

    Raises:
        InputError: there is no such row.
    """
    if not 0 <= number < (rows := data.rows("test")):
        raise InputError(
            f"row {number} is not in the test split, which has the rows 0 to {rows - 1}; give one of those"
        )
    for shard in data.shards("test"):
        if number < shard.rows:
            row = {name: values[number : number + 1] for name, values in data.read(shard).items()}
            names = [column.name for column in data.manifest.of_role("feature")]
            wanted = [name for name in names if not inputs or name in inputs]
            label = plain(row[data.manifest.label])[0] if data.task.target else None
            return {name: _told(name, row) for name in wanted}, label
        number -= shard.rows
    raise AssertionError("the split has as many rows as its shards")


def _told(name: str, row: "Mapping[str, Array]") -> Any:
    """Return a column's value of a row of one, as a client tells it."""
    if name + VALID in row and not row[name + VALID][0]:
        return None
    value = plain(row[name])[0]
    if name + MASK in row:
        value = value[: int(row[name + MASK][0].sum())]
    return _whole(value)


def _whole(value: Any) -> Any:
    """Return a value with null in the place of NaN, which JSON has not."""
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


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
        epilog="example: python -m colchis_steps.predict penguins --from rows.csv --to answers.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", metavar="MODEL")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--row", type=int, default=0, metavar="N", help="row of the test split (default: %(default)s)")
    what.add_argument("--json", metavar="REQUEST", help='a request of one\'s own: {"instances": [...]}')
    what.add_argument("--from", metavar="PATH", help="rows: CSV, Parquet, Arrow or npz; a path, s3:// or https://")
    p.add_argument(
        "--to", type=Path, metavar="FILE", help="where --from's rows go with their answers: .csv, .jsonl, .parquet"
    )
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
    """Return the inputs that the stable version takes, which may leave out some; none where nothing is known."""
    alias = find_document(store, alias_key(model, "stable"), Alias)
    record = alias and find_document(store, record_key(model, alias.version), Record)
    candidate = record and find_candidate(store, record.run)
    taken = candidate.signature.get("inputs", {}) if candidate else {}
    return [name for name in data.features if name in taken] if taken.keys() <= data.features.keys() else []


def kept_row(store: Objects, model: str, number: int) -> dict[str, Any]:
    """Return a row that the stable version answered when it was adopted without data. Raises InputError."""
    version = _stable(store, model).version
    golden = golden_of(store, read_document(store, record_key(model, version), Record))
    rows = list(zip(*golden.inputs.values(), strict=True)) if golden else []
    if golden is None or not 0 <= number < len(rows):
        raise InputError(
            f"{model}:{version} was adopted without data, and row {number} is none of the {len(rows)} kept ones; give "
            "a request of your own as --json, or rows as --from"
        )
    return dict(zip(golden.inputs, rows[number], strict=True))


def answer_file(place: str, url: str, to: Path | None) -> None:
    """Ask all rows of a file, and print or write the answers.

    Raises:
        InputError: the file is none of rows that the model takes, or --to cannot be written.
    """
    check_target(to)
    asked, count = describe(url), 0
    with tempfile.TemporaryDirectory(prefix="colchis-") as directory, writing(to) as write:
        for batch, rows in batches(place, asked, Path(directory)):
            found = [answer for part in requests(rows) for answer in post(url, {"instances": part})["predictions"]]
            write(batch, [columns_of(answer, asked.classes, asked.task) for answer in found])
            count += len(rows)
    if to:
        log.info("%d rows with their answers are in %s", count, to)


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Ask, and print the answer."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    if args.json is not None:
        body = request(args.json)
        url = args.url or endpoint_now(serving(), _stable(store, args.model).endpoint)
        return print(json.dumps(post(url.rstrip("/"), body)))
    if place := vars(args)["from"]:
        url = args.url or endpoint_now(serving(), _stable(store, args.model).endpoint)
        return answer_file(place, url.rstrip("/"), args.to)
    from colchis_steps._data.dataset import open_data

    uri, version = args.data, 0
    if not uri:
        version = _stable(store, args.model).version
        uri = absolute(store, read_document(store, record_key(args.model, version), Record).data)
    if uri:
        data = open_data(uri)
        instance, label = instance_of(data, args.row, _inputs(store, args.model, data))
        classes, task = data.classes, data.task.kind
    else:
        made = read_document(store, manifest_key(args.model, version), Manifest)
        instance, label = kept_row(store, args.model, args.row), None
        classes, task = made.classes or (), made.task
    if args.show_instance:
        return print(json.dumps(next(iter(instance.values())) if len(instance) == 1 else instance))
    url = args.url or endpoint_now(serving(), _stable(store, args.model).endpoint)
    answer = post(url.rstrip("/"), {"instances": [instance]})
    return print(printable(in_words(answer["predictions"][0], classes, label, task)))


if __name__ == "__main__":
    raise SystemExit(main())
