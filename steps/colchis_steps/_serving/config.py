"""What the embedded server serves: the file that ``serve --config`` reads and ``rollout`` writes.

    {"models": {"digits": {"default": 2, "versions": {"2": "/models/digits/2"}}}}

A version is its directory, or an object that also says what the signature cannot: the range of each input, the names
of the classes, the task, and which inputs clients write in another way.
"""

import hashlib
import re
from pathlib import Path

import msgspec

from colchis_steps._step.errors import InputError
from colchis_steps._step.outputs import write_atomically
from colchis_steps._tensors.formats import FORMATS, is_model

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Range(msgspec.Struct, forbid_unknown_fields=True):
    """The least and the greatest value that a column of the training data can hold."""

    minimum: float
    maximum: float


class Written(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How clients write a column: Arrow's type of a value, whether it may be null, and be a list of any length.

    ``media`` is the media type of bytes.
    """

    type: str
    nullable: bool = False
    ragged: bool = False
    media: str = ""


class Served(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One version: ``path`` is a model's directory; a new ``tree`` (digest) makes the server load it again.

    Defaults are left out when it is written, so that an older server reads what needs nothing newer.
    """

    path: str
    tree: str = ""
    inputs: dict[str, Range] = msgspec.field(default_factory=dict)
    classes: tuple[str, ...] = ()
    tensorflow: str = ""  # the version that exported it
    allow_operations: tuple[str, ...] = ()  # of TensorFlow's, that may reach out of the model
    task: str = ""  # its kind; empty: classification, or not known
    columns: dict[str, Written] = msgspec.field(default_factory=dict)  # those written otherwise than the signature says
    targets: tuple[str, ...] = ()  # what the values of a regression are


class HeaderMatch(msgspec.Struct, forbid_unknown_fields=True):
    """Requests whose ``header`` has this value go to ``version``."""

    header: str
    value: str
    version: int


class ServedModel(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One model: ``default`` answers where a request names no version; without it that is the newest.

    ``headers`` (the first that matches) and then ``weights`` (percent by version) send such predictions elsewhere, as a
    gateway does in front of a server a version; requests may name the default alone then, unless ``testers`` are
    allowed. ``labels`` name versions, as ``stable`` and ``canary``. The server is
    ready without a model that is not ``required``.
    """

    versions: dict[int, str | Served]
    default: int | None = None
    weights: dict[int, int] = msgspec.field(default_factory=dict)
    headers: tuple[HeaderMatch, ...] = ()
    labels: dict[str, int] = msgspec.field(default_factory=dict)
    required: bool = True
    testers: bool = False

    def entry(self, version: int) -> Served:
        """Return what is known of a version."""
        found = self.versions[version]
        return Served(path=found) if isinstance(found, str) else found

    def answering(self) -> int:
        """Return the version that answers where none is named."""
        return max(self.versions) if self.default is None else self.default


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The models that a server holds, by name."""

    models: dict[str, ServedModel] = msgspec.field(default_factory=dict)


def check_name(model: str) -> str:
    """Return the name back. Raises InputError where it cannot stand in a URL and be a directory's name."""
    if not NAME.fullmatch(model):
        raise InputError(f"{model!r} cannot be a model's name; use letters, digits, '-' and '_', at most 63")
    return model


def read_config(path: Path) -> tuple[Config, str]:
    """Read and check the file; return also the sha256 (hex) of its content, by which a server says what it applied.

    Raises:
        InputError: it is not there, is no such JSON, or names a default that is not among the versions.
    """
    try:
        content = path.read_bytes()
        config = msgspec.json.decode(content, type=Config)
    except OSError as error:
        raise InputError(f"the configuration {path} cannot be read ({error.strerror}); give one that can") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {path} is wrong ({str(error)[:256]}); put that right") from error
    for name, model in config.models.items():
        check_name(name)
        if not model.versions:
            raise InputError(f"the configuration {path} gives no versions of {name}; name one, or leave the model out")
        if model.answering() not in model.versions:
            known = ", ".join(str(version) for version in sorted(model.versions))
            raise InputError(f"version {model.default}, the default of {name} in {path}, is not among {known}; add it")
        if unknown := (
            {*model.weights, *model.labels.values(), *(match.version for match in model.headers)}
            - model.versions.keys()
        ):
            raise InputError(
                f"version {min(unknown)}, that weights, labels or headers of {name} in {path} name, is absent; add it"
            )
        if model.weights and (min(model.weights.values()) < 0 or sum(model.weights.values()) != 100):
            raise InputError(f"the weights of {name} in {path} are {model.weights}; give percents that add up to 100")
    return config, hashlib.sha256(content).hexdigest()


def write_config(path: Path, config: Config) -> str:
    """Write the file so that a server sees all of it or nothing; return its sha256 (hex)."""
    content = msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def config_of(models: list[str], allowed: tuple[str, ...] = ()) -> Config:
    """Make a configuration of ``NAME=DIR`` texts; DIR is a model's, or holds one per version in ``1``, ``2``, ….

    ``allowed`` are operations that may reach out of these models.

    Raises:
        InputError: a text has another form, a name comes twice, or DIR holds no model.
    """
    config = Config(models={})
    for text in models:
        name, equals, directory = text.partition("=")
        if not equals or not directory:
            raise InputError(f"--model {text[:128]!r} is not NAME=DIR; write for example digits=/models/digits")
        if check_name(name) in config.models:
            raise InputError(f"--model names {name} twice; put its versions below one directory, in 1, 2, …")
        top = Path(directory).absolute()
        paths = {int(path.name): str(path) for path in top.glob("*/") if path.name.isdecimal() and is_model(path)}
        if is_model(top):
            paths = {int(top.name) if top.name.isdecimal() else 1: str(top)}
        if not paths:
            raise InputError(
                f"{top} holds no {' or '.join(FORMATS)}, nor do 1, 2, … below it; give a model's directory"
            )
        config.models[name] = ServedModel(
            {version: Served(path, allow_operations=allowed) if allowed else path for version, path in paths.items()}
        )
    return config
