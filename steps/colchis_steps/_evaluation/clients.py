"""Whether clients of the served version can go on as they are: the same inputs, and all outputs that it had."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colchis_steps._formats.runs import Check, Signature

RULE = "clients of the served version keep working"


def keep_working(now: Signature, before: Signature, version: int | None, severity: str) -> tuple[Check, ...]:
    """Return a check of what breaks clients of the served version; nothing does where a signature is not known."""
    if not (now and before):
        return ()
    if not (changed := [*_inputs(now["inputs"], before["inputs"]), *_outputs(now["outputs"], before["outputs"])]):
        return ()
    reason = f"clients of version {version} break: {'; '.join(changed[:5])}; keep to its signature, or call it another"
    return (Check(RULE, passed=False, actual=f"{len(changed)} changes", reason=reason, severity=severity),)


Tensors = Mapping[str, Mapping[str, Any]]


def _inputs(now: Tensors, before: Tensors) -> Iterator[str]:
    for name in sorted(before.keys() - now.keys()):
        yield f"it no longer takes the input {name}"
    for name in sorted(now.keys() - before.keys()):
        yield f"it asks for the input {name}"
    for name in sorted(now.keys() & before.keys()):
        if now[name]["dtype"] != before[name]["dtype"] or not _fits(before[name]["shape"], now[name]["shape"]):
            yield f"it takes {name} as {_kind(now[name])}, and they send {_kind(before[name])}"


def _outputs(now: Tensors, before: Tensors) -> Iterator[str]:
    for name in sorted(before.keys() - now.keys()):
        yield f"it no longer gives the output {name}"
    for name in sorted(now.keys() & before.keys()):
        if now[name]["dtype"] != before[name]["dtype"] or not _fits(now[name]["shape"], before[name]["shape"]):
            yield f"it gives {name} as {_kind(now[name])}, and they know {_kind(before[name])}"


def _fits(given: Sequence[int | None], taken: Sequence[int | None]) -> bool:
    """Return whether whatever has the one shape may stand where the other is expected."""
    return len(given) == len(taken) and all(want in {None, one} for one, want in zip(given, taken, strict=True))


def _kind(tensor: Mapping[str, Any]) -> str:
    return f"{tensor['dtype']}{tensor['shape'][1:]}".replace("None", "any")
