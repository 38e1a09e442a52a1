"""Canaries on a cluster, with real requests through the gateway: steps, verdicts, shares, headers, and the way back."""

import http.client
import json
import math
import random
import re
import signal
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from tests.cluster.conftest import Site, asking, resolved
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, kubectl, until

from colchis_steps._manifests.sticky import bucket, shares

pytestmark = NEEDS_CLUSTER
FLAKE = 1e-6  # the probability that a share is outside its bounds where the gateway is right
QUICK = ["--action=canary", "--step-seconds=1", "--judge-seconds=60"]


@pytest.fixture(scope="module")
def steady(site: Site) -> str:
    """A model: 1 and 2 answer class 1, as they did when they were judged, and 3 answers class 2."""
    name = f"steady-{site.namespace.rpartition('-')[2]}"
    for version, directory in {1: 1, 2: 1, 3: 2}.items():
        site.publish(name, version, f"tiny/{directory}")
        site.golden(name, version, directory)
    site.roll(name, 1, *QUICK)  # a first model has nothing to be judged by
    assert site.stable(name) == (1, None)
    return name


@pytest.fixture(scope="module")
def mixed(site: Site) -> str:
    """A model whose versions 1 to 3 answer their numbers; 2 is stable and 1 rests."""
    name = f"mixed-{site.namespace.rpartition('-')[2]}"
    for version in (1, 2, 3):
        site.publish(name, version, f"tiny/{version}")
    site.roll(name, 1)
    site.roll(name, 2)
    return name


