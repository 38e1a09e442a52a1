"""How steps, shares and headers are given, and what is no such thing."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._manifests.route import HeaderRoute
from colchis_steps._rollout import flags
from colchis_steps.rollout import parser, plan_of

SENT = ["--store=file:///s", "--run=r", "--model=m", "--version=2", "--image=i"]


@pytest.mark.parametrize(
    ("parse", "text", "found"),
    [
        (flags.steps, "10,30,100", (10, 30, 100)),
        (flags.steps, "0,100", (0, 100)),
        (flags.steps, "100", (100,)),
        (flags.split, "", None),
        (flags.split, "1=50,2=50", {1: 50, 2: 50}),
        (flags.split, "1=30, 2=50, 3=20", {1: 30, 2: 50, 3: 20}),
        (flags.split, "1=100,2=0", {1: 100, 2: 0}),
        (flags.header, "x-user-id", "x-user-id"),
        (flags.header, "", ""),
        (flags.headers, "", ()),
        (flags.headers, "style: transfer=2", (HeaderRoute("style", "transfer", 2),)),
        (
            flags.headers,
            "style: a=b=2; Style: plain old=1",
            (HeaderRoute("style", "a=b", 2), HeaderRoute("Style", "plain old", 1)),
        ),
    ],
)
def test_what_is_given_is_read(parse: Callable[[str], Any], text: str, found: Any) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("parse", "text", "told"),
    [
        (flags.steps, "", "rise to 100"),
        (flags.steps, "30,10,100", "rise to 100"),
        (flags.steps, "10,30", "rise to 100"),
        (flags.steps, "10,ten,100", "rise to 100"),
        (flags.steps, "-1,100", "rise to 100"),
        (flags.split, "1=50,2=60", "add up to 110; make them 100"),
        (flags.split, "1=50,1=50", "once each"),
        (flags.split, "0=50,1=50", "once each"),
        (flags.split, "1:50", "write 1=50,2=50"),
        (flags.header, "x user", "cannot be a header's name"),
        (flags.header, "ü", "cannot be a header's name"),
        (flags.headers, "style", "is not a route by header"),
        (flags.headers, "style: transfer", "is not a route by header"),
        (flags.headers, "style: transfer=two", "is not a route by header"),
        (flags.headers, "sty le: a=1", "is no valid header"),
        (flags.headers, "style: =1", "is no valid header"),
        (flags.headers, "style: a\nb=1", "is no valid header"),
        (flags.headers, "style: a=1;style: a=2", "has a header twice"),
        (flags.headers, "style: a=1;", "is not a route by header"),
    ],
)
def test_what_is_wrong_is_told(parse: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        parse(text)


@given(st.text(max_size=40))
def test_no_text_is_more_than_wrong(text: str) -> None:
    for parse in (flags.steps, flags.split, flags.header, flags.headers):
        try:
            parse(text)
        except argparse.ArgumentTypeError as error:
            assert len(str(error).splitlines()) >= 1  # noqa: PT017 - another error would end the test


def test_an_action_says_how_the_version_comes_to_its_traffic() -> None:
    read = parser().parse_args
    assert plan_of(read(SENT)).steps == ()  # promoted at once
    assert plan_of(read([*SENT, "--action=canary"])).steps == (10, 30)
    assert plan_of(read([*SENT, "--action=canary", "--steps=100"])).steps == ()
    manual = plan_of(read([*SENT, "--action=canary", "--steps=100", "--approval=manual"]))
    assert (manual.steps, manual.approval) == ((0,), True)  # it is asked before anybody says yes
    assert not plan_of(read([*SENT, "--action=promote", "--approval=manual"])).approval
