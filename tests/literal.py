"""A template's command line with parameters filled in, as a container's process gets it."""

from collections.abc import Mapping

from colchis_workflows._argo.literal import BRACE
from colchis_workflows._argo.tags import fill
from colchis_workflows._engine.expansion import expanded


def as_given(word: str, parameters: Mapping[str, str]) -> str:
    """Return the word after Argo and the kubelet."""
    return expanded(fill(word, {f"inputs.parameters.{name}": text for name, text in parameters.items()}), {BRACE: "{"})
