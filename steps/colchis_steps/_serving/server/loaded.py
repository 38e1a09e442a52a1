"""The models that a server holds now, and how it moves to those of another configuration.

A change is applied model by model: the new versions are loaded and warmed first, then all of the model's requests go
by the new state at once, then what is no longer wanted is let go. A model that cannot move keeps what it has.
"""

import gc
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from colchis_steps._program.opening import open_model
from colchis_steps._savedmodel.versions import installed, judge_versions
from colchis_steps._serving.config import Config, HeaderMatch, Served, ServedModel
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Program

OVERRIDE = "colchis-version"  # the header by which a tester asks for a version, as at a gateway
log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Version:
    """A version that answers."""

    model: str
    number: int
    served: Served
    saved: Program

    @cached_property
    def labels(self) -> tuple[str, str]:
        """What metrics call it: the model, and the version."""
        return self.model, str(self.number)

    @cached_property
    def columns(self) -> Columns:
        """How clients write its inputs, and what its answers are called."""
        return Columns(self.saved.inputs, self.served.columns, self.served.classes, self.served.task)


@dataclass(frozen=True)
class Held:
    """A model's versions, and the one that answers where none is named; never changed, only replaced."""

    default: int
    versions: Mapping[int, Version]
    weights: Mapping[int, int] = field(default_factory=dict)
    headers: Sequence[HeaderMatch] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    required: bool = True
    testers: bool = False

    def closed(self, version: int) -> bool:
        """Return whether requests may not name the version: it has its share of them, and no more."""
        return bool(self.weights) and not self.testers and version != self.default

    @property
    def answering(self) -> Version | None:
        """The default version, or None where that one does not load."""
        return self.versions.get(self.default)

    def chosen(self, headers: Mapping[str, str]) -> int:
        """Return the version for a prediction that names none: by the tester's choice, header, weight or default.

        ``headers`` are by their names in lower case.
        """
        wish = headers.get(OVERRIDE, "")
        if wish and wish in {str(one) for one in self.versions if not self.closed(one)}:
            return int(wish)
        for match in self.headers:
            if match.version in self.versions and headers.get(match.header.lower()) == match.value:
                return match.version
        if not self.weights:
            return self.default
        weights = {number: weight for number, weight in self.weights.items() if weight and number in self.versions}
        if not weights:
            return self.default
        return random.choices([*weights], [*weights.values()])[0]  # noqa: S311 - a share of traffic, no secret


