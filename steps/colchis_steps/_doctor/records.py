"""The versions in a store whose verdict is bound to nothing, since an older release registered them."""

from colchis_steps._doctor.checks import Finding
from colchis_steps._formats.keys import model_prefix, version_of
from colchis_steps._formats.models import Record
from colchis_steps._models.binding import is_external
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.documents import legible_document
from colchis_steps._store.opening import open_store

MOST = 5  # versions that are named


def external_versions(url: str) -> list[Finding]:
    """Return what is to be said of the records in a store; ``url`` may be empty, and a store that is away says so."""
    if not url:
        return []
    try:
        store = open_store(url)
        names = [
            f"{place[0]}:{place[1]}"
            for key in store.keys(model_prefix())
            if (place := version_of(key, "record"))
            and (record := legible_document(store, key, Record))
            and is_external(record)
        ]
    except (InputError, TransientError):
        return []  # the bucket's own finding says it
    if not names:
        return [Finding("records", "fine", "each verdict is bound to what was judged")]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return [
        Finding(
            "records",
            "skipped",
            f"{', '.join(names[:MOST])}{more}: of an older release, whose verdict is bound to nothing",
            "they can be gone back to, not rolled out; a new run of the pipeline makes one that can",
        )
    ]
