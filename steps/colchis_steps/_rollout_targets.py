"""The targets on a cluster by the name that ``--target`` gives them."""

from colchis_steps import _rollout_deployment, _rollout_kserve
from colchis_steps._rollout_target import Target

TARGETS: dict[str, Target] = {target.NAME: target for target in (_rollout_deployment, _rollout_kserve)}
