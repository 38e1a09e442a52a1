"""The workers' meeting: places from the environment, a missing peer named in time, one message for all."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._training.rendezvous import Place, place, rendezvous


@contextlib.contextmanager
def free_addresses(count: int) -> Iterator[tuple[str, ...]]:
    """Ports of this machine that nobody else gets meanwhile."""
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
        yield tuple(f"127.0.0.1:{holder.getsockname()[1]}" for holder in holders)


def meet(addresses: tuple[str, ...], ranks: list[int], seconds: float) -> dict[int, Future[str]]:
    with ThreadPoolExecutor(len(ranks)) as pool:
        return {r: pool.submit(rendezvous, Place(r, addresses), "run", f"from-{r}", seconds) for r in ranks}


def test_all_meet_and_hear_the_chief() -> None:
    with free_addresses(4) as addresses:
        assert {f.result() for f in meet(addresses, [0, 1, 2, 3], 30).values()} == {"from-0"}


def test_a_lone_worker_waits_for_nobody() -> None:
    assert rendezvous(Place(), "run", "7", 0.0) == "7"


def test_missing_worker_is_named_by_all_who_came() -> None:
    with free_addresses(4) as addresses:
        start = time.monotonic()
        found = meet(addresses, [0, 1, 3], 1.0)
        assert time.monotonic() - start < 10
        for future in found.values():
            with pytest.raises(
                TransientError, match=rf"^worker 2 of 4, host {addresses[2]}, not reachable after 1 s; "
            ):
                future.result()


def test_missing_chief_is_named() -> None:
    gone = pytest.raises(TransientError, match=r"worker 0 of 2, host .*, not reachable after 1 s")
    with free_addresses(2) as addresses, gone:
        meet(addresses, [1], 1.0)[1].result()


def test_a_stranger_at_the_address_is_no_peer() -> None:
    with free_addresses(2) as addresses, socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host, _, port = addresses[1].rpartition(":")
        stranger.bind((host, int(port)))
        stranger.listen()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(rendezvous, Place(0, addresses), "run", "x", 1.0)
            stranger.settimeout(10)
            peer, _ = stranger.accept()
            with peer:
                peer.sendall(b"colchis another-run 1\n")
            stranger.close()
            with pytest.raises(TransientError, match="worker 1 of 2"):
                future.result()


def test_a_name_that_does_not_resolve_is_not_reachable() -> None:
    with free_addresses(1) as addresses, pytest.raises(TransientError, match=r"host gone\.invalid:1, not reachable"):
        rendezvous(Place(0, (*addresses, "gone.invalid:1")), "run", "x", 0.5)


def test_an_address_that_is_not_ours_is_said() -> None:
    with free_addresses(1) as addresses, pytest.raises(TransientError, match="cannot listen at its own address"):
        rendezvous(Place(0, ("192.0.2.1:9999", *addresses)), "run", "x", 0.5)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, Place()),
        ({"COLCHIS_ADDRESSES": "a:1,b:2", "COLCHIS_RANK": "1"}, Place(1, ("a:1", "b:2"))),
        ({"COLCHIS_ADDRESSES": "a:1,b:2", "JOB_COMPLETION_INDEX": "0"}, Place(0, ("a:1", "b:2"))),
        ({"COLCHIS_ADDRESSES": "a:1", "COLCHIS_RANK": "0"}, Place()),
        (
            {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'},
            Place(1, ("a:1", "b:2")),
        ),
        (
            {"TF_CONFIG": '{"cluster":{"chief":["c:3"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'},
            Place(1, ("c:3", "a:1")),
        ),
    ],
    ids=["alone", "ours", "indexed job", "one of one", "TF_CONFIG", "TF_CONFIG with chief"],
)
def test_place_comes_from_the_environment(environment: dict[str, str], wanted: Place) -> None:
    assert place(environment) == wanted


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"COLCHIS_ADDRESSES": "a:1,b:2", "COLCHIS_RANK": "2"}, "rank '2' is none of the 2 workers"),
        ({"COLCHIS_ADDRESSES": "a:1,b:2"}, "rank '' is none"),
        ({"COLCHIS_ADDRESSES": "a:1,b", "COLCHIS_RANK": "0"}, "address 'b' is not host:port"),
        ({"TF_CONFIG": "{}"}, "does not describe a cluster"),
        ({"TF_CONFIG": "nonsense"}, "does not describe a cluster"),
        ({"TF_CONFIG": '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}'}, "Expected `array`"),
    ],
    ids=["rank beyond", "no rank", "no port", "empty TF_CONFIG", "no JSON", "an address for a list"],
)
def test_malformed_places_are_refused(environment: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        place(environment)


def tf_config(cluster: dict[str, list[str]], kind: str, index: int) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize("kind", ["evaluator", "ps", "master", "Worker", ""])
@pytest.mark.parametrize("index", [0, 1])
def test_a_place_that_no_training_has_is_refused_by_name(kind: str, index: int) -> None:
    """Each of these was rank 0, so that two processes wrote the model."""
    says = rf"makes this process {kind} {index}, and Colchis trains with workers alone.*; leave {kind} out of the job"
    with pytest.raises(InputError, match=says):
        place(tf_config({"worker": ["a:1", "b:2"], kind: ["c:3", "d:4"]}, kind, index))


@pytest.mark.parametrize("kind", ["chief", "worker"])
def test_there_are_never_two_chiefs(kind: str) -> None:
    with pytest.raises(InputError, match="has 2 chiefs, c:3, d:4; call all but one of them workers"):
        place(tf_config({"chief": ["c:3", "d:4"], "worker": ["a:1"]}, kind, 0))
    with pytest.raises(InputError, match="a master beside chief or workers, so two would be chief"):
        place(tf_config({"master": ["m:9"], "chief": ["c:3"], "worker": ["a:1"]}, kind, 0))


@pytest.mark.parametrize(("kind", "index"), [("chief", 1), ("worker", 2), ("worker", -1)])
def test_an_index_counts_within_its_type(kind: str, index: int) -> None:
    """A second chief had the rank of the first worker."""
    with pytest.raises(InputError, match=f"makes this process {kind} {index}, and its cluster has . of that type"):
        place(tf_config({"chief": ["c:3"], "worker": ["a:1", "b:2"]}, kind, index))


@given(st.integers(0, 1), st.integers(0, 4), st.lists(st.sampled_from(["ps", "evaluator"]), max_size=2))
def test_each_rank_is_somebodys_and_nobody_has_two(chiefs: int, workers: int, others: list[str]) -> None:
    cluster = {
        "chief": [f"c:{n}" for n in range(chiefs)],
        "worker": [f"w:{n}" for n in range(workers)],
        **{name: ["x:1"] for name in others},
    }
    tasks = [("chief", n) for n in range(chiefs)] + [("worker", n) for n in range(workers)]
    places = [place(tf_config(cluster, kind, index)) for kind, index in tasks]
    assert [found.rank for found in places] == list(range(len(tasks)))
    assert all(len(found.addresses) == (len(tasks) if len(tasks) > 1 else 0) for found in places)


def test_tf_config_is_tensorflows_own_form() -> None:
    assert json.loads(Place(1, ("a:1", "b:2")).tf_config()) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }
