"""What an evaluation without data finds of an adopted model: that it answers, and what; no figure, and no judgement."""

import logging
import os
from collections.abc import Collection
from pathlib import Path

from colchis_steps._formats.documents import content_digest, encode
from colchis_steps._formats.evaluation import Given
from colchis_steps._formats.models import Candidate, Golden
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.policy import UNJUDGED, Demands
from colchis_steps._program.opening import open_model
from colchis_steps._step.errors import InputError
from colchis_steps._step.home import used_image
from colchis_steps._tensors.tensor import ModelError, ValuesError
from colchis_steps._tensors.values import plain
from colchis_steps._tensors.warming import filled

log = logging.getLogger("colchis")


def check_adopted(candidate: Candidate, run: str, demands: Demands) -> None:
    """Raise InputError where the candidate may not go without data: it was trained, or its owner wants it judged."""
    if candidate.origin is None or candidate.data_digest:
        raise InputError(f"run {run} has a model that was made of data; name them as --data, so that it is judged")
    if demands.digest and not demands.policy.unjudged:
        raise InputError(
            f"{demands.name} of {candidate.model} lets no version be served that was never judged; give --data, or ask "
            "the model's owner for unjudged: true"
        )


def golden_rows(directory: Path, run: str, allowed: Collection[str]) -> Golden:
    """Return a row of zeros and one of ones, and the model's answers; none where it does not take such rows.

    Raises:
        InputError: it does not load.
    """
    import numpy as np

    model = open_model(directory, allowed)
    rows = {
        name: np.concatenate([filled(tensor, value) for value in (0, 1)])
        for name, tensor in model.inputs.items()
        if tensor.shape[:1] == (None,)
    }
    try:
        answers = model.predict(rows) if rows.keys() == model.inputs.keys() else {}
    except (ValuesError, ModelError) as error:
        log.warning("no rows are kept for its rollout, as it does not answer zeros and ones: %s", error)
        answers = {}
    if not answers or any(one.ndim == 0 or len(one) != 2 for one in answers.values()):
        return Golden(run, {}, {})
    return Golden(run, {n: plain(one) for n, one in rows.items()}, {n: plain(one) for n, one in answers.items()})


def unjudged(given: Given, golden: Golden) -> tuple[Evaluation, bytes]:
    """Return what there is to say, and the golden rows as they are to be."""
    rows = encode(golden)
    image = used_image(os.environ.get("COLCHIS_ASK_IMAGE", ""))
    details = Evaluation(
        metrics={},
        slices={},
        baseline_version=given.baseline,
        baseline_metrics={},
        classes=(),
        confusion=(),
        checks=(),
        samples=(),
        verdict=UNJUDGED,
        tree=given.tree,
        baseline_digest=given.baseline_digest,
        golden=content_digest(rows),
        images={"ask": image} if image else {},
        task="",
        policy=given.policy_digest,
    )
    return details, rows