def counted(model: str, requests: int, header: str = "") -> Counter[tuple[int, int]]:
    """Ask so often over a few connections; count the bucket of the header's random value and the class answered."""
    host = urlsplit(GATEWAY)
    body = json.dumps({"instances": [[[0] * 8] * 8]})
    until(20, "the gateway's address", resolved)

    def some(number: int) -> Counter[tuple[int, int]]:
        found: Counter[tuple[int, int]] = Counter()
        with closing(http.client.HTTPConnection(host.hostname or "", host.port or 80, timeout=20)) as connection:
            for _ in range(number):
                value = str(uuid.uuid4())
                headers = {"Content-Type": "application/json"} | ({header: value} if header else {})
                connection.request("POST", f"/v1/models/{model}:predict", body, headers)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == 200, content
                found[bucket(value) or 0, int(json.loads(content)["predictions"][0]["class"])] += 1
        return found

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(some, [requests // 4] * 4), Counter())


def ask_with(model: str, **headers: str) -> int:
    """Return the class that is answered to a request with these headers."""
    host = urlsplit(GATEWAY)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(host.hostname or "", host.port or 80, timeout=20)) as connection:
        connection.request("POST", f"/v1/models/{model}:predict", json.dumps({"instances": [[[0] * 8] * 8]}), named)
        return int(json.loads(connection.getresponse().read())["predictions"][0]["class"])


def within(count: int, requests: int, percent: int) -> bool:
    """Hold a share to Hoeffding's bound: independent choices are outside it with a probability of at most FLAKE."""
    return abs(count / requests - percent / 100) <= math.sqrt(math.log(2 / FLAKE) / (2 * requests))


def test_a_good_canary_is_promoted_by_steps_and_a_bad_one_goes_back_and_no_request_fails(
    site: Site, steady: str
) -> None:
    with asking(site, steady) as answers:
        until(10, "an answer", lambda: answers)
        said = site.roll(steady, 2, *QUICK, "--steps=20,60,100", "--run=good")
        assert f"version 2 of {steady} answers: ready in" in said
        assert site.stable(steady) == (2, 1)
        told = site.told(steady, "good")
        assert (told.verdict, told.stable, [step.weight for step in told.steps]) == ("pass", 1, [2, 20, 60])
        assert {step.verdict for step in told.steps} == {"pass"}
        assert {one.name for one in told.steps[0].findings if one.state == "good"} >= {"errors", "latency"}

        said = site.roll(steady, 3, *QUICK, "--steps=20,100", "--run=bad")
        # at 0 % where a few seconds of questions were enough: how many were asked is the machine's
        assert re.search(rf"version 3 of {steady} is refused: at (0|2|20) % of the traffic: disagreement: ", said)
    assert set(answers) <= {1, 2}, f"a request failed while this happened:\n{said}"
    told = site.told(steady, "bad")
    assert (told.verdict, [step.verdict for step in told.steps]) == ("fail", ["fail"])
    assert site.stable(steady) == (2, 1)
    assert site.replicas() == {f"colchis-{steady}-1": 0, f"colchis-{steady}-2": 1}
    assert not [name for name in site.names("services") if name.endswith("-3")]
    assert site.store.size(f"models/{steady}/aliases/canary.json") is None
    again = site.roll(steady, 3, *QUICK, "--steps=20,100", "--run=bad", "--fail-on-reject=true", code=3)
    assert re.search(r"is refused: at (0|2|20) %", again)
    assert site.stable(steady) == (2, 1)


@pytest.mark.parametrize("requests", [2000, pytest.param(10_000, marks=pytest.mark.long)])
def test_traffic_is_shared_out_as_asked_by_weight_header_and_hash(site: Site, mixed: str, requests: int) -> None:
    weights = {1: 30, 2: 50, 3: 20}
    flags = [
        "--split=1=30,2=50,3=20",
        "--headers=style: transfer=3; style: plain=1",
        "--sticky=x-user",
        "--testers=true",
    ]
    with asking(site, mixed) as answers:
        until(10, "an answer", lambda: answers)
        said = site.roll(mixed, 3, *QUICK, *flags)
        assert f"{mixed} is shared out: version 1 30 %, version 2 50 %, version 3 20 %" in said
    assert set(answers) <= {1, 2, 3}, "a request failed"
    found: Counter[int] = Counter()
    for (_, answered), number in counted(mixed, requests).items():
        found[answered] += number
    assert sum(found.values()) == requests
    assert all(within(found[version], requests, percent) for version, percent in weights.items()), found
    for number, answered in counted(mixed, 200, "x-user"):
        assert number in shares(weights)[answered]
    assert (ask_with(mixed, style="transfer"), ask_with(mixed, style="plain")) == (3, 1)
    assert [ask_with(mixed, colchis_version=str(version), style="plain") for version in (1, 2, 3)] == [1, 2, 3]

    listed = site.step("colchis_steps.models", "list", f"--store={site.store.url}").stdout
    assert "3 (20 %)" in next(line for line in listed.splitlines() if line.startswith(mixed))
    with asking(site, mixed) as answers:
        back = site.step("colchis_steps.models", "rollback", mixed, f"--store={site.store.url}")
    assert "was a canary and is withdrawn" in back.stderr
    assert set(answers) <= {1, 2, 3}, "a request failed"
    assert (site.ask(mixed), site.stable(mixed)) == (2, (2, 1))
    assert {n: r for n, r in site.replicas().items() if mixed in n} == {
        f"colchis-{mixed}-1": 0,
        f"colchis-{mixed}-2": 1,
    }


@pytest.mark.long
def test_what_does_not_go_together_is_told_and_changes_nothing(site: Site, mixed: str) -> None:
    said = site.roll(mixed, 3, *QUICK, "--split=3=50,7=50", code=65)
    assert f"version 7 of {mixed} is not kept" in said
    key = f"models/{mixed}/1/record.json"
    content = site.store.read(key)
    site.store.write(key, content.replace(b'"verdict":"pass"', b'"verdict":"fail"'))
    said = site.roll(mixed, 3, *QUICK, "--split=3=50,1=50", code=65)
    assert f"version 1 of {mixed} must not be served" in said
    site.store.write(key, content)
    said = site.roll(mixed, 3, *QUICK, "--headers=style: transfer=9", code=65)
    assert "a header leads to version 9, which gets no traffic" in said
    said = site.roll(mixed, 3, *QUICK, "--mirror=true", code=65)
    assert "does not mirror requests after 15 s: it drops the route; leave --mirror out" in said
    assert not [name for name in site.names("httproute") if name.endswith("-mirror")]
    said = site.roll(mixed, 3, *QUICK, "--tolerances={", code=65)
    assert "the tolerances '{' are wrong" in said
    assert (site.ask(mixed), site.stable(mixed)) == (2, (2, 1))
    assert f"colchis-{mixed}-3" not in site.replicas()


@pytest.mark.long
def test_a_canary_waits_for_a_yes_and_comes_or_goes(site: Site, steady: str) -> None:
    stable = site.stable(steady)[0]
    other = 1 if stable == 2 else 2
    manual = [*QUICK, "--approval=manual", "--steps=30,100"]
    assert f"version {other} of {steady} waits for" in site.roll(steady, other, *manual, "--run=asked")
    assert site.stable(steady)[0] == stable
    site.roll(steady, other, "--action=rollback", "--run=asked")
    assert (site.stable(steady)[0], site.told(steady, "asked").verdict) == (stable, "fail")
    site.roll(steady, other, *manual, "--run=asked-again")
    site.roll(steady, other, "--action=promote", "--run=asked-again")
    told = site.told(steady, "asked-again")
    assert (site.stable(steady), told.verdict) == ((other, stable), "pass")
    assert [step.weight for step in told.steps] == [2, 30]


@pytest.mark.long
@pytest.mark.parametrize("version", [2, 3], ids=["good", "bad"])
def test_a_canary_that_is_killed_anywhere_ends_as_one_that_was_not(site: Site, steady: str, version: int) -> None:
    if site.stable(steady)[0] == 2:
        site.step("colchis_steps.models", "rollback", steady, f"--store={site.store.url}")
    chance, flags = random.Random(version), [*QUICK, "--steps=20,60,100", f"--run=killed-{version}"]
    with asking(site, steady) as answers:
        for _ in range(6):
            process = site.begin(steady, version, *flags)
            try:
                process.wait(chance.uniform(1, 12))
            except Exception:  # noqa: BLE001 - it goes on: that is when it is killed
                process.send_signal(signal.SIGKILL)
                process.wait(20)
            assert site.ask(steady) in {1, 2}
        site.roll(steady, version, *flags)
    assert set(answers) <= {1, 2}, "a request failed"
    assert site.stable(steady)[0] == (2 if version == 2 else 1)
    assert site.told(steady, f"killed-{version}").verdict == ("pass" if version == 2 else "fail")
    assert f"colchis-{steady}-3" not in site.replicas()


@pytest.mark.long
def test_a_pod_that_is_removed_costs_no_request(site: Site, mixed: str) -> None:
    site.roll(mixed, 2, '--serve-options={"replicas": 2}')
    with asking(site, mixed) as answers:
        until(10, "an answer", lambda: answers)
        pods = site.get("pods", f"--selector=colchis.dev/model={mixed},colchis.dev/version=2")["items"]
        kubectl("--namespace", site.namespace, "delete", "pod", pods[0]["metadata"]["name"])
        name = f"colchis-{mixed}-2"
        until(60, "two pods", lambda: site.get("deployment", name)["status"].get("readyReplicas") == 2)
    assert set(answers) == {2}, "a request failed"
