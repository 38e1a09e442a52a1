"""What must hold on each series of Argo: tests of the short suite, so that `make test-long` has them on Argo 4 too.

Retries are in test_stop.py, which is long as it is. Which release serves is asked for, never assumed.
"""

import pytest
from tests.cluster.installed import NEEDS_CLUSTER, argo_release
from tests.cluster.test_chain import (
    test_kaniko_builds_what_is_then_served,
    test_the_direct_builder_a_job_and_a_copied_volume_give_another_model_beside_it,
    test_the_graph_has_a_node_a_pod_one_for_its_attempts_and_few_besides,
)
from tests.cluster.test_doctor import test_argo_is_fine_from_the_floor_on_and_below_it_the_advisories_are_named
from tests.cluster.test_engines import submitted, test_phases_and_outputs_are_those_of_a_local_run
from tests.cluster.test_nightly import (
    namespace,
    test_a_job_of_an_installation_that_set_suspend_stays_as_its_owner_left_it,
    test_what_was_suspended_or_resumed_stays_so_when_it_is_applied_again,
)

__all__ = [
    "namespace",
    "submitted",
    "test_a_job_of_an_installation_that_set_suspend_stays_as_its_owner_left_it",
    "test_argo_is_fine_from_the_floor_on_and_below_it_the_advisories_are_named",
    "test_kaniko_builds_what_is_then_served",
    "test_phases_and_outputs_are_those_of_a_local_run",
    "test_the_direct_builder_a_job_and_a_copied_volume_give_another_model_beside_it",
    "test_the_graph_has_a_node_a_pod_one_for_its_attempts_and_few_besides",
    "test_what_was_suspended_or_resumed_stays_so_when_it_is_applied_again",
]
pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]


def test_argo_is_of_a_series_that_is_known_to_work() -> None:
    assert argo_release()[:2] in {(3, 7), (4, 0)}
