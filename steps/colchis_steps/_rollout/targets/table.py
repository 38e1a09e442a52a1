"""The targets on a cluster by the name that ``--target`` gives them."""

from colchis_steps._rollout.targets import deployment, kserve
from colchis_steps._rollout.targets.protocol import Target

TARGETS: dict[str, Target] = {target.NAME: target for target in (deployment, kserve)}
