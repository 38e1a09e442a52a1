"""Rollout on this machine: unpack the image, add the version to the local server, move the alias, switch, tidy up.

Each write is atomic and each part looks at what is there first, so a rollout that was killed anywhere is made good by
running it again. One rollout at a time: they share one server and its configuration. Other models stay as they are.
"""

import contextlib
import fcntl
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colchis_steps._content.blobs import scan
from colchis_steps._formats.documents import now
from colchis_steps._formats.models import Alias, Manifest, Record, tree_digest
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._manifests.route import HeaderRoute
from colchis_steps._models.aliases import move_stable, stable
from colchis_steps._models.binding import golden_of
from colchis_steps._models.versions import check_image, published
from colchis_steps._oci.contents import unpack
from colchis_steps._rollout.checks import check_answers, wait
from colchis_steps._rollout.golden import skew
from colchis_steps._rollout.journal import begun, described, write
from colchis_steps._serving.config import (
    Config,
    HeaderMatch,
    Served,
    ServedModel,
    check_name,
    read_config,
    write_config,
)
from colchis_steps._serving.daemon import CONFIG, Running, port_for, running, start
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._step.home import home
from colchis_steps._step.polling import poll
from colchis_steps._store.api import Objects
from colchis_steps._tensors.formats import is_model

LOCK = "rollout.lock"
WAITING = 600.0  # for another rollout
KEPT = 3  # versions whose files stay unpacked for a rollback
log = logging.getLogger("colchis")


def serving() -> Path:
    """Return the directory of the local server: configuration, state, log and unpacked models."""
    return home() / "serving"


def roll_out(
    store: Objects,
    run: str,
    model: str,
    *,
    version: int,
    image: str,
    port: int | None,
    approval: bool = False,
    registered: str = "",
    allowed: tuple[str, ...] = (),
) -> RolloutReport:
    """Serve the version as the model's stable one, unless it answers otherwise than it was judged by.

    With ``approval`` it is only tried: somebody has to say yes before it serves. ``allowed`` are operations of
    TensorFlow's that may reach out of the model.

    Raises:
        InputError: it must not be served, the image is another one, the model does not load, or the port is in use.
        TransientError: another rollout is at work, or the server ends or is late.
    """
    manifest, record = published(store, check_name(model), version, registered=registered, run=run)
    check_image(record, image)
    with _alone():
        return _serve(store, run, (manifest, record), image, port=port, approval=approval, allowed=allowed)


def roll_back(store: Objects, run: str, model: str, *, withdrawn: int | None, to: int | None) -> RolloutReport:
    """Serve the version before the stable one again, or version ``to``.

    Args:
        store: where the model's aliases and versions are.
        run: the run that asks for it.
        model: the model.
        withdrawn: the version to go back from; where another one is stable by now there is nothing left to do.
        to: the version to go to; None is the one that the alias names as the previous.

    Raises:
        InputError: no version is stable, or none was before it.
    """
    with _alone():
        alias = stable(store, check_name(model))
        if alias is None:
            raise InputError(
                f"no version of {model} is served, so there is nothing to roll back; see: colchis models list"
            )
        target = alias.version if withdrawn not in {None, alias.version} else (to or alias.previous)
        served = _config(serving()).models.get(model)
        if target is None and served and served.answering() != alias.version:
            target = alias.version  # a rollback that was killed after it moved the alias
        if target is None:
            raise InputError(
                f"nothing was served before version {alias.version} of {model}; "
                f"name the version: colchis models rollback {model} --to N"
            )
        manifest, record = published(store, model, target, back=True)
        return _serve(store, run, (manifest, record), record.image, back=target != alias.version)


def share(store: Objects, model: str, weights: dict[int, int], headers: tuple[HeaderRoute, ...]) -> str:
    """Serve several versions of a model side by side: shares by version, and others by header; return the server's URL.

    The alias stable stays, and so does the default that its version is; the next rollout ends the sharing.

    Raises:
        InputError: the model is not served here, or one of the versions is not published.
        TransientError: another rollout is at work, or the server ends or is late.
    """
    with _alone():
        top = serving()
        config = _config(top)
        served = config.models.get(check_name(model))
        if served is None:
            raise InputError(f"{model} is not served here, so there is nothing to share; serve it with: colchis run")
        versions: dict[int, str | Served] = {}
        for version in sorted({*weights, *(route.version for route in headers), served.answering()}):
            manifest, record = published(store, model, version, back=True)
            directory = _unpacked(top / model / str(version), record.image, manifest)
            versions[version] = described(str(directory), manifest, record, _allowed(served))
        config.models[model] = ServedModel(
            versions,
            served.answering(),
            weights,
            tuple(HeaderMatch(route.name, route.value, route.version) for route in headers),
            testers=True,  # who compares versions on this machine may name them
        )
        digest = write_config(top / CONFIG, config)
        server = start(top, _port(top, None))
        wait(server, digest, model)
        return server.url


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    serving().mkdir(parents=True, exist_ok=True)
    with (serving() / LOCK).open("wb") as file:

        def lock() -> bool | None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return True

        if poll(lock, 0.5) is None:
            log.info("another rollout is at work in %s; waiting for it", serving())
        if poll(lock, WAITING) is None:
            raise TransientError(f"another rollout is at work in {serving()} since {WAITING:.0f} s; try again later")
        yield


