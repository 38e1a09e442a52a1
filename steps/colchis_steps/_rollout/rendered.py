"""Targets that only write YAML: ``seldon``, and ``knative`` for KServe's mode of that name. Our tests run neither.

The YAML goes to stdout and to ``runs/<run>/<target>.yaml``; nothing is applied and no alias moves.
"""

import sys

import yaml

from colchis_steps._formats.keys import run_key
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.kserve import knative
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.seldon import seldon_deployments
from colchis_steps._models.aliases import stable
from colchis_steps._models.versions import published
from colchis_steps._rollout.canary import Plan
from colchis_steps._rollout.options import Options, deployed_as, servable, server_config
from colchis_steps._store.api import Objects

RENDERED = ("knative", "seldon")


def rendered(
    store: Objects, run: str, model: str, version: int, image: str, *, form: str, options: Options, plan: Plan
) -> RolloutReport:
    """Write how the version is served beside the stable one, by the plan's split or its first step.

    Raises:
        InputError: a version is not published, or its image is another one.
    """
    servable(store, model, version, image, options)
    alias = stable(store, model)
    first = plan.steps[0] if plan.steps else 100
    weights = plan.split or {version: 100}
    if not plan.split and alias and alias.version != version:
        weights = {alias.version: 100 - first, version: first}
    mine = _deployed(store, model, version, options)
    if form == "knative":
        documents = [knative(*mine, weights[version])]
    else:
        named = {*weights, *(header.version for header in plan.headers)}
        versions = {number: _deployed(store, model, number, options) for number in named - {version}} | {version: mine}
        mirror = version if plan.mirror else None
        documents = seldon_deployments(versions, weights, headers=plan.headers, mirror=mirror)
    text = as_yaml(documents)
    store.write(run_key(run, f"{form}.yaml"), text.encode())
    sys.stdout.write(text)
    report = RolloutReport(form, options.runtime, "", None, alias.version if alias else None, 0.0, 0.0)
    report.weights = {str(number): weight for number, weight in weights.items()}
    return report


class _Dumper(yaml.SafeDumper):
    """Writes parts that are equal out, as an alias would hide what a pod gets; other imports may change SafeDumper."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Never use an alias."""
        return True

    def text(self, data: str) -> yaml.Node:
        """Write lines as lines."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.text)


def as_yaml(documents: list[Object]) -> str:
    """Write documents in full."""
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120)
    return text


def _deployed(store: Objects, model: str, version: int, options: Options) -> tuple[Deployed, str]:
    manifest, record = published(store, model, version)
    deployed = deployed_as(store, (manifest, record), record.image, options, replicas=1)
    return deployed, server_config(deployed, manifest, record)
