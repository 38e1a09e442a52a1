"""What a submitter may ask of the nodes is on the installation's list; on a laptop who asks is the user."""

import pytest

from colchis_steps._manifests.job_options import job_options
from colchis_steps._step.errors import InputError

LIST = '{"tolerations": ["dedicated"], "priorities": ["batch"]}'
DEDICATED = '{"tolerations": [{"key": "dedicated", "operator": "Exists"}], "priority": "batch"}'


def test_what_the_list_has_is_taken() -> None:
    options = job_options(DEDICATED, LIST)
    assert (options.tolerations[0].key, options.priority) == ("dedicated", "batch")
    assert job_options('{"gpus": 1, "spot": true, "queue": "team-a", "node_selector": {"a": "b"}}', "{}").gpus == 1


@pytest.mark.parametrize(
    ("text", "allowed", "why"),
    [
        (DEDICATED, "{}", "tolerations of 'dedicated' and this installation allows none; leave it out"),
        ('{"tolerations": [{"operator": "Exists"}]}', LIST, "'(every taint)' and this installation allows only dedic"),
        ('{"priority": "system-node-critical"}', LIST, "the priority 'system-node-critical' and this installation all"),
        ("{}", '{"prioritys": []}', "what $COLCHIS_JOB_ALLOWED allows"),
    ],
)
def test_what_it_lacks_is_refused_in_a_sentence_that_names_what_there_is(text: str, allowed: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        job_options(text, allowed)
    assert why in str(caught.value)


def test_on_a_laptop_nothing_is_refused() -> None:
    assert job_options(DEDICATED).priority == "batch"