@dataclass(frozen=True)
class Tried:
    """A version that the server has loaded beside what it served, and that has answered."""

    server: Running
    alone: Config  # in which the version is all that is served of the model
    before: Config
    why: str  # it must not serve; "" where it may
    seconds: float  # until it was ready


def _serve(
    store: Objects,
    run: str,
    documents: tuple[Manifest, Record],
    image: str,
    *,
    port: int | None = None,
    back: bool = False,
    approval: bool = False,
    allowed: tuple[str, ...] | None = None,
) -> RolloutReport:
    """Try the version and make it the stable one, or leave what was served before, and say why."""
    manifest, _ = documents
    top, model, version = serving(), manifest.model, manifest.version
    tried = _tried(store, documents, image, port=port, ask_golden=not back, allowed=allowed)
    alias = stable(store, model)
    rollout = begun(store, model, version, run, alias.version if alias else None)
    if tried.why or approval:
        write_config(top / CONFIG, tried.before)
        write(store, rollout, "fail" if tried.why else "", tried.why)
        serves, there = (alias.version, alias.endpoint) if alias else (None, "")
        report = RolloutReport("local", "embedded", there, None, serves, tried.seconds, 0.0)
        report.verdict, report.reason, report.waiting = "fail" if tried.why else "pass", tried.why, not tried.why
        return report
    began = time.monotonic()
    endpoint = f"{tried.server.url}/v1/models/{model}"
    previous = move_stable(store, Alias(model, version, now(), None, run, image, endpoint), back=back)
    wait(tried.server, write_config(top / CONFIG, tried.alone), f"{model} {version}")
    moved = round(time.monotonic() - began, 3)
    _tidy(top / model, version, previous)
    if not back:
        write(store, rollout, "pass")
    return RolloutReport("local", "embedded", endpoint, previous, version, tried.seconds, moved)


def _tried(
    store: Objects,
    documents: tuple[Manifest, Record],
    image: str,
    *,
    port: int | None,
    ask_golden: bool,
    allowed: tuple[str, ...] | None,
) -> Tried:
    """Load the version beside what is served, and ask it. What was served before stays where that fails.

    Raises:
        InputError: the image holds other files, the model does not load or answer, or the port is in use.
        TransientError: the server ends, or is late.
    """
    manifest, record = documents
    top, model, version = serving(), manifest.model, manifest.version
    began, server_port = time.monotonic(), _port(top, port)
    directory = _unpacked(top / model / str(version), image, manifest)
    before, beside, alone = _config(top), _config(top), _config(top)
    served = beside.models.get(model, ServedModel(versions={}, default=version))
    whole = {number: served.entry(number) for number in served.versions if is_model(Path(served.entry(number).path))}
    mine = described(str(directory), manifest, record, _allowed(served) if allowed is None else allowed)
    default = served.answering() if served.versions and served.answering() in whole else version
    beside.models[model] = ServedModel({**whole, version: mine}, default)
    alone.models[model] = ServedModel({version: mine}, version)
    digest = write_config(top / CONFIG, beside)
    try:
        server = start(top, server_port)
        wait(server, digest, f"{model} {version}")
        check_answers(server.url, model, version)
        golden = golden_of(store, record) if ask_golden else None
        why = skew(golden, server.url, model, version) if golden else ""
    except StepError:
        write_config(top / CONFIG, before)
        raise
    return Tried(server, alone, before, why, round(time.monotonic() - began, 3))


def _allowed(served: ServedModel) -> tuple[str, ...]:
    """Return the operations that the model's versions may use here now: going back names none."""
    return tuple(sorted({name for number in served.versions for name in served.entry(number).allow_operations}))


def _port(top: Path, port: int | None) -> int:
    server = running(top)
    if server and port not in {None, server.port}:
        fix = "leave --port out, or stop it first: colchis models stop"
        raise InputError(f"the local server runs on port {server.port}, not {port}; {fix}")
    return server.port if server else port_for(top, port)


def _config(top: Path) -> Config:
    return read_config(top / CONFIG)[0] if (top / CONFIG).exists() else Config()


def _unpacked(directory: Path, image: str, manifest: Manifest) -> Path:
    """Return the directory with the image's files in it, those of the manifest and no others."""
    for left in directory.parent.glob(".*.incomplete-*") if directory.parent.is_dir() else []:
        shutil.rmtree(left)  # of a rollout that was killed; none other is at work
    if directory.is_dir() and any(directory.iterdir()) and tree_digest(scan(directory)) == manifest.tree:
        return directory
    found = tree_digest(unpack(image, directory, most=sum(file.size for file in manifest.files)))
    if found != manifest.tree:
        shutil.rmtree(directory)
        raise InputError(f"{image} holds other files than version {manifest.version}'s manifest; build the image again")
    return directory


def _tidy(top: Path, stable: int, previous: int | None) -> None:
    """Remove unpacked files but for the stable version's, the previous one's and the newest, KEPT in all."""
    versions = sorted((int(path.name) for path in top.iterdir() if path.name.isdecimal()), reverse=True)
    first = [version for version in (stable, previous) if version in versions]
    keep = [*first, *(version for version in versions if version not in first)][:KEPT]
    for version in versions:
        if version not in keep:
            shutil.rmtree(top / str(version))