@dataclass
class Registry:
    """What is loaded. ``apply`` runs in one thread; all else may be called from any."""

    load: Callable[[Path, Sequence[str]], Program] = open_model
    held: Mapping[str, Held] = field(default_factory=dict)
    loading: tuple[str, int] | None = None
    failures: dict[tuple[str, int], str] = field(default_factory=dict)
    applied: str | None = None  # sha256 (hex) of the configuration that the models are of

    @property
    def ready(self) -> bool:
        """Whether each model that the configuration requires has answered its warm-up call."""
        return self.applied is not None and all(held.answering for held in self.held.values() if held.required)

    def apply(self, config: Config, digest: str) -> None:
        """Load, switch and let go, so that the models are those of the configuration."""
        for name, model in config.models.items():
            self.held = {**self.held, name: self._moved(name, model)}
        self.held = {name: held for name, held in self.held.items() if name in config.models}
        wanted = {(name, number) for name, model in config.models.items() for number in model.versions}
        self.failures = {key: error for key, error in self.failures.items() if key in wanted}
        self.applied = digest
        gc.unfreeze()
        gc.collect()  # a SavedModel's parts refer to each other
        gc.freeze()  # what is left stays; to look through it while requests wait takes 0.2 s each time

    def find(self, model: str, version: str | None = None, headers: Mapping[str, str] | None = None) -> Version:
        """Return the version that a request means; ``headers`` may choose where a prediction names none.

        Raises:
            Refused: 404 where there is none, 503 while it is loading or when it does not load.
        """
        held = self.held.get(model)
        if held is None and (self.applied is None or (self.loading and self.loading[0] == model)):
            raise Refused(503, f"model {model[:64]!r} may be loading still; ask again in some seconds")
        if held is None:
            known = ", ".join(sorted(self.held)) or "none"
            raise Refused(404, f"there is no model {model[:64]!r} here; the models are: {known}")
        if version is None:
            chosen = held.default if headers is None else held.chosen(headers)
            if found := held.versions.get(chosen):
                return found
        number = version if version is not None else str(chosen)
        known = ", ".join(str(number) for number in sorted(held.versions)) or "none"
        if not (number.isascii() and number.isdecimal()) or len(number) > 18:
            raise Refused(404, f"{number[:64]!r} is not a version; those of model {model!r} here are: {known}")
        if version is not None and held.closed(int(number)):
            raise Refused(404, f"version {number} of model {model!r} gets a share of the requests, and none by name")
        if error := self.failures.get((model, int(number))) if int(number) not in held.versions else None:
            raise Refused(503, f"version {number} of model {model!r} does not load: {error}")
        if int(number) not in held.versions:
            raise Refused(404, f"model {model!r} has no version {number} here; the versions are: {known}")
        return held.versions[int(number)]

    def labelled(self, model: str, label: str) -> Version:
        """Return the version of a label: of the configuration, else of the gateway in front of a server of one version.

        ``stable`` is else the default.

        Raises:
            Refused: as ``find``; 404 also where no version has the label.
        """
        default, held = self.find(model), self.held[model]
        labels = {"stable": default.number, **({"canary": default.number} if len(held.versions) == 1 else {})}
        labels |= held.labels
        if label not in labels:
            known = ", ".join(sorted(labels))
            raise Refused(404, f"model {model!r} has no version labelled {label[:64]!r}; the labels are: {known}")
        return self.find(model, str(labels[label]))

    def states(self, model: str, version: str | None = None) -> list[tuple[int, str, str]]:
        """Return number, state and error of each version, newest first, as TensorFlow Serving names states.

        Raises:
            Refused: 404 where nothing is known of the model or the version.
        """
        found = dict.fromkeys(self.held[model].versions, ("AVAILABLE", "")) if model in self.held else {}
        found |= {number: ("END", error) for (name, number), error in self.failures.copy().items() if name == model}
        if self.loading and self.loading[0] == model:
            found[self.loading[1]] = ("LOADING", "")
        if version is not None:
            found = {number: state for number, state in found.items() if str(number) == version}
        if not found:
            self.find(model, version)
        return [(number, *found[number]) for number in sorted(found, reverse=True)]

    def _moved(self, name: str, model: ServedModel) -> Held:
        """Return the model's new state; where its new default does not load, the one that answers now goes on."""
        now = self.held.get(name)
        versions: dict[int, Version] = {}
        for number in sorted(model.versions, key=lambda number: (number != model.answering(), number)):
            entry, old = model.entry(number), now.versions.get(number) if now else None
            if old is not None and _loads_as(old.served) == _loads_as(entry):
                versions[number] = _version(name, number, entry, old.saved)
            elif saved := self._loaded(name, number, entry):
                versions[number] = _version(name, number, entry, saved)
        default = model.answering()
        if default not in versions and now and now.answering:
            default, versions[now.default] = now.default, now.answering
        for number in sorted(now.versions.keys() - versions.keys()) if now else []:
            log.info("%s version %s is let go", name, number)
        if default in versions and (now is None or now.default != default):
            log.info("%s: version %s answers", name, default)
        return Held(default, versions, model.weights, model.headers, model.labels, model.required, model.testers)

    def _loaded(self, name: str, number: int, entry: Served) -> Program | None:
        self.loading, started = (name, number), time.monotonic()
        try:
            if warning := entry.tensorflow and judge_versions(entry.tensorflow, installed()):
                log.warning("%s", warning)
            saved = self.load(Path(entry.path), entry.allow_operations)
            saved.warm_up([column for column, written in entry.columns.items() if written.media.startswith("image/")])
        except InputError as error:
            log.error("%s version %s is not served: %s", name, number, error)  # noqa: TRY400 - the sentence says it
            self.failures[name, number] = str(error)
            return None
        finally:
            self.loading = None
        self.failures.pop((name, number), None)
        log.info("%s version %s is loaded and warm after %.1f s", name, number, time.monotonic() - started)
        return saved


def _version(name: str, number: int, entry: Served, saved: Program) -> Version:
    """Return a version, with the model's own names of classes where the configuration has none."""
    told = entry if entry.classes else msgspec.structs.replace(entry, classes=saved.classes)
    return Version(name, number, told, saved)


def _loads_as(entry: Served) -> tuple[str, str, frozenset[str]]:
    """Return what a version is loaded again for when it changes."""
    return entry.path, entry.tree, frozenset(entry.allow_operations)
