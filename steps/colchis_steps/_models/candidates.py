"""A run's candidate: the model that was trained, until upload makes it a version."""

from colchis_steps._formats.keys import candidate_key, candidate_prefix, earlier_candidate_key
from colchis_steps._formats.models import Candidate
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document
from colchis_steps._store.opening import open_store


def find_candidate(store: Objects, run: str) -> Candidate | None:
    """Return the run's candidate, an earlier release's too; None where there is none. Raises Unreadable."""
    found = find_document(store, candidate_key(run), Candidate)
    return found or find_document(store, earlier_candidate_key(run), Candidate)


def read_candidate(store: Objects, run: str) -> Candidate:
    """Return the run's candidate. Raises NotFound, or Unreadable."""
    return find_candidate(store, run) or read_document(store, candidate_key(run), Candidate)


def blobs_of(store: Objects, run: str) -> Objects:
    """Return the store at the prefix where the run's training puts its model's blobs."""
    return open_store(f"{store.url}/{candidate_prefix(run)}")


def home_of_blobs(store: Objects, candidate: Candidate) -> Objects:
    """Return the store that has the candidate's blobs."""
    return blobs_of(store, candidate.run) if candidate.beside else store
