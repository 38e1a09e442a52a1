"""Options as JSON: which quantities and names of Kubernetes are taken."""

import json

import pytest

from colchis_steps._manifests.job_options import job_options
from colchis_steps._manifests.serve_options import serve_options
from colchis_steps._step.errors import InputError


@pytest.mark.parametrize("quantity", ["1", "0.5", ".5", "1.", "100m", "2Gi", "1e3", "1E-2", "3E", "12Ki", "5u"])
def test_quantities_are_those_of_kubernetes(quantity: str) -> None:
    given = json.dumps({"memory": quantity})
    assert serve_options(given).memory == job_options(given).memory == quantity


@pytest.mark.parametrize("quantity", ["", ".", "-1", "1 Gi", "1GB", "1Gi\n", "m", "1e", "lots", "1ki"])
def test_other_quantities_are_refused_by_name(quantity: str) -> None:
    for read, options in ((serve_options, "serve options"), (job_options, "job options")):
        with pytest.raises(InputError, match=rf"{options} .*at `\$.cpu`; give JSON like"):
            read(json.dumps({"cpu": quantity}))


def test_a_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(InputError, match="give JSON like"):
        serve_options("\udcff")
