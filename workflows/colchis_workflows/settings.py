"""What may differ from one installation's manifests to another's; the templates are pure functions of it."""

from dataclasses import dataclass
from importlib.metadata import version

VERSION = version("colchis")  # pyproject.toml says it, and nothing else does


@dataclass(frozen=True)
class Settings:
    """Where the images are and which release this is: equal settings render to equal bytes.

    ``registry`` is a prefix (``host:5000/colchis``); ``tag`` is that of all images; ``digests`` are pairs
    of an image's name and its digest, for releases; ``kaniko`` is the executor; each object gets ``labels``.
    """

    registry: str = "ghcr.io/colchis"
    tag: str = VERSION
    kaniko: str = "ghcr.io/osscontainertools/kaniko:v1.28.3"  # the live fork; what is run here is 1.24.0
    digests: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def image(self, name: str) -> str:
        """Return the reference of one of the images below ``images/``, by digest where that is known."""
        digest = dict(self.digests).get(name)
        return f"{self.registry}/{name}:{self.tag}" + (f"@{digest}" if digest else "")

    def object_labels(self, name: str) -> dict[str, str]:
        """Return the labels of the object of this name."""
        common = {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": "colchis",
            "app.kubernetes.io/version": VERSION,  # the templates', whatever tag the images have
            "app.kubernetes.io/managed-by": "colchis",
        }
        return common | dict(self.labels)
